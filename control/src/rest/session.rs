//! Signing in and out.

use axum::http::{HeaderValue, header};
use axum::response::Response;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::session::Session;

use super::Settings;
use super::answer::{self, Listed};
use super::ask::Ask;
use super::guard;
use super::problem::Problem;
use crate::app::SignIn;
use crate::authn::{Caller, Proof, is_platform_admin};
use crate::moment::rfc3339;

/// What somebody signs in with.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewSession {
    /// The name of the user.
    user: String,
    /// Their password.
    password: String,
}

/// A session that began.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct StartedSession {
    /// The name of the user.
    user: String,
    /// When it ends, if it is used at least once an hour.
    expires: Option<String>,
    /// What unsafe requests carry in `x-heddle-csrf`; null for who came with a token.
    csrf: Option<String>,
}

/// Who asks.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct OwnSession {
    #[serde(flatten)]
    started: StartedSession,
    /// Whether they may do everything.
    is_platform_admin: bool,
}

/// A session as its user sees it.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Session")]
pub(super) struct SessionShape {
    /// Its id, which is not its cookie.
    id: String,
    /// When it began.
    created: String,
    /// When it ends.
    expires: String,
    /// When it was last used, to the minute.
    seen: String,
    /// What the browser calls itself.
    agent: String,
    /// Whether it is the one that asks.
    current: bool,
}

pub(super) async fn create(ask: Ask) -> Result<Response, Problem> {
    let NewSession { user, password } = ask.json()?;
    let agent = ask.header(&header::USER_AGENT).unwrap_or_default().to_owned();
    let asked = SignIn { user, password, address: ask.address, agent, now: ask.now };
    let signed_in = ask.app().session_create(asked).await?;
    let mut response = answer::created(&started(&signed_in.caller));
    response
        .headers_mut()
        .insert(header::SET_COOKIE, cookie(&ask.rest.settings, &signed_in.cookie));
    Ok(response)
}

pub(super) async fn show(ask: Ask) -> Result<Response, Problem> {
    let caller = ask.caller()?;
    let world = ask.app().world().await?;
    let is_platform_admin = is_platform_admin(&caller.rights(&world));
    Ok(answer::ok(&OwnSession { started: started(caller), is_platform_admin }))
}

pub(super) async fn end(ask: Ask) -> Result<Response, Problem> {
    let caller = ask.caller()?;
    let Proof::Session { id, .. } = &caller.by else {
        return Err(Problem::forbidden("a token is no session; revoke it instead"));
    };
    ask.app().session_end(caller, &ask.op()?, id).await?;
    let mut response = answer::done();
    response.headers_mut().insert(header::SET_COOKIE, cookie(&ask.rest.settings, ""));
    Ok(response)
}

pub(super) async fn list(ask: Ask) -> Result<Response, Problem> {
    let caller = ask.caller()?;
    let sessions = ask.app().session_list(caller, &ask.op()?, ask.word("user")).await?;
    let items = sessions.into_iter().map(|one| shape(one, caller)).collect();
    Ok(answer::ok(&Listed { items, next: None }))
}

pub(super) async fn end_one(ask: Ask) -> Result<Response, Problem> {
    ask.app().session_end(ask.caller()?, &ask.op()?, ask.part("id")).await?;
    Ok(answer::done())
}

fn started(caller: &Caller) -> StartedSession {
    let csrf = match &caller.by {
        Proof::Session { csrf, .. } => Some(csrf.clone()),
        Proof::Token { .. } => None,
    };
    StartedSession { user: caller.name.to_string(), expires: caller.expires().map(rfc3339), csrf }
}

fn shape(session: Session, caller: &Caller) -> SessionShape {
    let current = match &caller.by {
        Proof::Session { id, .. } => *id == session.id,
        Proof::Token { .. } => false,
    };
    SessionShape {
        id: session.id,
        created: rfc3339(session.created),
        expires: rfc3339(session.expires),
        seen: rfc3339(session.seen),
        agent: session.agent,
        current,
    }
}

/// The cookie of a session with this value; an empty one takes it away.
pub(super) fn cookie(settings: &Settings, value: &str) -> HeaderValue {
    set_cookie(settings, guard::cookie_name(settings), value, 12 * 3600)
}

/// A cookie that lasts so many seconds; an empty one takes it away. It comes along where somebody
/// follows a link of another site to us, and with nothing else that other sites send.
pub(super) fn set_cookie(settings: &Settings, name: &str, value: &str, lasts: u32) -> HeaderValue {
    let secure = if settings.behind_tls { "; Secure" } else { "" };
    let age = if value.is_empty() { 0 } else { lasts };
    let text = format!("{name}={value}; HttpOnly; SameSite=Lax; Path=/; Max-Age={age}{secure}");
    HeaderValue::from_str(&text).expect("secrets are letters and digits")
}
