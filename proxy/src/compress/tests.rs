//! Which answers are compressed, in which coding, and what they say of it.

use http::header::{LAST_MODIFIED, SET_COOKIE};

use super::*;

fn accepts(lines: &[&str]) -> Option<Coding> {
    let mut headers = HeaderMap::new();
    for line in lines {
        headers.append(ACCEPT_ENCODING, line.parse().unwrap());
    }
    negotiate(&headers, &Coding::ALL)
}

#[test]
fn a_caller_gets_what_it_takes_most_gladly() {
    let cases: [(&[&str], Option<Coding>); 18] = [
        (&[], None),
        (&[""], None),
        (&["gzip"], Some(Coding::Gzip)),
        (&["X-GZIP"], Some(Coding::Gzip)),
        (&["gzip, deflate, br, zstd"], Some(Coding::Zstd)),
        (&["gzip, deflate, br"], Some(Coding::Br)),
        (&["gzip;q=1.0, br;q=0.5"], Some(Coding::Gzip)),
        (&["gzip;q=0.4", "br; Q=0.401"], Some(Coding::Br)),
        (&["*"], Some(Coding::Zstd)),
        (&["*, zstd;q=0"], Some(Coding::Br)),
        (&["*;q=0"], None),
        (&["deflate"], None),
        (&["identity, gzip;q=0.5"], None),
        (&["identity;q=0.5, gzip;q=0.5"], Some(Coding::Gzip)),
        (&["identity;q=0, gzip;q=0"], None),
        // What is no weight is no wish.
        (&["gzip;q=2, br;q=x, zstd;level=9"], None),
        (&["gzip;q=0.1234, br;q=1.5, zstd;q=+1"], None),
        (&["*, zstd;q=x"], Some(Coding::Br)),
    ];
    for (lines, wanted) in cases {
        assert_eq!(accepts(lines), wanted, "{lines:?}");
    }
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("br, gzip, zstd"));
    let own = [Coding::Gzip, Coding::Br];
    assert_eq!(negotiate(&headers, &own), Some(Coding::Gzip), "ours decides among equals");
}

/// Whether an answer with these headers is compressed.
fn is_compressed(status: u16, headers: &[(HeaderName, &'static str)]) -> bool {
    let compression = Compression { algorithms: Vec::new(), types: Vec::new(), min_bytes: 100 };
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    for (name, value) in headers {
        response.headers_mut().append(name, HeaderValue::from_static(value));
    }
    is_fit(&compression, &response.into_parts().0)
}

#[test]
fn what_would_no_longer_be_true_stays_as_it_is() {
    let json = (CONTENT_TYPE, "application/json");
    let fine = [
        (CONTENT_LENGTH, "100"),
        (SET_COOKIE, "a=b"),
        (LAST_MODIFIED, "Sat, 28 Nov 2026 00:00:00 GMT"),
        (CACHE_CONTROL, "max-age=1, no-store"),
        (CONTENT_LENGTH, "many"),
    ];
    assert!(is_compressed(200, std::slice::from_ref(&json)));
    assert!(is_compressed(404, std::slice::from_ref(&json)), "pages of errors, too");
    for header in fine {
        assert!(is_compressed(200, &[json.clone(), header.clone()]), "{header:?}");
    }
    let odd = [
        (CONTENT_LENGTH, "99"),
        (CONTENT_ENCODING, "gzip"),
        (CONTENT_ENCODING, "identity"),
        (CONTENT_RANGE, "bytes 0-1/9"),
        (OF_BYTES[0].clone(), "sha-256=:AAAA:"),
        (CACHE_CONTROL, "max-age=1,No-Transform"),
    ];
    for header in odd {
        assert!(!is_compressed(200, &[json.clone(), header.clone()]), "{header:?}");
    }
    for status in [101, 204, 206] {
        assert!(!is_compressed(status, std::slice::from_ref(&json)), "{status}");
    }
    assert!(!is_compressed(200, &[]), "nobody knows what it is");
    assert!(!is_compressed(200, &[(CONTENT_TYPE, "image/png")]));
}

#[test]
fn a_compressed_answer_says_so() {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_LENGTH, HeaderValue::from_static("5000"));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(ETAG, HeaderValue::from_static("\"v1\""));
    alter(&mut headers, Coding::Br);
    assert_eq!(headers[CONTENT_ENCODING], "br");
    assert_eq!(headers[ETAG], "W/\"v1\"");
    assert!(!headers.contains_key(CONTENT_LENGTH) && !headers.contains_key(ACCEPT_RANGES));
    alter(&mut headers, Coding::Br);
    assert_eq!(headers[ETAG], "W/\"v1\"", "what is weak stays so");
}

#[test]
fn what_a_stored_answer_is_freshened_by_says_of_it_what_it_said_itself() {
    let policy = serde_json::json!({ "metadata": { "name": "p", "namespace": "shop" }, "spec": {
        "targetRefs": [{ "group": "", "kind": "Service", "name": "s" }], "compression": {} } });
    let policy: TrafficPolicy = serde_json::from_value(policy).unwrap();
    let held = |coding, media: Option<&'static str>, held: &[&'static str]| {
        let mut response = Response::new(Reply::Switched);
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        let headers = response.headers_mut();
        headers.insert(ETAG, HeaderValue::from_static("\"v1\""));
        media.map(|media| headers.insert(CONTENT_TYPE, HeaderValue::from_static(media)));
        let held = held.iter().map(|line| HeaderValue::from_static(line)).collect();
        let asked = Asked { policy: Arc::new(policy.clone()), coding, is_head: false, held };
        let response = asked.answer(response, &Arc::new(Semaphore::new(1)));
        let headers = response.headers();
        let text = |name| headers.get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
        assert!(!headers.contains_key(CONTENT_ENCODING));
        (text(ETAG), text(VARY))
    };
    let fresh = |coding, media| held(coding, media, &[]);
    let words = |tag: &str, vary: &str| (tag.to_owned(), vary.to_owned());
    assert_eq!(fresh(Some(Coding::Gzip), None), words("W/\"v1\"", "accept-encoding"));
    assert_eq!(fresh(None, None), words("\"v1\"", "accept-encoding"));
    assert_eq!(fresh(Some(Coding::Gzip), Some("image/png")), words("\"v1\"", ""));
    // By the tag that the caller holds it was compressed or not.
    let tag = |lines: &[&'static str]| held(Some(Coding::Gzip), None, lines).0;
    for weak in ["W/\"v1\"", "\"v0\", W/\"v1\"", "*", "\"v10\""] {
        assert_eq!(tag(&[weak]), "W/\"v1\"", "{weak}");
    }
    for strong in ["\"v1\"", "W/\"v0\",\"v1\"", "W/\"v1\", \"v1\""] {
        assert_eq!(tag(&[strong]), "\"v1\"", "{strong}");
    }
    assert_eq!(tag(&["W/\"v0\"", "\"v1\""]), "\"v1\"", "of several lines");
    // A backend may write anything, nothing included.
    let asked = Asked {
        policy: Arc::new(policy.clone()),
        coding: Some(Coding::Gzip),
        is_head: false,
        held: vec![HeaderValue::from_static("\"v1\"")],
    };
    let empty = HeaderMap::from_iter([(ETAG, HeaderValue::from_static(""))]);
    assert!(!asked.holds_as_it_is(&empty) && !asked.holds_as_it_is(&HeaderMap::new()));
}

#[test]
fn caches_are_told_once_what_an_answer_hangs_on() {
    let varies = |line: Option<&'static str>| {
        let mut headers = HeaderMap::new();
        line.map(|line| headers.insert(VARY, HeaderValue::from_static(line)));
        add_vary(&mut headers);
        let lines = headers.get_all(VARY).iter().map(|line| line.to_str().unwrap().to_owned());
        lines.collect::<Vec<_>>().join("; ")
    };
    assert_eq!(varies(None), "accept-encoding");
    assert_eq!(varies(Some("Origin")), "Origin; accept-encoding");
    assert_eq!(varies(Some("Origin, Accept-Encoding")), "Origin, Accept-Encoding");
    assert_eq!(varies(Some("*")), "*");
}
