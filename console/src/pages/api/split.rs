//! The routes of an Api: where the requests of each rule went, and the weights by which they go.

use control::Refusal;
use control::app::ApiRoute;
use leptos::prelude::*;
use model::role::Verb;
use model::route::{HttpBackendRef, HttpMatch, HttpRule};
use model::{Key, Kind};
use serde_json::Value;
use time::OffsetDateTime;

use super::{access, place};
use crate::edit::{change, wrong};
use crate::form::{Done, Form, Sent, access_to};
use crate::islands::weights::{Weight, Weights};
use crate::pages::{self, Asked, object};
use crate::parts::{Mood, millis, mood, percent, table, when};

const SHARES: [&str; 6] = ["Backend", "Weight", "Requests", "Share", "Errors", "p99"];

pub(super) fn route(
    asked: &Asked,
    api: &Key,
    route: &ApiRoute,
    may_rule: bool,
    now: OffsetDateTime,
) -> AnyView {
    let name = format!("{}/{}", route.key.namespace, route.key.name);
    let id = format!("route:{}", pages::word(&route.key));
    let hosts = route.route.spec.hostnames.iter().map(ToString::to_string);
    let hosts: Vec<_> = hosts.collect();
    let changed = route.changed.as_ref().map(|changed| {
        view! { " Changed " {when(changed.at, now)} " by " {changed.actor.clone()} "." }
    });
    let long = route.split.seconds;
    let since = match route.split.everywhere {
        None => format!("Counted over the last {long:.0} s."),
        Some(true) => {
            format!("Counted over the last {long:.0} s, in which all nodes ran it as it is.")
        }
        Some(false) => format!(
            "Not all nodes run its last change; counted over the {long:.0} s since it was made."
        ),
    };
    let rules = route.route.spec.rules.iter().enumerate();
    let rules = rules.map(|(at, rule)| shares(route, &id, at, rule)).collect_view();
    let heading = format!("{id}:title");
    view! {
        <section class="card" id=id.clone() aria-labelledby=heading.clone()>
            <h2 id=heading.clone()>"Route " {name}</h2>
            <p class="faint">{hosts.join(", ")} "." {changed} " " {since}</p>
            {rules}
            {weights_form(asked, api, route, &id)}
            {access::rules(route, &id)}
            {may_rule.then(|| access::more(&route.key, &api.name))}
            {object::whole(&route.key)}
        </section>
    }
    .into_any()
}

/// By which name counts know a rule.
fn label(route: &Key, at: usize, rule: &HttpRule) -> String {
    let name = rule.name.as_ref().map_or_else(|| at.to_string(), ToString::to_string);
    format!("{}/{}/{name}", route.namespace, route.name)
}

/// By which name counts know a backend.
fn backend_name(route: &Key, to: &HttpBackendRef) -> String {
    let namespace = to.namespace.as_ref().unwrap_or(&route.namespace);
    format!("{namespace}/{}:{}", to.name, to.port.unwrap_or_default())
}

/// Where the requests of a rule went.
fn shares(route: &ApiRoute, id: &str, at: usize, rule: &HttpRule) -> AnyView {
    let label = label(&route.key, at, rule);
    let of =
        |to: &HttpBackendRef| route.split.sums.get(&(label.clone(), backend_name(&route.key, to)));
    let all: u64 = rule.backend_refs.iter().filter_map(of).map(|cell| cell.requests()).sum();
    let total: u64 = rule.backend_refs.iter().map(|to| u64::from(to.weight)).sum();
    let rows = rule.backend_refs.iter().map(|to| {
        let cell = of(to).cloned().unwrap_or_default();
        let share = (all > 0).then(|| cell.requests() as f64 / all as f64);
        let weight = match total {
            0 => "0".to_owned(),
            _ => format!("{} ({})", to.weight, percent(f64::from(to.weight) / total as f64)),
        };
        let is_bad = cell.errors() > 0;
        view! {
            <tr>
                <th scope="row">{backend_name(&route.key, to)}</th>
                <td>{weight}</td>
                <td>{cell.requests()}</td>
                <td>{share.map(bar)}</td>
                <td>{mood(if is_bad { Mood::Bad } else { Mood::Good }, cell.errors().to_string())}</td>
                <td>{cell.latency.permille(990).map(millis)}</td>
            </tr>
        }
    });
    let name = rule.name.as_ref().map_or_else(|| format!("number {at}"), ToString::to_string);
    let asked: Vec<_> = rule.matches.iter().map(matched).collect();
    let heading = format!("{id}:rule:{at}");
    view! {
        <h3 id=heading.clone()>"Rule " {name} " " <span class="faint">{asked.join(" or ")}</span></h3>
        {if rule.backend_refs.is_empty() {
            view! { <p class="faint">"It sends nothing on."</p> }.into_any()
        } else {
            table(heading, &SHARES, rows.collect_view()).into_any()
        }}
    }
    .into_any()
}

/// A share of all, drawn and told.
fn bar(share: f64) -> AnyView {
    view! {
        <svg class="share" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">
            <rect class="all" width="100" height="8" />
            <rect width=format!("{:.2}", share * 100.0) height="8" />
        </svg>
        " " {percent(share)}
    }
    .into_any()
}

/// What a rule asks of a request, in words.
fn matched(asked: &HttpMatch) -> String {
    let value = serde_json::to_value(&asked.path).unwrap_or_default();
    let sort = value["type"].as_str().unwrap_or_default();
    let mut words = Vec::new();
    words.extend(asked.method.map(|method| method.as_str().to_owned()));
    words.push(match sort {
        "PathPrefix" => format!("{} and below", asked.path.value),
        "RegularExpression" => format!("path like {}", asked.path.value),
        _ => asked.path.value.clone(),
    });
    words.extend(asked.headers.iter().map(|header| format!("{}: {}", header.name, header.value)));
    words.extend(asked.query_params.iter().map(|one| format!("{}={}", one.name, one.value)));
    words.join(" ")
}

/// The weights of each rule that has some to set.
fn weights_form(asked: &Asked, api: &Key, route: &ApiRoute, id: &str) -> Option<AnyView> {
    let rules = route.route.spec.rules.iter().enumerate();
    let split: Vec<_> = rules.filter(|(_, rule)| rule.backend_refs.len() > 1).collect();
    if split.is_empty() {
        return None;
    }
    if !route.may_weigh {
        let field = path(split[0].0, 0);
        let lacks = view! {
            <p class="faint">"You may not change its weights."</p>
            {access_to(Verb::Update, &route.key, Some(&field))}
        };
        return Some(lacks.into_any());
    }
    let action = format!("{}/weights", place(api));
    let named = pages::word(&route.key);
    let is_this = |form: &Form| form.value("route", &named) == named;
    let form = Form::new(asked, action.clone());
    // Several routes of one page have such a form.
    let form = if is_this(&form) { form } else { Form::untried(asked, action) };
    let rules = split.into_iter().map(|(at, rule)| {
        let weights = rule.backend_refs.iter().enumerate().map(|(backend, to)| {
            let field = format!("weight-{at}-{backend}");
            let name = backend_name(&route.key, to);
            // What was typed belongs to what stood there then.
            let is_same = form.value(&format!("to-{at}-{backend}"), &name) == name;
            let is = to.weight.to_string();
            let theirs = is_same.then(|| form.theirs(&field, &is)).flatten();
            let theirs = theirs.map(|now| view! { <div class="faint">{name.clone()} {now}</div> });
            let typed = if is_same { form.value(&field, &is) } else { is };
            let faults = form.told(&path(at, backend));
            let fault = faults.as_ref().map(|_| format!("{id}:{field}:fault"));
            let told = faults.map(|words| {
                view! { <p class="fault" id=format!("{id}:{field}:fault")>{words}</p> }
            });
            let id = format!("{id}:{field}");
            let weight = Weight { id, field, backend: name, typed, fault };
            let to = format!("to-{at}-{backend}");
            let to = view! { <input type="hidden" name=to value=weight.backend.clone() /> };
            (weight, ((told, theirs), to))
        });
        let (weights, more): (Vec<_>, Vec<_>) = weights.unzip();
        let (faults, backends): (Vec<_>, Vec<_>) = more.into_iter().unzip();
        let name = rule.name.as_ref().map_or_else(|| format!("number {at}"), ToString::to_string);
        view! {
            <fieldset>
                <legend>"Weights of rule " {name}</legend>
                <Weights weights />
                {backends}
                {faults}
            </fieldset>
        }
    });
    let rules = rules.collect_view();
    let why = format!("{id}:why");
    let fields = view! {
        <input type="hidden" name="route" value=named />
        {rules}
        {form.why(&why)}
        <button>"Save the weights"</button>
    };
    Some(form.draw_of(id, Some(route.generation), fields))
}

fn path(rule: usize, backend: usize) -> String {
    format!("spec.rules[{rule}].backendRefs[{backend}].weight")
}

/// The name by which counts know a backend, as its object says it.
fn named(route: &Key, to: &serde_json::Map<String, Value>) -> String {
    let word = |field: &str| to.get(field).and_then(Value::as_str);
    let namespace = word("namespace").unwrap_or(route.namespace.as_str());
    let port = to.get("port").and_then(Value::as_u64).unwrap_or_default();
    format!("{namespace}/{}:{port}", word("name").unwrap_or_default())
}

/// Sets the weights of a route.
pub(crate) async fn weights(sent: Sent) -> Result<Done, Refusal> {
    let api = sent.asked.key(Kind::Api)?;
    let route = pages::of_word(sent.fields.get("route")).filter(|key| key.kind.is_route());
    let key = route.ok_or_else(|| Refusal::None("such route".to_owned()))?;
    let (mut wanted, mut faults) = (Vec::new(), Vec::new());
    for (place, value) in sent.fields.starting("weight-") {
        let numbers = place.split_once('-').and_then(|(rule, backend)| {
            Some((rule.parse::<usize>().ok()?, backend.parse::<usize>().ok()?))
        });
        let Some((rule, backend)) = numbers else { continue };
        match value.trim().parse::<u32>() {
            Ok(weight) => {
                let to = sent.fields.get(&format!("to-{place}"));
                wanted.push((rule, backend, to.to_owned(), weight));
            }
            Err(_) => {
                let text = format!("'{value}' is no weight: a whole number from 0 to 1000000");
                faults.push((path(rule, backend), text));
            }
        }
    }
    if !faults.is_empty() {
        return Err(wrong(faults));
    }
    let receipt = change(&sent, &key, |body| {
        let mut faults = Vec::new();
        for (rule, backend, to, weight) in &wanted {
            let place = format!("/spec/rules/{rule}/backendRefs/{backend}");
            match body.pointer_mut(&place).and_then(Value::as_object_mut) {
                Some(found) if named(&key, found) == *to => {
                    found.insert("weight".to_owned(), (*weight).into());
                }
                Some(_) | None => {
                    faults.push((path(*rule, *backend), format!("'{to}' is not there")))
                }
            }
        }
        if faults.is_empty() { Ok(()) } else { Err(wrong(faults)) }
    });
    Ok(Done::saved(&place(&api), &receipt.await?))
}
