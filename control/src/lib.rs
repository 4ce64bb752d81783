//! The control plane: what may be changed by whom, and what a change comes to.
//!
//! Architecture Invariant: no SQL and no proxy here: `store` keeps, `table` compiles.

#![forbid(unsafe_code)]
