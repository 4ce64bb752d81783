//! What an origin may be written as, and whose pages it means.

use super::*;

#[test]
fn an_origin_means_its_scheme_its_hosts_and_its_port_in_any_letter_case() {
    for (written, meant, others) in [
        ("*", &["https://a.com", "http://[::1]:3000", "null", "odd"][..], &[][..]),
        (
            "https://shop.example.com",
            &[
                "https://shop.example.com",
                "https://shop.example.com:443",
                "HTTPS://Shop.Example.com",
            ],
            &[
                "http://shop.example.com",
                "https://shop.example.com:8443",
                "https://shop.example.com:",
                "https://shop.example.com/",
                "https://shop.example.com.",
                "https://a.shop.example.com",
                "https://example.com",
                "https://evil.com?https://shop.example.com",
                "https://evil@shop.example.com",
                "shop.example.com",
                "null",
                "",
            ],
        ),
        (
            "https://*.Example.com",
            &["https://a.example.com", "https://a.b.EXAMPLE.com:443"],
            &[
                "https://example.com",
                "https://.example.com",
                "https://notexample.com",
                "https://a.example.com.evil.com",
                "https://evil.com/.example.com",
                "https://evil.com#.example.com",
                "https://evil.com:443@a.example.com",
                "https://a.example.com:8443",
                "http://a.example.com",
                "https://[::1].example.com",
                "https://\u{e9}.example.com",
                "\u{e9}",
            ],
        ),
        (
            "http://*",
            &["http://a", "http://10.0.0.1", "http://[::1]", "http://a:80"],
            &["https://a", "http://a:8080", "http://", "http://a/b", "http://[::1", "http://[x]"],
        ),
        (
            "http://localhost:3000",
            &["http://localhost:3000"],
            &["http://localhost", "http://localhost:+3000", "http://localhost:30000"],
        ),
        ("http://a:443", &["http://a:443"], &["http://a", "https://a", "https://a:443"]),
        ("capacitor://localhost", &["capacitor://localhost"], &["http://localhost"]),
    ] {
        let origin = Origin::parse(written).unwrap();
        for meant in meant {
            assert!(origin.matches(meant), "{written} means {meant}");
        }
        for other in others {
            assert!(!origin.matches(other), "{written} does not mean {other}");
        }
    }
}

#[test]
fn what_is_no_origin_is_told_with_what_would_be_right() {
    for no_origin in [
        "",
        "shop.example.com",
        "https://",
        "https://a.com/",
        "https://a.com/path",
        "https://a.com?q",
        "https://a..com",
        "https://a.com.",
        "https://a.com:0",
        "https://a.com:65536",
        "https://a.com:",
        "https://u@a.com",
        "https://[::1]",
        "://a.com",
        "1a://a.com",
        "null",
    ] {
        let told = Origin::parse(no_origin).map_err(|error| error.to_string()).unwrap_err();
        assert!(told.contains("is no origin; write scheme://host"), "{no_origin}: {told}");
    }
    for star in
        ["https://a.*.com", "https://*a.com", "https://**.com", "https://*.*.com", "https://*."]
    {
        let told = Origin::parse(star).map_err(|error| error.to_string()).unwrap_err();
        assert!(told.contains("as in https://*.example.com"), "{star}: {told}");
    }
    // In the place of a scheme or a port it is nothing but wrong.
    for star in ["*://a.com", "https://a.com:*", "**"] {
        assert!(matches!(Origin::parse(star), Err(OriginError::Form(_))), "{star}");
    }
}
