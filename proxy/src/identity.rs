//! Who this node is to the control plane: a key that stays here, and a certificate for it.
//!
//! ```text
//! join token ──Join──> certificate ──Renew at 2/3──> certificate ── ... ends ──Rejoin──> ...
//!              (the server is known by          (by the roots that
//!               the token's fingerprint)         came with the certificate)
//! ```
//!
//! Architecture Invariant: the private key leaves the folder in no form, and no message, log or
//! debug form shows a token's secret.

mod certificate;
mod connection;
mod enroll;
mod folder;
mod key;
mod node;
mod renewal;
mod token;
mod trust;

pub use connection::Away;
pub use enroll::EnrollError;
pub use folder::{Folder, FolderError};
pub(crate) use folder::{hold, replace};
pub use key::{KeyError, NodeKey};
pub use node::Identity;
pub use token::{Fingerprint, GivenError, JoinToken, NoToken};
pub use trust::Distrust;

pub(crate) use certificate::Certificate;
pub(crate) use connection::{Connection, Dialer, Shown};
pub(crate) use enroll::Asking;
pub(crate) use node::Spoken;
pub(crate) use renewal::{again, due};
pub(crate) use trust::{Anchor, above};

#[cfg(test)]
pub(crate) mod tests;
