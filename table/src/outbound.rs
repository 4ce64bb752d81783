//! What the application beside a proxy sends: to which Service, by the name that it calls.
//!
//! `orders`, `orders.shop`, `orders.shop.svc` and `orders.shop.svc.cluster.local` mean the Service
//! `shop/orders`, the first to an application of `shop` alone.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use model::{Key, Kind, Name, Resource};
use policy::{Chain, Scheme};

use crate::assemble::attach::Around;
use crate::service::Catalog;
use crate::{Backend, Backends, Listener, Rule, State, Target};

/// Where a proxy takes what its application sends, and what each name means.
#[derive(Debug)]
pub struct Outbound {
    /// Where, for the application alone.
    pub address: SocketAddr,
    own: Name,
    listener: Arc<Listener>,
    /// The ports of Services, each with the place of its rule in the table; by namespace and name.
    services: HashMap<(Name, Name), Vec<(u16, usize)>>,
}

impl Outbound {
    /// The listener, and the place of the rule that a call of `host` meets: that of `port` where the
    /// call says one, else that of 80, or of the only one.
    pub(crate) fn called(&self, host: &str, port: Option<u16>) -> Option<(&Arc<Listener>, usize)> {
        let (name, rest) = host.split_once('.').unwrap_or((host, ""));
        let rest = rest.strip_suffix(".svc.cluster.local").unwrap_or(rest);
        let namespace = match rest.strip_suffix(".svc").unwrap_or(rest) {
            "" => self.own.clone(),
            word => Name::parse(word).ok()?,
        };
        let ports = self.services.get(&(namespace, Name::parse(name).ok()?))?;
        let of = |wanted: u16| ports.iter().find(|(number, _)| *number == wanted);
        let found = match (port, &ports[..]) {
            (Some(port), _) => of(port),
            (None, [only]) => Some(only),
            (None, _) => of(Scheme::Http.well_known_port()),
        };
        found.map(|(_, place)| (&self.listener, *place))
    }
}

/// What the application of `own` may call: every port of every Service that is known. Whether it may,
/// the proxies of their workloads say.
pub(crate) fn open(
    own: &Key,
    around: Around<'_>,
    catalog: &Catalog<'_>,
    rules: &mut Vec<Arc<Rule>>,
) -> Option<Outbound> {
    let Resource::Workload(workload) = around.settled.get(own)? else { return None };
    let port = workload.spec.mesh.as_ref()?.outbound?;
    let mut outbound = Outbound {
        address: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port),
        own: own.namespace.clone(),
        listener: Arc::new(listener(own, port)),
        services: HashMap::new(),
    };
    for (key, item) in around.settled.of_kind(Kind::Service) {
        let Resource::Service(service) = &item.resource else { continue };
        let mut ports = Vec::new();
        for (index, port) in service.spec.ports.iter().enumerate() {
            let number = port.port;
            let Some(id) = catalog.id(key, number) else { continue };
            ports.push((number, rules.len()));
            rules.push(Arc::new(Rule {
                route: key.clone(),
                index,
                name: None,
                label: format!("{}/{}:{number}", key.namespace, key.name).into(),
                chain: Chain::default(),
                backends: Backends::new(vec![Backend { weight: 1, target: Target::Service(id) }]),
                mirrors: Vec::new(),
                request_timeout: None,
                backend_timeout: None,
            }));
        }
        outbound.services.insert((key.namespace.clone(), key.name.clone()), ports);
    }
    Some(outbound)
}

fn listener(own: &Key, port: u16) -> Listener {
    Listener {
        gateway: own.clone(),
        name: Name::parse("outbound").expect("'outbound' is a name"),
        port,
        scheme: Scheme::Http,
        hostname: None,
        certificates: Vec::new(),
        state: State::Serving,
        routes: crate::route::Routes::default(),
    }
}
