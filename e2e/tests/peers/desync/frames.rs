//! Requests over HTTP/2, with whatever stands there for headers: byte for byte, as no client would send them.

use super::corpus::{ABSENT, Framed, REQUEST};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// The bytes of a request on a connection of its own; each text becomes what `own` makes of it.
pub(super) fn written(case: &Framed, own: impl Fn(&str) -> String) -> Vec<u8> {
    let head = block(&in_order(case), &own);
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(SETTINGS, 0, 0, &[]));
    let is_last = case.body.is_empty() && case.trailers.is_empty();
    let ends = if is_last { END_STREAM } else { 0 };
    match case.is_split {
        false => bytes.extend(frame(HEADERS, END_HEADERS | ends, 1, &head)),
        true => {
            // Within the last value.
            let (first, second) = head.split_at(head.len() - 3);
            bytes.extend(frame(HEADERS, ends, 1, first));
            bytes.extend(frame(CONTINUATION, END_HEADERS, 1, second));
        }
    }
    if !case.body.is_empty() {
        let ends = if case.trailers.is_empty() { END_STREAM } else { 0 };
        bytes.extend(frame(DATA, ends, 1, case.body.as_bytes()));
    }
    if !case.trailers.is_empty() {
        bytes.extend(frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(case.trailers, &own)));
    }
    bytes
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Those that each request has, or what the case has instead, before all others.
fn in_order(case: &Framed) -> Vec<(&str, &str)> {
    let mut headers = Vec::new();
    // One that stands behind another is where it has no business, and is left there.
    let leading = case.headers.iter().take_while(|(name, _)| is_usual(name)).count();
    let (instead, others) = case.headers.split_at(leading);
    for default in REQUEST {
        let before = headers.len();
        headers.extend(instead.iter().copied().filter(|(name, _)| *name == default.0));
        if headers.len() == before {
            headers.push(default);
        }
    }
    headers.retain(|(_, value)| *value != ABSENT);
    headers.extend(others);
    headers
}

fn is_usual(name: &str) -> bool {
    REQUEST.iter().any(|(one, _)| name == *one)
}

/// Literals that are in no table (RFC 7541, section 6.2.2).
fn block(headers: &[(&str, &str)], own: &impl Fn(&str) -> String) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in headers {
        block.push(0);
        for text in [(*name).to_owned(), own(value)] {
            // Of fewer bytes than need a second one to be told.
            assert!(text.len() < 127, "{text}");
            block.push(text.len() as u8);
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}
