//! Services: a port of a Service with the endpoints that are ready behind it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use model::identity::Peer;
use model::route::BackendRef;
use model::service::{AppProtocol, Endpoint as Sliced, EndpointSlice, ServicePort, Transport};
use model::traffic::TrafficPolicy;
use model::workload::Workload;
use model::{Key, Kind, Name, Resource};
use policy::Reason;

use crate::Target;
use crate::assemble::borders::Borders;
use crate::assemble::encryptions::Encryptions;
use crate::assemble::policies::Policies;
use crate::assemble::traffic::Traffic;
use crate::encryption::Encryption;
use crate::isolate::Settled;
use crate::isolate::absent::listed;
use crate::route::Leads;
use crate::zones;

/// One port of a Service.
#[derive(Debug, Clone, PartialEq)]
pub struct Service {
    /// Its place in [`Table::services`](crate::Table::services).
    pub id: usize,
    /// The Service.
    pub key: Key,
    /// The port that routes name.
    pub port: u16,
    /// What is spoken behind it.
    pub protocol: AppProtocol,
    /// The endpoints that are ready, each once, in order; none means 503.
    pub endpoints: Vec<Endpoint>,
    /// `namespace/name:port`, for metrics and logs.
    pub label: Arc<str>,
    /// How requests are spread over its endpoints, where something is said of that.
    pub traffic: Option<Arc<TrafficPolicy>>,
    /// How what goes to its endpoints is encrypted, but to those that are reached through a proxy.
    pub encryption: Encryption,
}

/// Where an application listens.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Endpoint {
    /// Its address and port.
    pub address: SocketAddr,
    /// The proxy that it is reached through; plainly where there is none.
    pub through: Option<Arc<Through>>,
    /// Whether it is in another cluster than whoever sends: it is asked when no nearer one answers.
    pub is_far: bool,
    /// The zones from which it is near; none where near ones are not preferred.
    pub zones: Vec<Arc<str>>,
}

impl Service {
    /// Whether it gets requests only in the place of another backend that takes none.
    pub fn is_fallback(&self) -> bool {
        self.traffic.as_ref().is_some_and(|policy| policy.spec.fallback)
    }
}

impl Endpoint {
    /// Here, and reached straight.
    pub fn plain(address: SocketAddr) -> Self {
        Endpoint { address, through: None, is_far: false, zones: Vec::new() }
    }
}

/// A workload's proxy.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Through {
    /// Where it takes connections of the mesh.
    pub address: SocketAddr,
    /// Who must be there.
    pub peer: Peer,
}

/// A port of a Service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    namespace: Name,
    name: Name,
    port: u16,
    /// What is sent there.
    leads: Leads,
}

/// The Service ports that routes name, built once for each.
pub(crate) struct Catalog<'a> {
    settled: &'a Settled,
    ids: BTreeMap<Place, usize>,
    services: Vec<Arc<Service>>,
}

impl<'a> Catalog<'a> {
    /// Builds what the routes name; a service that did not change, its id included, stays the very
    /// one of `before`.
    pub(crate) fn new(
        settled: &'a Settled,
        guards: &Guards<'_>,
        (traffic, encryptions): (&Traffic, &Encryptions),
        before: &[Arc<Service>],
    ) -> Self {
        let slices = slices_by_service(settled);
        let workloads = workloads_by_namespace(settled);
        let mut catalog = Catalog { settled, ids: BTreeMap::new(), services: Vec::new() };
        let mut all = wanted(settled);
        if guards.is_mesh {
            all.append(&mut every(settled));
        }
        for place in all {
            let id = catalog.services.len();
            let Some(mut service) = build(settled, &slices, &workloads, guards, &place, id) else {
                continue;
            };
            service.traffic = traffic.of(&service.key).cloned();
            let port = port(settled, &service.key, service.port, place.leads.transport());
            if let Some(Resource::Service(source)) = settled.get(&service.key)
                && zones::are_preferred(source, service.traffic.as_deref())
                && let Some(port) = port
            {
                let (slices, workloads) = of_service(&service.key, &slices, &workloads);
                // Others may have the same addresses, and say nothing of these.
                let is_meant = |one: &&&Workload| guards.means_near(source, one);
                let told = zoned(slices, workloads.iter().filter(is_meant), port);
                zones::tell(&mut service.endpoints, told);
            }
            let encryption = port.map(|port| encryptions.of(&service.key, port));
            let lost = || Encryption::Closed("its port is not there".into());
            service.encryption = encryption.unwrap_or_else(lost);
            if guards.want_proxy(&service.key) {
                service.endpoints.retain(|endpoint| endpoint.through.is_some());
            }
            let kept = before.get(id).filter(|old| ***old == service).cloned();
            catalog.services.push(kept.unwrap_or_else(|| Arc::new(service)));
            catalog.ids.insert(place, id);
        }
        catalog
    }

    /// Whether references lead to the same places as among `others`.
    pub(crate) fn has_ids_of(&self, others: &[Arc<Service>]) -> bool {
        let others = others.iter().filter(|other| other.key.kind == Kind::Service);
        let named = |one: &Arc<Service>| (Arc::clone(&one.label), one.protocol);
        self.services.iter().map(named).eq(others.map(named))
    }

    /// Where a reference of a route leads, or what is wrong with it.
    pub(crate) fn target(&self, route: &Key, to: &BackendRef) -> Result<Target, (Reason, String)> {
        if !to.group.is_empty() || to.kind != "Service" {
            let group = if to.group.is_empty() { "the core group" } else { &to.group };
            let text = format!("{} of {group} is no backend; use a Service", to.kind);
            return Err((Reason::BackendMissing, text));
        }
        let namespace = to.namespace.as_ref().unwrap_or(&route.namespace);
        let service = Key::new(Kind::Service, namespace.clone(), to.name.clone());
        if !self.settled.permits(route, &service) {
            return Err((Reason::BackendNotAllowed, Settled::not_permitted(route, &service)));
        }
        let leads = Leads::of(route.kind);
        let place = to.port.map(|port| Place {
            namespace: namespace.clone(),
            name: to.name.clone(),
            port,
            leads,
        });
        let Some(&id) = place.as_ref().and_then(|place| self.ids.get(place)) else {
            return Err(
                match to.port.and_then(|number| self.is_carried(&service, number, route)) {
                    Some(text) => (Reason::BackendProtocol, text),
                    None => (Reason::BackendMissing, self.missing(&service, to.port, route)),
                },
            );
        };
        let Service { protocol, label, .. } = &*self.services[id];
        match (protocol, leads) {
            (_, Leads::Connections | Leads::Datagrams) => Ok(Target::Service(id)),
            // No request leads to a port of UDP: it is another one than that of TCP of its number.
            (AppProtocol::Udp, Leads::Requests | Leads::Calls) => {
                Err((Reason::BackendProtocol, format!("{label} carries UDP")))
            }
            (AppProtocol::Tcp, Leads::Requests | Leads::Calls) => {
                let text = format!(
                    "{label} carries TCP, and {} leads requests; use a TCPRoute or TLSRoute",
                    route.kind
                );
                Err((Reason::BackendProtocol, text))
            }
            (AppProtocol::Http1, Leads::Calls) => {
                let text = format!(
                    "{label} speaks HTTP/1.1, and gRPC needs HTTP/2; say appProtocol: grpc at the \
                     Service's port"
                );
                Err((Reason::BackendProtocol, text))
            }
            (AppProtocol::Http1 | AppProtocol::H2c, Leads::Requests)
            | (AppProtocol::H2c, Leads::Calls) => Ok(Target::Service(id)),
        }
    }

    /// What is wrong with a port that is there, and is carried by something else than what a route leads.
    fn is_carried(&self, service: &Key, number: u16, route: &Key) -> Option<String> {
        let leads = Leads::of(route.kind);
        let other = match leads.transport() {
            Transport::Tcp | Transport::Sctp => Transport::Udp,
            Transport::Udp => Transport::Tcp,
        };
        let port = port(self.settled, service, number, other)?;
        let Key { namespace, name, .. } = service;
        let instead = match (other, leads) {
            (Transport::Udp, _) => "use a UDPRoute",
            (Transport::Tcp | Transport::Sctp, _) => "say protocol: UDP at the Service's port",
        };
        let (carried, kind) = (port.transport().as_str(), route.kind);
        let led = leads.transport().as_str();
        Some(format!(
            "port {number} of {namespace}/{name} is one of {carried}, and {kind} leads to {led}; {instead}"
        ))
    }

    fn missing(&self, service: &Key, port: Option<u16>, route: &Key) -> String {
        let (settled, from) = (self.settled, &route.namespace);
        if settled.lost.contains(service) {
            return settled.lack(service);
        }
        let instead = match settled.get(service) {
            Some(Resource::Service(there)) => {
                let transport = Leads::of(route.kind).transport();
                let fit = there.spec.ports.iter().filter(|port| port.transport() == transport);
                listed(fit.map(|one| one.port.to_string()))
            }
            Some(_) | None => settled.meant(service, from),
        };
        match port {
            Some(port) => format!("no {service} with port {port}{instead}"),
            None => format!("no port of {service} is named{instead}"),
        }
    }

    /// The place of a port of a Service.
    pub(crate) fn id(&self, service: &Key, port: u16) -> Option<usize> {
        let (namespace, name) = (service.namespace.clone(), service.name.clone());
        self.ids.get(&Place { namespace, name, port, leads: Leads::Requests }).copied()
    }

    /// The place of a port of the workload that this node stands for.
    pub(crate) fn local(
        &mut self,
        workload: &Key,
        address: SocketAddr,
        protocol: AppProtocol,
    ) -> usize {
        let id = self.services.len();
        let Key { namespace, name, .. } = workload;
        let port = address.port();
        self.services.push(Arc::new(Service {
            id,
            key: workload.clone(),
            port,
            protocol,
            endpoints: vec![Endpoint::plain(address)],
            label: format!("{namespace}/{name}:{port}").into(),
            traffic: None,
            encryption: Encryption::None,
        }));
        id
    }

    /// The services, by id.
    pub(crate) fn finish(self) -> Vec<Arc<Service>> {
        self.services
    }
}

/// Which Services are guarded at their workloads: there nothing may go past a proxy.
pub(crate) struct Guards<'a> {
    pub(crate) policies: &'a Policies,
    pub(crate) borders: &'a Borders,
    /// Whether an application sends, whom no edge has judged.
    pub(crate) is_mesh: bool,
    /// The cluster from which is sent.
    pub(crate) cluster: Option<&'a Name>,
}

impl Guards<'_> {
    fn want_proxy(&self, service: &Key) -> bool {
        self.policies.level(service, None).is_some()
            || (self.is_mesh && self.borders.denial(service).is_some())
    }

    /// Whether a Service means a workload of its namespace, which is where its workspace is.
    fn means(&self, service: &model::service::Service, workload: &Workload) -> bool {
        let (namespace, cluster) = (&service.metadata.namespace, &workload.spec.cluster);
        workload.is_selected(service) && self.borders.are_in(namespace, cluster)
    }

    /// The same of those in the cluster from which is sent.
    fn means_near(&self, service: &model::service::Service, workload: &Workload) -> bool {
        let is_near = self.cluster.is_none_or(|own| *own == workload.spec.cluster);
        is_near && self.means(service, workload)
    }
}

/// Every Service port.
fn every(settled: &Settled) -> BTreeSet<Place> {
    let services = settled.of_kind(Kind::Service).filter_map(|(_, item)| match &item.resource {
        Resource::Service(service) => Some(service),
        _ => None,
    });
    let places = services.flat_map(|service| {
        let meta = &service.metadata;
        // No application sends datagrams through the mesh.
        let ports = service.spec.ports.iter().filter(|port| port.transport() == Transport::Tcp);
        ports.map(|port| Place {
            namespace: meta.namespace.clone(),
            name: meta.name.clone(),
            port: port.port,
            leads: Leads::Requests,
        })
    });
    places.collect()
}

/// Every Service port that a route could reach.
fn wanted(settled: &Settled) -> BTreeSet<Place> {
    let mut places = BTreeSet::new();
    for (key, route) in settled.routes() {
        for rule in &route.source.spec.rules {
            let backends = rule.backend_refs.iter().map(|to| (&to.namespace, &to.name, to.port));
            let mirrors = rule.mirrors().map(|(_, mirror)| {
                let to = &mirror.backend_ref;
                (&to.namespace, &to.name, to.port)
            });
            for (namespace, name, port) in backends.chain(mirrors) {
                let namespace = namespace.as_ref().unwrap_or(&key.namespace).clone();
                let service = Key::new(Kind::Service, namespace, name.clone());
                if let Some(port) = port.filter(|_| settled.permits(key, &service)) {
                    let Key { namespace, name, .. } = service;
                    places.insert(Place { namespace, name, port, leads: route.leads });
                }
            }
        }
    }
    places
}

type Slices<'a> = BTreeMap<(Name, Name), Vec<&'a EndpointSlice>>;

fn slices_by_service(settled: &Settled) -> Slices<'_> {
    let mut slices = Slices::new();
    for (key, item) in settled.of_kind(Kind::EndpointSlice) {
        if let Resource::EndpointSlice(slice) = &item.resource
            && let Some(service) = slice.service()
        {
            slices.entry((key.namespace.clone(), service)).or_default().push(slice);
        }
    }
    slices
}

type Workloads<'a> = BTreeMap<&'a Name, Vec<&'a Workload>>;

fn workloads_by_namespace(settled: &Settled) -> Workloads<'_> {
    let mut workloads = Workloads::new();
    for (key, item) in settled.of_kind(Kind::Workload) {
        if let Resource::Workload(workload) = &item.resource {
            workloads.entry(&key.namespace).or_default().push(workload);
        }
    }
    workloads
}

/// The slices of a Service, and the workloads of its namespace.
fn of_service<'s, 'a>(
    service: &Key,
    slices: &'s Slices<'a>,
    workloads: &'s Workloads<'a>,
) -> (&'s [&'a EndpointSlice], &'s [&'a Workload]) {
    let slices = slices.get(&(service.namespace.clone(), service.name.clone()));
    let workloads = workloads.get(&service.namespace);
    (slices.map_or(&[][..], Vec::as_slice), workloads.map_or(&[][..], Vec::as_slice))
}

fn build(
    settled: &Settled,
    slices: &Slices<'_>,
    workloads: &Workloads<'_>,
    guards: &Guards<'_>,
    place: &Place,
    id: usize,
) -> Option<Service> {
    let Place { namespace, name, port: number, leads } = place;
    let key = Key::new(Kind::Service, namespace.clone(), name.clone());
    let Resource::Service(service) = settled.get(&key)? else { return None };
    let port = port(settled, &key, *number, leads.transport())?;
    let mut protocol = match leads {
        Leads::Requests | Leads::Calls => port.speaks()?,
        // Whatever is spoken goes through as it comes.
        Leads::Connections => AppProtocol::Tcp,
        Leads::Datagrams => AppProtocol::Udp,
    };
    let (slices, workloads) = of_service(&key, slices, workloads);
    let sliced = slices.iter().flat_map(|slice| ready(slice, port));
    let sliced = sliced.map(|(address, _)| Endpoint::plain(address));
    let selected = workloads.iter().filter(|workload| guards.means(service, workload));
    let selected =
        selected.filter_map(|workload| endpoint(workload, port, protocol, guards.cluster));
    let endpoints: BTreeSet<_> = sliced.chain(selected).collect();
    // What a port speaks that does not say it, who calls it knows; but the proxy beside an application
    // knows no caller's routes.
    let is_plain = !guards.is_mesh && endpoints.iter().all(|one| one.through.is_none());
    if *leads == Leads::Calls && is_plain && port.app_protocol.is_none() {
        protocol = AppProtocol::H2c;
    }
    Some(Service {
        id,
        key,
        port: *number,
        protocol,
        endpoints: endpoints.into_iter().collect(),
        label: format!("{namespace}/{name}:{number}").into(),
        traffic: None,
        encryption: Encryption::None,
    })
}

/// A port of a Service, by its number and what carries it.
fn port<'s>(
    settled: &'s Settled,
    service: &Key,
    number: u16,
    transport: Transport,
) -> Option<&'s ServicePort> {
    let Resource::Service(service) = settled.get(service)? else { return None };
    let mut ports = service.spec.ports.iter();
    ports.find(|port| (port.port, port.transport()) == (number, transport))
}

/// Where a workload is that a Service's port means, as seen from a cluster. Its proxy takes requests or
/// bytes, as the workload's port says: what is sent as the other is nothing that it could judge. Datagrams
/// it takes none, and nothing goes past it.
fn endpoint(
    workload: &Workload,
    port: &ServicePort,
    protocol: AppProtocol,
    from: Option<&Name>,
) -> Option<Endpoint> {
    let (ip, port) = (workload.address()?, workload.port_of(port)?);
    let takes_bytes = port.speaks() == Some(AppProtocol::Tcp);
    let is_taken = match protocol {
        AppProtocol::Http1 | AppProtocol::H2c => !takes_bytes,
        AppProtocol::Tcp => takes_bytes,
        AppProtocol::Udp => false,
    };
    if workload.spec.mesh.is_some() && !is_taken {
        return None;
    }
    let port = port.port;
    let through = workload.spec.mesh.as_ref().map(|mesh| {
        Arc::new(Through { address: SocketAddr::new(ip, mesh.port), peer: workload.peer() })
    });
    let is_far = from.is_some_and(|from| *from != workload.spec.cluster);
    Some(Endpoint { address: SocketAddr::new(ip, port), through, is_far, zones: Vec::new() })
}

/// In which zones that is said to be which a Service's port means.
fn zoned<'a>(
    slices: &'a [&EndpointSlice],
    workloads: impl Iterator<Item = &'a &'a Workload>,
    port: &'a ServicePort,
) -> impl Iterator<Item = (SocketAddr, &'a str)> {
    let sliced = slices.iter().flat_map(|slice| ready(slice, port));
    let sliced = sliced.flat_map(|(at, endpoint)| endpoint.zones().map(move |zone| (at, zone)));
    let workloads = workloads.filter_map(|workload| {
        let address = SocketAddr::new(workload.address()?, workload.port_of(port)?.port);
        Some((address, workload.zone()?))
    });
    sliced.chain(workloads)
}

/// The ready endpoints of a slice behind the Service's port, matched by the port's name and by what carries
/// it.
fn ready<'a>(slice: &'a EndpointSlice, port: &ServicePort) -> Vec<(SocketAddr, &'a Sliced)> {
    let wanted = port.name.as_deref().unwrap_or_default();
    let same = slice.ports.iter().filter(|at| {
        let transport = at.protocol.unwrap_or_default();
        at.name.as_deref().unwrap_or_default() == wanted && transport == port.transport()
    });
    let numbers: Vec<u16> = same.filter_map(|at| at.port).collect();
    let ready = slice.endpoints.iter().filter(|endpoint| endpoint.conditions.ready != Some(false));
    let addresses = ready.filter_map(|endpoint| {
        Some((endpoint.addresses.first()?.parse::<IpAddr>().ok()?, endpoint))
    });
    let at = |(address, endpoint): (IpAddr, &'a Sliced)| {
        numbers.iter().map(move |&number| (SocketAddr::new(address, number), endpoint))
    };
    addresses.flat_map(at).collect()
}
