//! What a change does to objects that it does not write: it rules over some, and leads traffic by
//! others. Whoever makes it must be able to do that with each (ADR 026).

use std::collections::BTreeSet;
use std::net::IpAddr;

use model::access::{Asked, Denied, Rights};
use model::role::Verb;
use model::service::{EndpointSlice, Service};
use model::workload::Workload;
use model::{Key, Kind, Name, Resource, Scope};

use super::{Draft, api_of};
use crate::claims::{Holder, Overlap, Stakes};
use crate::lookup;
use crate::world::World;

/// An object that an edit reaches without naming it, and that who asks may not reach so.
#[derive(Debug)]
pub(super) struct Reached {
    /// What is edited.
    by: Key,
    /// What of it reaches the other, in words.
    wanted: String,
    /// What is reached.
    target: Key,
    why: Denied,
}

impl Reached {
    /// What is said where the other may be read; else only whose it is.
    pub(super) fn told(&self) -> Option<(Key, Denied)> {
        let is_told = self.why != Denied::Hidden;
        is_told.then(|| (self.target.clone(), self.why.clone()))
    }
}

impl Draft {
    /// What an edit names: what it rules over, as it was and as it is to be, and what it uses and did
    /// not before.
    pub(super) fn reaches(
        &self,
        rights: &Rights,
        before: Option<&Resource>,
        after: Option<&Resource>,
    ) -> Result<(), (Key, Denied)> {
        let may = |verb, target: &Key| {
            self.may(rights, verb, target).map_err(|why| (target.clone(), why))
        };
        let was = before.map(ruled).unwrap_or_default();
        // What is gone is nobody's to ask for.
        for target in was.iter().filter(|target| self.is_known(target)) {
            may(Verb::Update, target)?;
        }
        let Some(after) = after else { return Ok(()) };
        for target in &ruled(after) - &was {
            may(Verb::Update, &target)?;
        }
        let was = before.map(|before| used(before, &self.world)).unwrap_or_default();
        for target in &used(after, &self.after) - &was {
            // That nothing is there, the proxies' compiler tells whoever may know it.
            let verb = if self.is_known(&target) { Verb::Use } else { Verb::Read };
            may(verb, &target)?;
        }
        Ok(())
    }

    /// What the edits reach without naming it, and may not.
    pub(super) fn reached(&self, rights: &Rights) -> Vec<Reached> {
        let mut reached = Vec::new();
        for (key, edit) in &self.edits {
            let Some(after) = edit.after() else { continue };
            let before = self.world.objects.get(key).map(|object| &object.resource);
            let scope = self.after.directory.scope(&key.namespace);
            let all = |verb, kind| rights.is_all(verb, kind, &scope);
            let found = match after {
                Resource::Service(service) if !all(Verb::Use, Kind::Workload) => {
                    self.selected(service, before)
                }
                Resource::Workload(workload) if !all(Verb::Update, Kind::Service) => {
                    self.selecting(workload, before)
                }
                Resource::EndpointSlice(slice)
                    if !all(Verb::Use, Kind::Workload) || !all(Verb::Use, Kind::Service) =>
                {
                    self.addressed(slice, before, &scope)
                }
                Resource::HttpRoute(_) | Resource::GrpcRoute(_)
                    if !all(Verb::Use, Kind::HttpRoute) || !all(Verb::Use, Kind::GrpcRoute) =>
                {
                    self.overtaken(rights, after, before, &scope)
                }
                _ => continue,
            };
            reached.extend(found.into_iter().filter_map(|(verb, target, wanted)| {
                let why = self.may(rights, verb, &target).err()?;
                Some(Reached { by: key.clone(), wanted, target, why })
            }));
        }
        reached
    }

    /// Whose the hidden ones are, and whom to ask.
    pub(super) fn hidden(&self, reached: &[Reached]) -> Vec<Overlap> {
        let directory = &self.after.directory;
        let hidden = reached.iter().filter(|one| one.told().is_none());
        let overlaps = hidden.map(|one| {
            let scope = directory.scope(&one.target.namespace);
            let api = self.after.known(&one.target).and_then(api_of);
            let api = api.and_then(|name| directory.api(&scope, &name));
            let (holder, ask) = match api {
                Some(api) => {
                    let ask = vec![format!("team '{}'", api.spec.owner)];
                    (Holder::Api(api.metadata.name.clone()), ask)
                }
                None => (Holder::Scope(scope.clone()), directory.owners(&scope)),
            };
            let (key, wanted) = (one.by.clone(), one.wanted.clone());
            Overlap { key, wanted, holder, by: None, ask }
        });
        overlaps.collect()
    }

    /// The Workloads that a Service selects, and did not before.
    fn selected(&self, service: &Service, before: Option<&Resource>) -> Vec<(Verb, Key, String)> {
        let before = match before {
            Some(Resource::Service(before)) => Some(before),
            _ => None,
        };
        let workloads = self.after.of_kind(Kind::Workload).filter_map(|(key, object)| {
            let Resource::Workload(workload) = &object.resource else { return None };
            let was = match self.world.objects.get(key).map(|object| &object.resource) {
                Some(Resource::Workload(was)) => before.is_some_and(|one| was.is_selected(one)),
                _ => false,
            };
            (workload.is_selected(service) && !was).then(|| key.clone())
        });
        let wanted = "a Workload that spec.selector fits".to_owned();
        workloads.map(|key| (Verb::Use, key, wanted.clone())).collect()
    }

    /// The Services that select a Workload, and did not before: it is to have their requests.
    fn selecting(
        &self,
        workload: &Workload,
        before: Option<&Resource>,
    ) -> Vec<(Verb, Key, String)> {
        let before = match before {
            Some(Resource::Workload(before)) => Some(before),
            _ => None,
        };
        let services = self.after.of_kind(Kind::Service).filter_map(|(key, object)| {
            let Resource::Service(service) = &object.resource else { return None };
            let was = match self.world.objects.get(key).map(|object| &object.resource) {
                Some(Resource::Service(was)) => before.is_some_and(|one| one.is_selected(was)),
                _ => false,
            };
            (workload.is_selected(service) && !was).then(|| key.clone())
        });
        let wanted = "a Service that metadata.labels fit".to_owned();
        services.map(|key| (Verb::Update, key, wanted.clone())).collect()
    }

    /// The Services and Workloads of a scope at whose addresses a slice has endpoints, and had not
    /// before.
    fn addressed(
        &self,
        slice: &EndpointSlice,
        before: Option<&Resource>,
        scope: &Scope,
    ) -> Vec<(Verb, Key, String)> {
        let was = match before {
            Some(Resource::EndpointSlice(before)) => addresses(before),
            _ => BTreeSet::new(),
        };
        let new = &addresses(slice) - &was;
        if new.is_empty() {
            return Vec::new();
        }
        let own = (&slice.metadata.namespace, slice.service());
        let at = |(address, port): &(IpAddr, u16)| format!("an endpoint at {address}, port {port}");
        let in_scope = |kind| {
            self.after.of_kind(kind).filter(|(key, _)| self.after.is_in(&key.namespace, scope))
        };
        let services = in_scope(Kind::EndpointSlice).filter_map(|(key, object)| {
            let Resource::EndpointSlice(other) = &object.resource else { return None };
            let service = other.service()?;
            let is_own = (&key.namespace, Some(&service)) == (own.0, own.1.as_ref());
            let twice = new.intersection(&addresses(other)).next().filter(|_| !is_own).map(at)?;
            let service = Key::new(Kind::Service, key.namespace.clone(), service);
            Some((Verb::Use, service, twice))
        });
        let workloads = in_scope(Kind::Workload).filter_map(|(key, object)| {
            let Resource::Workload(workload) = &object.resource else { return None };
            let address = workload.address()?;
            let mesh = workload.spec.mesh.iter().map(|mesh| mesh.port);
            let mut ports = workload.spec.ports.iter().map(|port| port.port).chain(mesh);
            let twice = ports.find(|port| new.contains(&(address, *port)))?;
            Some((Verb::Use, key.clone(), at(&(address, twice))))
        });
        services.chain(workloads).collect()
    }

    /// The routes of a scope that answered what a route would now, and no other of its Api did.
    fn overtaken(
        &self,
        rights: &Rights,
        route: &Resource,
        before: Option<&Resource>,
        scope: &Scope,
    ) -> Vec<(Verb, Key, String)> {
        let Some(stakes) = Stakes::of(route) else { return Vec::new() };
        let (own, api) = (route.key(), api_of(route));
        let near: Vec<_> = self
            .world
            .grounds
            .rivals(route)
            .into_iter()
            .filter(|key| *key != own && self.world.is_in(&key.namespace, scope))
            .filter_map(|key| Some((self.world.known(&key)?, key)))
            .collect();
        let is_of_api = |one: &&Resource| api.is_some() && api_of(one) == api;
        let beside: Vec<_> =
            near.iter().map(|(one, _)| *one).filter(is_of_api).filter_map(Stakes::of).collect();
        let before = before.and_then(Stakes::of);
        let others = near.iter().filter(|(_, key)| self.may(rights, Verb::Use, key).is_err());
        let taken = others.filter_map(|(other, key)| {
            let ground =
                stakes.taken_from(&Stakes::of(other)?, before.as_ref(), &beside)?.to_string();
            Some((Verb::Use, key.clone(), ground))
        });
        taken.collect()
    }

    /// Whether an object stands before or after the change.
    fn is_known(&self, key: &Key) -> bool {
        [&self.world, &self.after]
            .iter()
            .any(|world| world.objects.contains_key(key) || world.aside(key).is_some())
    }

    /// Whether this may be done with an object as it was and as it is to be. Of what is not there and
    /// is not made by the same change only its place is known.
    fn may(&self, rights: &Rights, verb: Verb, key: &Key) -> Result<(), Denied> {
        let whole = ["spec".to_owned()];
        let changed = if verb == Verb::Update { &whole[..] } else { &[] };
        let ask = |api: Option<Name>, world: &World| {
            let (scope, api) = (&world.directory.scope(&key.namespace), api.as_ref());
            rights.permit(&Asked { verb, key, scope, api, changed }).map(drop)
        };
        if let Some(aside) = self.world.aside(key) {
            return ask(aside.api(), &self.world);
        }
        let of = |world: &World| Some(api_of(&world.objects.get(key)?.resource));
        match (of(&self.world), of(&self.after)) {
            (Some(before), after) => {
                ask(before, &self.world)?;
                after.map_or(Ok(()), |after| ask(after, &self.after))
            }
            // It is made by the same change, which is asked for by itself.
            (None, Some(_)) => Ok(()),
            (None, None) => ask(None, &self.after),
        }
    }
}

/// The objects that an object rules over without being one of them.
fn ruled(resource: &Resource) -> BTreeSet<Key> {
    let meta = resource.meta();
    let key = |kind, name: &Name| Key::new(kind, meta.namespace.clone(), name.clone());
    match resource {
        Resource::EndpointSlice(slice) => {
            slice.service().iter().map(|name| key(Kind::Service, name)).collect()
        }
        Resource::AccessPolicy(policy) => {
            let targets = policy.spec.target_refs.iter();
            targets.map(|target| key(target.kind.kind(), &target.name)).collect()
        }
        // Whoever attaches a route to a Service leads its callers.
        Resource::HttpRoute(_) | Resource::GrpcRoute(_) => {
            let services = resource.parent_refs().iter().filter(|parent| parent.is_service());
            services.map(|parent| parent.key(&meta.namespace)).collect()
        }
        _ => BTreeSet::new(),
    }
}

/// The Services and Secrets that an object leads traffic by, in its own workspace: references into
/// others are refused for everybody.
fn used(resource: &Resource, world: &World) -> BTreeSet<Key> {
    let ruled = ruled(resource);
    let scope = world.directory.scope(&resource.meta().namespace);
    let named = lookup::references(resource, world).into_iter().filter_map(|one| {
        let kind =
            Kind::parse(&one.kind).filter(|kind| matches!(kind, Kind::Service | Kind::Secret))?;
        Some(Key::new(kind, Name::parse(&one.namespace).ok()?, Name::parse(&one.name).ok()?))
    });
    named.filter(|key| !ruled.contains(key) && world.is_in(&key.namespace, &scope)).collect()
}

/// Where a slice has endpoints.
fn addresses(slice: &EndpointSlice) -> BTreeSet<(IpAddr, u16)> {
    let addresses = slice.endpoints.iter().flat_map(|endpoint| &endpoint.addresses);
    let ports: Vec<_> = slice.ports.iter().filter_map(|port| port.port).collect();
    let at = |address: IpAddr| ports.iter().map(move |port| (address, *port));
    addresses.filter_map(|word| word.parse().ok()).flat_map(at).collect()
}
