//! Spans to a collector: one for each exchange, by OTLP over gRPC.
//!
//! ```text
//! worker --Span--> queue (bounded) --> otlp thread: batches of 512, or each second --> collector
//! ```
//!
//! Workers only push into the queue. A collector that is slow or away costs spans, which are
//! counted, and never a request.
//! What went wrong is told even if its trace was not sampled.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_queue::ArrayQueue;
use http::Uri;
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _};
use policy::Reason;
use tokio::runtime::{self, Runtime};
use tokio::sync::Notify;

use crate::record::Record;
use crate::telemetry::{Error, wait_for};

mod batch;
mod span;

use span::Span;

/// So many spans may wait.
const QUEUE: usize = 8 << 10;
/// So many are sent together.
const BATCH: usize = 512;
/// A collector that takes longer is given up, and the batch with it.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where spans go.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The collector, such as `http://127.0.0.1:4317`.
    pub endpoint: String,
    /// The share of traces opened here that is recorded: 0.0 to 1.0.
    pub sampling: f64,
}

/// The door for the workers; its thread ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Exporter {
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    queue: ArrayQueue<Span>,
    dropped: AtomicU64,
    wake: Notify,
    stopping: AtomicBool,
}

impl Exporter {
    /// Starts the thread that sends. The collector need not be there yet.
    pub(crate) fn start(service: &'static str, settings: &Settings) -> Result<Self, Error> {
        check(&settings.endpoint)?;
        let failed = |source| Error::Thread { what: "spans", source };
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(failed)?;
        let exporter = connect(&runtime, service, &settings.endpoint)?;
        let shared = Arc::new(Shared {
            queue: ArrayQueue::new(QUEUE),
            dropped: AtomicU64::new(0),
            wake: Notify::new(),
            stopping: AtomicBool::new(false),
        });
        let theirs = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("otlp".to_owned())
            .spawn(move || runtime.block_on(batch::run(&theirs, exporter)))
            .map_err(failed)?;
        Ok(Exporter { shared, thread })
    }

    /// Queues the span of `record`, unless it is to be left out.
    pub(crate) fn tell(&self, record: &mut Record, took: Duration) {
        if !(record.trace.sampled || went_wrong(record)) {
            return;
        }
        let shared = &self.shared;
        if shared.queue.push(Span::of(record, took)).is_err() {
            shared.lose(1);
        } else if shared.queue.len() == BATCH {
            shared.wake.notify_one();
        }
    }

    /// How many spans were dropped since the start.
    pub(crate) fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    /// Sends what is there and ends the thread; `false` if that took longer than `within`.
    pub(crate) fn stop(&self, within: Duration) -> bool {
        self.end();
        wait_for(within, || self.thread.is_finished())
    }

    fn end(&self) {
        self.shared.stopping.store(true, Ordering::Release);
        self.shared.wake.notify_one();
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        self.end();
    }
}

impl Shared {
    fn lose(&self, spans: usize) {
        self.dropped.fetch_add(spans as u64, Ordering::Relaxed);
    }
}

fn went_wrong(record: &Record) -> bool {
    let failed = record.status.is_none_or(|status| status.is_server_error());
    failed || !matches!(record.reason, Reason::Ok | Reason::Redirected | Reason::Preflight)
}

fn check(endpoint: &str) -> Result<(), Error> {
    let refuse =
        |why: &str| Err(Error::Collector { endpoint: endpoint.to_owned(), why: why.to_owned() });
    let Ok(uri) = endpoint.parse::<Uri>() else { return refuse("it is no URL") };
    match (uri.scheme_str(), uri.authority()) {
        (Some("http"), Some(_)) => Ok(()),
        (Some("https"), _) => refuse("TLS to a collector is not there yet; say http://"),
        _ => refuse("say http://HOST:PORT"),
    }
}

fn connect(runtime: &Runtime, service: &str, endpoint: &str) -> Result<SpanExporter, Error> {
    let _entered = runtime.enter();
    let builder = SpanExporter::builder().with_tonic();
    let exporter = builder.with_endpoint(endpoint).with_timeout(PATIENCE).build();
    let mut exporter = exporter.map_err(|error| Error::Collector {
        endpoint: endpoint.to_owned(),
        why: error.to_string(),
    })?;
    batch::describe(&mut exporter, service);
    Ok(exporter)
}

#[cfg(test)]
mod tests;
