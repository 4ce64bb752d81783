//! The port for nodes, beside the one for people.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;
use control::ca::Ca;
use control::fleet::Fleet;
use control::grpc::Nodes;
use control::seeing::Window;
use control::{App, Clock, Reach};
use ipnet::IpNet;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

/// What nodes need of the server.
#[derive(Debug, Args)]
pub(crate) struct ForNodes {
    /// Where to listen for nodes, which come by TLS; port 0 picks a free one, which the log names.
    #[arg(long, default_value = "127.0.0.1:7081", value_name = "ADDRESS")]
    config_listen: SocketAddr,
    /// What the trust domains of all clusters end in: names of nodes lie under CLUSTER.TRUST. It is
    /// for good: certificates that were given out say it.
    #[arg(long, default_value = "heddle.internal", value_name = "NAME")]
    trust: String,
    /// How long certificates of nodes last, such as 24h, 90m or 60s; nodes renew them in time.
    #[arg(long, default_value = "24h", value_name = "TIME", value_parser = lasting)]
    certificate_ttl: Duration,
    /// How long what nodes tell of requests is kept, such as 24h, 90m or 60s.
    #[arg(long, default_value = "24h", value_name = "TIME", value_parser = lasting)]
    decisions_for: Duration,
    /// How many bytes of what nodes tell of requests are kept; the oldest go first.
    #[arg(long, default_value_t = Window::default().bytes, value_name = "BYTES")]
    decisions_bytes: u64,
    /// Addresses beside the public ones where keys of issuers may be fetched, such as 10.1.0.0/16 or
    /// 10.1.2.3/32; may be given again.
    ///
    /// An AuthnPolicy names by `jwksUrl` where that is. Whoever may write one reaches through the server what
    /// is listed here.
    #[arg(long = "fetch-from", value_name = "NETWORK")]
    fetch_from: Vec<IpNet>,
}

/// The flags, as clap names them.
pub(crate) const FLAGS: [&str; 6] =
    ["config_listen", "trust", "certificate_ttl", "decisions_for", "decisions_bytes", "fetch_from"];

/// The port, bound.
pub(crate) struct Port {
    nodes: Arc<Nodes>,
    threads: Threads,
    listener: TcpListener,
    address: SocketAddr,
}

/// Binds the port, and makes the root if there is none, so that join tokens can name it.
pub(crate) async fn open(args: &ForNodes, app: &Arc<App>) -> Result<Port> {
    let clock = Clock::system();
    let lasts = args.certificate_ttl.try_into().context("the time that certificates last")?;
    let ca = Ca::open(app.store().clone(), &args.trust, lasts, clock.now()).await;
    let ca = Arc::new(ca.context("opening the authority of nodes")?);
    let fleet = Arc::new(Fleet::new(app.store().clone(), clock.clone()));
    app.attend(Arc::clone(&fleet));
    app.certify(lasts);
    let window = Window { lasts: args.decisions_for, bytes: args.decisions_bytes };
    let reach = Reach::new(args.fetch_from.clone());
    let nodes = Nodes::new(Arc::clone(app), Arc::clone(&ca), fleet, clock, window, reach).await?;
    let listener = TcpListener::bind(args.config_listen)
        .await
        .with_context(|| format!("listening for nodes on {}", args.config_listen))?;
    let (address, print) = (listener.local_addr()?, ca.fingerprint());
    tracing::info!("listening for nodes on https://{address}, under the root {print}");
    Ok(Port { nodes: Arc::new(nodes), threads: Threads::start()?, listener, address })
}

/// Threads for nodes alone. A change wakes the streams of all nodes at once, and among so many tasks of one
/// runtime what people ask would wait for its turn; between threads the kernel shares the processors.
struct Threads(Option<Runtime>);

impl Threads {
    fn start() -> Result<Self> {
        let threads = Builder::new_multi_thread().thread_name("nodes").enable_all().build();
        Ok(Threads(Some(threads.context("starting the threads for nodes")?)))
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        // A runtime that is dropped waits for its threads, which nobody may do who is a task.
        if let Some(threads) = self.0.take() {
            threads.shutdown_background();
        }
    }
}

impl Port {
    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` says true, then ends all streams.
    pub(crate) async fn serve(self, stop: watch::Receiver<bool>) {
        let Some(threads) = &self.threads.0 else { return };
        if let Err(error) = threads.spawn(self.nodes.serve(self.listener, stop)).await {
            tracing::error!(%error, "the port for nodes ended");
        }
    }
}

/// A length of time of one number and unit, between ten seconds and a year.
fn lasting(word: &str) -> Result<Duration, String> {
    let wrong = || format!("'{word}' is no time between 10s and 8760h, such as 24h, 90m or 60s");
    let (number, unit) = word.split_at_checked(word.len().saturating_sub(1)).ok_or_else(wrong)?;
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err(wrong()),
    };
    let seconds = number.parse::<u32>().ok().and_then(|number| number.checked_mul(unit));
    let seconds = seconds.filter(|seconds| (10..=8760 * 3600).contains(seconds));
    seconds.map(|seconds| Duration::from_secs(seconds.into())).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_number_and_a_unit() {
        assert_eq!(lasting("24h"), Ok(Duration::from_secs(86_400)));
        assert_eq!(lasting("60s"), Ok(Duration::from_secs(60)));
        for wrong in ["", "h", "24", "9s", "1d", "8761h", "-1h", "1.5h", "5000000000s", "1µ"] {
            assert!(lasting(wrong).is_err(), "{wrong}");
        }
    }
}
