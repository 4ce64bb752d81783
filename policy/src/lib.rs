//! Decisions over facts: who is calling, whether that may pass, and what is changed on the way.
//!
//! [`Chain`] holds what one rule of a route does with a request.
//! It is asked with borrowed [`Facts`] and answers with a [`Verdict`]; it acts on heads only when
//! told to, and [`Chain::explain`] tells the whole story of a decision.
//!
//! Architecture Invariant: nothing here does I/O, awaits, reads a clock or randomness; time comes
//! in as a fact, so the same code decides in a proxy, in the control plane and in a browser.

#![forbid(unsafe_code)]

pub mod access;
pub mod apikey;
pub mod authn;
pub mod border;
pub mod chain;
mod claims;
mod consumer;
pub mod cors;
pub mod explain;
pub mod facts;
pub mod headers;
pub mod host;
pub mod jwt;
pub mod level;
pub mod limit;
pub mod login;
pub mod pattern;
pub mod principal;
pub mod reason;
pub mod redirect;
pub mod revoked;
pub mod rewrite;
mod span;

#[cfg(test)]
mod fixtures;

pub use access::{CompiledPolicy, RuleRef};
pub use authn::{CompiledAuthn, Told};
pub use border::{Border, Stage};
pub use chain::{Answer, Aside, Ask, Chain, ChainError, Decision, Pass, Pending, Said, Verdict};
pub use cors::Reader;
pub use facts::{Certificate, Facts, Layer, Scheme, udp};
pub use level::{Level, Policies};
pub use limit::CompiledLimits;
pub use login::{LoggedIn, Login, Visit};
pub use principal::{Believed, Principal, Proof};
pub use reason::Reason;
pub use revoked::{Out, Revoked};
