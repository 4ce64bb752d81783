//! What the control plane says this node shall serve.

pub(crate) mod held;
mod session;
mod transaction;
