//! Filters of one backend do what they would do in its rule, and references that lead nowhere are told.

use model::{Kind, Resource};
use policy::{Reader, Verdict};
use serde_json::{Value, json};

use super::fixture::{Ask, faults, get, made, object, plain, route};
use crate::{Filters, Mirror, Target};

fn service(namespace: &str, name: &str) -> Resource {
    object(
        Kind::Service,
        namespace,
        name,
        json!({ "ports": [{ "port": 80 }, { "port": 81, "name": "b" }] }),
    )
}

/// What the one backend of a rule for `/old` has of these filters.
fn of_backend(filters: Value) -> std::sync::Arc<Filters> {
    let to = json!([{ "name": "web", "port": 80, "filters": filters }]);
    let rules = json!([{ "matches": [{ "path": { "value": "/old" } }], "backendRefs": to }]);
    let assembly = made(vec![plain(), service("shop", "web"), route("r", &[], rules)]);
    assert_eq!(faults(&assembly), [""; 0]);
    let filters = assembly.table.rules[0].backends.drawn(0).unwrap().filters.clone();
    filters.unwrap()
}

fn lines(headers: &http::HeaderMap, name: &str) -> Vec<String> {
    headers.get_all(name).iter().map(|value| value.to_str().unwrap().to_owned()).collect()
}

/// Sets, adds and removes a header each.
fn headers() -> Value {
    json!({ "set": [{ "name": "x-set", "value": "ours" }],
        "add": [{ "name": "x-add", "value": "more" }], "remove": ["x-gone"] })
}

fn changed(headers: &http::HeaderMap) -> [Vec<String>; 3] {
    ["x-set", "x-add", "x-gone"].map(|name| lines(headers, name))
}

#[test]
fn headers_are_changed_for_one_backend() {
    let wanted = [vec!["ours".to_owned()], vec!["first".to_owned(), "more".to_owned()], vec![]];
    let theirs = [("x-set", "theirs"), ("x-add", "first"), ("x-gone", "1")];
    let filter = json!({ "type": "RequestHeaderModifier", "requestHeaderModifier": headers() });
    let filters = of_backend(json!([filter]));
    let request = theirs
        .iter()
        .fold(http::Request::get("/old"), |head, (name, value)| head.header(*name, *value));
    let mut head = request.body(()).unwrap().into_parts().0;
    filters.chain.alter_request(&mut head, &[], Some("/old")).unwrap();
    assert_eq!(changed(&head.headers), wanted);
    let filter = json!({ "type": "ResponseHeaderModifier", "responseHeaderModifier": headers() });
    let filters = of_backend(json!([filter]));
    let response = theirs
        .iter()
        .fold(http::Response::builder(), |head, (name, value)| head.header(*name, *value));
    let mut head = response.body(()).unwrap().into_parts().0;
    filters.chain.alter_response(&mut head, &Reader::default());
    assert_eq!(changed(&head.headers), wanted);
}

#[test]
fn host_and_path_are_changed_for_one_backend() {
    for (rewrite, host, target) in [
        (json!({ "hostname": "new.test" }), "new.test", "/old/x?q"),
        (
            json!({ "path": { "type": "ReplaceFullPath", "replaceFullPath": "/new" } }),
            "old.test",
            "/new?q",
        ),
        (
            json!({ "path": { "type": "ReplacePrefixMatch", "replacePrefixMatch": "/new" } }),
            "old.test",
            "/new/x?q",
        ),
    ] {
        let filters = of_backend(json!([{ "type": "URLRewrite", "urlRewrite": rewrite }]));
        let request = http::Request::get("/old/x?q").header("host", "old.test");
        let mut head = request.body(()).unwrap().into_parts().0;
        filters.chain.alter_request(&mut head, &[], Some("/old")).unwrap();
        assert_eq!(
            (head.headers["host"].to_str().unwrap(), head.uri),
            (host, target.parse().unwrap())
        );
    }
}

#[test]
fn one_backend_may_be_a_redirect() {
    let path = |kind: &str, field: &str| json!({ "path": { "type": kind, field: "/new" } });
    for (redirect, status, location) in [
        (json!({ "scheme": "https" }), 302, "https://old.test/old/x"),
        (json!({ "hostname": "new.test" }), 302, "http://new.test/old/x"),
        (json!({ "port": 8080 }), 302, "http://old.test:8080/old/x"),
        (json!({ "statusCode": 308 }), 308, "http://old.test/old/x"),
        (path("ReplaceFullPath", "replaceFullPath"), 302, "http://old.test/new"),
        (path("ReplacePrefixMatch", "replacePrefixMatch"), 302, "http://old.test/new/x"),
    ] {
        let filter = json!({ "type": "RequestRedirect", "requestRedirect": redirect });
        let filters = of_backend(json!([filter]));
        let ask: Ask = get("old.test", "/old/x");
        let Verdict::Answer(answer) = filters.chain.uncounted(&ask.facts(), Some("/old")) else {
            panic!("{redirect} passes");
        };
        let said = answer.headers[0].1.to_str().unwrap();
        assert_eq!((answer.status.as_u16(), said), (status, location), "{redirect}");
    }
}

/// Where a reference leads as the backend of a rule, as its mirror, and as the mirror of its backend; the
/// last two with this share.
fn leads(to: &Value, share: &Value) -> [(String, u32, u32); 3] {
    let mut mirror = share.clone();
    mirror["backendRef"] = to.clone();
    let copies = json!([{ "type": "RequestMirror", "requestMirror": mirror }]);
    let own = json!({ "name": "web", "port": 80, "filters": copies });
    let rules = json!([{ "filters": copies, "backendRefs": [to, own] }]);
    let from =
        json!([{ "group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": "shop" }]);
    let grant = json!({ "from": from, "to": [{ "group": "", "kind": "Service" }] });
    let assembly = made(vec![
        plain(),
        service("shop", "web"),
        service("bank", "books"),
        object(Kind::ReferenceGrant, "bank", "g", grant),
        route("r", &[], rules),
    ]);
    let table = &assembly.table;
    let label = |target: Target| match target {
        Target::Service(id) => table.services[id].label.to_string(),
        Target::Broken(reason) => reason.to_string(),
    };
    let copy = |one: &Mirror| (label(one.target), one.numerator, one.denominator);
    let rule = &table.rules[0];
    let all: Vec<_> = rule.backends.iter().collect();
    let of_own = &all[1].filters.as_ref().unwrap().mirrors;
    [(label(all[0].target), 1, 1), copy(&rule.mirrors[0]), copy(&of_own[0])]
}

#[test]
fn backends_and_mirrors_are_services_by_group_kind_namespace_name_and_port() {
    for (to, wanted) in [
        (json!({ "name": "web", "port": 80 }), "shop/web:80"),
        (json!({ "name": "web", "port": 81 }), "shop/web:81"),
        (json!({ "name": "books", "namespace": "bank", "port": 80 }), "bank/books:80"),
        (json!({ "name": "books", "port": 80 }), "backend_missing"),
        (json!({ "group": "a.io", "name": "web", "port": 80 }), "backend_missing"),
        (json!({ "kind": "Bucket", "name": "web", "port": 80 }), "backend_missing"),
    ] {
        let led = leads(&to, &json!({})).map(|(label, ..)| label);
        assert_eq!(led, [wanted; 3], "{to}");
    }
}

#[test]
fn one_backend_may_have_copies_of_a_share_of_its_requests() {
    let to = json!({ "name": "web", "port": 80 });
    for (share, numerator, denominator) in [
        (json!({}), 1, 1),
        (json!({ "percent": 5 }), 5, 100),
        (json!({ "fraction": { "numerator": 2 } }), 2, 100),
        (json!({ "fraction": { "numerator": 1, "denominator": 3 } }), 1, 3),
    ] {
        let [_, rule, backend] = leads(&to, &share);
        let wanted = ("shop/web:80".to_owned(), numerator, denominator);
        assert_eq!([rule, backend], [wanted.clone(), wanted], "{share}");
    }
}
