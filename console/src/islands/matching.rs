//! Trying a request: somebody types one, and is told which rule it meets, by the very code that decides
//! for a gateway.
//!
//! That code, the crate `table`, is a module of its own, which is loaded once somebody begins
//! ([ADR 024](../../../docs/adr/024-trying-requests.md)). What it is tried at stands in the page, where
//! `Live` keeps it up. Nothing that is typed leaves the page.

use leptos::prelude::*;
use serde::{Deserialize, Serialize};

/// What stands in the fields at first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Typed {
    /// The method.
    pub method: String,
    /// The host.
    pub host: String,
    /// The listener's port.
    pub port: u16,
    /// The path, with its query.
    pub path: String,
    /// Headers, one a line.
    pub headers: String,
}

/// A port that some listener has.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Port {
    /// Its number.
    pub number: u16,
    /// What is spoken there.
    pub speaks: String,
}

/// What the module tells of a request, as `table::trial::Told` says it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Told {
    /// Each field with what is wrong with it.
    slips: Vec<(String, String)>,
    sum: String,
    /// Each title with what is told under it.
    lines: Vec<(String, String)>,
    others: Vec<String>,
    more: usize,
    faults: Vec<String>,
}

/// How far it is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(
    not(feature = "hydrate"),
    expect(dead_code, reason = "only in a browser it becomes something else than drawn")
)]
enum State {
    /// It is as it was drawn.
    Drawn,
    /// It waits for somebody to begin.
    Ready,
    /// The module is on its way.
    Loading,
    /// This was told.
    Told(Told),
    /// The module does not come, or cannot read what it is given.
    Failed(String),
}

impl State {
    /// What is told of a field.
    fn slip(&self, field: &str) -> Option<String> {
        let State::Told(told) = self else { return None };
        told.slips.iter().find(|(of, _)| of == field).map(|(_, why)| why.clone())
    }

    /// What comes of the request, in a sentence.
    fn sum(&self) -> String {
        match self {
            State::Drawn | State::Ready => String::new(),
            State::Loading => "Loading what decides for a gateway.".to_owned(),
            State::Told(told) if told.slips.is_empty() => told.sum.clone(),
            State::Told(_) => "No such request can be sent; see the fields.".to_owned(),
            State::Failed(why) => format!("It cannot be tried here: {why}. Load the page again."),
        }
    }

    fn told(&self) -> Told {
        match self {
            State::Told(told) => told.clone(),
            State::Drawn | State::Ready | State::Loading | State::Failed(_) => Told::default(),
        }
    }
}

/// The fields, and what comes of what stands in them. What it is tried at is the attribute `data-given`
/// of the element called `given`; `command` does much the same where there is no script.
#[island]
pub fn Matching(given: String, first: Typed, ports: Vec<Port>, command: String) -> impl IntoView {
    let state = RwSignal::new(State::Drawn);
    let typed = RwSignal::new(first.clone());
    // Effects run in the browser only.
    #[cfg(feature = "hydrate")]
    let bench = StoredValue::new_local(bench::Bench::new(given, state));
    #[cfg(feature = "hydrate")]
    Effect::new(move || {
        state.set(State::Ready);
        bench.with_value(|bench| bench.follow(typed));
    });
    #[cfg(not(feature = "hydrate"))]
    let _in_the_browser = given;
    let tell = move || {
        #[cfg(feature = "hydrate")]
        bench.with_value(|bench| bench.tell(&typed.get_untracked()));
    };
    let set = move |change: &dyn Fn(&mut Typed)| {
        typed.update(change);
        tell();
    };
    let is_alive = move || state.with(|state| *state != State::Drawn);
    let method = input(state, "method", first.method, move |text| {
        set(&|typed| typed.method.clone_from(&text));
    });
    let host =
        input(state, "host", first.host, move |text| set(&|typed| typed.host.clone_from(&text)));
    let path =
        input(state, "path", first.path, move |text| set(&|typed| typed.path.clone_from(&text)));
    let port = select(ports, first.port, move |port| set(&|typed| typed.port = port));
    let headers = area(state, first.headers, move |text| {
        set(&|typed| typed.headers.clone_from(&text));
    });
    let form = view! {
        <form
            class="fields try"
            novalidate
            autocomplete="off"
            hidden=move || !is_alive()
            on:submit=move |event| {
                event.prevent_default();
                tell();
            }
        >
            <div class="request">
                <div><label for="try-method">"Method"</label>{method}</div>
                <div><label for="try-host">"Host"</label>{host}</div>
                <div><label for="try-port">"Port"</label>{port}</div>
            </div>
            {slip(state, "method")}
            {slip(state, "host")}
            <label for="try-path">"Path " <span class="hint">"with its query, if it has one"</span></label>
            {path}
            {slip(state, "path")}
            <label for="try-headers">"Headers " <span class="hint">"one a line, as name: value"</span></label>
            {headers}
            {slip(state, "headers")}
            <button>"Try it"</button>
        </form>
    };
    view! {
        <div hidden=is_alive>
            <p>"Trying a request needs a script and WebAssembly in the browser. The same code answers on a \
                command line, from files:"</p>
            <p class="copy"><code>{command}</code></p>
        </div>
        {form}
        <p class="sum" role="status">{move || state.with(State::sum)}</p>
        {move || details(state.with(State::told))}
    }
}

/// A line to type into.
fn input(
    state: RwSignal<State>,
    field: &'static str,
    first: String,
    typed: impl Fn(String) + 'static,
) -> impl IntoView {
    view! {
        <input
            id=format!("try-{field}")
            spellcheck="false"
            autocapitalize="none"
            value=first
            aria-invalid=move || state.with(|state| state.slip(field).map(|_| "true"))
            aria-describedby=format!("try-{field}-slip")
            on:input=move |event| typed(event_target_value(&event))
        />
    }
}

/// Where headers are typed.
fn area(state: RwSignal<State>, first: String, typed: impl Fn(String) + 'static) -> impl IntoView {
    view! {
        <textarea
            id="try-headers"
            rows="2"
            spellcheck="false"
            autocapitalize="none"
            aria-invalid=move || state.with(|state| state.slip("headers").map(|_| "true"))
            aria-describedby="try-headers-slip"
            on:input=move |event| typed(event_target_value(&event))
        >
            {first}
        </textarea>
    }
}

/// The ports to choose from.
fn select(ports: Vec<Port>, first: u16, chosen: impl Fn(u16) + 'static) -> impl IntoView {
    let choices = ports.into_iter().map(|Port { number, speaks }| {
        let words = format!("{number} ({speaks})");
        view! { <option value=number.to_string() selected=number == first>{words}</option> }
    });
    view! {
        <select
            id="try-port"
            on:change=move |event| chosen(event_target_value(&event).parse().unwrap_or_default())
        >
            {choices.collect_view()}
        </select>
    }
}

/// What is wrong with a field.
fn slip(state: RwSignal<State>, field: &'static str) -> impl IntoView {
    let why = move || state.with(|state| state.slip(field));
    view! {
        <p class="fault" id=format!("try-{field}-slip") hidden=move || why().is_none()>
            {move || why().unwrap_or_default()}
        </p>
    }
}

/// All that is told besides the sentence.
fn details(told: Told) -> impl IntoView {
    let Told { lines, others, more, faults, .. } = told;
    let lines: Vec<_> = lines
        .into_iter()
        .map(|(title, text)| view! { <dt>{title}</dt><dd class="lines">{text}</dd> })
        .collect();
    let others: Vec<_> = others.into_iter().map(|words| view! { <li>{words}</li> }).collect();
    let more = (more > 0).then(|| view! { <li>{format!("and {more} more")}</li> });
    let faults: Vec<_> =
        faults.into_iter().map(|words| view! { <p class="trouble">{words}</p> }).collect();
    view! {
        {(!lines.is_empty()).then(|| view! { <dl class="facts">{lines}</dl> })}
        {(!others.is_empty()).then(|| view! {
            <h3>"Why not these others"</h3>
            <ul class="others">{others}{more}</ul>
        })}
        {faults}
    }
}

#[cfg(feature = "hydrate")]
mod bench {
    use std::cell::{Cell, RefCell};
    use std::rc::Rc;

    use leptos::prelude::*;
    use leptos::task::spawn_local;
    use wasm_bindgen::closure::Closure;
    use wasm_bindgen::prelude::wasm_bindgen;
    use wasm_bindgen::{JsCast as _, JsValue};
    use web_sys::{MutationObserver, MutationObserverInit};

    use super::{State, Told, Typed};

    /// By which the page says what is tried at.
    const GIVEN: &str = "data-given";

    #[wasm_bindgen(raw_module = "./table.js")]
    extern "C" {
        /// Fetches the module; what is fetched already stays.
        #[wasm_bindgen(js_name = default, catch)]
        async fn load() -> Result<JsValue, JsValue>;

        type Trial;

        #[wasm_bindgen(constructor, catch)]
        fn new(given: &str) -> Result<Trial, JsValue>;

        #[wasm_bindgen(method)]
        fn tell(
            this: &Trial,
            method: &str,
            host: &str,
            port: u16,
            path: &str,
            headers: &str,
        ) -> Answer;

        #[wasm_bindgen(js_name = Told)]
        type Answer;

        #[wasm_bindgen(method)]
        fn slips(this: &Answer) -> Vec<String>;

        #[wasm_bindgen(method)]
        fn sum(this: &Answer) -> String;

        #[wasm_bindgen(method)]
        fn lines(this: &Answer) -> Vec<String>;

        #[wasm_bindgen(method)]
        fn others(this: &Answer) -> Vec<String>;

        #[wasm_bindgen(method)]
        fn more(this: &Answer) -> usize;

        #[wasm_bindgen(method)]
        fn faults(this: &Answer) -> Vec<String>;

        /// Gives its memory back.
        #[wasm_bindgen(method)]
        fn free(this: &Answer);
    }

    impl Answer {
        fn told(&self) -> Told {
            let told = Told {
                slips: pairs(self.slips()),
                sum: self.sum(),
                lines: pairs(self.lines()),
                others: self.others(),
                more: self.more(),
                faults: self.faults(),
            };
            self.free();
            told
        }
    }

    /// Two and two.
    fn pairs(texts: Vec<String>) -> Vec<(String, String)> {
        let (mut texts, mut pairs) = (texts.into_iter(), Vec::new());
        while let (Some(one), Some(other)) = (texts.next(), texts.next()) {
            pairs.push((one, other));
        }
        pairs
    }

    /// Where requests are tried.
    #[derive(Clone)]
    pub(super) struct Bench(Rc<Parts>);

    struct Parts {
        /// The id of the element that says what is tried at.
        given: String,
        state: RwSignal<State>,
        is_loaded: Cell<bool>,
        /// What was typed last, while the module is on its way.
        waits: RefCell<Option<Typed>>,
        /// What is tried at, and what was made of it.
        trial: RefCell<Option<(String, Trial)>>,
    }

    impl Bench {
        pub(super) fn new(given: String, state: RwSignal<State>) -> Self {
            Bench(Rc::new(Parts {
                given,
                state,
                is_loaded: Cell::new(false),
                waits: RefCell::default(),
                trial: RefCell::default(),
            }))
        }

        /// Tells anew when the page says something else to be tried at.
        pub(super) fn follow(&self, typed: RwSignal<Typed>) {
            let Some(element) = document().get_element_by_id(&self.0.given) else { return };
            let bench = self.clone();
            let anew = Closure::<dyn FnMut()>::new(move || {
                if bench.0.is_loaded.get() {
                    bench.tell(&typed.get_untracked());
                }
            });
            let anew = anew.into_js_value();
            let Ok(observer) = MutationObserver::new(anew.unchecked_ref()) else { return };
            let init = MutationObserverInit::new();
            init.set_attributes(true);
            drop(observer.observe_with_options(&element, &init));
        }

        /// Tells of a request, once the module is there.
        pub(super) fn tell(&self, typed: &Typed) {
            if self.0.is_loaded.get() {
                let told = self.0.told(typed);
                self.0.state.set(told.map_or_else(|why| State::Failed(words(&why)), State::Told));
                return;
            }
            if self.0.waits.borrow_mut().replace(typed.clone()).is_some() {
                return;
            }
            self.0.state.set(State::Loading);
            let bench = self.clone();
            spawn_local(async move {
                let loaded = load().await;
                let waits = bench.0.waits.take();
                match loaded {
                    Ok(_) => {
                        bench.0.is_loaded.set(true);
                        waits.iter().for_each(|typed| bench.tell(typed));
                    }
                    Err(why) => bench.0.state.set(State::Failed(words(&why))),
                }
            });
        }
    }

    impl Parts {
        fn told(&self, typed: &Typed) -> Result<Told, JsValue> {
            let element = document().get_element_by_id(&self.given);
            let given = element.and_then(|element| element.get_attribute(GIVEN));
            let given = given.ok_or("the page does not say any more what to try it at")?;
            let mut trial = self.trial.borrow_mut();
            let trial = match trial.take() {
                Some(same) if same.0 == given => trial.insert(same),
                Some(_) | None => {
                    let made = Trial::new(&given)?;
                    trial.insert((given, made))
                }
            };
            let Typed { method, host, port, path, headers } = typed;
            Ok(trial.1.tell(method, host, *port, path, headers).told())
        }
    }

    /// What went wrong, as far as the browser says it.
    fn words(why: &JsValue) -> String {
        let error = why.dyn_ref::<js_sys::Error>().map(|error| String::from(error.message()));
        error
            .or_else(|| why.as_string())
            .unwrap_or_else(|| "the browser does not say why".to_owned())
    }
}
