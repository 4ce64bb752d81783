//! What names a cluster lies where its workspace is.

use model::cluster::Reach;
use model::{Invalid, Key, Name, Resource, Scope};

use super::fault;
use crate::snapshot::CLUSTER;
use crate::world::World;

/// What is wrong with the clusters that an object names, as of a world.
pub(super) fn misplaced(world: &World, key: &Key, resource: &Resource) -> Vec<Invalid> {
    match resource {
        Resource::Workload(workload) => {
            let cluster = &workload.spec.cluster;
            elsewhere(world, key, "spec.cluster", cluster).into_iter().collect()
        }
        Resource::Gateway(gateway) => {
            let path = format!("metadata.labels['{CLUSTER}']");
            let cluster = gateway.metadata.labels.get(CLUSTER);
            let cluster = cluster.and_then(|word| Name::parse(word).ok());
            cluster.and_then(|cluster| elsewhere(world, key, &path, &cluster)).into_iter().collect()
        }
        Resource::AccessPolicy(_) | Resource::RateLimitPolicy(_) => of_policy(world, key, resource),
        _ => Vec::new(),
    }
}

/// Peers that no rule can mean: in a cluster where the policy's workspace is not. Where others are,
/// theirs to tell, nobody learns here.
fn of_policy(world: &World, key: &Key, policy: &Resource) -> Vec<Invalid> {
    let own = world.directory.scope(&key.namespace);
    let mut faults = Vec::new();
    for when in policy.whens() {
        for (at, peer) in when.conditions.workloads.iter().enumerate() {
            let namespace = peer.namespace.as_ref().unwrap_or(&key.namespace);
            let path = format!("{}.workloads[{at}].cluster", when.path());
            let cluster = peer.cluster.as_ref();
            let cluster = cluster.filter(|_| world.directory.scope(namespace) == own);
            faults.extend(cluster.and_then(|cluster| elsewhere(world, key, &path, cluster)));
        }
    }
    faults
}

fn elsewhere(world: &World, key: &Key, path: &str, cluster: &Name) -> Option<Invalid> {
    let Reach::In(clusters) = world.directory.reach(&key.namespace) else { return None };
    let Scope::Workspace(workspace) = world.directory.scope(&key.namespace) else { return None };
    if clusters.contains(cluster) {
        return None;
    }
    let known: Vec<_> = clusters.iter().map(Name::as_str).collect();
    let known = match known.as_slice() {
        [] => "no Cluster carries the labels that it selects".to_owned(),
        known => format!("it is in {}", known.join(", ")),
    };
    let text = format!("workspace '{workspace}' is not in the cluster '{cluster}'; {known}");
    Some(fault(key, path, text))
}
