//! A workspace: who may do what in it, field by field, and which hosts and paths it holds.

use control::Refusal;
use control::app::{HeldClaim, WorkspaceInFull};
use leptos::prelude::*;
use model::{Key, Kind, Name};
use serde_json::json;

use super::workspaces::default_access;
use super::{Asked, Drawn, drawn, roles};
use crate::edit::{make, remove_named, wrong};
use crate::form::{Done, Form, Line, Sent, take_away};
use crate::parts::{empty, head, saved, table};

const CLAIMS: [&str; 4] = ["Host", "Paths", "By", "Release it"];

pub(crate) async fn ask(asked: Asked) -> Result<Drawn, Refusal> {
    let name = name(&asked)?;
    let shown = asked.app.workspace_show(&asked.op(), &name).await?;
    drawn(move || {
        let row = &shown.row;
        let lead = if row.title.is_empty() { "A workspace." } else { &row.title };
        let namespaces: Vec<_> = row.namespaces.iter().map(ToString::to_string).collect();
        view! {
            {head(format!("Workspace {}", row.name), lead.to_owned())}
            {saved(&asked)}
            <div id="live">
                <section class="card" aria-label="In short">
                    <dl class="facts">
                        <dt>"Namespaces"</dt>
                        <dd>{namespaces.join(", ")}</dd>
                        <dt>"What no policy speaks of"</dt>
                        <dd>{default_access(row.denies)}</dd>
                        <dt>"Whom to ask"</dt>
                        <dd>{row.owners.join(", ")}</dd>
                    </dl>
                </section>
                {who(&asked, &shown)}
                {claims(&asked, &shown)}
            </div>
        }
        .into_any()
    })
}

fn name(asked: &Asked) -> Result<Name, Refusal> {
    Name::parse(asked.part(0)).map_err(|_| Refusal::None("such workspace".to_owned()))
}

fn who(asked: &Asked, shown: &WorkspaceInFull) -> AnyView {
    let place = format!("/workspaces/{}", shown.row.name);
    view! {
        <section class="card" id="roles" aria-labelledby="roles-title">
            <h2 id="roles-title">"Who may do what"</h2>
            <p class="faint">"The team that owns an Api may change what belongs to it without a grant."</p>
            {if shown.roles.is_empty() {
                empty("No Grant of this workspace that you may read.", ()).into_any()
            } else {
                roles::list(asked, "roles-title", &shown.roles, &place)
            }}
        </section>
    }
    .into_any()
}

fn claims(asked: &Asked, shown: &WorkspaceInFull) -> AnyView {
    let rows: Vec<_> =
        shown.claims.iter().flat_map(|held| claim(asked, held, &shown.row.name)).collect();
    let new = (!shown.may_claim.is_empty()).then(|| claim_form(asked, shown));
    view! {
        <section class="card" id="claims" aria-labelledby="claims-title">
            <h2 id="claims-title">"What it holds"</h2>
            <p class="faint">"Nobody else may claim or route what a workspace holds, nor what overlaps with it."</p>
            {if rows.is_empty() {
                empty("It holds no host that you may know of.", ())
            } else {
                table("claims-title".to_owned(), &CLAIMS, rows)
            }}
            {new}
        </section>
    }
    .into_any()
}

fn claim(asked: &Asked, held: &HeldClaim, workspace: &Name) -> Vec<AnyView> {
    let meta = &held.claim.metadata;
    let by = format!("{}/{}", meta.namespace, meta.name);
    let key = Key::new(Kind::Claim, meta.namespace.clone(), meta.name.clone());
    let release = held.may_release.then(|| {
        let words = ("Release", format!("Release all of {by}"));
        let to = format!("/workspaces/{workspace}/release");
        take_away(asked, to, (&key, held.generation), words)
    });
    let mut release = release;
    let hosts = held.claim.spec.hosts.iter();
    let rows = hosts.map(|one| {
        let paths = match one.paths.is_empty() {
            true => "all".to_owned(),
            false => one.paths.join(", "),
        };
        // One Claim is released as a whole.
        let release = release.take();
        view! {
            <tr>
                <th scope="row">{one.host.to_string()}</th>
                <td class="long">{paths}</td>
                <td>{by.clone()}</td>
                <td>{release}</td>
            </tr>
        }
        .into_any()
    });
    rows.collect()
}

fn claim_form(asked: &Asked, shown: &WorkspaceInFull) -> AnyView {
    let form = Form::new(asked, format!("/workspaces/{}/claim", shown.row.name));
    let spaces = shown.may_claim.iter().map(|one| (one.to_string(), one.to_string()));
    let first = shown.may_claim.first().map(ToString::to_string).unwrap_or_default();
    let line = |field, label, path, hint| Line { field, label, path, hint, ..Line::default() };
    let space = line("namespace", "In the namespace", "metadata.namespace", None);
    let host = line("host", "Host", "spec.hosts[0].host", Some("or *.HOST for all below it"));
    let paths = line(
        "paths",
        "Paths",
        "spec.hosts[0].paths",
        Some("prefixes, one a line; the whole host if nothing is said"),
    );
    let fields = view! {
        {form.text(Line { required: true, ..host })}
        {form.lines(paths)}
        {form.choice(Line { is: &first, ..space }, &spaces.collect::<Vec<_>>())}
        {form.why("claim-why")}
        <button>"Claim it"</button>
    };
    view! { <h3>"Claim a host"</h3> {form.draw(None, fields)} }.into_any()
}

/// Claims a host, or some paths of it.
pub(crate) async fn claim_new(sent: Sent) -> Result<Done, Refusal> {
    let workspace = name(&sent.asked)?;
    let fields = &sent.fields;
    let namespace = Name::parse(fields.get("namespace").trim())
        .map_err(|why| wrong([("metadata.namespace".to_owned(), why.to_string())]))?;
    let host = fields.get("host").trim();
    let paths: Vec<_> = fields.words("paths").collect();
    let mut claim = json!({ "host": host });
    if !paths.is_empty() {
        claim["paths"] = json!(paths);
    }
    let key = Key::new(Kind::Claim, namespace, named(host, &paths)?);
    let receipt = make(&sent, &key, json!({ "hosts": [claim] })).await?;
    Ok(Done::saved(&format!("/workspaces/{workspace}"), &receipt))
}

/// A name for a claim that says what it claims.
fn named(host: &str, paths: &[&str]) -> Result<Name, Refusal> {
    let all = std::iter::once(host).chain(paths.iter().copied()).collect::<Vec<_>>().join("-");
    let all = all.to_ascii_lowercase().replace('*', "any");
    let plain = all.split(|c: char| !c.is_ascii_alphanumeric()).filter(|part| !part.is_empty());
    let name = plain.collect::<Vec<_>>().join("-");
    let name = name.get(..name.len().min(60)).unwrap_or_default().trim_end_matches('-');
    Name::parse(name).map_err(|_| {
        wrong([("spec.hosts[0].host".to_owned(), format!("'{host}' is no host name"))])
    })
}

/// Lets go of what a Claim holds.
pub(crate) async fn release(sent: Sent) -> Result<Done, Refusal> {
    let workspace = name(&sent.asked)?;
    let receipt = remove_named(&sent, Kind::Claim).await?;
    Ok(Done::saved(&format!("/workspaces/{workspace}"), &receipt))
}
