//! The vocabulary: the resources people write, the names in them, and what makes one invalid.
//!
//! Every other crate speaks in these types.
//! A resource comes in as YAML or JSON through [`read()`], which walks it against the schema of its
//! kind and reports *all* faults at once, each with path, line and, where a word was mistyped, the
//! nearest right one.
//! What passes is a [`Resource`]: typed, checked, shared.
//!
//! Architecture Invariant: nothing here does I/O, awaits, reads a clock or randomness.

#![forbid(unsafe_code)]

pub mod access;
pub mod api;
pub mod authn;
pub mod backend_tls;
pub mod claim;
pub mod cluster;
pub mod consumer;
pub mod cookie;
pub mod difference;
pub mod expression;
pub mod field;
pub mod gateway;
pub mod header;
pub mod identity;
pub mod invalid;
pub mod key;
pub mod limit;
pub mod login;
pub mod meta;
pub mod name;
pub mod namespace;
pub mod path;
pub mod policy;
pub mod read;
pub mod reference;
pub mod resource;
pub mod revocation;
pub mod role;
pub mod route;
pub mod schema;
pub mod secret;
pub mod service;
pub mod team;
pub mod traffic;
mod walk;
pub mod workload;
pub mod workspace;
pub mod yaml;

pub use invalid::{Checker, Invalid};
pub use key::{Key, Kind, Scope};
pub use meta::Meta;
pub use name::{Hostname, Name};
pub use read::{Document, line_of, read, read_bounded, read_for};
pub use resource::Resource;
pub use walk::wording::nearest;
