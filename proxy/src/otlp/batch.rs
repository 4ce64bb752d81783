//! The task that takes spans off the queue and sends them.

use std::sync::atomic::Ordering;
use std::time::Duration;

use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SpanExporter as _;
use tokio::time::{self, Instant, MissedTickBehavior};
use tracing::warn;

use super::{BATCH, PATIENCE, Shared};

/// A span waits no longer than this.
const PAUSE: Duration = Duration::from_secs(1);
/// A collector that fails is spoken of this often.
const COMPLAINT: Duration = Duration::from_secs(60);

/// Says which process the spans come from.
pub(super) fn describe(exporter: &mut SpanExporter, service: &str) {
    let attributes = [
        KeyValue::new("service.name", service.to_owned()),
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
    ];
    exporter.set_resource(&Resource::builder_empty().with_attributes(attributes).build());
}

/// Sends until told to stop, then sends what is left.
pub(super) async fn run(shared: &Shared, exporter: SpanExporter) {
    let scope = InstrumentationScope::builder("heddle").build();
    let mut sender = Sender { shared, exporter, scope, complained: None };
    let mut tick = time::interval(PAUSE);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = shared.wake.notified() => {}
        }
        // Read before the queue, so that what was told before the stop is sent.
        let stopping = shared.stopping.load(Ordering::Acquire);
        sender.round().await;
        if stopping {
            return;
        }
    }
}

struct Sender<'s> {
    shared: &'s Shared,
    exporter: SpanExporter,
    scope: InstrumentationScope,
    complained: Option<Instant>,
}

impl Sender<'_> {
    async fn round(&mut self) {
        while self.send().await {}
    }

    /// Sends one batch; whether there may be more that are worth a try now.
    async fn send(&mut self) -> bool {
        let spans = std::iter::from_fn(|| self.shared.queue.pop()).take(BATCH);
        let batch: Vec<_> = spans.map(|span| span.export(&self.scope)).collect();
        let size = batch.len();
        if size == 0 {
            return false;
        }
        let sent = time::timeout(PATIENCE, self.exporter.export(batch)).await;
        let why = match sent {
            Ok(Ok(())) => return size == BATCH,
            Ok(Err(error)) => error.to_string(),
            Err(elapsed) => elapsed.to_string(),
        };
        self.shared.lose(size);
        self.complain(&why);
        false
    }

    fn complain(&mut self, why: &str) {
        if self.complained.is_none_or(|at| at.elapsed() > COMPLAINT) {
            self.complained = Some(Instant::now());
            warn!(why, "cannot send spans to the collector; they are dropped and counted");
        }
    }
}
