//! The table of prefix replacements in the Gateway API.

use super::*;

const OLD: HeaderValue = HeaderValue::from_static("old.example");
const NEW: HeaderValue = HeaderValue::from_static("new.example");

fn prefix(new: &str) -> PathChange {
    PathChange::compile(&PathModifier {
        kind: PathModifierType::ReplacePrefixMatch,
        replace_full_path: None,
        replace_prefix_match: Some(new.to_owned()),
    })
    .unwrap()
}

fn full(new: &str) -> PathModifier {
    PathModifier {
        kind: PathModifierType::ReplaceFullPath,
        replace_full_path: Some(new.to_owned()),
        replace_prefix_match: None,
    }
}

fn head(uri: &str) -> http::request::Parts {
    http::Request::get(uri).header("host", "old.example").body(()).unwrap().into_parts().0
}

#[test]
fn slashes_fall_as_the_specification_says() {
    // Request path, matched prefix, replacement, result (Gateway API, `HTTPPathModifier`).
    for (path, matched, new, wanted) in [
        ("/foo/bar", "/foo", "/xyz", "/xyz/bar"),
        ("/foo/bar", "/foo", "/xyz/", "/xyz/bar"),
        ("/foo/bar", "/foo/", "/xyz", "/xyz/bar"),
        ("/foo/bar", "/foo/", "/xyz/", "/xyz/bar"),
        ("/foo", "/foo", "/xyz", "/xyz"),
        ("/foo/", "/foo", "/xyz", "/xyz/"),
        ("/foo/bar", "/foo", "", "/bar"),
        ("/foo/", "/foo", "", "/"),
        ("/foo", "/foo", "", "/"),
        ("/foo/", "/foo", "/", "/"),
        ("/foo", "/foo", "/", "/"),
        ("/foo", "/", "/xyz", "/xyz/foo"),
        ("/", "/", "/xyz", "/xyz/"),
        ("/", "/", "", "/"),
    ] {
        assert_eq!(prefix(new).apply(path, Some(matched)), wanted, "{path} {matched} {new}");
    }
    assert_eq!(prefix("/xyz").apply("/foo", None), "/xyz/foo");
}

#[test]
fn a_full_path_replaces_all_and_the_query_stays() {
    let rewrite = UrlRewrite { hostname: None, path: Some(full("/new")) };
    let mut head = head("/old/x?a=1&b=%20");
    Rewrite::compile(&rewrite).unwrap().apply(&mut head, Some("/old")).unwrap();
    assert_eq!(head.uri, "/new?a=1&b=%20");
    assert_eq!(head.headers["host"], "old.example");
}

#[test]
fn the_prefix_is_found_in_the_normal_form() {
    let rewrite = Rewrite { path: Some(prefix("/new")), host: None };
    let mut head = head("//old/./%78?q");
    rewrite.apply(&mut head, Some("/old")).unwrap();
    assert_eq!(head.uri, "/new/x?q");
}

#[test]
fn a_host_is_set_in_the_header_and_where_there_is_one_in_the_uri() {
    let hostname = Some(Hostname::parse("new.example").unwrap());
    let rewrite = Rewrite::compile(&UrlRewrite { hostname, path: None }).unwrap();
    let mut origin = head("/a?b");
    rewrite.apply(&mut origin, None).unwrap();
    assert_eq!(
        (origin.uri.to_string(), &origin.headers["host"]),
        ("/a?b".to_owned(), &"new.example".parse().unwrap())
    );
    let mut absolute = head("https://old.example:8443/a?b");
    rewrite.apply(&mut absolute, None).unwrap();
    assert_eq!(absolute.uri, "https://new.example/a?b");
    assert_eq!(absolute.headers["host"], "new.example");
}

#[test]
fn what_makes_no_target_is_an_error_and_leaves_the_head_as_it_came() {
    let hostname = Some(Hostname::parse("new.example").unwrap());
    let path = PathModifier {
        kind: PathModifierType::ReplacePrefixMatch,
        replace_full_path: None,
        replace_prefix_match: Some("/longer".to_owned()),
    };
    let rewrite = Rewrite::compile(&UrlRewrite { hostname, path: Some(path) }).unwrap();
    let room = usize::from(u16::MAX - 1);
    // Too long by what is put in front; by the query behind it; by what quotes become; no path.
    let in_path = format!("/old/{}", "x".repeat(room - "/old/".len()));
    let in_query = format!("/old?{}", "x".repeat(room - "/old?".len()));
    let in_escapes = format!("/old/{}", "\"".repeat(22_000));
    for uri in [&*in_path, &*in_query, &*in_escapes, "*", "/old/%zz", "/.."] {
        let mut head = head(uri);
        assert_eq!(rewrite.apply(&mut head, Some("/old")), Err(TargetTooLong), "{uri:.20}");
        assert_eq!((head.uri.to_string().as_str(), &head.headers["host"]), (uri, &OLD));
    }
    let fits = format!("/old/{}", "x".repeat(room - "/longer/".len()));
    let mut head = head(&fits);
    rewrite.apply(&mut head, Some("/old")).unwrap();
    assert_eq!((head.uri.path().len(), &head.headers["host"]), (room, &NEW));
}

#[test]
fn a_head_that_takes_no_host_any_more_is_not_sent_to_the_old_one() {
    let hostname = Some(Hostname::parse("new.example").unwrap());
    let rewrite = Rewrite::compile(&UrlRewrite { hostname, path: None }).unwrap();
    let mut full = head("/");
    full.headers.remove("host");
    for n in 0.. {
        let name = http::HeaderName::try_from(format!("x-{n}")).unwrap();
        if full.headers.try_insert(name, HeaderValue::from_static("")).is_err() {
            break;
        }
    }
    assert_eq!(rewrite.apply(&mut full, None), Err(TargetTooLong));
}

#[test]
fn what_is_no_path_or_host_does_not_compile() {
    assert_eq!(PathChange::compile(&full("x")), Err(ChainError::Path("x".to_owned())));
    let hostname = Some(Hostname::parse("*.example").unwrap());
    let fault = Rewrite::compile(&UrlRewrite { hostname, path: None });
    assert_eq!(fault, Err(ChainError::Host("*.example".to_owned())));
}
