//! What is one for a port of a Service, whatever is spoken behind it: routes of several kinds may lead
//! there, each by connections of its own, and the applications behind them are the same.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use model::Kind;
use model::service::AppProtocol;
use table::{Encryption, Through};
use tokio::sync::Semaphore;

use super::{Live, MIRRORS, Service};
use crate::balance::Load;
use crate::retry::Budget;

/// Ports by what makes them the same in another table: a port of UDP is another than that of TCP of its
/// number.
#[derive(Debug, Default)]
pub(super) struct Ports<'a>(HashMap<(Kind, &'a str, bool), Port<'a>>);

/// A port, with what was learnt behind it.
#[derive(Debug)]
pub(super) struct Port<'a> {
    /// Room for copies under way to it.
    pub(super) mirrors: Arc<Semaphore>,
    /// How many retries it bears.
    pub(super) retries: Arc<Budget>,
    /// Its requests under way.
    pub(super) under_way: Arc<AtomicU32>,
    /// Those of before and, behind them, of now; with how what goes to their endpoints is encrypted.
    services: Vec<(Arc<Service>, &'a Encryption)>,
}

/// How endpoints have been doing, by what makes them the same whatever is spoken there.
pub(super) type Loads<'p> = HashMap<(SocketAddr, Option<&'p Through>, bool), &'p Arc<Load>>;

impl<'a> Ports<'a> {
    /// Those of a table that was in force.
    pub(super) fn of(before: Option<&'a Live>) -> Self {
        let mut ports = Ports::default();
        let Some(before) = before else { return ports };
        for service in &before.services {
            if let Some(of) = before.table.services.get(service.id) {
                ports.of_service(of, Some(service)).learn(service, of);
            }
        }
        ports
    }

    /// That of a service; where nothing is known of it, with what `like` has.
    pub(super) fn of_service(
        &mut self,
        service: &'a table::Service,
        like: Option<&Service>,
    ) -> &mut Port<'a> {
        let is_datagrams = service.protocol == AppProtocol::Udp;
        let name = (service.key.kind, &*service.label, is_datagrams);
        self.0.entry(name).or_insert_with(|| Port::new(like))
    }
}

impl<'a> Port<'a> {
    fn new(like: Option<&Service>) -> Self {
        let services = Vec::new();
        match like {
            Some(service) => Port {
                mirrors: Arc::clone(&service.mirrors),
                retries: Arc::clone(&service.retries),
                under_way: Arc::clone(&service.under_way),
                services,
            },
            None => Port {
                mirrors: Arc::new(Semaphore::new(MIRRORS)),
                retries: Arc::default(),
                under_way: Arc::default(),
                services,
            },
        }
    }

    /// The last service to which this is spoken: of before, or of now by another kind of route.
    pub(super) fn known(&self, protocol: AppProtocol) -> Option<&Arc<Service>> {
        let services = self.services.iter().rev().map(|(service, _)| service);
        services.into_iter().find(|service| service.protocol == protocol)
    }

    /// How its endpoints have been doing for those who reach them by something else. What went wrong with
    /// another encryption may go well with this one.
    pub(super) fn loads(&self, of: &table::Service) -> Loads<'_> {
        let services = self.services.iter();
        let others = services.filter(|(service, encryption)| {
            service.protocol != of.protocol && **encryption == of.encryption
        });
        let endpoints = others.flat_map(|(service, _)| &service.endpoints);
        let loads = endpoints.map(|endpoint| {
            let through = endpoint.way.as_ref().map(|way| &*way.through);
            ((endpoint.address, through, endpoint.is_far), &endpoint.load)
        });
        loads.collect()
    }

    /// Has what is attached after `service` find what it has.
    pub(super) fn learn(&mut self, service: &Arc<Service>, of: &'a table::Service) {
        self.services.push((Arc::clone(service), &of.encryption));
    }
}
