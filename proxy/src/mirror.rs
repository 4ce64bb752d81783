//! Copies of requests for other backends: sent beside the request, never in its way.

use std::sync::Arc;

use http::Request;
use http::request::Parts;
use http_body_util::BodyExt as _;
use table::{Mirror, Rule, Target};
use tokio::sync::OwnedSemaphorePermit;

use crate::balance::{self, Turn};
use crate::body::{Upload, copy};
use crate::http::Conn;
use crate::live::{Live, Service};
use crate::pool;

/// Body chunks that a mirror may lag behind before it is given up.
const LAG: usize = 32;

/// Starts the rule's mirrors for a request whose head is `head`; each gets a copy of the body
/// through the sender that is returned for it. Over the worker's bound none is started.
pub(crate) fn start(
    conn: &Arc<Conn>,
    live: &Arc<Live>,
    rule: &Rule,
    head: &Parts,
    is_empty: bool,
    seed: u64,
) -> Vec<copy::Sender> {
    let mut copies = Vec::new();
    for (nth, mirror) in rule.mirrors.iter().enumerate() {
        if !drawn(mirror, seed.rotate_left(7 * nth as u32 + 13)) {
            continue;
        }
        let Target::Service(id) = mirror.target else { continue };
        let Ok(permit) = Arc::clone(&conn.shared.mirrors).try_acquire_owned() else { continue };
        let upload = if is_empty {
            Upload::Empty
        } else {
            let (sender, receiver) = copy::channel(LAG);
            copies.push(sender);
            Upload::Copy(receiver)
        };
        let request = Request::from_parts(head.clone(), upload);
        let service = Arc::clone(&live.services[id]);
        // Bounded by the permit and by the bounds on connecting and on a backend's head.
        tokio::spawn(send(Arc::clone(conn), service, request, seed, permit));
    }
    copies
}

fn drawn(mirror: &Mirror, random: u64) -> bool {
    let drawn = (u64::from(random as u32) * u64::from(mirror.denominator)) >> 32;
    drawn < u64::from(mirror.numerator)
}

/// Sends one copy and drops whatever comes back.
async fn send(
    conn: Arc<Conn>,
    service: Arc<Service>,
    request: Request<Upload>,
    seed: u64,
    _permit: OwnedSemaphorePermit,
) {
    let limits = &conn.shared.settings.limits;
    let now = balance::nanos(conn.shared.epoch, tokio::time::Instant::now());
    let Some(endpoint) = balance::pick(&service, &[], now, seed) else { return };
    let _turn = Turn::at(endpoint, conn.shared.epoch, tokio::time::Instant::now());
    let (head, upload) = request.into_parts();
    let request = crate::exchange::addressed(endpoint, head, upload);
    let sending = async {
        let answered = match pool::send(endpoint, conn.worker, limits, request).await {
            Ok(answered) => answered,
            Err((failure, _)) => return tracing::debug!(%failure, "mirror failed"),
        };
        let mut body = answered.response.into_body();
        while let Some(Ok(_)) = body.frame().await {}
        if let Some(lease) = answered.lease {
            lease.end();
        }
    };
    if tokio::time::timeout(limits.backend_head, sending).await.is_err() {
        tracing::debug!(service = %service.label, "mirror gave no answer in time");
    }
}
