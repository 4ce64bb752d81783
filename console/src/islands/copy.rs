//! Something to copy: shown whole, and with a button where there is a script.

use leptos::prelude::*;

/// A line of text to be taken along.
#[island]
pub fn Copy(text: String) -> impl IntoView {
    let (is_alive, is_copied) = (RwSignal::new(false), RwSignal::new(false));
    // Effects run in the browser only.
    Effect::new(move || is_alive.set(true));
    let copied = text.clone();
    let copy = move |_| {
        #[cfg(feature = "hydrate")]
        drop(window().navigator().clipboard().write_text(&copied));
        #[cfg(not(feature = "hydrate"))]
        let _in_the_browser = &copied;
        is_copied.set(true);
    };
    view! {
        <div class="copy">
            <code tabindex="0">{text}</code>
            <button type="button" class="quiet" hidden=move || !is_alive.get() on:click=copy>
                {move || if is_copied.get() { "Copied" } else { "Copy" }}
            </button>
        </div>
    }
}
