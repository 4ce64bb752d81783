//! Two forms of one object, each of which follows the other as somebody types.
//!
//! The server checks what was typed and draws both, so that it says here what it would say to saving.

use leptos::prelude::*;

/// Keeps the forms in `[data-side]` alike, and `#checked` as what is typed would have it.
#[island]
pub fn Mirror() -> impl IntoView {
    let is_alive = RwSignal::new(false);
    // Effects run in the browser only.
    Effect::new(move || is_alive.set(true));
    #[cfg(feature = "hydrate")]
    Effect::new(follow::begin);
    view! {
        <p class="faint" hidden=move || !is_alive.get() data-mirror=move || is_alive.get().then_some("")>
            "Each side follows the other as you type, checked by the server."
        </p>
    }
}

#[cfg(feature = "hydrate")]
mod follow {
    use std::cell::Cell;
    use std::rc::Rc;

    use leptos::prelude::*;
    use leptos::task::spawn_local;
    use wasm_bindgen::closure::Closure;
    use wasm_bindgen::{JsCast as _, JsValue};
    use wasm_bindgen_futures::JsFuture;
    use web_sys::{
        Document, DomParser, Element, Event, FormData, HtmlElement, HtmlFormElement, RequestInit,
        RequestRedirect, Response, SupportedType, UrlSearchParams,
    };

    use crate::islands::morph::{fill, morph};

    /// From the last letter typed to the question, in milliseconds.
    const PAUSE: i32 = 300;
    /// The word that asks what saving would do.
    const CHECK: &str = "check";

    /// How often something was typed: an answer to what was typed before is late.
    #[derive(Clone, Default)]
    struct Typed(Rc<Cell<u64>>);

    impl Typed {
        fn again(&self) -> u64 {
            self.0.set(self.0.get() + 1);
            self.0.get()
        }

        fn is_still(&self, nth: u64) -> bool {
            self.0.get() == nth
        }
    }

    pub(super) fn begin() {
        let typed = Typed::default();
        listen("input", {
            let typed = typed.clone();
            move |event| {
                let Some(form) = form_of(event) else { return };
                let (nth, typed) = (typed.again(), typed.clone());
                let ask = Closure::once_into_js(move || {
                    if typed.is_still(nth) {
                        spawn_local(follow(form, CHECK.to_owned(), typed, nth));
                    }
                });
                drop(window().set_timeout_with_callback_and_timeout_and_arguments_0(
                    ask.unchecked_ref(),
                    PAUSE,
                ));
            }
        });
        listen("click", move |event| {
            let Some(form) = form_of(event) else { return };
            let target = event.target().and_then(|target| target.dyn_into::<Element>().ok());
            let button = target.and_then(|target| target.closest("button[name=act]").ok()?);
            let act = button.and_then(|button| button.get_attribute("value"));
            if let Some(act) = act.filter(|act| act != "save") {
                event.prevent_default();
                spawn_local(follow(form, act, typed.clone(), typed.again()));
            }
        });
    }

    fn listen(word: &str, heard: impl Fn(&Event) + 'static) {
        let heard = Closure::<dyn Fn(Event)>::new(move |event| heard(&event)).into_js_value();
        drop(document().add_event_listener_with_callback(word, heard.unchecked_ref()));
    }

    /// The form of a side that something happened in.
    fn form_of(event: &Event) -> Option<HtmlFormElement> {
        let target = event.target()?.dyn_into::<Element>().ok()?;
        target.closest("[data-side] form").ok()??.dyn_into().ok()
    }

    /// Shows what the server makes of a form; nothing where it does not answer, or late.
    async fn follow(form: HtmlFormElement, act: String, typed: Typed, nth: u64) {
        let Ok(page) = ask(&form, &act).await else { return };
        if !typed.is_still(nth) {
            return;
        }
        let is_own = |side: &Element| side.contains(Some(&form));
        let sides = document().query_selector_all("[data-side]");
        let sides =
            sides.into_iter().flat_map(|all| (0..all.length()).filter_map(move |n| all.item(n)));
        for side in sides.filter_map(|side| side.dyn_into::<Element>().ok()) {
            let word = side.get_attribute("data-side").unwrap_or_default();
            let Some(new) = found(&page, &format!("[data-side={word}] form")) else { continue };
            let Ok(Some(old)) = side.query_selector("form") else { continue };
            match is_own(&side) && act == CHECK {
                true => fill(&old, &new),
                // What was typed into fields that stay would stay with them.
                false => drop(old.replace_with_with_node_1(&new)),
            }
        }
        if let (Some(new), Ok(Some(old))) =
            (found(&page, "#checked"), document().query_selector("#checked"))
        {
            morph(&old, &new);
        }
        focus(&act);
    }

    /// What a form with this button would lead to.
    async fn ask(form: &HtmlFormElement, act: &str) -> Result<Document, JsValue> {
        let fields = FormData::new_with_form(form)?;
        let fields = UrlSearchParams::new_with_str_sequence_sequence(&fields)?;
        fields.append("act", act);
        let init = RequestInit::new();
        init.set_method("POST");
        init.set_body(&fields);
        init.set_redirect(RequestRedirect::Manual);
        // The property is its field of that name, where it has one.
        let action = form.get_attribute("action").unwrap_or_default();
        let asked = window().fetch_with_str_and_init(&action, &init);
        let answer: Response = JsFuture::from(asked).await?.dyn_into()?;
        let text = JsFuture::from(answer.text()?).await?.as_string().unwrap_or_default();
        DomParser::new()?.parse_from_string(&text, SupportedType::TextHtml)
    }

    fn found(page: &Document, selector: &str) -> Option<Element> {
        page.query_selector(selector).ok().flatten()
    }

    /// Goes to the first field of a new entry, or to where one was taken from.
    fn focus(act: &str) {
        let to = match act.split_once(':') {
            Some(("add", list)) => format!(
                "[data-list=\"{list}\"] > fieldset:last-of-type :is(input:not([type=hidden]), select, \
                 textarea, button)"
            ),
            Some(("drop", entry)) => {
                let list = entry.rsplit_once('[').map_or(entry, |(list, _)| list);
                format!("[data-list=\"{list}\"] > .listed button")
            }
            _ => return,
        };
        let to = found(&document(), &to).and_then(|to| to.dyn_into::<HtmlElement>().ok());
        drop(to.map(|to| to.focus()));
    }
}
