//! Fuzz targets: each takes any bytes, lets a part of Heddle that reads what strangers send make
//! something of them, and holds that against an oracle: a naive reading of the same rules, written here
//! from their text, or the way back.
//!
//! A target panics where the two differ.
//! libFuzzer chooses the bytes by what they cover ([ADR 028](../../docs/adr/028-fuzzing.md)), and tests
//! take the seeds beside this crate and as many by chance as take a few seconds.

#![forbid(unsafe_code)]

mod dice;
mod frame;
mod headers;
mod host;
mod matching;
mod path;
mod proxy_header;
mod walker;

pub use frame::frame;
pub use headers::headers;
pub use host::host;
pub use matching::matching;
pub use path::path;
pub use proxy_header::proxy_header;
pub use walker::walker;

/// What may be fuzzed.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// As it is called on the command line, and the folder of its seeds.
    pub name: &'static str,
    /// Takes any bytes, and panics where it does not agree with its oracle.
    pub run: fn(&[u8]),
}

/// All targets.
pub const TARGETS: [Target; 7] = [
    Target { name: "path", run: path },
    Target { name: "matching", run: matching },
    Target { name: "host", run: host },
    Target { name: "proxy_header", run: proxy_header },
    Target { name: "headers", run: headers },
    Target { name: "frame", run: frame },
    Target { name: "walker", run: walker },
];

/// The target of this name.
pub fn target(name: &str) -> Option<Target> {
    TARGETS.into_iter().find(|target| target.name == name)
}

#[cfg(test)]
mod tests;
