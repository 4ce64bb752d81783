//! A gateway that is joined to a server.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use model::Name;
use proxy::identity::JoinToken;
use proxy::process::words::Hidden;
use proxy::{config, process};

use crate::args::Serve;
use crate::outfit::outfit;

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
    let node = settings(join)?;
    process::follow(outfit(args, Some(&node.folder))?, node)?;
    Ok(ExitCode::SUCCESS)
}

fn settings(join: &Join) -> Result<config::Settings> {
    let token = join.token.as_ref().map(|given| JoinToken::given(&given.0)).transpose()?;
    Ok(config::Settings {
        server: config::server(join.server.as_deref().unwrap_or(SERVER))?,
        folder: join.state.clone().unwrap_or_else(|| STATE.into()),
        token,
        kind: "gateway".to_owned(),
        name: name(join.name.as_deref())?,
        version: env!("CARGO_PKG_VERSION").to_owned(),
    })
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
        let token = |given: &Hidden| JoinToken::given(&given.0).map_err(anyhow::Error::from);
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
