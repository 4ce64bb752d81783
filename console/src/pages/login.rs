//! Why somebody did not come in by a login provider.

use leptos::prelude::*;

/// The page; `to` is where they wanted to go, if that is known.
pub(crate) fn draw(words: String, to: &str) -> impl IntoView {
    let again = super::sign_in::with_wanted("/sign-in", to);
    view! {
        <section class="card narrow" aria-labelledby="refused">
            <h1 id="refused">"You are not signed in"</h1>
            <p class="fault" role="alert">{words}</p>
            <p><a href=again>"Choose how to sign in"</a></p>
        </section>
    }
}
