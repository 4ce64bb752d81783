//! Finding what has a name: a page of the console, or an object of any kind.

use control::Refusal;
use control::app::{Listing, Shown};
use leptos::prelude::*;
use model::{Key, Kind};
use serde::Deserialize;

use super::{Asked, Drawn, drawn, key, object, word};
use crate::frame::{asides, places};
use crate::parts::{empty, escaped, head, search, select};

/// Objects of one page.
const PAGE: usize = 50;

/// Apis, and Teams, that stand before all else that is found.
const FIRST: usize = 5;

#[derive(Debug, Clone, Default, Deserialize)]
struct Wanted {
    #[serde(default)]
    search: String,
    #[serde(default)]
    kind: String,
    /// The last of the page before.
    #[serde(default, deserialize_with = "key")]
    after: Option<Key>,
}

pub(crate) async fn ask(asked: Asked) -> Result<Drawn, Refusal> {
    let wanted: Wanted = asked.query();
    // Names have no capital letters.
    let text = Some(wanted.search.trim().to_lowercase()).filter(|text| !text.is_empty());
    let listing = Listing {
        kind: Kind::parse(&wanted.kind),
        text: text.clone(),
        after: wanted.after.clone(),
        limit: PAGE,
        ..Listing::default()
    };
    let found = asked.app.resource_list(&asked.op(), &listing).await?;
    // What people come for stands first.
    let is_wide = text.is_some() && listing.kind.is_none() && listing.after.is_none();
    let mut first = Vec::new();
    for kind in [Kind::Api, Kind::Team].into_iter().filter(|_| is_wide) {
        let listing = Listing { kind: Some(kind), limit: FIRST, ..listing.clone() };
        first.extend(asked.app.resource_list(&asked.op(), &listing).await?.items);
    }
    first.sort_by_key(|one| Some(one.key.name.as_str()) != text.as_deref());
    drawn(move || {
        let is_fit = |words: &str| {
            let words = words.to_lowercase();
            text.as_ref().is_none_or(|text| words.contains(text.as_str()))
        };
        let is_first = wanted.after.is_none() && wanted.kind.is_empty();
        let (is_admin, has_rights) = (asked.visit.is_admin, asked.visit.has_rights);
        let pages = places(is_admin, has_rights).map(|(_, to, words)| (to, words));
        let pages = pages.chain(asides(is_admin, has_rights));
        let pages = pages.filter(|(_, words)| is_first && is_fit(words)).map(|(to, words)| {
            view! { <li><a href=to>{words} " " <span class="faint">"page"</span></a></li> }
        });
        let pages: Vec<_> = pages.collect();
        let is_told = |one: &&Shown| first.iter().any(|told| told.key == one.key);
        let rest = found.items.iter().filter(|one| !is_told(one));
        let objects = first.iter().chain(rest).map(entry).collect_view();
        let more = found.next.as_ref().map(|last| {
            let to = format!(
                "/find?search={}&kind={}&after={}",
                escaped(&wanted.search),
                escaped(&wanted.kind),
                word(last)
            );
            view! { <p><a href=to>"More objects"</a></p> }
        });
        let is_empty = pages.is_empty() && found.items.is_empty();
        let nothing = is_empty.then(|| {
            let all = view! { <p><a href="/find">"Show all"</a></p> };
            empty("Nothing that you may see has such a name.", all)
        });
        view! {
            {head("Find".to_owned(), "Pages, and objects of every kind, by their names.".to_owned())}
            {filter(&wanted)}
            <div id="live">
                <section class="card" aria-label="Found">
                    <div id="found">
                        <ul class="found">{pages}{objects}</ul>
                        {nothing}
                        {more}
                    </div>
                </section>
            </div>
        }
        .into_any()
    })
}

fn filter(wanted: &Wanted) -> AnyView {
    let kinds = Kind::ALL.map(|kind| (kind.to_string(), kind.to_string()));
    let all = std::iter::once((String::new(), "of every kind".to_owned()));
    let kinds: Vec<_> = all.chain(kinds).collect();
    search(
        "/find",
        &wanted.search,
        "Name or namespace",
        select("kind", "Kind", &kinds, &wanted.kind),
    )
}

fn entry(shown: &Shown) -> AnyView {
    let key = &shown.key;
    let name = match key.kind.is_of_platform() {
        true => key.name.to_string(),
        false => format!("{}/{}", key.namespace, key.name),
    };
    let kind = key.kind.to_string();
    view! { <li><a href=object::place(key)>{name} " " <span class="faint">{kind}</span></a></li> }
        .into_any()
}
