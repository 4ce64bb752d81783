//! What a rule changes on the way to the backend and back, as it would be done.

use http::header::HOST;
use http::{HeaderName, HeaderValue, Request};
use serde::Serialize;

use crate::facts::Facts;
use crate::headers::{HeaderChange, is_credential};
use crate::reason::Reason;
use crate::rewrite::Rewrite;

/// What a rule changes; what it leaves alone is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Changes {
    /// Path and host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rewrite: Option<RewriteStory>,
    /// Headers of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_headers: Option<HeaderStory>,
    /// Headers of the backend's answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_headers: Option<HeaderStory>,
}

/// What a rewrite makes of the request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RewriteStory {
    /// The path that would be sent; the query goes on as it came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The host that would be sent, where it is changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// What would be answered, since nothing that could be sent would come of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
}

/// Changes of headers, in the order set, add, remove.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HeaderStory {
    /// These replace what is there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub set: Vec<HeaderLine>,
    /// These come beside what is there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub add: Vec<HeaderLine>,
    /// These are taken off.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remove: Vec<String>,
}

/// A header as it would be sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HeaderLine {
    /// Its name.
    pub name: String,
    /// Its value; none where it may prove who somebody is, or tells who is calling, which only those are told
    /// of whom it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

impl RewriteStory {
    /// Does to a head of these facts what the rewrite would do.
    pub(crate) fn tell(rewrite: &Rewrite, facts: &Facts<'_>, prefix: Option<&str>) -> Self {
        let refused = RewriteStory { path: None, host: None, reason: Some(Reason::PathInvalid) };
        let target = match facts.query {
            Some(query) => format!("{}?{query}", facts.path),
            None => facts.path.to_owned(),
        };
        let Ok(request) = Request::builder().uri(target).body(()) else { return refused };
        let mut head = request.into_parts().0;
        if rewrite.apply(&mut head, prefix).is_err() {
            return refused;
        }
        let host = head.headers.get(HOST).and_then(|host| host.to_str().ok());
        let path = Some(head.uri.path().to_owned());
        RewriteStory { path, host: host.map(str::to_owned), reason: None }
    }
}

impl HeaderStory {
    /// Tells of `change`; values of `hidden` headers are left out.
    pub(crate) fn tell(change: &HeaderChange, hidden: &[HeaderName]) -> Self {
        let line = |(name, value): &(HeaderName, HeaderValue)| {
            let shown = !(is_credential(name) || hidden.contains(name));
            let value = shown.then(|| String::from_utf8_lossy(value.as_bytes()).into_owned());
            HeaderLine { name: name.to_string(), value }
        };
        HeaderStory {
            set: change.set.iter().map(line).collect(),
            add: change.add.iter().map(line).collect(),
            remove: change.remove.iter().map(HeaderName::to_string).collect(),
        }
    }

    /// Adds what is changed after it.
    pub(crate) fn extend(&mut self, after: HeaderStory) {
        self.set.extend(after.set);
        self.add.extend(after.add);
        self.remove.extend(after.remove);
    }
}
