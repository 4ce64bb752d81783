//! As whom the proxy of a workload speaks in the mesh: by a certificate that the control plane signs
//! for that.
//!
//! ```text
//! table says as whom ──> kept on disk? ──no──> Speak ──> shown to other proxies ── at 2/3 ──> Speak ...
//! ```

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use model::identity::Peer;
use tokio::sync::watch;
use tokio::time::sleep;

use super::member::{Ground, until_due_of};
use crate::identity::{Certificate, Dialer, EnrollError, Fingerprint, Spoken, above, again};
use crate::mesh::Papers;

/// The longest wait between two tries.
const TRYING: Duration = Duration::from_secs(10);

/// As whom to speak, and how to ask for it.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) peer: Option<Peer>,
    pub(super) trust: String,
    /// The roots above all proxies, DER; the one that signs is the first.
    pub(super) roots: Arc<[Vec<u8>]>,
    /// Within which time a certificate under another root than the first is followed.
    pub(super) spread: Duration,
    pub(super) dialer: Dialer,
}

/// By what it speaks, as whom, and under which roots others do.
struct Voice {
    peer: Peer,
    spoken: Spoken,
    roots: Arc<[Vec<u8>]>,
}

/// Speaks as is wanted, until nobody can want anything any more; the issuer's certificate of what it
/// speaks by goes to `told`.
pub(super) async fn run(
    ground: Ground,
    mut wanted: watch::Receiver<Wanted>,
    told: watch::Sender<Option<Vec<u8>>>,
) {
    let mut kept = ground.folder.spoken().unwrap_or_else(|error| {
        tracing::warn!("{error}; another certificate of the workload is asked for");
        None
    });
    let mut shown: Option<Voice> = None;
    loop {
        let now = wanted.borrow_and_update().clone();
        let peer = &now.peer;
        match shown.take() {
            // What was kept waits until it is said as whom to speak.
            None if peer.is_none() => {}
            Some(voice) if Some(&voice.peer) == peer.as_ref() => {
                let Voice { peer, spoken, roots } = voice;
                let is_good = roots == now.roots || shows(&ground, &spoken, &peer, &now);
                shown = is_good.then(|| Voice { peer, spoken, roots: Arc::clone(&now.roots) });
            }
            _ => {
                // Nothing is said any more as somebody whom it is not to be.
                ground.membership.clear();
                let kept = kept.take().zip(peer.clone());
                let kept = kept.filter(|(kept, peer)| shows(&ground, kept, peer, &now));
                let roots = Arc::clone(&now.roots);
                shown = kept.map(|(spoken, peer)| Voice { peer, spoken, roots });
            }
        }
        tell(&told, shown.as_ref().map(|voice| &voice.spoken));
        let next = async {
            match (peer, &shown) {
                (None, _) => std::future::pending().await,
                (Some(_), None) => {}
                (Some(_), Some(voice)) => until_due(voice, now.spread).await,
            }
            let peer = peer.clone()?;
            let spoken = ask(&ground, &peer, &now).await;
            Some(Voice { peer, spoken, roots: Arc::clone(&now.roots) })
        };
        tokio::select! {
            next = next => shown = next.or(shown),
            changed = wanted.changed() => if changed.is_err() { return },
        }
    }
}

/// Tells by what it speaks, if that is news.
fn tell(told: &watch::Sender<Option<Vec<u8>>>, spoken: Option<&Spoken>) {
    let issuer = spoken.map(|spoken| spoken.chain.get(1).cloned().unwrap_or_default());
    told.send_if_modified(|last| {
        let is_news = *last != issuer;
        *last = issuer;
        is_news
    });
}

/// Waits until a certificate is to be followed: towards its end, or soon where another root signs.
async fn until_due(Voice { spoken, roots, .. }: &Voice, spread: Duration) {
    let issuer = spoken.chain.get(1).map(Vec::as_slice).unwrap_or_default();
    if above(issuer, roots) != roots.first().map(|root| Fingerprint::of(root)) {
        return sleep(spread.mul_f64(rand::random())).await;
    }
    if let Some(leaf) = leaf(spoken) {
        until_due_of(&leaf).await;
    }
}

/// Whether it is good for this, and then shown.
fn shows(ground: &Ground, spoken: &Spoken, peer: &Peer, wanted: &Wanted) -> bool {
    leaf(spoken).is_some_and(|leaf| leaf.holds(SystemTime::now()))
        && ground.membership.show(&papers(spoken, peer, wanted), &ground.key).is_ok()
}

fn papers<'p>(spoken: &'p Spoken, peer: &'p Peer, wanted: &'p Wanted) -> Papers<'p> {
    Papers { peer, trust: &wanted.trust, chain: &spoken.chain, roots: &wanted.roots }
}

/// Asks again and again, until it is told.
async fn ask(ground: &Ground, peer: &Peer, wanted: &Wanted) -> Spoken {
    let (mut failures, mut told) = (0, String::new());
    loop {
        let why = match try_ask(ground, peer, wanted).await {
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

async fn try_ask(ground: &Ground, peer: &Peer, wanted: &Wanted) -> Result<Spoken, EnrollError> {
    let spoken = ground.asking(&wanted.dialer).speak().await?;
    let shown = ground.membership.show(&papers(&spoken, peer, wanted), &ground.key);
    shown.map_err(|unfit| EnrollError::Unfit(unfit.to_string()))?;
    if let Err(error) = ground.folder.keep_spoken(&spoken) {
        tracing::error!("{error}; the certificate of the workload is lost if this process ends");
    }
    let uri = peer.uri(&wanted.trust);
    tracing::info!(as_whom = uri, "speaks in the mesh");
    Ok(spoken)
}

fn leaf(spoken: &Spoken) -> Option<Certificate> {
    Certificate::read(spoken.chain.first()?).ok()
}
