//! The control plane: what may be changed by whom, and what a change comes to.
//!
//! There is one door for every edit, whoever brings it ([`App::change_commit`]):
//!
//! ```text
//! text ── model reads it ── may they? ── claims, bounds ── table tries it ── store commits it
//!          all faults        404, 403     who holds it      new faults        revision, audit
//! ```
//!
//! Each step needs the one before; nothing is written unless all pass.
//! What the steps are decided from is a [`World`]: every object as of one revision.
//!
//! Architecture Invariant: no SQL and no proxy here: `store` keeps, `table` compiles.

#![forbid(unsafe_code)]

pub mod app;
pub mod authn;
pub mod ca;
pub mod fleet;
pub mod grpc;
pub mod identity;
pub mod keep;
pub mod login;
pub mod push;
pub mod rest;
mod revocation;
pub mod rotation;
pub mod seeing;
pub mod snapshot;
pub mod traffic;

mod body;
mod bounds;
mod claims;
mod clock;
mod cost;
mod draft;
mod edit;
mod key_set;
mod lookup;
mod moment;
mod refusal;
mod session_secret;
#[cfg(test)]
mod test;
mod world;

pub use app::{
    App, Deed, Listing, Op, Page, PastChange, PastObject, PastVersion, Plan, Receipt, Rerouted,
    Review, Reviewed, Rolled, Rollout, Shown, Touched, Would,
};
pub use claims::{Holder, Overlap};
pub use clock::Clock;
pub use edit::{Edit, Expect, read};
pub use fleet::NodeState;
pub use outward::Reach;
pub use refusal::{Conflict, Refusal};
pub use session_secret::Others;
pub use store::Once;
pub use store::node::Node;
pub use world::{Object, Objects, Unreadable, World};
