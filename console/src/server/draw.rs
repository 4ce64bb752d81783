//! A page as an answer: its document, and what browsers may do with it.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderValue, Request, StatusCode, header};
use axum::response::Response;
use leptos::config::LeptosOptions;
use leptos::nonce::Nonce;
use leptos::prelude::*;

use crate::form::Tried;
use crate::frame::{Title, document};

/// Where the page is to be found that is drawn: not always where it was asked for, as a form that is
/// refused answers with the page that it stands on.
#[derive(Debug, Clone)]
pub(crate) struct Here(pub(crate) String);

/// That a form of the page was refused, for its head to tell.
#[derive(Debug, Clone)]
pub(crate) struct Refused(pub(crate) Arc<Tried>);

/// What parts of a page are told besides what they are given.
#[derive(Debug, Clone, Default)]
pub(crate) struct Context {
    pub(crate) here: Option<Here>,
    pub(crate) refused: Option<Refused>,
}

/// Draws a page. Scripts run from our own files, and inline where they carry what was made up for this
/// answer; nobody frames a page, and forms go nowhere else.
pub(super) async fn draw(
    options: LeptosOptions,
    status: StatusCode,
    title: Title,
    context: Context,
    body: impl Fn() -> AnyView + Clone + Send + Sync + 'static,
) -> Response {
    let nonce = Nonce::new();
    let policy = format!(
        "default-src 'none'; script-src 'self' 'nonce-{nonce}' 'wasm-unsafe-eval'; style-src 'self'; \
         img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'self'; \
         frame-ancestors 'none'"
    );
    let drawn = leptos_axum::render_app_async_with_context(
        move || {
            provide_context(nonce.clone());
            let Context { here, refused } = context.clone();
            if let Some(here) = here {
                provide_context(here);
            }
            if let Some(refused) = refused {
                provide_context(refused);
            }
        },
        move || document(options.clone(), title.clone(), body()),
    );
    let mut response = drawn(Request::new(Body::empty())).await;
    *response.status_mut() = status;
    let headers = response.headers_mut();
    let policy = HeaderValue::from_str(&policy).expect("a nonce is letters and digits");
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "same-origin"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
