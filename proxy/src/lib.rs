//! The data plane that gateway and mesh share: from an accepted socket to a recorded exchange.
//!
//! ```text
//! worker: bind -> accept -> tls -> http -> exchange -> balance -> pool -> connect
//!                                            |                              |
//!                                     table + policy decide          backend answers
//!                                            \--------- record ------------/
//! ```
//!
//! [`Proxy`] owns the workers; [`Proxy::apply`] puts a table in force without touching a request
//! that is under way.
//!
//! A table comes in already assembled, or is compiled by [`config`] of what the control plane sent,
//! on a thread of its own.
//!
//! Architecture Invariant: no database and no cluster credential here, and no resource is read on a
//! worker.

#![forbid(unsafe_code)]

pub mod admin;
pub mod config;
#[cfg(feature = "fuzz")]
pub mod fuzz;
pub mod identity;
pub mod process;
pub mod settings;
pub mod telemetry;
pub mod tls;
pub mod trace;

mod access_log;
mod address;
mod alarm;
mod attempts;
mod balance;
mod bind;
mod body;
mod carry;
mod compress;
mod connect;
mod cork;
mod counts;
mod datagram;
mod decisions;
mod describe;
mod detect;
mod dial;
mod exchange;
mod failure;
mod flow;
mod flows;
mod forward;
mod gather;
mod grpc;
mod health;
mod hello;
mod http;
mod linger;
mod live;
mod login;
mod mesh;
mod metrics;
mod mirror;
mod moment;
mod otlp;
mod passport;
mod phase;
mod pool;
mod ports;
mod proxy_protocol;
mod rarely;
mod record;
mod reply;
mod resting;
mod retry;
mod revoked;
mod room;
mod seats;
mod session;
mod steady;
mod traffic;
mod tunnel;
mod worker;

pub use counts::{Redis, RedisError};
pub use mesh::Membership;
pub use ports::ApplyError;
pub use settings::{Limits, Settings};
pub use worker::Proxy;
