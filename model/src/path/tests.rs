//! The one normal form of a path, attack forms included.

use super::*;

#[test]
fn every_spelling_of_a_path_has_one_normal_form() {
    for (raw, wanted) in [
        ("", "/"),
        ("/", "/"),
        ("/a/b", "/a/b"),
        ("/a/b/", "/a/b/"),
        ("//a///b//", "/a/b/"),
        ("/%61%2D%7e%5F", "/a-~_"),
        ("/a%2fb", "/a%2Fb"),
        ("/caf\u{e9}", "/caf%C3%A9"),
        ("/caf%c3%a9", "/caf%C3%A9"),
        ("/a%20b", "/a%20b"),
        ("/{id}|\"<>^`[]", "/%7Bid%7D%7C%22%3C%3E%5E%60%5B%5D"),
        ("/a:b@c!$&'()*+,;=", "/a:b@c!$&'()*+,;="),
        ("/a%3Bb", "/a%3Bb"),
        ("/%2525", "/%2525"),
        ("/a/./b", "/a/b"),
        ("/a/../b", "/b"),
        ("/a/%2e%2E/b", "/b"),
        ("/a/.%2e/b", "/b"),
        ("/a//../b", "/b"),
        ("/a/.", "/a/"),
        ("/a/..", "/"),
        ("/a/b/..", "/a/"),
        ("/.", "/"),
        ("/.well-known/x", "/.well-known/x"),
        ("/a/...", "/a/..."),
        ("/a..b/..c", "/a..b/..c"),
    ] {
        let path = normalise(raw).unwrap_or_else(|fault| panic!("{raw}: {fault}"));
        assert_eq!(path, wanted, "{raw}");
        assert_eq!(normalise(&path).unwrap(), wanted, "{raw}, twice");
    }
}

#[test]
fn what_could_mean_two_things_is_refused() {
    for (raw, wanted) in [
        ("a", PathError::Relative),
        ("*", PathError::Relative),
        ("http://x/", PathError::Relative),
        ("/..", PathError::Climbs),
        ("/a/../..", PathError::Climbs),
        ("//..", PathError::Climbs),
        ("/%2e%2e/etc/passwd", PathError::Climbs),
        ("/%", PathError::Escape),
        ("/%4", PathError::Escape),
        ("/%4g", PathError::Escape),
        ("/%%41", PathError::Escape),
        ("/a%u0041", PathError::Escape),
        ("/a\\..\\b", PathError::Backslash),
        ("/a%5c..", PathError::Backslash),
        ("/a%5Cb", PathError::Backslash),
        ("/a%00", PathError::Control),
        ("/a%0d%0aX: y", PathError::Control),
        ("/a\tb", PathError::Control),
        ("/a b", PathError::Control),
        ("/a%7f", PathError::Control),
        ("/a?b", PathError::Delimiter),
        ("/a#b", PathError::Delimiter),
        ("/open/..%2fadmin", PathError::HiddenDots),
        ("/open/%2e%2e%2Fadmin", PathError::HiddenDots),
        ("/open%2f..%2fadmin", PathError::HiddenDots),
        ("/open/..;/admin", PathError::HiddenDots),
        ("/open/..;x=y/admin", PathError::HiddenDots),
        ("/open/..%3b/admin", PathError::HiddenDots),
        ("/open/.;/admin", PathError::HiddenDots),
    ] {
        assert_eq!(normalise(raw), Err(wanted), "{raw}");
    }
}

#[test]
fn a_path_in_normal_form_is_borrowed() {
    for raw in ["/", "/a/b.c/d", "/a%2Fb", "/.well-known/x"] {
        assert!(matches!(normalise(raw), Ok(Cow::Borrowed(_))), "{raw}");
    }
}

proptest::proptest! {
    #[test]
    fn normalising_twice_changes_nothing(raw in r"/([a-z./;%\\é{]|%2[eEfF5]|%[0-9a-f]{2}|//){0,24}") {
        if let Ok(path) = normalise(&raw) {
            proptest::prop_assert_eq!(normalise(&path).unwrap(), &*path);
            proptest::prop_assert!(path.starts_with('/') && !path.contains("//"));
            proptest::prop_assert!(path.split('/').all(|segment| segment != "." && segment != ".."));
        }
    }
}

#[test]
fn an_escaped_slash_is_what_it_is_told_to_be() {
    let with = |raw, slash| normalise_with(raw, slash).map(Cow::into_owned);
    for (raw, kept, decoded) in [
        ("/a%2fb", Ok("/a%2Fb"), Ok("/a/b")),
        ("/a%2F%2fb/", Ok("/a%2F%2Fb/"), Ok("/a/b/")),
        ("/a%2f..%2fb", Err(PathError::HiddenDots), Ok("/b")),
        ("/a%2f%2e%2e%2f..", Err(PathError::HiddenDots), Err(PathError::Climbs)),
        ("%2fa", Err(PathError::Relative), Err(PathError::Relative)),
        ("/a%2f..;x", Err(PathError::HiddenDots), Err(PathError::HiddenDots)),
        // What was escaped twice is escaped once for whoever decodes it, and no slash here.
        ("/a%252fb", Ok("/a%252fb"), Ok("/a%252fb")),
    ] {
        assert_eq!(with(raw, EscapedSlash::Keep), kept.map(str::to_owned), "{raw}, kept");
        assert_eq!(with(raw, EscapedSlash::Decode), decoded.map(str::to_owned), "{raw}, decoded");
    }
    assert_eq!(with("/a%2fb", EscapedSlash::Refuse), Err(PathError::EscapedSlash));
    assert_eq!(with("/a%252fb", EscapedSlash::Refuse), Ok("/a%252fb".to_owned()));
}
