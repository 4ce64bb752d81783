//! One page a file: what it asks, and how it is drawn.

use std::sync::Arc;

use axum::extract::Query;
use axum::http::Uri;
use control::authn::Caller;
use control::rest::Visit;
use control::{App, Op, Refusal};
use leptos::prelude::AnyView;
use serde::Deserialize;
use serde::de::DeserializeOwned;

pub(crate) mod audit;
pub(crate) mod change;
pub(crate) mod changes;
pub(crate) mod fleet;
pub(crate) mod overview;
pub(crate) mod refused;
pub(crate) mod request;
pub(crate) mod requests;
pub(crate) mod settings;
pub(crate) mod sign_in;

/// A page that somebody who is signed in asks for.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) app: Arc<App>,
    pub(crate) visit: Visit,
    pub(crate) caller: Caller,
    /// What stands in the place of the braces in its path, if there are some.
    pub(crate) part: String,
    pub(crate) uri: Uri,
}

impl Asked {
    /// What use cases are asked by.
    pub(crate) fn op(&self) -> Op {
        self.caller.op(&self.visit.request_id, self.visit.now, String::new())
    }

    /// What a filter of the page says; nothing where it says what none of them can.
    pub(crate) fn query<T: DeserializeOwned + Default>(&self) -> T {
        Query::try_from_uri(&self.uri).map(|Query(query)| query).unwrap_or_default()
    }
}

/// Where a page of a list begins that is numbered, newest first.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Before {
    /// Only what stands before this number.
    pub(crate) before: Option<i64>,
}

/// What comes of a page that is asked for.
pub(crate) enum Drawn {
    /// It is drawn so.
    Page(Box<dyn Fn() -> AnyView + Send + Sync>),
    /// It is to be found there.
    Elsewhere(String),
}

/// A page that `draw` makes of what was asked.
pub(crate) fn drawn(draw: impl Fn() -> AnyView + Send + Sync + 'static) -> Result<Drawn, Refusal> {
    Ok(Drawn::Page(Box::new(draw)))
}
