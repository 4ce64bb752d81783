//! A gateway that is joined to a server: start, follow, serve what it says, drain.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use model::Name;
use proxy::config::{self, Joined, Ready, Update};
use proxy::identity::JoinToken;

use crate::args::{Hidden, Serve};
use crate::serving::{Serving, Signals, tell_missing};

/// How often it is tried to open ports that could not be opened.
const AGAIN: Duration = Duration::from_secs(5);
/// Where the server answers nodes if nothing else is said.
const SERVER: &str = "127.0.0.1:7081";
/// Where a node keeps who it is if nothing else is said.
const STATE: &str = "heddle-gateway-state";

/// How to join: as the command line says, and the token as the environment may.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Join {
    pub(crate) token: Option<Hidden>,
    pub(crate) server: Option<String>,
    pub(crate) state: Option<PathBuf>,
    pub(crate) name: Option<String>,
}

/// Serves what the server says until told to stop.
pub(crate) fn run(args: &Serve, join: &Join) -> Result<ExitCode> {
    let joined = Joined::start(settings(join)?)?;
    let status = joined.status();
    let show = joined.status();
    let mut serving = Serving::start(args, std::sync::Arc::new(move || show.show()))?;
    serving.telemetry.joined(status);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("starting the main loop")?;
    let signals = runtime.block_on(async { Signals::listen() })?;
    let mut following = Following { joined, applied: false, serves: false };
    let followed = runtime.block_on(following.follow(&mut serving, signals));
    // What is in force is kept before the drain, which may take long.
    following.joined.stop();
    let code = serving.end(args.drain_timeout);
    followed.map(|()| code)
}

/// A gateway that follows a server.
struct Following {
    joined: Joined,
    /// Whether a table is in force.
    applied: bool,
    /// Whether it was said that it serves.
    serves: bool,
}

impl Following {
    /// Puts in force what comes, until told to stop or until it cannot join.
    async fn follow(&mut self, serving: &mut Serving, signals: Signals) -> Result<()> {
        let Signals { mut terminate, mut interrupt, mut again } = signals;
        let mut retry = tokio::time::interval(AGAIN);
        let mut follows = true;
        loop {
            tokio::select! {
                _ = terminate.recv() => return Ok(()),
                _ = interrupt.recv() => return Ok(()),
                _ = again.recv() => serving.telemetry.reopen_log(),
                _ = retry.tick() => {
                    if let Some(failed) = serving.retry() {
                        self.joined.unopened(&failed);
                    }
                    self.tell_ready(serving);
                }
                update = self.joined.next(), if follows => match update {
                    Some(Update::Table(ready)) => self.take(serving, ready),
                    Some(Update::Failed(error)) => return Err(error.into()),
                    None => {
                        tracing::error!("following the server broke off; what is in force is served on");
                        follows = false;
                    }
                },
            }
        }
    }

    /// Puts a table in force.
    fn take(&mut self, serving: &mut Serving, ready: Ready) {
        for fault in &ready.faults {
            tracing::error!("{fault}");
        }
        let failed = serving.apply(&ready.table, ready.faults.len());
        tell_missing(&failed);
        self.joined.unopened(&failed);
        ready.applied();
        self.applied = true;
        self.tell_ready(serving);
    }

    /// Says once that it serves: when a table is in force and every port of it is open.
    fn tell_ready(&mut self, serving: &Serving) {
        if self.applied && !self.serves && !serving.is_missing() {
            self.serves = true;
            serving.ready();
            tracing::info!("ready");
        }
    }
}

fn settings(join: &Join) -> Result<config::Settings> {
    let token = join.token.as_ref().map(token).transpose()?;
    let server = join.server.clone().unwrap_or_else(|| SERVER.to_owned());
    let has_port = server
        .rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    if !has_port {
        bail!("--server wants HOST:PORT such as heddle.example:7081, not '{server}'");
    }
    Ok(config::Settings {
        server,
        folder: join.state.clone().unwrap_or_else(|| STATE.into()),
        token,
        kind: "gateway".to_owned(),
        name: name(join.name.as_deref())?,
        version: env!("CARGO_PKG_VERSION").to_owned(),
    })
}

/// The token that was given: itself, in a file, or on standard input.
fn token(given: &Hidden) -> Result<JoinToken> {
    let text = match given.0.strip_prefix('@') {
        Some(file) => {
            fs::read_to_string(file).with_context(|| format!("reading the join token in {file}"))?
        }
        None if given.0 == "-" => io::read_to_string(io::stdin().lock())
            .context("reading the join token from standard input")?,
        None => given.0.clone(),
    };
    Ok(text.parse()?)
}

/// The node's name: the one that was given, or the host's.
fn name(given: Option<&str>) -> Result<String> {
    let host = || {
        let host = fs::read_to_string("/proc/sys/kernel/hostname");
        host.map(|host| host.trim().to_ascii_lowercase()).unwrap_or_default()
    };
    let name = given.map_or_else(host, str::to_owned);
    match Name::parse(&name) {
        Ok(name) => Ok(name.to_string()),
        Err(error) if given.is_some() => bail!("--name: {error}"),
        Err(error) => {
            bail!("the host's name is no name for a node ({error}); give one with --name")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_from_where_it_is_and_never_shown() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let secret = format!("marker{}", "x".repeat(37));
        let text = format!("{}.{secret}.{}\n", "a".repeat(32), "b".repeat(64));
        fs::write(file.path(), &text).unwrap();
        let by_file = Hidden(format!("@{}", file.path().display()));
        let read = token(&by_file).unwrap();
        assert_eq!(read, token(&Hidden(text.clone())).unwrap());
        for bad in [Hidden(text.replace('.', "")), Hidden("@/nowhere/token".to_owned())] {
            let said = format!("{:#} {bad:?}", token(&bad).unwrap_err());
            assert!(!said.contains("marker"), "{said}");
        }
    }

    #[test]
    fn what_makes_no_node_is_said() {
        let settings = |server: &str, name: &str| {
            let (server, name) = (Some(server.to_owned()), Some(name.to_owned()));
            settings(&Join { server, name, ..Join::default() }).map_err(|error| error.to_string())
        };
        assert_eq!(settings("hub.example:7081", "edge-1").unwrap().name, "edge-1");
        for server in ["hub.example", ":7081", "hub.example:port"] {
            assert!(settings(server, "edge-1").unwrap_err().contains("HOST:PORT"));
        }
        assert!(settings("[::1]:7081", "Edge 1").unwrap_err().contains("--name"));
    }
}
