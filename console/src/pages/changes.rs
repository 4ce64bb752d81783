//! Changes, newest first.

use control::{Page, PastChange, Refusal};
use leptos::prelude::*;
use model::{Name, Scope};
use serde::Deserialize;
use time::OffsetDateTime;

use super::{Asked, Drawn, drawn};
use crate::parts::{count, empty, escaped, head, search, when};

/// Changes of one page.
const PAGE: usize = 50;

#[derive(Debug, Default, Deserialize)]
struct Wanted {
    /// The workspace whose changes are wanted, or `platform`; those of all where nothing is said.
    #[serde(default)]
    search: String,
    /// Only what stands before this revision.
    before: Option<i64>,
}

/// The scope that somebody means: `platform`, or a workspace with or without that word.
fn scope(word: &str) -> Option<Result<Scope, ()>> {
    let word = word.trim();
    let name = word.strip_prefix("workspace/").unwrap_or(word);
    match word {
        "" => None,
        "platform" => Some(Ok(Scope::Platform)),
        _ => Some(Name::parse(name).map(Scope::Workspace).map_err(|_| ())),
    }
}

pub(crate) async fn ask(asked: Asked) -> Result<Drawn, Refusal> {
    let Wanted { search: wanted, before } = asked.query();
    let op = asked.op();
    let scope = scope(&wanted);
    let page = match &scope {
        Some(Err(())) => Page { items: Vec::new(), next: None, revision: 0 },
        Some(Ok(scope)) => asked.app.change_list(&op, Some(scope), before, PAGE).await?,
        None => asked.app.change_list(&op, None, before, PAGE).await?,
    };
    let is_filtered = scope.is_some();
    let now = op.now;
    drawn(move || {
        let nothing = match (page.next, is_filtered) {
            (Some(_), _) => "None of the last thousand changes may be seen by you.",
            (None, true) => "Nothing was changed there that you may see.",
            (None, false) => "Nothing was changed that you may see.",
        };
        let older = page.next.map(|next| {
            let to = match is_filtered {
                true => format!("/changes?search={}&before={next}", escaped(&wanted)),
                false => format!("/changes?before={next}"),
            };
            view! { <p><a href=to>"Older changes"</a></p> }
        });
        view! {
            {head("Changes".to_owned(), "Who changed what, newest first.".to_owned())}
            {search("/changes", &wanted, "Workspace, or platform", ())}
            <div id="live">
                <section class="card" id="changes" aria-label="Changes">
                    {if page.items.is_empty() {
                        let all = view! { <p><a href="/changes">"Show all"</a></p> };
                        empty(nothing, is_filtered.then_some(all)).into_any()
                    } else {
                        list(&page.items, now).into_any()
                    }}
                    {older}
                </section>
            </div>
        }
        .into_any()
    })
}

/// Changes in short, each with the way to all of it.
pub(super) fn list(changes: &[PastChange], now: OffsetDateTime) -> AnyView {
    let rows = changes.iter().map(|change| row(change, now)).collect_view();
    view! { <ol class="changes">{rows}</ol> }.into_any()
}

fn row(change: &PastChange, now: OffsetDateTime) -> AnyView {
    let revision = change.revision;
    let scopes: Vec<_> = change.scopes.iter().map(ToString::to_string).collect();
    view! {
        <li id=format!("change-{revision}")>
            <a href=format!("/changes/{revision}")>{format!("Revision {revision}")}</a>
            " by " {change.actor.clone()} ", " {when(change.at, now)} ": "
            {count(change.objects.len(), "object")} " in " {scopes.join(", ")}
            {change.reverts.map(|reverts| format!("; takes back revision {reverts}"))}
            {(!change.message.is_empty()).then(|| view! { <q>{change.message.clone()}</q> })}
        </li>
    }
    .into_any()
}
