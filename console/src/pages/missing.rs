//! The page for a path that names none; the server answers it with 404.

use leptos::prelude::*;
use leptos_meta::Title;

/// What a stray link shows.
#[component]
pub fn Page() -> impl IntoView {
    #[cfg(feature = "ssr")]
    if let Some(response) = use_context::<leptos_axum::ResponseOptions>() {
        response.set_status(axum::http::StatusCode::NOT_FOUND);
    }
    view! {
        <Title text="No such page" />
        <section class="card" aria-labelledby="missing">
            <h1 id="missing">"No such page"</h1>
            <p class="lead">"Nothing is kept under this address."</p>
            <p><a href="/">"Go to the start page"</a></p>
        </section>
    }
}
