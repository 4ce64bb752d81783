//! Whether the application beside this proxy answers at its ports, as the server is told.
//!
//! A connection is opened and closed again: nothing is sent, and what the application makes of it is
//! its own. Only a port at which nobody answered twice in a row is told of.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use model::{Key, Resource};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{interval, timeout};

use super::status::Status;

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(2);
/// How long an application may take to accept a connection.
const PATIENCE: Duration = Duration::from_secs(1);

/// Looks for as long as somebody listens to what it tells: the ports of the Workload `own`, as it is in
/// force, at which nobody answers.
pub(super) async fn run(own: Key, status: Arc<Status>, told: watch::Sender<BTreeSet<u16>>) {
    let (mut beat, mut before) = (interval(PAUSE), BTreeSet::new());
    while !told.is_closed() {
        beat.tick().await;
        let silent = silent(&status, &own).await;
        let lasting: BTreeSet<_> = silent.intersection(&before).copied().collect();
        told.send_if_modified(|last| {
            let is_news = *last != lasting;
            *last = lasting;
            is_news
        });
        before = silent;
    }
}

async fn silent(status: &Status, own: &Key) -> BTreeSet<u16> {
    let Some(Resource::Workload(workload)) = status.resource(own) else { return BTreeSet::new() };
    let mut silent = BTreeSet::new();
    for port in &workload.spec.ports {
        // Where its proxy reaches it.
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port.port));
        if !matches!(timeout(PATIENCE, TcpStream::connect(address)).await, Ok(Ok(_))) {
            silent.insert(port.port);
        }
    }
    silent
}
