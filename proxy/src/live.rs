//! A table in force: the table with what needs a running process attached to it.
//!
//! Endpoints that two tables share keep their connections and what was learnt of them; a swap
//! costs a request nothing, since each holds the `Arc` it began with.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use model::service::AppProtocol;
use rustls::ServerConfig;
use rustls::server::ProducesTickets;
use table::Table;
use tokio::sync::Semaphore;

use crate::balance::Load;
use crate::pool::Pool;
use crate::telemetry::{Attached, Telemetry};
use crate::tls;

/// Mirrored requests under way to one service; beyond it copies are left out. Fewer than in the
/// whole process, so that one mirror that hangs does not starve the others.
const MIRRORS: usize = 128;

/// A table in force.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) table: Arc<Table>,
    /// By port, for HTTPS ports.
    pub(crate) tls: HashMap<u16, Arc<ServerConfig>>,
    /// By `table::Service::id`.
    pub(crate) services: Vec<Arc<Service>>,
    /// Metric handles.
    pub(crate) attached: Arc<Attached>,
}

/// A service's endpoints in force.
#[derive(Debug)]
pub(crate) struct Service {
    /// `table::Service::id`.
    pub(crate) id: usize,
    pub(crate) label: Arc<str>,
    pub(crate) endpoints: Vec<Arc<Endpoint>>,
    /// Room for copies under way to it.
    pub(crate) mirrors: Arc<Semaphore>,
}

/// An endpoint in force.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) address: SocketAddr,
    pub(crate) protocol: AppProtocol,
    pub(crate) load: Load,
    /// One for each worker: a connection never leaves the worker that opened it.
    pub(crate) pools: Box<[Pool]>,
}

/// What all tables of a process share.
#[derive(Debug)]
pub(crate) struct Ground {
    pub(crate) workers: usize,
    /// Idle HTTP/1.1 connections kept by each worker to each endpoint.
    pub(crate) pool: usize,
    pub(crate) tickets: Arc<dyn ProducesTickets>,
}

impl Live {
    /// Nothing in force: every request is answered `NoListener`.
    pub(crate) fn empty(ground: &Ground, telemetry: &Telemetry) -> Self {
        Self::attach(Arc::new(Table::default()), None, ground, telemetry)
    }

    /// Attaches `table`, taking over endpoints from `before`.
    pub(crate) fn attach(
        table: Arc<Table>,
        before: Option<&Live>,
        ground: &Ground,
        telemetry: &Telemetry,
    ) -> Self {
        let known: HashMap<&str, &Arc<Service>> = before
            .map(|live| live.services.iter().map(|service| (&*service.label, service)).collect())
            .unwrap_or_default();
        let services = table.services.iter();
        let services = services
            .map(|service| Service::attach(service, known.get(&*service.label).copied(), ground))
            .collect();
        Live {
            tls: tls::server_configs(&table, &ground.tickets),
            services,
            attached: telemetry.attach(&table),
            table,
        }
    }

    /// Closes a worker's connections to endpoints that lay idle for longer than `age`.
    pub(crate) fn sweep(&self, worker: usize, age: Duration) {
        let endpoints = self.services.iter().flat_map(|service| &service.endpoints);
        endpoints.for_each(|endpoint| endpoint.pools[worker].sweep(age));
    }
}

impl Service {
    fn attach(
        service: &table::Service,
        before: Option<&Arc<Service>>,
        ground: &Ground,
    ) -> Arc<Self> {
        let known = before.map_or(&[][..], |before| &before.endpoints);
        let known: HashMap<_, _> =
            known.iter().map(|one| ((one.address, one.protocol), one)).collect();
        let kept =
            |address: &SocketAddr| known.get(&(*address, service.protocol)).copied().cloned();
        let endpoints: Vec<_> = service
            .endpoints
            .iter()
            .map(|address| {
                kept(address).unwrap_or_else(|| Endpoint::new(*address, service.protocol, ground))
            })
            .collect();
        let mirrors = match before {
            Some(before) => Arc::clone(&before.mirrors),
            None => Arc::new(Semaphore::new(MIRRORS)),
        };
        Arc::new(Service { id: service.id, label: Arc::clone(&service.label), endpoints, mirrors })
    }
}

impl Endpoint {
    pub(crate) fn new(address: SocketAddr, protocol: AppProtocol, ground: &Ground) -> Arc<Self> {
        let pools = (0..ground.workers).map(|_| Pool::new(ground.pool)).collect();
        Arc::new(Endpoint { address, protocol, load: Load::default(), pools })
    }
}
