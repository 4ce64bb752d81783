//! Which paths, headers and query parameters a pattern means.

use http::HeaderValue;

use super::*;

fn path(kind: PathMatchType, value: &str) -> Result<PathPattern, PatternError> {
    PathPattern::compile(&PathMatch { kind, value: value.to_owned() })
}

fn header(kind: ValueMatchType, value: &str) -> HeaderPattern {
    HeaderPattern::compile(&HeaderMatch { kind, name: "X-A".to_owned(), value: value.to_owned() })
        .unwrap()
}

fn query(kind: ValueMatchType, name: &str, value: &str) -> QueryPattern {
    let (name, value) = (name.to_owned(), value.to_owned());
    QueryPattern::compile(&QueryMatch { kind, name, value }).unwrap()
}

#[test]
fn a_prefix_means_whole_elements() {
    for (prefix, request, wanted) in [
        ("/", "/", true),
        ("/", "/a", true),
        ("/a", "/a", true),
        ("/a", "/a/", true),
        ("/a", "/a/b", true),
        ("/a", "/ab", false),
        ("/a", "/", false),
        ("/a/", "/a", true),
        ("/a/", "/a/b", true),
        ("/a/", "/ab", false),
        ("/a/b", "/a", false),
        ("/caf\u{e9}", "/caf%C3%A9/x", true),
    ] {
        let pattern = path(PathMatchType::PathPrefix, prefix).unwrap();
        assert_eq!(pattern.matches(request), wanted, "{prefix} {request}");
    }
    let prefix = |value| path(PathMatchType::PathPrefix, value).unwrap();
    assert_eq!(prefix("/a/").prefix(), Some("/a"));
    assert_eq!(prefix("/").prefix(), Some("/"));
}

#[test]
fn an_exact_path_means_itself() {
    let pattern = path(PathMatchType::Exact, "/a%2fb").unwrap();
    assert!(pattern.matches("/a%2Fb"));
    assert!(!pattern.matches("/a%2Fb/") && !pattern.matches("/a/b") && !pattern.matches("/A%2Fb"));
    assert_eq!((pattern.exact(), pattern.prefix()), (Some("/a%2Fb"), None));
}

#[test]
fn an_expression_means_the_whole_value() {
    let pattern = path(PathMatchType::RegularExpression, "/a|/b[0-9]+").unwrap();
    for (request, wanted) in
        [("/a", true), ("/b42", true), ("/a/b42", false), ("/b42x", false), ("/b42\n", false)]
    {
        assert_eq!(pattern.matches(request), wanted, "{request}");
    }
    assert_eq!(pattern.to_string(), "pattern /a|/b[0-9]+");
}

#[test]
fn expressions_that_break_out_or_grow_too_large_are_refused() {
    for bad in ["a)|(b", "(", r"(?:\w{1000}){1000}", "[a"] {
        let fault = path(PathMatchType::RegularExpression, bad).unwrap_err();
        assert!(matches!(fault, PatternError::Regex { .. }), "{bad}");
    }
    assert!(matches!(path(PathMatchType::Exact, "/a/../.."), Err(PatternError::Path { .. })));
}

#[test]
fn several_header_lines_count_as_one_joined_by_commas() {
    let lines = |values: &[&'static str]| {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("x-a", HeaderValue::from_static(value));
        }
        headers
    };
    let exact = |value| header(ValueMatchType::Exact, value);
    let regex = |value| header(ValueMatchType::RegularExpression, value);
    for (pattern, values, wanted) in [
        (exact("one"), &["one"][..], true),
        (exact("one"), &[][..], false),
        (exact("one"), &["one", "two"], false),
        (exact("one,two"), &["one", "two"], true),
        (exact("one,two"), &["one,two"], true),
        (exact("one,two"), &["one", "two", "three"], false),
        (exact("one,two,"), &["one", "two"], false),
        (exact("One"), &["one"], false),
        (regex("o.e"), &["one"], true),
        (regex("o.e"), &["one", "two"], false),
        (regex("one,t.*"), &["one", "two"], true),
        (regex("n"), &["one"], false),
        (regex(".*"), &[], false),
    ] {
        assert_eq!(pattern.matches(&lines(values)), wanted, "{pattern:?} {values:?}");
    }
}

#[test]
fn of_several_query_parameters_the_first_counts_decoded() {
    let exact = |value| query(ValueMatchType::Exact, "a", value);
    let regex = |value| query(ValueMatchType::RegularExpression, "a", value);
    for (pattern, text, wanted) in [
        (exact("1"), Some("a=1"), true),
        (exact("1"), Some("b=2&a=1"), true),
        (exact("1"), Some("a=2&a=1"), false),
        (exact("1"), Some("a=1&a=2"), true),
        (exact("1"), Some("A=1"), false),
        (exact("1"), Some("aa=1"), false),
        (exact("1"), None, false),
        (exact("1"), Some(""), false),
        (exact("x y"), Some("a=x+y"), true),
        (exact("x y"), Some("a=x%20y"), true),
        (exact("x+y"), Some("a=x%2By"), true),
        (exact("x"), Some("%61=%78"), true),
        (exact("b=c"), Some("a=b=c"), true),
        (exact("50%"), Some("a=50%"), true),
        (exact("%zz"), Some("a=%zz"), true),
        (exact("caf\u{e9}"), Some("a=caf%C3%A9"), true),
        (regex("[0-9]+"), Some("a=42"), true),
        (regex("[0-9]+"), Some("a=42x"), false),
        (regex(""), Some("a"), true),
        (regex(""), None, false),
    ] {
        assert_eq!(pattern.matches(text), wanted, "{pattern:?} {text:?}");
    }
}
