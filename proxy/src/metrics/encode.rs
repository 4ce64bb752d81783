//! The counts as text, in the OpenMetrics format.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, PoisonError};
use std::time::UNIX_EPOCH;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeGaugeValue, EncodeLabelSet, MetricEncoder, NoLabelSet,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::connections::{self, Outcome};
use super::flows::{self, Dropped as DroppedDatagram, Way};
use super::series::{HistogramSum, Sum};
use super::{Metrics, process};
use crate::config::Counts;
use crate::counts::Standing;

/// The content type of what [`Metrics::encode`] gives.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What other parts of telemetry lost.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Dropped {
    pub(crate) log_lines: u64,
    pub(crate) spans: u64,
    pub(crate) decisions: u64,
    pub(crate) folded: u64,
    pub(crate) uncounted: u64,
}

/// All counts at one moment.
#[derive(Debug)]
struct Scrape {
    service: &'static str,
    digest: Arc<str>,
    started: f64,
    routes: Vec<(Arc<str>, Sum)>,
    backends: Vec<(Arc<str>, Arc<super::OfService>)>,
    certificates: BTreeMap<String, i64>,
    connections: connections::Sum,
    flows: flows::Sum,
    applied: u64,
    refused: u64,
    faults: u64,
    ports_missing: u64,
    mirrors_left_out: u64,
    retries_left_out: u64,
    dropped: Dropped,
    joined: Option<Counts>,
    shared: Option<Standing>,
    usage: Option<process::Usage>,
}

impl Metrics {
    /// All counts as text.
    pub(crate) fn encode(
        &self,
        dropped: Dropped,
        joined: Option<Counts>,
        shared: Option<Standing>,
    ) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self.scrape(dropped, joined, shared)));
        let mut text = String::new();
        match prometheus_client::encoding::text::encode(&mut text, &registry) {
            Ok(()) => text,
            // A String takes whatever is written to it.
            Err(fmt::Error) => String::new(),
        }
    }

    fn scrape(&self, dropped: Dropped, joined: Option<Counts>, shared: Option<Standing>) -> Scrape {
        let mut connections = connections::Sum::default();
        self.connections.iter().for_each(|worker| worker.add_to(&mut connections));
        let mut flows = flows::Sum::default();
        self.flows.iter().for_each(|worker| worker.add_to(&mut flows));
        let (digest, routes, backends) = self.shown();
        let certificates = self.registry().certificates.clone();
        Scrape {
            service: self.service,
            digest,
            started: self.started.duration_since(UNIX_EPOCH).map_or(0.0, |t| t.as_secs_f64()),
            routes: routes.into_iter().map(|(label, series)| (label, series.sum())).collect(),
            backends,
            certificates,
            connections,
            flows,
            applied: self.applied.load(Relaxed),
            refused: self.refused.load(Relaxed),
            faults: self.faults.load(Relaxed),
            ports_missing: self.ports_missing.load(Relaxed),
            mirrors_left_out: self.mirrors_left_out.load(Relaxed),
            retries_left_out: self.retries_left_out.load(Relaxed),
            dropped,
            joined,
            shared,
            usage: process::usage(),
        }
    }

    /// What the registry shows, sorted; summed up only after its lock is free again.
    fn shown(&self) -> (Arc<str>, Labelled<super::Series>, Labelled<super::OfService>) {
        let registry = self.registry();
        (Arc::clone(&registry.digest), labelled(&registry.routes), labelled(&registry.backends))
    }
}

/// Series behind their labels.
type Labelled<T> = Vec<(Arc<str>, Arc<T>)>;

fn labelled<T>(kept: &HashMap<Arc<str>, super::Kept<T>>) -> Labelled<T> {
    let all = kept.iter().map(|(label, kept)| (Arc::clone(label), Arc::clone(&kept.series)));
    let mut all: Labelled<T> = all.collect();
    all.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    all
}

impl Collector for Scrape {
    fn encode(&self, mut to: DescriptorEncoder<'_>) -> fmt::Result {
        self.requests(&mut to)?;
        self.connections(&mut to)?;
        self.flows(&mut to)?;
        self.tables(&mut to)?;
        self.certificates(&mut to)?;
        self.joined(&mut to)?;
        self.shared(&mut to)?;
        self.process(&mut to)
    }
}

impl Scrape {
    fn certificates(&self, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let (name, help) = (
            "heddle_listener_certificate_expiry_timestamp_seconds",
            "When a certificate ends that listeners show, in seconds since 1970, by its Secret",
        );
        let mut family = to.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (secret, until) in &self.certificates {
            family.encode_family(&[("secret", &**secret)])?.encode_gauge(until)?;
        }
        Ok(())
    }

    fn requests(&self, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Requests that are over, by route, class of status and reason";
        let mut family =
            to.encode_descriptor("heddle_requests", help, None, MetricType::Counter)?;
        for (route, sum) in &self.routes {
            for (class, reason, count) in &sum.requests {
                let labels =
                    [("route", &**route), ("code_class", class), ("reason", reason.as_str())];
                counter(&mut family, &labels, *count)?;
            }
        }
        let help = "gRPC calls that are over, by route and status";
        let mut family =
            to.encode_descriptor("heddle_grpc_requests", help, None, MetricType::Counter)?;
        for (route, sum) in &self.routes {
            for (status, count) in &sum.calls {
                counter(&mut family, &[("route", &**route), ("grpc_status", status)], *count)?;
            }
        }
        let help = "Seconds from a request's head to the end of its answer, by route";
        self.histogram(to, "heddle_request_duration_seconds", help, |sum| &sum.duration)?;
        let help = "Seconds from a request's head to the head of the backend's answer, by route";
        self.histogram(to, "heddle_backend_duration_seconds", help, |sum| &sum.backend)?;
        let name = "heddle_backend_connect_failures";
        let help = "Endpoints that could not be connected to, by backend";
        self.of_backends(to, name, help, |one| &one.connect_failed)?;
        let help = "Requests that were sent again after they had been sent, by backend";
        self.of_backends(to, "heddle_backend_retries", help, |one| &one.retried)?;
        self.rooms(to)?;
        self.endpoints(to)
    }

    /// How many endpoints of backends are well, rest, or fail their health checks.
    fn endpoints(&self, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Endpoints that are well, that rest since requests failed there, and that fail health \
                    checks, by backend";
        let mut family =
            to.encode_descriptor("heddle_backend_endpoints", help, None, MetricType::Gauge)?;
        for (backend, counts) in &self.backends {
            let service = counts.endpoints.lock().unwrap_or_else(PoisonError::into_inner).upgrade();
            let Some(service) = service else { continue };
            let mut all = [("well", 0i64), ("resting", 0), ("unhealthy", 0)];
            for endpoint in &service.endpoints {
                let load = &endpoint.load;
                let state = usize::from(!load.is_well()) + usize::from(load.is_ailing());
                all[state].1 += 1;
            }
            for (state, count) in all {
                let labels = [("backend", &**backend), ("state", state)];
                family.encode_family(&labels)?.encode_gauge(&count)?;
            }
        }
        Ok(())
    }

    /// The connections to backends, and who waits for one or was turned away.
    fn rooms(&self, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let rooms = self.backends.iter().filter_map(|(backend, counts)| {
            let room = counts.room.load();
            Some((backend, room.as_ref()?.counts()))
        });
        let rooms: Vec<_> = rooms.collect();
        let (name, help) =
            ("heddle_backend_connections_open", "Connections that are open, by backend");
        let mut family = to.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (backend, counts) in &rooms {
            let open = i64::from(counts.open);
            family.encode_family(&[("backend", &***backend)])?.encode_gauge(&open)?;
        }
        let bounded = || rooms.iter().filter(|(_, counts)| counts.most.is_some());
        let help = "Requests that wait for a connection, by backend that has a bound on them";
        let mut family =
            to.encode_descriptor("heddle_backend_waiting", help, None, MetricType::Gauge)?;
        for (backend, counts) in bounded() {
            let waiting = counts.waiting as i64;
            family.encode_family(&[("backend", &***backend)])?.encode_gauge(&waiting)?;
        }
        let help = "Requests that were refused since no connection was free, by backend";
        let mut family =
            to.encode_descriptor("heddle_backend_refused", help, None, MetricType::Counter)?;
        for (backend, counts) in bounded() {
            counter(&mut family, &[("backend", &***backend)], counts.refused)?;
        }
        Ok(())
    }

    /// A count of each backend that has one.
    fn of_backends(
        &self,
        to: &mut DescriptorEncoder<'_>,
        name: &str,
        help: &str,
        of: impl Fn(&super::OfService) -> &AtomicU64,
    ) -> fmt::Result {
        let mut family = to.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (backend, counts) in &self.backends {
            let count = of(counts).load(Relaxed);
            if count > 0 {
                counter(&mut family, &[("backend", &**backend)], count)?;
            }
        }
        Ok(())
    }

    fn histogram(
        &self,
        to: &mut DescriptorEncoder<'_>,
        name: &str,
        help: &str,
        of: impl Fn(&Sum) -> &HistogramSum,
    ) -> fmt::Result {
        let mut family = to.encode_descriptor(name, help, None, MetricType::Histogram)?;
        for (route, sum) in &self.routes {
            let sum = of(sum);
            if sum.count() > 0 {
                family.encode_family(&[("route", &**route)])?.encode_histogram::<NoLabelSet>(
                    sum.seconds(),
                    sum.count(),
                    &sum.by_seconds(),
                    None,
                )?;
            }
        }
        Ok(())
    }

    fn connections(&self, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let sum = &self.connections;
        gauge(to, "heddle_connections_open", "Connections that are open", &(sum.open() as i64))?;
        single(to, "heddle_connections", "Connections that were accepted", sum.opened)?;
        let (name, help) = ("heddle_connections_closed", "Connections that ended, by outcome");
        let mut family = to.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (outcome, count) in Outcome::ALL.into_iter().zip(sum.closed) {
            counter(&mut family, &[("outcome", outcome.as_str())], count)?;
        }
        let help = "TLS handshakes that failed";
        single(to, "heddle_tls_handshake_failures", help, sum.handshakes_failed)?;
        let help = "Connections on which something came that is no HTTP that we take";
        single(to, "heddle_http_parse_failures", help, sum.parses_failed)?;
        let help = "Mirrored requests that were left out because too many were under way";
        single(to, "heddle_mirrors_left_out", help, self.mirrors_left_out)?;
        let help = "Requests that were not sent again because their service had no budget left";
        single(to, "heddle_retries_left_out", help, self.retries_left_out)?;
        let help = "Log lines that were dropped because they could not be written in time";
        single(to, "heddle_access_log_dropped", help, self.dropped.log_lines)?;
        let help = "Spans that were dropped because the collector could not take them in time";
        single(to, "heddle_spans_dropped", help, self.dropped.spans)?;
        let help = "Decisions that were dropped because the server could not take them in time";
        single(to, "heddle_decisions_dropped", help, self.dropped.decisions)?;
        let help =
            "Requests that are told to the server among others, since there are so many kinds";
        single(to, "heddle_traffic_folded", help, self.dropped.folded)?;
        let help = "Requests whose counts the server would not take";
        single(to, "heddle_traffic_lost", help, self.dropped.uncounted)
    }

    /// Only where limits may share their counts.
    fn shared(&self, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let Some(shared) = &self.shared else { return Ok(()) };
        let help = "Workers that can ask Redis what limits share";
        gauge(to, "heddle_redis_connections", help, &(shared.connections as i64))?;
        let help = "Requests whose counts Redis was to share, by what came of asking";
        let mut family =
            to.encode_descriptor("heddle_redis_asked", help, None, MetricType::Counter)?;
        for (outcome, count) in [("answered", shared.answered), ("unreached", shared.unreached)] {
            counter(&mut family, &[("outcome", outcome)], count)?;
        }
        Ok(())
    }

    fn flows(&self, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let sum = &self.flows;
        gauge(to, "heddle_udp_flows_open", "Flows of UDP that are open", &(sum.open() as i64))?;
        single(to, "heddle_udp_flows", "Flows of UDP that began", sum.begun)?;
        let help = "Datagrams that were sent on, by direction";
        let mut family =
            to.encode_descriptor("heddle_udp_datagrams", help, None, MetricType::Counter)?;
        for (way, count) in Way::ALL.into_iter().zip(sum.datagrams) {
            counter(&mut family, &[("direction", way.as_str())], count)?;
        }
        let help = "Bytes in datagrams that were sent on, by direction";
        let mut family =
            to.encode_descriptor("heddle_udp_bytes", help, None, MetricType::Counter)?;
        for (way, count) in Way::ALL.into_iter().zip(sum.bytes) {
            counter(&mut family, &[("direction", way.as_str())], count)?;
        }
        let help = "Datagrams that went nowhere, by reason";
        let mut family =
            to.encode_descriptor("heddle_udp_dropped", help, None, MetricType::Counter)?;
        for (why, count) in DroppedDatagram::ALL.into_iter().zip(sum.dropped) {
            counter(&mut family, &[("reason", why.as_str())], count)?;
        }
        Ok(())
    }

    fn tables(&self, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        single(to, "heddle_table_applied", "Tables that were put in force", self.applied)?;
        let help = "Tables that were refused as a whole; the last good one stayed in force";
        single(to, "heddle_table_refused", help, self.refused)?;
        let help = "Faults in the configuration that the table in force was made from";
        gauge(to, "heddle_config_faults", help, &(self.faults as i64))?;
        let help = "Ports that the table in force wants and that could not be opened";
        gauge(to, "heddle_ports_missing", help, &(self.ports_missing as i64))?;
        let help = "The table in force";
        info(to, "heddle_table", help, &[("digest", &*self.digest)])?;
        let labels = [("service", self.service), ("version", env!("CARGO_PKG_VERSION"))];
        info(to, "heddle_build", "What is running", &labels)
    }

    /// How the node stands with its server, if it has one.
    fn joined(&self, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let Some(joined) = &self.joined else { return Ok(()) };
        let help = "Whether the server is heard";
        gauge(to, "heddle_config_connected", help, &i64::from(joined.is_connected))?;
        if let Some(age) = joined.age {
            let help = "Seconds since it was certain that what is served is what the server wants";
            gauge(to, "heddle_config_age_seconds", help, &age)?;
        }
        let help = "States of the server that were put in force";
        single(to, "heddle_config_applied", help, joined.applied)?;
        let help = "States of the server that were refused as a whole";
        single(to, "heddle_config_refused", help, joined.refused)?;
        let help = "Objects that are not served as the server sent them";
        gauge(to, "heddle_config_rejected_objects", help, &(joined.rejected as i64))?;
        if let Some(ends) = joined.certificate_ends {
            let help = "When the node's certificate ends, in seconds since 1970";
            gauge(to, "heddle_certificate_expiry_timestamp_seconds", help, &ends)?;
        }
        Ok(())
    }

    fn process(&self, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "When the process began, in seconds since 1970";
        gauge(to, "process_start_time_seconds", help, &self.started)?;
        let Some(usage) = self.usage else { return Ok(()) };
        let help = "Processor time used, in seconds";
        to.encode_descriptor("process_cpu_seconds", help, None, MetricType::Counter)?
            .encode_counter::<NoLabelSet, _, f64>(&usage.cpu_seconds, None)?;
        let help = "Memory that is resident, in bytes";
        gauge(to, "process_resident_memory_bytes", help, &(usage.resident_bytes as i64))?;
        gauge(to, "process_open_fds", "Files that are open", &(usage.open_files as i64))
    }
}

fn counter(
    family: &mut MetricEncoder<'_>,
    labels: &impl EncodeLabelSet,
    count: u64,
) -> fmt::Result {
    family.encode_family(labels)?.encode_counter::<NoLabelSet, _, f64>(&count, None)
}

fn single(to: &mut DescriptorEncoder<'_>, name: &str, help: &str, count: u64) -> fmt::Result {
    to.encode_descriptor(name, help, None, MetricType::Counter)?
        .encode_counter::<NoLabelSet, _, f64>(&count, None)
}

fn gauge(
    to: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    value: &impl EncodeGaugeValue,
) -> fmt::Result {
    to.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(value)
}

/// A value of 1 whose labels are the news; `_info` is put behind the name.
fn info(
    to: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    labels: &impl EncodeLabelSet,
) -> fmt::Result {
    to.encode_descriptor(name, help, None, MetricType::Info)?.encode_info(labels)
}
