//! Requests that mean two things to two readers, by the class of the attack.
//!
//! `HOST` stands for the host; everything behind a first request asks for `/smuggled`, which nobody may see.

/// What becomes of a request that means two things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It goes no further.
    Refused,
    /// It goes on as one request that means one thing, with this target and so many bytes of a body.
    One(&'static str, usize),
    /// It is two, as whoever wrote it may well mean: the second one asks for `/second`.
    Two(&'static str, usize),
}

use Fate::{One, Refused, Two};

/// An attack over HTTP/1.1.
pub(crate) struct Plain {
    pub(crate) class: &'static str,
    /// All that is written.
    pub(crate) text: &'static str,
    pub(crate) fate: Fate,
}

const fn plain(class: &'static str, text: &'static str, fate: Fate) -> Plain {
    Plain { class, text, fate }
}

/// What is behind the end that one reader sees, and before the one that another does.
macro_rules! smuggled {
    () => {
        "GET /smuggled HTTP/1.1\r\nhost: HOST\r\n\r\n"
    };
}

/// A POST with these lines beside its host, and what follows.
macro_rules! post {
    ($lines:literal, $body:expr) => {
        concat!("POST /a HTTP/1.1\r\nhost: HOST\r\n", $lines, "\r\n\r\n", $body)
    };
}

/// A POST whose body is an empty one in chunks to who goes by that, with a request behind it.
macro_rules! chunked {
    ($lines:literal) => {
        post!($lines, concat!("0\r\n\r\n", smuggled!()))
    };
}

/// Those over HTTP/1.1.
pub(crate) const PLAIN: &[Plain] = &[
    // Framed by both: the chunks count, and who wrote a length is not listened to any more.
    plain(
        "cl-te",
        post!("content-length: 6\r\ntransfer-encoding: chunked", "0\r\n\r\nX"),
        One("/a", 0),
    ),
    plain("cl-te", chunked!("content-length: 43\r\ntransfer-encoding: chunked"), One("/a", 0)),
    plain(
        "te-cl",
        post!("transfer-encoding: chunked\r\ncontent-length: 4", "5c\r\nGPOST / HTTP/1.1\r\n"),
        Refused,
    ),
    plain("te-cl", chunked!("transfer-encoding: chunked\r\ncontent-length: 5"), One("/a", 0)),
    // A coding that one reader knows and another does not.
    plain("te-obfuscated", chunked!("transfer-encoding: xchunked"), Refused),
    plain("te-obfuscated", chunked!("transfer-encoding : chunked"), Refused),
    plain("te-obfuscated", chunked!("transfer-encoding:\x0bchunked"), Refused),
    plain("te-obfuscated", chunked!("transfer-encoding: \"chunked\""), Refused),
    plain("te-obfuscated", chunked!("transfer-encoding: chunked, identity"), Refused),
    plain("te-obfuscated", chunked!("transfer-encoding: identity, chunked"), Refused),
    plain("te-obfuscated", chunked!("transfer-encoding: chunked\r\ntransfer-encoding: x"), Refused),
    plain("te-obfuscated", chunked!("transfer-encoding: chunked, chunked"), Refused),
    plain("te-obfuscated", chunked!("transfer-encoding: chunked;q=1"), Refused),
    plain("te-obfuscated", chunked!("transfer-encoding: \u{e9}chunked"), Refused),
    plain("te-obfuscated", chunked!("\r\ntransfer-encoding: chunked"), One("/a", 0)),
    plain("te-obfuscated", chunked!("x: y\rtransfer-encoding: chunked"), Refused),
    plain(
        "te-obfuscated",
        post!("transfer_encoding: chunked\r\ncontent-length: 5", "0\r\n\r\n"),
        One("/a", 5),
    ),
    plain(
        "te-in-1.0",
        "POST /a HTTP/1.0\r\nhost: HOST\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        Refused,
    ),
    // Two lengths, or one that not everybody can read.
    plain("cl-twice", post!("content-length: 0\r\ncontent-length: 42", smuggled!()), Refused),
    plain("cl-twice", post!("content-length: 42\r\ncontent-length: 0", smuggled!()), Refused),
    plain("cl-twice", post!("content-length: 0, 42", smuggled!()), Refused),
    plain("cl-malformed", post!("content-length: +5", "abcde"), Refused),
    plain("cl-malformed", post!("content-length: -5", "abcde"), Refused),
    plain("cl-malformed", post!("content-length: 0x5", "abcde"), Refused),
    plain("cl-malformed", post!("content-length: 5;a", "abcde"), Refused),
    plain("cl-malformed", post!("content-length: 5 0", "abcde"), Refused),
    plain("cl-malformed", post!("content-length: 99999999999999999999", "abcde"), Refused),
    plain("cl-malformed", post!("content-length : 5", "abcde"), Refused),
    plain("cl-malformed", post!("content-length:", smuggled!()), Refused),
    plain("cl-spaced", post!("content-length: \t 5\t ", "abcde"), One("/a", 5)),
    // Lines that go on in the next one.
    plain("obs-fold", chunked!("transfer-encoding:\r\n chunked"), Refused),
    plain("obs-fold", post!("content-length:\r\n\t5", "abcde"), Refused),
    plain("obs-fold", "GET /a HTTP/1.1\r\n x: y\r\nhost: HOST\r\n\r\n", Refused),
    plain("obs-fold", "GET /a HTTP/1.1\r\nhost: HOST\r\nx: y\r\n z\r\n\r\n", Refused),
    // Ends of lines that are none, or not to everybody.
    plain("bare-cr", "GET /a HTTP/1.1\r\nhost: HOST\r\nx: y\rhost: other\r\n\r\n", Refused),
    plain("bare-cr", "GET /a HTTP/1.1\rhost: HOST\r\r", Refused),
    plain("bare-cr", post!("content-length: 5\rx: y", "abcde"), Refused),
    plain("bare-lf", "GET /a HTTP/1.1\nhost: HOST\n\n", One("/a", 0)),
    plain("bare-lf", "GET /a HTTP/1.1\r\nhost: HOST\nx: y\r\n\r\n", One("/a", 0)),
    plain(
        "bare-lf",
        "GET /a HTTP/1.1\r\nhost: HOST\r\nx: y\n\nGET /second HTTP/1.1\r\nhost: HOST\r\n\r\n",
        Two("/a", 0),
    ),
    plain(
        "bare-lf",
        post!("transfer-encoding: chunked", "0\n\nGET /smuggled HTTP/1.1\r\n\r\n"),
        Refused,
    ),
    plain("nul", "GET /a HTTP/1.1\r\nhost: HOST\r\nx: a\0b\r\n\r\n", Refused),
    plain("nul", "GET /a\0 HTTP/1.1\r\nhost: HOST\r\n\r\n", Refused),
    // Chunks.
    plain(
        "chunk-extension",
        post!("transfer-encoding: chunked", "3;a=b\r\nabc\r\n0\r\n\r\n"),
        One("/a", 3),
    ),
    plain(
        "chunk-extension",
        post!("transfer-encoding: chunked", "3;a=\"\r\nabc\r\n0\r\n\r\n"),
        One("/a", 3),
    ),
    plain(
        "chunk-extension",
        post!("transfer-encoding: chunked", "2;\nxx\r\n4c\r\n0\r\n\r\n"),
        Refused,
    ),
    plain(
        "chunk-extension",
        post!("transfer-encoding: chunked", "3;a\rb\r\nabc\r\n0\r\n\r\n"),
        Refused,
    ),
    plain(
        "chunk-size",
        post!("transfer-encoding: chunked", "FFFFFFFFFFFFFFFFF\r\nabc\r\n0\r\n\r\n"),
        Refused,
    ),
    plain(
        "chunk-size",
        post!("transfer-encoding: chunked", "10000000000000003\r\nabc\r\n0\r\n\r\n"),
        Refused,
    ),
    plain("chunk-size", post!("transfer-encoding: chunked", "-3\r\nabc\r\n0\r\n\r\n"), Refused),
    plain("chunk-size", post!("transfer-encoding: chunked", "0x3\r\nabc\r\n0\r\n\r\n"), Refused),
    plain("chunk-size", post!("transfer-encoding: chunked", "3_0\r\nabc\r\n0\r\n\r\n"), Refused),
    plain("chunk-size", post!("transfer-encoding: chunked", "\r\n3\r\nabc\r\n0\r\n\r\n"), Refused),
    plain("chunk-end", post!("transfer-encoding: chunked", "3\r\nabcXX0\r\n\r\n"), Refused),
    plain("chunk-end", post!("transfer-encoding: chunked", "3\r\nabc\n0\r\n\r\n"), Refused),
    plain(
        "trailer",
        post!("transfer-encoding: chunked", "0\r\ncontent-length: 42\r\n\r\n"),
        One("/a", 0),
    ),
    plain(
        "trailer",
        post!(
            "transfer-encoding: chunked",
            "0\r\ntransfer-encoding: chunked\r\nhost: other\r\n\r\n"
        ),
        One("/a", 0),
    ),
    // Targets and hosts.
    plain("absolute-form", "GET http://other.test/a HTTP/1.1\r\nhost: HOST\r\n\r\n", Refused),
    plain("absolute-form", "GET http://HOST/a HTTP/1.1\r\nhost: HOST\r\n\r\n", One("/a", 0)),
    plain("absolute-form", "GET http://HOST@other.test/a HTTP/1.1\r\nhost: HOST\r\n\r\n", Refused),
    plain("host-twice", "GET /a HTTP/1.1\r\nhost: HOST\r\nhost: other.test\r\n\r\n", Refused),
    plain("host-twice", "GET /a HTTP/1.1\r\nhost: HOST, other.test\r\n\r\n", Refused),
    plain("request-line", "GET /a HTTP/1.1 HTTP/1.1\r\nhost: HOST\r\n\r\n", Refused),
    plain("request-line", "GET  /a HTTP/1.1\r\nhost: HOST\r\n\r\n", Refused),
    plain("request-line", "GET /a\tHTTP/1.1\r\nhost: HOST\r\n\r\n", Refused),
    plain("request-line", "GET /a HTTP/1.2\r\nhost: HOST\r\n\r\n", Refused),
    plain("request-line", "GET /a HTTP/0.9\r\nhost: HOST\r\n\r\n", Refused),
    plain("request-line", "GET /a\r\n\r\n", Refused),
    // Two faults at once: what follows is not served for the one that is told.
    plain(
        "two-faults",
        concat!(
            "POST /%zz HTTP/1.1\r\nhost: HOST\r\ntransfer-encoding: identity, chunked\r\n\r\n0\r\n\r\n",
            smuggled!()
        ),
        Refused,
    ),
    plain(
        "two-faults",
        concat!(
            "POST http://other.test/b HTTP/1.1\r\nhost: HOST\r\ntransfer-encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
            smuggled!()
        ),
        Refused,
    ),
    plain(
        "two-faults",
        concat!("CONNECT other.test:80 HTTP/1.1\r\nhost: HOST:80\r\n\r\n", smuggled!()),
        Refused,
    ),
    // A switch that does not happen, or that would hide what follows.
    plain(
        "upgrade",
        "GET /a HTTP/1.1\r\nhost: HOST\r\nconnection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n",
        One("/a", 0),
    ),
    plain(
        "upgrade",
        "GET /a HTTP/1.1\r\nhost: HOST\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\nGET /second HTTP/1.1\r\nhost: HOST\r\n\r\n",
        Two("/a", 0),
    ),
    plain(
        "upgrade",
        "CONNECT HOST:80 HTTP/1.1\r\nhost: HOST:80\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: HOST\r\n\r\n",
        Refused,
    ),
    plain(
        "hop-by-hop",
        "POST /a HTTP/1.1\r\nhost: HOST\r\nconnection: content-length\r\ncontent-length: 5\r\n\r\nabcde",
        One("/a", 5),
    ),
    plain(
        "hop-by-hop",
        "POST /a HTTP/1.1\r\nhost: HOST\r\nconnection: transfer-encoding\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        One("/a", 3),
    ),
    // Bodies where few look for one.
    plain(
        "body-of-get",
        "GET /a HTTP/1.1\r\nhost: HOST\r\ncontent-length: 5\r\n\r\nabcde",
        One("/a", 5),
    ),
    plain(
        "body-of-get",
        "GET /a HTTP/1.1\r\nhost: HOST\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        One("/a", 3),
    ),
    plain(
        "pipelined",
        "GET /a HTTP/1.1\r\nhost: HOST\r\n\r\nGET /second HTTP/1.1\r\nhost: HOST\r\n\r\n",
        Two("/a", 0),
    ),
];

/// An attack over HTTP/2.
pub(crate) struct Framed {
    pub(crate) class: &'static str,
    /// Headers in their order, beside those of [`REQUEST`] that they do not name themselves.
    pub(crate) headers: &'static [(&'static str, &'static str)],
    pub(crate) body: &'static str,
    pub(crate) fate: Fate,
}

/// What a request has that says nothing else.
pub(crate) const REQUEST: [(&str, &str); 4] =
    [(":method", "POST"), (":scheme", "http"), (":authority", "HOST"), (":path", "/a")];

const fn framed(
    class: &'static str,
    headers: &'static [(&'static str, &'static str)],
    body: &'static str,
    fate: Fate,
) -> Framed {
    Framed { class, headers, body, fate }
}

/// What would be a head of its own, were it written as it is.
const SPLIT: &str = "b\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: HOST\r\nx: ";

/// Those over HTTP/2.
pub(crate) const FRAMED: &[Framed] = &[
    framed("h2-crlf-in-value", &[("x", SPLIT)], "", Refused),
    framed("h2-crlf-in-value", &[("x", "a\r\ntransfer-encoding: chunked")], "0\r\n\r\n", Refused),
    framed("h2-crlf-in-value", &[("x", "a\ncontent-length: 5")], "", Refused),
    framed("h2-crlf-in-value", &[("x", "a\0b")], "", Refused),
    framed("h2-crlf-in-name", &[("x: y\r\nz", "1")], "", Refused),
    framed("h2-crlf-in-name", &[("x:y", "1")], "", Refused),
    framed("h2-crlf-in-name", &[("x y", "1")], "", Refused),
    framed("h2-crlf-in-name", &[("X-Upper", "1")], "", Refused),
    framed("h2-crlf-in-name", &[("", "1")], "", Refused),
    framed("h2-path", &[(":path", "/a HTTP/1.1\r\nhost: HOST\r\n\r\nGET /smuggled")], "", Refused),
    framed("h2-path", &[(":path", "/a HTTP/1.1")], "", Refused),
    framed("h2-path", &[(":path", "a")], "", Refused),
    framed("h2-path", &[(":path", "")], "", Refused),
    framed("h2-path", &[(":path", "http://other.test/a")], "", Refused),
    // A fragment is for nobody but who has it.
    framed("h2-path", &[(":path", "/a#b")], "", One("/a", 0)),
    framed("h2-path", &[(":path", "/a"), (":path", "/smuggled")], "", Refused),
    framed("h2-method", &[(":method", "GET /smuggled HTTP/1.1\r\nx: y\r\n\r\nGET")], "", Refused),
    framed("h2-method", &[(":method", "GET /smuggled")], "", Refused),
    framed("h2-method", &[(":method", "CONNECT")], "", Refused),
    framed("h2-scheme", &[(":scheme", "http://other.test/?x=")], "", Refused),
    framed("h2-authority", &[(":authority", "HOST\r\nx: y")], "", Refused),
    framed("h2-authority", &[(":authority", "HOST/smuggled")], "", Refused),
    framed("h2-authority", &[(":authority", "HOST@other.test")], "", Refused),
    framed("h2-authority", &[("host", "other.test")], "", Refused),
    framed("h2-authority", &[("host", "HOST")], "", One("/a", 0)),
    framed("h2-cl", &[("content-length", "0")], "GET /smuggled HTTP/1.1\r\n\r\n", Refused),
    framed("h2-cl", &[("content-length", "100")], "abc", Refused),
    framed("h2-cl", &[("content-length", "3"), ("content-length", "0")], "abc", Refused),
    framed("h2-cl", &[("content-length", "3,0")], "abc", Refused),
    framed("h2-cl", &[("content-length", "3"), ("content-length", "3")], "abc", One("/a", 3)),
    framed("h2-te", &[("transfer-encoding", "chunked")], "0\r\n\r\n", Refused),
    framed(
        "h2-te",
        &[("transfer-encoding", "chunked"), ("content-length", "5")],
        "0\r\n\r\n",
        Refused,
    ),
    framed("h2-connection", &[("connection", "transfer-encoding")], "abc", Refused),
    framed("h2-connection", &[("connection", "upgrade"), ("upgrade", "websocket")], "", Refused),
    framed("h2-connection", &[("proxy-connection", "keep-alive")], "", Refused),
    framed("h2-connection", &[("te", "chunked")], "", Refused),
    framed("h2-pseudo", &[("x", "y"), (":path", "/smuggled")], "", Refused),
    framed("h2-pseudo", &[(":status", "200")], "", Refused),
    framed("h2-pseudo", &[(":protocol", "websocket")], "", Refused),
    framed("h2-plain", &[("x", "y")], "abc", One("/a", 3)),
];
