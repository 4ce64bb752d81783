//! One Api: its routes with what became of their weights, who calls it, and who decides about it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::access::Asked;
use model::policy::{AccessPolicy, PolicyTargetRef, TargetKind};
use model::role::Verb;
use model::route::HttpRoute;
use model::workspace::DefaultAccess;
use model::{Key, Kind, Name, Resource, Scope};
use wire::Side;

use super::{ApiRow, COARSE, Cell, Changed, FINE, Found, flow, found, seconds, summed};
use crate::app::sight::Sight;
use crate::app::traffic::Eyes;
use crate::app::{App, Op};
use crate::draft::api_of;
use crate::moment::micros;
use crate::refusal::Refusal;
use crate::traffic::{Traffic, WINDOW};

/// Routes of an Api that are shown in full.
const ROUTES: usize = 100;
/// How far back the split of a route goes, in microseconds.
const WINDOW_OF_A_SPLIT: i64 = 60 * 1_000_000;
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
    /// What who asks may do with it.
    pub may: May,
}

/// A route of an Api.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiRoute {
    /// Which.
    pub key: Key,
    /// What it says.
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
    /// That long, in seconds: since every node that may be seen runs its last change, at most the
    /// last minute.
    pub seconds: f64,
    /// Whether every such node runs it; where not, it is counted from the change on.
    pub everywhere: bool,
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
    pub policy: Option<Arc<AccessPolicy>>,
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
            let mut rows = found(&sight);
            rows.retain(|found| found.row.key == wanted);
            let may = May::of(&sight, &wanted);
            let routes = rows.first().map(|found| routes(&sight, found)).unwrap_or_default();
            let sight = flow(&mut rows, &traffic, sight, now);
            let found = rows.pop()?;
            let callers = callers(&found, &traffic, sight, now);
            Some((found, routes, callers, may))
        };
        let looked = self.aside(looked).await?;
        let (Found { mut row, revision, .. }, found, callers, may) =
            looked.ok_or_else(|| Refusal::hidden(key))?;
        let made = found.iter().map(|route| route.revision).chain([revision]).collect();
        let changes = self.changes_of(&made).await?;
        row.changed = changes.get(&revision).cloned();
        let mut sight = Sight::new(op, self.world().await?);
        let mut begun = BTreeMap::new();
        let mut routes = Vec::new();
        for FoundRoute { mut shown, scope, revision } in found {
            shown.changed = changes.get(&revision).cloned();
            let since = match (begun.get(&revision), &shown.changed) {
                (Some(since), _) => *since,
                (None, Some(changed)) => self.since(op, &scope, changed).await?,
                (None, None) => (now, false),
            };
            begun.insert(revision, since);
            (shown.split, sight) = split(&shown.key, self.traffic(), sight, since, now);
            routes.push(shown);
        }
        Ok(ApiInFull { row, routes, callers, may })
    }

    /// From when on what is counted shows a change, in microseconds since 1970, and whether every
    /// node that may be seen runs it. A node that went on to a later change is taken to have run this
    /// one soon.
    async fn since(
        &self,
        op: &Op,
        scope: &Scope,
        changed: &Changed,
    ) -> Result<(i64, bool), Refusal> {
        let (at, now) = (micros(changed.at), micros(op.now));
        let oldest = now - WINDOW_OF_A_SPLIT;
        if at + SOON < oldest {
            return Ok((oldest, true));
        }
        let (everywhere, nodes) = self.rolled(op, changed.revision, &[scope], now).await?;
        let applied = nodes.iter().filter_map(|node| node.applied).map(micros).max();
        let applied = applied.filter(|_| everywhere).unwrap_or(at);
        Ok((applied.min(at + SOON).max(oldest), everywhere))
    }
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
    let directory = &sight.world.directory;
    let targets = targets(sight);
    let denies = denies(sight, &api.scope);
    let routes = sight.world.of_kind(Kind::HttpRoute);
    let own = routes.filter(|(key, object)| {
        api_of(&object.resource).as_ref() == Some(&api.row.key.name)
            && directory.scope(&key.namespace) == api.scope
            && sight.sees(key, object)
    });
    let found = own.take(ROUTES).filter_map(|(key, object)| {
        let Resource::HttpRoute(route) = &object.resource else { return None };
        let shown = ApiRoute {
            key: key.clone(),
            route: Arc::clone(route),
            generation: object.generation,
            changed: None,
            may_weigh: may_weigh(sight, key, route, &api.row.key.name),
            split: Split::default(),
            access: access(key, route, &targets),
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

/// Every policy by what it is attached to; as nothing, where it may not be read.
fn targets(sight: &Sight) -> BTreeMap<Key, Vec<Access>> {
    let mut targets = BTreeMap::<Key, Vec<Access>>::new();
    for (key, object) in sight.world.of_kind(Kind::AccessPolicy) {
        let Resource::AccessPolicy(policy) = &object.resource else { continue };
        let shown = sight.sees(key, object).then(|| Arc::clone(policy));
        for PolicyTargetRef { kind, name, section_name, .. } in &policy.spec.target_refs {
            let kind = match kind {
                TargetKind::Gateway => Kind::Gateway,
                TargetKind::HttpRoute => Kind::HttpRoute,
                TargetKind::Service => Kind::Service,
            };
            let at = Key::new(kind, key.namespace.clone(), name.clone());
            let section = section_name.clone();
            let access = Access { at: at.clone(), section, policy: shown.clone() };
            targets.entry(at).or_default().push(access);
        }
    }
    targets
}

/// What decides on the requests of a route, from the outer to the inner.
fn access(key: &Key, route: &HttpRoute, targets: &BTreeMap<Key, Vec<Access>>) -> Vec<Access> {
    let parents = route.spec.parent_refs.iter().filter_map(|parent| {
        let kind = Kind::parse(&parent.kind)?;
        let namespace = parent.namespace.as_ref().unwrap_or(&key.namespace);
        Some(Key::new(kind, namespace.clone(), parent.name.clone()))
    });
    let parents: BTreeSet<_> = parents.collect();
    let passed = parents.iter().chain([key]);
    let mut all = Vec::new();
    for at in passed {
        let mut there = targets.get(at).cloned().unwrap_or_default();
        there.sort_by_key(|access| access.section.is_some());
        all.extend(there);
    }
    all
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

/// Who called an Api, and how often.
fn callers(api: &Found, traffic: &Traffic, sight: Sight, now: i64) -> Vec<(Option<String>, u64)> {
    let mut eyes = Eyes::new(sight);
    let sums = traffic.sums(COARSE, (WINDOW, now), |label| {
        if label.side == Side::Inbound || label.scope != api.scope {
            return None;
        }
        let row = eyes.seen(label)?;
        (eyes.api_of(&row).as_ref() == Some(&api.row.key.name)).then_some(row.caller)
    });
    let sums = sums.into_iter().map(|(caller, cells)| (caller, summed(&cells).requests()));
    let mut callers: Vec<_> = sums.collect();
    callers.sort_by(|(one, few), (other, many)| many.cmp(few).then_with(|| one.cmp(other)));
    callers
}

/// Where the requests of a route went since then.
fn split(
    route: &Key,
    traffic: &Traffic,
    sight: Sight,
    (since, everywhere): (i64, bool),
    now: i64,
) -> (Split, Sight) {
    let mut eyes = Eyes::new(sight);
    let own = wire::Key::from(route);
    let window = (now - since).max(0);
    let sums = traffic.sums(FINE, (window, now), |label| {
        // What comes to an application went through the route before.
        if label.side == Side::Inbound || label.route.as_ref() != Some(&own) {
            return None;
        }
        let row = eyes.seen(label)?;
        row.rule.zip(row.backend)
    });
    let sums = sums.into_iter().map(|(to, cells)| (to, summed(&cells))).collect();
    let seconds = seconds(FINE, window, now);
    (Split { seconds, everywhere, sums }, eyes.sight)
}
