//! The catalogue of Apis, and one of them with all that is to be known to lead it.

use axum::response::Response;
use model::api::Lifecycle;
use model::{Key, Kind, Name, nearest};
use schemars::JsonSchema;
use serde::Serialize;

use super::answer::{self, Listed};
use super::ask::{self, Ask, Page};
use super::change::flag;
use super::problem::Problem;
use super::request::ObjectShape;
use super::resource::ResourceShape;
use super::traffic::SumShape;
use super::workspace::{self, RoleShape};
use crate::Refusal;
use crate::app::user::fault;
use crate::app::{
    Access, ApiInFull, ApiListing, ApiOrder, ApiRoute, ApiRow, Changed, Flow, May, Split,
};
use crate::moment::{micros, rfc3339};

/// An Api in the catalogue.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "CataloguedApi")]
pub(super) struct ApiShape {
    namespace: Name,
    name: Name,
    generation: i64,
    title: String,
    /// The Team that owns it.
    owner: Name,
    lifecycle: Lifecycle,
    /// How many routes it has that you may see.
    routes: usize,
    /// The requests of these in the last minute.
    traffic: FlowShape,
    /// The last change of it, or of what belongs to it, that you may see.
    changed: Option<ChangedShape>,
}

/// Requests of a stretch of time.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Flow")]
struct FlowShape {
    /// How long the stretch is, in seconds.
    seconds: f64,
    /// Requests a second.
    rate: f64,
    #[serde(flatten)]
    sums: SumShape,
    /// What they were sent to that took longest; null where too few were sent to tell.
    slowest: Option<SlowestShape>,
}

/// What took longest.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Slowest")]
struct SlowestShape {
    /// The Service's port, as NAMESPACE/NAME:PORT.
    backend: String,
    /// Microseconds that 99 of 100 took no longer than.
    p99: u64,
}

/// A change in short.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "LastChange")]
struct ChangedShape {
    revision: i64,
    at: String,
    actor: String,
}

/// An Api with all that is to be known to lead it.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ApiInFull")]
pub(super) struct FullShape {
    #[serde(flatten)]
    row: ApiShape,
    /// What you may do with it.
    may: MayShape,
    /// Who called it in the last 15 minutes; most requests first.
    callers: Vec<CallerShape>,
    /// How many more called, less often.
    more_callers: usize,
    /// What Grants on it give, as far as you may read them; those of its whole workspace are told there.
    roles: Vec<RoleShape>,
    /// Its routes, a hundred at most, in the order of their keys.
    routes_in_full: Vec<RouteShape>,
}

/// What you may do with an Api.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "MayWithApi")]
struct MayShape {
    /// Make another Team its owner.
    transfer: bool,
    /// Say where in its life it is.
    lead: bool,
}

/// Somebody who called.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ApiCaller")]
struct CallerShape {
    /// As traffic names them; null for whoever came without a credential.
    caller: Option<String>,
    requests: u64,
}

/// A route of an Api.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ApiRoute")]
struct RouteShape {
    namespace: Name,
    name: Name,
    generation: i64,
    changed: Option<ChangedShape>,
    /// Whether you may change its weights.
    may_weigh: bool,
    /// The HTTPRoute.
    route: ResourceShape,
    split: SplitShape,
    /// The policies that decide on its requests, from the outer to the inner.
    access: Vec<AccessShape>,
    /// Whether its workspace denies what no policy of its own speaks of.
    denies_by_default: bool,
}

/// Where the requests of a route went.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Split")]
struct SplitShape {
    /// That long, in seconds: since all nodes run its last change, at most a minute.
    seconds: f64,
    /// Whether they all do; where not, it is counted from the change on. Null of a change that is older
    /// than what is counted, of which it is not looked at.
    everywhere: Option<bool>,
    items: Vec<ShareShape>,
}

/// What went to one backend of a rule.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Share")]
struct ShareShape {
    /// As NAMESPACE/ROUTE/RULE, by its name, or by its number where it has none.
    rule: String,
    /// As NAMESPACE/NAME:PORT.
    backend: String,
    #[serde(flatten)]
    sums: SumShape,
}

/// A policy that decides on the requests of a route.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AccessOfRoute")]
struct AccessShape {
    /// What it is attached to.
    at: ObjectShape,
    /// The part of that: a listener, or a rule.
    section: Option<Name>,
    /// The policy; null where you may not read it.
    policy: Option<ResourceShape>,
}

pub(super) async fn list(ask: Ask) -> Result<Response, Problem> {
    let page: Page<Key> = ask.page()?;
    let listing = ApiListing {
        after: page.after,
        limit: usize::try_from(page.limit).unwrap_or_default(),
        ..listing(&ask)?
    };
    let found = ask.app().api_list(&ask.op()?, listing).await?;
    let next = found.next.as_ref().and_then(ask::cursor);
    let items = found.items.into_iter().map(row).collect();
    Ok(answer::ok(&Listed::<ApiShape> { items, next }))
}

fn listing(ask: &Ask) -> Result<ApiListing, Problem> {
    let mut faults = Vec::new();
    let owner = ask.word("owner").map(Name::parse).transpose();
    let owner = owner.unwrap_or_else(|why| {
        faults.push(fault("owner", why.to_string()));
        None
    });
    let lifecycle = ask.word("lifecycle").and_then(|word| {
        let found =
            Lifecycle::ALL.into_iter().find(|one| one.to_string().eq_ignore_ascii_case(word));
        if found.is_none() {
            let text = format!("'{word}' is none of draft, published, deprecated and retired");
            faults.push(fault("lifecycle", text));
        }
        found
    });
    let order = ask.word("order").map_or(ApiOrder::Name, |word| {
        ApiOrder::parse(word).unwrap_or_else(|| {
            let words = ApiOrder::ALL.map(|(_, word)| word);
            let text = format!("'{word}' is no order; there are {}", words.join(", "));
            let nearest = nearest(word, words.into_iter());
            faults.push(model::Invalid { nearest, ..fault("order", text) });
            ApiOrder::Name
        })
    });
    if !faults.is_empty() {
        return Err(Problem::invalid(faults));
    }
    let text = ask.word("search").map(str::to_owned);
    Ok(ApiListing { text, owner, own: flag(ask, "own")?, lifecycle, order, ..Default::default() })
}

pub(super) async fn show(ask: Ask) -> Result<Response, Problem> {
    let none = || Refusal::None("such Api".to_owned());
    let part = |name| Name::parse(ask.part(name)).map_err(|_| none());
    let key = Key::new(Kind::Api, part("namespace")?, part("name")?);
    let ApiInFull { row: own, routes, callers, more_callers, roles, may } =
        ask.app().api_show(&ask.op()?, &key).await?;
    let May { transfer, lead } = may;
    let callers = callers.into_iter();
    Ok(answer::ok(&FullShape {
        row: row(own),
        may: MayShape { transfer, lead },
        callers: callers.map(|(caller, requests)| CallerShape { caller, requests }).collect(),
        more_callers,
        roles: roles.into_iter().map(workspace::role).collect(),
        routes_in_full: routes.into_iter().map(route).collect(),
    }))
}

fn row(found: ApiRow) -> ApiShape {
    let ApiRow { key, api, generation, routes, requests, changed } = found;
    ApiShape {
        namespace: key.namespace,
        name: key.name,
        generation,
        title: api.spec.title.clone(),
        owner: api.spec.owner.clone(),
        lifecycle: api.spec.lifecycle,
        routes,
        traffic: flow(requests),
        changed: changed.map(short),
    }
}

fn flow(flow: Flow) -> FlowShape {
    FlowShape {
        seconds: flow.seconds,
        rate: flow.rate(),
        sums: super::traffic::sums(&flow.sum),
        slowest: flow.slowest.map(|(backend, p99)| SlowestShape { backend, p99 }),
    }
}

fn short(Changed { revision, at, actor }: Changed) -> ChangedShape {
    ChangedShape { revision, at: rfc3339(micros(at)), actor }
}

fn route(found: ApiRoute) -> RouteShape {
    let ApiRoute { key, resource, generation, changed, may_weigh, split, access, denies, .. } =
        found;
    let mut body = resource.to_json();
    body["metadata"]["generation"] = generation.into();
    let Split { seconds, everywhere, sums } = split;
    let share = |((rule, backend), cell)| {
        let sums = super::traffic::sums(&cell);
        ShareShape { rule, backend, sums }
    };
    let decides = |Access { at, section, policy }| AccessShape {
        at: super::request::object((&at).into()),
        section,
        policy: policy.map(|policy| ResourceShape(policy.to_json())),
    };
    RouteShape {
        namespace: key.namespace,
        name: key.name,
        generation,
        changed: changed.map(short),
        may_weigh,
        route: ResourceShape(body),
        split: SplitShape { seconds, everywhere, items: sums.into_iter().map(share).collect() },
        access: access.into_iter().map(decides).collect(),
        denies_by_default: denies,
    }
}
