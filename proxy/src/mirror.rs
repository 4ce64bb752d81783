//! Copies of requests for other backends: sent beside the request, never in its way.

use std::sync::Arc;

use http::Request;
use http::header::UPGRADE;
use http::request::Parts;
use http_body_util::BodyExt as _;
use table::{Listener, Mirror, Target};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use crate::attempts::{address, is_limited};
use crate::balance::ring::mix;
use crate::balance::{self, Draw, Sending, Turn};
use crate::body::{Upload, copy};
use crate::connect::Hop;
use crate::failure::Retry;
use crate::http::Conn;
use crate::live::{Live, Service};
use crate::pool;
use crate::room::{Takes, Wish};
use crate::tls::backend::Face;
use crate::worker::Shared;

/// Body chunks that a mirror may lag behind before it is given up.
const LAG: usize = 32;

/// Where copies come from.
#[derive(Clone, Copy)]
pub(crate) struct From<'a> {
    pub(crate) conn: &'a Arc<Conn>,
    pub(crate) live: &'a Arc<Live>,
    pub(crate) listener: &'a Listener,
}

/// Starts these mirrors for a request whose head is `head`; each gets a copy of the body
/// through the sender that is returned for it. None is started over the bounds of its service and
/// of the process, and none for an upgrade, whose answer nobody would speak to.
pub(crate) fn start<'a>(
    from: From<'_>,
    mirrors: impl Iterator<Item = &'a Mirror>,
    head: &Parts,
    is_empty: bool,
    seed: u64,
) -> Vec<copy::Sender> {
    let From { conn, live, listener } = from;
    let mut copies = Vec::new();
    let mut drawn = drawn(mirrors, seed).peekable();
    if drawn.peek().is_none() || head.headers.contains_key(UPGRADE) {
        return copies;
    }
    for (mirror, random) in drawn {
        let Target::Service(id) = mirror.target else { continue };
        let service = &live.services[id];
        let face = match live.face(service, listener) {
            Ok(face) => face,
            Err(failure) => {
                tracing::debug!(%failure, "a mirror is closed");
                continue;
            }
        };
        let Some(permits) = permits(conn, service) else {
            conn.shared.telemetry.mirror_left_out();
            continue;
        };
        let upload = if is_empty {
            Upload::Empty
        } else {
            let (sender, receiver) = copy::channel(LAG);
            copies.push(sender);
            Upload::Copy(receiver)
        };
        let request = Request::from_parts(head.clone(), upload);
        let service = (Arc::clone(service), face);
        // Bounded by the permits and by the bounds on connecting and on a backend's head.
        let (shared, worker) = (Arc::clone(&conn.shared), conn.worker);
        // The connection may be over before the copy is.
        tokio::spawn(send(shared, worker, service, request, random, permits));
    }
    copies
}

type Permits = (OwnedSemaphorePermit, OwnedSemaphorePermit);

/// Room for one more copy to `service`, in its own bound and in that of the process.
fn permits(conn: &Conn, service: &Service) -> Option<Permits> {
    let own = Arc::clone(&service.mirrors).try_acquire_owned().ok()?;
    Some((own, Arc::clone(&conn.shared.mirrors).try_acquire_owned().ok()?))
}

/// Those that get a copy of the request of this seed, each by its own share whoever else does, and what
/// draws their endpoints, whatever the share is.
fn drawn<'a>(
    mirrors: impl Iterator<Item = &'a Mirror>,
    seed: u64,
) -> impl Iterator<Item = (&'a Mirror, u64)> {
    let each = mirrors.zip(1..).map(move |(mirror, nth)| (mirror, mix(seed.wrapping_add(nth))));
    let chosen = each.filter(|(mirror, random)| {
        let place = ((random >> 32) * u64::from(mirror.denominator)) >> 32;
        place < u64::from(mirror.numerator)
    });
    chosen.map(|(mirror, random)| (mirror, mix(random)))
}

/// Sends one copy and drops whatever comes back.
async fn send(
    shared: Arc<Shared>,
    worker: usize,
    (service, face): (Arc<Service>, Face),
    mut request: Request<Upload>,
    random: u64,
    _permits: Permits,
) {
    let limits = &shared.settings.limits;
    let now = Instant::now();
    let draw = Draw { now: balance::nanos(shared.epoch, now), random, key: None };
    let Some(endpoint) = balance::pick(&service, &[], false, draw) else { return };
    let hop = Hop { endpoint, worker, face: &face };
    let mut granted = None;
    if service.is_bounded() {
        // A copy waits for no connection, and nobody closes one for it.
        let Some((_, got)) = Wish { hop, takes: Takes::Here, tried: &[] }.at_once(limits, now)
        else {
            return shared.telemetry.mirror_left_out();
        };
        granted = Some(Box::new(got));
    }
    let mut turn = Turn::at(endpoint, shared.epoch, now);
    let is_empty = matches!(request.body(), Upload::Empty);
    if !is_empty {
        // How long the client takes for its body, a copy does not know.
        turn.takes(Sending::Untold);
    }
    address(endpoint, &mut request);
    let mut slot = Some(request);
    let sending = async {
        let mut answered = match pool::send(hop, limits, now, &mut slot, granted).await {
            Ok(answered) => answered,
            Err(failure) => {
                match failure.retry {
                    Retry::Elsewhere => turn.unreached(&failure),
                    Retry::Anew => {
                        turn.blameless();
                        return shared.telemetry.mirror_left_out();
                    }
                    Retry::Never => {}
                }
                return tracing::debug!(%failure, "mirror failed");
            }
        };
        let (answered_at, said) = (Instant::now(), service.said(&answered.response, false));
        if is_limited(endpoint, &mut answered) {
            turn.blameless();
        } else {
            if is_empty {
                turn.answered(answered_at, said);
            } else {
                turn.reached(answered_at, said);
            }
            let began = draw.now;
            service.judge(endpoint, said, (began, balance::nanos(shared.epoch, answered_at)));
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_mirror_gets_its_share_whatever_others_and_backends_get() {
        const REQUESTS: u32 = 40_000;
        let target = Target::Broken(policy::Reason::NoBackend);
        let tenth = Mirror { target, numerator: 1, denominator: 10 };
        let mirrors = vec![tenth; 16];
        // By 17 bits: one for each mirror, and one for the half of the requests that a backend draws.
        let mut both = [[0; 17]; 17];
        for seed in (0..u64::from(REQUESTS)).map(mix) {
            let given = drawn(mirrors.iter(), seed).map(|(mirror, _)| {
                mirrors.iter().position(|one| std::ptr::eq(one, mirror)).unwrap()
            });
            let given: Vec<_> = given.chain((seed as u32 >> 31 == 1).then_some(16)).collect();
            for (one, other) in given.iter().flat_map(|one| given.iter().map(move |it| (*one, *it)))
            {
                both[one][other] += 1;
            }
        }
        let share = |of: usize| if of == 16 { 0.5 } else { 0.1 };
        for (one, other) in (0..17).flat_map(|one| (0..17).map(move |other| (one, other))) {
            let expected = if one == other { share(one) } else { share(one) * share(other) };
            let found = f64::from(both[one][other]) / f64::from(REQUESTS);
            assert!(
                (found / expected - 1.0).abs() < 0.25,
                "{one} and {other}: {found}, not {expected}"
            );
        }
    }
}
