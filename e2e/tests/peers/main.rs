//! Programs of others around the gateway: which know what HTTP/2, gRPC and TLS are, and which
//! stand before it.
//!
//! The first are built from `e2e/peers` by the suite, which names their folder in `HEDDLE_PEERS`; the others
//! are packages that it installs.

use std::path::PathBuf;
use std::process::Command;

mod desync;
mod grpc;
mod h2;
mod pair;
mod tls;

/// The peer called `name`.
fn peer(name: &str) -> Command {
    let Some(folder) = std::env::var_os("HEDDLE_PEERS") else {
        panic!("HEDDLE_PEERS names no folder: run `cargo xtask test --only edge`");
    };
    Command::new(PathBuf::from(folder).join(name))
}
