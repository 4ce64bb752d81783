//! Callers of short requests, who do not stop while the ground is moved.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use e2e::client::Fault;
use e2e::soak::mix;
use e2e::{Connection, Reply};
use futures::future::join_all;
use tokio::time::{Interval, MissedTickBehavior, interval, timeout};

use crate::asked::Asked;
use crate::plan::SECURE_HOST;
use crate::tally::{Class, SILENCE, Wrong};
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
    /// HTTP/1.1 at the listener that moves.
    MovingH1,
    /// HTTP/2 at the listener that moves.
    MovingH2c,
}

impl Kind {
    /// How many requests it sends at once.
    pub(crate) fn at_once(self) -> u32 {
        if self.is_http2() { STREAMS } else { 1 }
    }

    fn is_http2(self) -> bool {
        matches!(self, Kind::H2c | Kind::HttpsH2 | Kind::MovingH2c)
    }

    fn is_secure(self) -> bool {
        matches!(self, Kind::HttpsH1 | Kind::HttpsH2)
    }

    pub(crate) async fn connect(
        self,
        (web, tls): (SocketAddr, SocketAddr),
        judge: &Judge,
    ) -> Result<(Connection, Spot), Fault> {
        let secure = |alpn| Connection::tls(tls, SECURE_HOST, &judge.authority, alpn);
        let [web_spot, tls_spot] = [web, tls].map(|place| Spot { place, opened: 0 });
        let connected = async {
            Ok(match self {
                Kind::H1 => (Connection::h1(web).await?, web_spot),
                Kind::H2c => (Connection::h2c(web).await?, web_spot),
                Kind::HttpsH1 => (secure(&["http/1.1"]).await?, tls_spot),
                Kind::HttpsH2 => (secure(&["h2"]).await?, tls_spot),
                Kind::MovingH1 => moved(judge, Connection::h1).await?,
                Kind::MovingH2c => moved(judge, Connection::h2c).await?,
            })
        };
        // Boxed, since a TLS stream is large.
        in_time(Box::pin(connected)).await
    }
}

/// Where a connection leads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spot {
    pub(crate) place: SocketAddr,
    /// The version that opened the listener there.
    pub(crate) opened: u64,
}

/// Requests (or bursts of them) on an HTTPS connection before the next handshake.
const BEFORE_NEXT_HANDSHAKE: u32 = 20;
/// Requests at once on an HTTP/2 connection.
const STREAMS: u32 = 8;

/// What became of a request on one connection.
enum Answer {
    Came(Box<Reply>),
    /// Nothing was done about it, and the gateway said so.
    Unheard,
    Failed(Fault),
}

impl Answer {
    fn of(answer: Result<Reply, Fault>, connection: &Connection) -> Self {
        match answer {
            Ok(reply) => Answer::Came(Box::new(reply)),
            Err(error) if connection.is_unheard(&error) => Answer::Unheard,
            Err(error) => Answer::Failed(error),
        }
    }

    /// Whether it says that no other comes on its connection (RFC 9112, section 9.6).
    fn is_last(&self) -> bool {
        matches!(self, Answer::Came(reply) if reply.header("connection").eq_ignore_ascii_case("close"))
    }
}

/// What does not come in time is taken for what never comes.
async fn in_time<T>(coming: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    let came = timeout(SILENCE, coming).await;
    came.unwrap_or_else(|_| Err(format!("nothing came in {SILENCE:?}").into()))
}

/// One who calls.
struct Caller {
    index: usize,
    kind: Kind,
    chance: u64,
    ticks: Interval,
    /// What has no answer and is to be sent on the next connection.
    owed: Vec<Asked>,
    judge: Arc<Judge>,
}

/// Calls every so often, until the judge stops it and nothing is owed.
pub(crate) async fn call(
    index: usize,
    kind: Kind,
    places: (SocketAddr, SocketAddr),
    every: Duration,
    judge: Arc<Judge>,
) {
    let mut ticks = interval(every);
    // Who was kept waiting does not make up for it, so that a stall costs some of the rate.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let chance = mix(index as u64);
    let mut caller = Caller { index, kind, chance, ticks, owed: Vec::new(), judge };
    while caller.goes_on() {
        let since = caller.judge.in_force();
        match kind.connect(places, &caller.judge).await {
            Ok((connection, spot)) => {
                if kind.is_secure() {
                    caller.judge.handshake(since, connection.certificate.as_ref());
                }
                caller.talk(connection, spot).await;
            }
            Err(error) => {
                let told = format!("{kind:?} connect: {error}");
                caller.judge.wrong(Class::Plain, Wrong::Failed, &told);
                caller.ticks.tick().await;
            }
        }
    }
}

/// A connection to the listener that moves: where it is, or else where it was before.
async fn moved(
    judge: &Judge,
    connect: impl AsyncFn(SocketAddr) -> Result<Connection, Fault>,
) -> Result<(Connection, Spot), Fault> {
    loop {
        let version = judge.newest();
        let [now, before] = judge.places.moving(version);
        let now = Spot { place: now, opened: version };
        let before = Spot { place: before, opened: version.saturating_sub(1) };
        let mut refused = None;
        // It opens here before it closes there: who finds neither looked while it moved, and finds it here.
        for spot in [now, before, now] {
            match connect(spot.place).await {
                Ok(connection) => return Ok((connection, spot)),
                Err(error) => refused = Some(error),
            }
        }
        if let Some(refused) = refused
            && judge.newest() == version
        {
            return Err(refused);
        }
    }
}

impl Caller {
    fn goes_on(&self) -> bool {
        !self.judge.is_stopped() || (!self.owed.is_empty() && self.judge.is_clean())
    }

    /// Sends on one connection, as long as it is kept and leads somewhere.
    async fn talk(&mut self, mut connection: Connection, spot: Spot) {
        let bound = if self.kind.is_secure() { BEFORE_NEXT_HANDSHAKE } else { u32::MAX };
        // A connection stays at its worker, whose table only gets newer.
        let (mut sent, mut newest, mut is_last) = (0, 0, false);
        while sent < bound && self.goes_on() {
            let asked = self.next().await;
            // Closed before anything was sent: the gateway has to have said so.
            if !connection.ready().await {
                self.is_parted(is_last || connection.was_said_goodbye());
                self.owed = asked;
                return;
            }
            let since = self.judge.in_force().max(newest);
            let answers = self.send(&mut connection, &asked).await;
            is_last = answers.iter().any(Answer::is_last);
            let mut versions = Vec::new();
            for (one, answer) in asked.into_iter().zip(answers) {
                versions.extend(self.take(one, answer, (spot, since)));
            }
            if let Some(oldest) = versions.iter().min() {
                self.judge.saw(self.index, *oldest);
            }
            newest = versions.into_iter().max().unwrap_or(newest);
            sent += 1;
            if !self.owed.is_empty() {
                return;
            }
        }
    }

    /// The gateway closed the connection while nothing was on it. A client of HTTP/2 is to know before it
    /// sends more; one of HTTP/1.1 that did not is closed as idle.
    fn is_parted(&self, is_told: bool) {
        if !is_told && self.kind.is_http2() {
            let told = format!("{:?}: closed without GOAWAY", self.kind);
            self.judge.wrong(Class::Plain, Wrong::Failed, &told);
        } else if !is_told {
            self.judge.pace.parted();
        }
    }

    /// What is owed, or else some more once it is due; no more than are sent at once.
    async fn next(&mut self) -> Vec<Asked> {
        if !self.owed.is_empty() {
            return std::mem::take(&mut self.owed);
        }
        let due = self.ticks.tick().await.into_std();
        let asked = (0..self.kind.at_once()).map(|_| {
            self.chance = mix(self.chance);
            Asked::by_chance(self.chance, due, &self.judge.tally)
        });
        asked.collect()
    }

    /// Sends all at once over HTTP/2, and over HTTP/1.1 one after the other.
    async fn send(&self, connection: &mut Connection, asked: &[Asked]) -> Vec<Answer> {
        let mut answers = Vec::new();
        if self.kind.is_http2() {
            let begun = asked.iter().map(|one| {
                let answer = connection.begin(one.request());
                in_time(async { answer.await.expect("a request does not panic") })
            });
            answers.extend(join_all(begun).await);
        } else {
            for one in asked {
                answers.push(in_time(connection.send(one.request())).await);
            }
        }
        answers.into_iter().map(|answer| Answer::of(answer, connection)).collect()
    }

    /// Takes an answer from `place` to what was sent when `since` was in force; gives its version where it is
    /// right. What was not answered there is owed.
    fn take(&mut self, one: Asked, answer: Answer, (spot, since): (Spot, u64)) -> Option<u64> {
        match answer {
            Answer::Came(reply) if self.judge.is_turned_away(spot, since, &reply) => {
                self.owed.push(one);
                None
            }
            Answer::Came(reply) => {
                self.judge.pace.answered(one.due);
                self.judge.answer(&one, since, &reply)
            }
            Answer::Unheard => {
                self.judge.pace.again();
                self.owed.push(one);
                None
            }
            Answer::Failed(error) => {
                let told = format!("{:?} {one:?}: {error}", self.kind);
                self.judge.wrong(one.what.class(), Wrong::Failed, &told);
                None
            }
        }
    }
}
