//! Forms that are sent: who sends one, that a page of ours made it, and where it leads.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{FromRequestParts as _, RawPathParams, State};
use axum::http::{Request, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::get;
use control::Refusal;
use control::authn::Caller;
use control::rest::{Visit, status};
use http_body_util::BodyExt as _;

use tokio::sync::Semaphore;

use super::door::{self, Page, refuse, refuse_as, refuse_typed};
use super::draw::{Context, Here, Refused, draw};
use super::{Console, entry};
use crate::form::{Done, Fields, Sent, Tried};
use crate::frame::{Place, Title};
use crate::pages::{
    Asked, Drawn, access, api, change, fleet, kept, policy, roles, settings, team, teams, users,
    workspace,
};
use model::Kind;

/// How much a form may be.
#[derive(Debug, Clone, Copy)]
struct Most {
    bytes: usize,
    fields: usize,
}

/// One of somebody whom nobody knows yet.
const OF_ANYBODY: Most = Most { bytes: 16 << 10, fields: 100 };
/// One of who is signed in: the largest object has room, however it is written.
const OF_A_READER: Most = Most { bytes: 2 << 20, fields: 10_000 };
/// One of who is not signed in any more, or never was, as far as anybody can tell.
const OF_A_STRAY: Most = Most { bytes: 512 << 10, fields: 4_000 };

/// Forms of strays that are held at once, from their first byte to the last of what shows them again.
static STRAYS: Semaphore = Semaphore::const_new(8);
/// How long one of them may take to come.
const SOON: Duration = Duration::from_secs(5);

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
    form("/apis/{namespace}/{name}/take", API, |sent| Box::pin(roles::take(sent))),
    form("/policies/-/new/form", NEW_POLICY, |sent| {
        Box::pin(policy::make_by_form(sent, Kind::AccessPolicy))
    }),
    form("/policies/-/new/yaml", NEW_POLICY, |sent| {
        Box::pin(policy::make_by_yaml(sent, Kind::AccessPolicy))
    }),
    form("/policies/{namespace}/{name}/form", POLICY, |sent| {
        Box::pin(policy::by_form(sent, Kind::AccessPolicy))
    }),
    form("/policies/{namespace}/{name}/yaml", POLICY, |sent| {
        Box::pin(policy::by_yaml(sent, Kind::AccessPolicy))
    }),
    form("/policies/{namespace}/{name}/delete", POLICY, |sent| {
        Box::pin(policy::delete(sent, Kind::AccessPolicy))
    }),
    form("/authn/-/new/form", NEW_AUTHN, |sent| {
        Box::pin(policy::make_by_form(sent, Kind::AuthnPolicy))
    }),
    form("/authn/-/new/yaml", NEW_AUTHN, |sent| {
        Box::pin(policy::make_by_yaml(sent, Kind::AuthnPolicy))
    }),
    form("/authn/{namespace}/{name}/form", AUTHN, |sent| {
        Box::pin(policy::by_form(sent, Kind::AuthnPolicy))
    }),
    form("/authn/{namespace}/{name}/yaml", AUTHN, |sent| {
        Box::pin(policy::by_yaml(sent, Kind::AuthnPolicy))
    }),
    form("/authn/{namespace}/{name}/delete", AUTHN, |sent| {
        Box::pin(policy::delete(sent, Kind::AuthnPolicy))
    }),
    form("/limits/-/new/form", NEW_LIMIT, |sent| {
        Box::pin(policy::make_by_form(sent, Kind::RateLimitPolicy))
    }),
    form("/limits/-/new/yaml", NEW_LIMIT, |sent| {
        Box::pin(policy::make_by_yaml(sent, Kind::RateLimitPolicy))
    }),
    form("/limits/{namespace}/{name}/form", LIMIT, |sent| {
        Box::pin(policy::by_form(sent, Kind::RateLimitPolicy))
    }),
    form("/limits/{namespace}/{name}/yaml", LIMIT, |sent| {
        Box::pin(policy::by_yaml(sent, Kind::RateLimitPolicy))
    }),
    form("/limits/{namespace}/{name}/delete", LIMIT, |sent| {
        Box::pin(policy::delete(sent, Kind::RateLimitPolicy))
    }),
    form("/teams/-/new", "/teams", |sent| Box::pin(teams::new(sent))),
    form("/teams/{name}/change", "/teams/{name}", |sent| Box::pin(team::change(sent))),
    form("/teams/{name}/role", "/teams/{name}", |sent| Box::pin(team::role(sent))),
    form("/teams/{name}/take", "/teams/{name}", |sent| Box::pin(roles::take(sent))),
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
    form("/workspaces/{name}/take", WORKSPACE, |sent| Box::pin(roles::take(sent))),
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
const NEW_AUTHN: &str = "/authn/-/new";
const AUTHN: &str = "/authn/{namespace}/{name}";
const NEW_LIMIT: &str = "/limits/-/new";
const LIMIT: &str = "/limits/{namespace}/{name}";
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
    let (visit, caller, fields, stray) =
        match read(&console, (&action, &here), Request::from_parts(parts, body)).await {
            Ok(Read::Made(visit, caller, fields)) => (visit, caller, fields, None),
            Ok(Read::Stray(visit, caller, fields)) => {
                (visit, caller, fields, Some(Refusal::Forbidden(ANEW.to_owned())))
            }
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
    let done = match stray {
        Some(refusal) => Err(refusal),
        None => (form.send)(Sent { asked: asked(None), fields: fields.clone() }).await,
    };
    match done {
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
                Err(refusal) => {
                    refuse_typed(&console, &visit, &refusal, tried.fields.clone()).await
                }
            }
        }
    }
}

/// A form that came from a page of ours.
enum Read {
    /// The page was made for who sends it.
    Made(Visit, Caller, Fields),
    /// It was made before they signed in anew: nothing is done by it, and it is shown again.
    Stray(Visit, Caller, Fields),
}

const ANEW: &str = "You signed in anew since this page was made. What you typed stands in the form; save it \
                    again.";

/// A form that is sent to `action` from the page at `here`. Of who is signed out it is read where a
/// browser says that a page of ours sends it, and shown again.
async fn read(
    console: &Console,
    (action, here): (&str, &str),
    request: Request<Body>,
) -> Result<Read, Box<Response>> {
    let (parts, body) = request.into_parts();
    let visit = console.rest.visit(&parts, true).await?;
    // Whatever it says is ours: the door lets no other through.
    let is_ours = parts.headers.contains_key(header::ORIGIN);
    let Some(caller) = visit.caller.clone() else {
        let turned = || Box::new(entry::sign_in_to(here));
        let place = STRAYS.try_acquire().ok().filter(|_| is_ours).ok_or_else(turned)?;
        let read = fields(console, &visit, body, OF_A_STRAY);
        let typed = tokio::time::timeout(SOON, read).await.map_err(|_| turned())??;
        let title = Title { text: "Signed out".to_owned(), place: Place::Aside, reader: None };
        let (action, here) = (action.to_owned(), here.to_owned());
        let body = move || kept::signed_out(&action, &here, &typed);
        let (options, status) = (console.options.clone(), StatusCode::UNAUTHORIZED);
        let answer = draw(options, status, title, Context::default(), body).await;
        let held = move |frame| {
            let _until_it_is_sent = &place;
            frame
        };
        return Err(Box::new(answer.map(|body| Body::new(body.map_frame(held)))));
    };
    let fields = fields(console, &visit, body, OF_A_READER).await?;
    match (visit.made(fields.get("csrf")), is_ours) {
        (true, _) => Ok(Read::Made(visit, caller, fields)),
        (false, true) => Ok(Read::Stray(visit, caller, fields)),
        (false, false) => Err(Box::new(refuse(console, &visit, stranger()).await)),
    }
}

/// A form of somebody who need not be signed in, and who sends it.
pub(super) async fn form_of(
    console: &Console,
    request: Request<Body>,
) -> Result<(Visit, Fields), Box<Response>> {
    let (parts, body) = request.into_parts();
    let visit = console.rest.visit(&parts, true).await?;
    let fields = fields(console, &visit, body, OF_ANYBODY).await?;
    Ok((visit, fields))
}

/// A form of somebody who is signed in and shows that a page of ours made it for them, in which nothing
/// is typed. Of nobody else it is read.
pub(super) async fn made(
    console: &Console,
    request: Request<Body>,
) -> Result<Visit, Box<Response>> {
    let (parts, body) = request.into_parts();
    let visit = console.rest.visit(&parts, true).await?;
    if visit.caller.is_none() {
        return Err(Box::new(entry::sign_in_to("/")));
    }
    let fields = fields(console, &visit, body, OF_ANYBODY).await?;
    match visit.made(fields.get("csrf")) {
        true => Ok(visit),
        false => Err(Box::new(refuse(console, &visit, stranger()).await)),
    }
}

fn stranger() -> Refusal {
    Refusal::Forbidden("this form was made for another session; load the page again".to_owned())
}

/// What a form says, of at most so much.
async fn fields(
    console: &Console,
    visit: &Visit,
    body: Body,
    most: Most,
) -> Result<Fields, Box<Response>> {
    let Ok(sent) = to_bytes(body, most.bytes).await else {
        let kib = most.bytes >> 10;
        let words = format!(
            "What was sent is more than the {kib} KiB that a form may have, or it broke off on its \
                 way. Nothing was saved; an object has at most 512 KiB."
        );
        let answer = refuse_as(console, visit, StatusCode::PAYLOAD_TOO_LARGE, words).await;
        return Err(Box::new(answer));
    };
    // No database keeps it.
    let has_nul = sent.contains(&0) || sent.windows(3).any(|three| three == b"%00");
    let has_room = sent.iter().filter(|byte| **byte == b'&').count() < most.fields;
    let read = (has_room && !has_nul).then(|| serde_urlencoded::from_bytes(&sent).ok()).flatten();
    match read {
        Some(sent) => Ok(Fields::new(sent)),
        None => {
            let words = "This is no form that a page of the console has.".to_owned();
            Err(Box::new(refuse_as(console, visit, StatusCode::BAD_REQUEST, words).await))
        }
    }
}

/// Where the forms are sent.
#[cfg(test)]
pub(super) fn paths() -> impl Iterator<Item = &'static str> {
    FORMS.iter().map(|form| form.path)
}
