//! Black-box tests over real processes, and the programs that the benchmarks run.
//!
//! A test starts origins ([`Origin`]), writes what it wants as YAML ([`yaml`]), starts a
//! [`Gateway`] on free ports, and looks at it as a stranger does: through sockets ([`client`],
//! [`raw`]), its admin address, its logs.
//! What a test cannot set up it says by panicking, with what was tried.
#![forbid(unsafe_code)]

pub mod app;
pub mod browser;
pub mod capture;
pub mod client;
pub mod crowd;
pub mod fleet;
pub mod load;
pub mod nodes;
pub mod origin;
pub mod people;
pub mod postgres;
pub mod process;
pub mod program;
pub mod provider;
pub mod raw;
pub mod redis;
pub mod scripted;
pub mod server;
pub mod soak;
pub mod token;
pub mod trust;
pub mod wait;
pub mod yaml;

pub use client::{Connection, Reply};
pub use fleet::{Fleet, Joined};
pub use origin::{Ill, Origin};
pub use process::{Gateway, Setup};
pub use redis::Redis;
pub use scripted::Scripted;
pub use server::Server;
