//! REST version 1: every operation is a row of one table, from which the router and the document
//! are made.
//!
//! ```text
//! request ── host, origin ── who asks ── csrf ── may know of it ── body ── use case ── answer
//!                400, 403       401        403        404           413     problem+json
//! ```
//!
//! Each step needs the one before. Handlers turn words into what a use case of [`App`] takes, and
//! what it gives into words; they decide nothing.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, FromRequestParts as _, RawPathParams};
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, get, on};
use tokio::sync::watch;

use crate::App;
use crate::moment::{self, micros};

mod access;
mod access_request;
mod answer;
mod api;
mod ask;
mod audit;
mod authority;
mod change;
mod endpoint;
mod guard;
mod join_token;
mod key_set;
mod login;
mod metrics;
mod node;
mod nul;
mod openapi;
mod operations;
mod problem;
mod request;
mod resource;
mod revocation;
mod room;
mod session;
mod session_secret;
mod stream;
mod token;
mod traffic;
mod user;
mod visit;
mod workspace;

#[cfg(test)]
mod tests;

pub use openapi::{document, document_text};
pub use visit::{Back, Visit, login_status, status};

use ask::Ask;
use metrics::Metrics;
use operations::{OPERATIONS, Operation};
use problem::Problem;
use room::Room;

/// Where the operations lie.
pub const BASE: &str = "/api/v1";

/// How long an answer may take; one that is waited for has its own time besides.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long the store may take to tell a number.
const SOON: Duration = Duration::from_secs(2);

/// What an installation says of its own door.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// TLS ends right before the server: cookies are sent over it alone, and where a request comes
    /// from is what the last hop says in `X-Forwarded-For`.
    pub behind_tls: bool,
    /// Names under which people reach it, besides those that end in `localhost`, and addresses.
    pub hosts: Vec<String>,
}

/// The operations over one [`App`].
#[derive(Debug)]
pub struct Rest {
    app: Arc<App>,
    settings: Settings,
    metrics: Metrics,
    /// True once the server stops: what would go on forever ends.
    stopping: watch::Receiver<bool>,
    /// Places for streams.
    streams: Arc<stream::Places>,
    /// Room for bodies.
    room: Room,
}

impl Rest {
    /// Over `app`; streams end when `stopping` becomes true.
    pub fn new(app: Arc<App>, settings: Settings, stopping: watch::Receiver<bool>) -> Arc<Self> {
        let streams = stream::Places::new();
        let (metrics, room) = (Metrics::new(), Room::new());
        Arc::new(Rest { app, settings, metrics, stopping, streams, room })
    }

    /// All routes below [`BASE`], and what those ask who watch over the server.
    pub fn router(self: &Arc<Self>) -> Router {
        let mut router = Router::new();
        for operation in OPERATIONS {
            router = router.route(operation.path, self.route(operation));
        }
        let (nowhere, never) = (Arc::clone(self), Arc::clone(self));
        let (ready, told) = (Arc::clone(self), Arc::clone(self));
        let router = router
            .fallback(async move |headers: HeaderMap| {
                nowhere.nothing(&headers, StatusCode::NOT_FOUND)
            })
            .method_not_allowed_fallback(async move |headers: HeaderMap| {
                never.nothing(&headers, StatusCode::METHOD_NOT_ALLOWED)
            });
        // What a body may be is said by the operation.
        Router::new()
            .nest(BASE, router.layer(DefaultBodyLimit::disable()))
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/readyz", get(move || async move { ready.ready().await }))
            .route("/metrics", get(move || async move { told.exposition().await }))
    }

    /// Ready while the store answers and nobody told us to stop.
    async fn ready(&self) -> (StatusCode, &'static str) {
        if *self.stopping.borrow() {
            return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n");
        }
        match self.revision().await {
            Some(_) => (StatusCode::OK, "ok\n"),
            None => (StatusCode::SERVICE_UNAVAILABLE, "the store does not answer\n"),
        }
    }

    async fn exposition(&self) -> impl IntoResponse + use<> {
        let sessions = self.app.store().session_count(micros(time::OffsetDateTime::now_utc()));
        let sessions = tokio::time::timeout(SOON, sessions).await.ok().and_then(Result::ok);
        let nodes = self.app.figures();
        let traffic = self.app.traffic().figures();
        let text = self.metrics.text(self.revision().await, sessions, nodes.as_ref(), &traffic);
        ([(header::CONTENT_TYPE, metrics::TYPE)], text)
    }

    /// The last revision, if the store tells it soon.
    async fn revision(&self) -> Option<i64> {
        tokio::time::timeout(SOON, self.app.store().revision()).await.ok()?.ok()
    }

    fn route(self: &Arc<Self>, operation: &'static Operation) -> MethodRouter {
        let rest = Arc::clone(self);
        let filter = match operation.method {
            operations::Verb::Get => MethodFilter::GET,
            operations::Verb::Post => MethodFilter::POST,
            operations::Verb::Put => MethodFilter::PUT,
            operations::Verb::Delete => MethodFilter::DELETE,
        };
        on(filter, move |request: Request<Body>| Arc::clone(&rest).serve(operation, request))
    }

    fn serve(
        self: Arc<Self>,
        operation: &'static Operation,
        request: Request<Body>,
    ) -> impl Future<Output = Response> + Send {
        let request_id = guard::request_id(request.headers());
        // In a box, since each connection's task would carry the largest of all handlers.
        Box::pin(async move {
            let patience = PATIENCE + operation.waits;
            let asked = self.answer(operation, request, &request_id);
            let answer = match tokio::time::timeout(patience, asked).await {
                Ok(Ok(answer)) => answer,
                Ok(Err(problem)) => problem.response(&request_id),
                Err(_) => Problem::unavailable("there was no answer in time").response(&request_id),
            };
            self.metrics.count(operation.id, answer.status());
            answer::stamped(answer, &request_id)
        })
    }

    async fn answer(
        self: &Arc<Self>,
        operation: &'static Operation,
        request: Request<Body>,
        request_id: &str,
    ) -> Result<Response, Problem> {
        let (mut parts, body) = request.into_parts();
        guard::host(&self.settings, &parts)?;
        let unsafe_method = !matches!(parts.method, Method::GET | Method::HEAD);
        if unsafe_method {
            guard::origin(&parts)?;
        }
        // As exact as everything that is written of it.
        let now = moment::time(micros(time::OffsetDateTime::now_utc()));
        let caller = guard::caller(&self.app, &self.settings, &parts.headers, now).await?;
        let caller = operation.who.lets_in(&self.app, caller, request_id, now).await?;
        if let (Some(caller), true) = (&caller, unsafe_method && operation.who.is_somebody()) {
            guard::csrf(caller, &parts.headers)?;
        }
        let params = RawPathParams::from_request_parts(&mut parts, &()).await;
        let params = params.map_err(|_| Problem::malformed("the path is not well-formed"))?;
        let path = params.iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        let path: std::collections::BTreeMap<String, String> = path.collect();
        let query = ask::query(operation, parts.uri.query())?;
        // No database keeps them, and no name has them.
        let is_control = |(_, value): (&String, &String)| value.chars().any(char::is_control);
        if path.iter().any(is_control) || query.iter().any(|(_, value)| value.contains('\0')) {
            return Err(Problem::malformed("the path or the query has control characters"));
        }
        let address = guard::address(&self.settings, &parts);
        let (body, _place) = self.room.receive(operation, caller.as_ref(), address, body).await?;
        nul::refuse(&body)?;
        let ask = Ask {
            rest: Arc::clone(self),
            operation: operation.id,
            caller,
            path,
            query,
            headers: parts.headers,
            body,
            address,
            request_id: request_id.to_owned(),
            now,
        };
        (operation.run)(ask).await
    }

    fn nothing(&self, headers: &HeaderMap, status: StatusCode) -> Response {
        let request_id = guard::request_id(headers);
        let problem = Problem::nothing(status).response(&request_id);
        self.metrics.count("none", problem.status());
        answer::stamped(problem, &request_id)
    }
}
