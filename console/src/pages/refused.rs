//! The page for what is not there, may not be done, or failed.

use control::Refusal;
use leptos::prelude::*;
use model::access::Denied;

/// What is said of what is not there, and of what may not be known.
fn nothing() -> (&'static str, String) {
    ("No such page", "Nothing is kept under this address, or nothing for you.".to_owned())
}

/// Its head and its words.
pub(crate) fn words(refusal: &Refusal) -> (&'static str, String) {
    match refusal {
        Refusal::None(_) | Refusal::NoRevision(_) => nothing(),
        Refusal::Denied(denied) if denied.iter().any(|(_, why)| *why == Denied::Hidden) => {
            nothing()
        }
        Refusal::Store(_) => ("The server could not answer", refusal.to_string()),
        refused => ("That was not done", refused.to_string()),
    }
}

/// It, with what was typed into the form that led here.
pub(crate) fn draw(head: &'static str, words: String, typed: Option<AnyView>) -> AnyView {
    view! {
        <section class="card narrow" aria-labelledby="refused">
            <h1 id="refused">{head}</h1>
            <p class="lead lines">{words}</p>
            {typed}
            <p><a href="/">"Go to the overview"</a></p>
        </section>
    }
    .into_any()
}
