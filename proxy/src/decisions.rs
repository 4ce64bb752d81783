//! Why requests were answered as they were, for the server to remember: each that was denied or failed,
//! and a share of the others.
//!
//! ```text
//! worker --Decision--> queue (bounded) --> config thread: batches, until the server has kept them
//! ```
//!
//! Workers only push. While the server is away the queue fills; what has no room is dropped and counted.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use crossbeam_queue::ArrayQueue;
use http::HeaderValue;
use policy::Reason;
use policy::explain::Story;
use serde_json::{Value, json};
use tokio::sync::Notify;
use wire::{Decision, Vector};

use crate::moment::seconds;
use crate::record::{LONGEST, Record, bounded};
use crate::trace::{Ratio, write_hex};

/// So many may wait.
const QUEUE: usize = 4096;
/// So much may wait, as JSON and without what is always short.
const QUEUE_BYTES: usize = 4 << 20;
/// So much of that travels together.
const BATCH_BYTES: usize = 512 << 10;
/// A longer story, as of a policy with thousands of rules, is cut to what decided.
const STORY_BYTES: usize = 16 << 10;
/// So many stories a worker tells in a second of what was denied or failed: each asks every rule once
/// more.
const STORIES: u64 = 100;
/// So many a worker tells of in a second whom it did not let in.
const NOBODIES: u64 = 10;
/// The same of what passed, which takes none of the room of the others.
const PASSING: u64 = 20;

/// The door for the workers, and for who takes them to the server.
#[derive(Debug)]
pub(crate) struct Decisions {
    queue: ArrayQueue<Box<Waiting>>,
    bytes: AtomicUsize,
    dropped: AtomicU64,
    /// There are enough for a batch.
    pub(crate) wake: Notify,
    share: Ratio,
    /// What the node runs.
    vector: ArcSwap<BTreeMap<String, i64>>,
    /// The stories of each worker.
    stories: Box<[Stories]>,
}

/// What a worker told of each kind in a second.
#[derive(Debug, Default)]
struct Stories {
    wrong: Told,
    passing: Told,
    nobody: Told,
}

/// The second and, in the lower half, how many were told in it.
#[derive(Debug, Default)]
struct Told(AtomicU64);

impl Told {
    /// Counts one more, and says whether there is room for it among so many.
    fn has_room(&self, at: SystemTime, most: u64) -> bool {
        let second = seconds(at) << 32;
        let before = self.0.load(Relaxed);
        let count = if before >> 32 == second >> 32 { before & u64::from(u32::MAX) } else { 0 };
        // Only its own worker writes it.
        self.0.store(second | (count + 1), Relaxed);
        count < most
    }
}

#[derive(Debug)]
struct Waiting {
    decision: Decision,
    /// What of it may be long.
    bytes: usize,
}

impl Decisions {
    /// Of so many workers; `share` of what passes is told, by the trace, so that all proxies of a
    /// request agree.
    pub(crate) fn new(workers: usize, share: f64) -> Self {
        Decisions {
            queue: ArrayQueue::new(QUEUE),
            bytes: AtomicUsize::new(0),
            dropped: AtomicU64::new(0),
            wake: Notify::new(),
            share: Ratio::new(share),
            vector: ArcSwap::default(),
            stories: (0..workers).map(|_| Stories::default()).collect(),
        }
    }

    /// Takes note of what the node runs from now on.
    pub(crate) fn runs(&self, vector: &Vector) {
        let words = vector.iter().map(|(scope, revision)| (scope.to_string(), *revision));
        self.vector.store(Arc::new(words.collect()));
    }

    /// Whether the story of a request is to be told that ends so for now, and there is time for it.
    pub(crate) fn wants_story(&self, record: &Record, reason: Reason) -> bool {
        // Where a redirect leads holds the query, which may hold secrets.
        let is_wrong = went_wrong(reason);
        if reason == Reason::Redirected || !(is_wrong || self.share.keeps(record.trace.trace_id)) {
            return false;
        }
        let Some(stories) = self.stories.get(record.worker) else { return false };
        let (told, most) =
            if is_wrong { (&stories.wrong, STORIES) } else { (&stories.passing, PASSING) };
        told.has_room(record.began_at, most)
    }

    /// Whether there is room to tell of one more whom a worker did not let in, since they are nobody:
    /// what strangers cause, to whom no request costs anything, leaves the room of the others.
    pub(crate) fn wants_nobody(&self, worker: usize, at: SystemTime) -> bool {
        self.stories.get(worker).is_some_and(|stories| stories.nobody.has_room(at, NOBODIES))
    }

    /// Queues what became of an exchange, unless it is to be left out.
    pub(crate) fn tell(&self, record: &Record, took: Duration) {
        let failed = record.status.is_none_or(|status| status.is_server_error());
        if !failed && !went_wrong(record.reason) && !self.share.keeps(record.trace.trace_id) {
            return;
        }
        if self.queue.is_full() {
            return self.lose(1);
        }
        let waiting = Box::new(self.waiting(record, took));
        let bytes = waiting.bytes;
        // Counted before it can be taken out.
        let before = self.bytes.fetch_add(bytes, Relaxed);
        if before + bytes > QUEUE_BYTES || self.queue.push(waiting).is_err() {
            self.bytes.fetch_sub(bytes, Relaxed);
            return self.lose(1);
        }
        if self.queue.len() == wire::DECISIONS {
            self.wake.notify_one();
        }
    }

    /// The oldest, as many as travel together.
    pub(crate) fn take(&self) -> Vec<Decision> {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while batch.len() < wire::DECISIONS && bytes < BATCH_BYTES {
            let Some(waiting) = self.queue.pop() else { break };
            self.bytes.fetch_sub(waiting.bytes, Relaxed);
            bytes += waiting.bytes;
            batch.push(waiting.decision);
        }
        batch
    }

    /// So many will never be told.
    pub(crate) fn lose(&self, count: usize) {
        self.dropped.fetch_add(count as u64, Relaxed);
    }

    /// How many were dropped since the start.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }

    fn waiting(&self, record: &Record, took: Duration) -> Waiting {
        let (story, bytes) = record.story.as_deref().map(written).unwrap_or_default();
        let mut decision = self.decision(record, took);
        decision.story = story;
        let detail = decision.detail.as_ref().map_or(0, String::len);
        let bytes = bytes + decision.path.len() + decision.host.len() + detail;
        let bytes = bytes + decision.vector.keys().map(|scope| scope.len() + 16).sum::<usize>();
        Waiting { decision, bytes }
    }

    fn decision(&self, record: &Record, took: Duration) -> Decision {
        let trace = &record.trace;
        let rule = record.rule.as_ref().map(|(_, rule)| rule);
        let link = trace.link.map(|link| hex(&link.trace_id));
        Decision {
            span: hex(&trace.span_id),
            parent: trace.parent.map(|parent| hex(&parent)),
            trace: hex(&trace.trace_id),
            link: link.filter(|_| record.from.is_some()),
            request: text(&record.request_id),
            side: record.side,
            at: micros(record.began_at),
            took: whole_micros(took),
            backend_took: record.backend_time.map(whole_micros),
            table: record.table.digest().to_string(),
            vector: BTreeMap::clone(&self.vector.load()),
            source: record.source.to_string(),
            peer: record.from.as_ref().map(ToString::to_string),
            caller: record.principal.as_ref().map(ToString::to_string),
            passport: record.refused.as_ref().map(ToString::to_string),
            method: bounded(record.method.as_str()),
            host: bounded(&record.host),
            path: bounded(&record.path),
            port: record.port,
            route: rule.map(|rule| &rule.route).or(record.meant.as_deref()).map(wire::Key::from),
            rule: rule.map(|rule| rule.label.to_string()),
            backend: record.backend.as_ref().map(ToString::to_string),
            endpoint: record.endpoint.as_ref().map(SocketAddr::to_string),
            attempts: record.attempts,
            status: record.status.map(|status| status.as_u16()),
            reason: record.reason.as_str().to_owned(),
            detail: record.detail.as_deref().map(bounded),
            policy: record.decided_by.as_ref().map(|by| wire::Key::from(&*by.policy)),
            policy_rule: record.decided_by.as_ref().map(|by| by.rule.to_string()),
            story: None,
        }
    }
}

/// The same without the values of headers, which may be secrets of those who sent them.
pub(crate) fn discreet(mut story: Story) -> Box<Story> {
    let policies = story.levels.iter_mut().flat_map(|level| &mut level.policies);
    let failed = policies.flat_map(|policy| {
        let rules = policy.rules.iter_mut().map(|rule| &mut rule.failed);
        rules.chain(policy.limits.iter_mut().map(|limit| &mut limit.failed)).flatten()
    });
    for mismatch in failed.filter(|mismatch| mismatch.condition == "headers") {
        if !mismatch.saw.starts_with("none") {
            mismatch.saw = "another value".to_owned();
        }
    }
    Box::new(story)
}

/// A story as it travels, and its length; cut where it is too long.
fn written(story: &Story) -> (Option<Value>, usize) {
    let text = serde_json::to_vec(story).unwrap_or_default();
    if text.len() <= STORY_BYTES {
        return (serde_json::from_slice(&text).ok(), text.len());
    }
    let Story { reason, status, because, change, .. } = story;
    let change = change.as_deref().map(bounded);
    let short = json!({ "reason": reason, "status": status, "because": bounded(because),
        "change": change, "levels": [] });
    (Some(short), 3 * LONGEST)
}

fn went_wrong(reason: Reason) -> bool {
    !matches!(reason, Reason::Ok | Reason::Redirected | Reason::Preflight)
}

fn hex(bytes: &[u8]) -> String {
    let mut text = vec![0; 2 * bytes.len()];
    write_hex(bytes, &mut text);
    String::from_utf8(text).expect("hexadecimal digits are text")
}

fn text(value: &HeaderValue) -> String {
    bounded(&String::from_utf8_lossy(value.as_bytes()))
}

fn micros(at: SystemTime) -> i64 {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

fn whole_micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
