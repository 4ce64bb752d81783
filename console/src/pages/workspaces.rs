//! Workspaces: the borders within which teams work.

use control::Refusal;
use control::app::WorkspaceRow;
use leptos::prelude::*;

use super::{Asked, Drawn, drawn};
use crate::parts::{Mood, empty, head, mood, table};

const HEADS: [&str; 4] = ["Workspace", "Namespaces", "What no policy speaks of", "Whom to ask"];

pub(crate) async fn ask(asked: Asked) -> Result<Drawn, Refusal> {
    let all = asked.app.workspace_list(&asked.op()).await?;
    drawn(move || {
        let rows: Vec<_> = all.iter().map(row).collect();
        view! {
            {head("Workspaces".to_owned(), "The borders within which teams work.".to_owned())}
            <div id="live">
                <section class="card" id="workspaces" aria-labelledby="workspaces-title">
                    <h2 id="workspaces-title">"Workspaces"</h2>
                    {if rows.is_empty() {
                        empty("There is no workspace of which you may read something.", ())
                    } else {
                        table("workspaces-title".to_owned(), &HEADS, rows)
                    }}
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
