//! The one normal form of a host.

use super::*;

#[test]
fn every_spelling_of_a_host_has_one_normal_form() {
    for (raw, wanted) in [
        ("shop.example.com", "shop.example.com"),
        ("Shop.EXAMPLE.com", "shop.example.com"),
        ("shop.example.com:8080", "shop.example.com"),
        ("shop.example.com:", "shop.example.com"),
        ("shop.example.com.", "shop.example.com"),
        ("shop.example.com.:443", "shop.example.com"),
        ("my_service", "my_service"),
        ("10.0.0.1:80", "10.0.0.1"),
        ("[::1]", "[::1]"),
        ("[::1]:8443", "[::1]"),
        ("[2001:DB8:0::1]", "[2001:db8::1]"),
    ] {
        assert_eq!(normalise(raw).unwrap(), wanted, "{raw}");
    }
    assert!(matches!(normalise("a.b:80"), Ok(Cow::Borrowed("a.b"))));
}

#[test]
fn what_is_no_host_is_refused() {
    let long = "a.".repeat(127) + "a";
    for (raw, wanted) in [
        ("", HostError::Empty),
        (":80", HostError::Empty),
        (".", HostError::Empty),
        (long.as_str(), HostError::Long),
        ("user@host", HostError::Character),
        ("a b", HostError::Character),
        ("a/b", HostError::Character),
        ("a%2eb", HostError::Character),
        ("b\u{fc}cher.example", HostError::Character),
        ("a\0b", HostError::Character),
        ("a..b", HostError::Label),
        (".a", HostError::Label),
        ("a.b..", HostError::Label),
        ("a:b", HostError::Port),
        ("a:65536", HostError::Port),
        ("a:+80", HostError::Port),
        ("a:80:80", HostError::Port),
        ("::1", HostError::Port),
        ("[::1", HostError::Address),
        ("[::1]x", HostError::Port),
        ("[::1%25eth0]", HostError::Address),
        ("[a.b]", HostError::Address),
        ("[]", HostError::Address),
    ] {
        assert_eq!(normalise(raw), Err(wanted), "{raw}");
    }
}

proptest::proptest! {
    #[test]
    fn normalising_twice_changes_nothing(raw in "\\PC{0,20}|[a-zA-Z.:\\[\\]0-9]{0,16}") {
        if let Ok(host) = normalise(&raw) {
            proptest::prop_assert_eq!(normalise(&host).unwrap(), &*host);
        }
    }
}
