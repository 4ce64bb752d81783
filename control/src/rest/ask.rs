//! A request as handlers see it: who asks, and the words that were sent, read.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use model::route::GatewayDuration;
use model::{Invalid, nearest};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::Rest;
use super::operations::Operation;
use super::problem::Problem;
use crate::app::user::fault;
use crate::authn::Caller;
use crate::{App, Op, Refusal};

/// Items of a page, where nothing is said.
const PAGE: i64 = 100;
/// Items of a page at most.
pub(super) const LONGEST_PAGE: i64 = 500;

/// Bytes of the reason of a change.
const MESSAGE: usize = 4_096;

/// A request.
pub(super) struct Ask {
    pub(super) rest: Arc<Rest>,
    /// The id of the operation.
    pub(super) operation: &'static str,
    pub(super) caller: Option<Caller>,
    pub(super) path: BTreeMap<String, String>,
    pub(super) query: Vec<(String, String)>,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) address: IpAddr,
    pub(super) request_id: String,
    pub(super) now: OffsetDateTime,
}

/// Headers have cookies and tokens in them, bodies passwords and Secrets, paths and queries whatever
/// was typed there: none of it is shown.
impl std::fmt::Debug for Ask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("Ask");
        shown.field("operation", &self.operation).field("caller", &self.caller);
        shown.field("address", &self.address).field("request_id", &self.request_id);
        shown.field("now", &self.now).finish_non_exhaustive()
    }
}

/// Which page of a list is wanted.
#[derive(Debug)]
pub(super) struct Page<K> {
    /// The last key of the page before.
    pub(super) after: Option<K>,
    /// How many.
    pub(super) limit: i64,
}

impl Ask {
    pub(super) fn app(&self) -> &App {
        &self.rest.app
    }

    /// Reads what was sent beside the requests of others, since much of it takes long.
    pub(super) async fn read<T: Send + 'static>(
        self,
        read: impl FnOnce(&Self) -> Result<T, Problem> + Send + 'static,
    ) -> Result<(Self, T), Problem> {
        let app = Arc::clone(&self.rest.app);
        let (ask, read) = app
            .aside(move || {
                let read = read(&self);
                (self, read)
            })
            .await?;
        Ok((ask, read?))
    }

    /// Who asks. The table lets nobody else in, where it says so.
    pub(super) fn caller(&self) -> Result<&Caller, Problem> {
        self.caller.as_ref().ok_or_else(|| Refusal::Unauthenticated.into())
    }

    /// The request as use cases take it.
    pub(super) fn op(&self) -> Result<Op, Problem> {
        self.op_because(String::new())
    }

    /// The same with a reason in the actor's words.
    pub(super) fn op_because(&self, message: String) -> Result<Op, Problem> {
        Ok(self.caller()?.op(&self.request_id, self.now, said(message)?))
    }

    /// A part of the path.
    pub(super) fn part(&self, name: &str) -> &str {
        self.path.get(name).map_or("", String::as_str)
    }

    /// A word of the query.
    pub(super) fn word(&self, name: &str) -> Option<&str> {
        let mut all = self.query.iter().filter(|(one, _)| one == name);
        all.next().map(|(_, value)| value.as_str())
    }

    /// A header that is text.
    pub(super) fn header(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body as JSON of this form.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        json(&self.body)
    }

    /// The same, where no body says as much as an empty object.
    pub(super) fn json_or_default<T: DeserializeOwned + Default>(&self) -> Result<T, Problem> {
        if self.body.is_empty() { Ok(T::default()) } else { self.json() }
    }

    /// The digest of all that is asked for: where, and what is sent, in which form.
    pub(super) fn digest(&self) -> String {
        let sort = self.header(&axum::http::header::CONTENT_TYPE).unwrap_or_default();
        let expected = [axum::http::header::IF_MATCH, axum::http::header::IF_NONE_MATCH];
        let expected = expected.map(|name| self.header(&name).unwrap_or_default());
        let head = (self.operation, &self.path, &self.query, sort, expected);
        let mut all = serde_json::to_vec(&head).unwrap_or_default();
        all.extend_from_slice(&self.body);
        store::digest(&all)
    }

    /// Which page is wanted.
    pub(super) fn page<K: DeserializeOwned>(&self) -> Result<Page<K>, Problem> {
        let mut faults = Vec::new();
        let limit = match self.word("limit") {
            None => PAGE,
            Some(word) => {
                let limit = word.parse().ok().filter(|limit| (1..=LONGEST_PAGE).contains(limit));
                limit.unwrap_or_else(|| {
                    let text = format!("'{word}' is no number from 1 to {LONGEST_PAGE}");
                    faults.push(fault("limit", text));
                    PAGE
                })
            }
        };
        let read = |word: &str| {
            let json = URL_SAFE_NO_PAD.decode(word).ok()?;
            serde_json::from_slice(&json).ok()
        };
        let after = self.word("cursor").map(read);
        if let Some(None) = after {
            faults.push(fault("cursor", "this is no cursor that this list gave"));
        }
        let after = after.flatten();
        if faults.is_empty() { Ok(Page { after, limit }) } else { Err(Problem::invalid(faults)) }
    }
}

impl<K: Serialize> Page<K> {
    /// The cursor behind a page of so many items, the last of which has this key: none if the page
    /// is not full.
    pub(super) fn next(&self, items: usize, last: Option<K>) -> Option<String> {
        let last = last.filter(|_| i64::try_from(items).is_ok_and(|items| items >= self.limit))?;
        cursor(&last)
    }
}

/// A reason that may be kept.
pub(super) fn said(message: String) -> Result<String, Refusal> {
    if message.len() > MESSAGE || message.contains('\0') {
        let text = format!("wants at most {MESSAGE} bytes, none of them NUL");
        return Err(Refusal::Invalid(vec![fault("message", text)]));
    }
    Ok(message)
}

/// A key as whoever asks for the next page gives it back.
pub(super) fn cursor<K: Serialize>(key: &K) -> Option<String> {
    Some(URL_SAFE_NO_PAD.encode(serde_json::to_vec(key).ok()?))
}

/// JSON of this form. What is no JSON is malformed; what is no such JSON is wrong.
pub(super) fn json<'t, T: Deserialize<'t>>(text: &'t [u8]) -> Result<T, Problem> {
    serde_json::from_slice(text).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => {
            let line = Some(error.line()).filter(|line| *line > 0);
            let said = error.to_string();
            let reason = said.rsplit_once(" at line ").map_or(said.as_str(), |(reason, _)| reason);
            Problem::invalid(vec![Invalid { line, ..fault("", reason) }])
        }
        serde_json::error::Category::Io
        | serde_json::error::Category::Syntax
        | serde_json::error::Category::Eof => {
            Problem::malformed(format!("the body is no JSON: {error}"))
        }
    })
}

/// A length of time as `1h30m`, or what is wrong with it.
pub(super) fn duration(path: &str, word: &str) -> Result<std::time::Duration, Problem> {
    let read = GatewayDuration::try_from(word.to_owned());
    read.map(Into::into).map_err(|wrong| Problem::invalid(vec![fault(path, wrong)]))
}

/// The words of the query, each of which the operation knows, once each.
pub(super) fn query(
    operation: &Operation,
    text: Option<&str>,
) -> Result<Vec<(String, String)>, Problem> {
    let uri = format!("/?{}", text.unwrap_or_default());
    let uri = uri.parse().map_err(|_| Problem::malformed("the query is not well-formed"))?;
    let read = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(&uri);
    let axum::extract::Query(words) =
        read.map_err(|_| Problem::malformed("the query is not well-formed"))?;
    let known = || operation.query.iter().map(|parameter| parameter.name);
    let mut faults = Vec::new();
    for (place, (name, _)) in words.iter().enumerate() {
        if !known().any(|one| one == name) {
            let nearest = nearest(name, known());
            let text = "this operation has no such parameter";
            faults.push(Invalid { nearest, ..fault(name, text) });
        } else if words[..place].iter().any(|(before, _)| before == name) {
            faults.push(fault(name, "stands twice"));
        }
    }
    if faults.is_empty() { Ok(words) } else { Err(Problem::invalid(faults)) }
}

/// The whole body, up to `most` bytes.
pub(super) async fn body(body: Body, most: usize) -> Result<Bytes, Problem> {
    match Limited::new(body, most).collect().await {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(error) if error.downcast_ref::<LengthLimitError>().is_some() => {
            Err(Problem::too_large(most))
        }
        Err(_) => Err(Problem::malformed("the body broke off")),
    }
}

/// A length of time that something lasts.
pub(super) fn lasting(path: &str, word: &str) -> Result<time::Duration, Problem> {
    let read = duration(path, word)?;
    // The longest that can be written is 12 years.
    Ok(time::Duration::try_from(read).unwrap_or(time::Duration::MAX))
}
