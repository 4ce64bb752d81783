//! `login`, `logout` and `whoami`.
//!
//! A login asks for the password once, makes a token of its own with it and ends the session: what
//! is kept on this machine can be revoked without changing the password.

use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};

use crate::app::Context;
use crate::args::people::Login;
use crate::args::{Output, Show};
use crate::client::{Ask, Client};
use crate::failure::{Done, Failure};
use crate::kept::{self, Kept};
use crate::show::when::when;
use crate::show::{self, printable, word};
use crate::terminal;

/// How long the token of a login is good for: thirty days.
const GOOD_FOR: &str = "720h";
/// What the session's cookie is called without TLS and with it.
const COOKIES: [&str; 2] = ["heddle-session", "__Host-heddle-session"];

/// Signs in.
///
/// # Errors
/// If the server does not take name and password, or the token cannot be kept.
pub(crate) async fn login(context: &Context, args: &Login) -> Result<Done, Failure> {
    let client = &context.client;
    let file = context.file()?;
    let server = client.address();
    if server.is_exposed() {
        show::note(format_args!("the password goes to {server} in the clear; use https"));
    }
    let user = match &args.user {
        Some(user) => user.clone(),
        None => terminal::line("user")?,
    };
    let password = match args.password_stdin {
        true => terminal::password_from_stdin("password")?,
        false => terminal::password("password")?,
    };
    let session = Session::open(client, &user, &password).await?;
    let made = session.token(client).await;
    session.close(client).await;
    let made = made?;
    let told = |at: &str| made.get(at).and_then(Value::as_str).map(str::to_owned);
    let (Some(token_id), Some(token)) = (told("id"), told("token")) else {
        return Err(Failure::Failed("the server made a token and did not show it".to_owned()));
    };
    let new = Kept { server: server.to_string(), user, token_id, token };
    kept::write(&file, &new)?;
    if let Some(old) = context.kept.as_ref().filter(|old| old.server == new.server) {
        replace(context, old, &new).await;
    }
    show::result(&format!("signed in to {server} as {}\n", printable(&new.user)))?;
    if context.has_own_token {
        show::note("HEDDLE_TOKEN is set and used in the place of this login");
    }
    Ok(Done::Yes)
}

/// Ends the token that the one just made replaces. If that fails it ends by itself.
async fn replace(context: &Context, old: &Kept, new: &Kept) {
    // The answer tells nothing that the user could act on: it may have ended long ago.
    if old.token_id != new.token_id && !context.has_own_token {
        drop(context.client.json(&Ask::delete(&["tokens", &old.token_id])).await);
    }
}

/// A session, from a password to a token.
struct Session {
    cookie: HeaderValue,
    csrf: HeaderValue,
}

impl Session {
    async fn open(client: &Client, user: &str, password: &str) -> Result<Self, Failure> {
        let ask = Ask::post(&["session"]).anonymous();
        let ask = ask.with_json(&json!({ "user": user, "password": password }));
        let answer = match client.send(&ask).await {
            Err(Failure::Refused(mut problem)) if problem.status == 401 => {
                // That one must sign in is what was just tried.
                problem.remedy = Some("check the name and the password".to_owned());
                return Err(Failure::Refused(problem));
            }
            answer => answer?,
        };
        let odd = || Failure::Failed("the server opened a session and did not show it".to_owned());
        let body = answer.json()?;
        let csrf = body["csrf"].as_str().and_then(|csrf| HeaderValue::from_str(csrf).ok());
        let mut cookie = cookie(answer.headers()).ok_or_else(odd)?;
        cookie.set_sensitive(true);
        Ok(Session { cookie, csrf: csrf.ok_or_else(odd)? })
    }

    async fn token(&self, client: &Client) -> Result<Value, Failure> {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let body = json!({ "name": format!("cli on {host}"), "expiresIn": GOOD_FOR });
        client.json(&self.ask(Ask::post(&["tokens"])).with_json(&body)).await
    }

    async fn close(&self, client: &Client) {
        // A session that stays open ends by itself.
        drop(client.json(&self.ask(Ask::delete(&["session"]))).await);
    }

    fn ask(&self, ask: Ask) -> Ask {
        ask.anonymous()
            .header(COOKIE, self.cookie.clone())
            .header(HeaderName::from_static("x-heddle-csrf"), self.csrf.clone())
    }
}

/// The session's cookie, as it is sent back.
fn cookie(headers: &HeaderMap) -> Option<HeaderValue> {
    headers.get_all(SET_COOKIE).iter().find_map(|set| {
        let pair = set.to_str().ok()?.split(';').next()?.trim();
        let (name, _) = pair.split_once('=')?;
        COOKIES.contains(&name).then(|| HeaderValue::from_str(pair).ok())?
    })
}

/// Revokes the kept token and forgets it.
///
/// # Errors
/// If the server cannot be told: the login is kept then, so that it can be tried again.
pub(crate) async fn logout(context: &Context) -> Result<Done, Failure> {
    let file = context.file()?;
    let Some(kept) = &context.kept else {
        return Err(Failure::Failed("nobody is signed in".to_owned()));
    };
    if kept.server != context.client.address().to_string() {
        return Err(Failure::Failed(format!("you are signed in to {}", kept.server)));
    }
    match context.client.json(&Ask::delete(&["tokens", &kept.token_id])).await {
        Ok(_) => {}
        // It has ended already.
        Err(Failure::Refused(problem)) if [401, 404].contains(&problem.status) => {}
        Err(failure) => return Err(failure),
    }
    kept::remove(&file)?;
    show::result(&format!("signed out of {}\n", kept.server))?;
    Ok(Done::Yes)
}

/// Says who one is.
///
/// # Errors
/// If the server does not know.
pub(crate) async fn whoami(context: &Context, show: Show) -> Result<Done, Failure> {
    let session = context.client.json(&Ask::get(&["session"])).await?;
    match show.output {
        Output::Table => {
            let mut text = format!("user      {}\n", printable(&word(&session, "/user")));
            text.push_str(&format!("server    {}\n", context.client.address()));
            text.push_str(&format!("expires   {}\n", when(&session, "/expires")));
            if session["isPlatformAdmin"] == true {
                text.push_str("admin     of the platform\n");
            }
            show::result(&text)?;
        }
        other => show::answer(other, &session, String::new)?,
    }
    Ok(Done::Yes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sessions_cookie_is_found_among_others() {
        let mut headers = HeaderMap::new();
        for set in ["theme=dark; Path=/", "heddle-session=abc123; HttpOnly; SameSite=Strict"] {
            headers.append(SET_COOKIE, HeaderValue::from_str(set).unwrap());
        }
        assert_eq!(cookie(&headers).unwrap(), "heddle-session=abc123");
        headers.clear();
        assert_eq!(cookie(&headers), None);
        let set = HeaderValue::from_static("__Host-heddle-session=x; Secure");
        headers.insert(SET_COOKIE, set);
        assert_eq!(cookie(&headers).unwrap(), "__Host-heddle-session=x");
    }
}
