//! Callers that do not stop while the ground is moved.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use e2e::Connection;
use e2e::client::{is_unheard, nothing, request};
use http::Request;
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::plan::{ROUTES, SECURE_HOST, mix};
use crate::verdict::Judge;

/// How a caller calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One connection of HTTP/1.1.
    H1,
    /// One connection of HTTP/2, some requests at once.
    H2c,
    /// HTTP/1.1 over TLS, a new connection now and then.
    HttpsH1,
    /// HTTP/2 over TLS, a new connection now and then.
    HttpsH2,
}

impl Kind {
    /// How many requests it sends at once.
    pub(crate) fn at_once(self) -> u32 {
        if self.is_http2() { STREAMS } else { 1 }
    }

    fn is_http2(self) -> bool {
        matches!(self, Kind::H2c | Kind::HttpsH2)
    }
}

/// Requests (or bursts of them) on an HTTPS connection before the next handshake.
const BEFORE_NEXT_HANDSHAKE: u32 = 20;
/// Requests at once on an HTTP/2 connection.
const STREAMS: u32 = 8;

/// Calls every so often, until the judge stops it.
pub(crate) async fn call(
    caller: usize,
    kind: Kind,
    (web, tls): (SocketAddr, SocketAddr),
    every: Duration,
    judge: Arc<Judge>,
) {
    let mut chance = mix(caller as u64);
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !judge.is_stopped() {
        let since = judge.in_force();
        let connected = match kind {
            Kind::H1 => Connection::h1(web).await,
            Kind::H2c => Connection::h2c(web).await,
            Kind::HttpsH1 => {
                Connection::tls(tls, SECURE_HOST, &judge.authority, &["http/1.1"]).await
            }
            Kind::HttpsH2 => Connection::tls(tls, SECURE_HOST, &judge.authority, &["h2"]).await,
        };
        let connection = match connected {
            Ok(connection) => connection,
            Err(error) => {
                judge.fail(&format!("{kind:?} connect: {error}"));
                continue;
            }
        };
        let secure = matches!(kind, Kind::HttpsH1 | Kind::HttpsH2);
        if secure {
            judge.handshake(since, connection.certificate.as_ref());
        }
        let bound = if secure { BEFORE_NEXT_HANDSHAKE } else { u32::MAX };
        let mut pace = Pace { chance: &mut chance, ticks: &mut ticks };
        talk(caller, kind, connection, bound, &mut pace, &judge).await;
    }
}

/// What is asked for next, and when.
struct Pace<'a> {
    chance: &'a mut u64,
    ticks: &'a mut Interval,
}

/// Sends up to `bound` requests on one connection.
async fn talk(
    caller: usize,
    kind: Kind,
    mut connection: Connection,
    bound: u32,
    pace: &mut Pace<'_>,
    judge: &Judge,
) {
    // A connection stays at its worker, whose table only gets newer.
    let (mut sent, mut newest) = (0, 0);
    // An error before anything was sent means that the gateway has said good-bye: no loss.
    while sent < bound && !judge.is_stopped() {
        pace.ticks.tick().await;
        if !connection.ready().await {
            return;
        }
        let chance = &mut *pace.chance;
        let since = judge.in_force().max(newest);
        let versions = if kind.is_http2() {
            burst(&connection, since, chance, judge).await
        } else {
            let (route, asked) = next(chance);
            match connection.send(asked).await {
                Ok(reply) => judge.answer(route, since, &reply).into_iter().collect(),
                Err(error) => {
                    judge.fail(&format!("{kind:?} /r{route}: {error}"));
                    return;
                }
            }
        };
        if let Some(oldest) = versions.iter().min() {
            judge.saw(caller, *oldest);
        }
        newest = versions.into_iter().max().unwrap_or(newest);
        sent += 1;
    }
}

/// Some requests at once; the versions of the right answers.
async fn burst(connection: &Connection, since: u64, chance: &mut u64, judge: &Judge) -> Vec<u64> {
    let begun: Vec<_> = (0..STREAMS)
        .map(|_| {
            let (route, asked) = next(chance);
            (route, connection.begin(asked))
        })
        .collect();
    let mut versions = Vec::new();
    for (route, answer) in begun {
        match answer.await.expect("a request does not panic") {
            Ok(reply) => versions.extend(judge.answer(route, since, &reply)),
            // It was told to go elsewhere before it had said anything.
            Err(error) if is_unheard(&error) => {}
            Err(error) => judge.fail(&format!("stream to /r{route}: {error}")),
        }
    }
    versions
}

/// The next request, and its route.
fn next(chance: &mut u64) -> (u64, Request<e2e::client::Payload>) {
    *chance = mix(*chance);
    let route = *chance % ROUTES;
    let asked = request("GET", SECURE_HOST, &format!("/r{route}")).body(nothing());
    (route, asked.expect("a well-formed request"))
}
