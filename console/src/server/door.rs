//! The door of the pages: who comes, and which page they want.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{FromRequestParts as _, RawPathParams, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Request, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::get;
use control::Refusal;
use control::rest::{Visit, status};
use leptos::prelude::*;

use super::draw::{Context, Here, draw};
use super::{Console, entry, sent};
use crate::form::Fields;
use crate::frame::{Place, Reader, Title};
use crate::pages::{
    Asked, Drawn, access, api, apis, audit, change, changes, find, fleet, kept, newcomer, object,
    overview, policies, policy, refused, request, requests, settings, team, teams, users,
    workspace, workspaces,
};
use model::Kind;

/// How long an answer may take, its request included.
const PATIENCE: Duration = Duration::from_secs(30);

/// A page of who is signed in.
#[derive(Debug)]
pub(super) struct Page {
    path: &'static str,
    title: &'static str,
    place: Place,
    pub(super) ask: Ask,
}

type Ask = fn(Asked) -> Pin<Box<dyn Future<Output = Result<Drawn, Refusal>> + Send>>;

static PAGES: &[Page] = &[
    page("/", "Overview", Place::Overview, |asked| Box::pin(overview::ask(asked))),
    page("/apis", "Apis", Place::Apis, |asked| Box::pin(apis::ask(asked))),
    page("/apis/{namespace}/{name}", "Api", Place::Apis, |asked| Box::pin(api::ask(asked))),
    page("/policies", "Policies", Place::Policies, |asked| Box::pin(policies::ask(asked))),
    page("/policies/-/new", "New policy", Place::Policies, |asked| {
        Box::pin(policy::new(asked, Kind::AccessPolicy))
    }),
    page("/policies/{namespace}/{name}", "Policy", Place::Policies, |asked| {
        Box::pin(policy::ask(asked, Kind::AccessPolicy))
    }),
    page("/authn/-/new", "New authentication policy", Place::Policies, |asked| {
        Box::pin(policy::new(asked, Kind::AuthnPolicy))
    }),
    page("/authn/{namespace}/{name}", "Authentication policy", Place::Policies, |asked| {
        Box::pin(policy::ask(asked, Kind::AuthnPolicy))
    }),
    page("/limits/-/new", "New limit", Place::Policies, |asked| {
        Box::pin(policy::new(asked, Kind::RateLimitPolicy))
    }),
    page("/limits/{namespace}/{name}", "Limits", Place::Policies, |asked| {
        Box::pin(policy::ask(asked, Kind::RateLimitPolicy))
    }),
    page("/teams", "Teams", Place::Teams, |asked| Box::pin(teams::ask(asked))),
    page("/teams/{name}", "Team", Place::Teams, |asked| Box::pin(team::ask(asked))),
    page("/workspaces", "Workspaces", Place::Teams, |asked| Box::pin(workspaces::ask(asked))),
    page("/workspaces/{name}", "Workspace", Place::Teams, |asked| Box::pin(workspace::ask(asked))),
    page("/access", "Access", Place::Access, |asked| Box::pin(access::ask(asked))),
    page("/access/ask", "Ask for access", Place::Access, |asked| Box::pin(access::ask_for(asked))),
    page("/users", "Users", Place::Teams, |asked| Box::pin(users::ask(asked))),
    page("/fleet", "Fleet", Place::Fleet, |asked| Box::pin(fleet::ask(asked))),
    page("/requests", "Requests", Place::Requests, |asked| Box::pin(requests::ask(asked))),
    page("/requests/{id}", "Request", Place::Requests, |asked| Box::pin(request::ask(asked))),
    page("/changes", "Changes", Place::Changes, |asked| Box::pin(changes::ask(asked))),
    page("/changes/{revision}", "Change", Place::Changes, |asked| Box::pin(change::ask(asked))),
    page("/changes/{revision}/receipt", "Receipt", Place::Changes, |asked| {
        Box::pin(change::ask_receipt(asked))
    }),
    page("/find", "Find", Place::Find, |asked| Box::pin(find::ask(asked))),
    page("/objects/{kind}/{namespace}/{name}", "Object", Place::Find, |asked| {
        Box::pin(object::ask(asked))
    }),
    // For who builds the console.
    #[cfg(debug_assertions)]
    page("/ui", "Parts", Place::Find, |asked| Box::pin(crate::pages::ui::ask(asked))),
    page("/audit", "Audit", Place::Audit, |asked| Box::pin(audit::ask(asked))),
    page("/settings", "Settings", Place::Settings, |asked| Box::pin(settings::ask(asked))),
];

/// In the place of all others, for whoever may do nothing yet.
static NEWCOMER: Page =
    page("", newcomer::HEAD, Place::Aside, |asked| Box::pin(newcomer::ask(asked)));

const fn page(path: &'static str, title: &'static str, place: Place, ask: Ask) -> Page {
    Page { path, title, place, ask }
}

/// The page of this path.
pub(super) fn page_at(path: &str) -> &'static Page {
    PAGES.iter().find(|page| page.path == path).expect("forms stand on pages that are there")
}

pub(super) fn router(console: Arc<Console>) -> Router {
    let mut router = Router::new();
    for page in PAGES {
        let shown = get(move |State(console), request| show(console, page, request));
        router = router.route(page.path, shown);
    }
    entry::routes(sent::routes(router))
        .fallback(missing)
        .layer(from_fn(in_time))
        .with_state(console)
}

/// An answer within the bound, its request whole by then; none that anybody keeps.
async fn in_time(request: Request<Body>, next: Next) -> Response {
    let late = (StatusCode::SERVICE_UNAVAILABLE, "there was no answer in time\n");
    let answer = tokio::time::timeout(PATIENCE, next.run(request)).await;
    let mut answer = answer.unwrap_or_else(|_| late.into_response());
    answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

async fn show(console: Arc<Console>, page: &'static Page, request: Request<Body>) -> Response {
    let (mut parts, _) = request.into_parts();
    let visit = match console.rest.visit(&parts, false).await {
        Ok(visit) => visit,
        Err(answer) => return *answer,
    };
    let Some(caller) = visit.caller.clone() else { return to_sign_in(&parts) };
    let placed = RawPathParams::from_request_parts(&mut parts, &()).await;
    let placed = placed.map(|all| all.iter().map(|(_, part)| part.to_owned()).collect::<Vec<_>>());
    let placed = placed.unwrap_or_default();
    // No database keeps them, and nothing has them in its name.
    if placed.iter().any(|part| part.chars().any(char::is_control)) {
        return refuse(&console, &visit, Refusal::None("such page".to_owned())).await;
    }
    let is_newcomer = !visit.has_rights && page.place != Place::Settings;
    let named = placed.join("/");
    let here = parts.uri.path_and_query().map_or("/", |here| here.as_str()).to_owned();
    let asked = Asked {
        app: Arc::clone(console.rest.app()),
        visit: visit.clone(),
        caller,
        parts: placed,
        uri: parts.uri,
        nodes: console.nodes(),
        tried: None,
    };
    let (status, page) = match is_newcomer {
        true => (StatusCode::FORBIDDEN, &NEWCOMER),
        false => (StatusCode::OK, page),
    };
    match (page.ask)(asked).await {
        Ok(Drawn::Page(body)) => {
            let named = if is_newcomer { "" } else { &named };
            let context = Context { here: Some(Here(here)), refused: None };
            drawn(&console, (page, named), &visit, status, context, body).await
        }
        Ok(Drawn::Elsewhere(to)) => Redirect::to(&to).into_response(),
        Err(refusal) => refuse(&console, &visit, refusal).await,
    }
}

/// A page with this body, of what the braces in its path name.
pub(super) async fn drawn(
    console: &Console,
    (page, named): (&Page, &str),
    visit: &Visit,
    status: StatusCode,
    context: Context,
    body: Box<dyn Fn() -> AnyView + Send + Sync>,
) -> Response {
    let text =
        if named.is_empty() { page.title.to_owned() } else { format!("{} {named}", page.title) };
    let title = title(&text, page.place, visit);
    let body = Arc::new(body);
    draw(console.options.clone(), status, title, context, move || body()).await
}

/// To where one signs in, and back from there.
fn to_sign_in(parts: &Parts) -> Response {
    entry::sign_in_to(parts.uri.path_and_query().map_or("/", |to| to.as_str()))
}

fn title(text: &str, place: Place, visit: &Visit) -> Title {
    let reader = visit.caller.as_ref().map(|caller| Reader {
        name: caller.name.to_string(),
        is_admin: visit.is_admin,
        has_rights: visit.has_rights,
        csrf: visit.csrf().unwrap_or_default().to_owned(),
    });
    Title { text: text.to_owned(), place, reader }
}

pub(super) async fn refuse(console: &Console, visit: &Visit, refusal: Refusal) -> Response {
    refuse_typed(console, visit, &refusal, Fields::default()).await
}

/// A page that says why a form is not taken, before it is known what it says.
pub(super) async fn refuse_as(
    console: &Console,
    visit: &Visit,
    status: StatusCode,
    words: String,
) -> Response {
    let head = "That was not taken";
    let title = title(head, Place::Aside, visit);
    let body = move || refused::draw(head, words.clone(), None).into_any();
    draw(console.options.clone(), status, title, Context::default(), body).await
}

/// A refusal, with what was typed into the form that is refused.
pub(super) async fn refuse_typed(
    console: &Console,
    visit: &Visit,
    refusal: &Refusal,
    typed: Fields,
) -> Response {
    let (head, words) = refused::words(refusal);
    let title = title(head, Place::Aside, visit);
    let body = move || refused::draw(head, words.clone(), kept::draw(&typed)).into_any();
    draw(console.options.clone(), status(refusal), title, Context::default(), body).await
}

async fn missing(State(console): State<Arc<Console>>, request: Request<Body>) -> Response {
    let (parts, _) = request.into_parts();
    match console.rest.visit(&parts, false).await {
        Ok(visit) => refuse(&console, &visit, Refusal::None("such page".to_owned())).await,
        Err(answer) => *answer,
    }
}

/// Where the pages are.
#[cfg(test)]
pub(super) fn paths() -> impl Iterator<Item = &'static str> {
    PAGES.iter().map(|page| page.path)
}
