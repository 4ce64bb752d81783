//! Who is measured, and what each is started from.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::bed::Bed;
use super::case::{Case, Wire};
use super::process::Process;

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Subject {
    Heddle,
    Envoy,
    Haproxy,
    Nginx,
    /// Forwarders of ours without any feature: one on hyper, or a pair on rustls.
    Bare,
    /// Nobody: callers reach the upstream themselves.
    Direct,
}

/// Where a subject listens. Those that tell HTTP/2 from HTTP/1.1 use one port for both; of a pair the
/// inbound half has the port for TLS.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ports {
    pub(super) http: u16,
    pub(super) h2c: u16,
    pub(super) https: u16,
    pub(super) admin: u16,
}

impl Ports {
    pub(super) fn of(self, wire: Wire) -> u16 {
        match wire {
            Wire::Http1 => self.http,
            Wire::Http2 | Wire::Grpc => self.h2c,
            Wire::Https => self.https,
        }
    }
}

/// A subject that runs.
#[derive(Debug)]
pub(super) struct Running {
    /// What is measured.
    pub(super) processes: Vec<Process>,
    /// What that needs beside it, on the other core.
    pub(super) beside: Option<Process>,
    pub(super) ports: Ports,
}

impl Running {
    /// Fails if one of its programs has ended.
    pub(super) fn check(&mut self) -> Result<()> {
        self.processes.iter_mut().chain(&mut self.beside).try_for_each(Process::check)
    }

    /// Seconds of CPU that it has used.
    pub(super) fn cpu_seconds(&self) -> Result<f64> {
        self.processes.iter().map(Process::cpu_seconds).sum()
    }

    /// KiB of memory that it shares with nobody and no file.
    pub(super) fn rss_anon_kib(&self) -> Result<u64> {
        self.processes.iter().map(Process::rss_anon_kib).sum()
    }
}

impl Subject {
    /// Those at the edge.
    pub(super) const EDGE: [Self; 5] =
        [Self::Heddle, Self::Envoy, Self::Haproxy, Self::Nginx, Self::Bare];
    /// Those that come in pairs, and what they are to be told from.
    pub(super) const MESH: [Self; 4] = [Self::Heddle, Self::Envoy, Self::Bare, Self::Direct];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Heddle => "heddle",
            Self::Envoy => "envoy",
            Self::Haproxy => "haproxy",
            Self::Nginx => "nginx",
            Self::Bare => "bare",
            Self::Direct => "direct",
        }
    }
}

/// What a subject's configuration is written from.
pub(super) struct Ground<'a> {
    pub(super) case: Case,
    pub(super) bed: &'a Bed,
    pub(super) ports: Ports,
    pub(super) dir: &'a Path,
}

impl Ground<'_> {
    /// The port of who answers.
    pub(super) fn upstream(&self) -> u16 {
        match self.case.wire() {
            Wire::Http1 | Wire::Http2 | Wire::Https => self.bed.upstream,
            Wire::Grpc => self.bed.callee,
        }
    }

    /// Whether calls are passed on over HTTP/2, and not requests over HTTP/1.1.
    pub(super) fn is_grpc(&self) -> bool {
        self.case.wire() == Wire::Grpc
    }

    /// Writes a file into the subject's folder.
    pub(super) fn write(&self, name: &str, text: impl AsRef<[u8]>) -> Result<PathBuf> {
        let file = self.dir.join(name);
        std::fs::write(&file, text).with_context(|| format!("writing {}", file.display()))?;
        Ok(file)
    }

    /// Where the subject logs requests: in memory, as for every other.
    pub(super) fn access_log(&self) -> PathBuf {
        self.dir.join("access.log")
    }
}
