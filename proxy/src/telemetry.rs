//! Seeing: where every exchange, connection and table is told.
//!
//! ```text
//!                    /-> metrics     counted in the worker's own shard
//! Record --dropped--+--> access_log  a line in the worker's own batch
//!                   +--> decisions   why, for the server, if it went wrong or is of the share
//!                   +--> traffic     counted for the server, by who asked for what
//!                    \-> otlp        a span, if its trace is sampled or it went wrong
//! ```
//!
//! Nothing here waits, locks or fails on a worker: what cannot be taken is dropped and counted.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use http::HeaderMap;
use model::Key;
use table::Table;
use tokio::time::Instant;

use crate::access_log::AccessLog;
use crate::config::Status;
use crate::counts;
use crate::decisions::Decisions;
use crate::metrics::encode::Dropped;
use crate::metrics::flows::Flows;
use crate::metrics::{Metrics, Sample};
use crate::otlp::Exporter;
use crate::record::Record;
use crate::trace::{Parent, Ratio, TraceContext};
use crate::traffic::Traffic;

pub use crate::access_log::Sink;
pub use crate::metrics::Attached;
pub use crate::metrics::connections::Outcome;
pub use crate::metrics::encode::CONTENT_TYPE;
pub use crate::otlp::Settings as Tracing;

/// What is told, and where to.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What the process calls itself in metrics and spans.
    pub service: &'static str,
    /// How many workers there are; they are numbered from 0.
    pub workers: usize,
    /// Where the access log goes.
    pub access_log: Sink,
    /// The collector of spans, if there is one.
    pub tracing: Option<Tracing>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { service: "heddle-gateway", workers: 1, access_log: Sink::Off, tracing: None }
    }
}

/// Why nothing can be told as configured.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The access log cannot be opened.
    #[error("cannot open the access log {}", path.display())]
    AccessLog {
        /// What was to be opened.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A thread cannot be started.
    #[error("cannot start the thread that writes {what}")]
    Thread {
        /// What it was to write.
        what: &'static str,
        /// Why not.
        source: std::io::Error,
    },
    /// The collector's address is of no use.
    #[error("cannot send spans to '{endpoint}': {why}")]
    Collector {
        /// The address.
        endpoint: String,
        /// What is wrong with it.
        why: String,
    },
}

/// Whether a caller may say which trace its request belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// Its trace is continued.
    Trusted,
    /// Its trace becomes a link.
    Stranger,
}

/// Where everything is told; one for each process.
#[derive(Debug)]
pub struct Telemetry {
    metrics: Metrics,
    access_log: Option<AccessLog>,
    spans: Option<Exporter>,
    sampling: Ratio,
    /// How the node stands, if it is joined to a server, and what that is to be told.
    joined: OnceLock<Member>,
    /// What limits share with other proxies, if they may.
    shared: OnceLock<Arc<counts::Shared>>,
}

/// What a process has that is joined to a server.
#[derive(Debug)]
struct Member {
    status: Arc<Status>,
    decisions: Arc<Decisions>,
    traffic: Arc<Traffic>,
}

impl Telemetry {
    /// Opens the access log and starts the threads that write.
    ///
    /// # Errors
    /// The log's file cannot be opened, the collector's address is none, a thread cannot start.
    pub fn start(settings: &Settings) -> Result<Arc<Self>, Error> {
        let access_log = open_log(&settings.access_log, settings.workers)?;
        let tracing = settings.tracing.as_ref();
        let spans =
            tracing.map(|tracing| Exporter::start(settings.service, tracing)).transpose()?;
        Ok(Arc::new(Telemetry {
            metrics: Metrics::new(settings.service, settings.workers),
            access_log,
            spans,
            sampling: tracing.map_or(Ratio::NONE, |tracing| Ratio::new(tracing.sampling)),
            joined: OnceLock::new(),
            shared: OnceLock::new(),
        }))
    }

    /// The trace of a request with these headers, the client's `tracestate` aside: that is for
    /// whoever forwards the head to keep (trusted callers) or drop (strangers).
    pub fn trace(&self, headers: &HeaderMap, caller: Caller) -> TraceContext {
        match (caller, Parent::of(headers)) {
            (Caller::Trusted, Some(parent)) => TraceContext::from_trusted(parent),
            (Caller::Trusted, None) => TraceContext::fresh(self.sampling, None),
            (Caller::Stranger, parent) => TraceContext::fresh(self.sampling, parent),
        }
    }

    /// Finds the metric handles for `table`, once, before it serves.
    pub fn attach(&self, table: &Table) -> Arc<Attached> {
        let rules = table.rules.iter().map(|rule| &rule.label);
        let services = table.services.iter().map(|service| &service.label);
        let mut attached = self.metrics.attach(&table.digest, rules, services);
        attached.traffic = self.joined.get().map(|member| member.traffic.attach(table));
        Arc::new(attached)
    }

    /// Listeners show the certificates of these Secrets, which end then, in seconds since 1970.
    pub(crate) fn certificates<'k>(&self, until: impl Iterator<Item = &'k (Key, i64)>) {
        let named = |(secret, until): &(Key, i64)| {
            let name = format!("{}/{}", secret.namespace, secret.name);
            (name, *until)
        };
        self.metrics.certificates(until.map(named).collect());
    }

    /// Tells of an exchange that is over; called once, when its record is dropped.
    ///
    /// May take the record's texts out.
    pub(crate) fn tell(&self, record: &mut Record) {
        let took = record.began.elapsed();
        let rule = record.rule.as_ref().map(|(place, _)| *place);
        let sample = Sample {
            reason: record.reason,
            status: record.status.map(|status| status.as_u16()),
            call: record.call,
            took,
            backend: record.backend_time,
        };
        record.table.count(record.worker, rule, sample);
        if let Some(seen) = &record.table.traffic {
            seen.count(record, took);
        }
        // All are counted, and not all are told of.
        if record.is_untold {
            return;
        }
        if let Some(decisions) = self.decisions() {
            decisions.tell(record, took);
        }
        if let Some(log) = &self.access_log {
            log.log(record, took);
        }
        if let Some(spans) = &self.spans {
            spans.tell(record, took);
        }
    }

    /// A connection was accepted.
    pub fn connection_opened(&self, worker: usize) {
        self.metrics.connections(worker).opened();
    }

    /// A connection that was opened is over.
    pub fn connection_closed(&self, worker: usize, outcome: Outcome) {
        self.metrics.connections(worker).closed(outcome);
    }

    /// The counts of a worker's flows of datagrams.
    pub(crate) fn flows(&self, worker: usize) -> &Flows {
        self.metrics.flows(worker)
    }

    /// A TLS handshake failed.
    pub fn handshake_failed(&self, worker: usize) {
        self.metrics.connections(worker).handshake_failed();
    }

    /// Something came on a connection that is no HTTP that we take, and was answered, if at all,
    /// without a record.
    pub fn parse_failed(&self, worker: usize) {
        self.metrics.connections(worker).parse_failed();
    }

    /// A table was put in force; `faults` of its configuration were found and isolated.
    pub fn table_applied(&self, digest: &str, faults: usize) {
        self.metrics.table_applied(faults);
        tracing::info!(table = digest, faults, "table in force");
    }

    /// This process is joined to a server, stands so, and tells it of these decisions
    /// and counts; before the first table is attached.
    pub(crate) fn joined(
        &self,
        status: Arc<Status>,
        decisions: Arc<Decisions>,
        traffic: Arc<Traffic>,
    ) {
        // A process joins once.
        let _ = self.joined.set(Member { status, decisions, traffic });
    }

    /// Limits share these counts with other proxies; told once.
    pub(crate) fn shares(&self, shared: &Arc<counts::Shared>) {
        let _first = self.shared.set(Arc::clone(shared));
    }

    /// Where decisions are told, if there is a server.
    pub(crate) fn decisions(&self) -> Option<&Decisions> {
        self.joined.get().map(|member| &*member.decisions)
    }

    /// A table was refused as a whole, and the last good one kept.
    pub fn table_refused(&self) {
        self.metrics.table_refused();
    }

    /// So many ports of the table in force could not be opened.
    pub(crate) fn ports_missing(&self, count: usize) {
        self.metrics.ports_missing(count);
    }

    /// A mirrored request was left out for want of room.
    pub(crate) fn mirror_left_out(&self) {
        self.metrics.mirror_left_out();
    }

    /// A request was not sent again for want of budget.
    pub(crate) fn retry_left_out(&self) {
        self.metrics.retry_left_out();
    }

    /// All counts, in the format that [`CONTENT_TYPE`] names.
    pub fn metrics(&self) -> String {
        let log_lines = self.access_log.as_ref().map_or(0, AccessLog::dropped);
        let spans = self.spans.as_ref().map_or(0, Exporter::dropped);
        let decisions = self.decisions().map_or(0, Decisions::dropped);
        let member = self.joined.get();
        let folded = member.map_or(0, |member| member.traffic.folded());
        let uncounted = member.map_or(0, |member| member.traffic.lost());
        let joined = member.map(|member| member.status.counts());
        let dropped = Dropped { log_lines, spans, decisions, folded, uncounted };
        let shared = self.shared.get().map(|shared| shared.standing());
        self.metrics.encode(dropped, joined, shared)
    }

    /// Opens the access log's file anew: it was moved away, as `logrotate` does.
    pub fn reopen_log(&self) {
        if let Some(log) = &self.access_log {
            log.reopen();
        }
    }

    /// Writes and sends what is left, for at most `within`; `false` if some of it was lost.
    ///
    /// Blocks, so it is for the main thread, after the workers ended.
    pub fn stop(&self, within: Duration) -> bool {
        let end = Instant::now() + within;
        let log = self.access_log.as_ref().is_none_or(|log| log.stop(within));
        let left = end.saturating_duration_since(Instant::now());
        let spans = self.spans.as_ref().is_none_or(|spans| spans.stop(left));
        log && spans
    }
}

fn open_log(sink: &Sink, workers: usize) -> Result<Option<AccessLog>, Error> {
    AccessLog::open(sink, workers).map_err(|source| match sink {
        Sink::File(path) => Error::AccessLog { path: path.clone(), source },
        Sink::Off | Sink::Stdout | Sink::Stderr => Error::Thread { what: "the access log", source },
    })
}

/// Waits for `done`, for at most `within`; whether it came to be.
pub(crate) fn wait_for(within: Duration, done: impl Fn() -> bool) -> bool {
    let end = Instant::now() + within;
    while !done() {
        if Instant::now() >= end {
            return false;
        }
        thread::sleep(Duration::from_millis(2));
    }
    true
}

#[cfg(test)]
pub(crate) mod tests;
