//! What the control plane says this node shall serve.

pub(crate) mod held;
mod last_good;
mod session;
mod transaction;
