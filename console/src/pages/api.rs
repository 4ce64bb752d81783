//! An Api: how its requests go, where its routes lead, who decides about them, whose it is.

use std::collections::BTreeMap;

use control::Refusal;
use control::app::{Access, ApiInFull, ApiRoute};
use leptos::prelude::*;
use model::api::Lifecycle;
use model::policy::{AccessRule, Action};
use model::role::Verb;
use model::route::{HttpBackendRef, HttpMatch, HttpRule};
use model::{Key, Kind, Name};
use serde_json::Value;
use time::OffsetDateTime;

use super::apis::{LIVES, errors, life, place};
use super::{Asked, Drawn, drawn};
use crate::edit::{change, set, wrong};
use crate::form::{Done, Form, Line, Sent, access_to};
use crate::islands::weights::{Weight, Weights};
use crate::parts::{
    Mood, count, empty, head_of_counts, millis, mood, percent, rate, saved, table, when,
};

const SHARES: [&str; 6] = ["Backend", "Weight", "Requests", "Share", "Errors", "p99"];
const RULES: [&str; 5] = ["Attached to", "Policy", "Rule", "Does", "When"];
const CALLERS: [&str; 2] = ["Caller", "Requests"];

pub(crate) async fn ask(asked: Asked) -> Result<Drawn, Refusal> {
    let (key, op) = (asked.key(Kind::Api)?, asked.op());
    let api = asked.app.api_show(&op, &key).await?;
    let teams = super::teams::names(&asked).await?;
    let now = op.now;
    drawn(move || {
        let spec = &api.row.api.spec;
        let lead = match spec.title.as_str() {
            "" => format!("An Api of {}.", key.namespace),
            title => title.to_owned(),
        };
        let routes = api.routes.iter().map(|one| route(&asked, &key, one, now)).collect_view();
        view! {
            {head_of_counts(format!("{}/{}", key.namespace, key.name), lead)}
            {saved(&asked)}
            <div id="live">
                {summary(&api, now)}
                {if api.routes.is_empty() {
                    view! {
                        <section class="card">
                            {empty("No route that you may see belongs to it. One does by the label \
                                    heddle.dev/api with its name.", ())}
                        </section>
                    }.into_any()
                } else {
                    routes.into_any()
                }}
                {callers(&api)}
                {owner_form(&asked, &api, &key, &teams)}
                {life_form(&asked, &api, &key)}
            </div>
        }
        .into_any()
    })
}

fn summary(api: &ApiInFull, now: OffsetDateTime) -> AnyView {
    let row = &api.row;
    let (spec, sum) = (&row.api.spec, &row.requests.sum);
    let changed = row.changed.as_ref().map(|changed| {
        let to = format!("/changes/{}", changed.revision);
        view! { <a href=to>{when(changed.at, now)}</a> " by " {changed.actor.clone()} }
    });
    let took = |permille| sum.latency.permille(permille).map_or("none".to_owned(), millis);
    let owner = spec.owner.to_string();
    let description = (!spec.description.is_empty()).then(|| {
        view! { <p class="lines">{spec.description.clone()}</p> }
    });
    view! {
        <section class="card" id="summary" aria-labelledby="summary-title">
            <h2 id="summary-title">"Last minute"</h2>
            {description}
            <dl class="facts">
                <dt>"Owner"</dt>
                <dd><a href=format!("/teams/{owner}")>{owner.clone()}</a></dd>
                <dt>"Life"</dt>
                <dd>{life(spec.lifecycle)}</dd>
                <dt>"Requests"</dt>
                <dd>{rate(row.requests.rate())} " " <span class="faint">{format!("{} counted", sum.requests())}</span></dd>
                <dt>"Errors"</dt>
                <dd>{errors(row)}</dd>
                <dt>"Took"</dt>
                <dd>{format!("p50 {}, p99 {}", took(500), took(990))}</dd>
                <dt>"Slowest callee"</dt>
                <dd>{row.requests.slowest.as_ref().map(|(to, p99)| format!("{to}, p99 {}", millis(*p99)))}</dd>
                <dt>"Last change"</dt>
                <dd>{changed}</dd>
            </dl>
        </section>
    }
    .into_any()
}

fn route(asked: &Asked, api: &Key, route: &ApiRoute, now: OffsetDateTime) -> AnyView {
    let name = format!("{}/{}", route.key.namespace, route.key.name);
    let id = format!("route-{}-{}", route.key.namespace, route.key.name);
    let hosts = route.route.spec.hostnames.iter().map(ToString::to_string);
    let hosts: Vec<_> = hosts.collect();
    let changed = route.changed.as_ref().map(|changed| {
        view! { " Changed " {when(changed.at, now)} " by " {changed.actor.clone()} "." }
    });
    let since = match route.split.everywhere {
        true => format!(
            "Counted over the last {:.0} s, in which all nodes ran it as it is.",
            route.split.seconds
        ),
        false => format!(
            "Not all nodes run its last change yet; counted over the {:.0} s since.",
            route.split.seconds
        ),
    };
    let rules = route.route.spec.rules.iter().enumerate();
    let rules = rules.map(|(at, rule)| shares(route, &id, at, rule)).collect_view();
    let heading = format!("{id}-title");
    view! {
        <section class="card" id=id.clone() aria-labelledby=heading.clone()>
            <h2 id=heading.clone()>"Route " {name}</h2>
            <p class="faint">{hosts.join(", ")} "." {changed} " " {since}</p>
            {rules}
            {weights_form(asked, api, route, &id)}
            {access(route, &id)}
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
    let heading = format!("{id}-rule-{at}");
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
    let named = format!("{}/{}", route.key.namespace, route.key.name);
    let is_this = |form: &Form| form.value("route", &named) == named;
    let form = Form::new(asked, action.clone());
    // Several routes of one page have such a form.
    let form = if is_this(&form) { form } else { Form::untried(asked, action) };
    let rules = split.into_iter().map(|(at, rule)| {
        let weights = rule.backend_refs.iter().enumerate().map(|(backend, to)| {
            let field = format!("weight-{at}-{backend}");
            let typed = form.value(&field, &to.weight.to_string());
            let faults = form.told(&path(at, backend));
            let fault = faults.as_ref().map(|_| format!("{id}-{field}-fault"));
            let told = faults.map(|words| {
                view! { <p class="fault" id=format!("{id}-{field}-fault")>{words}</p> }
            });
            let weight = Weight {
                field,
                backend: backend_name(&route.key, to),
                weight: typed.parse().unwrap_or(to.weight),
                fault,
            };
            (weight, told)
        });
        let (weights, faults): (Vec<_>, Vec<_>) = weights.unzip();
        let name = rule.name.as_ref().map_or_else(|| format!("number {at}"), ToString::to_string);
        view! {
            <fieldset>
                <legend>"Weights of rule " {name}</legend>
                <Weights weights place=id.to_owned() />
                {faults.into_iter().flatten().collect_view()}
            </fieldset>
        }
    });
    let rules = rules.collect_view();
    let why = format!("{id}-why");
    let fields = view! {
        <input type="hidden" name="route" value=named />
        {rules}
        {form.why(&why)}
        <button>"Save the weights"</button>
    };
    Some(form.draw(Some(route.generation), fields))
}

fn path(rule: usize, backend: usize) -> String {
    format!("spec.rules[{rule}].backendRefs[{backend}].weight")
}

/// Sets the weights of a route.
pub(crate) async fn weights(sent: Sent) -> Result<Done, Refusal> {
    let api = sent.asked.key(Kind::Api)?;
    let route = sent.fields.get("route").split_once('/').and_then(|(namespace, name)| {
        let names = Name::parse(namespace).ok().zip(Name::parse(name).ok());
        names.map(|(namespace, name)| Key::new(Kind::HttpRoute, namespace, name))
    });
    let key = route.ok_or_else(|| Refusal::None("such route".to_owned()))?;
    let mut wanted = BTreeMap::new();
    let mut faults = Vec::new();
    for (field, value) in sent.fields.starting("weight-") {
        let Some((rule, backend)) = field.split_once('-') else { continue };
        let (Ok(rule), Ok(backend)) = (rule.parse::<usize>(), backend.parse::<usize>()) else {
            continue;
        };
        match value.trim().parse::<u32>() {
            Ok(weight) => drop(wanted.insert((rule, backend), weight)),
            Err(_) => faults.push((
                path(rule, backend),
                format!("'{value}' is no weight: a whole number from 0 to 1000000"),
            )),
        }
    }
    if !faults.is_empty() {
        return Err(wrong(faults));
    }
    let receipt = change(&sent, &key, |body| {
        for ((rule, backend), weight) in &wanted {
            let to = &mut body["spec"]["rules"][rule]["backendRefs"][backend];
            if to.is_object() {
                to["weight"] = (*weight).into();
            }
        }
    });
    Ok(Done::saved(&place(&api), receipt.await?.revision))
}

/// What decides on the requests of a route.
fn access(route: &ApiRoute, id: &str) -> AnyView {
    let rows = route.access.iter().flat_map(rules_of).collect::<Vec<_>>();
    let heading = format!("{id}-access");
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
    let name = format!("{}/{}", policy.metadata.namespace, policy.metadata.name);
    let rows = policy.spec.rules.iter().map(|rule| {
        let is = match rule.action {
            Action::Allow => mood(Mood::Good, "allows".to_owned()),
            Action::Deny => mood(Mood::Bad, "denies".to_owned()),
        };
        view! {
            <tr>
                <th scope="row">{at.clone()}</th>
                <td>{name.clone()}</td>
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

fn callers(api: &ApiInFull) -> AnyView {
    let rows = api.callers.iter().map(|(caller, requests)| {
        let caller = caller.clone().unwrap_or_else(|| "without a credential".to_owned());
        view! { <tr><th scope="row">{caller}</th><td>{*requests}</td></tr> }
    });
    let rows: Vec<_> = rows.collect();
    view! {
        <section class="card" id="callers" aria-labelledby="callers-title">
            <h2 id="callers-title">"Callers of the last 15 minutes"</h2>
            {if rows.is_empty() {
                empty("Nobody called it that you may know of.", ()).into_any()
            } else {
                table("callers-title".to_owned(), &CALLERS, rows).into_any()
            }}
        </section>
    }
    .into_any()
}

fn owner_form(asked: &Asked, api: &ApiInFull, key: &Key, teams: &[String]) -> AnyView {
    let owner = api.row.api.spec.owner.to_string();
    let form = api.may.transfer.then(|| {
        let form = Form::new(asked, format!("{}/owner", place(key)));
        let line = Line {
            field: "owner",
            label: "Team",
            path: "spec.owner",
            is: &owner,
            required: true,
            list: Some("teams-known"),
            ..Line::default()
        };
        let known = teams.iter().map(|team| view! { <option value=team.clone()></option> });
        let fields = view! {
            {form.text(line)}
            <datalist id="teams-known">{known.collect_view()}</datalist>
            {form.why("owner-why")}
            <button>"Give it to this team"</button>
        };
        form.draw(Some(api.row.generation), fields)
    });
    view! {
        <section class="card" id="owner-of" aria-labelledby="owner-title">
            <h2 id="owner-title">"Owner"</h2>
            <p>"It belongs to the team " <a href=format!("/teams/{owner}")>{owner.clone()}</a>
            ", which may change its routes and policies."</p>
            {form}
        </section>
    }
    .into_any()
}

/// Gives the Api to a team.
pub(crate) async fn owner(sent: Sent) -> Result<Done, Refusal> {
    let key = sent.asked.key(Kind::Api)?;
    let to = sent.fields.get("owner").trim();
    let to = Name::parse(to).map_err(|why| wrong([("spec.owner".to_owned(), why.to_string())]))?;
    let receipt = change(&sent, &key, |body| body["spec"]["owner"] = to.as_str().into()).await?;
    Ok(Done::saved(&place(&key), receipt.revision))
}

fn life_form(asked: &Asked, api: &ApiInFull, key: &Key) -> Option<AnyView> {
    if !api.may.lead {
        return None;
    }
    let spec = &api.row.api.spec;
    let form = Form::new(asked, format!("{}/life", place(key)));
    let words = LIVES.map(|life| (format!("{life:?}"), life.to_string()));
    let is = format!("{:?}", spec.lifecycle);
    let date = |date: Option<OffsetDateTime>| date.map(|at| at.date().to_string());
    let (sunset, successor) =
        (date(spec.sunset).unwrap_or_default(), spec.successor.clone().unwrap_or_default());
    let (callers, more) = (api.callers.iter().take(5), api.callers.len().saturating_sub(5));
    let callers: Vec<_> = callers
        .map(|(who, _)| who.clone().unwrap_or_else(|| "whoever has no credential".to_owned()))
        .collect();
    let touched = match (callers.is_empty(), more) {
        (true, _) => "Nobody called it in the last 15 minutes that you may know of.".to_owned(),
        (false, 0) => format!("A move touches those who called lately: {}.", callers.join(", ")),
        (false, more) => format!(
            "A move touches those who called lately: {} and {}.",
            callers.join(", "),
            count(more, "other")
        ),
    };
    let stage = Line {
        field: "lifecycle",
        label: "Stage",
        path: "spec.lifecycle",
        is: &is,
        ..Line::default()
    };
    let sunset = Line {
        field: "sunset",
        label: "May be gone from",
        path: "spec.sunset",
        is: &sunset,
        hint: Some("a day, of one that is deprecated or retired"),
        kind: "date",
        ..Line::default()
    };
    let successor = Line {
        field: "successor",
        label: "What comes after it",
        path: "spec.successor",
        is: &successor,
        hint: Some("an address, of one that is deprecated or retired"),
        ..Line::default()
    };
    let fields = view! {
        <p>{touched}</p>
        {form.choice(stage, &words)}
        {form.text(sunset)}
        {form.text(successor)}
        {form.why("life-why")}
        <button>"Move it"</button>
    };
    let card = view! {
        <section class="card" id="life-of" aria-labelledby="life-title">
            <h2 id="life-title">"Life"</h2>
            <p class="faint">
                "A draft answers nobody; a published Api answers; a deprecated one says in each answer that \
                 it will be gone; a retired one answers 410."
            </p>
            {form.draw(Some(api.row.generation), fields)}
        </section>
    };
    Some(card.into_any())
}

/// Moves the Api in its life.
pub(crate) async fn life_move(sent: Sent) -> Result<Done, Refusal> {
    let key = sent.asked.key(Kind::Api)?;
    let stage = LIVES.into_iter().find(|life| format!("{life:?}") == sent.fields.get("lifecycle"));
    let Some(stage) = stage else {
        let words = "choose Draft, Published, Deprecated or Retired".to_owned();
        return Err(wrong([("spec.lifecycle".to_owned(), words)]));
    };
    let leaves = matches!(stage, Lifecycle::Deprecated | Lifecycle::Retired);
    let at = sent.asked.visit.now.date().to_string();
    let day = |day: &str| format!("{day}T00:00:00Z");
    let receipt = change(&sent, &key, |body| {
        set(body, "lifecycle", Some(&format!("{stage:?}")));
        set(body, "sunset", sent.fields.word("sunset").map(day).as_deref());
        set(body, "successor", sent.fields.word("successor"));
        match (leaves, body["spec"].get("deprecated").is_some()) {
            (true, false) => set(body, "deprecated", Some(&day(&at))),
            (false, true) => set(body, "deprecated", None),
            (true, true) | (false, false) => {}
        }
    });
    Ok(Done::saved(&place(&key), receipt.await?.revision))
}
