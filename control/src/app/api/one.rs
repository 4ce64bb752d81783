//! One Api: its routes with what became of their weights, who calls it, and who decides about it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use model::access::Asked;
use model::policy::PolicyTargetRef;
use model::role::Verb;
use model::route::{HttpRoute, ParentRef};
use model::workspace::DefaultAccess;
use model::{Key, Kind, Name, Resource, Scope};
use wire::Side;

use super::{ApiRow, COARSE, Cell, Changed, FINE, Found, belongings, flow, found, seconds, summed};
use crate::app::sight::Sight;
use crate::app::traffic::Eyes;
use crate::app::{App, GivenRole, Op, workspace};
use crate::moment::micros;
use crate::refusal::Refusal;
use crate::traffic::{Traffic, WINDOW, total};

/// Routes of an Api that are shown in full.
const ROUTES: usize = 100;
/// Callers that are told.
const CALLERS: usize = 100;
/// How far back the split of a route goes, in microseconds.
const OF_A_SPLIT: i64 = 60 * 1_000_000;
/// How long a node that is there takes at most to run a change, in microseconds.
const SOON: i64 = 10 * 1_000_000;

/// An Api with all that is to be known to lead it.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiInFull {
    /// As the catalogue shows it.
    pub row: ApiRow,
    /// Its routes, in the order of keys.
    pub routes: Vec<ApiRoute>,
    /// Who called it in the last 15 minutes, as [`Row::caller`](crate::app::Row::caller) names them,
    /// with how often; the most frequent first. What names nobody is who came without a credential.
    pub callers: Vec<(Option<String>, u64)>,
    /// How many more called, less often.
    pub more_callers: usize,
    /// What Grants on it give, as far as they may be read. Beside them stand those of its whole
    /// workspace.
    pub roles: Vec<GivenRole>,
    /// What who asks may do with it.
    pub may: May,
}

/// A route of an Api.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiRoute {
    /// Which.
    pub key: Key,
    /// What it says.
    pub resource: Resource,
    /// The same in the words of an HTTPRoute.
    pub route: Arc<HttpRoute>,
    /// Its generation.
    pub generation: i64,
    /// Its last change.
    pub changed: Option<Changed>,
    /// Whether who asks may change its weights.
    pub may_weigh: bool,
    /// Where its requests went since.
    pub split: Split,
    /// The policies that decide on its requests, from the outer to the inner.
    pub access: Vec<Access>,
    /// Whether its workspace denies what none of its own policies speaks of.
    pub denies: bool,
}

/// Where the requests of a route went.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Split {
    /// That long, in seconds: since every node runs its last change, at most the last minute.
    pub seconds: f64,
    /// Whether every node runs it; where not, it is counted from the change on. None of a change that
    /// is older than what is counted, of which it is not looked at.
    pub everywhere: Option<bool>,
    /// By the label of the rule and the Service's port, as NAMESPACE/NAME:PORT.
    pub sums: BTreeMap<(String, String), Cell>,
}

/// A policy that decides on the requests of a route.
#[derive(Debug, Clone, PartialEq)]
pub struct Access {
    /// What it is attached to, among what the requests pass.
    pub at: Key,
    /// The part of that: a listener, or a rule.
    pub section: Option<Name>,
    /// The policy, if it may be read.
    pub policy: Option<Resource>,
}

/// What may be done with an Api.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct May {
    /// Another Team made its owner.
    pub transfer: bool,
    /// Where in its life it is.
    pub lead: bool,
}

/// A route on its way to an Api in full.
struct FoundRoute {
    shown: ApiRoute,
    scope: Scope,
    revision: i64,
}

impl App {
    /// An Api with its routes, its callers, and what decides about them.
    ///
    /// # Errors
    /// [`Refusal::Denied`], which says that there is none, also where it may not be read.
    pub async fn api_show(&self, op: &Op, key: &Key) -> Result<ApiInFull, Refusal> {
        let (sight, now) = (Sight::new(op, self.world().await?), micros(op.now));
        sight.object(key).filter(|_| key.kind == Kind::Api).ok_or_else(|| Refusal::hidden(key))?;
        let (traffic, wanted) = (Arc::clone(self.traffic()), key.clone());
        let looked = move || {
            let mut rows = found(&sight, |key, _| *key == wanted);
            belongings(&mut rows, &sight);
            let may = May::of(&sight, &wanted);
            let roles = roles_on(&sight, &wanted);
            let routes = rows.first().map(|found| routes(&sight, found)).unwrap_or_default();
            let sight = flow(&mut rows, &traffic, sight, now);
            let found = rows.pop()?;
            let callers = callers(&found, &traffic, sight, now);
            Some((found, routes, callers, roles, may))
        };
        let looked = self.aside(looked).await?;
        let (Found { mut row, revision, .. }, found, (callers, more_callers), roles, may) =
            looked.ok_or_else(|| Refusal::hidden(key))?;
        let made = found.iter().map(|route| route.revision).chain([revision]).collect();
        let changes = self.changes_of(&made).await?;
        row.changed = changes.get(&revision).cloned();
        let since = self.since(&found, &changes, now).await?;
        let (traffic, keys) =
            (Arc::clone(self.traffic()), found.iter().map(|one| one.shown.key.clone()));
        let keys: Vec<_> = keys.zip(since).collect();
        let sight = Sight::new(op, self.world().await?);
        let splits = self.aside(move || splits(&keys, &traffic, sight, now)).await?;
        let routes =
            found.into_iter().zip(splits).map(|(FoundRoute { shown, revision, .. }, split)| {
                ApiRoute { changed: changes.get(&revision).cloned(), split, ..shown }
            });
        Ok(ApiInFull { row, routes: routes.collect(), callers, more_callers, roles, may })
    }

    /// From when on what is counted of each route shows its last change, in microseconds since 1970, and
    /// whether every node runs it, where that is looked at: of a change that is older than what is
    /// counted nobody asks. A node that went on to a later change is taken to have run this one soon.
    async fn since(
        &self,
        routes: &[FoundRoute],
        changes: &BTreeMap<i64, Changed>,
        now: i64,
    ) -> Result<Vec<(i64, Option<bool>)>, Refusal> {
        let oldest = now - OF_A_SPLIT;
        let made =
            |route: &FoundRoute| changes.get(&route.revision).map_or(0, |one| micros(one.at));
        let is_fresh = |route: &&FoundRoute| made(route) + SOON >= oldest;
        // All of an Api lies in one scope.
        let runs = match routes.iter().find(is_fresh) {
            Some(route) => self.runs(&route.scope, now).await?,
            None => Vec::new(),
        };
        let since = routes.iter().map(|route| {
            if !is_fresh(&route) {
                return (oldest, None);
            }
            let at = made(route);
            let applied = runs.iter().map(|node| {
                let when = node.at.filter(|(revision, _)| *revision >= route.revision);
                when.map(|(_, when)| when).filter(|_| !node.rejected.contains(&route.shown.key))
            });
            match applied.collect::<Option<Vec<_>>>() {
                Some(applied) => {
                    let last = applied.into_iter().max().unwrap_or(at);
                    (last.clamp(at, at + SOON).max(oldest), Some(true))
                }
                None => (at.max(oldest), Some(false)),
            }
        });
        Ok(since.collect())
    }
}

/// What Grants on an Api give.
fn roles_on(sight: &Sight, api: &Key) -> Vec<GivenRole> {
    let directory = &sight.world.directory;
    let scope = directory.scope(&api.namespace);
    workspace::roles(sight, |key, grant| {
        grant.spec.apis.contains(&api.name) && directory.scope(&key.namespace) == scope
    })
}

impl May {
    fn of(sight: &Sight, key: &Key) -> Self {
        let may = |verb, changed: &[String]| {
            let scope = sight.world.directory.scope(&key.namespace);
            let asked = Asked { verb, key, scope: &scope, api: Some(&key.name), changed };
            sight.rights.permit(&asked).is_ok()
        };
        May {
            transfer: may(Verb::Transfer, &["spec.owner".to_owned()]),
            lead: may(Verb::Update, &["spec.lifecycle".to_owned()]),
        }
    }
}

/// The first of an Api's routes that may be seen.
fn routes(sight: &Sight, api: &Found) -> Vec<FoundRoute> {
    let targets = targets(sight);
    let denies = denies(sight, &api.scope);
    let belongings = sight.world.belongings().all(&api.row.key.name).iter();
    let routes = belongings.map(|one| &one.key).filter(|key| key.kind.is_route());
    let own = routes.filter(|key| sight.world.is_in(&key.namespace, &api.scope));
    let own = own.filter_map(|key| Some((key, sight.object(key)?)));
    let found = own.take(ROUTES).filter_map(|(key, object)| {
        let route = object.resource.as_route()?;
        let shown = ApiRoute {
            key: key.clone(),
            resource: object.resource.clone(),
            route: Arc::clone(&route),
            generation: object.generation,
            changed: None,
            may_weigh: may_weigh(sight, key, &route, &api.row.key.name),
            split: Split::default(),
            access: access(sight, key, &route, &targets),
            denies,
        };
        Some(FoundRoute { shown, scope: api.scope.clone(), revision: object.revision })
    });
    found.collect()
}

fn may_weigh(sight: &Sight, key: &Key, route: &HttpRoute, api: &Name) -> bool {
    let scope = sight.world.directory.scope(&key.namespace);
    let rules = route.spec.rules.iter().enumerate();
    let places = rules.flat_map(|(rule, written)| {
        let backends = 0..written.backend_refs.len();
        backends.map(move |backend| format!("spec.rules[{rule}].backendRefs[{backend}].weight"))
    });
    let changed: Vec<_> = places.collect();
    let asked = Asked { verb: Verb::Update, key, scope: &scope, api: Some(api), changed: &changed };
    sight.rights.permit(&asked).is_ok()
}

/// Every policy by what it is attached to.
fn targets(sight: &Sight) -> BTreeMap<Key, Vec<Access>> {
    let mut targets = BTreeMap::<Key, Vec<Access>>::new();
    let guards = Kind::GUARDS.into_iter().flat_map(|kind| sight.world.of_kind(kind));
    for (key, object) in guards {
        let is_seen = sight.sees(key, object);
        let targets_of = object.resource.guarded().into_iter().flatten();
        for PolicyTargetRef { kind, name, section_name, .. } in targets_of {
            let at = Key::new(kind.kind(), key.namespace.clone(), name.clone());
            let (section, policy) = (section_name.clone(), Some(object.resource.clone()));
            let access = Access { at: at.clone(), section, policy: policy.filter(|_| is_seen) };
            targets.entry(at).or_default().push(access);
        }
    }
    targets
}

/// What decides on the requests of a route, from the outer to the inner: at the listeners that it is
/// attached to, at itself, and at the proxies beside what it sends them to.
fn access(
    sight: &Sight,
    key: &Key,
    route: &HttpRoute,
    targets: &BTreeMap<Key, Vec<Access>>,
) -> Vec<Access> {
    let place = |kind: &str, namespace: &Option<Name>, name: &Name| {
        let namespace = namespace.as_ref().unwrap_or(&key.namespace);
        Some(Key::new(Kind::parse(kind)?, namespace.clone(), name.clone()))
    };
    let mut passed = Vec::new();
    for parent in &route.spec.parent_refs {
        let Some(at) = place(&parent.kind, &parent.namespace, &parent.name) else { continue };
        // What is said of a Gateway as a whole holds for what its ListenerSets add.
        let above = gateway_of(sight, &at).and_then(|gateway| targets.get(&gateway));
        passed.extend(above.into_iter().flatten().filter(|one| one.section.is_none()));
        let here = targets.get(&at).into_iter().flatten();
        passed.extend(here.filter(|one| is_passed(sight, &at, parent, one.section.as_ref())));
    }
    passed.extend(targets.get(key).into_iter().flatten());
    for to in route.spec.rules.iter().flat_map(|rule| &rule.backend_refs) {
        let at = place(&to.kind, &to.namespace, &to.name);
        passed.extend(at.and_then(|at| targets.get(&at)).into_iter().flatten());
    }
    let mut all = Vec::<Access>::new();
    for one in passed {
        // Which listeners and rules somebody else's policy names is theirs to know.
        let section = one.section.clone().filter(|_| one.policy.is_some());
        let one = Access { section, ..one.clone() };
        if !all.contains(&one) {
            all.push(one);
        }
    }
    all
}

/// The Gateway that an object names, if it is a ListenerSet.
fn gateway_of(sight: &Sight, at: &Key) -> Option<Key> {
    match &sight.world.objects.get(at)?.resource {
        Resource::ListenerSet(set) => Some(set.gateway()),
        _ => None,
    }
}

/// Whether what comes by a route's parent passes this listener of it.
fn is_passed(sight: &Sight, at: &Key, parent: &ParentRef, listener: Option<&Name>) -> bool {
    let Some(listener) = listener else { return true };
    let port = || match sight.world.objects.get(at).map(|object| &object.resource) {
        Some(owner) => {
            let mut all = owner.listeners().iter();
            all.find(|one| one.name == *listener).map(|one| one.port)
        }
        None => None,
    };
    parent.section_name.as_ref().is_none_or(|wanted| wanted == listener)
        && parent.port.is_none_or(|wanted| port() == Some(wanted))
}

/// Whether a workspace denies what none of its own policies speaks of.
fn denies(sight: &Sight, scope: &Scope) -> bool {
    let Scope::Workspace(name) = scope else { return false };
    let mut all = sight.world.of_kind(Kind::Workspace).map(|(_, object)| &object.resource);
    all.any(|one| match one {
        Resource::Workspace(one) => {
            one.metadata.name == *name && one.spec.access == DefaultAccess::Deny
        }
        _ => false,
    })
}

/// Who called an Api, and how often, the most frequent first; and how many more there are.
fn callers(
    api: &Found,
    traffic: &Traffic,
    sight: Sight,
    now: i64,
) -> (Vec<(Option<String>, u64)>, usize) {
    let mut eyes = Eyes::new(sight);
    let sums = traffic.outcomes(COARSE, (WINDOW, now), |label| {
        let is_own = label.side != Side::Inbound && label.scope == api.scope;
        if !is_own || !eyes.is_of(label, &api.row.key.name) {
            return None;
        }
        Some(eyes.seen(label)?.caller())
    });
    let sums = sums.into_iter().map(|(caller, sum)| (caller, total(&sum)));
    let mut callers: Vec<_> = sums.collect();
    callers.sort_by(|(one, few), (other, many)| many.cmp(few).then_with(|| one.cmp(other)));
    let more = callers.len().saturating_sub(CALLERS);
    callers.truncate(CALLERS);
    (callers, more)
}

/// Where the requests of each route went since then.
fn splits(
    routes: &[(Key, (i64, Option<bool>))],
    traffic: &Traffic,
    sight: Sight,
    now: i64,
) -> Vec<Split> {
    let mut eyes = Eyes::new(sight);
    let places: HashMap<wire::Key, usize> =
        routes.iter().enumerate().map(|(place, (key, _))| (key.into(), place)).collect();
    let sums = traffic.sums(FINE, (OF_A_SPLIT, now), |label| {
        // What comes to an application went through the route before.
        let route = label.route.as_ref().filter(|_| label.side != Side::Inbound)?;
        let place = *places.get(route)?;
        let seen = eyes.seen(label)?;
        Some((place, seen.rule?.to_owned(), seen.backend?.to_owned()))
    });
    let mut splits: Vec<_> = routes
        .iter()
        .map(|(_, (since, everywhere))| Split {
            seconds: seconds(FINE, now - since, now),
            everywhere: *everywhere,
            sums: BTreeMap::new(),
        })
        .collect();
    for ((place, rule, backend), cells) in sums {
        let first = FINE.first(now - routes[place].1.0, now);
        let since: BTreeMap<_, _> = cells.into_iter().filter(|(at, _)| *at >= first).collect();
        if !since.is_empty() {
            splits[place].sums.insert((rule, backend), summed(&since));
        }
    }
    splits
}
