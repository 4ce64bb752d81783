//! The story of a request, as a golden text: `UPDATE=1` rewrites it.

use std::{env, fs};

use serde_json::{Value, json};

use model::Kind;

use super::fixture::{gateway, get, made, object, path, plain, route};

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

#[test]
fn a_request_without_a_listener_says_what_there_is() {
    let listeners = json!([
        { "name": "web" },
        { "name": "safe", "port": 443, "protocol": "HTTPS", "hostname": "a.org",
          "tls": { "certificateRefs": [{ "name": "nowhere" }] } },
        { "name": "side", "port": 81, "hostname": "a.org" },
    ]);
    let table = made(vec![gateway(listeners)]).table;
    let told = |ask: super::fixture::Ask, scheme| {
        let facts = policy::Facts { scheme, ..ask.facts() };
        table.why(&facts).no_listener.unwrap()
    };
    let (http, https) = (policy::Scheme::Http, policy::Scheme::Https);
    let ask = || get("b.org", "/");
    assert_eq!(told(ask(), https), "port 80 speaks HTTP, not HTTPS");
    let wanted = "nothing listens on port 9; there are 80 (HTTP), 81 (HTTP)";
    assert_eq!(told(ask().port(9), http), wanted);
    let wanted = "none on port 81 serves the host 'b.org': answered 404";
    assert_eq!(told(ask().port(81), http), wanted);
    let refused = told(ask().port(443), https);
    assert!(
        refused.starts_with("'safe' of Gateway infra/edge, the one for port 443, is refused: ")
    );
    let empty = made(vec![]).table.why(&ask().facts()).to_string();
    let wanted = "listener  none: nothing listens on port 80; no port is open\n";
    assert!(empty.starts_with(wanted) && !empty.contains("route"), "{empty}");
}

#[test]
fn what_a_rule_changes_copies_and_bounds_is_told() {
    let header = |name: &str, value: &str| json!([{ "name": name, "value": value }]);
    let filters = json!([
        { "type": "RequestHeaderModifier", "requestHeaderModifier": {
            "set": header("x-tier", "gold"), "add": header("cookie", "hidden"), "remove": ["x-gone"] } },
        { "type": "URLRewrite", "urlRewrite": { "hostname": "orders.internal", "path":
            { "type": "ReplacePrefixMatch", "replacePrefixMatch": "/v2" } } },
        { "type": "ResponseHeaderModifier",
          "responseHeaderModifier": { "set": header("x-served", "1") } },
        { "type": "RequestMirror",
          "requestMirror": { "percent": 10, "backendRef": { "name": "copy", "port": 80 } } },
        { "type": "RequestMirror", "requestMirror": { "backendRef": { "name": "gone", "port": 80 } } },
    ]);
    let rules = json!([{
        "matches": [{ "path": { "value": "/orders" } }],
        "filters": filters,
        "backendRefs": [{ "name": "copy", "port": 80 }],
        "timeouts": { "request": "90s" },
    }]);
    let service = object(Kind::Service, "shop", "copy", json!({ "ports": [{ "port": 80 }] }));
    let table = made(vec![plain(), service, route("r", &[], rules)]).table;
    let story = table.why(&get("h", "/orders/7").facts());
    let told = story.to_string();
    let wanted = "\
backend   shop/copy:80, weight 1, 0 endpoints ready
rewrite   to path /v2/7, host orders.internal
request   set header x-tier: gold
          add header cookie: a value that is not shown
          remove header x-gone
response  set header x-served: 1
mirror    shop/copy:80, 10 of 100 requests, 0 endpoints ready
mirror    backend_missing, every request, 0 endpoints ready
timeouts  request 1m30s, each try unbounded
policy    passes: no policy stands here
";
    assert!(told.contains(wanted), "{told}");
    let json = serde_json::to_value(&story).unwrap();
    let won = &json["won"];
    assert_eq!(won["rewrite"], json!({ "path": "/v2/7", "host": "orders.internal" }));
    assert_eq!(won["requestHeaders"]["set"], header("x-tier", "gold"));
    assert_eq!(won["responseHeaders"]["set"], header("x-served", "1"));
    let mirror =
        json!({ "to": "shop/copy:80", "numerator": 10, "denominator": 100, "endpoints": 0 });
    assert_eq!(won["mirrors"][0], mirror);
    assert_eq!(won["timeouts"], json!({ "request": "1m30s", "backendRequest": null }));
    assert!(!json.to_string().contains("hidden"));
}

#[test]
fn by_what_a_rule_keeps_sessions_is_told() {
    let rules = json!([
        { "name": "cart", "matches": [{ "path": { "value": "/cart" } }],
          "sessionPersistence": { "sessionName": "seat", "absoluteTimeout": "8h", "idleTimeout": "30m" } },
        { "sessionPersistence": { "sessionName": "X-Seat", "type": "Header" } },
    ]);
    let table = made(vec![plain(), route("r", &["a.org"], rules)]).table;
    let of = |path| table.why(&get("a.org", path).facts());
    let told = of("/cart").to_string();
    let line =
        "session   stays at its endpoint by cookie seat at /cart, for 8h, 30m without a request\n";
    assert!(told.contains(line), "{told}");
    let told = of("/").to_string();
    assert!(told.contains("session   stays at its endpoint by header X-Seat\n"), "{told}");
    let json = serde_json::to_value(of("/cart")).unwrap();
    let wanted = json!({ "type": "Cookie", "name": "seat", "path": "/cart",
        "absoluteTimeout": "8h", "idleTimeout": "30m" });
    assert_eq!(json["won"]["session"], wanted);
}

#[test]
fn a_backends_own_filters_and_retries_are_told() {
    let own = json!([
        { "type": "URLRewrite", "urlRewrite": { "hostname": "inner.test" } },
        { "type": "RequestMirror", "requestMirror": { "backendRef": { "name": "no", "port": 80 } } },
    ]);
    let away = json!([{ "type": "RequestRedirect", "requestRedirect": { "statusCode": 301 } }]);
    let rules = json!([{
        "retry": { "codes": [503, 500, 503], "attempts": 2, "backoff": "100ms" },
        "backendRefs": [
            { "name": "no", "port": 80, "filters": own },
            { "name": "no", "port": 80, "filters": away },
        ],
    }]);
    let table = made(vec![plain(), route("r", &["a.org"], rules)]).table;
    let story = table.why(&get("a.org", "/x").facts()).to_string();
    let wanted = "\
backend   backend_missing, weight 1, 0 endpoints ready
rewrite   to it alone: to path /x, host inner.test
mirror    of its requests: backend_missing, every request, 0 endpoints ready
backend   backend_missing, weight 1, 0 endpoints ready; redirected to http://a.org/x in its place
retries   2 times at most, after 100ms or longer, where the backend breaks off or answers 500, 503
";
    assert!(story.contains(wanted), "{story}");
}
