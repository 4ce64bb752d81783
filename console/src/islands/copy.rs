//! Something to copy: shown whole, and with a button where there is a clipboard.

use leptos::prelude::*;

/// A line of text to be taken along.
#[island]
pub fn Copy(text: String) -> impl IntoView {
    let (is_alive, told) = (RwSignal::new(false), RwSignal::new(""));
    // Effects run in the browser only; outside of TLS and the machine itself it has no clipboard.
    #[cfg(feature = "hydrate")]
    Effect::new(move || is_alive.set(window().is_secure_context()));
    let copied = text.clone();
    let copy = move |_| {
        #[cfg(feature = "hydrate")]
        leptos::task::spawn_local({
            let writing = window().navigator().clipboard().write_text(&copied);
            async move {
                let done = wasm_bindgen_futures::JsFuture::from(writing).await;
                told.set(if done.is_ok() { "Copied." } else { "The browser did not copy it." });
            }
        });
        #[cfg(not(feature = "hydrate"))]
        let _in_the_browser = &copied;
    };
    view! {
        <div class="copy">
            <code tabindex="0">{text}</code>
            <button type="button" class="quiet" hidden=move || !is_alive.get() on:click=copy>
                "Copy"
            </button>
            <span role="status">{move || told.get()}</span>
        </div>
    }
}
