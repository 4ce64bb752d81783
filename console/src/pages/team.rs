//! A team: who is in it, what it owns, and which roles it has where.

use control::app::{ApiListing, GivenRole, WorkspaceListing};
use control::{Refusal, Shown};
use leptos::prelude::*;
use model::access::builtin;
use model::{Key, Kind, Name};
use serde_json::json;

use super::apis::catalogue;
use super::teams::{fields, spec, texts};
use super::{Asked, Drawn, drawn, roles};
use crate::edit::{change as changed, make, wrong};
use crate::form::{Done, Form, Line, Sent};
use crate::parts::{empty, head_of_counts, saved};

/// Apis that are shown of one team.
const MOST: usize = 100;

pub(crate) async fn ask(asked: Asked) -> Result<Drawn, Refusal> {
    let (key, op) = (key(&asked)?, asked.op());
    let team = asked.app.resource_show(&op, &key, None).await?;
    let listing = ApiListing { owner: Some(key.name.clone()), limit: MOST, ..Default::default() };
    let apis = asked.app.api_list(&op, listing).await?.items;
    let given = asked.app.team_roles(&op, &key.name).await?;
    let spaces = match asked.visit.is_admin {
        true => {
            let all = WorkspaceListing { limit: usize::MAX, ..WorkspaceListing::default() };
            asked.app.workspace_list(&op, &all).await?.items
        }
        false => Vec::new(),
    };
    let spaces: Vec<_> = spaces.into_iter().flat_map(|one| one.namespaces).collect();
    let now = op.now;
    drawn(move || {
        let title = team.body["spec"]["title"].as_str().unwrap_or_default();
        let lead = if title.is_empty() { "A team." } else { title };
        let own = match apis.is_empty() {
            true => empty("It owns no Api that you may see.", view! {
                <p>"To give it one, open it among the "<a href="/apis">"Apis"</a>" and make the team its owner."</p>
            })
            .into_any(),
            false => catalogue("apis-title", &apis, now).into_any(),
        };
        view! {
            {head_of_counts(format!("Team {}", key.name), lead.to_owned())}
            {saved(&asked)}
            <div id="live">
                <section class="card" id="apis" aria-labelledby="apis-title">
                    <h2 id="apis-title">"Apis"</h2>
                    {own}
                </section>
                {held(&asked, &key, &given, &spaces)}
                {members(&asked, &team)}
            </div>
        }
        .into_any()
    })
}

/// The team that a path names.
fn key(asked: &Asked) -> Result<Key, Refusal> {
    let name = Name::parse(asked.part(0)).map_err(|_| Refusal::None("such Team".to_owned()))?;
    Ok(Key::new(Kind::Team, Kind::Team.default_namespace(), name))
}

fn held(asked: &Asked, key: &Key, given: &[GivenRole], spaces: &[Name]) -> AnyView {
    let give = asked.visit.is_admin.then(|| {
        let form = Form::new(asked, format!("/teams/{}/role", key.name));
        let first = spaces.first().map(ToString::to_string).unwrap_or_default();
        let place = Line {
            field: "namespace",
            label: "In the workspace of the namespace",
            path: "metadata.namespace",
            is: &first,
            required: true,
            list: Some("spaces-known"),
            ..Line::default()
        };
        let role = Line {
            field: "role",
            label: "Role",
            path: "spec.role",
            is: "viewer",
            ..Line::default()
        };
        let words = builtin::ROLES.iter().map(|(role, _)| ((*role).to_owned(), (*role).to_owned()));
        let known = spaces.iter().map(|one| view! { <option value=one.to_string()></option> });
        let fields = view! {
            {form.text(place)}
            <datalist id="spaces-known">{known.collect_view()}</datalist>
            {form.choice(role, &words.collect::<Vec<_>>())}
            {form.why("role-why")}
            <button>"Give the role"</button>
        };
        view! { <h3>"Give it a role"</h3> {form.draw(None, fields)} }
    });
    view! {
        <section class="card" id="roles" aria-labelledby="roles-title">
            <h2 id="roles-title">"Roles"</h2>
            {if given.is_empty() {
                empty("No Grant that you may see names it. What belongs to its Apis it may change \
                       without one.", ()).into_any()
            } else {
                roles::list(asked, "roles-title", given, &format!("/teams/{}", key.name))
            }}
            {give}
        </section>
    }
    .into_any()
}

fn members(asked: &Asked, team: &Shown) -> AnyView {
    let spec = &team.body["spec"];
    let shown = match asked.visit.is_admin {
        true => {
            let form = Form::new(asked, format!("/teams/{}/change", team.key.name));
            let inner = view! {
                {fields(&form, spec, "")}
                {form.why("members-why")}
                <button>"Save the team"</button>
            };
            form.draw(Some(team.generation), inner).into_any()
        }
        false => {
            let members: Vec<_> = texts(&spec["members"]).collect();
            view! { <p>{members.join(", ")}</p> }.into_any()
        }
    };
    view! {
        <section class="card" id="members" aria-labelledby="members-title">
            <h2 id="members-title">"Members"</h2>
            {shown}
        </section>
    }
    .into_any()
}

/// Changes who is in it.
pub(crate) async fn change(sent: Sent) -> Result<Done, Refusal> {
    let (key, spec) = (key(&sent.asked)?, spec(&sent)?);
    let receipt = changed(&sent, &key, |body| {
        drop(body.as_object_mut().and_then(|body| body.insert("spec".to_owned(), spec)));
        Ok(())
    })
    .await?;
    Ok(Done::saved(&format!("/teams/{}", key.name), &receipt))
}

/// Gives it a role in a workspace.
pub(crate) async fn role(sent: Sent) -> Result<Done, Refusal> {
    let team = key(&sent.asked)?.name;
    let (role, namespace) = (sent.fields.get("role").trim(), sent.fields.get("namespace").trim());
    let namespace = Name::parse(namespace)
        .map_err(|why| wrong([("metadata.namespace".to_owned(), why.to_string())]))?;
    let name = Name::parse(&format!("{team}-{role}"))
        .map_err(|why| wrong([("spec.role".to_owned(), why.to_string())]))?;
    let key = Key::new(Kind::Grant, namespace, name);
    let spec = json!({ "subjects": [{ "team": team }], "role": role });
    let receipt = make(&sent, &key, spec).await?;
    Ok(Done::saved(&format!("/teams/{team}"), &receipt))
}
