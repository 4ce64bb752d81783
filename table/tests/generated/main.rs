//! Generated worlds: the table agrees with a naive reference, and a bad object hurts only its
//! owner. `HEDDLE_SOAK_COUNT` and `HEDDLE_SOAK_SEED` choose how many and which.

mod dice;
mod isolation;
mod reference;
