//! Policies: what decides on requests, and what each is attached to.

use control::Refusal;
use control::app::{Listing, Shown};
use leptos::prelude::*;
use model::role::Verb;
use model::{Key, Kind};
use serde::Deserialize;
use serde_json::Value;

use super::{Asked, Drawn, drawn, key, word};
use crate::parts::{count, empty, escaped, head, saved, search, table};

/// Policies of one page.
const PAGE: usize = 50;

const HEADS: [&str; 4] = ["Policy", "Attached to", "Rules", "Belongs to"];
const METHODS: [&str; 4] = ["Policy", "Attached to", "Methods", "Belongs to"];

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
    let authn = Listing { kind: Some(Kind::AuthnPolicy), after: None, ..listing.clone() };
    let (op, app) = (asked.op(), &asked.app);
    let (page, authn) =
        (app.resource_list(&op, &listing).await?, app.resource_list(&op, &authn).await?);
    let may_make = |kind| asked.visit.does(Verb::Create, kind);
    let (may_rule, may_ask) = (may_make(Kind::AccessPolicy), may_make(Kind::AuthnPolicy));
    drawn(move || {
        let lead = "Who may request what: at a Gateway, at a route, or between services.";
        let more = page.next.as_ref().map(|last| {
            let to = format!("/policies?search={}&after={}", escaped(&wanted.search), word(last));
            view! { <p><a href=to>"More policies"</a></p> }
        });
        let more_authn = authn.next.is_some().then(|| {
            view! { <p class="faint">"There are more: search by name or namespace."</p> }
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
                    {if authn.items.is_empty() {
                        empty("None that you may see.", ()).into_any()
                    } else {
                        let rows = authn.items.iter().map(row).collect_view();
                        table("authn-title".to_owned(), &METHODS, rows).into_any()
                    }}
                    {more_authn}
                    {may_ask.then(|| {
                        view! { <p><a href="/authn/-/new">"A new authentication policy"</a></p> }
                    })}
                </section>
            </div>
        }
        .into_any()
    })
}

/// What the rows of a kind begin their ids with.
fn id(kind: Kind) -> &'static str {
    if kind == Kind::AuthnPolicy { "authn" } else { "policy" }
}

fn row(shown: &Shown) -> AnyView {
    let key = &shown.key;
    let entries = |list: &str| shown.body["spec"][list].as_array().map_or(0, Vec::len);
    let holds = match key.kind {
        Kind::AuthnPolicy => count(entries("methods"), "method"),
        _ => count(entries("rules"), "rule"),
    };
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
