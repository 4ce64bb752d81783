//! Precedence, rung by rung: in each case both routes fit and `wins` must win.

use model::{Kind, Resource};
use serde_json::{Value, json};

use super::fixture::{Ask, get, made, object, path, plain, route};

fn whole(matches: &Value) -> Value {
    json!([{ "matches": matches }])
}

/// `zz-wins` is last in the alphabet, so that only the rung at hand can make it win.
fn wins(ask: &Ask, winner: (&[&str], Value), loser: (&[&str], Value)) {
    let resources =
        vec![plain(), route("aa-loses", loser.0, loser.1), route("zz-wins", winner.0, winner.1)];
    assert_eq!(ask.rule(&made(resources).table), "shop/zz-wins/0");
}

#[test]
fn a_more_specific_host_comes_before_a_more_specific_path() {
    let ask = get("a.b.example.com", "/x/y");
    let (exact, all) = (path("Exact", "/x/y"), path("PathPrefix", "/"));
    wins(&ask, (&["a.b.example.com"], all.clone()), (&["*.b.example.com"], exact.clone()));
    wins(&ask, (&["*.b.example.com"], all.clone()), (&["*.example.com"], exact.clone()));
    wins(&ask, (&["*.example.com"], all), (&[], exact));
}

#[test]
fn paths_rank_exact_then_expression_then_longest_prefix() {
    let ask = get("h", "/x/y");
    wins(&ask, (&[], path("Exact", "/x/y")), (&[], path("RegularExpression", "/x/y|/x/y")));
    wins(&ask, (&[], path("RegularExpression", "/.*")), (&[], path("PathPrefix", "/x/y")));
    let (long, short) = ("/(x|y|z)/y", "/x/.*");
    wins(&ask, (&[], path("RegularExpression", long)), (&[], path("RegularExpression", short)));
    wins(&ask, (&[], path("PathPrefix", "/x/y")), (&[], path("PathPrefix", "/x")));
}

#[test]
fn a_prefix_that_is_only_written_longer_wins_nothing() {
    let narrow = json!([{ "matches": [{ "path": { "value": "/x" }, "method": "GET" }] }]);
    for written in ["/x/", "/%78", "/%78/"] {
        wins(&get("h", "/x/y"), (&[], narrow.clone()), (&[], path("PathPrefix", written)));
    }
}

#[test]
fn then_method_then_headers_then_query_parameters() {
    let ask = get("h", "/").header("a", "1").header("b", "1").query("p=1&q=1");
    let headers = json!([{ "name": "a", "value": "1" }, { "name": "b", "value": "1" }]);
    let queries = json!([{ "name": "p", "value": "1" }, { "name": "q", "value": "1" }]);
    let both = json!([{ "headers": headers, "queryParams": queries }]);
    wins(&ask, (&[], whole(&json!([{ "method": "GET" }]))), (&[], whole(&both)));
    let one = json!([{ "headers": [headers[0]], "queryParams": queries }]);
    wins(&ask, (&[], whole(&json!([{ "headers": headers }]))), (&[], whole(&one)));
    let one = json!([{ "queryParams": [queries[0]] }]);
    wins(&ask, (&[], whole(&json!([{ "queryParams": queries }]))), (&[], whole(&one)));
}

fn aged(namespace: &str, name: &str, created: Option<&str>) -> Resource {
    let parents = json!([{ "namespace": "infra", "name": "edge" }]);
    let Resource::HttpRoute(route) =
        object(Kind::HttpRoute, namespace, name, json!({ "parentRefs": parents }))
    else {
        panic!("a route");
    };
    let mut text = serde_json::to_value(&*route).unwrap();
    text["metadata"]["creationTimestamp"] = json!(created);
    Resource::from_json(Kind::HttpRoute, text).unwrap()
}

#[test]
fn then_the_older_route_and_then_the_alphabet() {
    let (early, late) = (Some("2026-01-01T00:00:00Z"), Some("2026-01-01T00:00:01Z"));
    let cases = [
        (aged("s", "z", early), aged("s", "a", late), "s/z/0"),
        (aged("s", "z", None), aged("s", "a", early), "s/z/0"),
        (aged("s", "z", early), aged("s", "a", early), "s/a/0"),
        (aged("b", "a", early), aged("a", "z", early), "a/z/0"),
        // As one text: '-' stands before '/'.
        (aged("a", "x", early), aged("a-b", "x", early), "a-b/x/0"),
    ];
    for (one, other, wanted) in cases {
        let table = made(vec![plain(), one, other]).table;
        assert_eq!(get("h", "/").rule(&table), wanted);
    }
}

#[test]
fn then_the_order_within_the_route() {
    let rules = json!([
        { "name": "first", "matches": [{ "path": { "value": "/a" } }] },
        { "name": "second", "matches": [{ "path": { "value": "/a" } }] },
    ]);
    let table = made(vec![plain(), route("r", &[], rules)]).table;
    assert_eq!(get("h", "/a").rule(&table), "shop/r/first");
}

#[test]
fn a_specific_host_whose_rules_do_not_fit_leaves_it_to_broader_ones() {
    let resources = vec![
        plain(),
        route("exact", &["a.example.com"], path("Exact", "/only")),
        route("wild", &["*.example.com"], path("PathPrefix", "/x")),
        route("any", &[], path("PathPrefix", "/")),
    ];
    let table = made(resources).table;
    assert_eq!(get("a.example.com", "/only").rule(&table), "shop/exact/0");
    assert_eq!(get("a.example.com", "/x/y").rule(&table), "shop/wild/0");
    assert_eq!(get("a.example.com", "/z").rule(&table), "shop/any/0");
}

#[test]
fn prefixes_mean_whole_elements_and_are_told() {
    let table = made(vec![plain(), route("r", &[], path("PathPrefix", "/a/b/"))]).table;
    for (asked, wanted) in [
        ("/a/b", "shop/r/0"),
        ("/a/b/", "shop/r/0"),
        ("/a/b/c", "shop/r/0"),
        ("/a/bc", "no_route"),
        ("/a", "no_route"),
    ] {
        assert_eq!(get("h", asked).rule(&table), wanted, "{asked}");
    }
    let ask = get("h", "/a/b/c");
    assert_eq!(table.find(&ask.facts()).unwrap().prefix, Some("/a/b"));
}
