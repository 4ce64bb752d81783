//! What was requested in the last minutes: once, or as a stream.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use model::{Invalid, Name, Scope, nearest};
use schemars::JsonSchema;
use serde::Serialize;
use time::OffsetDateTime;
use tokio::sync::watch;
use tokio::time::{Interval, MissedTickBehavior, interval};
use wire::{Outcome, Side};

use super::ask::{Ask, duration};
use super::problem::Problem;
use super::request::{ObjectShape, SideShape};
use super::stream::Place;
use super::{Rest, answer};
use crate::Op;
use crate::app::user::fault;
use crate::app::{Part, Rows, Sum, Wanted};
use crate::authn::Caller;
use crate::moment::{micros, rfc3339, time};
use crate::traffic::{Cell, WINDOW};

/// How often a stream tells.
const PACE: Duration = Duration::from_secs(2);
/// How often a comment is sent, so that nobody on the way takes the stream for dead.
const ALIVE: Duration = Duration::from_secs(15);
/// The window, where nothing is said.
const MINUTE: Duration = Duration::from_secs(60);

/// The parts of a row by their words.
const PARTS: [(&str, Part); 6] = [
    ("route", Part::Route),
    ("rule", Part::Rule),
    ("backend", Part::Backend),
    ("caller", Part::Caller),
    ("node", Part::Node),
    ("cluster", Part::Cluster),
];

/// The requests of a stretch of time.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Traffic")]
pub(super) struct TrafficShape {
    /// From when on.
    from: String,
    /// Until when.
    to: String,
    /// That long, in seconds.
    seconds: f64,
    /// Most requests first. A request is counted once on each side that it passes.
    items: Vec<RowShape>,
    /// How many rows with fewer requests were left out.
    more: usize,
    /// Nodes that you may see and that are connected, but tell this server nothing, like `edge of
    /// east`: with several servers each knows of those that tell it.
    unheard: Vec<String>,
}

/// The requests of one kind. What is null may not be seen by you, was not asked for, or is not known.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "TrafficRow")]
struct RowShape {
    side: SideShape,
    /// Whose it is: platform or workspace/NAME.
    scope: String,
    /// What it led to.
    route: Option<ObjectShape>,
    /// The rule of that.
    rule: Option<String>,
    /// The Service port that it was sent to; inbound, the Workload's.
    backend: Option<String>,
    /// Who asked: `workload shop/front of east`, `gateway edge of east`, `consumer:shop/acme`, `apikey:NAME`,
    /// `jwt:ISSUER`, or `others`, for whom there was no room.
    caller: Option<String>,
    node: Option<String>,
    cluster: Option<String>,
    /// Requests a second.
    rate: f64,
    #[serde(flatten)]
    sums: SumShape,
    /// By step, if asked for; those in which there were none are left out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    steps: Vec<StepShape>,
}

/// A step of a row.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "TrafficStep")]
struct StepShape {
    /// When it begins.
    at: String,
    #[serde(flatten)]
    sums: SumShape,
}

/// How many there were, how they ended and how long they took.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "TrafficSums")]
pub(super) struct SumShape {
    requests: u64,
    /// Those without a good answer for no fault of the caller: `backendErrors` and `failures`.
    errors: u64,
    /// A policy or a border denied it.
    denied: u64,
    /// Another status of 400 to 499.
    client_errors: u64,
    /// The backend answered with a status above 499.
    backend_errors: u64,
    /// No whole answer came from a backend.
    failures: u64,
    /// The caller went away.
    gone: u64,
    /// Microseconds that half of those took no longer than that were sent to a backend; like the
    /// others it is at most 3.2% off.
    p50: Option<u64>,
    p90: Option<u64>,
    p99: Option<u64>,
}

pub(super) async fn show(ask: Ask) -> Result<Response, Problem> {
    let rows = ask.app().traffic_show(&ask.op()?, wanted(&ask)?).await?;
    Ok(answer::ok(&shape(rows)))
}

pub(super) async fn live(ask: Ask) -> Result<Response, Problem> {
    let wanted = wanted(&ask)?;
    // Whoever may not know of it is told at once.
    ask.app().traffic_show(&ask.op()?, wanted.clone()).await?;
    let caller = ask.caller()?.clone();
    let place = ask.rest.streams.take(&caller.id)?;
    let mut turns = interval(PACE);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let stopping = ask.rest.stopping.clone();
    let request_id = ask.request_id.clone();
    let living =
        Living { rest: ask.rest, caller, request_id, wanted, turns, stopping, _place: place };
    let events = futures::stream::unfold(living, async |mut living| {
        let event = living.next().await?;
        Some((Ok::<_, Infallible>(event), living))
    });
    let alive = KeepAlive::new().interval(ALIVE);
    Ok(Sse::new(events).keep_alive(alive).into_response())
}

/// An open stream.
struct Living {
    rest: Arc<Rest>,
    caller: Caller,
    request_id: String,
    wanted: Wanted,
    turns: Interval,
    stopping: watch::Receiver<bool>,
    _place: Place,
}

impl Living {
    /// The next event; none where the stream ends: with the server, with the caller's rights, or
    /// where the store does not answer.
    async fn next(&mut self) -> Option<Event> {
        tokio::select! {
            _ = self.stopping.wait_for(|stopping| *stopping) => return None,
            _ = self.turns.tick() => {}
        }
        let now = OffsetDateTime::now_utc();
        if !matches!(self.rest.app.caller_is_good(&self.caller, now).await, Ok(true)) {
            return None;
        }
        let op: Op = self.caller.op(&self.request_id, time(micros(now)), String::new());
        let rows = self.rest.app.traffic_show(&op, self.wanted.clone()).await.ok()?;
        let text = serde_json::to_string(&shape(rows)).ok()?;
        Some(Event::default().event("traffic").data(text))
    }
}

/// What is asked for, or all that is wrong with it.
fn wanted(ask: &Ask) -> Result<Wanted, Problem> {
    let mut faults = Vec::new();
    let mut wanted = Wanted { window: MINUTE, ..Wanted::default() };
    let name = |word: &str| Name::parse(word).map_err(|why| why.to_string());
    let mut take = |path: &str, read: &mut dyn FnMut(&str) -> Result<(), String>| {
        if let Some(Err(why)) = ask.word(path).map(read) {
            faults.push(fault(path, why));
        }
    };
    take("workspace", &mut |word| {
        name(word).map(|name| wanted.scope = Some(Scope::Workspace(name)))
    });
    take("namespace", &mut |word| name(word).map(|name| wanted.namespace = Some(name)));
    take("api", &mut |word| name(word).map(|name| wanted.api = Some(name)));
    take("route", &mut |word| {
        let (namespace, route) = word.split_once('/').ok_or("write it as NAMESPACE/NAME")?;
        wanted.route = Some((name(namespace)?, name(route)?));
        Ok(())
    });
    take("backend", &mut |word| backend(word).map(|backend| wanted.backend = Some(backend)));
    take("side", &mut |word| {
        wanted.side = Some(match word {
            "edge" => Side::Edge,
            "outbound" => Side::Outbound,
            "inbound" => Side::Inbound,
            other => return Err(format!("'{other}' is no side; use edge, outbound or inbound")),
        });
        Ok(())
    });
    if !faults.is_empty() {
        return Err(Problem::invalid(faults));
    }
    wanted.caller = ask.word("caller").map(str::to_owned);
    wanted.node = ask.word("node").map(str::to_owned);
    wanted.cluster = ask.word("cluster").map(str::to_owned);
    wanted.by = by(ask.word("by").unwrap_or("route,backend,caller"))?;
    timed(ask, wanted)
}

fn backend(word: &str) -> Result<(Name, Name, Option<u16>), String> {
    let wrong = || "write it as NAMESPACE/NAME or NAMESPACE/NAME:PORT".to_owned();
    let (namespace, rest) = word.split_once('/').ok_or_else(wrong)?;
    let (backend, port) = match rest.split_once(':') {
        Some((backend, port)) => (backend, Some(port.parse().map_err(|_| wrong())?)),
        None => (rest, None),
    };
    let name = |word: &str| Name::parse(word).map_err(|why| why.to_string());
    Ok((name(namespace)?, name(backend)?, port))
}

fn by(words: &str) -> Result<std::collections::BTreeSet<Part>, Problem> {
    let words = words.split(',').filter(|word| !word.is_empty());
    let part = |word: &str| {
        let known = PARTS.iter().find(|(known, _)| *known == word);
        known.map(|(_, part)| *part).ok_or_else(|| {
            let nearest = nearest(word, PARTS.iter().map(|(known, _)| *known));
            let fault = fault("by", format!("'{word}' tells no rows apart"));
            Problem::invalid(vec![Invalid { nearest, ..fault }])
        })
    };
    words.map(part).collect()
}

/// The same with its window and its step.
fn timed(ask: &Ask, mut wanted: Wanted) -> Result<Wanted, Problem> {
    let longest = Duration::from_micros(WINDOW.unsigned_abs());
    let wrong = |path: &str, text: String| Err(Problem::invalid(vec![fault(path, text)]));
    if let Some(word) = ask.word("window") {
        wanted.window = duration("window", word)?;
        if wanted.window.is_zero() || wanted.window > longest {
            return wrong("window", "wants more than nothing and at most 15m".to_owned());
        }
    }
    if let Some(word) = ask.word("step") {
        let step = duration("step", word)?;
        let least = Duration::from_micros(wanted.grain().step.unsigned_abs());
        if step.is_zero() || step.as_micros() % least.as_micros() != 0 {
            let seconds = least.as_secs();
            return wrong("step", format!("wants {seconds}s for this window, or several of that"));
        }
        wanted.step = Some(step);
    }
    Ok(wanted)
}

fn shape(rows: Rows) -> TrafficShape {
    let seconds = (rows.to - rows.from) as f64 / 1e6;
    let items = rows.rows.into_iter();
    TrafficShape {
        from: rfc3339(rows.from),
        to: rfc3339(rows.to),
        seconds,
        items: items.map(|sum| row(sum, seconds)).collect(),
        more: rows.more,
        unheard: rows.unheard,
    }
}

fn row(Sum { row, sum, steps }: Sum, seconds: f64) -> RowShape {
    let step = |(at, cell): (i64, Cell)| StepShape { at: rfc3339(at), sums: sums(&cell) };
    RowShape {
        side: super::request::side(row.side),
        scope: row.scope.to_string(),
        route: row.route.map(super::request::object),
        rule: row.rule,
        backend: row.backend,
        caller: row.caller,
        node: row.node,
        cluster: row.cluster,
        rate: if seconds > 0.0 { sum.requests() as f64 / seconds } else { 0.0 },
        sums: sums(&sum),
        steps: steps.into_iter().map(step).collect(),
    }
}

pub(super) fn sums(cell: &Cell) -> SumShape {
    SumShape {
        requests: cell.requests(),
        errors: cell.errors(),
        denied: cell.count(Outcome::Denied),
        client_errors: cell.count(Outcome::ClientError),
        backend_errors: cell.count(Outcome::BackendError),
        failures: cell.count(Outcome::Failed),
        gone: cell.count(Outcome::Gone),
        p50: cell.latency.permille(500),
        p90: cell.latency.permille(900),
        p99: cell.latency.permille(990),
    }
}

#[cfg(test)]
mod tests;
