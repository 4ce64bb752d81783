//! Teams: who belongs together, and making one.

use control::{Listing, Page, Refusal, Shown};
use leptos::prelude::*;
use model::{Key, Kind, Name};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Asked, Drawn, drawn};
use crate::edit::{make, wrong};
use crate::form::{Done, Form, Line, Sent};
use crate::parts::{count, empty, escaped, head, saved, search, table};

/// Teams of one page.
const PAGE: usize = 100;
/// Teams that are offered to choose from.
const MOST: usize = 500;

const HEADS: [&str; 4] = ["Team", "Members", "Groups", "Contact"];

/// The first Teams behind `after` that may be read, with this in their names, and what to ask for what
/// follows.
async fn all(
    asked: &Asked,
    text: Option<String>,
    after: Option<Key>,
    limit: usize,
) -> Result<Page<Shown, Key>, Refusal> {
    let listing = Listing { kind: Some(Kind::Team), text, limit, after, ..Listing::default() };
    asked.app.resource_list(&asked.op(), &listing).await
}

/// Names of Teams, for what is offered to choose from.
pub(super) async fn names(asked: &Asked) -> Result<Vec<String>, Refusal> {
    let page = all(asked, None, None, MOST).await?;
    Ok(page.items.into_iter().map(|team| team.key.name.to_string()).collect())
}

#[derive(Debug, Default, Deserialize)]
struct Wanted {
    #[serde(default)]
    search: String,
    /// The last of the page before.
    #[serde(default)]
    after: String,
}

pub(crate) async fn ask(asked: Asked) -> Result<Drawn, Refusal> {
    let Wanted { search: wanted, after } = asked.query();
    let text = Some(wanted.trim().to_owned()).filter(|text| !text.is_empty());
    let is_filtered = text.is_some();
    let after = Name::parse(&after).ok();
    let after = after.map(|name| Key::new(Kind::Team, Kind::Team.default_namespace(), name));
    let Page { items: teams, next, .. } = all(&asked, text, after, PAGE).await?;
    drawn(move || {
        let more = next.as_ref().map(|last| {
            let to = format!("/teams?search={}&after={}", escaped(&wanted), last.name);
            view! { <p><a href=to>"More teams"</a></p> }
        });
        let rows = teams.iter().map(row).collect_view();
        let nothing = match is_filtered {
            true => "No team that you may see has such a name.",
            false => "There is no team that you may see.",
        };
        let new = asked.visit.is_admin.then(|| new_form(&asked));
        view! {
            {head("Teams".to_owned(), "Who belongs together, and so owns and may do the same.".to_owned())}
            {saved(&asked)}
            {search("/teams", &wanted, "Name", ())}
            <p class="tabs">
                <a href="/workspaces">"Workspaces"</a>
                {asked.visit.is_admin.then(|| view! { <a href="/users">"Users who sign in here"</a> })}
            </p>
            <div id="live">
                <section class="card" id="teams" aria-labelledby="teams-title">
                    <h2 id="teams-title">"Teams"</h2>
                    {if teams.is_empty() {
                        let all = view! { <p><a href="/teams">"Show all"</a></p> };
                        empty(nothing, is_filtered.then_some(all)).into_any()
                    } else {
                        table("teams-title".to_owned(), &HEADS, rows).into_any()
                    }}
                    {more}
                </section>
                {new}
            </div>
        }
        .into_any()
    })
}

fn row(team: &Shown) -> AnyView {
    let (name, spec) = (team.key.name.to_string(), &team.body["spec"]);
    let title = spec["title"].as_str().filter(|title| !title.is_empty()).map(str::to_owned);
    let title = title.map(|title| view! { <p class="faint small">{title}</p> });
    let members: Vec<_> = texts(&spec["members"]).collect();
    let groups = spec["groups"].as_array().map_or(0, Vec::len);
    view! {
        <tr id=format!("team-{name}")>
            <th scope="row"><a href=format!("/teams/{name}")>{name.clone()}</a>{title}</th>
            <td class="long">{members.join(", ")}</td>
            <td>{(groups > 0).then(|| count(groups, "group"))}</td>
            <td>{spec["contact"].as_str().map(str::to_owned)}</td>
        </tr>
    }
    .into_any()
}

/// The texts of a list.
pub(super) fn texts(list: &Value) -> impl Iterator<Item = String> {
    list.as_array().into_iter().flatten().filter_map(|one| Some(one.as_str()?.to_owned()))
}

fn new_form(asked: &Asked) -> AnyView {
    let form = Form::new(asked, "/teams/-/new".to_owned());
    let name = Line {
        field: "name",
        label: "Name",
        path: "metadata.name",
        hint: Some("lower-case letters, digits and hyphens"),
        required: true,
        ..Line::default()
    };
    let own = asked.caller.name.to_string();
    let fields = view! {
        {form.text(name)}
        {fields(&form, &Value::Null, &own)}
        {form.why("team-why")}
        <button>"Make the team"</button>
    };
    view! {
        <section class="card" id="new" aria-labelledby="new-title">
            <h2 id="new-title">"A new team"</h2>
            {form.draw(None, fields)}
        </section>
    }
    .into_any()
}

/// What a team says beside its name; `members` where it is new.
pub(super) fn fields(form: &Form, spec: &Value, members: &str) -> AnyView {
    let text = |field: &str| spec[field].as_str().unwrap_or_default().to_owned();
    let (title, contact) = (text("title"), text("contact"));
    let members = match spec.is_null() {
        true => members.to_owned(),
        false => texts(&spec["members"]).collect::<Vec<_>>().join("\n"),
    };
    let groups = spec["groups"].as_array().into_iter().flatten().map(|group| {
        let word = |field: &str| group[field].as_str().unwrap_or_default();
        format!("{}:{}", word("provider"), word("name"))
    });
    let groups = groups.collect::<Vec<_>>().join("\n");
    let line = |field, label, path, hint| Line { field, label, path, hint, ..Line::default() };
    let called = line("title", "Title", "spec.title", None);
    let contact_line = line("contact", "Contact", "spec.contact", None);
    let who = line("members", "Members", "spec.members", Some("users, one a line"));
    let by_group = line(
        "groups",
        "Groups",
        "spec.groups",
        Some("of login providers, one a line, as PROVIDER:GROUP"),
    );
    view! {
        {form.text(Line { is: &title, ..called })}
        {form.text(Line { is: &contact, ..contact_line })}
        {form.lines(Line { is: &members, ..who })}
        {form.lines(Line { is: &groups, ..by_group })}
    }
    .into_any()
}

/// What a form says of a team.
pub(super) fn spec(sent: &Sent) -> Result<Value, Refusal> {
    let fields = &sent.fields;
    let members: Vec<_> = fields.words("members").collect();
    let lines = fields.get("groups").lines().map(str::trim).filter(|line| !line.is_empty());
    let (mut groups, mut faults) = (Vec::new(), Vec::new());
    for line in lines {
        match line.split_once(':') {
            Some((provider, name)) => groups.push(json!({ "provider": provider, "name": name })),
            None => faults.push((
                "spec.groups".to_owned(),
                format!("'{line}' is no group: write PROVIDER:GROUP"),
            )),
        }
    }
    if !faults.is_empty() {
        return Err(wrong(faults));
    }
    let mut spec = json!({ "members": members, "groups": groups });
    for field in ["title", "contact"] {
        if let Some(word) = fields.word(field) {
            spec[field] = word.into();
        }
    }
    Ok(spec)
}

/// Makes a team.
pub(crate) async fn new(sent: Sent) -> Result<Done, Refusal> {
    let name = sent.fields.get("name").trim();
    let name = Name::parse(name);
    let name = name.map_err(|why| wrong([("metadata.name".to_owned(), why.to_string())]))?;
    let key = Key::new(Kind::Team, Kind::Team.default_namespace(), name);
    let receipt = make(&sent, &key, spec(&sent)?).await?;
    Ok(Done::saved(&format!("/teams/{}", key.name), &receipt))
}
