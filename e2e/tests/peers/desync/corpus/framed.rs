//! Those over HTTP/2.

use super::Fate::{One, Refused};
use super::How::{GoAway, Reset, Status};
use super::{Fate, Framed};

/// Its stream is reset as malformed (RFC 9113, section 8.1.1).
const MALFORMED: Fate = Refused(Reset(1));
/// It has a byte that no header may have: the whole connection is given up, as whoever reads it may (section 5.4).
const GIVEN_UP: Fate = Refused(GoAway(1));
/// It is answered so before it goes anywhere.
const BAD: Fate = Refused(Status(400));

/// What a request has that says nothing else.
pub(in super::super) const REQUEST: [(&str, &str); 4] =
    [(":method", "POST"), (":scheme", "http"), (":authority", "HOST"), (":path", "/a")];

/// For a value of one of these: the request is without it.
pub(in super::super) const ABSENT: &str = "absent";

type Headers = &'static [(&'static str, &'static str)];

const fn framed(class: &'static str, headers: Headers, body: &'static str, fate: Fate) -> Framed {
    Framed { class, headers, body, trailers: &[], is_split: false, fate }
}

const fn trailed(headers: Headers, trailers: Headers, fate: Fate) -> Framed {
    Framed { class: "trailer", headers, body: "abc", trailers, is_split: false, fate }
}

const fn split(headers: Headers, fate: Fate) -> Framed {
    Framed { class: "continuation", headers, body: "abc", trailers: &[], is_split: true, fate }
}

/// What would be a head of its own, were it written as it is.
const SPLIT: &str = "b\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: HOST\r\nx: ";

/// A body that reads as a request.
const WITHIN: &str = "GET /within HTTP/1.1\r\nx: y\r\n\r\n";

pub(in super::super) const FRAMED: &[Framed] = &[
    // What would be another line, were it written as it is.
    framed("crlf", &[("x", SPLIT)], "", GIVEN_UP),
    framed("crlf", &[("x", "a\r\ntransfer-encoding: chunked")], "0\r\n\r\n", GIVEN_UP),
    framed("crlf", &[("x: y\r\nz", "1")], "", GIVEN_UP),
    framed("bare-cr", &[("x", "a\rcontent-length: 5")], "", GIVEN_UP),
    framed("bare-cr", &[("x", "\r")], "", GIVEN_UP),
    framed("bare-cr", &[("x\ry", "1")], "", GIVEN_UP),
    framed("bare-lf", &[("x", "a\ncontent-length: 5")], "", GIVEN_UP),
    framed("bare-lf", &[("x", "\n")], "", GIVEN_UP),
    framed("bare-lf", &[("x\ny", "1")], "", GIVEN_UP),
    framed("obs-fold", &[("x", "y\r\n z")], "", GIVEN_UP),
    framed("nul", &[("x", "a\0b")], "", GIVEN_UP),
    framed("nul", &[(":path", "/a\0")], "", MALFORMED),
    framed("name", &[("x:y", "1")], "", GIVEN_UP),
    framed("name", &[("x y", "1")], "", GIVEN_UP),
    framed("name", &[("X-Upper", "1")], "", GIVEN_UP),
    framed("name", &[("", "1")], "", GIVEN_UP),
    // What becomes the request line.
    framed("path", &[(":path", "/a HTTP/1.1\r\nhost: HOST\r\n\r\nGET /smuggled")], "", MALFORMED),
    framed("path", &[(":path", "/a HTTP/1.1")], "", MALFORMED),
    framed("path", &[(":path", "a")], "", MALFORMED),
    framed("path", &[(":path", "")], "", MALFORMED),
    framed("path", &[(":path", "/a"), (":path", "/smuggled")], "", MALFORMED),
    // A fragment is for nobody but who has it.
    framed("path", &[(":path", "/a#b")], "", One("/a", 0)),
    framed("absolute-form", &[(":path", "http://other.test/a")], "", MALFORMED),
    framed("absolute-form", &[(":path", "http://HOST/a")], "", MALFORMED),
    framed("method", &[(":method", "GET /smuggled HTTP/1.1\r\nx: y\r\n\r\nGET")], "", GIVEN_UP),
    framed("method", &[(":method", "GET /smuggled")], "", GIVEN_UP),
    framed("method", &[(":method", "CONNECT")], "", MALFORMED),
    framed(
        "method",
        &[
            (":method", "CONNECT"),
            (":scheme", ABSENT),
            (":path", ABSENT),
            (":authority", "HOST:80"),
        ],
        "GET /smuggled HTTP/1.1\r\nhost: HOST\r\n\r\n",
        BAD,
    ),
    framed("scheme", &[(":scheme", "http://other.test/?x=")], "", MALFORMED),
    // What TLS and the listener say counts, not this.
    framed("scheme", &[(":scheme", "gopher")], "", One("/a", 0)),
    // Whose it is.
    framed("authority", &[(":authority", "HOST\r\nx: y")], "", MALFORMED),
    framed("authority", &[(":authority", "HOST/smuggled")], "", MALFORMED),
    framed("authority", &[(":authority", "HOST@other.test")], "", BAD),
    framed("authority", &[(":authority", "")], "", MALFORMED),
    framed("authority", &[(":authority", ABSENT)], "", BAD),
    framed("authority", &[(":authority", ABSENT), ("host", "HOST")], "", One("/a", 0)),
    framed("host-twice", &[(":authority", "HOST"), (":authority", "other.test")], "", MALFORMED),
    framed("host-twice", &[("host", "other.test")], "", BAD),
    framed("host-twice", &[("host", "HOST"), ("host", "other.test")], "", BAD),
    framed("host-twice", &[("host", "HOST")], "", One("/a", 0)),
    framed(
        "host-twice",
        &[(":authority", ABSENT), ("host", "HOST"), ("host", "other.test")],
        "",
        BAD,
    ),
    // Two lengths, or one that is not that of the frames.
    framed("cl-untrue", &[("content-length", "0")], "GET /smuggled HTTP/1.1\r\n\r\n", MALFORMED),
    framed("cl-untrue", &[("content-length", "100")], "abc", MALFORMED),
    framed("cl-untrue", &[("content-length", "3")], "", MALFORMED),
    framed("cl-twice", &[("content-length", "3"), ("content-length", "0")], "abc", MALFORMED),
    framed("cl-twice", &[("content-length", "3,0")], "abc", MALFORMED),
    framed("cl-twice", &[("content-length", "3"), ("content-length", "3")], "abc", One("/a", 3)),
    framed("cl-malformed", &[("content-length", "+3")], "abc", MALFORMED),
    framed("cl-malformed", &[("content-length", "-3")], "abc", MALFORMED),
    framed("cl-malformed", &[("content-length", "0x3")], "abc", MALFORMED),
    framed("cl-malformed", &[("content-length", "3;a")], "abc", MALFORMED),
    framed("cl-malformed", &[("content-length", "")], "abc", MALFORMED),
    framed("cl-malformed", &[("content-length", "99999999999999999999")], "abc", MALFORMED),
    framed("spaced", &[("content-length", " 3 ")], "abc", MALFORMED),
    framed("spaced", &[("x", " y")], "", BAD),
    framed("spaced", &[("x", "y\t")], "", BAD),
    // What HTTP/2 has no use for.
    framed("te-obfuscated", &[("transfer-encoding", "chunked")], "0\r\n\r\n", MALFORMED),
    framed("te-obfuscated", &[("transfer-encoding", "chunked ")], "0\r\n\r\n", MALFORMED),
    framed("te-obfuscated", &[("transfer-encoding ", "chunked")], "0\r\n\r\n", GIVEN_UP),
    framed("te-obfuscated", &[("transfer_encoding", "chunked")], "0\r\n\r\n", One("/a", 5)),
    framed(
        "te-cl",
        &[("transfer-encoding", "chunked"), ("content-length", "5")],
        "0\r\n\r\n",
        MALFORMED,
    ),
    framed(
        "cl-te",
        &[("content-length", "5"), ("transfer-encoding", "chunked")],
        "0\r\n\r\n",
        MALFORMED,
    ),
    framed("hop-by-hop", &[("connection", "transfer-encoding")], "abc", MALFORMED),
    framed("hop-by-hop", &[("proxy-connection", "keep-alive")], "", MALFORMED),
    framed("hop-by-hop", &[("keep-alive", "timeout=5")], "", MALFORMED),
    framed("hop-by-hop", &[("te", "chunked")], "", MALFORMED),
    framed("upgrade", &[("connection", "upgrade"), ("upgrade", "websocket")], "", MALFORMED),
    framed("upgrade", &[("upgrade", "websocket")], "abc", MALFORMED),
    framed("upgrade", &[("upgrade", "websocket"), ("content-length", "3")], "abc", MALFORMED),
    framed("pseudo", &[("x", "y"), (":path", "/smuggled")], "", MALFORMED),
    framed("pseudo", &[(":method", ABSENT)], "", MALFORMED),
    framed("pseudo", &[(":scheme", ABSENT)], "", MALFORMED),
    framed("pseudo", &[(":path", ABSENT)], "", MALFORMED),
    framed("pseudo", &[(":status", "200")], "", MALFORMED),
    framed("pseudo", &[(":protocol", "websocket")], "", MALFORMED),
    framed("two-faults", &[(":path", "/%zz"), ("transfer-encoding", "chunked")], "abc", MALFORMED),
    // In two frames.
    split(&[("x", "y"), ("z", "abcdef")], One("/a", 3)),
    split(&[("x", "a\r\nb: c")], GIVEN_UP),
    split(&[("x", "y"), ("transfer-encoding", "chunked")], MALFORMED),
    split(&[("content-length", "0"), ("x", "abcdef")], MALFORMED),
    // Behind the body.
    trailed(&[], &[("x", "y")], One("/a", 3)),
    trailed(&[("content-length", "3")], &[("x", "y")], One("/a", 3)),
    trailed(&[], &[("content-length", "42")], One("/a", 3)),
    trailed(&[("content-length", "3")], &[("content-length", "0")], One("/a", 3)),
    trailed(&[], &[("transfer-encoding", "chunked")], MALFORMED),
    trailed(&[], &[(":path", "/smuggled")], One("/a", 3)),
    trailed(&[], &[("x", "a\r\nb: c")], GIVEN_UP),
    trailed(&[], &[("host", "other.test")], One("/a", 3)),
    // What is asked before a body comes, and bodies where few look for one.
    framed("expect", &[("expect", "100-continue")], "abc", One("/a", 3)),
    framed("expect", &[("expect", "100-continue"), ("content-length", "3")], "abc", One("/a", 3)),
    framed("body-of-get", &[(":method", "GET")], "abc", One("/a", 3)),
    framed("body-of-get", &[(":method", "GET"), ("content-length", "3")], "abc", One("/a", 3)),
    framed("cl-0", &[("content-length", "30")], WITHIN, One("/a", 30)),
    framed("cl-0", &[(":method", "GET"), ("content-length", "30")], WITHIN, One("/a", 30)),
    framed("te-0", &[], WITHIN, One("/a", 30)),
    framed("plain", &[("x", "y")], "abc", One("/a", 3)),
];
