//! Which TrafficPolicy holds for which Service.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::traffic::TrafficPolicy;
use model::{Invalid, Key, Kind, Resource};

use crate::isolate::{IN_BROWSER, Settled, fault};

/// The policies by the Services that they hold for.
#[derive(Debug, Default)]
pub(crate) struct Traffic(BTreeMap<Key, Arc<TrafficPolicy>>);

impl Traffic {
    /// Of several for one Service the oldest holds, of one age the first by name; the others are faults
    /// there, and so are those of a Service that is not there.
    pub(crate) fn new(settled: &Settled, faults: &mut Vec<Invalid>) -> Self {
        let mut traffic = Traffic::default();
        // No browser is told of endpoints, or sends to them.
        if IN_BROWSER {
            return traffic;
        }
        for (key, policy) in by_age(settled) {
            for (index, service) in policy.targets().enumerate() {
                let path = format!("spec.targetRefs[{index}]");
                if settled.get(&service).is_none() {
                    if !settled.is_elsewhere(&service) {
                        let text = settled.absence(&service, &key.namespace);
                        faults.push(fault(key, &path, text));
                    }
                } else if let Some(other) = traffic.0.get(&service) {
                    let name = &other.metadata.name;
                    let text = format!("TrafficPolicy '{name}' holds for {service} already");
                    faults.push(fault(key, &path, text));
                } else {
                    traffic.0.insert(service, Arc::clone(policy));
                }
            }
        }
        traffic
    }

    /// What holds for a Service, if something is said of it.
    pub(crate) fn of(&self, service: &Key) -> Option<&Arc<TrafficPolicy>> {
        self.0.get(service)
    }
}

/// All policies, the oldest first.
fn by_age(settled: &Settled) -> Vec<(&Key, &Arc<TrafficPolicy>)> {
    let policies = settled.of_kind(Kind::TrafficPolicy);
    let policies = policies.filter_map(|(key, item)| match &item.resource {
        Resource::TrafficPolicy(policy) => Some((key, policy)),
        _ => None,
    });
    let mut policies: Vec<_> = policies.collect();
    policies.sort_by_key(|(_, policy)| policy.metadata.creation_timestamp);
    policies
}
