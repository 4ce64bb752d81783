//! What islands ask of the browser.

use std::cell::Cell;
use std::rc::Rc;

use js_sys::Promise;
use leptos::prelude::window;
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{Document, DomParser, Event, EventTarget, Response, SupportedType};

/// Hears of something for as long as the page is there.
pub(super) fn listen(to: &EventTarget, word: &str, heard: impl Fn(&Event) + 'static) {
    let heard = Closure::<dyn Fn(Event)>::new(move |event| heard(&event)).into_js_value();
    drop(to.add_event_listener_with_callback(word, heard.unchecked_ref()));
}

/// Does something a little later: after so many milliseconds.
pub(super) fn after(pause: i32, act: impl FnOnce() + 'static) {
    let (act, window) = (Closure::once_into_js(act), window());
    let act = act.unchecked_ref();
    drop(window.set_timeout_with_callback_and_timeout_and_arguments_0(act, pause));
}

/// Goes on after so many milliseconds.
pub(super) async fn pause(millis: i32) {
    let promise = Promise::new(&mut |go, _| {
        drop(window().set_timeout_with_callback_and_timeout_and_arguments_0(&go, millis));
    });
    drop(JsFuture::from(promise).await);
}

/// The page that an answer is.
pub(super) async fn read(answer: &Response) -> Result<Document, JsValue> {
    let text = JsFuture::from(answer.text()?).await?.as_string().unwrap_or_default();
    DomParser::new()?.parse_from_string(&text, SupportedType::TextHtml)
}

/// Counts what is asked, since an answer to what was asked before is late.
#[derive(Debug, Clone, Default)]
pub(super) struct Latest(Rc<Cell<u64>>);

impl Latest {
    /// The number of what is asked now.
    pub(super) fn next(&self) -> u64 {
        self.0.set(self.0.get() + 1);
        self.0.get()
    }

    /// Whether nothing was asked since.
    pub(super) fn is(&self, nth: u64) -> bool {
        self.0.get() == nth
    }
}
