//! What crosses the border, and what does not.

use http::Request;

use super::*;

fn parts(build: impl FnOnce(http::request::Builder) -> http::request::Builder) -> Parts {
    build(Request::builder()).body(()).unwrap().into_parts().0
}

#[test]
fn what_belongs_to_the_connection_stays_there() {
    let mut parts = parts(|request| {
        request
            .header("connection", "close, X-Secret, host, content-length, authorization")
            .header("x-secret", "1")
            .header("keep-alive", "timeout=5")
            .header("te", "trailers, deflate")
            .header("transfer-encoding", "chunked")
            .header("upgrade", "h2c")
            .header("http2-settings", "AAA")
            .header("host", "a.example")
            .header("authorization", "Bearer t")
            .header("content-length", "3")
            .header("accept", "*/*")
    });
    strip_hop_by_hop(&mut parts.headers);
    let mut left: Vec<_> = parts.headers.keys().map(HeaderName::as_str).collect();
    left.sort_unstable();
    assert_eq!(left, ["accept", "authorization", "content-length", "host", "te"]);
    assert_eq!(parts.headers["te"], "trailers");
}

#[test]
fn what_is_no_text_hides_no_word_beside_it() {
    let odd = |text: &[u8]| HeaderValue::from_bytes(text).unwrap();
    let mut headers = HeaderMap::new();
    headers.append(CONNECTION, odd(b"x-secret, \xff"));
    headers.append("x-secret", odd(b"1"));
    headers.append(TE, odd(b"gzip"));
    headers.append(TE, odd(b"trailers, \xff"));
    strip_hop_by_hop(&mut headers);
    assert_eq!(headers.keys().collect::<Vec<_>>(), [TE]);
    assert_eq!(headers[TE], "trailers");

    let asks = parts(|request| {
        request.header("connection", odd(b"\xff, upgrade")).header("upgrade", odd(b"h2c, \xff"))
    });
    assert!(wanted_upgrade(&asks).is_none(), "h2c beside what is no text");
}

#[test]
fn a_switch_to_nothing_or_to_what_is_no_text_was_not_asked_for() {
    let asked = HeaderValue::from_static("websocket, chat");
    for (chosen, wanted) in [
        (&b"WebSocket"[..], true),
        (b"tls", false),
        (b"websocket, \xff", false),
        (b"", false),
        (b",", false),
    ] {
        let response = Response::builder().header("upgrade", chosen).body(()).unwrap();
        assert_eq!(switches_to(&response, &asked), wanted, "{}", chosen.escape_ascii());
    }
    assert!(!switches_to(&Response::new(()), &asked));
}

#[test]
fn a_stranger_says_nothing_about_where_it_came_from() {
    let peer: IpAddr = "192.0.2.1".parse().unwrap();
    let mut parts = parts(|request| {
        request
            .header("x-forwarded-for", "10.0.0.1")
            .header("x-forwarded-proto", "https")
            .header("forwarded", "for=10.0.0.1")
            .header("x-real-ip", "10.0.0.1")
    });
    assert_eq!(source(peer, &parts.headers, |_| false), peer);
    let value = HeaderValue::from_static;
    let (seen, port, host) = (value("192.0.2.1"), value("8080"), value("a.example"));
    let origin = Origin {
        peer: &seen,
        trusted: false,
        scheme: Scheme::Http,
        port: &port,
        host: &host,
        client: None,
    };
    origin.write(&mut parts.headers);
    assert_eq!(parts.headers["x-forwarded-for"], "192.0.2.1");
    assert_eq!(parts.headers["x-forwarded-proto"], "http");
    assert_eq!(parts.headers["x-forwarded-host"], "a.example");
    assert!(!parts.headers.contains_key("forwarded") && !parts.headers.contains_key("x-real-ip"));
}

#[test]
fn of_certificates_only_what_was_proved_here_or_by_who_is_trusted_goes_on() {
    let value = HeaderValue::from_static;
    let (seen, port, host) = (value("192.0.2.1"), value("8080"), value("a.example"));
    let (sent, proved) = (value("Hash=sent"), value("Hash=proved"));
    for (trusted, client, wanted) in [
        (false, None, None),
        (false, Some(&proved), Some("Hash=proved")),
        (true, None, Some("Hash=sent")),
        (true, Some(&proved), Some("Hash=proved")),
    ] {
        let scheme = Scheme::Https;
        let origin = Origin { peer: &seen, trusted, scheme, port: &port, host: &host, client };
        for name in ["x-forwarded-client-cert", "client-cert", "client-cert-chain"] {
            let mut headers = HeaderMap::new();
            headers.append(name, sent.clone());
            headers.append(name, sent.clone());
            origin.write(&mut headers);
            let told = headers.get("x-forwarded-client-cert").map(|told| told.to_str().unwrap());
            let is_ours = name == "x-forwarded-client-cert";
            assert_eq!(told, wanted.filter(|wanted| is_ours || *wanted == "Hash=proved"));
            assert_eq!(
                headers.get_all("x-forwarded-client-cert").iter().count(),
                match told {
                    Some("Hash=sent") => 2,
                    Some(_) => 1,
                    None => 0,
                }
            );
            let kept = trusted && client.is_none();
            assert_eq!(headers.contains_key(name), kept || (is_ours && client.is_some()), "{name}");
        }
    }
}

#[test]
fn what_only_a_trusted_proxy_may_say_goes_on_in_no_spelling() {
    let value = HeaderValue::from_static;
    let (seen, port, host) = (value("192.0.2.1"), value("8080"), value("a.example"));
    for (trusted, client, goes) in [(false, None, false), (true, None, true)] {
        let scheme = Scheme::Http;
        let origin = Origin { peer: &seen, trusted, scheme, port: &port, host: &host, client };
        for name in
            ["x_forwarded_client_cert", "x_forwarded-client_cert", "x_real_ip", "x_request_id"]
        {
            let mut headers = HeaderMap::new();
            headers.append(name, value("forged"));
            headers.append("x_other", value("kept"));
            origin.write(&mut headers);
            assert_eq!(headers.contains_key(name), goes, "{name}");
            assert!(headers.contains_key("x_other"));
        }
    }
}

#[test]
fn trailers_say_nothing_that_headers_must() {
    let mut trailers = HeaderMap::new();
    for name in [
        "x-checksum",
        "x-request-id",
        "heddle-passport",
        "b3",
        "host",
        "content-length",
        "x-forwarded-client-cert",
        "x_real_ip",
        "te",
    ] {
        trailers.append(name, HeaderValue::from_static("1"));
    }
    strip_trailers(&mut trailers);
    assert_eq!(trailers.keys().collect::<Vec<_>>(), ["x-checksum"]);
}

#[test]
fn behind_trusted_proxies_the_last_untrusted_address_counts() {
    let trusted: ipnet::IpNet = "10.0.0.0/8".parse().unwrap();
    let peer: IpAddr = "10.0.0.9".parse().unwrap();
    let cases = [
        ("203.0.113.7", "203.0.113.7"),
        ("1.1.1.1, 203.0.113.7, 10.0.0.3", "203.0.113.7"),
        ("10.0.0.1, 10.0.0.2", "10.0.0.1"),
        ("203.0.113.7, junk, 10.0.0.3", "0.0.0.0"),
        ("unknown", "0.0.0.0"),
        ("203.0.113.7:51514", "203.0.113.7"),
        ("[2001:db8::7]:51514, 10.0.0.3", "2001:db8::7"),
        ("[2001:db8::7]", "2001:db8::7"),
    ];
    for (line, wanted) in cases {
        let parts = parts(|request| request.header("x-forwarded-for", line));
        let found = source(peer, &parts.headers, |address| trusted.contains(&address));
        assert_eq!(found, wanted.parse::<IpAddr>().unwrap(), "{line}");
    }
}

#[test]
fn behind_so_many_proxies_the_caller_is_so_many_addresses_from_the_end() {
    let peer: IpAddr = "10.0.0.9".parse().unwrap();
    for (lines, hops, wanted) in [
        (&["203.0.113.7"][..], 1, "203.0.113.7"),
        (&["1.1.1.1, 203.0.113.7"], 1, "203.0.113.7"),
        (&["1.1.1.1, 203.0.113.7, 10.0.0.3"], 2, "203.0.113.7"),
        (&["1.1.1.1", "203.0.113.7", "10.0.0.3"], 2, "203.0.113.7"),
        (&["203.0.113.7:51514, 10.0.0.3"], 2, "203.0.113.7"),
        (&["junk, 10.0.0.3"], 2, "0.0.0.0"),
        (&["\u{e9}, 203.0.113.7, 10.0.0.3"], 2, "203.0.113.7"),
        (&["\u{e9}", "10.0.0.3"], 2, "0.0.0.0"),
        // Past one of them, or all.
        (&["203.0.113.7"], 2, "10.0.0.9"),
        (&[], 1, "10.0.0.9"),
    ] {
        let parts = parts(|mut request| {
            for line in lines {
                request = request.header("x-forwarded-for", *line);
            }
            request
        });
        let found = source_behind(peer, &parts.headers, hops);
        assert_eq!(found, wanted.parse::<IpAddr>().unwrap(), "{lines:?} {hops}");
    }
}

#[test]
fn host_and_authority_must_agree() {
    let cases = [
        (("/", Some("a.example")), Some("a.example")),
        (("http://a.example/", Some("A.example")), Some("A.example")),
        (("http://a.example/", None), None),
        (("http://a.example/", Some("b.example")), None),
        (("http://user@a.example/", None), None),
        (("/", None), None),
    ];
    for ((uri, host), wanted) in cases {
        let parts = parts(|request| {
            let request = request.uri(uri);
            match host {
                Some(host) => request.header("host", host),
                None => request,
            }
        });
        assert_eq!(one_host(&parts), wanted, "{uri} {host:?}");
    }
    let twice = parts(|request| request.header("host", "a").header("host", "a"));
    assert_eq!(one_host(&twice), None);
    // What other versions may leave out.
    for version in [Version::HTTP_10, Version::HTTP_2] {
        let alone = parts(|request| request.uri("http://a.example/").version(version));
        assert_eq!(one_host(&alone), Some("a.example"), "{version:?}");
    }
}

#[test]
fn a_length_is_one_number() {
    for (lines, wanted) in [
        (&[][..], Length::Plain),
        (&["5"], Length::Plain),
        (&["5", "5", "5"], Length::Repeated),
        (&["5", "5", "6"], Length::Odd),
        (&["5", "05"], Length::Odd),
        (&["5, 5"], Length::Odd),
        (&["-1"], Length::Odd),
        (&[""], Length::Odd),
    ] {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(CONTENT_LENGTH, HeaderValue::from_static(line));
        }
        assert_eq!(length(&headers), wanted, "{lines:?}");
    }
}

#[test]
fn h2c_is_no_upgrade() {
    let asks = |word: &'static str| {
        parts(|request| request.header("connection", "Upgrade").header("upgrade", word))
    };
    assert_eq!(wanted_upgrade(&asks("websocket")).unwrap(), "websocket");
    assert!(wanted_upgrade(&asks("h2c")).is_none());
    let silent = parts(|request| request.header("upgrade", "websocket"));
    assert!(wanted_upgrade(&silent).is_none(), "without Connection: upgrade");
}

#[test]
fn the_consoles_cookies_are_taken_off_and_others_stay_byte_for_byte() {
    for (lines, wanted) in [
        (&["a=1; b=2"][..], &["a=1; b=2"][..]),
        (&["a=1; heddle-session=s; b=2"], &["a=1; b=2"]),
        (&["heddle-session=s; a=1;b=\"2\""], &["a=1;b=\"2\""]),
        (&["a=1;  b = 2 ;heddle-session=s"], &["a=1;  b = 2 "]),
        (&["heddle-session=s"], &[]),
        (&["heddle-login=l; a=1; __Host-heddle-login=l"], &["a=1"]),
        (&[" heddle-session = s ; heddle-session=t"], &[]),
        (&["a=1", "__Host-heddle-session=s; heddle-session=s", "b=2"], &["a=1", "b=2"]),
        // Whatever else looks like it is somebody else's.
        (&["heddle-session-2=a; Heddle-Session=b"], &["heddle-session-2=a; Heddle-Session=b"]),
        (&["a=heddle-session=s; heddle-session"], &["a=heddle-session=s; heddle-session"]),
        (&["a=1; mine=t; b=2; mine", "other=mine"], &["a=1; b=2; mine", "other=mine"]),
        (&["a=token; b=2"], &["b=2"]),
        (&["a=1;;heddle-session=s;\u{e4}=\u{e4}"], &["a=1;;\u{e4}=\u{e4}"]),
    ] {
        let mut parts = parts(|mut request| {
            for line in lines {
                request = request.header("cookie", *line);
            }
            request
        });
        let is_ours = |name: &[u8], value: &[u8]| name == b"mine" || value == b"token";
        strip_session(&mut parts.headers, is_ours);
        let left: Vec<_> = parts.headers.get_all("cookie").iter().map(|v| v.as_bytes()).collect();
        let wanted: Vec<_> = wanted.iter().map(|line| line.as_bytes()).collect();
        assert_eq!(left, wanted, "{lines:?}");
    }
}

#[test]
fn every_name_that_ends_here_is_told_from_others() {
    for (at, name) in HOP.iter().enumerate() {
        assert_eq!(hop(name), Some(at), "{name}");
    }
    for other in ["accept", "te-", "connections", "x-forwarded-for", &"t".repeat(34)] {
        assert_eq!(hop(&HeaderName::from_bytes(other.as_bytes()).unwrap()), None, "{other}");
    }
}
