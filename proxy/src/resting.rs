//! The endpoints that get no requests, as the server is told, so that whoever owns them learns why.

use std::sync::Arc;

use wire::{Cause, Resting};

use crate::live::{Endpoint, Live, Service};

/// Each endpoint once, in order, at most [`wire::RESTING`] of them.
pub(crate) fn of(live: &Live) -> Vec<Resting> {
    let mut resting: Vec<_> = live.services.iter().flat_map(of_service(live)).collect();
    // What an HTTPRoute and a GRPCRoute lead to one port stands there twice.
    resting.sort();
    resting.dedup_by(|one, other| {
        (&one.service, one.port, one.address) == (&other.service, other.port, other.address)
    });
    resting.truncate(wire::RESTING);
    resting
}

fn of_service(live: &Live) -> impl Fn(&Arc<Service>) -> Vec<Resting> {
    move |service| {
        let table = &live.table.services[service.id];
        let rests =
            service.endpoints.iter().filter_map(|endpoint| Some((endpoint, cause(endpoint)?)));
        let told = rests.map(|(endpoint, cause)| Resting {
            service: (&table.key).into(),
            port: table.port,
            address: endpoint.address,
            cause,
            trouble: cut(&endpoint.load.trouble()).to_owned(),
        });
        told.collect()
    }
}

/// As much of a text as may be told.
fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(wire::TROUBLE)]
}

fn cause(endpoint: &Endpoint) -> Option<Cause> {
    if endpoint.load.is_ailing() {
        Some(Cause::Unhealthy)
    } else {
        endpoint.load.is_resting().then_some(Cause::Failing)
    }
}
