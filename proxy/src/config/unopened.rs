//! Ports that could not be opened, told as what the node rejects of the Gateways that want them.

use model::service::Transport;
use model::{Name, Resource};
use wire::Rejection;

use super::held::Served;
use super::status::Status;
use crate::ApplyError;

/// A rejection for each listener whose port is not open, of what is served.
pub(super) fn rejections(
    failed: &[ApplyError],
    served: &Served,
    status: &Status,
) -> Vec<Rejection> {
    let each = failed
        .iter()
        .flat_map(|failed| failed.listeners.iter().map(move |(owner, name)| (failed, owner, name)));
    let told = each.filter_map(|(failed, owner, name)| {
        let key = wire::Key::from(owner);
        let generation = served.state.objects.get(&key)?.generation;
        let path = path(status.resource(owner).as_ref(), name, failed.port)?;
        // In an older form it may stand at another place than in what was sent.
        let is_older = served.good.contains_key(&key);
        let path = if is_older { "spec.listeners".to_owned() } else { path };
        let of = match failed.transport {
            Transport::Tcp => "",
            Transport::Udp | Transport::Sctp => " of UDP",
        };
        let reason = format!("port {}{of} is not open: {}", failed.port, failed.reason);
        Some(Rejection { key, generation, path, reason, closed: Vec::new() })
    });
    told.collect()
}

/// Where a Gateway or ListenerSet says the port of a listener, or a Workload one of its proxy's; none if it has no such
/// listener, or port, any more.
fn path(owner: Option<&Resource>, name: &Name, port: u16) -> Option<String> {
    let owner = owner?;
    let listeners = match owner {
        Resource::Gateway(_) | Resource::ListenerSet(_) => owner.listeners(),
        Resource::Workload(workload) => {
            let mut ports = workload.spec.mesh.as_ref()?.ports();
            let (_, field) = ports.find(|(number, _)| *number == port)?;
            return Some(format!("spec.mesh.{field}"));
        }
        _ => return None,
    };
    let at = listeners.iter().position(|one| one.name == *name)?;
    Some(format!("spec.listeners[{at}].port"))
}
