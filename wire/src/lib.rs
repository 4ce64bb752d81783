//! What crosses the network between the control plane and its nodes.
//!
//! Three services over one port: one gives a node its certificate, one carries what it serves, one
//! takes what it tells of requests and counts of them. Their messages are plain types; that they
//! travel as protobuf is told nowhere else.
//!
//! ```text
//! node     Hello ──────────────────────────────────── Ack | Nack ── Heartbeat
//! control         Begin ── Put* ── Drop* ── Commit ─────────────── Heartbeat
//! ```
//!
//! Architecture Invariant: no protobuf type leaves this crate.

#![forbid(unsafe_code)]

mod codec;
mod counts;
pub mod digest;
mod envelope;
mod frame;
#[cfg(feature = "fuzz")]
pub mod fuzz;
mod identity;
mod key;
mod name;
mod revoked;
mod seeing;
mod session;
mod sketch;

pub use counts::{Caller, Counts, OUTCOMES, Outcome, Series};
pub use envelope::{Envelope, SCHEMA};
pub use frame::{
    Ack, Begin, Cause, Commit, ControlFrame, ControlHeartbeat, Held, Hello, Lane, Nack, NodeFrame,
    NodeHeartbeat, Rejection, Resting, Standing, Trust,
};
pub use identity::{Certified, Join, Rejoin, Renew, Speak, Spoken};
pub use key::Key;
pub use name::{SERVER, asks_for, server_under};
pub use revoked::{Ended, EndedSession, LoggedOut, Revoked};
pub use seeing::{Decision, Kept, Side, Told};
pub use session::{GatewaySessions, SessionSecrets};
pub use sketch::Sketch;

/// The scopes of a node, each with the revision that last changed it.
pub type Vector = std::collections::BTreeMap<model::Scope, i64>;

/// At most so many objects are told in one frame of [`Hello`].
pub const HELD: usize = 1_000;
/// Ports of an application that a node tells of at most, as many as a Workload may have.
pub const PORTS: usize = 16;
/// Endpoints without requests that a node tells of at most.
pub const RESTING: usize = 256;
/// At most so many rejections are told in one [`Ack`].
pub const REJECTIONS: usize = 1_000;
/// At most so many closed objects are told with one [`Rejection`].
pub const CLOSED: usize = 100;
/// At most so many roots are believed at once.
pub const ROOTS: usize = 8;
/// At most so many Gateways have their secrets in one frame of [`SessionSecrets`].
pub const GATEWAYS: usize = 1_000;
/// At most so many who are shut out are told in one frame of [`Revoked`].
pub const REVOKED: usize = 1_000;
/// At most so many sessions of browsers are told in one frame of [`Ended`] or [`LoggedOut`].
pub const ENDED: usize = 1_000;
/// Secrets that a Gateway has at most.
pub const SECRETS: usize = 16;
/// The length of each of them, in bytes.
pub const SECRET: usize = 32;
/// The longest that a node says of what is wrong with an endpoint, in bytes.
pub const TROUBLE: usize = 256;
/// The longest word of a key that a node says, in bytes.
pub const WORD: usize = 253;
/// The longest version that a node says, in bytes.
pub const VERSION: usize = 64;
/// At most so many objects travel in one [`ControlFrame::Put`].
pub const BATCH: usize = 256;
/// At most so many bytes of bodies travel in one [`ControlFrame::Put`], but for a larger object alone.
pub const BATCH_BYTES: usize = 1 << 20;
/// At most so many decisions travel in one [`Told`].
pub const DECISIONS: usize = 256;
/// So many bytes of bodies a transaction brings at most: with it a node refuses all that it brings.
pub const STATE_BYTES: usize = 512 << 20;
/// At most so many series travel in one [`Counts`].
pub const SERIES: usize = 256;
/// The largest frame that either side reads, in bytes.
pub const FRAME: usize = 8 << 20;
/// How often each side says that it is there.
pub const HEARTBEAT: std::time::Duration = std::time::Duration::from_secs(3);
/// After this long without a frame the other side counts as gone.
pub const STALE: std::time::Duration = std::time::Duration::from_secs(10);

/// What control offers to nodes.
pub mod server {
    pub use crate::services::config_server::{Config, ConfigServer};
    pub use crate::services::identity_server::{Identity, IdentityServer};
    pub use crate::services::seeing_server::{Seeing, SeeingServer};
}

/// What nodes ask of control.
pub mod client {
    pub use crate::services::config_client::ConfigClient;
    pub use crate::services::identity_client::IdentityClient;
    pub use crate::services::seeing_client::SeeingClient;
}

/// The messages as they travel.
mod proto {
    #![allow(unreachable_pub, missing_debug_implementations, clippy::all)]
    pub(crate) mod config {
        tonic::include_proto!("heddle.config.v1");
    }
    pub(crate) mod identity {
        tonic::include_proto!("heddle.identity.v1");
    }
    pub(crate) mod seeing {
        tonic::include_proto!("heddle.seeing.v1");
    }
}

/// The services, generated.
mod services {
    #![allow(unreachable_pub, missing_debug_implementations, clippy::all, rust_2018_idioms)]
    include!(concat!(env!("OUT_DIR"), "/heddle.config.v1.Config.rs"));
    include!(concat!(env!("OUT_DIR"), "/heddle.identity.v1.Identity.rs"));
    include!(concat!(env!("OUT_DIR"), "/heddle.seeing.v1.Seeing.rs"));
}

#[cfg(test)]
mod tests;
