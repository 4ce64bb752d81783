//! What an expression means, and how much of them an object may hold.

use serde_json::{Value, json};

use super::*;
use crate::policy::AccessPolicy;
use crate::route::HttpRoute;

fn size(source: &str) -> usize {
    Expression::compile(source).unwrap().size()
}

fn path(value: &str) -> Value {
    json!({ "type": "RegularExpression", "value": value })
}

/// The faults of a route whose rules have these matches.
fn route(rules: &[Vec<Value>]) -> Vec<(String, String)> {
    let rules: Vec<_> = rules.iter().map(|matches| json!({ "matches": matches })).collect();
    let route = json!({ "metadata": { "name": "r" }, "spec": { "rules": rules } });
    let route: HttpRoute = serde_json::from_value(route).unwrap();
    let mut at = Checker::default();
    route.check(&mut at);
    at.faults()
}

/// The faults of a policy with a rule for each of these paths.
fn policy(paths: &[&str]) -> Vec<(String, String)> {
    let rules = paths.iter().enumerate().map(
        |(index, value)| json!({ "name": format!("r{index}"), "when": { "paths": [path(value)] } }),
    );
    let targets = json!([{ "kind": "Gateway", "name": "edge" }]);
    let policy = json!({
        "metadata": { "name": "p" },
        "spec": { "targetRefs": targets, "rules": rules.collect::<Vec<_>>() },
    });
    let policy: AccessPolicy = serde_json::from_value(policy).unwrap();
    let mut at = Checker::default();
    policy.check(&mut at);
    at.faults()
}

#[test]
fn an_expression_means_the_whole_value() {
    for (source, value, wanted) in [
        ("/a|/b[0-9]+", "/a", true),
        ("/a|/b[0-9]+", "/b42", true),
        ("/a|/b[0-9]+", "/a/b42", false),
        ("/a|/b[0-9]+", "/b42x", false),
        ("/b", "/b\n", false),
        ("^/b$", "/b", true),
        ("(?m)^/b$", "/b\n/b", false),
        ("(?x) a # a comment", "a", true),
        ("(a)(b)?", "ab", true),
        ("", "", true),
        ("", "a", false),
        (r"\w+", "caf\u{e9}", true),
        (r"\bcaf.\b", "caf\u{e9}", true),
    ] {
        let expression = Expression::compile(source).unwrap();
        assert_eq!(expression.is_match(value.as_bytes()), wanted, "{source} {value}");
        assert_eq!(expression.as_str(), source);
    }
    let text = Expression::compile(".+").unwrap();
    assert!(!text.is_match(b"\xff") && !text.is_match(b"a\xff"));
}

#[test]
fn what_is_no_expression_is_told_in_one_line() {
    for (source, wanted) in [
        ("a)|(b", "unopened group"),
        ("(", "unclosed group"),
        ("[a", "unclosed character class"),
        (r"(?-u)\xff", "pattern can match invalid UTF-8"),
        (r"(?:\w{1000}){1000}", "it takes more than 1048576 bytes once compiled"),
    ] {
        assert_eq!(Expression::compile(source).unwrap_err().to_string(), wanted, "{source}");
    }
}

#[test]
fn many_small_expressions_are_no_fault() {
    let matches: Vec<_> =
        (0..64).map(|index| json!({ "path": path(&format!("/v{index}/[0-9]+")) })).collect();
    assert_eq!(route(&vec![matches; 8]), []);
    assert_eq!(policy(&vec!["/v1/[a-z]+/[0-9]+"; 500]), []);
}

#[test]
fn the_first_that_passes_the_bound_of_its_object_is_told_with_the_sum() {
    let source = r"/\w{3}";
    let first = LARGEST_SUM / size(source);
    let sum = (first + 1) * size(source);
    let wanted = format!(
        "with '{source}' the regular expressions of this object take {sum} bytes once compiled, \
         over the bound of 4194304; write fewer or simpler ones"
    );
    let mut paths = vec![source; first];
    assert_eq!(policy(&paths), []);
    // Those behind are not looked at.
    paths.extend([source, source, "("]);
    let faults = policy(&paths);
    let place = format!("spec.rules[{first}].when.paths[0].value");
    assert_eq!(faults.len(), 1);
    assert!(faults[0].0 == place && faults[0].1.starts_with(&wanted), "{faults:?}");
}

#[test]
fn the_worst_route_is_done_with_once_the_bound_is_passed() {
    let value = |value: &str| {
        let named = |index| json!({ "type": "RegularExpression", "name": format!("n{index}"), "value": value });
        let each: Vec<_> = (0..16).map(named).collect();
        json!({ "path": path(value), "headers": each, "queryParams": each })
    };
    // What is broken would be told, were it looked at.
    let mut rules = vec![vec![value("("); 64]; 16];
    rules[0] = vec![value(r"\w{5}"); 64];
    let faults = route(&rules);
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(faults[0].0.starts_with("spec.rules[0].matches["), "{faults:?}");
    // Each too large by itself, they are not all compiled up to their bound.
    let faults = policy(&vec![r"\w{1000}"; 10_000]);
    let last = faults.last().unwrap();
    assert_eq!((faults.len(), &*last.0), (6, "spec.rules[4].when.paths[0].value"));
}
