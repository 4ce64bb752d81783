//! Who may request what a route leads to: each rule of each policy that decides, from the outer to the
//! inner.

use control::app::{Access, ApiRoute};
use leptos::prelude::*;
use model::policy::{AccessRule, Action};
use model::{Key, Kind, Name};
use serde_json::Value;

use crate::pages::policy;
use crate::parts::{Mood, empty, mood, table};

const RULES: [&str; 5] = ["Attached to", "Policy", "Rule", "Does", "When"];

/// What decides on the requests of a route.
pub(super) fn rules(route: &ApiRoute, id: &str) -> AnyView {
    let rows = route.access.iter().flat_map(rules_of).collect::<Vec<_>>();
    let heading = format!("{id}:access");
    let denies = match route.denies {
        true => "What no policy of its workspace speaks of is denied. ",
        false => "",
    };
    let words = "Each level must let a request pass; one rule that denies is enough.";
    view! {
        <h3 id=heading.clone()>"Who may request"</h3>
        <p class="faint">{denies}{words}</p>
        {if rows.is_empty() {
            empty("No policy decides on it.", ()).into_any()
        } else {
            table(heading, &RULES, rows).into_any()
        }}
    }
    .into_any()
}

/// The way to one policy more.
pub(super) fn more(route: &Key, api: &Name) -> AnyView {
    let to = policy::place_for(route, api);
    view! { <p><a href=to>"A new policy for this route"</a></p> }.into_any()
}

fn rules_of(access: &Access) -> Vec<AnyView> {
    let section = access.section.as_ref().map(|section| format!(", {section}"));
    let at = format!(
        "{} {}/{}{}",
        access.at.kind,
        access.at.namespace,
        access.at.name,
        section.unwrap_or_default()
    );
    let Some(policy) = &access.policy else {
        return vec![
            view! {
                <tr>
                    <th scope="row">{at}</th>
                    <td colspan="4" class="faint">"A policy that you may not read"</td>
                </tr>
            }
            .into_any(),
        ];
    };
    let (namespace, own) = (&policy.metadata.namespace, &policy.metadata.name);
    let to = policy::place(&Key::new(Kind::AccessPolicy, namespace.clone(), own.clone()));
    let name = format!("{namespace}/{own}");
    let rows = policy.spec.rules.iter().map(|rule| {
        let is = match rule.action {
            Action::Allow => mood(Mood::Good, "allows".to_owned()),
            Action::Deny => mood(Mood::Bad, "denies".to_owned()),
        };
        view! {
            <tr>
                <th scope="row">{at.clone()}</th>
                <td><a href=to.clone()>{name.clone()}</a></td>
                <td>{rule.name.to_string()}</td>
                <td>{is}</td>
                <td class="long">{conditions(rule)}</td>
            </tr>
        }
        .into_any()
    });
    rows.collect()
}

/// When a rule holds, in words.
fn conditions(rule: &AccessRule) -> String {
    let value = serde_json::to_value(&rule.when).unwrap_or_default();
    let said = value.as_object().into_iter().flatten().map(|(field, list)| {
        let items = list.as_array().into_iter().flatten().map(plain).collect::<Vec<_>>();
        format!("{field} {}", items.join(", "))
    });
    let said: Vec<_> = said.collect();
    if said.is_empty() { "always".to_owned() } else { said.join("; ") }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| match value {
                Value::Array(items) => {
                    format!("{name} {}", items.iter().map(plain).collect::<Vec<_>>().join(", "))
                }
                other => format!("{name} {}", plain(other)),
            });
            fields.collect::<Vec<_>>().join(" ")
        }
        other => other.to_string(),
    }
}
