//! Changes, newest first.

use control::{PastChange, Refusal};
use leptos::prelude::*;
use time::OffsetDateTime;

use super::{Asked, Before, Drawn, drawn};
use crate::parts::{count, empty, head, when};

/// Changes of one page.
const PAGE: usize = 50;

pub(crate) async fn ask(asked: Asked) -> Result<Drawn, Refusal> {
    let Before { before } = asked.query();
    let op = asked.op();
    let page = asked.app.change_list(&op, None, before, PAGE).await?;
    let now = op.now;
    drawn(move || {
        let nothing = match page.next {
            Some(_) => "None of the last thousand changes may be seen by you.",
            None => "Nothing was changed that you may see.",
        };
        let older = page.next.map(|next| {
            view! { <p><a href=format!("/changes?before={next}")>"Older changes"</a></p> }
        });
        view! {
            {head("Changes".to_owned(), "Who changed what, newest first.".to_owned())}
            <div id="live">
                <section class="card" id="changes" aria-label="Changes">
                    {if page.items.is_empty() {
                        empty(nothing, ()).into_any()
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
