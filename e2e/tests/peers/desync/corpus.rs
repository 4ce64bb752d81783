//! Requests that mean two things to two readers, by the class of the attack.
//!
//! `HOST` stands for the host; everything behind a first request asks for `/smuggled`, and what is a body for
//! `/within`, both of which nobody may see.

mod framed;
mod plain;

pub(super) use framed::{ABSENT, FRAMED, REQUEST};
pub(super) use plain::PLAIN;

/// Whence requests come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Front {
    /// HTTP/1.1.
    Plain,
    /// HTTP/2.
    Framed,
}

/// What becomes of a request that means two things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It goes no further.
    Refused(How),
    /// It goes on as one request that means one thing, with this target and so many bytes of a body.
    One(&'static str, usize),
    /// The same, and what is behind it is no request, which this status says.
    OneThen(&'static str, usize, u16),
    /// It is two, as whoever wrote it may well mean: the second one asks for `/second`.
    Two(&'static str, usize),
}

/// How a caller learns that a request goes no further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// By this status, and the end of the connection or stream; no byte of it went on.
    Status(u16),
    /// By this status, over HTTP/1.1; its end is plain, so that the connection lasts: what is asked for behind it, which
    /// is `/second`, is served.
    Answered(u16),
    /// The whole connection is given up with this code, and no byte of it went on.
    GoAway(u32),
    /// Its stream is reset with this code, and no byte of it went on.
    Reset(u32),
    /// The fault is in the body, when the head is gone on: that breaks off there, and the connection is closed behind
    /// 400, or behind the answer of an upstream that did not wait for the body.
    Within,
    /// It is not over yet: more is waited for, and once the caller ends it is as with [`How::Within`].
    Awaited,
}

/// An attack over HTTP/1.1.
pub(super) struct Plain {
    pub(super) class: &'static str,
    /// All that is written.
    pub(super) text: &'static str,
    pub(super) fate: Fate,
}

/// An attack over HTTP/2.
pub(super) struct Framed {
    pub(super) class: &'static str,
    /// Headers in their order, beside those of [`REQUEST`] that they do not name themselves.
    pub(super) headers: &'static [(&'static str, &'static str)],
    pub(super) body: &'static str,
    /// What comes behind the body.
    pub(super) trailers: &'static [(&'static str, &'static str)],
    /// Whether the headers come in two frames, of which the second begins within the last value.
    pub(super) is_split: bool,
    pub(super) fate: Fate,
}

/// The classes that one version alone has, and why the other has none.
pub(super) const ALONE: &[(&str, Front, &str)] = &[
    ("te-in-1.0", Front::Plain, "HTTP/2 is of one version"),
    ("chunk-extension", Front::Plain, "HTTP/2 has frames for chunks"),
    ("chunk-size", Front::Plain, "HTTP/2 has frames for chunks"),
    ("chunk-end", Front::Plain, "HTTP/2 has frames for chunks"),
    ("request-line", Front::Plain, "HTTP/2 has pseudo-headers for it, see path, method and scheme"),
    ("pipelined", Front::Plain, "HTTP/2 has streams, which say whose each byte is"),
    ("crlf", Front::Framed, "in HTTP/1.1 it is the end of a line, and what follows another one"),
    ("continuation", Front::Framed, "HTTP/1.1 has no frames"),
];
