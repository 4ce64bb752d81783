//! What comes through the mesh to the workload that a proxy stands for.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use model::gateway::{Protocol, TlsVersion};
use model::identity::Peer;
use model::{Key, Name, Resource, workload};
use policy::{Border, Chain, Level, Stage};

use crate::assemble::attach::Around;
use crate::isolate::Settled;
use crate::service::Catalog;
use crate::{Backend, Backends, Listener, Presented, Rule, State, Target};

/// The workload of a proxy, and its ports.
#[derive(Debug)]
pub struct Inbound {
    /// The Workload.
    pub workload: Key,
    /// As whom its proxy speaks.
    pub peer: Peer,
    /// Where its proxy takes connections of the mesh.
    pub address: SocketAddr,
    /// By number: what the port is called, and the place of its rule in the table.
    ports: BTreeMap<u16, (Arc<Listener>, usize)>,
}

impl Inbound {
    /// A port of the application.
    pub(crate) fn port(&self, number: u16) -> Option<(&Arc<Listener>, usize)> {
        self.ports.get(&number).map(|(listener, place)| (listener, *place))
    }

    /// Whether its proxy takes connections of the mesh on this port.
    pub fn is_at(&self, port: u16) -> bool {
        self.address.port() == port
    }

    /// The place of the rule of an application's port.
    pub fn rule(&self, number: u16) -> Option<usize> {
        self.port(number).map(|(_, place)| place)
    }

    /// The ports of the application.
    pub fn ports(&self) -> impl Iterator<Item = u16> {
        self.ports.keys().copied()
    }
}

/// The ports of `own`, if it has a proxy and runs in `cluster`; their rules are added to `rules`, and where they lead to
/// the catalog.
pub(crate) fn open(
    (cluster, own): (&Name, &Key),
    around: Around<'_>,
    catalog: &mut Catalog<'_>,
    rules: &mut Vec<Arc<Rule>>,
) -> Option<Inbound> {
    let Resource::Workload(workload) = around.settled.get(own)? else { return None };
    let is_here = around.borders.are_in(&own.namespace, cluster);
    if workload.spec.cluster != *cluster || !is_here {
        return None;
    }
    let (ip, mesh) = (workload.address()?, workload.spec.mesh.as_ref()?);
    let mut inbound = Inbound {
        workload: own.clone(),
        peer: workload.peer(),
        address: SocketAddr::new(ip, mesh.port),
        ports: BTreeMap::new(),
    };
    for (index, port) in workload.spec.ports.iter().enumerate() {
        let Some(protocol) = port.speaks() else { continue };
        let above = services(around.settled, workload, port);
        let levels = above.iter().filter_map(|key| around.policies.level(key, None)).cloned();
        let levels: Vec<_> = levels.collect();
        let Some(chain) = chain(own, levels, &above, around) else { continue };
        // Where nobody but this proxy reaches it.
        let address = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port.port);
        let id = catalog.local(own, address, protocol);
        let backend = Backend::whole(Target::Service(id));
        let (place, name) = (rules.len(), named(port));
        rules.push(Arc::new(Rule {
            route: own.clone(),
            index,
            name: port.name.clone(),
            label: format!("{}/{}/{name}", own.namespace, own.name).into(),
            chain,
            backends: Backends::new(vec![backend]),
            mirrors: Vec::new(),
            request_timeout: None,
            backend_timeout: None,
            retry: None,
            session: None,
        }));
        inbound.ports.insert(port.port, (Arc::new(listener(own, name, port.port)), place));
    }
    Some(inbound)
}

/// The Services of which a port of theirs leads to this one.
fn services(
    settled: &Settled,
    workload: &workload::Workload,
    port: &workload::WorkloadPort,
) -> Vec<Key> {
    let all = settled.of_kind(model::Kind::Service);
    let leads = all.filter(|(_, item)| {
        let Resource::Service(service) = &item.resource else { return false };
        let mut ports = service.spec.ports.iter();
        workload.is_selected(service) && ports.any(|one| workload.port_of(one) == Some(port))
    });
    let lost = settled.lost.iter().filter(|key| {
        // One that cannot be read may mean this workload: what protects it does, too.
        key.kind == model::Kind::Service && key.namespace == workload.metadata.namespace
    });
    leads.map(|(key, _)| key.clone()).chain(lost.cloned()).collect()
}

/// What is asked before the application: the policies of every Service, and where none speaks the
/// workspace.
fn chain(
    own: &Key,
    levels: Vec<Arc<Level>>,
    services: &[Key],
    around: Around<'_>,
) -> Option<Chain> {
    let denied = around.borders.denial(services.first().unwrap_or(own));
    let denied = denied.filter(|_| !levels.iter().any(|level| level.speaks()));
    let border = Border { stage: Stage::Published, denied };
    Some(Chain::compile(levels, &[]).ok()?.within(border))
}

fn named(port: &workload::WorkloadPort) -> Name {
    let number = || Name::parse(&port.port.to_string()).expect("a number is a name");
    port.name.clone().unwrap_or_else(number)
}

fn listener(own: &Key, name: Name, port: u16) -> Listener {
    Listener {
        gateway: own.clone(),
        set: None,
        name,
        port,
        protocol: Protocol::Http,
        is_passthrough: false,
        hostname: None,
        certificates: Vec::new(),
        min_version: TlsVersion::default(),
        client_validation: None,
        presented: Presented::default(),
        state: State::Serving,
        routes: crate::route::Routes::default(),
    }
}
