//! Policies that protect: compiled, and gathered into one level for each thing they are attached to.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::consumer::Consumer;
use model::policy::PolicyTargetRef;
use model::secret::Secret;
use model::{Invalid, Key, Kind, Name, Resource};
use policy::{CompiledAuthn, CompiledLimits, CompiledPolicy, Level, access, authn, limit};

use crate::assemble::borders::Borders;
use crate::assemble::{Assembly, unknown};
use crate::isolate::closing::{Closing, Place};
use crate::isolate::{Settled, fault};
use crate::listener::Listener;

/// The levels by what they are attached to, and what the next assembly may take over.
#[derive(Debug, Default)]
pub(crate) struct Policies {
    levels: BTreeMap<Place, Arc<Level>>,
    /// The targets of each policy that exist.
    places: BTreeMap<Key, BTreeSet<Place>>,
    compiled: BTreeMap<Key, Compiled>,
    closed: BTreeSet<Key>,
}

/// A policy with what it was compiled from.
#[derive(Debug, Clone)]
struct Compiled {
    source: Resource,
    /// The Secrets that it asked for, and what it got.
    asked: Vec<(Name, Option<Arc<Secret>>)>,
    /// The Consumers that it got, where it asked for them.
    consumers: Option<Vec<Arc<Consumer>>>,
    result: Result<Made, Vec<Invalid>>,
}

/// What a policy is compiled to.
#[derive(Debug, Clone)]
enum Made {
    Authn(Arc<CompiledAuthn>),
    Access(Arc<CompiledPolicy>),
    Limits(Arc<CompiledLimits>),
}

/// The policies of one place while they are gathered.
#[derive(Debug, Default)]
struct Gathered {
    policies: policy::Policies,
    closed_by: Option<By>,
}

/// What closes a place.
#[derive(Debug)]
enum By {
    Policy(Key),
    /// One that is known only by name.
    Name(Arc<str>),
}

impl Policies {
    /// Compiles every policy; one that does not compile closes its targets.
    pub(crate) fn compile(
        settled: &Settled,
        borders: &Borders,
        previous: Option<&Assembly>,
        faults: &mut Vec<Invalid>,
    ) -> Self {
        let mut gathered = BTreeMap::<Place, Gathered>::new();
        let (mut policies, mut doubts) = (Policies::default(), Vec::new());
        let guards = Kind::GUARDS.into_iter().flat_map(|kind| settled.of_kind(kind));
        for (key, item) in guards {
            let source = &item.resource;
            let Some(written) = source.guarded() else { continue };
            let before = previous.and_then(|assembly| assembly.policies.compiled.get(key));
            let same = before.filter(|before| before.still_holds(settled, source));
            let compiled = same.cloned().unwrap_or_else(|| Compiled::new(settled, source));
            let Targets { there, shut } = targets(settled, key, written, faults);
            for place in &there {
                gathered.entry(place.clone()).or_default().add(key, &compiled);
            }
            for place in shut {
                gathered.entry(place).or_default().close(key);
                policies.closed.insert(key.clone());
            }
            policies.places.insert(key.clone(), there);
            match &compiled.result {
                Ok(Made::Authn(policy)) => doubts.extend(policy.doubts().iter().cloned()),
                Ok(Made::Access(_) | Made::Limits(_)) => {}
                Err(reasons) => {
                    faults.extend(reasons.iter().cloned().map(|one| closes(key, one)));
                    policies.closed.insert(key.clone());
                }
            }
            policies.compiled.insert(key.clone(), compiled);
        }
        // What several policies see is wrong once.
        doubts.sort_by(|one, other| (&one.key, &one.path).cmp(&(&other.key, &other.path)));
        doubts.dedup_by(|one, other| (&one.key, &one.path) == (&other.key, &other.path));
        faults.append(&mut doubts);
        for closing in &settled.closings {
            for place in closed_places(settled, closing) {
                if settled.kept.contains(&closing.policy) {
                    faults.push(beyond(&closing.policy, &place));
                }
                gathered.entry(place).or_default().close(&closing.policy);
            }
            policies.closed.insert(closing.policy.clone());
        }
        for closed in &settled.unknown {
            let name: Arc<str> = closed.policy.as_str().into();
            for place in unknown::places(settled, borders, closed) {
                gathered.entry(place).or_default().closed_by = Some(By::Name(Arc::clone(&name)));
            }
        }
        policies.levels =
            gathered.into_iter().map(|(place, all)| (place, Arc::new(all.level()))).collect();
        policies
    }

    /// The level of an object, or of a part of it, if a policy is attached there.
    pub(crate) fn level(&self, object: &Key, section: Option<&Name>) -> Option<&Arc<Level>> {
        self.levels.get(&Place { object: object.clone(), section: section.cloned() })
    }

    /// The levels that are met by what comes through a listener, broadest first, each with whose it is:
    /// those of its Gateway, of its ListenerSet, and its own.
    pub(crate) fn inward<'a>(
        &'a self,
        listener: &'a Listener,
    ) -> impl Iterator<Item = (&'a Key, &'a Arc<Level>)> {
        let whole = [Some(&listener.gateway), listener.set.as_ref()].into_iter().flatten();
        let whole = whole.map(|owner| (owner, None));
        let all = whole.chain([(listener.owner(), Some(&listener.name))]);
        all.filter_map(|(owner, section)| Some((owner, self.level(owner, section)?)))
    }

    /// The levels of whatever lies in namespaces for which `counts` holds.
    pub(crate) fn levels_of<'a>(
        &'a self,
        counts: impl Fn(&Name) -> bool + 'a,
    ) -> impl Iterator<Item = &'a Arc<Level>> {
        let levels = self.levels.iter();
        levels.filter(move |(place, _)| counts(&place.object.namespace)).map(|(_, level)| level)
    }

    /// The policies that compiled, each with its targets.
    pub(crate) fn sound(&self) -> impl Iterator<Item = (&Key, &Resource, &BTreeSet<Place>)> {
        let sound = self.compiled.iter().filter(|(_, compiled)| compiled.result.is_ok());
        sound.filter_map(|(key, one)| Some((key, &one.source, self.places.get(key)?)))
    }

    /// Whether each place has the same level as in `other`.
    pub(crate) fn are_level_with(&self, other: &Policies) -> bool {
        let (ours, theirs) = (&self.levels, &other.levels);
        let mut pairs = ours.iter().zip(theirs);
        ours.len() == theirs.len()
            && pairs.all(|((place, one), (other_place, other))| {
                place == other_place && (Arc::ptr_eq(one, other) || one.is_same(other))
            })
    }

    /// Closes the targets of a policy.
    pub(crate) fn close(&mut self, key: &Key) {
        for place in self.places.get(key).into_iter().flatten() {
            self.levels.insert(place.clone(), Arc::new(Level::Closed { key: key.clone() }));
        }
        self.closed.insert(key.clone());
    }

    /// The policies that could not be used, be it at one target alone.
    pub(crate) fn closed(&self) -> BTreeSet<Key> {
        self.closed.clone()
    }
}

impl Compiled {
    fn new(settled: &Settled, source: &Resource) -> Self {
        let beside = Beside::new(settled, &source.meta().namespace);
        let result = match source {
            Resource::AuthnPolicy(policy) => {
                authn::compile(policy, &beside).map(|one| Made::Authn(Arc::new(one)))
            }
            Resource::AccessPolicy(policy) => {
                access::compile(policy).map(|one| Made::Access(Arc::new(one)))
            }
            Resource::RateLimitPolicy(policy) => {
                limit::compile(policy).map(|one| Made::Limits(Arc::new(one)))
            }
            other => Err(vec![fault(&other.key(), "kind", "protects nothing")]),
        };
        let (asked, consumers) = (beside.asked.into_inner(), beside.consumers.into_inner());
        Compiled { source: source.clone(), asked, consumers, result }
    }

    /// Whether compiling anew would give the same.
    fn still_holds(&self, settled: &Settled, source: &Resource) -> bool {
        let namespace = &source.meta().namespace;
        let same = |(name, got): &(Name, Option<Arc<Secret>>)| {
            settled.secret(namespace, name) == got.as_ref()
        };
        let are_same = |got: &Vec<Arc<Consumer>>| {
            let is_same = |one: &Arc<Consumer>, other: &Arc<Consumer>| {
                Arc::ptr_eq(one, other) || one == other
            };
            let mut pairs = settled.consumers(namespace).zip(got);
            settled.consumers(namespace).count() == got.len()
                && pairs.all(|(one, other)| is_same(one, other))
        };
        (self.source.is_shared(source) || self.source == *source)
            && self.asked.iter().all(same)
            && self.consumers.as_ref().is_none_or(are_same)
    }
}

/// What lies beside a policy, and what it asked for of that.
struct Beside<'a> {
    settled: &'a Settled,
    namespace: &'a Name,
    asked: RefCell<Vec<(Name, Option<Arc<Secret>>)>>,
    consumers: RefCell<Option<Vec<Arc<Consumer>>>>,
}

impl<'a> Beside<'a> {
    fn new(settled: &'a Settled, namespace: &'a Name) -> Self {
        Beside { settled, namespace, asked: RefCell::default(), consumers: RefCell::default() }
    }
}

impl authn::Declared for Beside<'_> {
    fn secret(&self, name: &Name) -> Option<Arc<Secret>> {
        let secret = self.settled.secret(self.namespace, name).cloned();
        self.asked.borrow_mut().push((name.clone(), secret.clone()));
        secret
    }

    fn consumers(&self) -> Vec<Arc<Consumer>> {
        let mut asked = self.consumers.borrow_mut();
        asked
            .get_or_insert_with(|| self.settled.consumers(self.namespace).cloned().collect())
            .clone()
    }
}

impl Gathered {
    fn add(&mut self, key: &Key, policy: &Compiled) {
        match &policy.result {
            Ok(Made::Authn(policy)) => self.policies.authn.push(Arc::clone(policy)),
            Ok(Made::Access(policy)) => self.policies.access.push(Arc::clone(policy)),
            Ok(Made::Limits(policy)) => self.policies.limits.push(Arc::clone(policy)),
            Err(_) => self.close(key),
        }
    }

    fn close(&mut self, policy: &Key) {
        self.closed_by = Some(By::Policy(policy.clone()));
    }

    fn level(self) -> Level {
        match self.closed_by {
            Some(By::Policy(key)) => Level::Closed { key },
            Some(By::Name(policy)) => Level::Unknown { policy },
            None => Level::Open(self.policies),
        }
    }
}

/// A fault for which a policy does not compile, with its key where the compiler did not set it.
fn closes(key: &Key, mut fault: Invalid) -> Invalid {
    fault.key.get_or_insert_with(|| key.clone());
    fault.reason.push_str("; until this is mended, the policy closes what it is attached to");
    fault
}

/// What a policy is attached to, each once.
#[derive(Debug, Default)]
struct Targets {
    there: BTreeSet<Place>,
    /// Whole objects that a policy closes for want of the part, or of the good form, that it names, or
    /// since nobody would ask it there.
    shut: BTreeSet<Place>,
}

/// The targets that exist, and what is closed for those that do not, each of which is a fault. Of
/// an object that nobody wrote nothing is known that could be closed.
fn targets(
    settled: &Settled,
    policy: &Key,
    written: &[PolicyTargetRef],
    faults: &mut Vec<Invalid>,
) -> Targets {
    let mut targets = Targets::default();
    for (index, target) in written.iter().enumerate() {
        let place = Place::of(&policy.namespace, target);
        if is_of_services(settled, &place.object) {
            let text = format!(
                "{} is attached to Services, which ask their own policies where a call arrives: \
                 attach the policy to the Service; until then it closes the route",
                place.object
            );
            faults.push(fault(policy, &format!("spec.targetRefs[{index}]"), text));
            targets.shut.insert(whole(&place.object));
            continue;
        }
        let Some(what) = missing(settled, &place) else {
            targets.there.insert(place);
            continue;
        };
        if settled.is_elsewhere(&place.object) {
            continue;
        }
        let is_stray = (place.object.kind.is_route() || place.object.kind == Kind::Service)
            && settled.lost.contains(&place.object);
        let so = if settled.get(&place.object).is_some() {
            targets.shut.insert(whole(&place.object));
            "until it has, the policy closes the whole of it"
        } else if is_stray {
            targets.shut.insert(whole(&place.object));
            "until they are mended, the policy closes what it was meant for"
        } else {
            "there the policy protects nothing"
        };
        let text = format!("{what}; {so}{}", settled.meant(&place.object, &policy.namespace));
        faults.push(fault(policy, &format!("spec.targetRefs[{index}]"), text));
    }
    targets
}

fn is_of_services(settled: &Settled, object: &Key) -> bool {
    settled.get(object).is_some_and(Resource::is_of_services)
}

fn whole(object: &Key) -> Place {
    Place { object: object.clone(), section: None }
}

/// What a place lacks to exist as one that an AccessPolicy may be attached to: a Service has no parts, since
/// nobody asks for those of one of its ports.
pub(super) fn missing(settled: &Settled, place: &Place) -> Option<String> {
    let Some(object) = settled.get(&place.object) else {
        return Some(settled.lack(&place.object));
    };
    let section = place.section.as_ref()?;
    let (part, found) = match object {
        owner if owner.kind().has_listeners() => {
            ("listener", owner.listeners().iter().any(|one| one.name == *section))
        }
        other => match other.as_route() {
            Some(route) => {
                ("rule", route.spec.rules.iter().any(|one| one.name.as_ref() == Some(section)))
            }
            None => ("part", false),
        },
    };
    (!found).then(|| format!("{} has no {part} '{section}'", place.object))
}

/// A place that a refused policy names and its good form did not.
pub(super) fn beyond(policy: &Key, place: &Place) -> Invalid {
    let part = place.section.as_ref().map(|part| format!(" (part '{part}')")).unwrap_or_default();
    let text = format!(
        "the good form of this policy was not attached to {}{part}, which stays closed until the \
         policy is mended",
        place.object
    );
    fault(policy, "spec.targetRefs", text)
}

/// What a refused policy closes; a part that does not exist widens to its object.
fn closed_places(settled: &Settled, closing: &Closing) -> Vec<Place> {
    match &closing.targets {
        Some(places) => {
            let narrow = |place: &Place| match missing(settled, place) {
                None => place.clone(),
                Some(_) => whole(&place.object),
            };
            places.iter().map(narrow).collect()
        }
        None => {
            let kinds = [Kind::Gateway, Kind::ListenerSet].into_iter().chain(Kind::ROUTES);
            let all = kinds.flat_map(|kind| settled.of_kind(kind));
            let all = all.map(|(key, _)| key.clone()).chain(unknown::services(settled));
            let own = all.filter(|key| key.namespace == closing.policy.namespace);
            own.map(|key| whole(&key)).collect()
        }
    }
}
