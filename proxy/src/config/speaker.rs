//! As whom the proxy of a workload speaks in the mesh: by a certificate that the control plane signs
//! for that.
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
    let mut kept = ground.folder.spoken().unwrap_or_else(|error| {
        tracing::warn!("{error}; another certificate of the workload is asked for");
        None
    });
    // By what it speaks, and as whom.
    let mut shown: Option<(Peer, Spoken)> = None;
    loop {
        let Wanted { peer, trust, dialer } = wanted.borrow_and_update().clone();
        if shown.as_ref().map(|(peer, _)| peer) != peer.as_ref() {
            // Nothing is said any more as somebody whom it is not to be.
            ground.membership.clear();
            let kept = kept.take().zip(peer.clone());
            shown = kept.filter(|(kept, peer)| shows(&ground, kept, peer, &trust)).map(swap);
        }
        let next = async {
            match (&peer, &shown) {
                (None, _) => std::future::pending().await,
                (Some(_), None) => {}
                (Some(_), Some((_, spoken))) => {
                    if let Some(leaf) = leaf(spoken) {
                        until_due_of(&leaf).await;
                    }
                }
            }
            let peer = peer.clone()?;
            let spoken = ask(&ground, &dialer, &peer, &trust).await;
            Some((peer, spoken))
        };
        tokio::select! {
            next = next => shown = next.or(shown),
            changed = wanted.changed() => if changed.is_err() { return },
        }
    }
}

fn swap((spoken, peer): (Spoken, Peer)) -> (Peer, Spoken) {
    (peer, spoken)
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
