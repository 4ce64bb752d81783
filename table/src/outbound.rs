//! What the application beside a proxy sends: to which Service, by the name that it calls.
//!
//! `orders`, `orders.shop`, `orders.shop.svc` and `orders.shop.svc.cluster.local` mean the Service
//! `shop/orders`, the first to an application of `shop` alone.
//! Where routes are attached to the Service, they say where a call goes, and what fits none of them
//! goes nowhere; else it goes to the Service's own endpoints. Routes lead requests: a port that carries
//! TCP has none.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use model::gateway::{Protocol, TlsVersion};
use model::service::{Service, ServicePort, Transport};
use model::{Key, Kind, Name, Resource};
use policy::{Chain, Facts, Layer, Scheme};

use crate::assemble::attach::{Around, Attached};
use crate::route::Routes;
use crate::service::Catalog;
use crate::{Backend, Backends, Listener, Presented, Rule, State, Target};
use attached::OfServices;

mod attached;

/// Where a proxy takes what its application sends, and what each name means.
#[derive(Debug)]
pub struct Outbound {
    /// Where it takes requests, for the application alone.
    address: Option<SocketAddr>,
    /// The ports of loopback that each lead to one port of a Service, by the name that it is called.
    upstreams: BTreeMap<u16, (Box<str>, u16)>,
    own: Name,
    /// The ports of Services by namespace and name.
    services: HashMap<(Name, Name), Vec<Port>>,
}

/// A port of a Service, as its callers see it.
#[derive(Debug)]
pub(crate) struct Port {
    /// The port, with the routes that are attached to it.
    pub(crate) listener: Arc<Listener>,
    /// What it takes.
    pub(crate) layer: Layer,
    /// The place of the rule that leads to its own endpoints; none where routes lead.
    plain: Option<usize>,
}

impl Outbound {
    /// Where it takes what the application sends.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.address.into_iter().chain(self.upstreams.keys().map(|port| loopback(*port)))
    }

    /// Whether it takes what the application sends at an address.
    pub fn is_at(&self, address: SocketAddr) -> bool {
        let is_upstream = || self.upstreams.contains_key(&address.port());
        self.address == Some(address) || (is_upstream() && address == loopback(address.port()))
    }

    /// The Service that a port of loopback leads to, by a name that it is called, and its port; none
    /// where the application says that itself.
    pub fn upstream(&self, port: u16) -> Option<(&str, u16)> {
        self.upstreams.get(&port).map(|(host, port)| (&**host, *port))
    }

    /// The namespace of the application.
    pub fn namespace(&self) -> &Name {
        &self.own
    }

    /// What a call of `host` means: `port` where the call says one, else that of 80, or the only one.
    pub(crate) fn port(&self, host: &str, port: Option<u16>) -> Option<&Port> {
        let (name, rest) = host.split_once('.').unwrap_or((host, ""));
        let rest = rest.strip_suffix(".svc.cluster.local").unwrap_or(rest);
        let namespace = match rest.strip_suffix(".svc").unwrap_or(rest) {
            "" => self.own.clone(),
            word => Name::parse(word).ok()?,
        };
        let ports = self.services.get(&(namespace, Name::parse(name).ok()?))?;
        let of = |wanted: u16| ports.iter().find(|one| one.listener.port == wanted);
        match (port, &ports[..]) {
            (Some(port), _) => of(port),
            (None, [only]) => Some(only),
            (None, _) => of(Scheme::Http.well_known_port()),
        }
    }
}

impl Port {
    /// The place of the rule that a call meets, and the prefix by which it does.
    pub(crate) fn lead(&self, facts: &Facts<'_>) -> Option<(usize, Option<&str>)> {
        if let Some(place) = self.plain {
            return Some((place, None));
        }
        let entry = self.listener.routes.find(facts)?;
        Some((entry.rule, entry.of.prefix()))
    }
}

/// What the application of `own` may call: every port of every Service that is known. Whether it may,
/// the proxies of their workloads say.
pub(crate) fn open(
    own: &Key,
    around: Around<'_>,
    attached: &Attached,
    catalog: &Catalog<'_>,
    rules: &mut Vec<Arc<Rule>>,
) -> Option<Outbound> {
    let Resource::Workload(workload) = around.settled.get(own)? else { return None };
    let mesh = workload.spec.mesh.as_ref()?;
    let upstreams = mesh.upstreams.iter().map(|one| {
        let namespace = one.namespace.as_ref().unwrap_or(&own.namespace);
        (one.listen, (format!("{}.{namespace}", one.name).into(), one.port))
    });
    let mut outbound = Outbound {
        address: mesh.outbound.map(loopback),
        upstreams: upstreams.collect(),
        own: own.namespace.clone(),
        services: HashMap::new(),
    };
    outbound.addresses().next()?;
    let of_services = OfServices::new(around, attached, rules);
    for (key, item) in around.settled.of_kind(Kind::Service) {
        let Resource::Service(service) = &item.resource else { continue };
        let ports = ports(key, service, &of_services, catalog, rules);
        outbound.services.insert((key.namespace.clone(), key.name.clone()), ports);
    }
    Some(outbound)
}

/// The ports of a Service. The rules that lead to its own endpoints are added to `rules`.
fn ports(
    key: &Key,
    service: &Service,
    of_services: &OfServices<'_>,
    catalog: &Catalog<'_>,
    rules: &mut Vec<Arc<Rule>>,
) -> Vec<Port> {
    let mut ports = Vec::new();
    let of_tcp = |(_, port): &(usize, &ServicePort)| port.transport() == Transport::Tcp;
    for (index, port) in service.spec.ports.iter().enumerate().filter(of_tcp) {
        let Some(id) = catalog.id(key, port.port) else { continue };
        let Some(layer) = port.speaks().map(crate::layer) else { continue };
        let routes = match layer {
            Layer::Request => of_services.of(key, port.port),
            Layer::Connection | Layer::Datagrams => None,
        };
        let plain = routes.is_none().then_some(rules.len());
        if plain.is_some() {
            rules.push(Arc::new(plainly(key, index, port, id)));
        }
        let listener = Arc::new(listener(key, port, routes.unwrap_or_default()));
        ports.push(Port { listener, layer, plain });
    }
    ports
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

/// The rule that leads to the endpoints of a Service's port.
fn plainly(service: &Key, index: usize, port: &ServicePort, id: usize) -> Rule {
    Rule {
        route: service.clone(),
        index,
        name: None,
        label: format!("{}/{}:{}", service.namespace, service.name, port.port).into(),
        chain: Chain::default(),
        backends: Backends::new(vec![Backend::whole(Target::Service(id))]),
        mirrors: Vec::new(),
        request_timeout: None,
        backend_timeout: None,
        retry: None,
        session: None,
    }
}

fn listener(service: &Key, port: &ServicePort, routes: Routes) -> Listener {
    let number = port.port.to_string();
    Listener {
        gateway: service.clone(),
        set: None,
        name: Name::parse(&number).expect("a number is a name"),
        port: port.port,
        protocol: Protocol::Http,
        is_passthrough: false,
        hostname: None,
        certificates: Vec::new(),
        min_version: TlsVersion::default(),
        client_validation: None,
        presented: Presented::default(),
        state: State::Serving,
        routes,
    }
}
