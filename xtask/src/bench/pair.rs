//! Two proxies, one beside who calls and one beside who is called, with mutual TLS 1.3 between them.
//!
//! Both have the subject's core, so CPU and memory are those of the pair.
//! Each outbound half expects the called one's name in the certificate that it is shown. Each inbound
//! half asks for one and lets in the caller by name, the bare one whoever its authority signed. So an
//! answer through a pair shows that both were looked at.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use super::bed::{self, Bed};
use super::case::{Case, SERVICE};
use super::drive::said;
use super::ours::Ours;
use super::process::{OTHER_CORE, Process, SUBJECT_CORE, pinned};
use super::proxy;
use super::subject::{Ground, Ports, Running, Subject};

mod envoy;
mod heddle;
mod trust;

use heddle::Hub;
use trust::Trust;

/// Which of the two a proxy is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    /// Beside who calls.
    Outbound,
    /// Beside who is called.
    Inbound,
}

impl Side {
    const BOTH: [Self; 2] = [Self::Outbound, Self::Inbound];

    fn name(self) -> &'static str {
        match self {
            Self::Outbound => "outbound",
            Self::Inbound => "inbound",
        }
    }

    fn other(self) -> Self {
        match self {
            Self::Outbound => Self::Inbound,
            Self::Inbound => Self::Outbound,
        }
    }
}

/// Sees to it that the subject is there; returns its programs, the proxy first.
pub(super) fn obtain(subject: Subject, ours: &Ours) -> Result<Vec<PathBuf>> {
    match subject {
        Subject::Heddle => heddle::obtain(ours),
        Subject::Envoy => Ok(vec![proxy::envoy::obtain()?]),
        Subject::Bare => Ok(vec![ours.program("e2e", "tunnel")?]),
        Subject::Direct => Ok(Vec::new()),
        Subject::Haproxy | Subject::Nginx => bail!("it is measured at the edge alone"),
    }
}

/// Starts both, or neither where callers reach the upstream themselves.
pub(super) fn start(
    case: Case,
    subject: Subject,
    programs: &[PathBuf],
    bed: &Bed,
) -> Result<Running> {
    let Some(program) = programs.first() else {
        let port = bed.upstream;
        let ports = Ports { http: port, h2c: port, https: port, admin: port };
        return Ok(Running { processes: Vec::new(), beside: None, ports });
    };
    let [http, https, own, outer, inner] = bed::free_ports()?;
    let dir = bed.folder(subject.name())?;
    let trust = Trust::lay(&dir)?;
    let ports = Ports { http, h2c: own, https, admin: outer };
    let hub = (subject == Subject::Heddle)
        .then(|| Hub::start(programs, &Ground { case, bed, ports, dir: &dir }))
        .transpose()?;
    let mut processes = Vec::new();
    for (side, admin) in Side::BOTH.into_iter().zip([outer, inner]) {
        let dir = bed.folder(&format!("{}/{}", subject.name(), side.name()))?;
        let ground = Ground { case, bed, ports: Ports { admin, ..ports }, dir: &dir };
        let mut command = pinned(SUBJECT_CORE, program);
        match &hub {
            Some(hub) => hub.arguments(&mut command, side, &ground),
            None if subject == Subject::Envoy => {
                envoy::arguments(&mut command, side, &ground, &trust)?;
            }
            None => tunnel_arguments(&mut command, side, &ground, &trust),
        }
        processes.push(Process::start(&mut command, &dir)?);
    }
    Ok(Running { processes, beside: hub.map(|hub| hub.process), ports })
}

fn tunnel_arguments(command: &mut Command, side: Side, ground: &Ground<'_>, trust: &Trust) {
    let Ports { http, https, .. } = ground.ports;
    let (listen, to) = match side {
        Side::Outbound => (http, https),
        Side::Inbound => (https, ground.bed.upstream),
    };
    command.args(["--side", side.name(), "--peer", SERVICE]);
    command.args(["--listen", &format!("127.0.0.1:{listen}"), "--to", &format!("127.0.0.1:{to}")]);
    command.arg("--authority").arg(trust.authority());
    command.arg("--certificate").arg(trust.certificate(side)).arg("--key").arg(trust.key(side));
}

/// Fails unless a caller without a certificate is sent away because of that.
pub(super) fn check(subject: Subject, running: &Running) -> Result<()> {
    if subject == Subject::Direct {
        return Ok(());
    }
    // In TLS 1.3 the refusal comes after the caller's handshake: so it listens until it is let go.
    let mut stranger = pinned(OTHER_CORE, "timeout");
    stranger.args(["5", "openssl", "s_client", "-quiet", "-tls1_3", "-alpn", "h2"]);
    stranger.args(["-connect", &format!("127.0.0.1:{}", running.ports.https)]);
    let said = said(&stranger.stdin(Stdio::null()).output().context("starting openssl")?);
    ensure!(
        said.contains("certificate required"),
        "a caller without a certificate was not refused for that: {said}"
    );
    Ok(())
}
