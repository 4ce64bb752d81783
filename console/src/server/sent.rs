//! Forms that are sent: who sends one, that a page of ours made it, and where it leads.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{FromRequestParts as _, RawPathParams, State};
use axum::http::{Request, StatusCode, Uri};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::get;
use control::Refusal;
use control::authn::Caller;
use control::rest::{Visit, status};

use super::door::{self, Page, refuse};
use super::draw::{Context, Here, Refused};
use super::{Console, entry};
use crate::form::{Done, Fields, Sent, Tried};
use crate::pages::{
    Asked, Drawn, access, api, change, fleet, policy, settings, team, teams, users, workspace,
};

/// Bytes of a form of somebody whom nobody knows yet.
const OF_ANYBODY: usize = 16 << 10;
/// Bytes of one of who is signed in: a large team has room.
const OF_A_READER: usize = 256 << 10;

/// A form of who is signed in.
#[derive(Debug)]
struct Form {
    /// Where it is sent: behind the path of the page that it stands on.
    path: &'static str,
    page: &'static str,
    send: Send,
}

type Send = fn(Sent) -> Pin<Box<dyn Future<Output = Result<Done, Refusal>> + std::marker::Send>>;

static FORMS: &[Form] = &[
    form("/apis/{namespace}/{name}/owner", API, |sent| Box::pin(api::owner(sent))),
    form("/apis/{namespace}/{name}/life", API, |sent| Box::pin(api::life::go(sent))),
    form("/apis/{namespace}/{name}/weights", API, |sent| Box::pin(api::split::weights(sent))),
    form("/policies/-/new/form", NEW_POLICY, |sent| Box::pin(policy::make_by_form(sent))),
    form("/policies/-/new/yaml", NEW_POLICY, |sent| Box::pin(policy::make_by_yaml(sent))),
    form("/policies/{namespace}/{name}/form", POLICY, |sent| Box::pin(policy::by_form(sent))),
    form("/policies/{namespace}/{name}/yaml", POLICY, |sent| Box::pin(policy::by_yaml(sent))),
    form("/policies/{namespace}/{name}/delete", POLICY, |sent| Box::pin(policy::delete(sent))),
    form("/teams/-/new", "/teams", |sent| Box::pin(teams::new(sent))),
    form("/teams/{name}/change", "/teams/{name}", |sent| Box::pin(team::change(sent))),
    form("/teams/{name}/role", "/teams/{name}", |sent| Box::pin(team::role(sent))),
    form("/fleet/join", "/fleet", |sent| Box::pin(fleet::join(sent))),
    form("/changes/{revision}/revert", "/changes/{revision}", |sent| {
        Box::pin(change::revert(sent))
    }),
    form("/access/ask/send", "/access/ask", |sent| Box::pin(access::send(sent))),
    form("/access/{id}/grant", "/access", |sent| Box::pin(access::grant(sent))),
    form("/access/{id}/refuse", "/access", |sent| Box::pin(access::refuse(sent))),
    form("/access/{id}/withdraw", "/access", |sent| Box::pin(access::withdraw(sent))),
    form("/workspaces/{name}/claim", WORKSPACE, |sent| Box::pin(workspace::claim_new(sent))),
    form("/workspaces/{name}/release", WORKSPACE, |sent| Box::pin(workspace::release(sent))),
    form("/users/new", "/users", |sent| Box::pin(users::new(sent))),
    form("/users/password", "/users", |sent| Box::pin(users::password(sent))),
    form("/users/disable", "/users", |sent| Box::pin(users::disable(sent))),
    form("/settings/password", "/settings", |sent| Box::pin(settings::password(sent))),
    form("/settings/tokens/new", "/settings", |sent| Box::pin(settings::tokens::new(sent))),
    form("/settings/tokens/revoke", "/settings", |sent| Box::pin(settings::tokens::revoke(sent))),
    form("/settings/sessions/end", "/settings", |sent| Box::pin(settings::session_end(sent))),
];

const API: &str = "/apis/{namespace}/{name}";
const NEW_POLICY: &str = "/policies/-/new";
const POLICY: &str = "/policies/{namespace}/{name}";
const WORKSPACE: &str = "/workspaces/{name}";

const fn form(path: &'static str, page: &'static str, send: Send) -> Form {
    Form { path, page, send }
}

/// The routes of all forms. Whoever asks for one, as by loading its answer again, gets its page.
pub(super) fn routes(mut router: Router<Arc<Console>>) -> Router<Arc<Console>> {
    for form in FORMS {
        let page = door::page_at(form.page);
        let sent = get(move |uri: Uri| async move { Redirect::to(&form.stands_on(&uri)) })
            .post(move |State(console), request| send(console, form, page, request));
        router = router.route(form.path, sent);
    }
    router
}

impl Form {
    /// The path of the page that it stands on, where it was sent to this one.
    fn stands_on(&self, uri: &Uri) -> String {
        let parts = self.page.split('/').count();
        uri.path().split('/').take(parts).collect::<Vec<_>>().join("/")
    }
}

async fn send(
    console: Arc<Console>,
    form: &'static Form,
    page: &'static Page,
    request: Request<Body>,
) -> Response {
    let (mut parts, body) = request.into_parts();
    let placed = RawPathParams::from_request_parts(&mut parts, &()).await;
    let placed =
        placed.map(|all| all.iter().map(|(_, value)| value.to_owned()).collect::<Vec<_>>());
    let (action, here) = (parts.uri.path().to_owned(), form.stands_on(&parts.uri));
    let (visit, caller, fields) =
        match made(&console, &here, Request::from_parts(parts, body)).await {
            Ok(sent) => sent,
            Err(answer) => return *answer,
        };
    let placed = placed.unwrap_or_default();
    if placed.iter().any(|part| part.chars().any(char::is_control)) {
        return refuse(&console, &visit, Refusal::None("such page".to_owned())).await;
    }
    let named = placed.join("/");
    let asked = |tried| Asked {
        app: Arc::clone(console.rest.app()),
        visit: visit.clone(),
        caller: caller.clone(),
        parts: placed.clone(),
        uri: here.parse().unwrap_or_default(),
        nodes: console.nodes(),
        tried,
    };
    match (form.send)(Sent { asked: asked(None), fields: fields.clone() }).await {
        Ok(Done::To(to)) => Redirect::to(&to).into_response(),
        Ok(Done::Told(body)) => {
            let context = Context { here: Some(Here(here.clone())), refused: None };
            door::drawn(&console, (page, &named), &visit, StatusCode::OK, context, body).await
        }
        Err(refusal) => {
            let tried = Arc::new(Tried { action, fields, refusal });
            let asked = asked(Some(Arc::clone(&tried)));
            match (page.ask)(asked).await {
                Ok(Drawn::Page(body)) => {
                    let status = status(&tried.refusal);
                    let (here, refused) = (Some(Here(here.clone())), Some(Refused(tried)));
                    let context = Context { here, refused };
                    door::drawn(&console, (page, &named), &visit, status, context, body).await
                }
                Ok(Drawn::Elsewhere(to)) => Redirect::to(&to).into_response(),
                Err(refusal) => refuse(&console, &visit, refusal).await,
            }
        }
    }
}

/// A form of somebody who need not be signed in, and who sends it.
pub(super) async fn form_of(
    console: &Console,
    request: Request<Body>,
) -> Result<(Visit, Fields), Box<Response>> {
    let (parts, body) = request.into_parts();
    let visit = console.rest.visit(&parts, true).await?;
    Ok((visit, fields(body, OF_ANYBODY).await?))
}

/// A form of somebody who is signed in and shows that a page of ours, the one at `here`, made it for
/// them. Of nobody else it is read.
pub(super) async fn made(
    console: &Console,
    here: &str,
    request: Request<Body>,
) -> Result<(Visit, Caller, Fields), Box<Response>> {
    let (parts, body) = request.into_parts();
    let visit = console.rest.visit(&parts, true).await?;
    let Some(caller) = visit.caller.clone() else {
        return Err(Box::new(entry::sign_in_to(here)));
    };
    let fields = fields(body, OF_A_READER).await?;
    if !visit.made(fields.get("csrf")) {
        let words = "this form was made for another session; load the page again".to_owned();
        let refusal = Refusal::Forbidden(words);
        return Err(Box::new(refuse(console, &visit, refusal).await));
    }
    Ok((visit, caller, fields))
}

/// What a form says, of so many bytes at most.
async fn fields(body: Body, most: usize) -> Result<Fields, Box<Response>> {
    let sent = to_bytes(body, most).await.map_err(|_| {
        let words = format!("this form is larger than {most} bytes, or it broke off\n");
        Box::new((StatusCode::PAYLOAD_TOO_LARGE, words).into_response())
    })?;
    // No database keeps it.
    let has_nul = sent.contains(&0) || sent.windows(3).any(|three| three == b"%00");
    match serde_urlencoded::from_bytes(&sent) {
        Ok(sent) if !has_nul => Ok(Fields::new(sent)),
        Ok(_) | Err(_) => {
            let words = "this is no form that a page of the console has\n";
            Err(Box::new((StatusCode::BAD_REQUEST, words).into_response()))
        }
    }
}

/// Where the forms are sent.
#[cfg(test)]
pub(super) fn paths() -> impl Iterator<Item = &'static str> {
    FORMS.iter().map(|form| form.path)
}
