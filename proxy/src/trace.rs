//! Trace identity: which trace an exchange belongs to, and what its backend is told of it.
//!
//! ```text
//! traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01
//!              |  trace id                         parent's span id |
//!              version                                         flags (bit 0: sampled)
//! ```
//!
//! A stranger's trace is never continued: whoever picks the trace id could otherwise attach
//! requests to a trace that is not theirs. It is kept as a link, and fresh ids are made.
//! `tracestate` of a stranger goes the same way and is dropped.
//!
//! All ids come from a generator that each worker's thread seeds from the operating system:
//! unguessable, and without a system call for each request.

use std::time::{SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, HeaderValue};
use rand::Rng as _;

/// The header of W3C Trace Context.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// What vendors add to it.
pub const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// The length of version 00.
const LENGTH: usize = 55;

/// A span as another process named it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parent {
    /// The trace that it belongs to; never all zeros.
    pub trace_id: [u8; 16],
    /// Its own id; never all zeros.
    pub span_id: [u8; 8],
    /// Whether its process says that it records the trace.
    pub sampled: bool,
}

impl Parent {
    /// The parent in `headers`: `None` where there is none, or two, or it is malformed.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let mut lines = headers.get_all(TRACEPARENT).iter();
        let only = lines.next()?;
        if lines.next().is_some() {
            return None;
        }
        Parent::parse(only.as_bytes())
    }

    /// Reads a `traceparent` as W3C Trace Context says: lower case only, no zero ids.
    ///
    /// A later version than 00 may carry more behind a dash; what 00 defines is read.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let (head, rest) = text.split_at_checked(LENGTH)?;
        let [version] = hex(&head[..2])?;
        let fits = match version {
            0 => rest.is_empty(),
            0xff => false,
            _ => rest.first().is_none_or(|byte| *byte == b'-'),
        };
        if !fits || [head[2], head[35], head[52]] != [b'-'; 3] {
            return None;
        }
        let trace_id = hex(&head[3..35])?;
        let span_id = hex(&head[36..52])?;
        let [flags] = hex(&head[53..])?;
        let named = trace_id != [0; 16] && span_id != [0; 8];
        named.then_some(Parent { trace_id, span_id, sampled: flags & 1 == 1 })
    }
}

/// The share of fresh traces that is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ratio(u64);

impl Ratio {
    /// No trace.
    pub const NONE: Ratio = Ratio(0);

    /// `share` of all traces: 0.0 is none, 1.0 is all; what lies outside is taken as the nearer.
    pub fn new(share: f64) -> Self {
        // The cast saturates, and takes what is no number as 0.
        Ratio((share * 2f64.powi(63)) as u64)
    }

    /// Whether the trace falls into the share: by its id, so that all processes agree.
    pub(crate) fn keeps(self, trace_id: [u8; 16]) -> bool {
        let low = (u128::from_be_bytes(trace_id) as u64) >> 1;
        low < self.0
    }
}

/// The identity of one exchange's span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace that it belongs to.
    pub trace_id: [u8; 16],
    /// Our span's id, which is the parent of the backend's.
    pub span_id: [u8; 8],
    /// Whether we record it, which the backend is told.
    pub sampled: bool,
    /// The span of a trusted caller that ours continues.
    pub parent: Option<[u8; 8]>,
    /// The span that a stranger named.
    pub link: Option<Parent>,
}

impl TraceContext {
    /// Opens a trace of our own; what a stranger sent becomes the link.
    pub fn fresh(ratio: Ratio, stranger: Option<Parent>) -> Self {
        // Both by one draw: many small ones cost more.
        let (mut trace_id, mut span_id) = ([0; 16], [0; 8]);
        while trace_id == [0; 16] || span_id == [0; 8] {
            let drawn = drawn::<24>();
            trace_id.copy_from_slice(&drawn[..16]);
            span_id.copy_from_slice(&drawn[16..]);
        }
        let sampled = ratio.keeps(trace_id);
        TraceContext { trace_id, span_id, sampled, parent: None, link: stranger }
    }

    /// Continues the trace of a caller that is trusted, its decision to record it included.
    pub fn from_trusted(parent: Parent) -> Self {
        TraceContext {
            trace_id: parent.trace_id,
            span_id: fresh_span(),
            sampled: parent.sampled,
            parent: Some(parent.span_id),
            link: None,
        }
    }

    /// The `traceparent` that the backend gets.
    pub fn header_value(&self) -> HeaderValue {
        let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
        write_hex(&self.trace_id, &mut text[3..35]);
        write_hex(&self.span_id, &mut text[36..52]);
        text[54] = b'0' + u8::from(self.sampled);
        unique(
            HeaderValue::from_bytes(&text).expect("hexadecimal digits and dashes are header text"),
        )
    }
}

/// A request id: a UUID of version 7, so that ids sort by time; its 74 other bits are random.
pub fn request_id(now: SystemTime) -> HeaderValue {
    let millis = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
    let id = uuid::Builder::from_unix_timestamp_millis(millis, &drawn()).into_uuid();
    let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
    let text = id.hyphenated().encode_lower(&mut text);
    unique(HeaderValue::from_str(text).expect("hexadecimal digits and dashes are header text"))
}

/// A value that no other message has. HTTP/2 keeps it in no table of headers (RFC 7541, section 7.1.3), where it
/// would push out those that come again, and where each new one would be compared with all before it.
pub(crate) fn unique(mut value: HeaderValue) -> HeaderValue {
    value.set_sensitive(true);
    value
}

/// The id of a span: not all zeros, which would mean "none".
fn fresh_span() -> [u8; 8] {
    let mut id = [0; 8];
    while id == [0; 8] {
        id = drawn();
    }
    id
}

/// Random bytes.
fn drawn<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::rng().fill(&mut bytes[..]);
    bytes
}

fn hex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

/// Writes two digits for each byte into `text`, which has room for as many.
pub(crate) fn write_hex(bytes: &[u8], text: &mut [u8]) {
    let (pairs, _) = text.as_chunks_mut();
    for (byte, pair) in bytes.iter().zip(pairs) {
        *pair = HEX[usize::from(*byte)];
    }
}

/// Each byte's two digits.
const HEX: [[u8; 2]; 256] = {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut pairs = [[0; 2]; 256];
    let mut byte = 0;
    while byte < pairs.len() {
        pairs[byte] = [DIGITS[byte >> 4], DIGITS[byte & 15]];
        byte += 1;
    }
    pairs
};

#[cfg(test)]
mod tests;
