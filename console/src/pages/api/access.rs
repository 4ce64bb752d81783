//! Who may request what a route leads to: each rule of each policy that decides, from the outer to the
//! inner.

use control::app::{Access, ApiRoute};
use leptos::prelude::*;
use model::authn::{AuthnMethod, CredentialPlace, Require};
use model::policy::{Action, Conditions};
use model::{Key, Name, Resource};
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
    let key = policy.key();
    let (to, name) = (policy::place(&key), format!("{}/{}", key.namespace, key.name));
    let rows = told(policy).into_iter().map(|Told { name: own, does, when }| {
        view! {
            <tr>
                <th scope="row">{at.clone()}</th>
                <td><a href=to.clone()>{name.clone()}</a></td>
                <td>{own}</td>
                <td>{does}</td>
                <td class="long">{when}</td>
            </tr>
        }
        .into_any()
    });
    rows.collect()
}

/// A rule, a limit, or a way to prove who is calling.
struct Told {
    name: String,
    does: AnyView,
    when: String,
}

fn told(policy: &Resource) -> Vec<Told> {
    match policy {
        Resource::AuthnPolicy(policy) => {
            let does = match policy.spec.require {
                None => "proves",
                Some(Require::Any) => "proves, one is required",
                Some(Require::All) => "proves, all are required",
            };
            let methods = policy.spec.methods.iter().map(|method| Told {
                name: method.name.to_string(),
                does: does.into_any(),
                when: shown_by(method),
            });
            methods.collect()
        }
        Resource::AccessPolicy(policy) => {
            let rules = policy.spec.rules.iter().map(|rule| Told {
                name: rule.name.to_string(),
                does: match rule.action {
                    Action::Allow => mood(Mood::Good, "allows".to_owned()).into_any(),
                    Action::Deny => mood(Mood::Bad, "denies".to_owned()).into_any(),
                    Action::Audit => mood(Mood::Poor, "audits".to_owned()).into_any(),
                },
                when: conditions(&rule.when),
            });
            rules.collect()
        }
        Resource::RateLimitPolicy(policy) => {
            let limits = policy.spec.limits.iter().map(|limit| Told {
                name: limit.name.to_string(),
                does: if limit.dry_run { "limits, only tried" } else { "limits" }.into_any(),
                when: format!("{limit}; {}", conditions(&limit.when)),
            });
            limits.collect()
        }
        _ => Vec::new(),
    }
}

/// What a caller has to show, in words.
fn shown_by(method: &AuthnMethod) -> String {
    let places = |from: &[CredentialPlace]| {
        from.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ")
    };
    let keys = method.api_key.as_ref();
    let keys = keys.map(|keys| {
        let whose = keys.consumers.as_ref().map_or("a key", |_| "the key of a Consumer");
        format!("by {whose} in {}", places(&keys.from))
    });
    let token = method.jwt.as_ref();
    let token =
        token.map(|token| format!("by a token of {} in {}", token.issuer, places(&token.from)));
    let certificate = method.client_certificate.as_ref();
    let certificate = certificate.map(|_| "by the certificate of a Consumer".to_owned());
    let login = method.oidc.as_ref().map(|login| format!("by a login at {}", login.issuer));
    keys.or(token).or(certificate).or(login).unwrap_or_default()
}

/// When a rule holds, or a limit counts, in words.
fn conditions(when: &Conditions) -> String {
    let value = serde_json::to_value(when).unwrap_or_default();
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
