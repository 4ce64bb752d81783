//! An object of any kind: as YAML, by the command line, by REST, and what became of it.

use control::Refusal;
use control::app::{Deed, PastVersion, Shown};
use leptos::prelude::*;
use model::{Key, Kind, Name, yaml};
use serde::Deserialize;
use time::OffsetDateTime;

use super::{Asked, Drawn, drawn, word};
use crate::islands::copy::Copy;
use crate::parts::{head, table, when};

/// Versions that are shown.
const MOST: usize = 50;

const HEADS: [&str; 5] = ["Revision", "What", "By", "When", "Why"];

#[derive(Debug, Default, Deserialize)]
struct Wanted {
    /// As it was at this revision.
    revision: Option<i64>,
}

/// Where an object is shown: kinds that have pages of their own have theirs.
pub(crate) fn place(key: &Key) -> String {
    let name = &key.name;
    match key.kind {
        Kind::Api => super::apis::place(key),
        Kind::AuthnPolicy | Kind::AccessPolicy | Kind::RateLimitPolicy => super::policy::place(key),
        Kind::Team => format!("/teams/{name}"),
        Kind::Workspace => format!("/workspaces/{name}"),
        _ => format!("/objects/{}", word(key)),
    }
}

/// The way to all that an object says, from a page of its own.
pub(crate) fn whole(key: &Key) -> AnyView {
    let to = format!("/objects/{}", word(key));
    view! { <p><a href=to>{format!("{key} as YAML, CLI and curl")}</a></p> }.into_any()
}

pub(crate) async fn ask(asked: Asked) -> Result<Drawn, Refusal> {
    let none = || Refusal::None("such object".to_owned());
    let kind = Kind::parse(asked.part(0)).ok_or_else(none)?;
    let name = |at| Name::parse(asked.part(at)).map_err(|_| none());
    let key = Key::new(kind, name(1)?, name(2)?);
    let (op, Wanted { revision }) = (asked.op(), asked.query());
    let shown = match asked.app.resource_show(&op, &key, revision).await {
        Ok(shown) => Some(shown),
        // It may be gone, and have been there.
        Err(Refusal::Denied(_)) if revision.is_none() => None,
        Err(refusal) => return Err(refusal),
    };
    let past = asked.app.resource_history(&op, &key, None, MOST).await?;
    let now = op.now;
    drawn(move || {
        let lead = match (revision, &shown) {
            (Some(revision), _) => format!("As it was at revision {revision}."),
            (None, Some(_)) => "As it is.".to_owned(),
            (None, None) => "It is not there any more.".to_owned(),
        };
        let rows = past.items.iter().map(|one| row(one, &key, now)).collect_view();
        view! {
            {head(key.to_string(), lead)}
            <div id="live">
                {shown.as_ref().map(|shown| copies(&asked, shown))}
                <section class="card" id="versions" aria-labelledby="versions-title">
                    <h2 id="versions-title">"What became of it"</h2>
                    {table("versions-title".to_owned(), &HEADS, rows)}
                </section>
            </div>
        }
        .into_any()
    })
}

/// All it says, and how programs ask for it.
fn copies(asked: &Asked, shown: &Shown) -> AnyView {
    let Key { kind, namespace, name } = &shown.key;
    let cli = format!("heddle get {} {name} -n {namespace} -o yaml", kind.as_str().to_lowercase());
    let curl = format!(
        "curl -H \"Authorization: Bearer $HEDDLE_TOKEN\" {}/api/v1/resources/{}",
        asked.visit.origin(),
        word(&shown.key)
    );
    let text = yaml::text(&shown.body);
    view! {
        <section class="card" id="yaml" aria-labelledby="yaml-title">
            <h2 id="yaml-title">"YAML"</h2>
            <Copy text />
        </section>
        <section class="card" id="programs" aria-labelledby="programs-title">
            <h2 id="programs-title">"By programs"</h2>
            <h3>"CLI"</h3>
            <Copy text=cli />
            <h3>"curl"</h3>
            <Copy text=curl />
            <p class="faint">
                "A token is made in the " <a href="/settings">"settings"</a>
                "; what is changed in the YAML is put back with "
                <code>"heddle apply -f FILE"</code> "."
            </p>
        </section>
    }
    .into_any()
}

fn row(one: &PastVersion, key: &Key, now: OffsetDateTime) -> AnyView {
    let revision = one.revision;
    let then = format!("/objects/{}?revision={revision}", word(key));
    let what = match one.deed {
        Deed::Put => {
            view! { <a href=then>{format!("generation {}", one.generation)}</a> }.into_any()
        }
        Deed::Delete => view! { "taken away" }.into_any(),
    };
    view! {
        <tr id=format!("version-{revision}")>
            <th scope="row"><a href=format!("/changes/{revision}")>{revision}</a></th>
            <td>{what}</td>
            <td>{one.actor.clone()}</td>
            <td>{when(one.at, now)}</td>
            <td class="long">{one.message.clone()}</td>
        </tr>
    }
    .into_any()
}
