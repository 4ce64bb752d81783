//! Getting in, by a password or by a login provider, and out again.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Request, StatusCode, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};
use control::Refusal;
use control::login::Failure;
use control::rest::{Back, login_status, status};
use leptos::prelude::*;
use serde::Deserialize;

use super::Console;
use super::door::refuse;
use super::draw::{Context, draw};
use super::sent::{form_of, made};
use crate::frame::{Place, Title};
use crate::pages::{login, sign_in};

/// Where one signs in.
const SIGN_IN: &str = "/sign-in";

/// The routes in and out.
pub(super) fn routes(router: Router<Arc<Console>>) -> Router<Arc<Console>> {
    router
        .route(SIGN_IN, get(sign_in_shown).post(sign_in))
        .route("/sign-in/{provider}", get(login_start))
        .route("/sign-in/{provider}/callback", get(login_end))
        .route("/sign-out", post(sign_out))
}

/// To where one signs in, and on to this path from there.
pub(super) fn sign_in_to(to: &str) -> Response {
    Redirect::to(&sign_in::with_wanted(SIGN_IN, to)).into_response()
}

/// Where somebody wanted to go.
#[derive(Debug, Default, Deserialize)]
struct Wanted {
    #[serde(default)]
    to: String,
}

async fn sign_in_shown(State(console): State<Arc<Console>>, request: Request<Body>) -> Response {
    let (parts, _) = request.into_parts();
    let visit = match console.rest.visit(&parts, false).await {
        Ok(visit) => visit,
        Err(answer) => return *answer,
    };
    let wanted = wanted(&parts);
    if visit.caller.is_some() {
        return Redirect::to(own(&wanted.to)).into_response();
    }
    let tried = sign_in::Tried { to: wanted.to, ..sign_in::Tried::default() };
    sign_in_drawn(&console, StatusCode::OK, tried).await
}

async fn sign_in_drawn(console: &Console, status: StatusCode, tried: sign_in::Tried) -> Response {
    // Where the store does not answer, the form will say so.
    let offers = console.rest.app().login_provider_list().await.unwrap_or_default();
    let offer = |one: &Arc<control::login::LoginProvider>| sign_in::Offer {
        name: one.metadata.name.to_string(),
        title: one.title().to_owned(),
    };
    let offers: Vec<_> = offers.iter().map(offer).collect();
    let title = Title { text: "Sign in".to_owned(), place: Place::Aside, reader: None };
    let body = move || sign_in::draw(tried.clone(), &offers).into_any();
    draw(console.options.clone(), status, title, Context::default(), body).await
}

/// Where somebody wants to go, as the query says.
fn wanted(parts: &Parts) -> Wanted {
    let wanted = Query::<Wanted>::try_from_uri(&parts.uri);
    wanted.map(|Query(wanted)| wanted).unwrap_or_default()
}

/// To a login provider.
async fn login_start(
    State(console): State<Arc<Console>>,
    Path(provider): Path<String>,
    request: Request<Body>,
) -> Response {
    let (parts, _) = request.into_parts();
    let visit = match console.rest.visit(&parts, false).await {
        Ok(visit) => visit,
        Err(answer) => return *answer,
    };
    let Wanted { to } = wanted(&parts);
    let to = own(&to);
    if visit.caller.is_some() {
        return Redirect::to(to).into_response();
    }
    match console.rest.login_start(&visit, provider, to.to_owned()).await {
        Ok((door, cookie)) => with_cookie(Redirect::to(&door).into_response(), cookie),
        Err(failure) => login_failed(&console, failure, to).await,
    }
}

/// Back from it.
async fn login_end(
    State(console): State<Arc<Console>>,
    Path(provider): Path<String>,
    request: Request<Body>,
) -> Response {
    let (parts, _) = request.into_parts();
    let visit = match console.rest.visit(&parts, false).await {
        Ok(visit) => visit,
        Err(answer) => return *answer,
    };
    let back = Query::<Back>::try_from_uri(&parts.uri);
    let back = back.map(|Query(back)| back).unwrap_or_default();
    let mut answer = match console.rest.login_end(&visit, provider, back).await {
        Ok((to, cookie)) => with_cookie(Redirect::to(own(&to)).into_response(), cookie),
        Err(failure) => login_failed(&console, failure, "").await,
    };
    answer.headers_mut().append(header::SET_COOKIE, console.rest.login_over());
    answer
}

async fn login_failed(console: &Console, failure: Failure, to: &str) -> Response {
    let wait = if let Failure::TooMany(seconds) = failure { Some(seconds) } else { None };
    let (words, to) = (failure.to_string(), to.to_owned());
    let title = Title { text: "Sign in".to_owned(), place: Place::Aside, reader: None };
    let body = move || login::draw(words.clone(), &to).into_any();
    let mut answer =
        draw(console.options.clone(), login_status(failure), title, Context::default(), body).await;
    if let Some(seconds) = wait {
        answer.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    answer
}

async fn sign_in(State(console): State<Arc<Console>>, request: Request<Body>) -> Response {
    let (visit, fields) = match form_of(&console, request).await {
        Ok(sent) => sent,
        Err(answer) => return *answer,
    };
    let [user, password, to] = ["user", "password", "to"].map(|name| fields.get(name).to_owned());
    match console.rest.sign_in(&visit, user.clone(), password).await {
        Ok(cookie) => with_cookie(Redirect::to(own(&to)).into_response(), cookie),
        Err(refusal) => {
            let wait =
                if let Refusal::TooManyAttempts(seconds) = refusal { Some(seconds) } else { None };
            let fault = Some(refusal.to_string());
            let tried = sign_in::Tried { to, user, fault };
            let mut answer = sign_in_drawn(&console, status(&refusal), tried).await;
            if let Some(seconds) = wait {
                answer.headers_mut().insert(header::RETRY_AFTER, seconds.into());
            }
            answer
        }
    }
}

async fn sign_out(State(console): State<Arc<Console>>, request: Request<Body>) -> Response {
    let visit = match made(&console, request).await {
        Ok(visit) => visit,
        Err(answer) => return *answer,
    };
    match console.rest.sign_out(&visit).await {
        Ok(cookie) => with_cookie(Redirect::to(SIGN_IN).into_response(), cookie),
        Err(refusal) => refuse(&console, &visit, refusal).await,
    }
}

fn with_cookie(mut response: Response, cookie: HeaderValue) -> Response {
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    response
}

/// A path of ours to go on to; the start for what leads elsewhere.
fn own(to: &str) -> &str {
    let is_own = to.starts_with('/')
        && !to.starts_with("//")
        && to.bytes().all(|byte| (0x21..0x7f).contains(&byte) && byte != b'\\');
    if is_own { to } else { "/" }
}
