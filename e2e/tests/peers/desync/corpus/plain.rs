//! Those over HTTP/1.1.

use super::Fate::{One, OneThen, Refused, Two};
use super::How::{Answered, Awaited, Status, Within};
use super::{Fate, Plain};

/// Nobody can say where it ends: it is answered so before it goes anywhere, and the connection closed.
const BAD: Fate = Refused(Status(400));
/// Its end is plain, so that the next one is served.
const UNSUITED: Fate = Refused(Answered(400));

const fn plain(class: &'static str, text: &'static str, fate: Fate) -> Plain {
    Plain { class, text, fate }
}

/// What is behind the end that one reader sees, and before the one that another does.
macro_rules! smuggled {
    () => {
        "GET /smuggled HTTP/1.1\r\nhost: HOST\r\n\r\n"
    };
}

/// What is behind a whole request, and asked for by the same caller.
macro_rules! second {
    () => {
        "GET /second HTTP/1.1\r\nhost: HOST\r\n\r\n"
    };
}

/// A body that reads as a request; of 30 bytes, whatever the host is called.
macro_rules! within {
    () => {
        "GET /within HTTP/1.1\r\nx: y\r\n\r\n"
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
        Refused(Awaited),
    ),
    plain("te-cl", chunked!("transfer-encoding: chunked\r\ncontent-length: 5"), One("/a", 0)),
    // A coding that one reader knows and another does not.
    plain("te-obfuscated", chunked!("transfer-encoding: xchunked"), BAD),
    plain("te-obfuscated", chunked!("transfer-encoding : chunked"), BAD),
    plain("te-obfuscated", chunked!("transfer-encoding:\x0bchunked"), BAD),
    plain("te-obfuscated", chunked!("transfer-encoding: \"chunked\""), BAD),
    plain("te-obfuscated", chunked!("transfer-encoding: chunked, identity"), BAD),
    plain("te-obfuscated", chunked!("transfer-encoding: identity, chunked"), BAD),
    plain("te-obfuscated", chunked!("transfer-encoding: chunked\r\ntransfer-encoding: x"), BAD),
    plain("te-obfuscated", chunked!("transfer-encoding: chunked, chunked"), BAD),
    plain("te-obfuscated", chunked!("transfer-encoding: chunked;q=1"), BAD),
    plain("te-obfuscated", chunked!("transfer-encoding: \u{e9}chunked"), BAD),
    plain("te-obfuscated", chunked!("\r\ntransfer-encoding: chunked"), OneThen("/a", 0, 400)),
    plain("te-obfuscated", chunked!("x: y\rtransfer-encoding: chunked"), BAD),
    plain(
        "te-obfuscated",
        post!("transfer-encoding: chunked \t", "3\r\nabc\r\n0\r\n\r\n"),
        One("/a", 3),
    ),
    plain(
        "te-obfuscated",
        post!("transfer_encoding: chunked\r\ncontent-length: 5", "0\r\n\r\n"),
        One("/a", 5),
    ),
    plain(
        "te-in-1.0",
        "POST /a HTTP/1.0\r\nhost: HOST\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        BAD,
    ),
    // Two lengths, or one that not everybody can read.
    plain("cl-twice", post!("content-length: 0\r\ncontent-length: 42", smuggled!()), BAD),
    plain("cl-twice", post!("content-length: 42\r\ncontent-length: 0", smuggled!()), BAD),
    plain("cl-twice", post!("content-length: 0, 42", smuggled!()), BAD),
    plain("cl-malformed", post!("content-length: +5", "abcde"), BAD),
    plain("cl-malformed", post!("content-length: -5", "abcde"), BAD),
    plain("cl-malformed", post!("content-length: 0x5", "abcde"), BAD),
    plain("cl-malformed", post!("content-length: 5;a", "abcde"), BAD),
    plain("cl-malformed", post!("content-length: 5 0", "abcde"), BAD),
    plain("cl-malformed", post!("content-length: 99999999999999999999", "abcde"), BAD),
    plain("cl-malformed", post!("content-length : 5", "abcde"), BAD),
    plain("cl-malformed", post!("content-length:", smuggled!()), BAD),
    plain("cl-twice", post!("content-length: 5\r\ncontent-length: 5", "abcde"), One("/a", 5)),
    plain("spaced", post!("content-length: \t 5\t ", "abcde"), One("/a", 5)),
    plain("cl-untrue", post!("content-length: 42", "abcde"), Refused(Awaited)),
    plain("cl-untrue", post!("content-length: 5", "abc"), Refused(Awaited)),
    // Lines that go on in the next one.
    plain("obs-fold", chunked!("transfer-encoding:\r\n chunked"), BAD),
    plain("obs-fold", post!("content-length:\r\n\t5", "abcde"), BAD),
    plain("obs-fold", "GET /a HTTP/1.1\r\n x: y\r\nhost: HOST\r\n\r\n", BAD),
    plain("obs-fold", "GET /a HTTP/1.1\r\nhost: HOST\r\nx: y\r\n z\r\n\r\n", BAD),
    // Ends of lines that are none, or not to everybody.
    plain("bare-cr", "GET /a HTTP/1.1\r\nhost: HOST\r\nx: y\rhost: other\r\n\r\n", BAD),
    plain("bare-cr", "GET /a HTTP/1.1\rhost: HOST\r\r", BAD),
    plain("bare-cr", post!("content-length: 5\rx: y", "abcde"), BAD),
    plain("bare-cr", "GET /a HTTP/1.1\r\nhost: HOST\r\nx: y\r\r\n\r\n", BAD),
    plain("bare-cr", "GET /a HTTP/1.1\r\nhost: HOST\r\nx\ry: z\r\n\r\n", BAD),
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
        BAD,
    ),
    plain("nul", "GET /a HTTP/1.1\r\nhost: HOST\r\nx: a\0b\r\n\r\n", BAD),
    plain("nul", "GET /a\0 HTTP/1.1\r\nhost: HOST\r\n\r\n", BAD),
    // Names that are none.
    plain("name", "GET /a HTTP/1.1\r\nhost: HOST\r\nx y: 1\r\n\r\n", BAD),
    plain("name", "GET /a HTTP/1.1\r\nhost: HOST\r\nx(y: 1\r\n\r\n", BAD),
    plain("name", "GET /a HTTP/1.1\r\nhost: HOST\r\n: 1\r\n\r\n", BAD),
    plain("name", "GET /a HTTP/1.1\r\nhost: HOST\r\nx\r\n\r\n", BAD),
    plain("pseudo", "GET /a HTTP/1.1\r\nhost: HOST\r\n:path: /smuggled\r\n\r\n", BAD),
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
    plain("chunk-extension", post!("transfer-encoding: chunked", "2;\nxx\r\n4c\r\n0\r\n\r\n"), BAD),
    plain(
        "chunk-extension",
        post!("transfer-encoding: chunked", "3;a\rb\r\nabc\r\n0\r\n\r\n"),
        BAD,
    ),
    plain(
        "chunk-size",
        post!("transfer-encoding: chunked", "FFFFFFFFFFFFFFFFF\r\nabc\r\n0\r\n\r\n"),
        BAD,
    ),
    plain(
        "chunk-size",
        post!("transfer-encoding: chunked", "10000000000000003\r\nabc\r\n0\r\n\r\n"),
        BAD,
    ),
    plain("chunk-size", post!("transfer-encoding: chunked", "-3\r\nabc\r\n0\r\n\r\n"), BAD),
    plain("chunk-size", post!("transfer-encoding: chunked", "0x3\r\nabc\r\n0\r\n\r\n"), BAD),
    plain("chunk-size", post!("transfer-encoding: chunked", "3_0\r\nabc\r\n0\r\n\r\n"), BAD),
    plain("chunk-size", post!("transfer-encoding: chunked", "\r\n3\r\nabc\r\n0\r\n\r\n"), BAD),
    plain(
        "chunk-size",
        post!("transfer-encoding: chunked", "3 \r\nabc\r\n0\r\n\r\n"),
        One("/a", 3),
    ),
    plain(
        "chunk-size",
        post!("transfer-encoding: chunked", "3\t;a\r\nabc\r\n0\r\n\r\n"),
        One("/a", 3),
    ),
    plain("chunk-size", post!("transfer-encoding: chunked", " 3\r\nabc\r\n0\r\n\r\n"), BAD),
    plain("chunk-size", post!("transfer-encoding: chunked", "3 3\r\nabc\r\n0\r\n\r\n"), BAD),
    plain("chunk-end", post!("transfer-encoding: chunked", "3\r\nabcXX0\r\n\r\n"), Refused(Within)),
    plain("chunk-end", post!("transfer-encoding: chunked", "3\r\nabc\n0\r\n\r\n"), Refused(Within)),
    plain(
        "trailer",
        post!("transfer-encoding: chunked", "3\r\nabc\r\n0\r\nx: y\r\n\r\n"),
        One("/a", 3),
    ),
    plain(
        "trailer",
        post!("transfer-encoding: chunked\r\ntrailer: x", "3\r\nabc\r\n0\r\nx: y\r\n\r\n"),
        One("/a", 3),
    ),
    plain(
        "trailer",
        post!(
            "transfer-encoding: chunked",
            "0\r\nx: y\r\n\r\nGET /second HTTP/1.1\r\nhost: HOST\r\n\r\n"
        ),
        One("/a", 0),
    ),
    plain(
        "trailer",
        post!("transfer-encoding: chunked", "0\r\n\nGET /second HTTP/1.1\r\nhost: HOST\r\n\r\n"),
        One("/a", 0),
    ),
    plain(
        "trailer",
        post!(
            "transfer-encoding: chunked",
            "0\r\nx: y\n\nGET /second HTTP/1.1\r\nhost: HOST\r\n\r\n"
        ),
        One("/a", 0),
    ),
    plain("trailer", post!("transfer-encoding: chunked", "0\r\nx : y\r\n\r\n"), Refused(Within)),
    plain("trailer", post!("transfer-encoding: chunked", "0\r\nx: a\0b\r\n\r\n"), Refused(Within)),
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
    plain("path", "GET a HTTP/1.1\r\nhost: HOST\r\n\r\n", UNSUITED),
    plain("path", "GET /a#b HTTP/1.1\r\nhost: HOST\r\n\r\n", One("/a", 0)),
    plain("method", "G(T /a HTTP/1.1\r\nhost: HOST\r\n\r\n", BAD),
    // What TLS and the listener say counts, not this.
    plain("scheme", "GET gopher://HOST/a HTTP/1.1\r\nhost: HOST\r\n\r\n", One("/a", 0)),
    plain("authority", "GET /a HTTP/1.1\r\nhost: HOST/smuggled\r\n\r\n", UNSUITED),
    plain("authority", "GET /a HTTP/1.1\r\nhost: HOST@other.test\r\n\r\n", UNSUITED),
    plain("authority", "GET /a HTTP/1.1\r\nhost:\r\n\r\n", UNSUITED),
    plain("authority", "GET /a HTTP/1.1\r\n\r\n", UNSUITED),
    plain("absolute-form", "GET http://other.test/a HTTP/1.1\r\nhost: HOST\r\n\r\n", UNSUITED),
    plain("absolute-form", "GET http://HOST/a HTTP/1.1\r\nhost: HOST\r\n\r\n", One("/a", 0)),
    plain("absolute-form", "GET http://HOST@other.test/a HTTP/1.1\r\nhost: HOST\r\n\r\n", UNSUITED),
    plain("host-twice", "GET /a HTTP/1.1\r\nhost: HOST\r\nhost: other.test\r\n\r\n", UNSUITED),
    plain("host-twice", "GET /a HTTP/1.1\r\nhost: HOST, other.test\r\n\r\n", UNSUITED),
    plain("request-line", "GET /a HTTP/1.1 HTTP/1.1\r\nhost: HOST\r\n\r\n", BAD),
    plain("request-line", "GET  /a HTTP/1.1\r\nhost: HOST\r\n\r\n", BAD),
    plain("request-line", "GET /a\tHTTP/1.1\r\nhost: HOST\r\n\r\n", BAD),
    plain("request-line", "GET /a HTTP/1.2\r\nhost: HOST\r\n\r\n", BAD),
    plain("request-line", "GET /a HTTP/0.9\r\nhost: HOST\r\n\r\n", BAD),
    plain("request-line", "GET /a\r\n\r\n", BAD),
    // Two faults at once: what follows is not served for the one that is told.
    plain(
        "two-faults",
        concat!(
            "POST /%zz HTTP/1.1\r\nhost: HOST\r\ntransfer-encoding: identity, chunked\r\n\r\n0\r\n\r\n",
            smuggled!()
        ),
        BAD,
    ),
    plain(
        "two-faults",
        concat!(
            "POST http://other.test/b HTTP/1.1\r\nhost: HOST\r\ntransfer-encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
            smuggled!()
        ),
        BAD,
    ),
    plain(
        "two-faults",
        concat!("CONNECT other.test:80 HTTP/1.1\r\nhost: HOST:80\r\n\r\n", smuggled!()),
        BAD,
    ),
    // A switch that does not happen, or that would hide what follows.
    plain(
        "upgrade",
        post!(
            "connection: upgrade\r\nupgrade: websocket\r\ncontent-length: 5",
            concat!("abcde", second!())
        ),
        Two("/a", 5),
    ),
    plain(
        "upgrade",
        post!(
            "connection: upgrade\r\nupgrade: websocket\r\ntransfer-encoding: chunked",
            concat!("3\r\nabc\r\n0\r\n\r\n", second!())
        ),
        Two("/a", 3),
    ),
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
        BAD,
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
        "expect",
        post!("expect: 100-continue\r\ncontent-length: 5", concat!("abcde", second!())),
        Two("/a", 5),
    ),
    plain(
        "expect",
        post!(
            "expect: 100-continue\r\ntransfer-encoding: chunked",
            concat!("3\r\nabc\r\n0\r\n\r\n", second!())
        ),
        Two("/a", 3),
    ),
    plain("expect", post!("expect: 100-continue", second!()), Two("/a", 0)),
    plain(
        "expect",
        post!("expect: 100-continue\r\nexpect: x\r\ncontent-length: 5", "abcde"),
        One("/a", 5),
    ),
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
    // To a reader who takes no body, it is another request.
    plain("cl-0", post!("content-length: 30", within!()), One("/a", 30)),
    plain("cl-0", post!("connection: keep-alive\r\ncontent-length: 30", within!()), One("/a", 30)),
    plain(
        "te-0",
        post!("transfer-encoding: chunked", concat!("1e\r\n", within!(), "\r\n0\r\n\r\n")),
        One("/a", 30),
    ),
    plain(
        "cl-0",
        concat!("GET /a HTTP/1.1\r\nhost: HOST\r\ncontent-length: 30\r\n\r\n", within!()),
        One("/a", 30),
    ),
    plain(
        "pipelined",
        "GET /a HTTP/1.1\r\nhost: HOST\r\n\r\nGET /second HTTP/1.1\r\nhost: HOST\r\n\r\n",
        Two("/a", 0),
    ),
    plain("plain", post!("x: y\r\ncontent-length: 3", "abc"), One("/a", 3)),
];
