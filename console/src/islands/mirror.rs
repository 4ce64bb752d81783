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
    use leptos::prelude::*;
    use leptos::task::spawn_local;
    use wasm_bindgen::{JsCast as _, JsValue};
    use wasm_bindgen_futures::JsFuture;
    use web_sys::{
        Document, Element, Event, FormData, HtmlElement, HtmlFormElement, RequestInit,
        RequestRedirect, Response, UrlSearchParams,
    };

    use crate::islands::browser::{Latest, after, listen, read};
    use crate::islands::morph::{fill, morph};

    /// From the last letter typed to the question, in milliseconds.
    const PAUSE: i32 = 300;
    /// The word that asks what saving would do.
    const CHECK: &str = "check";
    /// Where that is told.
    const CHECKED: &str = "#checked";

    pub(super) fn begin() {
        let typed = Latest::default();
        listen(&document(), "input", {
            let typed = typed.clone();
            move |event| {
                let Some(form) = form_of(event) else { return };
                let (nth, typed) = (typed.next(), typed.clone());
                after(PAUSE, move || {
                    if typed.is(nth) {
                        spawn_local(follow(form, CHECK.to_owned(), typed, nth));
                    }
                });
            }
        });
        listen(&document(), "click", move |event| {
            let Some(form) = form_of(event) else { return };
            let target = event.target().and_then(|target| target.dyn_into::<Element>().ok());
            let button = target.and_then(|target| target.closest("button[name=act]").ok()?);
            let act = button.and_then(|button| button.get_attribute("value"));
            if let Some(act) = act.filter(|act| act != "save") {
                event.prevent_default();
                spawn_local(follow(form, act, typed.clone(), typed.next()));
            }
        });
    }

    /// The form of a side that something happened in.
    fn form_of(event: &Event) -> Option<HtmlFormElement> {
        let target = event.target()?.dyn_into::<Element>().ok()?;
        target.closest("[data-side] form").ok()??.dyn_into().ok()
    }

    /// Shows what the server makes of a form, if nothing was typed meanwhile.
    async fn follow(form: HtmlFormElement, act: String, typed: Latest, nth: u64) {
        let page = ask(&form, &act).await.ok();
        if !typed.is(nth) {
            return;
        }
        let checked = page.as_ref().and_then(|page| found(page, CHECKED));
        let Some((page, checked)) = page.as_ref().zip(checked) else {
            // A page that says why there is none, such as that one is signed out.
            let said = |page: Document| {
                let [head, lead] = ["h1", ".lead"].map(|at| found(&page, at)?.text_content());
                Some(format!("{}: {}", head?, lead?))
            };
            let words = page.and_then(said);
            let words =
                words.unwrap_or_else(|| "The server did not answer to what was typed.".to_owned());
            if let Some(told) = found(&document(), &format!("{CHECKED} [role=status]")) {
                told.set_text_content(Some(&format!("{words} It stays as it is here.")));
            }
            return;
        };
        for word in ["form", "yaml"] {
            let side = format!("[data-side={word}]");
            let (Some(old), Some(new)) = (found(&document(), &side), found(page, &side)) else {
                continue;
            };
            let drawn = new.query_selector("form").ok().flatten();
            match drawn.filter(|_| act == CHECK && old.contains(Some(&form))) {
                Some(drawn) => fill(&form, &drawn),
                // What was typed into fields that stay would stay with them.
                None => drop(old.replace_with_with_node_1(&new)),
            }
        }
        if let Some(old) = found(&document(), CHECKED) {
            morph(&old, &checked);
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
        read(&answer).await
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
