//! Policies: what decides on requests, and what each is attached to.

use control::Refusal;
use control::app::{Listing, Shown};
use leptos::prelude::*;
use model::policy::AccessPolicySpec;
use model::role::Verb;
use model::{Key, Kind};
use serde::Deserialize;
use serde_json::Value;

use super::{Asked, Drawn, drawn, key, word};
use crate::parts::{count, empty, escaped, head, saved, search, table};

/// Policies of one page.
const PAGE: usize = 50;

const HEADS: [&str; 4] = ["Policy", "Attached to", "Rules", "Belongs to"];

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
    let page = asked.app.resource_list(&asked.op(), &listing).await?;
    let may_make = asked.visit.does(Verb::Create, Kind::AccessPolicy);
    drawn(move || {
        let lead = "Who may request what: at a Gateway, at a route, or between services.";
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
            {may_make.then(|| {
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
            </div>
        }
        .into_any()
    })
}

fn row(shown: &Shown) -> AnyView {
    let key = &shown.key;
    let spec = serde_json::from_value::<AccessPolicySpec>(shown.body["spec"].clone()).ok();
    let rules = spec.as_ref().map(|spec| count(spec.rules.len(), "rule"));
    let api = shown.body["metadata"]["labels"][model::api::LABEL].as_str();
    let api = api.map(|api| {
        let to = format!("/apis/{}/{api}", key.namespace);
        view! { <a href=to>{api.to_owned()}</a> }
    });
    view! {
        <tr id=format!("policy:{}/{}", key.namespace, key.name)>
            <th scope="row">
                <a href=super::policy::place(key)>{format!("{}/{}", key.namespace, key.name)}</a>
            </th>
            <td class="long">{targets(&shown.body)}</td>
            <td>{rules}</td>
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
