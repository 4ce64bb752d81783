//! What the control plane remembers: revisions of resources, audit, users, nodes, authorities.
//!
//! One SQL for two databases: SQLite in a folder, PostgreSQL behind a URL
//! (`docs/adr/006-one-sql-for-two-databases.md`).
//! An edit is one [`Commit`], which happens as a whole or not at all:
//!
//! ```text
//! commit ── counter + 1 ── bases, generations, claims hold? ── rows, history, audit ── feed wakes
//!                               no: nothing is written, and the error names all that failed
//! ```
//!
//! Times are microseconds since 1970 and come in as arguments, ids are UUIDv7 that the caller
//! made: the store reads no clock, and chance only to seal.
//!
//! Architecture Invariant: only this crate says SQL; nobody outside it sees a statement or a row.

#![forbid(unsafe_code)]

pub mod access_request;
pub mod audit;
pub mod authority;
pub mod commit;
mod copy;
mod db;
pub mod decision;
mod digest;
mod error;
mod feed;
pub mod history;
pub mod identity;
pub mod join;
pub mod key;
pub mod key_set;
pub mod login;
mod migration;
pub mod node;
mod open;
pub mod resource;
mod revision;
pub mod revocation;
pub mod seal;
pub mod session;
pub mod session_secret;
pub mod token;
pub mod user;

pub use audit::{Entry, Fault, Record};
pub use commit::{Claim, Commit, CommitError, Committed, Delete, Expected, Once, Put, Write};
pub use copy::{Backup, Copied, CopyError, copy};
pub use db::Settings;
pub use digest::digest;
pub use error::Error;
pub use history::{Change, Past, Revision, Touched, Version};
pub use key::Key;
pub use model::Scope;
pub use open::{Location, OpenError, Store};
pub use resource::{Filter, Reference, Snapshot, Stored};
