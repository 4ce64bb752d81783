//! Matches that can never win.

use serde_json::{Value, json};

use super::fixture::{gateway, made, path, plain, route};

fn told(resources: Vec<model::Resource>) -> Vec<String> {
    made(resources).table.shadowed().iter().map(ToString::to_string).collect()
}

/// One rule with these matches.
fn rule(matches: Value) -> Value {
    json!([{ "matches": matches }])
}

#[test]
fn the_same_match_of_an_earlier_route_is_named() {
    let wanted = "HTTPRoute shop/b: spec.rules[0].matches[0]: no request meets this match: HTTPRoute shop/a, \
                  which comes earlier in the alphabet, has the very same at spec.rules[0].matches[0] for \
                  each listener and host";
    for (one, other) in [
        (path("Exact", "/x"), path("Exact", "/%78")),
        (path("PathPrefix", "/x"), path("PathPrefix", "/x/")),
        (path("RegularExpression", "/x.*"), path("RegularExpression", "/x.*")),
        (
            rule(json!([{ "method": "GET", "headers": [
                { "name": "A", "value": "1" }, { "name": "b", "value": "2" }] }])),
            rule(json!([{ "method": "GET", "headers": [
                { "name": "B", "value": "2" }, { "name": "a", "value": "1" }] }])),
        ),
    ] {
        let all = vec![plain(), route("b", &["a.test"], other), route("a", &["a.test"], one)];
        assert_eq!(told(all), [wanted]);
    }
}

#[test]
fn an_older_route_comes_before_and_a_route_may_stand_in_its_own_way() {
    let mut younger = route("a", &[], path("Exact", "/x"));
    if let model::Resource::HttpRoute(route) = &mut younger {
        let mut text = serde_json::to_value(&**route).unwrap();
        text["metadata"]["creationTimestamp"] = json!("2026-01-01T00:00:00Z");
        younger = model::Resource::from_json(model::Kind::HttpRoute, text).unwrap();
    }
    let all = told(vec![plain(), younger, route("b", &[], path("Exact", "/x"))]);
    assert!(
        all[0].starts_with("HTTPRoute shop/a: ") && all[0].contains("shop/b, which is older,"),
        "{all:?}"
    );
    let twice = json!([{ "name": "one" }, { "name": "two" }]);
    let all = told(vec![plain(), route("a", &[], twice)]);
    assert_eq!(all.len(), 1);
    assert!(all[0].starts_with("HTTPRoute shop/a: spec.rules[1]: no request"), "{all:?}");
    assert!(
        all[0].contains("this route itself, further up, has the very same at spec.rules[0] "),
        "{all:?}"
    );
}

#[test]
fn a_match_that_wins_somewhere_is_not_told() {
    let exact = || path("Exact", "/x");
    let get = rule(json!([{ "path": { "type": "Exact", "value": "/x" }, "method": "GET" }]));
    let expression = path("RegularExpression", "/y.*");
    for (one, other) in [
        // Another host, one host more, another match.
        (route("a", &["a.test"], exact()), route("b", &["b.test"], exact())),
        (route("a", &["a.test"], exact()), route("b", &["a.test", "b.test"], exact())),
        (route("a", &[], exact()), route("b", &["b.test"], exact())),
        (route("a", &[], exact()), route("b", &[], get)),
        (route("a", &[], exact()), route("b", &[], path("PathPrefix", "/x"))),
        (route("a", &[], path("RegularExpression", "/x.*")), route("b", &[], expression)),
    ] {
        assert_eq!(told(vec![plain(), one, other]), [""; 0]);
    }
    // It wins at another listener.
    let here = |name: &str, section: Option<&str>| {
        let mut parent = json!({ "namespace": "infra", "name": "edge" });
        if let Some(section) = section {
            parent["sectionName"] = json!(section);
        }
        let spec = json!({ "parentRefs": [parent], "rules": exact() });
        super::fixture::object(model::Kind::HttpRoute, "shop", name, spec)
    };
    let two = || gateway(json!([{ "name": "web" }, { "name": "alt", "port": 81 }]));
    assert_eq!(told(vec![two(), here("a", Some("web")), here("b", None)]), [""; 0]);
    assert_eq!(told(vec![two(), here("a", None), here("b", Some("web"))]).len(), 1);
}
