//! A page that goes on: when the server says "look again", it is asked for anew, and what changed in
//! it is changed in place.
//!
//! So what a page shows is drawn by one code, the server's, and no island has rows of its own.

use leptos::prelude::*;

/// Keeps what `#live` holds as the server would draw it now, and says whether it does.
#[island]
pub fn Live() -> impl IntoView {
    let state = RwSignal::new(State::Drawn);
    // Effects run in the browser only.
    #[cfg(feature = "hydrate")]
    Effect::new(move || follow::follow(state));
    view! {
        <p class="live" role="status" data-live=move || state.get().word()>
            <span class="dot" aria-hidden="true"></span>
            {move || state.get().words()}
        </p>
    }
}

/// Whether what is shown is what is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(
    not(feature = "hydrate"),
    expect(dead_code, reason = "only in a browser it becomes something else than drawn")
)]
enum State {
    /// It is as it was drawn.
    Drawn,
    /// It is kept up.
    Live,
    /// The server does not answer.
    Lost,
    /// The session is over.
    Over,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            State::Drawn => "drawn",
            State::Live => "live",
            State::Lost => "lost",
            State::Over => "over",
        }
    }

    fn words(self) -> &'static str {
        match self {
            State::Drawn => "As of when it was loaded",
            State::Live => "Live",
            State::Lost => "The server does not answer; trying again",
            State::Over => "You are signed out; load the page again",
        }
    }
}

#[cfg(feature = "hydrate")]
mod follow {
    use leptos::prelude::*;
    use leptos::task::spawn_local;
    use wasm_bindgen::closure::Closure;
    use wasm_bindgen::{JsCast as _, JsValue};
    use wasm_bindgen_futures::JsFuture;
    use web_sys::{
        Document, DomParser, Element, EventSource, RequestInit, Response, SupportedType, Window,
    };

    use super::State;
    use crate::islands::morph::morph;

    /// Where the server says when to look again.
    const WATCH: &str = "/api/v1/watch";
    /// What is kept up.
    const REGION: &str = "live";
    /// Between the server's word and the look, in milliseconds: words often come several at once.
    const SOON: i32 = 100;
    /// Between looks where nothing is said, since some of what is shown passes by itself.
    const BEAT: i32 = 5_000;

    /// Follows for as long as the page is there.
    pub(super) fn follow(state: RwSignal<State>) {
        let Ok(source) = EventSource::new(WATCH) else { return };
        for event in ["revision", "nodes"] {
            let look = Closure::<dyn FnMut()>::new(move || after(SOON, move || look(state)));
            let listened =
                source.add_event_listener_with_callback(event, look.as_ref().unchecked_ref());
            drop(listened);
            look.forget();
        }
        let opened = Closure::<dyn FnMut()>::new(move || look(state));
        source.set_onopen(Some(opened.as_ref().unchecked_ref()));
        opened.forget();
        let failed = Closure::<dyn FnMut()>::new(move || look(state));
        source.set_onerror(Some(failed.as_ref().unchecked_ref()));
        failed.forget();
        let beat = Closure::<dyn FnMut()>::new(move || look(state));
        drop(window().set_interval_with_callback_and_timeout_and_arguments_0(
            beat.as_ref().unchecked_ref(),
            BEAT,
        ));
        beat.forget();
    }

    /// Does something a little later, once.
    fn after(millis: i32, act: impl FnOnce() + 'static) {
        let act = Closure::once_into_js(act);
        drop(
            window()
                .set_timeout_with_callback_and_timeout_and_arguments_0(act.unchecked_ref(), millis),
        );
    }

    /// Asks for the page anew, unless nobody sees it.
    fn look(state: RwSignal<State>) {
        if document().hidden() || state.get_untracked() == State::Over {
            return;
        }
        spawn_local(async move {
            let seen = match page().await {
                Ok(Some(page)) => take(&page),
                Ok(None) => State::Over,
                Err(_) => State::Lost,
            };
            if state.get_untracked() != seen {
                state.set(seen);
            }
        });
    }

    /// The page as it is now; none where it is for others.
    async fn page() -> Result<Option<Document>, JsValue> {
        let window: Window = window();
        let init = RequestInit::new();
        init.set_redirect(web_sys::RequestRedirect::Manual);
        let here = window.location().href()?;
        let answer = JsFuture::from(window.fetch_with_str_and_init(&here, &init)).await?;
        let answer: Response = answer.dyn_into()?;
        if answer.type_() == web_sys::ResponseType::Opaqueredirect {
            return Ok(None);
        }
        if !answer.ok() {
            return Err(JsValue::NULL);
        }
        let text = JsFuture::from(answer.text()?).await?.as_string().unwrap_or_default();
        DomParser::new()?.parse_from_string(&text, SupportedType::TextHtml).map(Some)
    }

    /// Changes what differs.
    fn take(page: &Document) -> State {
        let both = (document().get_element_by_id(REGION), page.get_element_by_id(REGION));
        let (Some(shown), Some(drawn)): (Option<Element>, Option<Element>) = both else {
            return State::Lost;
        };
        morph(&shown, &drawn);
        State::Live
    }
}
