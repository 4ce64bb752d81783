//! In which zones the endpoints of a Service are, where those near by are preferred.
//!
//! Who sends compares them with its own zone; where nothing is preferred, nobody is told of them.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use model::service::Service as Source;
use model::traffic::{TrafficPolicy, Zones};

use crate::service::Endpoint;

/// Whether a Service's requests go to endpoints of their sender's zone first: as its policy says, or else as
/// it wishes itself.
pub(crate) fn are_preferred(service: &Source, policy: Option<&TrafficPolicy>) -> bool {
    match policy.and_then(|policy| policy.spec.balance.zones) {
        Some(Zones::Prefer) => true,
        Some(Zones::Ignore) => false,
        None => service.prefers_zone(),
    }
}

/// Tells endpoints where they are, of what is known to be in zones.
pub(crate) fn tell<'a>(
    endpoints: &mut [Endpoint],
    known: impl Iterator<Item = (SocketAddr, &'a str)>,
) {
    let mut all: HashMap<SocketAddr, Vec<Arc<str>>> = HashMap::new();
    for (address, zone) in known {
        all.entry(address).or_default().push(zone.into());
    }
    for endpoint in endpoints {
        endpoint.zones = all.get(&endpoint.address).cloned().unwrap_or_default();
    }
}
