//! What a caller and a backend would see of a request.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use http::{HeaderMap, Method};
use policy::{Decision, Facts, Layer, Reason, Said, Scheme, Verdict};
use table::{Table, Target};

/// A request.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) port: u16,
    pub(crate) host: String,
    pub(crate) path: String,
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
}

/// All that can be told of an answer from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    /// The namespace of the Gateway.
    pub(crate) gateway: Option<String>,
    /// The namespace of the route.
    pub(crate) owner: Option<String>,
    pub(crate) listener: Option<String>,
    pub(crate) certificates: Vec<Vec<u8>>,
    pub(crate) rule: Option<String>,
    pub(crate) verdict: Result<(), Reason>,
    /// Whether the answer is changed on its way back.
    pub(crate) says_more: bool,
    pub(crate) backends: Vec<(u32, String)>,
    /// The namespaces of the Services to which it is led.
    pub(crate) led_to: BTreeSet<String>,
}

/// Asks the table.
pub(crate) fn observe(table: &Table, request: &Request) -> Seen {
    let facts = Facts {
        layer: Layer::Request,
        now: 0,
        source: IpAddr::V4(Ipv4Addr::LOCALHOST),
        scheme: Scheme::Http,
        port: request.port,
        host: &request.host,
        method: &request.method,
        path: &request.path,
        query: None,
        headers: &request.headers,
        peer: None,
        certificate: None,
        users: &[],
        sessions: &[],
        revoked: None,
    };
    let listener = table.listener(request.port, &request.host);
    let found = table.find(&facts);
    let rule = found.as_ref().ok().map(|found| found.rule);
    let verdict = found.as_ref().map_err(|reason| *reason).and_then(|found| {
        let chain = &found.rule.chain;
        let mut decision = chain.decide(&facts, found.prefix);
        loop {
            match decision {
                Decision::Done(Verdict::Pass(_)) => return Ok(()),
                Decision::Done(Verdict::Answer(answer)) => return Err(answer.reason),
                // Every limit is used up.
                Decision::Ask(pending) => {
                    let none = Said::Counted(Vec::new());
                    decision = chain.resume(*pending, &none, &facts, found.prefix);
                }
            }
        }
    });
    let certificates = listener.into_iter().flat_map(|listener| &listener.certificates);
    let backends = rule.into_iter().flat_map(|rule| rule.backends.iter());
    let led_to = backends.clone().filter_map(|one| match one.target {
        Target::Service(id) => Some(table.services[id].key.namespace.to_string()),
        Target::Broken(_) => None,
    });
    Seen {
        led_to: led_to.collect(),
        gateway: listener.map(|listener| listener.gateway.namespace.to_string()),
        owner: rule.map(|rule| rule.route.namespace.to_string()),
        listener: listener.map(|listener| format!("{}/{}", listener.gateway, listener.name)),
        certificates: certificates.map(|one| one.chain_pem.expose().to_vec()).collect(),
        rule: rule.map(|rule| rule.label.to_string()),
        verdict,
        says_more: rule.is_some_and(|rule| rule.chain.changes_response()),
        backends: backends.map(|one| (one.weight, target(table, one.target))).collect(),
    }
}

fn target(table: &Table, target: Target) -> String {
    match target {
        Target::Service(id) => {
            format!("{:?} {:?}", table.services[id].label, table.services[id].endpoints)
        }
        Target::Broken(reason) => reason.to_string(),
    }
}
