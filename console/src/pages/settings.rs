//! Settings: where one is signed in, by which password, and which tokens one has; for platform admins
//! also by which providers people come.

use control::Refusal;
use control::app::{NewPassword, ProviderInUse, Session, Token};
use leptos::prelude::*;
use time::OffsetDateTime;

use super::{Asked, Drawn, drawn};
use crate::form::{Done, Form, Line, Sent};
use crate::parts::{empty, head, saved, table, when_micros};

pub(crate) mod tokens;

const HEADS: [&str; 5] = ["Browser", "Began", "Used", "Ends", "End it"];
const PROVIDER_HEADS: [&str; 3] = ["Name", "Issuer", "Users who came by it"];

/// What is shown.
struct Settings {
    sessions: Vec<Session>,
    tokens: Vec<Token>,
    /// For platform admins alone.
    providers: Option<Vec<ProviderInUse>>,
    /// Whether they have a password here.
    has_password: bool,
}

async fn read(asked: &Asked) -> Result<Settings, Refusal> {
    let sessions = asked.app.session_list(&asked.caller, &asked.op(), None).await?;
    let tokens = asked.app.token_list(&asked.caller).await?;
    let providers = match asked.visit.is_admin {
        true => Some(asked.app.login_provider_use(&asked.op()).await?),
        false => None,
    };
    let has_password = asked.caller.from.is_none();
    Ok(Settings { sessions, tokens, providers, has_password })
}

pub(crate) async fn ask(asked: Asked) -> Result<Drawn, Refusal> {
    let settings = read(&asked).await?;
    drawn(move || draw(&asked, &settings, None).into_any())
}

fn draw(asked: &Asked, settings: &Settings, told: Option<AnyView>) -> AnyView {
    let (own, csrf, now) = (asked.caller.session(), asked.csrf(), asked.visit.now);
    let sessions = settings.sessions.iter();
    let rows = sessions.map(|session| row(session, own, &csrf, now)).collect_view();
    let lead = format!("You are signed in as {}.", asked.caller.name);
    view! {
        {head("Settings".to_owned(), lead)}
        {told}
        {saved(asked)}
        <div id="live">
            <section class="card" id="sessions" aria-labelledby="sessions-title">
                <h2 id="sessions-title">"Sessions"</h2>
                {table("sessions-title".to_owned(), &HEADS, rows)}
            </section>
            {tokens::draw(asked, &settings.tokens, now)}
            {settings.has_password.then(|| password_form(asked))}
            {settings.providers.as_deref().map(login_providers)}
        </div>
    }
    .into_any()
}

fn password_form(asked: &Asked) -> AnyView {
    let form = Form::new(asked, "/settings/password".to_owned());
    let line = |field, label, path, hint, keeper| {
        let (kind, required) = ("password", true);
        Line { field, label, path, hint, kind, required, keeper, ..Line::default() }
    };
    let fields = view! {
        {form.text(line("current", "The one you have", "current", None, "current-password"))}
        {form.text(line("password", "The new one", "password", Some("12 to 256 bytes"), "new-password"))}
        <button>"Change the password"</button>
    };
    view! {
        <section class="card" id="password" aria-labelledby="password-title">
            <h2 id="password-title">"Password"</h2>
            <p class="faint">"Changing it ends all your sessions: you sign in anew."</p>
            {form.draw(None, fields)}
        </section>
    }
    .into_any()
}

/// Gives who is signed in another password, which signs them out everywhere.
pub(crate) async fn password(sent: Sent) -> Result<Done, Refusal> {
    let Sent { asked, fields } = sent;
    let new = NewPassword {
        user: asked.caller.name.to_string(),
        password: fields.get("password").to_owned(),
        current: Some(fields.get("current").to_owned()),
        address: asked.visit.address(),
    };
    asked.app.user_password(&asked.caller, &asked.op(), new).await?;
    Ok(Done::To("/sign-in".to_owned()))
}

/// Ends another session.
pub(crate) async fn session_end(sent: Sent) -> Result<Done, Refusal> {
    let Sent { asked, fields } = sent;
    match asked.app.session_end(&asked.caller, &asked.op(), fields.get("id")).await {
        // One that ended meanwhile is what is wanted.
        Ok(()) | Err(Refusal::None(_)) => Ok(Done::To("/settings?done=ended".to_owned())),
        Err(refusal) => Err(refusal),
    }
}

fn login_providers(all: &[ProviderInUse]) -> AnyView {
    let rows = all.iter().map(|one| {
        view! {
            <tr id=format!("provider:{}", one.name)>
                <th scope="row">{one.name.to_string()}</th>
                <td>{one.issuer.clone()}</td>
                <td>{one.users}</td>
            </tr>
        }
    });
    let rows = rows.collect_view();
    let shown = match all {
        [] => {
            let words = "People sign in by passwords alone: there is no LoginProvider.";
            empty(words, ()).into_any()
        }
        _ => table("providers-title".to_owned(), &PROVIDER_HEADS, rows).into_any(),
    };
    view! {
        <section class="card" id="providers" aria-labelledby="providers-title">
            <h2 id="providers-title">"Login providers"</h2>
            {shown}
        </section>
    }
    .into_any()
}

fn row(session: &Session, own: Option<&str>, csrf: &str, now: OffsetDateTime) -> AnyView {
    let agent = match session.agent.as_str() {
        "" => "something that does not say what it is".to_owned(),
        agent => agent.to_owned(),
    };
    let end = if own == Some(session.id.as_str()) {
        "this one".into_any()
    } else {
        view! {
            <form method="post" action="/settings/sessions/end">
                <input type="hidden" name="csrf" value=csrf.to_owned() />
                <input type="hidden" name="id" value=session.id.clone() />
                <button class="quiet" aria-label=format!("End the session of {agent}")>"End"</button>
            </form>
        }
        .into_any()
    };
    view! {
        <tr id=format!("session-{}", session.id)>
            <th scope="row" class="long">{agent}</th>
            <td>{when_micros(session.created, now)}</td>
            <td>{when_micros(session.seen, now)}</td>
            <td>{when_micros(session.expires, now)}</td>
            <td>{end}</td>
        </tr>
    }
    .into_any()
}
