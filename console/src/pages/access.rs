//! Asking for access that one lacks, and deciding on what others ask for.

use control::Refusal;
use control::app::{AccessRequest, AccessState, NewAccessRequest};
use leptos::prelude::*;
use model::role::Verb;
use model::{Key, Kind, Name};
use serde::Deserialize;
use time::OffsetDateTime;

use super::{Asked, Drawn, drawn};
use crate::form::{Done, Form, Line, Sent};
use crate::parts::{Mood, empty, escaped, head, mood, saved, select, when};

/// Requests of one page: each may have three forms.
const PAGE: usize = 25;

/// Which requests, and where a page begins.
#[derive(Debug, Default, Deserialize)]
struct Listed {
    /// What came of them; all of them where nothing is said.
    #[serde(default)]
    state: String,
    /// The last of the page before: its time in microseconds, and its id.
    #[serde(default)]
    after: String,
}

/// What is to be asked for.
#[derive(Debug, Clone, Default, Deserialize)]
struct Wanted {
    #[serde(default)]
    verb: String,
    #[serde(default)]
    kind: String,
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    field: String,
}

/// Where one asks for it.
pub(crate) fn place(verb: Verb, key: &Key, field: Option<&str>) -> String {
    let Key { kind, namespace, name } = key;
    let place = format!("/access/ask?verb={verb}&kind={kind}&namespace={namespace}&name={name}");
    match field {
        Some(field) => format!("{place}&field={}", escaped(field)),
        None => place,
    }
}

pub(crate) async fn ask(asked: Asked) -> Result<Drawn, Refusal> {
    let op = asked.op();
    let Listed { state, after } = asked.query();
    let only = AccessState::ALL.into_iter().find(|one| one.as_str() == state);
    let after = after.split_once('-').and_then(|(at, id)| Some((at.parse().ok()?, id.to_owned())));
    let is_behind = after.is_some();
    let page = asked.app.access_request_list(&op, only, after, PAGE).await?;
    let now = op.now;
    drawn(move || {
        let (others, own): (Vec<_>, Vec<_>) = page.items.iter().partition(|one| !one.is_own);
        let (open, done): (Vec<_>, Vec<_>) =
            others.into_iter().partition(|one| one.state == AccessState::Open);
        // What is not on this page may be on another.
        let is_part = is_behind || page.next.is_some() || only.is_some();
        let nothing = |all| if is_part { "None is on this page." } else { all };
        let older = page.next.as_ref().map(|(at, id)| {
            let to = match only {
                Some(state) => format!("/access?after={at}-{id}&state={}", state.as_str()),
                None => format!("/access?after={at}-{id}"),
            };
            view! { <p><a href=to>"Older requests"</a></p> }
        });
        let card = |id: &'static str, title: &'static str, none: &'static str, of: &[_]| {
            section(&asked, id, title, nothing(none), of, now)
        };
        view! {
            {head("Access".to_owned(), "What people ask to be allowed, and who allows it.".to_owned())}
            {saved(&asked)}
            {states(only)}
            <div id="live">
                {card("open", "For you to decide", "Nobody asks for what you could give.", &open)}
                {card("own", "What you asked for", "You asked for nothing. Where you may not change something, \
                      its page leads here.", &own)}
                {(!done.is_empty()).then(|| card("done", "Decided", "", &done))}
                {older}
            </div>
        }
        .into_any()
    })
}

fn section(
    asked: &Asked,
    id: &'static str,
    title: &'static str,
    nothing: &'static str,
    requests: &[&AccessRequest],
    now: OffsetDateTime,
) -> AnyView {
    let heading = format!("{id}-title");
    let rows: Vec<_> = requests.iter().map(|one| request(asked, one, now)).collect();
    view! {
        <section class="card" id=id aria-labelledby=heading.clone()>
            <h2 id=heading.clone()>{title}</h2>
            {if rows.is_empty() {
                empty(nothing, ())
            } else {
                view! { <ul class="asks">{rows}</ul> }.into_any()
            }}
        </section>
    }
    .into_any()
}

/// The choice of those that one thing came of.
fn states(only: Option<AccessState>) -> AnyView {
    let words =
        AccessState::ALL.map(|state| (state.as_str().to_owned(), state.as_str().to_owned()));
    let words: Vec<_> =
        std::iter::once((String::new(), "open and decided".to_owned())).chain(words).collect();
    let chosen = only.map_or("", AccessState::as_str);
    view! {
        <form class="filter" method="get" action="/access">
            {select("state", "What came of them", &words, chosen)}
            <button>"Show"</button>
        </form>
    }
    .into_any()
}

fn request(asked: &Asked, one: &AccessRequest, now: OffsetDateTime) -> AnyView {
    let field = one.field.as_ref().map(|field| format!(", field {field}"));
    let what = format!("{} {}{}", one.verb, one.key, field.unwrap_or_default());
    let state = match one.state {
        AccessState::Open => mood(Mood::Poor, "open".to_owned()),
        AccessState::Granted => mood(Mood::Good, "granted".to_owned()),
        AccessState::Refused => mood(Mood::Bad, "refused".to_owned()),
        AccessState::Withdrawn => mood(Mood::Poor, "withdrawn".to_owned()),
    };
    let why = (!one.message.is_empty()).then(|| view! { <q>{one.message.clone()}</q> });
    let decision = one.decision.as_ref().map(|decision| {
        let revision = decision.revision.map(|revision| {
            view! { " as " <a href=format!("/changes/{revision}")>"revision " {revision}</a> }
        });
        let answer = (!decision.answer.is_empty()).then(|| {
            view! { <q>{decision.answer.clone()}</q> }
        });
        view! { <p>"By " {decision.by.clone()} ", " {when(decision.at, now)} {revision} "." {answer}</p> }
    });
    let whom = (!one.ask.is_empty()).then(|| {
        view! { <p class="faint">"To be decided by " {one.ask.join(", ")} "."</p> }
    });
    view! {
        <li id=format!("ask-{}", one.id)>
            <p><strong>{one.user.to_string()}</strong> " asks for " {what} ", " {when(one.created, now)} ": " {state}</p>
            {why}
            {decision}
            {whom}
            {decide(asked, one)}
        </li>
    }
    .into_any()
}

/// What may be done with a request by who looks at it.
fn decide(asked: &Asked, one: &AccessRequest) -> Option<AnyView> {
    if one.state != AccessState::Open {
        return None;
    }
    let form = |act: &str| Form::new(asked, format!("/access/{}/{act}", one.id));
    let granted = one.proposal.as_ref().map(|proposal| {
        let only = match proposal.apis.as_slice() {
            [] => format!("in all of its workspace, by the {}", proposal.grant),
            apis => {
                let apis: Vec<_> = apis.iter().map(ToString::to_string).collect();
                format!("for the Api {} alone, by the {}", apis.join(", "), proposal.grant)
            }
        };
        let refused = form("refuse");
        let refusing = view! {
            {refused.why(&format!("refuse-{}", one.id))}
            <button class="quiet">"Refuse it"</button>
        };
        let apis: Vec<_> = proposal.apis.iter().map(ToString::to_string).collect();
        let granting = view! {
            <input type="hidden" name="apis" value=apis.join(" ") />
            <button>{format!("Give it to {}", one.user)}</button>
            <span class="hint">{format!("Gives {}, {only}", proposal.gives())}</span>
        };
        view! { {form("grant").draw(None, granting)} {refused.draw(None, refusing)} }
    });
    let withdrawn = one.is_own.then(|| {
        form("withdraw").draw(None, view! { <button class="quiet">"Withdraw it"</button> })
    });
    Some(view! { {granted} {withdrawn} }.into_any())
}

/// The page on which one asks.
pub(crate) async fn ask_for(asked: Asked) -> Result<Drawn, Refusal> {
    let wanted: Wanted = match &asked.tried {
        Some(tried) => {
            let word = |field: &str| tried.fields.get(field).to_owned();
            Wanted {
                verb: word("verb"),
                kind: word("kind"),
                namespace: word("namespace"),
                name: word("name"),
                field: word("field"),
            }
        }
        None => asked.query(),
    };
    drawn(move || {
        let Wanted { verb, kind, namespace, name, field } = wanted.clone();
        let form = Form::new(&asked, "/access/ask/send".to_owned());
        let shown = match field.is_empty() {
            true => format!("{verb} {kind} {namespace}/{name}"),
            false => format!("{verb} {kind} {namespace}/{name}, field {field}"),
        };
        let hidden = [
            ("verb", verb),
            ("kind", kind),
            ("namespace", namespace),
            ("name", name),
            ("field", field),
        ];
        let hidden = hidden.map(|(name, value)| {
            view! { <input type="hidden" name=name value=value /> }
        });
        let why = Line {
            field: "why",
            label: "Why",
            path: "message",
            hint: Some("what those who decide read"),
            ..Line::default()
        };
        let fields = view! {
            {hidden.into_iter().collect_view()}
            {form.lines(why)}
            <button>"Ask"</button>
        };
        view! {
            {head("Ask for access".to_owned(), shown)}
            <section class="card" aria-label="What you ask for">
                <p>"Those who could give it see it among what is for them to decide."</p>
                {form.draw(None, fields)}
            </section>
        }
        .into_any()
    })
}

/// Asks.
pub(crate) async fn send(sent: Sent) -> Result<Done, Refusal> {
    let fields = &sent.fields;
    let none = || Refusal::None("such object".to_owned());
    let name = |field| Name::parse(fields.get(field)).map_err(|_| none());
    let kind = Kind::parse(fields.get("kind")).ok_or_else(none)?;
    let verb = Verb::ALL.into_iter().find(|verb| verb.as_str() == fields.get("verb"));
    let new = NewAccessRequest {
        verb: verb.ok_or_else(none)?,
        key: Key::new(kind, name("namespace")?, name("name")?),
        field: fields.word("field").map(str::to_owned),
        message: fields.get("why").trim().replace("\r\n", "\n"),
    };
    sent.asked.app.access_request_create(&sent.asked.op(), new).await?;
    Ok(Done::To("/access".to_owned()))
}

/// Gives what was asked for.
pub(crate) async fn grant(sent: Sent) -> Result<Done, Refusal> {
    let op = sent.asked.visit.op(String::new())?;
    // What was seen is given, and nothing that it became meanwhile.
    let apis: Result<Vec<_>, _> = sent.fields.words("apis").map(Name::parse).collect();
    let (id, apis) = (sent.asked.part(0), apis.unwrap_or_default());
    let app = &sent.asked.app;
    let receipt = app.access_request_grant(&op, id, None, Some(&apis)).await?;
    Ok(Done::saved("/access", &receipt))
}

/// Does not give it.
pub(crate) async fn refuse(sent: Sent) -> Result<Done, Refusal> {
    let op = sent.asked.visit.op(sent.fields.get("message").trim().to_owned())?;
    sent.asked.app.access_request_refuse(&op, sent.asked.part(0)).await?;
    Ok(Done::To("/access".to_owned()))
}

/// Takes it back.
pub(crate) async fn withdraw(sent: Sent) -> Result<Done, Refusal> {
    let op = sent.asked.op();
    sent.asked.app.access_request_withdraw(&op, sent.asked.part(0)).await?;
    Ok(Done::To("/access".to_owned()))
}
