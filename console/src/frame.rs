//! The document around every page: what browsers need to know, and the way to the other pages.

use leptos::config::LeptosOptions;
use leptos::prelude::*;

use crate::islands::palette::Palette;
use crate::islands::sends::Sends;

/// The places of the bar, in the order of what people come for.
const PLACES: [(Place, &str, &str); 10] = [
    (Place::Overview, "/", "Overview"),
    (Place::Apis, "/apis", "Apis"),
    (Place::Policies, "/policies", "Policies"),
    (Place::Teams, "/teams", "Teams"),
    (Place::Access, "/access", "Access"),
    (Place::Fleet, "/fleet", "Fleet"),
    (Place::Requests, "/requests", "Requests"),
    (Place::Changes, "/changes", "Changes"),
    (Place::Audit, "/audit", "Audit"),
    (Place::Settings, "/settings", "Settings"),
];

/// Where in the console a page is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Overview,
    Apis,
    Policies,
    Teams,
    Access,
    Fleet,
    Requests,
    Changes,
    /// For platform admins alone.
    Audit,
    Settings,
    /// Where all else is found.
    Find,
    /// Nowhere that the bar leads to.
    Aside,
}

/// Who is signed in, as the frame shows it.
#[derive(Debug, Clone)]
pub(crate) struct Reader {
    pub(crate) name: String,
    pub(crate) is_admin: bool,
    /// Whether they may do anything: else no page is for them but their settings.
    pub(crate) has_rights: bool,
    /// What the form that signs out carries.
    pub(crate) csrf: String,
}

/// What the frame says of a page.
#[derive(Debug, Clone)]
pub(crate) struct Title {
    pub(crate) text: String,
    pub(crate) place: Place,
    /// None before anybody is signed in.
    pub(crate) reader: Option<Reader>,
}

/// A whole document.
pub(crate) fn document(options: LeptosOptions, title: Title, body: AnyView) -> impl IntoView {
    let Title { text, place, reader } = title;
    view! {
        <!DOCTYPE html>
        <html lang="en">
            <head>
                <meta charset="utf-8" />
                <meta name="viewport" content="width=device-width, initial-scale=1" />
                <meta name="color-scheme" content="light dark" />
                <title>{format!("{text} · Heddle")}</title>
                // An empty icon, so that browsers do not ask for one that is not there.
                <link rel="icon" href="data:," />
                <link rel="stylesheet" href="/pkg/console.css" />
                <HydrationScripts options islands=true />
            </head>
            <body>
                <a class="skip" href="#content">"Skip to the content"</a>
                <header class="bar">
                    <a class="brand" href="/" aria-label="Heddle, overview">
                        <Mark />
                        "Heddle"
                    </a>
                    {reader.map(|reader| bar(place, reader))}
                </header>
                <main id="content" tabindex="-1">{body}</main>
            </body>
        </html>
    }
}

/// The places that somebody may go to.
pub(crate) fn places(
    is_admin: bool,
    has_rights: bool,
) -> impl Iterator<Item = (Place, &'static str, &'static str)> {
    PLACES.into_iter().filter(move |(place, ..)| match place {
        Place::Settings => true,
        Place::Audit => is_admin,
        Place::Overview
        | Place::Apis
        | Place::Policies
        | Place::Teams
        | Place::Access
        | Place::Fleet
        | Place::Requests
        | Place::Changes
        | Place::Find
        | Place::Aside => has_rights,
    })
}

/// Pages that have no place in the bar.
pub(crate) fn asides(
    is_admin: bool,
    has_rights: bool,
) -> impl Iterator<Item = (&'static str, &'static str)> {
    let workspaces = has_rights.then_some(("/workspaces", "Workspaces"));
    workspaces.into_iter().chain(is_admin.then_some(("/users", "Users")))
}

fn bar(here: Place, reader: Reader) -> impl IntoView {
    let places = places(reader.is_admin, reader.has_rights).map(|(place, href, words)| {
        let current = (place == here).then_some("page");
        view! { <li><a href=href aria-current=current>{words}</a></li> }
    });
    view! {
        <nav aria-label="Console"><ul class="places">{places.collect_view()}</ul></nav>
        {reader.has_rights.then(|| view! { <Palette is_here=here == Place::Find /> })}
        <Sends />
        <form class="reader" method="post" action="/sign-out">
            <input type="hidden" name="csrf" value=reader.csrf />
            <span class="name">{reader.name}</span>
            <button class="quiet">"Sign out"</button>
        </form>
    }
}

/// The sign: two heddle wires, with the thread through their eyes.
#[component]
fn Mark() -> impl IntoView {
    view! {
        <svg class="mark" viewBox="0 0 24 24" aria-hidden="true">
            <path d="M8 2v6.5m0 7V22M16 2v6.5m0 7V22" />
            <ellipse cx="8" cy="12" rx="2" ry="3.5" />
            <ellipse cx="16" cy="12" rx="2" ry="3.5" />
            <path class="thread" d="M1 12h22" />
        </svg>
    }
}
