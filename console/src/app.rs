//! The root of the component tree: the frame around every page, and which path shows which page.

use leptos::prelude::*;
use leptos_meta::{Title, provide_meta_context};
use leptos_router::components::{Route, Router, Routes};
use leptos_router::path;

use crate::pages::{home, missing};

/// Everything inside `<body>`.
#[component]
pub fn App() -> impl IntoView {
    provide_meta_context();
    view! {
        <Title formatter=|page: String| format!("{page} · Heddle") />
        <Router>
            <a class="skip" href="#content">"Skip to the content"</a>
            <header class="bar">
                <a class="brand" href="/" aria-label="Heddle, start page">
                    <Mark />
                    "Heddle"
                </a>
                <span class="version">{concat!("version ", env!("CARGO_PKG_VERSION"))}</span>
            </header>
            <main id="content" tabindex="-1">
                <Routes fallback=missing::Page>
                    <Route path=path!("/") view=home::Page />
                </Routes>
            </main>
        </Router>
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
