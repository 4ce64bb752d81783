//! The endpoints of a Service: which get requests, and of each that does not, why.
//!
//! What objects say is known here; what endpoints make of requests and of health checks is told by the
//! nodes that send them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use model::service::{EndpointPort, EndpointSlice, Service, ServicePort};
use model::{Key, Kind, Name, Resource};
use wire::Cause;

use super::node::Reader;
use super::sight::Sight;
use super::{App, Op, rights};
use crate::World;
use crate::moment::micros;
use crate::refusal::Refusal;

/// A Service as its endpoints do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoints {
    /// Each port, in order.
    pub ports: Vec<PortEndpoints>,
}

/// The endpoints behind one port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortEndpoints {
    /// The port that routes name.
    pub port: u16,
    /// Whether a route leads to it.
    pub is_led_to: bool,
    /// The endpoints, by address.
    pub endpoints: Vec<EndpointNow>,
}

/// One endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointNow {
    /// Where it is.
    pub address: SocketAddr,
    /// Whether its EndpointSlice, or Workload, says that it is ready.
    pub is_ready: bool,
    /// The nodes that send it nothing, or one request at a time.
    pub resting: Vec<RestingAt>,
    /// How many more do so that one may not see.
    pub hidden: usize,
}

/// A node that sends an endpoint nothing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RestingAt {
    /// Its cluster.
    pub cluster: String,
    /// Its name.
    pub node: String,
    /// Why it does not.
    pub cause: Cause,
    /// What was wrong last, in words; empty where that is not known.
    pub trouble: String,
}

impl App {
    /// The endpoints of a Service that who asks may read.
    ///
    /// # Errors
    /// [`Refusal::Denied`], which says that there is none, also where it may not be read.
    pub async fn endpoint_list(&self, op: &Op, key: &Key) -> Result<Endpoints, Refusal> {
        let world = self.world().await?;
        let sight = Sight::new(op, world.clone());
        let found = sight.object(key).map(|object| &object.resource);
        let Some(Resource::Service(service)) = found else { return Err(Refusal::hidden(key)) };
        let mut ports = known(&world, key, service);
        let mut reader = Reader::new(rights(op, &world));
        for node in self.nodes().await?.iter() {
            let now = self.now(node, micros(op.now)).await?;
            let is_seen = reader.sees(&world, node, &now);
            for one in now.resting.iter().filter(|one| one.service.known().as_ref() == Some(key)) {
                let Some(port) = ports.get_mut(&one.port) else { continue };
                let endpoint = port.entry(one.address).or_insert_with(|| fresh(one.address, true));
                if is_seen {
                    let (cluster, node) = (node.cluster.clone(), node.name.clone());
                    let trouble = one.trouble.clone();
                    endpoint.resting.push(RestingAt { cluster, node, cause: one.cause, trouble });
                } else {
                    endpoint.hidden += 1;
                }
            }
        }
        let led: BTreeSet<_> = led_to(&world, key).map(|service| service.port).collect();
        let ports = ports.into_iter().map(|(port, endpoints)| PortEndpoints {
            port,
            is_led_to: led.contains(&port),
            endpoints: endpoints.into_values().collect(),
        });
        Ok(Endpoints { ports: ports.collect() })
    }
}

type ByAddress = BTreeMap<SocketAddr, EndpointNow>;

/// What the objects say of each port: those in its EndpointSlices, and what the proxies make of them and of
/// Workloads.
fn known(world: &World, key: &Key, service: &Service) -> BTreeMap<u16, ByAddress> {
    let mut ports = BTreeMap::new();
    for port in &service.spec.ports {
        let endpoints: &mut ByAddress = ports.entry(port.port).or_default();
        for (address, is_ready) in slices(world, key).flat_map(|slice| sliced(slice, port)) {
            let endpoint = endpoints.entry(address).or_insert_with(|| fresh(address, is_ready));
            endpoint.is_ready |= is_ready;
        }
    }
    for led in led_to(world, key) {
        let Some(endpoints) = ports.get_mut(&led.port) else { continue };
        for endpoint in &led.endpoints {
            let address = endpoint.address;
            endpoints.entry(address).or_insert_with(|| fresh(address, true));
        }
    }
    ports
}

fn fresh(address: SocketAddr, is_ready: bool) -> EndpointNow {
    EndpointNow { address, is_ready, resting: Vec::new(), hidden: 0 }
}

/// The ports of the Service that routes lead to.
fn led_to<'w>(world: &'w World, key: &'w Key) -> impl Iterator<Item = &'w table::Service> {
    let services = world.assembly().table.services.iter();
    services.map(std::ops::Deref::deref).filter(move |service| service.key == *key)
}

fn slices<'w>(world: &'w World, key: &'w Key) -> impl Iterator<Item = &'w EndpointSlice> {
    let is_near =
        |other: &Key| (other.kind, &other.namespace) == (Kind::EndpointSlice, &key.namespace);
    // Slices are named as they like: all of the namespace are looked at, and nothing else.
    let first = Name::parse("0")
        .ok()
        .map(|first| Key::new(Kind::EndpointSlice, key.namespace.clone(), first));
    let objects = first.into_iter().flat_map(|first| world.objects.range(first..));
    let near = objects.take_while(move |(other, _)| is_near(other));
    near.filter_map(|(_, object)| match &object.resource {
        Resource::EndpointSlice(slice) => Some(slice.as_ref()),
        _ => None,
    })
    .filter(|slice| slice.service().as_ref() == Some(&key.name))
}

/// The addresses of a slice behind a Service's port, and whether each is ready.
fn sliced<'s>(
    slice: &'s EndpointSlice,
    port: &'s ServicePort,
) -> impl Iterator<Item = (SocketAddr, bool)> + 's {
    let name = port.name.as_deref().unwrap_or_default();
    let is_of = move |at: &&EndpointPort| {
        let transport = at.protocol.unwrap_or_default();
        at.name.as_deref().unwrap_or_default() == name && transport == port.transport()
    };
    let numbers = slice.ports.iter().filter(is_of).filter_map(|at| at.port);
    numbers.flat_map(|number| {
        slice.endpoints.iter().filter_map(move |endpoint| {
            let ip: IpAddr = endpoint.addresses.first()?.parse().ok()?;
            Some((SocketAddr::new(ip, number), endpoint.conditions.ready != Some(false)))
        })
    })
}
