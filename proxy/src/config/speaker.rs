//! As whom this process speaks in the mesh: a gateway by its node's certificate, the proxy of a
//! workload by one that the control plane signs for that.
//!
//! ```text
//! table says as whom ──> kept on disk? ──no──> Speak ──> shown to other proxies ── at 2/3 ──> Speak ...
//! ```

use std::time::{Duration, SystemTime};

use model::identity::Peer;
use tokio::sync::watch;
use tokio::time::sleep;

use super::member::{Ground, until_due_of};
use crate::identity::{Certificate, Dialer, EnrollError, Spoken, again};
use crate::mesh::Papers;

/// The longest wait between two tries.
const TRYING: Duration = Duration::from_secs(10);

/// As whom to speak, and how to ask for it.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) peer: Option<Peer>,
    pub(super) trust: String,
    pub(super) dialer: Dialer,
}

/// Speaks as is wanted, until nobody can want anything any more.
pub(super) async fn run(ground: Ground, mut wanted: watch::Receiver<Wanted>) {
    let mut held = ground.folder.spoken().unwrap_or_else(|error| {
        tracing::warn!("{error}; another certificate of the workload is asked for");
        None
    });
    loop {
        let Wanted { peer, trust, dialer } = wanted.borrow_and_update().clone();
        let Some(peer) = peer else {
            ground.membership.clear();
            if wanted.changed().await.is_err() {
                return;
            }
            continue;
        };
        let spoken = held.take().filter(|held| shows(&ground, held, &peer, &trust));
        if spoken.is_none() {
            ground.membership.clear();
        }
        let next = async {
            if let Some(leaf) = spoken.as_ref().and_then(leaf) {
                until_due_of(&leaf).await;
            }
            ask(&ground, &dialer, &peer, &trust).await
        };
        held = tokio::select! {
            next = next => Some(next),
            changed = wanted.changed() => match changed {
                Ok(()) => spoken,
                Err(_) => return,
            },
        };
    }
}

/// Whether it is good for this, and then shown.
fn shows(ground: &Ground, spoken: &Spoken, peer: &Peer, trust: &str) -> bool {
    let Spoken { chain, roots } = spoken;
    leaf(spoken).is_some_and(|leaf| leaf.holds(SystemTime::now()))
        && ground.membership.show(&Papers { peer, trust, chain, roots }, &ground.key).is_ok()
}

/// Asks again and again, until it is told.
async fn ask(ground: &Ground, dialer: &Dialer, peer: &Peer, trust: &str) -> Spoken {
    let (mut failures, mut told) = (0, String::new());
    loop {
        let why = match try_ask(ground, dialer, peer, trust).await {
            Ok(spoken) => return spoken,
            Err(error) => error.to_string(),
        };
        if told != why {
            tracing::warn!("no certificate as {peer}: {why}; it is tried again");
            told = why;
        }
        failures += 1;
        sleep(again(failures, TRYING * 10, rand::random())).await;
    }
}

async fn try_ask(
    ground: &Ground,
    dialer: &Dialer,
    peer: &Peer,
    trust: &str,
) -> Result<Spoken, EnrollError> {
    let spoken = ground.asking(dialer).speak().await?;
    let Spoken { chain, roots } = &spoken;
    let shown = ground.membership.show(&Papers { peer, trust, chain, roots }, &ground.key);
    shown.map_err(|unfit| EnrollError::Unfit(unfit.to_string()))?;
    if let Err(error) = ground.folder.keep_spoken(&spoken) {
        tracing::error!("{error}; the certificate of the workload is lost if this process ends");
    }
    let uri = peer.uri(trust);
    tracing::info!(as_whom = uri, "speaks in the mesh");
    Ok(spoken)
}

fn leaf(spoken: &Spoken) -> Option<Certificate> {
    Certificate::read(spoken.chain.first()?).ok()
}
