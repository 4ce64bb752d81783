//! What the admin port answers.

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Method, Response, StatusCode};
use http_body_util::Full;

use super::{Phase, State};
use crate::telemetry;

type Answer = Response<Full<Bytes>>;

const PLAIN: &str = "text/plain; charset=utf-8";
const PATHS: &str = "this port serves /healthz, /readyz, /metrics and /config\n";

/// The answer to `method` `path`.
pub(super) fn answer(state: &State, method: &Method, path: &str) -> Answer {
    let page: fn(&State) -> Answer = match path {
        "/healthz" => |_| text(StatusCode::OK, "ok\n"),
        "/readyz" => ready,
        "/metrics" => metrics,
        "/config" => config,
        _ => return text(StatusCode::NOT_FOUND, PATHS),
    };
    if matches!(*method, Method::GET | Method::HEAD) {
        return page(state);
    }
    let mut refusal = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
    refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    refusal
}

/// The answer to what came through a proxy.
pub(super) fn led_here() -> Answer {
    text(StatusCode::FORBIDDEN, "this port is not reached through a proxy (X-Forwarded-For)\n")
}

fn ready(state: &State) -> Answer {
    match state.readiness.phase() {
        Phase::Serving => text(StatusCode::OK, "ready\n"),
        Phase::Starting => text(StatusCode::SERVICE_UNAVAILABLE, "no table serves yet\n"),
        Phase::Draining => text(StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
    }
}

fn metrics(state: &State) -> Answer {
    page(StatusCode::OK, telemetry::CONTENT_TYPE, state.telemetry.metrics())
}

fn config(state: &State) -> Answer {
    // `{:#}` of a Value is JSON with line breaks, and cannot fail.
    let text = format!("{:#}\n", (state.config)());
    page(StatusCode::OK, "application/json", text)
}

fn text(status: StatusCode, text: &'static str) -> Answer {
    page(status, PLAIN, text)
}

fn page(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}
