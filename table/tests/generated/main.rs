//! Generated worlds: the table agrees with a naive reference, and a bad object hurts only its
//! owner. `HEDDLE_SOAK_COUNT` and `HEDDLE_SOAK_SEED` choose how many and which.

#![allow(clippy::unwrap_used, clippy::needless_pass_by_value, reason = "only tests are here")]

mod borders;
mod chain;
mod dice;
mod isolation;
mod reference;
