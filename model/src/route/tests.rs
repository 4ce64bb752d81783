//! Routes of other kinds say as an HTTPRoute what they say themselves, field by field.

use serde_json::{Value, json};

use super::*;

/// Every field of a parent.
fn parents() -> Value {
    json!([{ "group": "a.io", "kind": "Gate", "namespace": "infra", "name": "edge",
        "sectionName": "web", "port": 443 }])
}

/// Every field of a backend but its filters.
fn backend() -> Value {
    json!({ "group": "a.io", "kind": "Bucket", "namespace": "bank", "name": "books", "port": 81,
        "weight": 7 })
}

/// Every field of the filters that calls may have.
fn filters() -> Value {
    let headers = |word: &str| {
        json!({ "set": [{ "name": format!("{word}-set"), "value": "1" }],
            "add": [{ "name": format!("{word}-add"), "value": "2" }],
            "remove": [format!("{word}-gone")] })
    };
    let copy = |name: &str| json!({ "group": "a.io", "kind": "Bucket", "namespace": "bank", "name": name, "port": 82 });
    json!([
        { "type": "RequestHeaderModifier", "requestHeaderModifier": headers("to") },
        { "type": "ResponseHeaderModifier", "responseHeaderModifier": headers("from") },
        { "type": "RequestMirror", "requestMirror": { "backendRef": copy("some"), "percent": 5 } },
        { "type": "RequestMirror", "requestMirror": { "backendRef": copy("few"),
            "fraction": { "numerator": 1, "denominator": 3 } } },
    ])
}

fn read<T: serde::de::DeserializeOwned>(spec: &Value) -> T {
    let route = json!({ "metadata": { "name": "r", "namespace": "shop" }, "spec": spec });
    serde_json::from_value(route).unwrap()
}

/// A route for requests or calls with this match, which has a header besides.
fn led(mut one: Value) -> Value {
    let mut to = backend();
    to["filters"] = filters();
    one["headers"] = json!([{ "type": "RegularExpression", "name": "x-a", "value": "1|2" }]);
    json!({ "parentRefs": parents(), "hostnames": ["a.example"], "rules": [{ "name": "main",
        "matches": [one], "filters": filters(), "backendRefs": [to] }] })
}

#[test]
fn a_route_for_calls_says_the_same_as_an_http_route() {
    for (method, kind, path) in [
        (json!({ "service": "s.A", "method": "Get" }), "Exact", "/s.A/Get"),
        (json!({ "service": "s.A" }), "PathPrefix", "/s.A"),
        (json!({ "method": "Get" }), "RegularExpression", "/[^/]+/Get"),
        (
            json!({ "type": "RegularExpression", "service": "s|t", "method": "G.*" }),
            "RegularExpression",
            "/(?:s|t)/(?:G.*)",
        ),
    ] {
        let calls: GrpcRoute = read(&led(json!({ "method": method })));
        let wanted: HttpRoute = read(&led(json!({ "path": { "type": kind, "value": path } })));
        assert_eq!(calls.as_http(), wanted, "{method}");
    }
}

#[test]
fn a_route_for_connections_says_the_same_as_an_http_route() {
    let mut spec = json!({ "parentRefs": parents(),
        "rules": [{ "name": "main", "backendRefs": [backend()] }] });
    assert_eq!(read::<TcpRoute>(&spec).as_http(), read(&spec));
    assert_eq!(read::<UdpRoute>(&spec).as_http(), read(&spec));
    spec["hostnames"] = json!(["a.example", "*.b.example"]);
    assert_eq!(read::<TlsRoute>(&spec).as_http(), read(&spec));
}
