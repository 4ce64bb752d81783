//! Workspaces: the borders within which teams work.

use control::Refusal;
use control::app::{WorkspaceListing, WorkspaceRow};
use leptos::prelude::*;
use model::Name;
use serde::Deserialize;

use super::{Asked, Drawn, drawn};
use crate::parts::{Mood, empty, escaped, head, mood, search, table};

/// Workspaces of one page.
const PAGE: usize = 50;

const HEADS: [&str; 4] = ["Workspace", "Namespaces", "What no policy speaks of", "Whom to ask"];

#[derive(Debug, Clone, Default, Deserialize)]
struct Wanted {
    #[serde(default)]
    search: String,
    /// The last of the page before.
    #[serde(default)]
    after: String,
}

pub(crate) async fn ask(asked: Asked) -> Result<Drawn, Refusal> {
    let wanted: Wanted = asked.query();
    let text = wanted.search.trim().to_owned();
    let listing = WorkspaceListing {
        text: Some(text).filter(|text| !text.is_empty()),
        after: Name::parse(&wanted.after).ok(),
        limit: PAGE,
    };
    let page = asked.app.workspace_list(&asked.op(), &listing).await?;
    drawn(move || {
        let rows: Vec<_> = page.items.iter().map(row).collect();
        let more = page.next.as_ref().map(|last| {
            let to = format!("/workspaces?search={}&after={last}", escaped(&wanted.search));
            view! { <p><a href=to>"More workspaces"</a></p> }
        });
        let is_part = listing.text.is_some() || listing.after.is_some();
        let nothing = match is_part {
            true => "No workspace of which you may read something is like this.",
            false => "There is no workspace of which you may read something.",
        };
        let all = is_part.then(|| view! { <p><a href="/workspaces">"Show all"</a></p> });
        let filter = (is_part || page.next.is_some())
            .then(|| search("/workspaces", &wanted.search, "Name, title or namespace", ()));
        view! {
            {head("Workspaces".to_owned(), "The borders within which teams work.".to_owned())}
            {filter}
            <div id="live">
                <section class="card" id="workspaces" aria-labelledby="workspaces-title">
                    <h2 id="workspaces-title">"Workspaces"</h2>
                    {if rows.is_empty() {
                        empty(nothing, all)
                    } else {
                        table("workspaces-title".to_owned(), &HEADS, rows)
                    }}
                    {more}
                </section>
            </div>
        }
        .into_any()
    })
}

fn row(one: &WorkspaceRow) -> AnyView {
    let name = one.name.to_string();
    let title = (!one.title.is_empty()).then(|| {
        view! { <p class="faint small">{one.title.clone()}</p> }
    });
    let namespaces: Vec<_> = one.namespaces.iter().map(ToString::to_string).collect();
    view! {
        <tr id=format!("workspace-{name}")>
            <th scope="row"><a href=format!("/workspaces/{name}")>{name.clone()}</a>{title}</th>
            <td class="long">{namespaces.join(", ")}</td>
            <td>{default_access(one.denies)}</td>
            <td class="long">{one.owners.join(", ")}</td>
        </tr>
    }
    .into_any()
}

/// What becomes of what no policy speaks of.
pub(super) fn default_access(denies: bool) -> AnyView {
    match denies {
        true => mood(Mood::Good, "denied".to_owned()),
        false => mood(Mood::Poor, "passes".to_owned()),
    }
}
