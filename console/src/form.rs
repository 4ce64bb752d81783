//! Forms: what is sent from a page, and how one is drawn so that nothing typed is lost.
//!
//! ```text
//! form ── POST ── csrf ── use case ── done ──> to where it is seen
//!               │            └─────── refused ──> its page, with what was typed and each fault
//!               │                                 under its field
//!               └── signed out, or signed in anew ──> the same, for it to be sent again
//! ```

use std::fmt;
use std::sync::Arc;

use control::Refusal;
use control::app::Receipt;
use leptos::prelude::*;
use model::Key;
use model::access::Denied;
use model::role::Verb;

use crate::pages::{self, Asked, access};

/// What was typed into a form, in its order.
#[derive(Clone, Default)]
pub(crate) struct Fields(Vec<(String, String)>);

/// Passwords are typed into forms.
impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

impl Fields {
    pub(crate) fn new(all: Vec<(String, String)>) -> Self {
        Fields(all)
    }

    /// What was typed into a field; nothing where there is no such field.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(one, _)| one == name).map_or("", |(_, value)| value)
    }

    /// The same without the space around it, if anything is left.
    pub(crate) fn word(&self, name: &str) -> Option<&str> {
        Some(self.get(name).trim()).filter(|word| !word.is_empty())
    }

    /// All of it: names with what was typed.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// What a page may show again: no password, and nothing that a page of ours put there to know its
    /// forms by.
    pub(crate) fn typed(&self) -> impl Iterator<Item = (&str, &str)> {
        self.all().filter(|(name, _)| !["csrf", "password", "current"].contains(name))
    }

    /// What was typed into fields whose names begin so, with the rest of the name.
    pub(crate) fn starting(&self, begin: &str) -> impl Iterator<Item = (&str, &str)> {
        let all = self.0.iter();
        all.filter_map(move |(name, value)| Some((name.strip_prefix(begin)?, value.as_str())))
    }

    /// The words of a field, parted by space or commas.
    pub(crate) fn words(&self, name: &str) -> impl Iterator<Item = &str> {
        let words = self.get(name).split(|c: char| c.is_whitespace() || c == ',');
        words.filter(|word| !word.is_empty())
    }
}

/// A form that somebody who is signed in sent from a page.
#[derive(Debug)]
pub(crate) struct Sent {
    /// Who, and from which page.
    pub(crate) asked: Asked,
    pub(crate) fields: Fields,
}

/// What comes of a form.
pub(crate) enum Done {
    /// It is done, and to be seen there.
    To(String),
    /// It is done, and its page shows this once.
    Told(Box<dyn Fn() -> AnyView + Send + Sync>),
}

impl Done {
    /// It became a revision, or was so already; the page at `place` tells which.
    pub(crate) fn saved(place: &str, receipt: &Receipt) -> Self {
        match receipt.changed.is_empty() {
            true => Done::To(format!("{place}?done=same")),
            false => Done::To(format!("{place}?saved={}", receipt.revision)),
        }
    }
}

/// What was sent and refused. The head of its page tells it, whatever form is still there.
#[derive(Debug)]
pub(crate) struct Tried {
    /// Where it was sent.
    pub(crate) action: String,
    pub(crate) fields: Fields,
    pub(crate) refusal: Refusal,
}

impl Tried {
    /// What was refused, at the head of the page; all of it, since no form may be there to tell it.
    pub(crate) fn told(&self) -> AnyView {
        let has_generation = !self.fields.get("generation").is_empty();
        let words = match &self.refusal {
            Refusal::Conflict(_) if has_generation => {
                "Somebody else saved this before you. What you typed stands in the form, beside what is \
                 there now where they differ. Saving again puts yours in its place."
                    .to_owned()
            }
            Refusal::Conflict(conflicts) if conflicts.iter().all(|one| one.expected.is_none()) => {
                let taken: Vec<_> = conflicts.iter().map(|one| one.key.to_string()).collect();
                format!("There is one already: {}.", taken.join(", "))
            }
            other => other.to_string(),
        };
        let offers: Vec<_> = match &self.refusal {
            Refusal::Denied(denied) => denied.iter().filter_map(offer).collect(),
            _ => Vec::new(),
        };
        view! {
            <div class="fault" role="alert" id="refused" tabindex="-1" autofocus>
                <p>"Nothing was saved."</p>
                <p class="lines">{words}</p>
                {offers}
            </div>
        }
        .into_any()
    }
}

/// The way on from what may not be done: asking for it.
fn offer((key, why): &(Key, Denied)) -> Option<AnyView> {
    match why {
        Denied::Forbidden { verb, fields } => {
            Some(access_to(*verb, key, fields.first().map(String::as_str)))
        }
        Denied::Hidden => None,
    }
}

/// A form that is being drawn.
pub(crate) struct Form {
    action: String,
    csrf: String,
    tried: Option<Arc<Tried>>,
    /// Whether it was another one of its page that was tried, which tells the same object.
    is_beside: bool,
}

impl Form {
    /// One of this page that is sent there.
    pub(crate) fn new(asked: &Asked, action: String) -> Self {
        let tried = asked.tried.clone().filter(|tried| tried.action == action);
        Form { action, csrf: asked.csrf(), tried, is_beside: false }
    }

    /// One that tells faults of the object that was tried by another form of its page, if not by itself.
    pub(crate) fn beside(asked: &Asked, action: String) -> Self {
        let tried = asked.tried.clone();
        let is_beside = tried.as_ref().is_some_and(|tried| tried.action != action);
        Form { action, csrf: asked.csrf(), tried, is_beside }
    }

    /// One of which nothing was tried, though another with the same action was.
    pub(crate) fn untried(asked: &Asked, action: String) -> Self {
        Form { action, csrf: asked.csrf(), tried: None, is_beside: false }
    }

    /// What was typed into a field, else what is.
    pub(crate) fn value(&self, field: &str, is: &str) -> String {
        let typed = self.tried.as_ref().filter(|_| !self.is_beside);
        let typed = typed.map(|tried| tried.fields.get(field));
        typed.unwrap_or(is).to_owned()
    }

    /// A line of text over the fault of the field that it becomes.
    pub(crate) fn text(&self, line: Line<'_>) -> AnyView {
        let Line { field, label, path, is, hint, required, kind, list, keeper } = line;
        let (fault, described) = self.fault(field, path);
        let theirs = self.theirs(field, is);
        let id = format!("{field}-field");
        let kind = if kind.is_empty() { "text" } else { kind };
        // No password is sent to a browser again.
        let value = if kind == "password" { String::new() } else { self.value(field, is) };
        let keeper = if keeper.is_empty() { "off" } else { keeper };
        view! {
            <label for=id.clone()>{label} {hint.map(hinted)}</label>
            <input
                id=id
                name=field.to_owned()
                type=kind
                value=value
                required=required
                list=list
                spellcheck="false"
                autocapitalize="none"
                autocomplete=keeper
                aria-invalid=described.is_some().then_some("true")
                aria-describedby=described
            />
            {theirs}
            {fault}
        }
        .into_any()
    }

    /// Several lines of it.
    pub(crate) fn lines(&self, line: Line<'_>) -> AnyView {
        let Line { field, label, path, is, hint, required, .. } = line;
        let (fault, described) = self.fault(field, path);
        let theirs = self.theirs(field, is);
        let id = format!("{field}-field");
        let value = self.value(field, is);
        view! {
            <label for=id.clone()>{label} {hint.map(hinted)}</label>
            <textarea
                id=id
                name=field.to_owned()
                rows="4"
                required=required
                spellcheck="false"
                autocapitalize="none"
                aria-invalid=described.is_some().then_some("true")
                aria-describedby=described
            >
                {value}
            </textarea>
            {theirs}
            {fault}
        }
        .into_any()
    }

    /// One of several words.
    pub(crate) fn choice(&self, line: Line<'_>, words: &[(String, String)]) -> AnyView {
        let Line { field, label, path, is, hint, .. } = line;
        let (fault, described) = self.fault(field, path);
        let theirs = self.theirs(field, is);
        let id = format!("{field}-field");
        let chosen = self.value(field, is);
        let words = words.iter().map(|(word, shown)| {
            let selected = *word == chosen;
            view! { <option value=word.clone() selected=selected>{shown.clone()}</option> }
        });
        view! {
            <label for=id.clone()>{label} {hint.map(hinted)}</label>
            <select
                id=id
                name=field.to_owned()
                aria-invalid=described.is_some().then_some("true")
                aria-describedby=described
            >
                {words.collect_view()}
            </select>
            {theirs}
            {fault}
        }
        .into_any()
    }

    /// Why somebody does it, in their words; the field has this id, since a page has several.
    pub(crate) fn why(&self, id: &str) -> AnyView {
        let words = self.told("message");
        let fault = words.map(|words| view! { <p class="fault">{words}</p> });
        view! {
            <label for=id.to_owned()>"Why " <span class="hint">"what the history says of it"</span></label>
            <input id=id.to_owned() name="message" value=self.value("message", "") autocomplete="off" />
            {fault}
        }
        .into_any()
    }

    /// What is wrong at a path, which the caller shows under its field.
    pub(crate) fn told(&self, path: &str) -> Option<String> {
        joined(self.found(path).map(|(_, words)| words), "; ")
    }

    /// What is wrong with a field, and by which id it is told of.
    fn fault(&self, field: &str, path: &str) -> (Option<impl IntoView + use<>>, Option<String>) {
        let Some(words) = self.told(path) else { return (None, None) };
        let id = format!("{field}-fault");
        let told = view! { <p class="fault" id=id.clone()>{words}</p> };
        (Some(told), Some(id))
    }

    /// What is wrong at just this path.
    pub(crate) fn told_at(&self, path: &str) -> Option<String> {
        let at = self.found(path).filter(|(below, _)| below.is_empty());
        joined(at.map(|(_, words)| words), "; ")
    }

    /// What is wrong at a path and below it, a line each with the place below.
    pub(crate) fn told_below(&self, path: &str) -> Option<String> {
        let lines = self.found(path).map(|(below, words)| match below {
            "" => words,
            below => format!("{below}: {words}"),
        });
        joined(lines, "\n")
    }

    /// What is wrong at a path or below it, with the rest of its path.
    fn found<'f>(&'f self, path: &'f str) -> impl Iterator<Item = (&'f str, String)> + 'f {
        let faults = match self.tried.as_ref().map(|tried| &tried.refusal) {
            Some(Refusal::Invalid(faults)) if !path.is_empty() => faults.as_slice(),
            _ => &[],
        };
        let below = move |found: &'f str| {
            let rest = found.strip_prefix(path);
            rest.filter(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        faults.iter().filter_map(move |fault| {
            Some((below(&fault.path)?, words(&fault.reason, fault.nearest.as_deref())))
        })
    }

    /// The form. `generation` is that of the object that it was drawn from; `of` tells forms of one page
    /// apart that are sent to one place.
    pub(crate) fn draw_of(
        self,
        of: &str,
        generation: Option<i64>,
        fields: impl IntoView,
    ) -> AnyView {
        let from = generation.map(|now| match &self.tried {
            // It was told of the other change, and goes on from there.
            Some(tried) if !self.is_overtaken() => tried.fields.get("generation").to_owned(),
            _ => now.to_string(),
        });
        let kept = from.clone();
        let newer = kept.is_some().then(|| {
            view! {
                <p class="newer">
                    "Somebody changed this since the page was loaded. Saving tells you of it first; \
                     what you typed is kept."
                </p>
            }
        });
        let generation = from.map(|from| {
            view! { <input type="hidden" name="generation" value=from /> }
        });
        let id = format!("form:{}:{of}", self.action);
        view! {
            <form
                class="fields"
                id=id
                method="post"
                action=self.action
                data-kept=kept.unwrap_or_default()
            >
                {newer}
                <input type="hidden" name="csrf" value=self.csrf />
                {generation}
                {fields}
            </form>
        }
        .into_any()
    }

    /// The only form of its page that is sent there.
    pub(crate) fn draw(self, generation: Option<i64>, fields: impl IntoView) -> AnyView {
        self.draw_of("", generation, fields)
    }

    /// Whether somebody else was quicker, so that what is there now is news to who typed.
    fn is_overtaken(&self) -> bool {
        matches!(self.refusal(), Some(Refusal::Conflict(_)))
    }

    /// What stands in a field now, where somebody else put something else there than what was typed.
    pub(crate) fn theirs(&self, field: &str, is: &str) -> Option<AnyView> {
        let differs = self.is_overtaken() && self.value(field, is).trim() != is.trim();
        let theirs = if is.is_empty() { "nothing" } else { is };
        let told = || view! { <p class="theirs lines">"Now: " {theirs.to_owned()}</p> }.into_any();
        differs.then(told)
    }

    fn refusal(&self) -> Option<&Refusal> {
        self.tried.as_ref().map(|tried| &tried.refusal)
    }
}

/// A button that takes an object away as it is now, by a form that is sent there.
pub(crate) fn take_away(
    asked: &Asked,
    action: String,
    (key, generation): (&Key, i64),
    (words, label): (&'static str, String),
) -> AnyView {
    view! {
        <form method="post" action=action>
            <input type="hidden" name="csrf" value=asked.csrf() />
            <input type="hidden" name="object" value=pages::word(key) />
            <input type="hidden" name="generation" value=generation />
            <button class="quiet" aria-label=label>{words}</button>
        </form>
    }
    .into_any()
}

/// A field of one line.
#[derive(Clone, Copy, Default)]
pub(crate) struct Line<'l> {
    /// Its name in the form.
    pub(crate) field: &'l str,
    pub(crate) label: &'static str,
    /// Where in the object it goes; faults there and below stand under it.
    pub(crate) path: &'l str,
    /// What is there now.
    pub(crate) is: &'l str,
    pub(crate) hint: Option<&'static str>,
    pub(crate) required: bool,
    /// What browsers know of such a field, as `date`; text if nothing is said.
    pub(crate) kind: &'static str,
    /// The id of what is offered.
    pub(crate) list: Option<&'static str>,
    /// What browsers may fill in, as `current-password`; nothing if nothing is said.
    pub(crate) keeper: &'static str,
}

/// The way to asking for what one lacks.
pub(crate) fn access_to(verb: Verb, key: &Key, field: Option<&str>) -> AnyView {
    let to = access::place(verb, key, field);
    view! { <p><a href=to>{format!("Ask for access to {key}")}</a></p> }.into_any()
}

fn hinted(hint: &'static str) -> AnyView {
    view! { " " <span class="hint">{hint}</span> }.into_any()
}

fn joined(words: impl Iterator<Item = String>, by: &str) -> Option<String> {
    let words: Vec<_> = words.collect();
    (!words.is_empty()).then(|| words.join(by))
}

/// What is wrong, and what may have been meant.
fn words(reason: &str, nearest: Option<&str>) -> String {
    match nearest {
        Some(nearest) => format!("{reason} (did you mean '{nearest}'?)"),
        None => reason.to_owned(),
    }
}
