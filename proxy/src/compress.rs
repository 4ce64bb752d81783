//! Answers made smaller on their way to the caller, where a TrafficPolicy says so (RFC 9110, sections 8.4
//! and 12.5.3).
//!
//! Only a gateway does it, at the last hop before the caller; what has a coding already is left alone,
//! and so is what says of its bytes something that would no longer be true.

use std::sync::Arc;

use http::header::{
    ACCEPT_ENCODING, ACCEPT_RANGES, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, response};
use model::traffic::{Coding, Compression, TrafficPolicy};
use tokio::sync::Semaphore;
use wire::Side;

use crate::live::Service;
use crate::record::Record;
use crate::reply::Reply;

mod body;

pub(crate) use body::Compressed;

/// What tells of the very bytes of a body (RFC 9530, and what it took the place of).
const OF_BYTES: [HeaderName; 4] = [
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-md5"),
];

/// A request whose answer may be compressed.
#[derive(Debug)]
pub(crate) struct Asked {
    policy: Arc<TrafficPolicy>,
    /// The coding in which the caller gets it; `None` for as it is.
    coding: Option<Coding>,
    is_head: bool,
    /// What it says that it holds (`If-None-Match`); several lines are several.
    held: Vec<HeaderValue>,
}

impl Asked {
    /// `None` where nothing is compressed whatever comes.
    pub(crate) fn of(service: &Service, head: &Parts, record: &Record) -> Option<Self> {
        let policy = service.traffic.as_ref()?;
        let compression = policy.spec.compression.as_ref()?;
        if record.side != Side::Edge || record.call.is_some() {
            return None;
        }
        let coding = negotiate(&head.headers, compression.codings());
        let coding = coding.filter(|_| !may_not_be_transformed(&head.headers));
        let is_head = head.method == Method::HEAD;
        let held = head.headers.get_all(IF_NONE_MATCH).iter().cloned().collect();
        Some(Asked { policy: Arc::clone(policy), coding, is_head, held })
    }

    /// The answer, compressed if it may be and one of `encoders` is free. That it could have been is told to
    /// caches in any case.
    pub(crate) fn answer(
        self,
        response: Response<Reply>,
        encoders: &Arc<Semaphore>,
    ) -> Response<Reply> {
        let Some(compression) = &self.policy.spec.compression else { return response };
        let (mut head, body) = response.into_parts();
        if head.status == StatusCode::NOT_MODIFIED {
            self.freshen(compression, &mut head.headers);
            return Response::from_parts(head, body);
        }
        if !is_fit(compression, &head) {
            return Response::from_parts(head, body);
        }
        add_vary(&mut head.headers);
        let Some(coding) = self.coding else { return Response::from_parts(head, body) };
        let body = match body {
            // HEAD is told what GET would be (RFC 9110, section 9.3.2).
            Reply::Backend(stream) if self.is_head => {
                alter(&mut head.headers, coding);
                Reply::Backend(stream)
            }
            Reply::Backend(stream) if !stream.is_end() => {
                match Compressed::new(coding, stream, encoders) {
                    Ok(body) => {
                        alter(&mut head.headers, coding);
                        Reply::Compressed(Box::new(body))
                    }
                    Err(stream) => Reply::Backend(stream),
                }
            }
            Reply::Backend(_) | Reply::Compressed(_) | Reply::Ours { .. } | Reply::Switched => body,
        };
        Response::from_parts(head, body)
    }

    /// A 304 says of a stored answer what a 200 would (RFC 9110, section 15.4.5), of which it does not tell the
    /// media type. Who holds it by the tag that it has was given it as it is, and keeps that tag.
    fn freshen(&self, compression: &Compression, headers: &mut HeaderMap) {
        let media = headers.get(CONTENT_TYPE).and_then(|media| media.to_str().ok());
        if media.is_some_and(|media| !compression.takes(media)) || may_not_be_transformed(headers) {
            return;
        }
        add_vary(headers);
        if self.coding.is_some() && !self.holds_as_it_is(headers) {
            weaken(headers);
        }
    }

    /// Whether the caller named the answer's tag, and not in its weak form alone (RFC 9110, section 13.1.2).
    fn holds_as_it_is(&self, headers: &HeaderMap) -> bool {
        let tag = headers.get(ETAG).map(HeaderValue::as_bytes).filter(|tag| !tag.is_empty());
        let Some(tag) = tag else { return false };
        let mut lines = self.held.iter().map(HeaderValue::as_bytes);
        lines.any(|line| {
            let places = line.windows(tag.len()).enumerate().filter(|(_, part)| *part == tag);
            places.into_iter().any(|(at, _)| !line[..at].ends_with(b"W/"))
        })
    }
}

/// Whether an answer of this head may be sent in another coding.
fn is_fit(compression: &Compression, head: &response::Parts) -> bool {
    let headers = &head.headers;
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let is_short = text(CONTENT_LENGTH)
        .and_then(|length| length.parse::<u64>().ok())
        .is_some_and(|length| length < u64::from(compression.min_bytes));
    let is_bare = head.status.is_informational()
        || [StatusCode::NO_CONTENT, StatusCode::PARTIAL_CONTENT].contains(&head.status);
    let is_fixed = |name: &HeaderName| {
        *name == CONTENT_ENCODING || *name == CONTENT_RANGE || OF_BYTES.contains(name)
    };
    !is_short
        && !is_bare
        && text(CONTENT_TYPE).is_some_and(|media| compression.takes(media))
        && !headers.keys().any(is_fixed)
        && !may_not_be_transformed(headers)
}

/// `Cache-Control: no-transform` (RFC 9111, section 5.2.2.6).
fn may_not_be_transformed(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(CACHE_CONTROL).iter();
    let mut words = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    words.any(|word| word.trim_ascii().eq_ignore_ascii_case(b"no-transform"))
}

/// Says of an answer that it has this coding now, and no more what it was without.
fn alter(headers: &mut HeaderMap, coding: Coding) {
    headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding.as_str()));
    headers.remove(CONTENT_LENGTH);
    headers.remove(ACCEPT_RANGES);
    weaken(headers);
}

fn weaken(headers: &mut HeaderMap) {
    // The same thing in other bytes has a weak tag (RFC 9110, section 8.8.1).
    if let Some(tag) = headers.get(ETAG)
        && !tag.as_bytes().starts_with(b"W/")
        && let Ok(weak) = HeaderValue::from_bytes(&[b"W/", tag.as_bytes()].concat())
    {
        headers.insert(ETAG, weak);
    }
}

fn add_vary(headers: &mut HeaderMap) {
    let lines = headers.get_all(VARY).iter();
    let mut names = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    let is_said = names.any(|name| {
        let name = name.trim_ascii();
        name == b"*" || name.eq_ignore_ascii_case(ACCEPT_ENCODING.as_str().as_bytes())
    });
    if !is_said {
        headers.append(VARY, HeaderValue::from_static("accept-encoding"));
    }
}

/// The coding that a caller takes most gladly, of those equally dear the first of `ours`; `None` where it
/// takes none of them, or an answer as it is more gladly.
fn negotiate(headers: &HeaderMap, ours: &[Coding]) -> Option<Coding> {
    let lines = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|line| line.to_str().ok());
    let wishes: Vec<_> = lines.flat_map(|line| line.split(',')).filter_map(wish).collect();
    let of = |names: &[&str]| {
        let is_named = |name: &str| names.iter().any(|one| name.eq_ignore_ascii_case(one));
        wishes.iter().find(|(name, _)| is_named(name)).map(|(_, weight)| *weight)
    };
    let others = of(&["*"]);
    let weight = |coding: &Coding| {
        let named = match coding {
            Coding::Gzip => of(&["gzip", "x-gzip"]),
            Coding::Br | Coding::Zstd => of(&[coding.as_str()]),
        };
        named.or(others).unwrap_or(0)
    };
    let least = of(&["identity"]).unwrap_or(0).max(1);
    let mut best = None;
    for coding in ours {
        let weight = weight(coding);
        if weight >= least && best.is_none_or(|(_, other)| weight > other) {
            best = Some((*coding, weight));
        }
    }
    best.map(|(coding, _)| coding)
}

/// A coding and its weight in thousandths: what is no weight wishes nothing.
fn wish(text: &str) -> Option<(&str, u16)> {
    let mut parts = text.split(';').map(str::trim);
    let name = parts.next().filter(|name| !name.is_empty())?;
    let weight = match parts.next() {
        None => 1000,
        Some(weight) => {
            let weight = weight.strip_prefix("q=").or(weight.strip_prefix("Q="));
            weight.and_then(thousandths).unwrap_or(0)
        }
    };
    Some((name, weight))
}

/// A weight by RFC 9110, section 12.4.2: `0`, `0.123` or `1`, in thousandths.
fn thousandths(text: &str) -> Option<u16> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let is_number = part.len() <= 3 && part.bytes().all(|byte| byte.is_ascii_digit());
    let whole = ["0", "1"].iter().position(|one| *one == whole && is_number)?;
    let part: u16 = format!("{part:0<3}").parse().ok()?;
    Some(whole as u16 * 1000 + part).filter(|weight| *weight <= 1000)
}

#[cfg(test)]
mod tests;
