//! The commands, one module for what belongs together.

pub(crate) mod access;
pub(crate) mod audit;
pub(crate) mod authority;
pub(crate) mod change;
pub(crate) mod completion;
pub(crate) mod consumer;
pub(crate) mod diff;
pub(crate) mod explain;
pub(crate) mod fleet;
pub(crate) mod join;
pub(crate) mod key_set;
pub(crate) mod look;
pub(crate) mod node;
pub(crate) mod past;
pub(crate) mod plan;
pub(crate) mod receipt;
pub(crate) mod revocation;
pub(crate) mod rights;
pub(crate) mod session_secret;
pub(crate) mod sign;
pub(crate) mod token;
pub(crate) mod traffic;
pub(crate) mod user;
