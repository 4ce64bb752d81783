//! A table in force: the table with what needs a running process attached to it.
//!
//! Endpoints that two tables share keep their connections and what was learnt of them; a swap
//! costs a request nothing, since each holds the `Arc` it began with.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use model::service::AppProtocol;
use rustls::server::ProducesTickets;
use table::{Table, Through};
use tokio::sync::Semaphore;

use crate::balance::Load;
use crate::mesh::{Membership, Way};
use crate::pool::Pool;
use crate::retry::Budget;
use crate::telemetry::{Attached, Telemetry};
use crate::tls::{self, Tls};

/// Mirrored requests under way to one service; beyond it copies are left out. Fewer than in the
/// whole process, so that one mirror that hangs does not starve the others.
const MIRRORS: usize = 128;

/// A table in force.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) table: Arc<Table>,
    /// By port, for those with TLS.
    pub(crate) tls: HashMap<u16, Arc<Tls>>,
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
    /// What is spoken behind it.
    pub(crate) protocol: AppProtocol,
    /// The near ones first.
    pub(crate) endpoints: Vec<Arc<Endpoint>>,
    /// How many of them are near.
    pub(crate) near: usize,
    /// Whether some of them are reached through a proxy.
    pub(crate) is_meshed: bool,
    /// Room for copies under way to it.
    pub(crate) mirrors: Arc<Semaphore>,
    /// How many retries it bears.
    pub(crate) retries: Arc<Budget>,
}

/// An endpoint in force.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) address: SocketAddr,
    pub(crate) protocol: AppProtocol,
    /// Through which proxy it is reached; plainly where there is none.
    pub(crate) way: Option<Way>,
    /// `table::Endpoint::is_far`.
    pub(crate) is_far: bool,
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
    /// As whom we speak in the mesh.
    pub(crate) membership: Arc<Membership>,
    /// Where this process's own admin port is, which nobody is led to.
    pub(crate) admin: OnceLock<SocketAddr>,
}

impl Ground {
    /// Whether an endpoint is this process's own admin port.
    fn is_admin(&self, endpoint: &table::Endpoint) -> bool {
        self.admin.get().is_some_and(|admin| reaches(endpoint.address, *admin))
    }
}

/// Whether an address is where this process listens at `own`: of every address those that are surely its
/// own machine's.
fn reaches(address: SocketAddr, own: SocketAddr) -> bool {
    let (ip, at) = (address.ip().to_canonical(), own.ip().to_canonical());
    let is_here = ip == at || (at.is_unspecified() && (ip.is_loopback() || ip.is_unspecified()));
    address.port() == own.port() && is_here
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
        let named = |live: &Live, service: &Arc<Service>| {
            let kind = live.table.services.get(service.id).map(|service| service.key.kind);
            (kind, service.protocol, Arc::clone(&service.label))
        };
        let known: HashMap<_, _> = before
            .map(|live| live.services.iter().map(|one| (named(live, one), one)).collect())
            .unwrap_or_default();
        let services = table.services.iter();
        let services = services
            .map(|service| {
                let kind = Some(service.key.kind);
                let name = (kind, service.protocol, Arc::clone(&service.label));
                Service::attach(service, known.get(&name).copied(), ground)
            })
            .collect();
        Live {
            tls: tls::by_port(&table, &ground.tickets),
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
        let known: HashMap<_, _> = known.iter().map(|one| (one.place(), one)).collect();
        let kept = |endpoint: &table::Endpoint| {
            let through = endpoint.through.as_deref();
            let place = (endpoint.address, through, endpoint.is_far, service.protocol);
            known.get(&place).copied().cloned()
        };
        let (own, others): (Vec<_>, Vec<_>) =
            service.endpoints.iter().partition(|endpoint| ground.is_admin(endpoint));
        if let Some(own) = own.first() {
            let (service, address) = (&service.label, own.address);
            tracing::warn!(%service, %address, "an endpoint is this process's admin port: left out");
        }
        let endpoints = others.into_iter().map(|endpoint| {
            kept(endpoint).unwrap_or_else(|| Endpoint::new(endpoint, service.protocol, ground))
        });
        let mut endpoints: Vec<Arc<Endpoint>> = endpoints.collect();
        endpoints.sort_by_key(|endpoint| endpoint.is_far);
        let near = endpoints.partition_point(|endpoint| !endpoint.is_far);
        let (mirrors, retries) = match before {
            Some(before) => (Arc::clone(&before.mirrors), Arc::clone(&before.retries)),
            None => (Arc::new(Semaphore::new(MIRRORS)), Arc::default()),
        };
        let table::Service { id, protocol, .. } = *service;
        let label = Arc::clone(&service.label);
        let is_meshed = endpoints.iter().any(|endpoint| endpoint.way.is_some());
        Arc::new(Service { id, label, protocol, endpoints, near, is_meshed, mirrors, retries })
    }
}

impl Endpoint {
    pub(crate) fn new(from: &table::Endpoint, protocol: AppProtocol, ground: &Ground) -> Arc<Self> {
        let pools = (0..ground.workers).map(|_| Pool::new(ground.pool)).collect();
        let through = from.through.as_ref();
        let way = through
            .map(|through| Way::new(Arc::clone(through), &ground.membership, ground.workers));
        let table::Endpoint { address, is_far, .. } = *from;
        Arc::new(Endpoint { address, protocol, way, is_far, load: Load::default(), pools })
    }

    /// By which credentials a connection to it is opened now, where that is through the mesh.
    pub(crate) fn opened(&self) -> Option<u64> {
        self.way.as_ref().and_then(Way::number)
    }

    /// What makes it another endpoint.
    fn place(&self) -> (SocketAddr, Option<&Through>, bool, AppProtocol) {
        let through = self.way.as_ref().map(|way| &*way.through);
        (self.address, through, self.is_far, self.protocol)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_surely_here_is_this_process() {
        for (address, own, wanted) in [
            ("127.0.0.1:9901", "127.0.0.1:9901", true),
            ("127.0.0.1:9902", "127.0.0.1:9901", false),
            ("127.0.0.2:9901", "127.0.0.1:9901", false),
            ("127.0.0.2:9901", "0.0.0.0:9901", true),
            ("[::1]:9901", "[::]:9901", true),
            ("10.0.0.7:9901", "0.0.0.0:9901", false),
            ("10.0.0.7:9901", "10.0.0.7:9901", true),
        ] {
            let (address, own) = (address.parse().unwrap(), own.parse().unwrap());
            assert_eq!(reaches(address, own), wanted, "{address} {own}");
        }
    }
}
