//! An Api: how its requests go, where its routes lead, who decides about them, whose it is.

use control::Refusal;
use control::app::{ApiInFull, Review};
use leptos::prelude::*;
use model::role::Verb;
use model::{Key, Kind, Name};
use time::OffsetDateTime;

use super::apis::{errors, life as stage, place};
use super::{Asked, Drawn, drawn, object, roles};
use crate::edit::{change, set, wrong};
use crate::form::{Done, Form, Line, Sent};
use crate::parts::{count, empty, head_of_counts, millis, rate, saved, table, when};

mod access;
pub(crate) mod life;
mod matching;
pub(crate) mod split;

const CALLERS: [&str; 2] = ["Caller", "Requests"];

pub(crate) async fn ask(asked: Asked) -> Result<Drawn, Refusal> {
    let (key, op) = (asked.key(Kind::Api)?, asked.op());
    let api = asked.app.api_show(&op, &key).await?;
    let teams = match api.may.transfer {
        true => super::teams::names(&asked).await?,
        false => Vec::new(),
    };
    let review = Review {
        verb: Verb::Create,
        key: Key::new(Kind::AccessPolicy, key.namespace.clone(), key.name.clone()),
        field: None,
        api: Some(key.name.clone()),
        user: None,
    };
    let may_rule = asked.app.access_review(&op, &review).await?.allowed;
    let (now, given) = (op.now, matching::given(&asked, &api).await?);
    drawn(move || {
        let spec = &api.row.api.spec;
        let lead = match spec.title.as_str() {
            "" => format!("An Api of {}.", key.namespace),
            title => title.to_owned(),
        };
        let more = api.row.routes.saturating_sub(api.routes.len());
        let tried = given.draw(more);
        let more = (more > 0).then(|| {
            let words =
                format!("It has {} that this page does not show.", count(more, "more route"));
            view! { <p class="faint">{words}</p> }
        });
        let routes = api.routes.iter();
        let routes =
            routes.map(|one| split::route(&asked, &key, one, may_rule, now)).collect_view();
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
                {more}
                {tried}
                {callers(&api)}
                {owner_form(&asked, &api, &key, &teams)}
                {others(&asked, &api, &key)}
                {life::form(&asked, &api, &key)}
                {object::whole(&key)}
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
                <dd>{stage(spec.lifecycle)}</dd>
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

fn callers(api: &ApiInFull) -> AnyView {
    let rows = api.callers.iter().map(|(caller, requests)| {
        let caller = caller.clone().unwrap_or_else(|| "without a credential".to_owned());
        view! { <tr><th scope="row">{caller}</th><td>{*requests}</td></tr> }
    });
    let rows: Vec<_> = rows.collect();
    let more = (api.more_callers > 0).then(|| {
        view! { <p class="faint">{format!("and {}, who called less", count(api.more_callers, "other"))}</p> }
    });
    view! {
        <section class="card" id="callers" aria-labelledby="callers-title">
            <h2 id="callers-title">"Callers of the last 15 minutes"</h2>
            {if rows.is_empty() {
                empty("Nobody called it that you may know of.", ()).into_any()
            } else {
                table("callers-title".to_owned(), &CALLERS, rows).into_any()
            }}
            {more}
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

/// Who may do something with it beside the team that owns it. What an Api was given stays when it goes
/// to another team, until somebody takes it back.
fn others(asked: &Asked, api: &ApiInFull, key: &Key) -> AnyView {
    view! {
        <section class="card" id="roles" aria-labelledby="roles-title">
            <h2 id="roles-title">"Who else may do something here"</h2>
            <p class="faint">"These Grants are on this Api, whoever owns it; roles in a whole "
            <a href="/workspaces">"workspace"</a>" hold here, too."</p>
            {if api.roles.is_empty() {
                empty("No Grant on it that you may read.", ()).into_any()
            } else {
                roles::list(asked, "roles-title", &api.roles, &place(key))
            }}
        </section>
    }
    .into_any()
}

/// Gives the Api to a team.
pub(crate) async fn owner(sent: Sent) -> Result<Done, Refusal> {
    let key = sent.asked.key(Kind::Api)?;
    let to = sent.fields.get("owner").trim();
    let to = Name::parse(to).map_err(|why| wrong([("spec.owner".to_owned(), why.to_string())]))?;
    let receipt = change(&sent, &key, |body| {
        set(body, "owner", Some(to.as_str()));
        Ok(())
    })
    .await?;
    Ok(Done::saved(&place(&key), &receipt))
}
