//! Answers, and the pages of a list.

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use schemars::JsonSchema;
use serde::Serialize;

/// The header that names a request.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A page of a list.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "{T}List")]
pub(super) struct Listed<T> {
    /// What is on it.
    pub(super) items: Vec<T>,
    /// Where the next page begins; null on the last one.
    pub(super) next: Option<String>,
}

/// JSON.
pub(super) fn json<T: Serialize>(status: StatusCode, value: &T) -> Response {
    let text = serde_json::to_vec(value).unwrap_or_default();
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let sort = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, sort);
    response
}

/// 200 and JSON.
pub(super) fn ok<T: Serialize>(value: &T) -> Response {
    json(StatusCode::OK, value)
}

/// 201 and JSON.
pub(super) fn created<T: Serialize>(value: &T) -> Response {
    json(StatusCode::CREATED, value)
}

/// 204.
pub(super) fn done() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

/// With what every answer carries: its id, and that nobody keeps it.
pub(super) fn stamped(mut response: Response, request_id: &str) -> Response {
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert(REQUEST_ID, id);
    }
    let kept = headers.entry(header::CACHE_CONTROL);
    kept.or_insert(HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
