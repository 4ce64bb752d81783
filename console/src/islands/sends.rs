//! Forms that are sent while the server does not answer: they wait for it, and are sent once it does.
//!
//! Without this a browser would put a page of its own in the place of what was typed.

use leptos::prelude::*;

/// Asks, before a form is sent, whether the server is there.
#[island]
pub fn Sends() -> impl IntoView {
    #[cfg(feature = "hydrate")]
    Effect::new(wait::begin);
}

#[cfg(feature = "hydrate")]
mod wait {
    use leptos::prelude::*;
    use leptos::task::spawn_local;
    use wasm_bindgen::{JsCast as _, JsValue};
    use wasm_bindgen_futures::JsFuture;
    use web_sys::{AbortSignal, Element, Event, HtmlElement, HtmlFormElement, RequestInit};

    use crate::islands::browser::{listen, pause};

    /// What answers as long as the server does.
    const PING: &str = "/healthz";
    /// How long it may take, in milliseconds.
    const PATIENCE: u32 = 3_500;
    /// Between one question and the next, in milliseconds.
    const AGAIN: i32 = 1_000;
    /// How far a form is on its way: `asked` while it waits, `goes` once it may be sent.
    const WAY: &str = "data-way";

    pub(super) fn begin() {
        listen(&document(), "submit", |event| {
            if let Some(form) = event.target().and_then(|form| form.dyn_into().ok()) {
                sent(event, &form);
            }
        });
    }

    fn sent(event: &Event, form: &HtmlFormElement) {
        if event.default_prevented() || form.method() != "post" {
            return;
        }
        match form.get_attribute(WAY).as_deref() {
            Some("goes") => drop(form.remove_attribute(WAY)),
            Some(_) => event.prevent_default(),
            None => {
                event.prevent_default();
                drop(form.set_attribute(WAY, "asked"));
                let by =
                    event.dyn_ref::<web_sys::SubmitEvent>().and_then(|event| event.submitter());
                spawn_local(go(form.clone(), by));
            }
        }
    }

    /// Sends a form by the button that was pressed, once the server is there, if the form is still.
    async fn go(form: HtmlFormElement, by: Option<HtmlElement>) {
        let mut told = None;
        while !is_there().await {
            if !form.is_connected() {
                return;
            }
            if told.is_none() {
                told = tell(&form);
            }
            pause(AGAIN).await;
        }
        if let Some(told) = told {
            told.remove();
        }
        drop(form.set_attribute(WAY, "goes"));
        drop(form.request_submit_with_submitter(by.as_ref()));
    }

    async fn is_there() -> bool {
        let init = RequestInit::new();
        init.set_signal(Some(&AbortSignal::timeout_with_u32(PATIENCE)));
        JsFuture::from(window().fetch_with_str_and_init(PING, &init)).await.is_ok()
    }

    fn tell(form: &HtmlFormElement) -> Option<Element> {
        let made = || -> Result<Element, JsValue> {
            let told = document().create_element("p")?;
            told.set_class_name("fault");
            told.set_attribute("role", "alert")?;
            form.append_child(&told)?;
            told.set_text_content(Some(
                "The server does not answer. This is sent as soon as it does.",
            ));
            Ok(told)
        };
        made().ok()
    }
}
