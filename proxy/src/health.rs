//! Endpoints are asked whether they are well, where a TrafficPolicy says so.
//!
//! Each is asked once for the whole process, whatever the number of workers and routes, and of protocols by
//! which these reach it: by a task that lives as long as a table in force wants it, and tells what it learns
//! to the endpoint's [`Load`].
//! An endpoint is taken to be well until it was asked.
//!
//! One that is reached through a proxy is not asked: that proxy would be, which says nothing of the
//! application.
//!
//! [`Load`]: crate::balance::Load

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, TE, USER_AGENT};
use http::{HeaderValue, Method, Request, Response, Version};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use model::service::AppProtocol;
use model::traffic::{HealthCheck, HealthCheckType, TrafficPolicy};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::balance::{nanos, ring};
use crate::connect::{self, Stream};
use crate::grpc::Code;
use crate::live::{Endpoint, Live};
use crate::proxy_protocol;
use crate::tls::backend::Face;
use crate::worker::Shared;

const AGENT: HeaderValue = HeaderValue::from_static("heddle-health-check");
/// The most bytes of an answer that are read.
const LONGEST: usize = 64 << 10;
/// `HealthCheckResponse.ServingStatus.SERVING`, as protobuf writes it in field 1.
const SERVING: [u8; 2] = [0x08, 0x01];

/// Follows the tables in force for as long as it is polled.
pub(crate) async fn follow(shared: Arc<Shared>) {
    let mut changes = shared.changes.subscribe();
    let mut asked = Vec::<Asking>::new();
    loop {
        asked = reconcile(&shared, &shared.live.load(), asked);
        if changes.changed().await.is_err() {
            return;
        }
    }
}

/// An endpoint that is being asked.
#[derive(Debug)]
struct Asking {
    endpoint: Arc<Endpoint>,
    policy: Arc<TrafficPolicy>,
    face: Face,
    task: JoinHandle<()>,
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Asks those that `live` wants asked, and no others; who is asked already goes on to be.
fn reconcile(shared: &Arc<Shared>, live: &Live, mut before: Vec<Asking>) -> Vec<Asking> {
    let mut after = Vec::new();
    let mut asked = HashSet::new();
    // Where routes reach a port by several protocols, it is asked by the plainest.
    let (plain, others): (Vec<_>, Vec<_>) =
        live.services.iter().partition(|service| service.protocol == AppProtocol::Http1);
    for service in plain.into_iter().chain(others) {
        let Some(policy) = &service.traffic else { continue };
        let Some(check) = &policy.spec.health_check else { continue };
        // Where nothing is sent, nobody asks.
        let Ok(face) = live.usual_face(service) else { continue };
        // At a port of UDP nobody answers: it is another one that is asked.
        if service.protocol == AppProtocol::Udp && check.port.is_none() {
            continue;
        }
        let straight = service.endpoints.iter().filter(|endpoint| endpoint.way.is_none());
        for endpoint in straight {
            if !asked.insert(Arc::as_ptr(&endpoint.load)) {
                continue;
            }
            let is_same = |one: &Asking| {
                Arc::ptr_eq(&one.endpoint, endpoint)
                    && one.face.is(&face)
                    && one.policy.spec.health_check.as_ref() == Some(check)
                    && one.policy.spec.proxy_protocol == policy.spec.proxy_protocol
            };
            let kept = before.iter().position(is_same).map(|at| before.swap_remove(at));
            after.push(kept.unwrap_or_else(|| ask(shared, endpoint, policy, (check, &face))));
        }
    }
    for gone in before {
        // Whoever is not asked any more is well as far as anybody knows.
        if !asked.contains(&Arc::as_ptr(&gone.endpoint.load)) {
            gone.endpoint.load.checked(true, nanos(shared.epoch, Instant::now()));
        }
    }
    after
}

fn ask(
    shared: &Arc<Shared>,
    endpoint: &Arc<Endpoint>,
    policy: &Arc<TrafficPolicy>,
    (check, face): (&HealthCheck, &Face),
) -> Asking {
    // At another port nobody was said to want it.
    let first = policy.spec.proxy_protocol.filter(|_| check.port.is_none());
    let first = first.map(proxy_protocol::header_of_own).unwrap_or_default();
    let ways = (face.clone(), first);
    let task = asks(shared.epoch, Arc::clone(endpoint), check.clone(), ways);
    let (endpoint, policy, task) = (Arc::clone(endpoint), Arc::clone(policy), tokio::spawn(task));
    Asking { endpoint, policy, face: face.clone(), task }
}

/// Asks an endpoint again and again, as `face` and with these bytes first.
async fn asks(
    epoch: Instant,
    endpoint: Arc<Endpoint>,
    check: HealthCheck,
    (face, first): (Face, Vec<u8>),
) {
    let port = check.port.unwrap_or(endpoint.address.port());
    let address = SocketAddr::new(endpoint.address.ip(), port);
    let at = At { address, endpoint: &endpoint, face: &face, first: &first };
    let service = &endpoint.service;
    let mut row = Row::default();
    let mut chance = ring::hash(address.to_string().as_bytes());
    loop {
        let asked = in_time(&check, once(at, &check)).await;
        if row.turns(asked.is_ok(), endpoint.load.is_ailing(), &check) {
            endpoint.load.checked(asked.is_ok(), nanos(epoch, Instant::now()));
            match &asked {
                Ok(()) => tracing::info!(%service, %address, "an endpoint is well"),
                Err(why) => {
                    tracing::warn!(%service, %address, %why, "an endpoint is not well");
                    endpoint.load.fails_checks(why);
                }
            }
        }
        chance = ring::hash(&chance.to_be_bytes());
        tokio::time::sleep(next(check.interval(), chance)).await;
    }
}

/// How many answers in a row contradict what is thought of an endpoint.
#[derive(Debug, Default)]
struct Row(u32);

impl Row {
    /// Whether another answer changes what is thought: what contradicts it has to be seen so many times.
    fn turns(&mut self, is_well: bool, is_ailing: bool, check: &HealthCheck) -> bool {
        self.0 = if is_well == is_ailing { self.0 + 1 } else { 0 };
        let wanted = if is_ailing { check.healthy_after } else { check.unhealthy_after };
        let turns = self.0 >= wanted;
        if turns {
            self.0 = 0;
        }
        turns
    }
}

/// What is asked, for no longer than an answer may take.
async fn in_time(
    check: &HealthCheck,
    asked: impl Future<Output = Result<(), Why>>,
) -> Result<(), Why> {
    let asked = tokio::time::timeout(check.timeout(), asked).await;
    asked.unwrap_or_else(|_| Err("no answer in time".into()))
}

/// A tenth more or less, so that not all are asked at once.
fn next(interval: Duration, chance: u64) -> Duration {
    interval.mul_f64(0.9 + 0.2 * f64::from(chance as u32) / f64::from(u32::MAX))
}

type Why = Box<dyn std::error::Error + Send + Sync>;

/// Who is asked, and by whom.
#[derive(Debug, Clone, Copy)]
struct At<'a> {
    address: SocketAddr,
    endpoint: &'a Endpoint,
    face: &'a Face,
    /// What a connection begins with.
    first: &'a [u8],
}

impl At<'_> {
    /// A connection to it, as requests would get it.
    async fn connect(self, check: &HealthCheck) -> Result<Stream, Why> {
        let At { address, endpoint, face, first } = self;
        let opened = connect::at(address, endpoint, face, check.timeout(), first).await;
        opened.map_err(|failure| failure.to_string().into())
    }

    /// How HTTP/2 names what is asked for.
    fn scheme(self) -> &'static str {
        if self.endpoint.is_tls() { "https" } else { "http" }
    }
}

/// Asks once; an error says what is wrong.
async fn once(at: At<'_>, check: &HealthCheck) -> Result<(), Why> {
    match check.kind {
        HealthCheckType::Tcp => at.connect(check).await.map(drop),
        HealthCheckType::Http => by_http(at, check).await,
        HealthCheckType::Grpc => by_grpc(at, check).await,
    }
}

async fn by_http(at: At<'_>, check: &HealthCheck) -> Result<(), Why> {
    let path = check.path.as_deref().unwrap_or("/");
    let host = check.host.as_ref().map_or_else(|| at.address.to_string(), ToString::to_string);
    let request = Request::builder().method(Method::GET).header(USER_AGENT, AGENT);
    let answer = match at.endpoint.protocol {
        AppProtocol::Http1 | AppProtocol::Tcp | AppProtocol::Udp => {
            let request = request.uri(path).header(HOST, host).body(Full::default())?;
            over_http1(at, check, request).await?
        }
        AppProtocol::H2c => {
            let uri = format!("{}://{host}{path}", at.scheme());
            let request = request.version(Version::HTTP_2).uri(uri);
            over_http2(at, check, request.body(Full::default())?).await?
        }
    };
    let status = answer.status();
    if check.is_well(status.as_u16()) { Ok(()) } else { Err(format!("it answers {status}").into()) }
}

async fn by_grpc(at: At<'_>, check: &HealthCheck) -> Result<(), Why> {
    let host = check.host.as_ref().map_or_else(|| at.address.to_string(), ToString::to_string);
    let request = Request::builder()
        .method(Method::POST)
        .version(Version::HTTP_2)
        .uri(format!("{}://{host}/grpc.health.v1.Health/Check", at.scheme()))
        .header(CONTENT_TYPE, "application/grpc")
        .header(TE, "trailers")
        .header(USER_AGENT, AGENT)
        .body(Full::new(question(check.service.as_deref().unwrap_or_default())))?;
    let answer = over_http2(at, check, request).await?;
    let (head, body) = answer.into_parts();
    let body = Limited::new(body, LONGEST).collect().await?;
    let code = body.trailers().and_then(Code::of).or(Code::of(&head.headers));
    if code != Some(Code::OK) {
        let code = code.map_or("nothing", Code::as_str);
        return Err(format!("it answers {code}").into());
    }
    // Five bytes of the message's frame, and what it says.
    match body.to_bytes().get(5..) {
        Some(says) if says.starts_with(&SERVING) => Ok(()),
        Some(_) | None => Err("it says that it does not serve".into()),
    }
}

/// A `HealthCheckRequest` in its frame (gRPC over HTTP/2, "Length-Prefixed-Message").
fn question(service: &str) -> Bytes {
    let mut message = Vec::new();
    if !service.is_empty() {
        // Field 1, with its length in groups of seven bits.
        message.push(0x0A);
        let mut length = service.len();
        while length >= 0x80 {
            message.push(length as u8 | 0x80);
            length >>= 7;
        }
        message.push(length as u8);
        message.extend_from_slice(service.as_bytes());
    }
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes();
    let frame = [&[0], &length[..], &message];
    frame.concat().into()
}

async fn over_http1(
    at: At<'_>,
    check: &HealthCheck,
    request: Request<Full<Bytes>>,
) -> Result<Response<Incoming>, Why> {
    let stream = at.connect(check).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let _connection = Ending(tokio::spawn(async move { drop(connection.await) }));
    Ok(sender.send_request(request).await?)
}

async fn over_http2(
    at: At<'_>,
    check: &HealthCheck,
    request: Request<Full<Bytes>>,
) -> Result<Response<Incoming>, Why> {
    let stream = at.connect(check).await?;
    let (mut sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
    // Ends once the answer was read and the sender is gone.
    tokio::spawn(async move { drop(connection.await) });
    Ok(sender.send_request(request).await?)
}

/// A connection that ends with whoever holds this.
#[derive(Debug)]
struct Ending(JoinHandle<()>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests;
