//! The command palette: Ctrl+K, some letters, and one is there.
//!
//! What it offers is what the page `/find` draws, so that it finds with a script what it finds without.

use leptos::prelude::*;

/// The link to `/find`, which opens a dialog where there is a script.
#[island]
pub fn Palette(is_here: bool) -> impl IntoView {
    #[cfg(feature = "hydrate")]
    Effect::new(open::begin);
    view! {
        <a
            class="find"
            href="/find"
            aria-keyshortcuts="Control+K"
            aria-current=is_here.then_some("page")
        >
            "Find " <kbd>"Ctrl K"</kbd>
        </a>
        <dialog class="palette" aria-label="Find">
            <input
                type="search"
                placeholder="A page, an Api, a team, any object"
                aria-label="Find"
                autocomplete="off"
                spellcheck="false"
            />
            <div class="offers" role="status"></div>
        </dialog>
    }
}

#[cfg(feature = "hydrate")]
mod open {
    use leptos::prelude::*;
    use leptos::task::spawn_local;
    use wasm_bindgen::{JsCast as _, JsValue};
    use wasm_bindgen_futures::JsFuture;
    use web_sys::{
        Element, HtmlDialogElement, HtmlElement, HtmlInputElement, KeyboardEvent, Response,
        UrlSearchParams,
    };

    use crate::islands::browser::{Latest, after, listen, read};

    /// From the last letter typed to the question, in milliseconds.
    const PAUSE: i32 = 120;

    #[derive(Clone)]
    struct Palette {
        dialog: HtmlDialogElement,
        input: HtmlInputElement,
        offers: Element,
        typed: Latest,
    }

    pub(super) fn begin() {
        let Some(palette) = Palette::new() else { return };
        let opened = palette.clone();
        listen(&document(), "keydown", move |event| {
            let Some(key) = event.dyn_ref::<KeyboardEvent>() else { return };
            if (key.ctrl_key() || key.meta_key()) && key.key().eq_ignore_ascii_case("k") {
                event.prevent_default();
                opened.open();
            }
        });
        let opened = palette.clone();
        if let Ok(Some(link)) = document().query_selector("a.find") {
            listen(&link, "click", move |event| {
                event.prevent_default();
                opened.open();
            });
        }
        let asking = palette.clone();
        listen(&palette.input, "input", move |_| asking.soon());
        let moving = palette.clone();
        listen(&palette.dialog, "keydown", move |event| {
            let Some(key) = event.dyn_ref::<KeyboardEvent>() else { return };
            let is_handled = match key.key().as_str() {
                "ArrowDown" => moving.step(1),
                "ArrowUp" => moving.step(-1),
                "Enter" => moving.go(),
                _ => false,
            };
            if is_handled {
                event.prevent_default();
            }
        });
    }

    impl Palette {
        fn new() -> Option<Self> {
            let found = |selector| document().query_selector(selector).ok().flatten();
            Some(Palette {
                dialog: found("dialog.palette")?.dyn_into().ok()?,
                input: found("dialog.palette input")?.dyn_into().ok()?,
                offers: found("dialog.palette .offers")?,
                typed: Latest::default(),
            })
        }

        fn open(&self) {
            if !self.dialog.open() {
                drop(self.dialog.show_modal());
                self.input.select();
                self.ask(self.typed.next());
            }
        }

        fn soon(&self) {
            let (palette, nth) = (self.clone(), self.typed.next());
            after(PAUSE, move || {
                if palette.typed.is(nth) {
                    palette.ask(nth);
                }
            });
        }

        fn ask(&self, nth: u64) {
            let palette = self.clone();
            spawn_local(async move {
                let offers = offers(&palette.input.value()).await;
                if !palette.typed.is(nth) {
                    return;
                }
                match offers {
                    Ok(Some(offers)) => palette.offers.replace_children_with_node_1(&offers),
                    Ok(None) => {
                        let words = "You are signed out; load the page again.";
                        palette.offers.set_text_content(Some(words));
                    }
                    Err(_) => palette.offers.set_text_content(Some("The server does not answer.")),
                }
            });
        }

        fn links(&self) -> Vec<HtmlElement> {
            let Ok(links) = self.offers.query_selector_all("a") else { return Vec::new() };
            let links = (0..links.length()).filter_map(|at| links.item(at)?.dyn_into().ok());
            links.collect()
        }

        /// From what has the focus to the next, or the one before; the first one is below the input.
        fn step(&self, by: i32) -> bool {
            let links = self.links();
            let here = document().active_element();
            let at = links
                .iter()
                .position(|link| here.as_ref().is_some_and(|here| here.is_same_node(Some(link))));
            let to = match (at, by) {
                (None, 1..) => links.first(),
                (Some(at), 1..) => links.get(at + 1).or(links.last()),
                (Some(at), _) => at.checked_sub(1).and_then(|to| links.get(to)),
                (None, _) => None,
            };
            let focused = match to {
                Some(link) => link.focus(),
                None => self.input.focus(),
            };
            focused.is_ok()
        }

        /// From the input to the first that is offered.
        fn go(&self) -> bool {
            let here = document().active_element();
            let is_typing = here.is_some_and(|here| here.is_same_node(Some(&self.input)));
            match self.links().first().filter(|_| is_typing) {
                Some(link) => link.click(),
                None => return false,
            }
            true
        }
    }

    /// What the server finds.
    async fn offers(text: &str) -> Result<Option<Element>, JsValue> {
        let query = UrlSearchParams::new()?;
        query.append("search", text);
        let asked = window().fetch_with_str(&format!("/find?{}", String::from(query.to_string())));
        let answer: Response = JsFuture::from(asked).await?.dyn_into()?;
        let found = read(&answer).await?.get_element_by_id("found");
        // The page that is open may have one.
        found.map(|found| found.remove_attribute("id").map(|()| found)).transpose()
    }
}
