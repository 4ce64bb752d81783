//! What a policy closes that this program knows only by name: its targets, as whoever sent it says.

use model::api::LABEL;
use model::{Key, Kind, Name, Scope};

use crate::Closed;
use crate::assemble::borders::Borders;
use crate::isolate::Settled;
use crate::isolate::closing::Place;

/// All that it closes. What is not there yet is closed once it is.
pub(super) fn places(settled: &Settled, borders: &Borders, closed: &Closed) -> Vec<Place> {
    let all = closed.targets.iter().flat_map(|target| of_target(settled, borders, target));
    all.map(|object| Place { object, section: None }).collect()
}

fn of_target(settled: &Settled, borders: &Borders, target: &Key) -> Vec<Key> {
    let scope = borders.scope(&target.namespace);
    match target.kind {
        Kind::Gateway
        | Kind::ListenerSet
        | Kind::HttpRoute
        | Kind::GrpcRoute
        | Kind::TlsRoute
        | Kind::TcpRoute
        | Kind::UdpRoute
        | Kind::Service => vec![target.clone()],
        Kind::Workspace => {
            let workspace = Scope::Workspace(target.name.clone());
            // Of one that nobody knows it is the namespace of its name, as where it says nothing.
            let is_unknown = !borders.is_known(&target.name);
            let is_meant = |key: &Key| {
                borders.scope(&key.namespace) == workspace
                    || (is_unknown && key.namespace == target.name)
            };
            let services = services(settled).filter(|key| is_meant(key));
            services.chain(routes(settled, |key, _| is_meant(key))).collect()
        }
        Kind::Api => routes(settled, |key, api| {
            borders.scope(&key.namespace) == scope && api == Some(target.name.as_str())
        }),
        // Nothing here says what these protect, so all of their namespace is closed.
        Kind::ReferenceGrant
        | Kind::Namespace
        | Kind::EndpointSlice
        | Kind::Workload
        | Kind::Secret
        | Kind::ConfigMap
        | Kind::Consumer
        | Kind::AuthnPolicy
        | Kind::AccessPolicy
        | Kind::RateLimitPolicy
        | Kind::TrafficPolicy
        | Kind::BackendTlsPolicy
        | Kind::Claim
        | Kind::Cluster
        | Kind::Team
        | Kind::Role
        | Kind::Grant
        | Kind::LoginProvider => of_namespace(settled, &target.namespace),
    }
}

/// Every Gateway, ListenerSet, Service and route of a namespace.
fn of_namespace(settled: &Settled, namespace: &Name) -> Vec<Key> {
    let kinds = [Kind::Gateway, Kind::ListenerSet].into_iter();
    let gateways = kinds.flat_map(|kind| settled.of_kind(kind)).map(|(key, _)| key.clone());
    let doors = gateways.chain(services(settled)).filter(|key| key.namespace == *namespace);
    doors.chain(routes(settled, |key, _| key.namespace == *namespace)).collect()
}

/// The Services, those included that have no good form.
pub(super) fn services(settled: &Settled) -> impl Iterator<Item = Key> {
    let good = settled.of_kind(Kind::Service).map(|(key, _)| key);
    let lost = settled.lost.iter().filter(|key| key.kind == Kind::Service);
    good.chain(lost).cloned()
}

/// The routes that are meant, by key and label, those included that have no good form.
fn routes(settled: &Settled, is_meant: impl Fn(&Key, Option<&str>) -> bool) -> Vec<Key> {
    let good = settled.routes().map(|(key, route)| {
        let label = route.source.metadata.labels.get(LABEL);
        (key, label.map(String::as_str))
    });
    let strays = settled.strays.iter().map(|stray| (&stray.key, stray.api.as_deref()));
    let meant = good.chain(strays).filter(|(key, api)| is_meant(key, *api));
    meant.map(|(key, _)| key.clone()).collect()
}
