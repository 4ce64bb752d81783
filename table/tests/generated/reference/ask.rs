//! What a table answers, in the words of the reference.

use std::net::{IpAddr, Ipv4Addr};

use model::Kind;
use policy::{Facts, Layer, Reason, Scheme};
use table::Table;

use super::generate::Request;
use super::naive::Answer;

pub(crate) fn ask(table: &Table, request: &Request) -> Answer {
    let facts = Facts {
        layer: Layer::Request,
        now: 0,
        source: IpAddr::V4(Ipv4Addr::LOCALHOST),
        scheme: Scheme::Http,
        port: request.port,
        host: &request.host,
        method: &request.method,
        path: &request.path,
        query: request.query.as_deref(),
        headers: &request.headers,
        peer: None,
        certificate: None,
        users: &[],
        sessions: &[],
        revoked: None,
    };
    let listener = table
        .listener(request.port, &request.host)
        .map(|one| format!("{}/{}/{}", one.gateway.namespace, one.gateway.name, one.name));
    match (table.find(&facts), listener) {
        (Err(Reason::NoListener), None) => Answer::NoListener,
        (Err(Reason::NoRoute), Some(listener)) => Answer::NoRoute { listener },
        (Ok(found), Some(listener)) => Answer::Rule {
            listener,
            route: format!("{}/{}", found.rule.route.namespace, found.rule.route.name),
            rule: found.rule.index,
            // Nothing can be put in the place of what leads calls.
            prefix: found
                .prefix
                .filter(|_| found.rule.route.kind == Kind::HttpRoute)
                .map(str::to_owned),
        },
        (found, listener) => panic!("{found:?} at {listener:?}"),
    }
}
