//! A proxy at the edge: Heddle, three peers, and a bare forwarder; each with the same features on.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::bed::{self, Bed};
use super::case::Case;
use super::ours::Ours;
use super::process::{Process, SUBJECT_CORE, pinned};
use super::subject::{Ground, Ports, Running, Subject};
use crate::setup;

pub(super) mod envoy;
mod haproxy;
pub(super) mod heddle;
mod nginx;

/// Sees to it that the subject is there; returns its program.
pub(super) fn obtain(subject: Subject, ours: &Ours) -> Result<Vec<PathBuf>> {
    let program = match subject {
        Subject::Heddle => ours.program("gateway", "heddle-gateway")?,
        Subject::Bare => ours.program("e2e", "bare")?,
        Subject::Envoy => envoy::obtain()?,
        Subject::Haproxy => {
            setup::apt(&["haproxy"])?;
            on_path("haproxy")
        }
        Subject::Nginx => on_path("nginx"),
        Subject::Direct => bail!("there is no proxy in it"),
    };
    Ok(vec![program])
}

/// Starts it on the subject's core.
pub(super) fn start(
    case: Case,
    subject: Subject,
    programs: &[PathBuf],
    bed: &Bed,
) -> Result<Running> {
    let (dir, ports) = (bed.folder(subject.name())?, ports(subject)?);
    let program = programs.first().context("no program")?;
    let ground = Ground { case, bed, ports, dir: &dir };
    let mut command = pinned(SUBJECT_CORE, program);
    match subject {
        Subject::Heddle => heddle::arguments(&mut command, &ground)?,
        Subject::Envoy => envoy::arguments(&mut command, &ground)?,
        Subject::Haproxy => haproxy::arguments(&mut command, &ground)?,
        Subject::Nginx => nginx::arguments(&mut command, &ground)?,
        Subject::Bare => bare_arguments(&mut command, &ground),
        Subject::Direct => bail!("there is no proxy in it"),
    }
    let processes = vec![Process::start(&mut command, &dir)?];
    Ok(Running { processes, beside: None, ports })
}

fn ports(subject: Subject) -> Result<Ports> {
    let [http, other, https, admin] = bed::free_ports()?;
    let h2c = match subject {
        Subject::Heddle | Subject::Envoy => http,
        Subject::Haproxy | Subject::Nginx | Subject::Bare | Subject::Direct => other,
    };
    Ok(Ports { http, h2c, https, admin })
}

/// Debian puts daemons where an ordinary user's PATH does not look.
fn on_path(program: &str) -> PathBuf {
    let system = Path::new("/usr/sbin").join(program);
    if system.exists() { system } else { PathBuf::from(program) }
}

fn bare_arguments(command: &mut Command, ground: &Ground<'_>) {
    let Ports { http, h2c, https, admin: _ } = ground.ports;
    let Bed { upstream, callee, .. } = *ground.bed;
    let called = ground.is_grpc().then_some(("callee", callee));
    let all = [("http", http), ("h2c", h2c), ("https", https), ("upstream", upstream)];
    for (flag, port) in all.into_iter().chain(called) {
        command.args([format!("--{flag}"), format!("127.0.0.1:{port}")]);
    }
    command.arg("--certificate").arg(&ground.bed.certificate);
    command.arg("--key").arg(&ground.bed.key);
}
