//! A request on a connection: one that is there, or else a new one.

use std::sync::Arc;

use http::Request;
use hyper::client::conn::{TrySendError, http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use model::service::AppProtocol;
use policy::Reason;
use tokio::time::Instant;

use super::{Answered, Idle, Lease, Shared, Slot, put};
use crate::body::Upload;
use crate::connect::{self, Hop, Preface};
use crate::cork::{Cork, Corks};
use crate::failure::Failure;
use crate::gather::Gather;
use crate::room::{Granted, Place};
use crate::settings::Limits;

/// The most bytes that one HTTP/1.1 connection buffers of its backend's answers, so also the bound
/// on an answer's head. A larger buffer saves system calls; hyper fits it to what comes.
const READ: usize = 128 << 10;

/// Sends what is in `slot` to an endpoint on a connection of the worker's and waits for the answer's
/// head; it is `now`. Where its service bears only so many connections what was `granted` is used, and nothing
/// else: had that ended, the request is to be granted something anew. A failure that leaves the request in the
/// slot had sent nothing.
pub(crate) async fn send(
    hop: Hop<'_>,
    limits: &Limits,
    now: Instant,
    slot: &mut Slot,
    granted: Option<Box<Granted>>,
) -> Result<Answered, Failure> {
    match hop.endpoint.protocol {
        AppProtocol::Http1 => send_http1(hop, limits, now, slot, granted).await,
        AppProtocol::H2c => send_http2(hop, limits, slot, granted).await,
        AppProtocol::Tcp | AppProtocol::Udp => Err(Failure::proxy(Reason::BackendProtocol)),
    }
}

/// Makes sure that the worker has a connection to the endpoint for who comes next, `now`.
pub(crate) async fn reach(hop: Hop<'_>, limits: &Limits, now: Instant) -> Result<(), Failure> {
    let Hop { endpoint, worker, .. } = hop;
    let pool = hop.pool();
    let opened = hop.opened();
    match endpoint.protocol {
        AppProtocol::Http1 => {
            let sender = match pool.take(&opened, now, limits.backend_idle) {
                Some(idle) => idle.sender,
                None => Box::pin(open_http1(hop, limits, endpoint.room.one_more())).await?,
            };
            put(endpoint, worker, Idle { sender, opened, since: Instant::now() });
        }
        AppProtocol::H2c if pool.usable(&opened).is_some() => {}
        AppProtocol::H2c => drop(Box::pin(open_http2(hop, limits, None)).await?),
        AppProtocol::Tcp | AppProtocol::Udp => return Err(Failure::proxy(Reason::BackendProtocol)),
    }
    Ok(())
}

async fn send_http1(
    hop: Hop<'_>,
    limits: &Limits,
    now: Instant,
    slot: &mut Slot,
    mut granted: Option<Box<Granted>>,
) -> Result<Answered, Failure> {
    let Hop { endpoint, worker, .. } = hop;
    let (age, is_bounded) = (hop.age(limits), granted.is_some());
    loop {
        let opened = hop.opened();
        let held = match granted.take() {
            // The place of what had ended is another's by now.
            None if is_bounded => return Err(Failure::ended()),
            None => hop.pool().take(&opened, now, age).ok_or(None),
            Some(granted) => match *granted {
                Granted::Idle(idle) => Ok(idle),
                Granted::Place(place) => Err(Some(place)),
                // It is for HTTP/2.
                Granted::Shared(_) => return Err(Failure::proxy(Reason::BackendProtocol)),
            },
        };
        let (mut sender, opened, reused) = match held {
            Ok(Idle { sender, opened, .. }) => (sender, opened, true),
            Err(place) => {
                let place = place.unwrap_or_else(|| endpoint.room.one_more());
                // Boxed, since most requests need none, and what opens one takes 5 KiB.
                (Box::pin(open_http1(hop, limits, place)).await?, opened, false)
            }
        };
        let request = slot.take().expect("whoever sends puts a request in");
        match sender.try_send_request(request).await {
            Ok(response) => {
                let lease = Lease { sender, opened, endpoint: Arc::clone(endpoint), worker };
                return Ok(Answered { response, lease: Some(lease) });
            }
            Err(unsent) => not_sent(unsent, reused, slot)?,
        }
    }
}

async fn open_http1(
    hop: Hop<'_>,
    limits: &Limits,
    place: Place,
) -> Result<http1::SendRequest<Upload>, Failure> {
    let stream = connect::to(hop, limits, Preface::default(), place).await?;
    let (sender, connection) = http1::Builder::new()
        .max_headers(limits.headers)
        .max_buf_size(READ)
        .handshake(TokioIo::new(Gather(stream)))
        .await
        .map_err(Failure::unreached)?;
    // Ends when its sender is dropped, at the latest with the worker's runtime.
    tokio::spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "connection to a backend ended");
        }
    });
    Ok(sender)
}

async fn send_http2(
    hop: Hop<'_>,
    limits: &Limits,
    slot: &mut Slot,
    mut granted: Option<Box<Granted>>,
) -> Result<Answered, Failure> {
    let is_bounded = granted.is_some();
    loop {
        let held = match granted.take() {
            // The place of what had ended is another's by now.
            None if is_bounded => return Err(Failure::ended()),
            None => hop.pool().usable(&hop.opened()).ok_or(None),
            Some(granted) => match *granted {
                Granted::Shared(shared) => Ok(shared),
                Granted::Place(place) => hop.pool().usable(&hop.opened()).ok_or(Some(place)),
                // It is for HTTP/1.1.
                Granted::Idle(_) => return Err(Failure::proxy(Reason::BackendProtocol)),
            },
        };
        let (shared, reused) = match held {
            Ok(shared) => (shared, true),
            Err(place) => {
                let opening = Box::pin(open_http2(hop, limits, place));
                let bound = hop.endpoint.room.opening(limits.connect);
                let opened = tokio::time::timeout(bound, opening).await;
                // Too late also for those who waited for another's attempt.
                opened.map_err(Failure::unreached)??
            }
        };
        let request = slot.take().expect("whoever sends puts a request in");
        match shared.1.clone().try_send_request(request).await {
            Ok(response) => return Ok(Answered { response, lease: None }),
            Err(unsent) => not_sent(unsent, reused, slot)?,
        }
    }
}

/// Opens the shared connection; of several who want it at once, one opens it.
async fn open_http2(
    hop: Hop<'_>,
    limits: &Limits,
    place: Option<Place>,
) -> Result<(Shared, bool), Failure> {
    let Hop { endpoint, worker, .. } = hop;
    let pool = hop.pool();
    let _alone = pool.alone().await;
    let opened = hop.opened();
    if let Some(shared) = pool.usable(&opened) {
        return Ok((shared, true));
    }
    let place = place.unwrap_or_else(|| endpoint.room.one_more());
    let cork = Cork::new(connect::to(hop, limits, Preface::default(), place).await?);
    let list = u32::try_from(limits.head_bytes).unwrap_or(u32::MAX);
    let (sender, connection) = http2::Builder::new(Corks(cork.clone()))
        .timer(TokioTimer::new())
        .max_header_list_size(list)
        .adaptive_window(true)
        .keep_alive_interval(limits.backend_idle)
        .keep_alive_timeout(limits.connect)
        .handshake(TokioIo::new(cork))
        .await
        .map_err(Failure::unreached)?;
    // Ends when its senders are dropped, at the latest with the worker's runtime.
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "connection to a backend ended");
        }
    });
    let shared = Arc::new((opened, sender));
    pool.share(&shared);
    if endpoint.is_gone() {
        pool.unshare();
    }
    endpoint.room.share(endpoint, worker, &shared);
    Ok((shared, false))
}

/// Puts a request that came back into `slot`, which tells that nothing was written. That is no
/// failure where the connection is `reused`: the backend had closed it meanwhile.
fn not_sent(
    mut unsent: TrySendError<Request<Upload>>,
    reused: bool,
    slot: &mut Slot,
) -> Result<(), Failure> {
    *slot = unsent.take_message();
    let error = unsent.into_error();
    if slot.is_some() {
        return if reused { Ok(()) } else { Err(Failure::unreached(error)) };
    }
    let is_parse = error.is_parse();
    let reason = if is_parse { Reason::UpstreamProtocol } else { Reason::UpstreamReset };
    Err(Failure::backend(reason).because(error))
}
