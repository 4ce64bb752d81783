//! A page that goes on: when the server says "look again", it is asked for anew, and what changed in
//! it is changed in place.
//!
//! So what a page shows is drawn by one code, the server's, and no island has rows of its own.

use leptos::prelude::*;

/// Keeps what `#live` holds as the server would draw it now, and says whether it does: as part of this
/// page, or of the one at `from`; each `beat` milliseconds, 5,000 if nothing is said, also where the
/// server has no word of anything.
#[island]
pub fn Live(from: Option<String>, beat: Option<i32>) -> impl IntoView {
    let state = RwSignal::new(State::Drawn);
    // Effects run in the browser only.
    #[cfg(feature = "hydrate")]
    Effect::new(move || follow::Follower::begin(state, from.clone(), beat));
    #[cfg(not(feature = "hydrate"))]
    let _in_the_browser = (from, beat);
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
    /// What was shown is not there any more, or not for who reads.
    Gone,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            State::Drawn => "drawn",
            State::Live => "live",
            State::Lost => "lost",
            State::Over => "over",
            State::Gone => "gone",
        }
    }

    fn words(self) -> &'static str {
        match self {
            State::Drawn => "As of when it was loaded",
            State::Live => "Live",
            State::Lost => "The server does not answer; trying again",
            State::Over => "You are signed out; what you typed is kept if you save it",
            State::Gone => "This is not there any more, or not for you; what you typed stays",
        }
    }
}

#[cfg(feature = "hydrate")]
mod follow {
    use std::cell::{Cell, RefCell};
    use std::rc::Rc;

    use leptos::prelude::*;
    use leptos::task::spawn_local;
    use wasm_bindgen::closure::Closure;
    use wasm_bindgen::{JsCast as _, JsValue};
    use wasm_bindgen_futures::JsFuture;
    use web_sys::{AbortSignal, EventSource, RequestInit, RequestRedirect, Response, ResponseType};

    use super::State;
    use crate::islands::browser::{after, listen, read};
    use crate::islands::morph::{morph, strip};

    /// Where the server says when to look again.
    const WATCH: &str = "/api/v1/watch";
    /// What it says there.
    const WORDS: [&str; 2] = ["revision", "nodes"];
    /// By which the server knows that nobody asked.
    const LOOK: &str = "x-heddle-look";
    /// What is kept up.
    const REGION: &str = "live";
    /// Between the server's word and the look, in milliseconds: words often come several at once.
    const SOON: i32 = 100;
    /// Between looks where nothing is said, since some of what is shown passes by itself.
    const BEAT: i32 = 5_000;
    /// How long a look may take: with the beat before it, less than 10 s.
    const PATIENCE: u32 = 3_500;

    /// Follows for as long as the page is there and somebody sees it.
    pub(super) struct Follower {
        state: RwSignal<State>,
        /// The page that is asked for.
        from: String,
        source: RefCell<Option<EventSource>>,
        /// A look is to come, or under way.
        is_due: Cell<bool>,
        is_looking: Cell<bool>,
    }

    impl Follower {
        pub(super) fn begin(state: RwSignal<State>, from: Option<String>, pace: Option<i32>) {
            let here = || window().location().href().unwrap_or_default();
            let follower = Rc::new(Follower {
                state,
                from: from.unwrap_or_else(here),
                source: RefCell::default(),
                is_due: Cell::new(false),
                is_looking: Cell::new(false),
            });
            let beating = Rc::clone(&follower);
            let beat = Closure::<dyn FnMut()>::new(move || beating.beat()).into_js_value();
            drop(window().set_interval_with_callback_and_timeout_and_arguments_0(
                beat.unchecked_ref(),
                pace.unwrap_or(BEAT),
            ));
            let seen = Rc::clone(&follower);
            listen(&document(), "visibilitychange", move |_| seen.beat());
            follower.beat();
        }

        /// Listens and looks where somebody sees the page, and does nothing where nobody does: a browser
        /// has few connections to one server.
        fn beat(self: &Rc<Self>) {
            if document().hidden() || self.is_over() {
                if let Some(source) = self.source.take() {
                    source.close();
                }
                return;
            }
            let is_open = |source: &EventSource| source.ready_state() != EventSource::CLOSED;
            if !self.source.borrow().as_ref().is_some_and(is_open) {
                *self.source.borrow_mut() = self.listen();
            }
            self.look();
        }

        fn listen(self: &Rc<Self>) -> Option<EventSource> {
            let source = EventSource::new(WATCH).ok()?;
            for word in WORDS {
                let follower = Rc::clone(self);
                listen(&source, word, move |_| follower.soon());
            }
            Some(source)
        }

        fn is_over(&self) -> bool {
            self.state.get_untracked() == State::Over
        }

        /// Looks a little later, once for all that is said until then.
        fn soon(self: &Rc<Self>) {
            if self.is_due.replace(true) {
                return;
            }
            let follower = Rc::clone(self);
            after(SOON, move || follower.look());
        }

        /// Asks for the page anew. What is said meanwhile is looked at behind it.
        fn look(self: &Rc<Self>) {
            if self.is_looking.replace(true) {
                self.is_due.set(true);
                return;
            }
            self.is_due.set(false);
            let follower = Rc::clone(self);
            spawn_local(async move {
                let seen = follower.seen().await;
                if follower.state.get_untracked() != seen {
                    follower.state.set(seen);
                }
                follower.is_looking.set(false);
                if follower.is_due.replace(false) && !follower.is_over() {
                    follower.soon();
                }
            });
        }

        /// Makes what is shown what is.
        async fn seen(&self) -> State {
            let Ok(answer) = self.ask().await else { return State::Lost };
            if answer.type_() == ResponseType::Opaqueredirect {
                return State::Over;
            }
            let Some(shown) = document().get_element_by_id(REGION) else { return State::Drawn };
            if matches!(answer.status(), 403 | 404) {
                strip(&shown);
                return State::Gone;
            }
            let page = if answer.ok() { read(&answer).await.ok() } else { None };
            let Some(drawn) = page.and_then(|page| page.get_element_by_id(REGION)) else {
                return State::Lost;
            };
            morph(&shown, &drawn);
            State::Live
        }

        async fn ask(&self) -> Result<Response, JsValue> {
            let init = RequestInit::new();
            init.set_redirect(RequestRedirect::Manual);
            init.set_signal(Some(&AbortSignal::timeout_with_u32(PATIENCE)));
            let headers = web_sys::Headers::new()?;
            headers.set(LOOK, "1")?;
            init.set_headers_headers(&headers);
            let asked = window().fetch_with_str_and_init(&self.from, &init);
            JsFuture::from(asked).await?.dyn_into()
        }
    }
}
