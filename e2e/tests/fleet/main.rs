//! The server and the gateways that joined it, as their users meet them: what a change becomes, what
//! outlives a crash, who gets in.
//!
//! Counts come from `HEDDLE_SOAK_COUNT`, as `cargo xtask soak` gives them; CI runs a small one.

mod borders;
mod claim;
mod consumer;
mod crash;
mod endpoint;
mod full;
mod keys;
mod logout;
mod moving;
mod renewal;
mod scene;
mod secret;
mod session;
mod together;
