//! The command line.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::Parser;
use model::Name;
use model::workload::Workload;
use proxy::identity::JoinToken;
use proxy::process::Outfit;
use proxy::process::words::{self, Admin, Hidden, ratio};
use proxy::telemetry;
use proxy::{Settings, config};

/// The proxy beside an application, by which it speaks and is spoken to in the mesh.
#[derive(Debug, Parser)]
#[command(name = "heddle-mesh", version)]
pub(crate) struct Args {
    /// The Workload that it stands for.
    #[arg(long, value_name = "NAMESPACE/NAME", value_parser = workload)]
    pub(crate) workload: Name,
    /// Joins by the token that the server printed: the token, `-` for standard input, or `@FILE`.
    /// HEDDLE_JOIN_TOKEN holds it where --join is absent. Once joined, --state alone suffices.
    #[arg(long, value_name = "TOKEN|-|@FILE")]
    pub(crate) join: Option<Hidden>,
    /// Where the server answers nodes.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:7081")]
    pub(crate) server: String,
    /// The folder that keeps who this node is, what it served last and what quotas counted.
    #[arg(long, value_name = "DIR", default_value = "heddle-mesh-state")]
    pub(crate) state: PathBuf,
    /// Threads that serve traffic.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=512))]
    pub(crate) workers: u16,
    /// The address on which other proxies are taken in; loopback unless told otherwise.
    #[arg(long, value_name = "IP", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    pub(crate) bind: IpAddr,
    /// The zone that the application is in: endpoints there come first, where a TrafficPolicy or a Service
    /// says so.
    #[arg(long, value_name = "NAME", value_parser = words::zone)]
    pub(crate) zone: Option<String>,
    /// Where /healthz, /readyz, /metrics and /config answer; `off` for nowhere.
    #[arg(long, value_name = "ADDR|off", default_value = "127.0.0.1:9902")]
    pub(crate) admin: Admin,
    /// A Unix socket, in a folder of this user's own: a process that serves there hands its listening sockets
    /// over, so that no connection is refused, and this one does so for the next.
    #[arg(long, value_name = "PATH")]
    pub(crate) handover: Option<PathBuf>,
    /// Where access log lines (JSON) go: a file, `-` for standard error, or `off`.
    #[arg(long, value_name = "FILE|-|off", default_value = "-")]
    pub(crate) access_log: String,
    /// A Redis by which limits of the scope `Shared` are counted together with other proxies:
    /// redis://USER:PASSWORD@HOST:PORT/NUMBER, of which the host is enough, rediss:// for TLS, or `@FILE`, which
    /// holds that. HEDDLE_REDIS holds it where --redis is absent.
    #[arg(long, value_name = "URL|@FILE")]
    pub(crate) redis: Option<Hidden>,
    /// The certificates, in PEM, of who vouches for a Redis that is spoken to by TLS; those whom browsers trust by
    /// default.
    #[arg(long, value_name = "FILE")]
    pub(crate) redis_ca: Option<PathBuf>,
    /// How long a request waits for that Redis at each step of limits; then they do as their failureMode says.
    #[arg(long, value_name = "TIME", default_value = "100ms", value_parser = words::redis_timeout)]
    pub(crate) redis_timeout: Duration,
    /// Share of requests that pass, 0 to 1, of which the server is told why, for `heddle explain`; of
    /// failures and denials it always is.
    #[arg(long, value_name = "RATIO", default_value_t = 0.01, value_parser = ratio)]
    pub(crate) decision_ratio: f64,
    /// How long requests under way may take once the process is told to stop, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    pub(crate) drain_timeout: u64,
}

/// The node of a workload, by the words `NAMESPACE/NAME`.
fn workload(text: &str) -> Result<Name, String> {
    let node = text.replacen('/', ".", 1);
    let node = Name::parse(&node).ok().filter(|node| Workload::of_node(node).is_some());
    node.filter(|_| text.contains('/')).ok_or_else(|| {
        "NAMESPACE/NAME of a Workload, each one label, such as shop/orders-1".to_owned()
    })
}

impl Args {
    /// How it runs.
    ///
    /// # Errors
    /// Where what names a Redis names none.
    pub(crate) fn outfit(&self) -> Result<Outfit> {
        let workers = usize::from(self.workers);
        let zone = self.zone.clone().filter(|zone| !zone.is_empty());
        let redis =
            words::redis(self.redis.as_ref(), self.redis_ca.as_deref(), self.redis_timeout)?;
        Ok(Outfit {
            settings: Settings {
                workers,
                bind: self.bind,
                zone,
                redis,
                quotas: Some(self.state.join(words::QUOTAS)),
                ..Settings::default()
            },
            telemetry: telemetry::Settings {
                service: "heddle-mesh",
                workers,
                access_log: words::sink(&self.access_log),
                ..Default::default()
            },
            admin: self.admin.0,
            handover: self.handover.clone(),
            ticket_keys: None,
            // Applications reach it by the kernel's doing, and no balancer asks it.
            notice: Duration::ZERO,
            drain: Duration::from_secs(self.drain_timeout),
            decision_ratio: self.decision_ratio,
        })
    }

    /// As which node it joins.
    pub(crate) fn node(&self) -> Result<config::Settings> {
        let environment = std::env::var("HEDDLE_JOIN_TOKEN").ok().map(Hidden);
        let token = self.join.clone().or(environment);
        let token = token.map(|given| JoinToken::given(&given.0)).transpose()?;
        Ok(config::Settings {
            server: config::server(&self.server)?,
            folder: self.state.clone(),
            token,
            kind: "mesh".to_owned(),
            name: self.workload.to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workload_is_named_by_namespace_and_name() {
        assert_eq!(workload("shop/orders-1").unwrap().as_str(), "shop.orders-1");
        for odd in ["orders-1", "shop.orders-1", "shop/orders/1", "shop.x/orders", "Shop/orders"] {
            assert!(workload(odd).is_err(), "{odd}");
        }
    }
}
