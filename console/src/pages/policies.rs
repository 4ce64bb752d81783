//! Policies: what decides on requests, and what each is attached to.

use control::Refusal;
use control::app::{Listing, Shown};
use leptos::prelude::*;
use model::role::Verb;
use model::{Key, Kind};
use serde::Deserialize;
use serde_json::Value;

use super::policy::Sort;
use super::{Asked, Drawn, drawn, key, word};
use crate::parts::{count, empty, escaped, head, saved, search, table};

/// What is found of one kind.
type Listed = control::app::Page<Shown, Key>;

/// Policies of one page.
const PAGE: usize = 50;

const HEADS: [&str; 4] = ["Policy", "Attached to", "Rules", "Belongs to"];
const METHODS: [&str; 4] = ["Policy", "Attached to", "Methods", "Belongs to"];
const LIMITS: [&str; 4] = ["Policy", "Attached to", "Limits", "Belongs to"];

#[derive(Debug, Clone, Default, Deserialize)]
struct Wanted {
    #[serde(default)]
    search: String,
    /// The last of the page before.
    #[serde(default, deserialize_with = "key")]
    after: Option<Key>,
}

pub(crate) async fn ask(asked: Asked) -> Result<Drawn, Refusal> {
    let wanted: Wanted = asked.query();
    let text = Some(wanted.search.trim().to_owned()).filter(|text| !text.is_empty());
    let is_filtered = text.is_some();
    let listing = Listing {
        kind: Some(Kind::AccessPolicy),
        text,
        after: wanted.after.clone(),
        limit: PAGE,
        ..Listing::default()
    };
    let others = |kind| Listing { kind: Some(kind), after: None, ..listing.clone() };
    let (authn, limits) = (others(Kind::AuthnPolicy), others(Kind::RateLimitPolicy));
    let (op, app) = (asked.op(), &asked.app);
    let page = app.resource_list(&op, &listing).await?;
    let (authn, limits) =
        (app.resource_list(&op, &authn).await?, app.resource_list(&op, &limits).await?);
    let may_make = |kind| asked.visit.does(Verb::Create, kind);
    let may_rule = may_make(Kind::AccessPolicy);
    let (may_ask, may_limit) = (may_make(Kind::AuthnPolicy), may_make(Kind::RateLimitPolicy));
    drawn(move || {
        let lead =
            "Who may request what, and how often: at a Gateway, at a route, or between services.";
        let more = page.next.as_ref().map(|last| {
            let to = format!("/policies?search={}&after={}", escaped(&wanted.search), word(last));
            view! { <p><a href=to>"More policies"</a></p> }
        });
        let nothing = match is_filtered {
            true => "No policy that you may see has such a name.",
            false => "There is no policy that you may see.",
        };
        view! {
            {head("Policies".to_owned(), lead.to_owned())}
            {saved(&asked)}
            {search("/policies", &wanted.search, "Name or namespace", ())}
            {may_rule.then(|| {
                view! { <p><a class="button" href="/policies/-/new">"A new policy"</a></p> }
            })}
            <div id="live">
                <section class="card" id="policies" aria-labelledby="policies-title">
                    <h2 id="policies-title">"Access policies"</h2>
                    {if page.items.is_empty() {
                        let all = view! { <p><a href="/policies">"Show all"</a></p> };
                        empty(nothing, is_filtered.then_some(all)).into_any()
                    } else {
                        let rows = page.items.iter().map(row).collect_view();
                        table("policies-title".to_owned(), &HEADS, rows).into_any()
                    }}
                    {more}
                </section>
                <section class="card" id="authn" aria-labelledby="authn-title">
                    <h2 id="authn-title">"Authentication policies"</h2>
                    <p class="faint">"How callers prove who they are, so that the rules above may name them."</p>
                    {listed("authn-title", &METHODS, &authn)}
                    {may_ask.then(|| {
                        view! { <p><a href="/authn/-/new">"A new authentication policy"</a></p> }
                    })}
                </section>
                <section class="card" id="limits" aria-labelledby="limits-title">
                    <h2 id="limits-title">"Rate limits"</h2>
                    <p class="faint">"How many requests come through, in all or of each caller."</p>
                    {listed("limits-title", &LIMITS, &limits)}
                    {may_limit.then(|| view! { <p><a href="/limits/-/new">"A new limit"</a></p> })}
                </section>
            </div>
        }
        .into_any()
    })
}

/// The first of a kind whose other ones are found by searching.
fn listed(title: &'static str, heads: &'static [&'static str], page: &Listed) -> AnyView {
    if page.items.is_empty() {
        return empty("None that you may see.", ()).into_any();
    }
    let rows = page.items.iter().map(row).collect_view();
    let more = page.next.is_some().then(|| {
        view! { <p class="faint">"There are more: search by name or namespace."</p> }
    });
    view! {
        {table(title.to_owned(), heads, rows)}
        {more}
    }
    .into_any()
}

/// What the rows of a kind begin their ids with.
fn id(kind: Kind) -> &'static str {
    match kind {
        Kind::AuthnPolicy => "authn",
        Kind::RateLimitPolicy => "limits",
        _ => "policy",
    }
}

fn row(shown: &Shown) -> AnyView {
    let key = &shown.key;
    let sort = Sort::of(key.kind);
    let entries = shown.body["spec"][sort.list].as_array().map_or(0, Vec::len);
    let holds = count(entries, sort.entry);
    let api = shown.body["metadata"]["labels"][model::api::LABEL].as_str();
    let api = api.map(|api| {
        let to = format!("/apis/{}/{api}", key.namespace);
        view! { <a href=to>{api.to_owned()}</a> }
    });
    view! {
        <tr id=format!("{}:{}/{}", id(key.kind), key.namespace, key.name)>
            <th scope="row">
                <a href=super::policy::place(key)>{format!("{}/{}", key.namespace, key.name)}</a>
            </th>
            <td class="long">{targets(&shown.body)}</td>
            <td>{holds}</td>
            <td>{api}</td>
        </tr>
    }
    .into_any()
}

/// What a policy is attached to, in words.
pub(super) fn targets(body: &Value) -> String {
    let all = body["spec"]["targetRefs"].as_array().into_iter().flatten();
    let all = all.map(|target| {
        let word = |field: &str| target[field].as_str().unwrap_or_default();
        match word("sectionName") {
            "" => format!("{} {}", word("kind"), word("name")),
            section => format!("{} {}, {section}", word("kind"), word("name")),
        }
    });
    all.collect::<Vec<_>>().join("; ")
}
