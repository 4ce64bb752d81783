//! The story of a request, as a golden text: `UPDATE=1` rewrites it.

use std::{env, fs};

use serde_json::{Value, json};

use super::fixture::{get, made, path, plain, route};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/tests/why.json");

fn whole(one: Value) -> Value {
    json!([{ "matches": [one] }])
}

#[test]
fn every_candidate_says_what_did_not_fit_first() {
    let header = json!([{ "name": "X-Tier", "value": "gold" }]);
    let query = json!([{ "name": "v", "type": "RegularExpression", "value": "2.*" }]);
    let at = json!({ "value": "/orders" });
    let resources = vec![
        plain(),
        route("winner", &["*.example.com"], path("PathPrefix", "/orders")),
        route("any-host", &[], path("Exact", "/orders/7")),
        route("by-header", &["*.example.com"], whole(json!({ "path": at, "headers": header }))),
        route("by-method", &["*.example.com"], whole(json!({ "path": at, "method": "POST" }))),
        route("by-query", &["*.example.com"], whole(json!({ "path": at, "queryParams": query }))),
        route("other-host", &["b.org"], path("PathPrefix", "/")),
        route("other-path", &["*.example.com"], path("PathPrefix", "/carts")),
        route("root", &["*.example.com"], path("PathPrefix", "/")),
        route("xyounger", &["*.example.com"], path("PathPrefix", "/orders")),
    ];
    let table = made(resources).table;
    let ask = get("a.example.com", "/orders/7").query("v=1").header("x-tier", "silver");
    let mut story = serde_json::to_value(table.why(&ask.facts())).unwrap();
    story["table"] = json!("(digest)");
    let told = format!("{}\n", serde_json::to_string_pretty(&story).unwrap());
    if env::var_os("UPDATE").is_some() {
        fs::write(GOLDEN, &told).unwrap();
    }
    assert_eq!(told, fs::read_to_string(GOLDEN).unwrap());
    assert!(!told.contains("silver"), "what was sent may be a credential");
}

#[test]
fn a_request_that_leads_nowhere_says_so() {
    let table = made(vec![plain(), route("r", &["b.org"], path("Exact", "/"))]).table;
    let story = table.why(&get("a.org", "/").facts());
    assert_eq!(story.reason.unwrap().as_str(), "no_route");
    assert_eq!(story.others[0].why, "host 'a.org' is none of b.org");
    let story = table.why(&get("a.org", "/").port(9).facts());
    assert_eq!(story.reason.unwrap().as_str(), "no_listener");
    assert!(story.listener.is_none() && story.others.is_empty());
}
