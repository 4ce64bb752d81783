//! What a change does to objects that it does not write: it rules over some, and leads traffic by
//! others. Whoever makes it must be able to do that with each (ADR 026).

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use model::access::{Asked, Denied, Rights};
use model::gateway::Listener;
use model::role::Verb;
use model::route::HttpRoute;
use model::{Hostname, Invalid, Key, Kind, Name, Resource, Scope};

use super::{Draft, api_of, fault};
use crate::claims::{Budget, Holder, Overlap, Spent, Stakes};
use crate::edit::Edit;
use crate::lookup;
use crate::refusal::Refusal;
use crate::world::{Unreadable, World};

/// Said of a change that would take too long to be judged.
const TOO_MUCH: &str = "has, with what is there of other Apis, too much to be compared in one change; \
                        write less at once";

/// The new objects among edits that others may wait for by name.
pub(crate) fn created<'e>(world: &World, edits: impl IntoIterator<Item = &'e Edit>) -> Vec<Key> {
    let new = edits.into_iter().filter(|edit| edit.after().is_some()).map(Edit::key);
    let is_named = |key: &Key| {
        key.kind.is_route()
            || is_held(key.kind)
            || key.kind.has_listeners()
            || key.kind == Kind::Service
    };
    new.filter(|key| is_named(key) && !world.objects.contains_key(key)).collect()
}

/// Whether objects of a kind hold what others prove themselves or their callers by.
const fn is_held(kind: Kind) -> bool {
    matches!(kind, Kind::Secret | Kind::ConfigMap)
}

/// The objects that may wait for others.
fn waiting(world: &World) -> impl Iterator<Item = (&Key, &Resource)> {
    let policies = Kind::GUARDS.into_iter().chain([Kind::TrafficPolicy, Kind::BackendTlsPolicy]);
    let others = [Kind::Gateway, Kind::ListenerSet, Kind::Workload];
    let kinds = policies.chain(others).chain(Kind::ROUTES);
    let all = kinds.flat_map(|kind| world.of_kind(kind));
    all.map(|(key, object)| (key, &object.resource))
}

/// Those of some names that an object of a world waits for.
pub(crate) fn waited_for(world: &World, names: Vec<Key>) -> Vec<Key> {
    if names.is_empty() {
        return names;
    }
    let named = waiting(world).flat_map(|(_, other)| {
        let (ruled, used) = (ruled(other), used(other, world));
        ruled.into_iter().chain(used)
    });
    let named: BTreeSet<_> = named.collect();
    names.into_iter().filter(|key| named.contains(key)).collect()
}

/// A kind with its article.
fn a(kind: Kind) -> String {
    let word = kind.as_str();
    let is_vowel = word.starts_with("HTTP") || word.starts_with(['A', 'E', 'I', 'O', 'U']);
    format!("{} {word}", if is_vowel { "an" } else { "a" })
}

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
    ///
    /// # Errors
    /// Where it cannot be told: there is too much to compare, or something that cannot be read.
    pub(super) fn reached(&self, rights: &Rights) -> Result<Vec<Reached>, Refusal> {
        let (mut reached, mut faults) = (Vec::new(), Vec::new());
        let mut near = Near::new(self, rights);
        let mut budget = Budget::new();
        for (key, edit) in &self.edits {
            let Some(after) = edit.after() else { continue };
            let before = self.world.objects.get(key).map(|object| &object.resource);
            let scope = self.after.directory.scope(&key.namespace);
            let all = |verb, kind| rights.is_all(verb, kind, &scope);
            let leads = [Kind::Service, Kind::EndpointSlice];
            let is_free = all(Verb::Use, Kind::Workload)
                && leads.iter().all(|kind| all(Verb::Update, *kind))
                && (key.kind != Kind::Workload || all(Verb::Update, Kind::Workload));
            let met = match after {
                Resource::Service(_) | Resource::Workload(_) | Resource::EndpointSlice(_)
                    if !is_free =>
                {
                    let was = before.map(endpoints);
                    if was.as_ref() != Some(&endpoints(after)) {
                        faults.extend(self.untold(key, &scope));
                    }
                    self.met(after, before, &scope, &mut budget)
                }
                other
                    if (other.kind().is_route() || other.kind().has_listeners())
                        && !Kind::ROUTES.iter().all(|kind| all(Verb::Use, *kind)) =>
                {
                    near.overtaken(after, before, &scope, &mut budget)
                }
                _ => Ok(Vec::new()),
            };
            let Ok(met) = met else {
                faults.push(fault(key, "spec", TOO_MUCH));
                break;
            };
            reached.extend(met.into_iter().filter_map(|met| self.reach(rights, key, met)));
        }
        match (self.awaited(rights, &mut budget), self.edits.keys().next()) {
            (Ok(met), _) => {
                let met = met.into_iter();
                reached.extend(met.filter_map(|(key, met)| self.reach(rights, &key, met)));
            }
            (Err(Spent), first) => {
                faults.extend(first.map(|key| fault(key, "spec", TOO_MUCH)));
            }
        }
        if faults.is_empty() { Ok(reached) } else { Err(Refusal::Invalid(faults)) }
    }

    /// What an edit meets, if that may not be.
    fn reach(&self, rights: &Rights, by: &Key, met: Met) -> Option<Reached> {
        let Met { verb, target, wanted } = met;
        let why = self.may(rights, verb, &target).err()?;
        Some(Reached { by: by.clone(), wanted, target, why })
    }

    /// Whose the hidden ones are, and whom to ask.
    pub(super) fn hidden(&self, reached: &[Reached]) -> Vec<Overlap> {
        let hidden = reached.iter().filter(|one| one.told().is_none());
        let overlaps = hidden.map(|one| {
            let (holder, ask) = self.holder(&one.target);
            let (key, wanted) = (one.by.clone(), one.wanted.clone());
            Overlap { key, wanted, holder, by: None, ask }
        });
        overlaps.collect()
    }

    /// What an object is called before somebody: where they may not read it, only whose it is.
    pub(super) fn called(&self, rights: &Rights, key: &Key) -> String {
        if self.may(rights, Verb::Read, key).is_ok() {
            return key.to_string();
        }
        match self.holder(key) {
            (holder, ask) if ask.is_empty() => format!("something of {holder}"),
            (holder, ask) => format!("something of {holder} (ask {})", ask.join(" or ")),
        }
    }

    /// A new fault for which the change is refused, as it is told: one of what who makes it could mend, or
    /// of what has the owner of what is changed. What is others' is theirs to see: it is no reason to keep
    /// for them what is somebody's own, and it is not told who needs that.
    pub(super) fn told(&self, rights: &Rights, fault: Invalid) -> Option<Invalid> {
        let Some(key) = fault.key.clone() else { return Some(fault) };
        if self.edits.contains_key(&key) || self.may(rights, Verb::Update, &key).is_ok() {
            return Some(fault);
        }
        let owner = |key: &Key| {
            let known = [&self.after, &self.world].into_iter().find_map(|world| world.known(key));
            (self.after.directory.scope(&key.namespace), known.and_then(api_of))
        };
        let own = owner(&key);
        if !self.edits.keys().any(|edited| owner(edited) == own) {
            return None;
        }
        if self.may(rights, Verb::Read, &key).is_ok() {
            return Some(fault);
        }
        let reason = format!("{} would not work any more", self.called(rights, &key));
        Some(Invalid { key: None, path: String::new(), line: None, reason, nearest: None })
    }

    /// Whose an object is, and whom to ask about it.
    fn holder(&self, key: &Key) -> (Holder, Vec<String>) {
        let directory = &self.after.directory;
        let scope = directory.scope(&key.namespace);
        let api = [&self.after, &self.world].into_iter().find_map(|world| world.known(key));
        let api = api.and_then(api_of).and_then(|name| directory.api(&scope, &name));
        match api {
            Some(api) => {
                let ask = vec![format!("team '{}'", api.spec.owner)];
                (Holder::Api(api.metadata.name.clone()), ask)
            }
            None => (Holder::Scope(scope.clone()), directory.owners(&scope)),
        }
    }

    /// Takes out of an overlap what may not be read. Who holds a host by a Claim everybody is told.
    pub(super) fn veil(&self, rights: &Rights, overlap: &mut Overlap) {
        let is_hidden =
            |key: &Key| key.kind != Kind::Claim && self.may(rights, Verb::Read, key).is_err();
        if overlap.by.as_ref().is_some_and(|(by, _)| is_hidden(by)) {
            overlap.by = None;
        }
    }

    /// Why it cannot be told what an edit meets: endpoints of this scope that cannot be read.
    fn untold(&self, key: &Key, scope: &Scope) -> Option<Invalid> {
        let is_one = |one: &&Unreadable| {
            one.scope == *scope && LEADING.iter().any(|kind| one.key.kind == kind.as_str())
        };
        self.world.unreadable.values().find(is_one)?;
        let text = "whether it leads to what is another Api's cannot be told, since this version of \
                    heddle-server cannot read some endpoints here; ask somebody who may edit all of them";
        Some(fault(key, "spec", text))
    }

    /// The Services, Workloads and slices of a scope that a Service, Workload or slice meets, and did not
    /// before: by a selector, by the name of a Service, as the same peer, or at an address.
    fn met(
        &self,
        after: &Resource,
        before: Option<&Resource>,
        scope: &Scope,
        budget: &mut Budget,
    ) -> Result<Vec<Met>, Spent> {
        let own = after.key();
        let new = &addresses(after) - &before.map(addresses).unwrap_or_default();
        let others = LEADING.into_iter().flat_map(|kind| self.after.of_kind(kind));
        let others =
            others.filter(|(key, _)| **key != own && self.after.is_in(&key.namespace, scope));
        let mut met = Vec::new();
        for (key, object) in others {
            budget.spend(10)?;
            let other = &object.resource;
            let was = self.world.objects.get(key).map(|object| &object.resource);
            let is_new = |meets: fn(&Resource, &Resource) -> bool| {
                meets(after, other)
                    && !before.zip(was).is_some_and(|(one, other)| meets(one, other))
            };
            for (verb, words, meets) in MEETINGS {
                if is_new(meets) {
                    met.push(Met { verb, target: key.clone(), wanted: words.to_owned() });
                }
            }
            let twice = if new.is_empty() {
                None
            } else {
                new.intersection(&addresses(other)).next().copied()
            };
            let Some((address, port)) = twice else { continue };
            // A slice is its Service's.
            let target = ruled(other).pop_first().filter(|_| key.kind == Kind::EndpointSlice);
            let target = target.unwrap_or_else(|| key.clone());
            if !ruled(after).contains(&target) {
                let wanted = format!("an endpoint at {address}, port {port}");
                met.push(Met { verb: Verb::Use, target, wanted });
            }
        }
        Ok(met)
    }

    /// The new objects of the change for whose names others wait: those would rule over them, or lead
    /// traffic by them, and nobody was asked. Of one whose name an object of the same Api had last, its
    /// owner was.
    fn awaited(&self, rights: &Rights, budget: &mut Budget) -> Result<Vec<(Key, Met)>, Spent> {
        let new: BTreeSet<_> = created(&self.world, self.edits.values()).into_iter().collect();
        let is_anew = |key: &Key| {
            let after = self.edits.get(key).and_then(Edit::after);
            self.formerly.get(key).zip(after).is_some_and(|(was, after)| *was == api_of(after))
        };
        let mut met = Vec::new();
        if new.iter().all(is_anew) {
            return Ok(met);
        }
        for (key, other) in waiting(&self.after) {
            let scope = self.after.directory.scope(&key.namespace);
            if new.contains(key) || rights.is_all(Verb::Update, key.kind, &scope) {
                continue;
            }
            budget.spend(10)?;
            for named in ruled(other).union(&used(other, &self.after)) {
                let is_met = new.contains(named) && !is_anew(named);
                if is_met && self.after.is_in(&named.namespace, &scope) {
                    let wanted = format!("what waits for that name, {}", a(key.kind));
                    let target = key.clone();
                    met.push((named.clone(), Met { verb: Verb::Update, target, wanted }));
                }
            }
        }
        Ok(met)
    }

    /// Whether an object stands before or after the change.
    fn is_known(&self, key: &Key) -> bool {
        [&self.world, &self.after]
            .iter()
            .any(|world| world.objects.contains_key(key) || world.aside(key).is_some())
    }

    /// Whether this may be done with an object as it was and as it is to be. Of what is not there and
    /// is not made by the same change only its place is known.
    pub(super) fn may(&self, rights: &Rights, verb: Verb, key: &Key) -> Result<(), Denied> {
        let whole = ["spec".to_owned()];
        let changed = if verb == Verb::Update { &whole[..] } else { &[] };
        let ask = |api: Option<Name>, world: &World| {
            let (scope, api) = (&world.directory.scope(&key.namespace), api.as_ref());
            let asked = Asked { verb, key, scope, api, changed };
            world.directory.permit(rights, &asked).map(drop)
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

/// An object that another one meets, what must be allowed with it for that, and by what it is met, in
/// words.
struct Met {
    verb: Verb,
    target: Key,
    wanted: String,
}

/// Kinds that lead to endpoints, or are some.
const LEADING: [Kind; 3] = [Kind::Service, Kind::Workload, Kind::EndpointSlice];

/// How what is written meets another object: what must be allowed with that, in which words, and whether
/// it does.
type Meeting = (Verb, &'static str, fn(&Resource, &Resource) -> bool);

const MEETINGS: [Meeting; 4] = [
    (Verb::Use, "a Workload that spec.selector fits", selects),
    (Verb::Update, "a Service that metadata.labels fit", |one, other| selects(other, one)),
    (Verb::Update, "an EndpointSlice for that name", |one, other| names(other, one)),
    (Verb::Update, "a Workload of that spec.serviceAccount", are_one_peer),
];

/// The routes near those of a change, with what was found out of them.
struct Near<'d> {
    draft: &'d Draft,
    rights: &'d Rights,
    /// The hosts that routes of the change have, or had; every one where one of them names none.
    hosts: Option<Vec<&'d Hostname>>,
    /// Whether they may not be used.
    denied: BTreeMap<Key, bool>,
    stakes: BTreeMap<Key, Option<Stakes<'d>>>,
}

impl<'d> Near<'d> {
    fn new(draft: &'d Draft, rights: &'d Rights) -> Self {
        let was = draft.edits.keys().filter_map(|key| draft.world.objects.get(key));
        let was = was.map(|object| &object.resource);
        let is = draft.edits.values().filter_map(|edit| edit.after());
        let routes: Vec<_> = was.chain(is).filter(|one| one.kind().is_route()).collect();
        let names = routes.iter().flat_map(|route| route.hostnames()).collect();
        let is_every = routes.iter().any(|route| route.hostnames().is_empty());
        let hosts = if is_every { None } else { Some(names) };
        Near { draft, rights, hosts, denied: BTreeMap::new(), stakes: BTreeMap::new() }
    }

    /// The routes of a scope on whose ground a route is, or a listener, where neither it was
    /// before nor another one of its Api is.
    fn overtaken(
        &mut self,
        after: &'d Resource,
        before: Option<&'d Resource>,
        scope: &Scope,
        budget: &mut Budget,
    ) -> Result<Vec<Met>, Spent> {
        let world = &*self.draft.world;
        let (own, api) = (after.key(), api_of(after));
        // Shares among backends, filters and the like are nobody else's.
        if before.is_some_and(|before| api_of(before) == api && are_one_ground(before, after)) {
            return Ok(Vec::new());
        }
        let rivals = world.grounds.rivals(after);
        budget.spend(rivals.len())?;
        let near =
            rivals.into_iter().filter(|key| *key != own && world.is_in(&key.namespace, scope));
        let near: Vec<_> = near.filter_map(|key| Some((world.known(&key)?, key))).collect();
        for (route, key) in &near {
            if !self.stakes.contains_key(key) {
                let denied = self.draft.may(self.rights, Verb::Use, key).is_err();
                self.denied.insert(key.clone(), denied);
                self.stakes.insert(key.clone(), Stakes::of(route, self.hosts.as_deref(), budget)?);
            }
        }
        let is_denied = |key: &Key| self.denied.get(key) == Some(&true);
        if after.kind().has_listeners() {
            let met = near.iter().filter(|(_, key)| is_denied(key));
            let host = newly_heard(after, before);
            let met = met.filter_map(|(route, key)| {
                let host = host.iter().find(|host| is_at(route, host))?;
                Some(Met { verb: Verb::Use, target: key.clone(), wanted: host.to_string() })
            });
            return Ok(met.collect());
        }
        let Some(stakes) = Stakes::of(after, None, budget)? else { return Ok(Vec::new()) };
        let is_of_api = |one: &Resource| api.is_some() && api_of(one) == api;
        let beside = near.iter().filter(|(one, _)| is_of_api(one));
        let beside: Vec<_> = beside.filter_map(|(_, key)| self.stakes.get(key)?.as_ref()).collect();
        let before = match before {
            Some(before) => Stakes::of(before, None, budget)?,
            None => None,
        };
        let mut met = Vec::new();
        for (_, key) in near.iter().filter(|(_, key)| is_denied(key)) {
            let Some(Some(other)) = self.stakes.get(key) else { continue };
            let taken = stakes.taken_from(other, before.as_ref(), &beside, budget)?;
            if let Some(ground) = taken {
                met.push(Met { verb: Verb::Use, target: key.clone(), wanted: ground.to_string() });
            }
        }
        Ok(met)
    }
}

/// Whether two forms of a route ask for the same requests at the same places.
fn are_one_ground(one: &Resource, other: &Resource) -> bool {
    let matches = |route: &HttpRoute| -> Vec<_> {
        route.spec.rules.iter().map(|rule| rule.matches.clone()).collect()
    };
    let (Some(one_route), Some(other_route)) = (one.as_route(), other.as_route()) else {
        return false;
    };
    one.parent_refs() == other.parent_refs()
        && one.hostnames() == other.hostnames()
        && matches(&one_route) == matches(&other_route)
}

/// The hosts that listeners of an object name, and did not before on their ports. A listener has its host
/// whole, so it takes that from routes on any other one.
fn newly_heard<'r>(after: &'r Resource, before: Option<&Resource>) -> Vec<&'r Hostname> {
    let was = before.map(Resource::listeners).unwrap_or_default();
    let is_new = |one: &&Listener| {
        !was.iter().any(|old| (old.port, &old.hostname) == (one.port, &one.hostname))
    };
    after.listeners().iter().filter(is_new).filter_map(|one| one.hostname.as_ref()).collect()
}

/// Whether a route may have requests for a host.
fn is_at(route: &Resource, host: &Hostname) -> bool {
    let own = route.hostnames();
    own.is_empty() || own.iter().any(|own| own.intersect(host).is_some())
}

/// Whether a Service selects a Workload.
fn selects(one: &Resource, other: &Resource) -> bool {
    match (one, other) {
        (Resource::Service(service), Resource::Workload(workload)) => workload.is_selected(service),
        _ => false,
    }
}

/// Whether a slice names a Service.
fn names(one: &Resource, other: &Resource) -> bool {
    match (one, other) {
        (Resource::EndpointSlice(slice), Resource::Service(service)) => {
            let (slice, own) = ((&slice.metadata.namespace, slice.service()), &service.metadata);
            slice == (&own.namespace, Some(own.name.clone()))
        }
        _ => false,
    }
}

/// Whether two Workloads are the same to policies.
fn are_one_peer(one: &Resource, other: &Resource) -> bool {
    match (one, other) {
        (Resource::Workload(one), Resource::Workload(other)) => one.peer() == other.peer(),
        _ => false,
    }
}

/// By what an object leads to endpoints, or is led to: addresses, and labels.
fn endpoints(resource: &Resource) -> (BTreeSet<(IpAddr, u16)>, BTreeMap<String, String>) {
    let labels = match resource {
        Resource::Service(service) => service.spec.selector.clone(),
        other => other.meta().labels.clone(),
    };
    (addresses(resource), labels)
}

/// Where an object has endpoints: a slice those that it lists, a Workload itself and its proxy, which
/// also listens for what the application sends and would take others for it.
fn addresses(resource: &Resource) -> BTreeSet<(IpAddr, u16)> {
    let (addresses, ports): (Vec<_>, Vec<_>) = match resource {
        Resource::EndpointSlice(slice) => {
            let addresses = slice.endpoints.iter().flat_map(|endpoint| &endpoint.addresses);
            let addresses = addresses.filter_map(|word| word.parse::<IpAddr>().ok());
            (addresses.collect(), slice.ports.iter().filter_map(|port| port.port).collect())
        }
        Resource::Workload(workload) => {
            let mesh = workload.spec.mesh.iter().flat_map(|mesh| mesh.ports());
            let mesh = mesh.map(|(port, _)| port);
            let ports = workload.spec.ports.iter().map(|port| port.port).chain(mesh);
            (workload.address().into_iter().collect(), ports.collect())
        }
        _ => return BTreeSet::new(),
    };
    let at = |address: IpAddr| ports.iter().map(move |port| (place(address), *port));
    addresses.into_iter().flat_map(at).collect()
}

/// One address for each place: what listens on a loopback address may listen on all of them.
fn place(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        address if address.is_loopback() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        address => address,
    }
}

/// The objects that an object rules over without being one of them.
pub(super) fn ruled(resource: &Resource) -> BTreeSet<Key> {
    let meta = resource.meta();
    let key = |kind, name: &Name| Key::new(kind, meta.namespace.clone(), name.clone());
    match resource {
        Resource::EndpointSlice(slice) => {
            slice.service().iter().map(|name| key(Kind::Service, name)).collect()
        }
        Resource::TrafficPolicy(policy) => policy.targets().collect(),
        Resource::BackendTlsPolicy(policy) => policy.targets().collect(),
        // Whoever attaches a route to a Service leads its callers.
        route if route.kind().is_route() => {
            let services = resource.parent_refs().iter().filter(|parent| parent.is_service());
            services.map(|parent| parent.key(&meta.namespace)).collect()
        }
        other => {
            let targets = other.guarded().into_iter().flatten();
            targets.map(|target| key(target.kind.kind(), &target.name)).collect()
        }
    }
}

/// The Services, Secrets and ConfigMaps that an object leads traffic by, or lets others do so, in its own
/// workspace: of references into others their ReferenceGrants decide, whoever makes them.
fn used(resource: &Resource, world: &World) -> BTreeSet<Key> {
    let ruled = ruled(resource);
    let scope = world.directory.scope(&resource.meta().namespace);
    let named = lookup::references(resource, world).into_iter().filter_map(|one| {
        let kind =
            Kind::parse(&one.kind).filter(|kind| is_held(*kind) || *kind == Kind::Service)?;
        Some(Key::new(kind, Name::parse(&one.namespace).ok()?, Name::parse(&one.name).ok()?))
    });
    named.filter(|key| !ruled.contains(key) && world.is_in(&key.namespace, &scope)).collect()
}

#[cfg(test)]
mod tests;
