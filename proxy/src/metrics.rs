//! What is counted: by worker, so that no two workers ever write to one cache line.
//!
//! ```text
//! attach:  table -> Attached { place of a rule -> Series }  (once for each table)
//! request: Series.shards[worker] += 1                       (no lock, no hashing, no allocation)
//! scrape:  sum over the shards -> text by prometheus-client (on the admin thread)
//! ```
//!
//! A series belongs to a route's label, not to a table, so counts survive the swap of tables.
//! Series of labels that are gone from the last [`KEPT_TABLES`] tables are let go of, which bounds
//! their number by the tables and not by time.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwapOption;
use policy::Reason;

pub(crate) mod connections;
pub(crate) mod encode;
pub(crate) mod flows;
mod process;
mod series;

use connections::Connections;
use flows::Flows;
use series::Series;

use crate::grpc::Call;
use crate::live::Service;
use crate::room::Room;
use crate::traffic::Seen;

/// A label's series is kept for so many tables after the last one that had it.
const KEPT_TABLES: u64 = 2;

/// All counts of a process.
#[derive(Debug)]
pub(crate) struct Metrics {
    service: &'static str,
    started: SystemTime,
    connections: Box<[Connections]>,
    flows: Box<[Flows]>,
    applied: AtomicU64,
    refused: AtomicU64,
    faults: AtomicU64,
    ports_missing: AtomicU64,
    mirrors_left_out: AtomicU64,
    retries_left_out: AtomicU64,
    /// Touched when a table is attached and when the counts are read, never by a request.
    registry: Mutex<Registry>,
}

/// The series that are shown.
#[derive(Debug, Default)]
struct Registry {
    tables: u64,
    digest: Arc<str>,
    routes: HashMap<Arc<str>, Kept<Series>>,
    backends: HashMap<Arc<str>, Kept<OfService>>,
    /// When the certificate of each Secret ends that is shown, in seconds since 1970.
    certificates: BTreeMap<String, i64>,
}

#[derive(Debug)]
struct Kept<T> {
    series: Arc<T>,
    /// The number of the last table that had its label.
    table: u64,
}

/// A table's metric handles: found by the ids of its rules and services.
#[derive(Debug)]
pub struct Attached {
    digest: Arc<str>,
    rules: Box<[Arc<Series>]>,
    /// For what no rule was found for.
    unrouted: Arc<Series>,
    /// What is counted of each service.
    services: Box<[Arc<OfService>]>,
    /// What is counted for the server, if there is one.
    pub(crate) traffic: Option<Seen>,
}

/// What is counted of a service.
#[derive(Debug, Default)]
struct OfService {
    /// Failures to connect.
    connect_failed: AtomicU64,
    /// Requests that were sent again.
    retried: AtomicU64,
    /// Its connections, as the newest table has them.
    room: ArcSwapOption<Room>,
    /// Its endpoints, as that has them, for as long as it is in force.
    endpoints: Mutex<Weak<Service>>,
}

/// What one exchange adds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    pub(crate) reason: Reason,
    /// `None` while no answer was given.
    pub(crate) status: Option<u16>,
    pub(crate) call: Option<Call>,
    pub(crate) took: Duration,
    pub(crate) backend: Option<Duration>,
}

impl Metrics {
    pub(crate) fn new(service: &'static str, workers: usize) -> Self {
        Metrics {
            service,
            started: SystemTime::now(),
            connections: (0..workers.max(1)).map(|_| Connections::default()).collect(),
            flows: (0..workers.max(1)).map(|_| Flows::default()).collect(),
            applied: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            faults: AtomicU64::new(0),
            ports_missing: AtomicU64::new(0),
            mirrors_left_out: AtomicU64::new(0),
            retries_left_out: AtomicU64::new(0),
            registry: Mutex::default(),
        }
    }

    /// Finds or makes the series of every label, and lets go of those long unused.
    pub(crate) fn attach<'l>(
        &self,
        digest: &str,
        rules: impl Iterator<Item = &'l Arc<str>>,
        services: impl Iterator<Item = &'l Arc<str>>,
    ) -> Attached {
        let workers = self.connections.len();
        let mut registry = self.registry();
        registry.tables += 1;
        registry.digest = digest.into();
        let Registry { tables, digest, routes, backends, certificates: _ } = &mut *registry;
        let (table, digest) = (*tables, Arc::clone(digest));
        let unrouted = keep(routes, &Arc::default(), table, || Series::new(workers));
        let series = |label| keep(routes, label, table, || Series::new(workers));
        let rules = rules.map(series).collect();
        let services = services.map(|label| keep(backends, label, table, OfService::default));
        let services = services.collect();
        routes.retain(|_, kept| kept.table + KEPT_TABLES >= table);
        backends.retain(|_, kept| kept.table + KEPT_TABLES >= table);
        Attached { digest, rules, unrouted, services, traffic: None }
    }

    /// These certificates are shown from now on, and no others.
    pub(crate) fn certificates(&self, until: BTreeMap<String, i64>) {
        self.registry().certificates = until;
    }

    /// The counts of a worker's connections.
    pub(crate) fn connections(&self, worker: usize) -> &Connections {
        &self.connections[worker % self.connections.len()]
    }

    /// The counts of a worker's flows.
    pub(crate) fn flows(&self, worker: usize) -> &Flows {
        &self.flows[worker % self.flows.len()]
    }

    pub(crate) fn table_applied(&self, faults: usize) {
        self.applied.fetch_add(1, Relaxed);
        self.faults.store(faults as u64, Relaxed);
    }

    pub(crate) fn table_refused(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    pub(crate) fn ports_missing(&self, count: usize) {
        self.ports_missing.store(count as u64, Relaxed);
    }

    pub(crate) fn mirror_left_out(&self) {
        self.mirrors_left_out.fetch_add(1, Relaxed);
    }

    pub(crate) fn retry_left_out(&self) {
        self.retries_left_out.fetch_add(1, Relaxed);
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        // Whatever panicked held counts only; they are as good as before.
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn keep<T>(
    all: &mut HashMap<Arc<str>, Kept<T>>,
    label: &Arc<str>,
    table: u64,
    make: impl FnOnce() -> T,
) -> Arc<T> {
    if let Some(kept) = all.get_mut(label) {
        kept.table = table;
        return Arc::clone(&kept.series);
    }
    let series = Arc::new(make());
    all.insert(Arc::clone(label), Kept { series: Arc::clone(&series), table });
    series
}

impl Attached {
    /// The digest of the table.
    pub fn digest(&self) -> &Arc<str> {
        &self.digest
    }

    /// An endpoint of the service with this id could not be connected to.
    pub fn connect_failed(&self, service: usize) {
        if let Some(count) = self.services.get(service) {
            count.connect_failed.fetch_add(1, Relaxed);
        }
    }

    /// The connections to a service are counted in its room, and how many of its endpoints are well at them.
    pub(crate) fn counts(&self, service: &Arc<Service>) {
        if let Some(of) = self.services.get(service.id) {
            of.room.store(Some(Arc::clone(&service.room)));
            *of.endpoints.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(service);
        }
    }

    /// A request to the service with this id is sent again.
    pub fn retried(&self, service: usize) {
        if let Some(count) = self.services.get(service) {
            count.retried.fetch_add(1, Relaxed);
        }
    }

    /// Counts an exchange under the rule with this id of this table.
    pub(crate) fn count(&self, worker: usize, rule: Option<usize>, sample: Sample) {
        let series = rule.and_then(|id| self.rules.get(id)).unwrap_or(&self.unrouted);
        series.count(worker, sample);
    }
}

#[cfg(test)]
mod tests;
