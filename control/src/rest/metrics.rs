//! What the server counts of itself, in the text that Prometheus reads.

use axum::http::StatusCode;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::fleet::Figures;

/// An answer, as it is counted: words of the table and statuses, so there are few.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    operation: &'static str,
    status: u16,
}

/// The media type of the text.
pub(super) const TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The counters.
#[derive(Debug)]
pub(super) struct Metrics {
    registry: Registry,
    answers: Family<Answered, Counter>,
    revision: Gauge,
    up: Gauge,
    watching: Gauge,
    sessions: Gauge,
}

impl Metrics {
    pub(super) fn new() -> Self {
        let mut registry = Registry::with_prefix("heddle_server");
        let answers = Family::default();
        registry.register("requests", "Answers of the REST API", answers.clone());
        let revision = Gauge::default();
        registry.register("revision", "The last revision", revision.clone());
        let up = Gauge::default();
        registry.register("store_up", "1 if the store answered just now", up.clone());
        let watching = Gauge::default();
        registry.register("watchers", "Open streams of /watch", watching.clone());
        let sessions = Gauge::default();
        registry.register("sessions", "Sessions of browsers", sessions.clone());
        Metrics { registry, answers, revision, up, watching, sessions }
    }

    pub(super) fn count(&self, operation: &'static str, status: StatusCode) {
        self.answers.get_or_create(&Answered { operation, status: status.as_u16() }).inc();
    }

    /// The gauge of open streams.
    pub(super) fn watching(&self) -> &Gauge {
        &self.watching
    }

    /// All of it, with what is counted of nodes if this server has some.
    pub(super) fn text(
        &self,
        revision: Option<i64>,
        sessions: Option<i64>,
        nodes: Option<&Figures>,
        traffic: &crate::traffic::Figures,
    ) -> String {
        self.up.set(i64::from(revision.is_some()));
        if let Some(revision) = revision {
            self.revision.set(revision);
        }
        if let Some(sessions) = sessions {
            self.sessions.set(sessions);
        }
        let mut text = String::new();
        // Writing to a String does not fail.
        let _ = encode(&mut text, &self.registry);
        let end = text.rfind("# EOF").unwrap_or(text.len());
        text.insert_str(end, &traffic.exposition());
        if let Some(nodes) = nodes {
            text.insert_str(end, &nodes.exposition());
        }
        text
    }
}
