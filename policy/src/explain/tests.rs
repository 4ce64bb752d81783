//! A story says what decided, and never a secret.

use model::Name;
use model::identity::Peer;
use serde_json::json;

use crate::chain::Chain;
use crate::facts::Facts;
use crate::fixtures::{CLERK, Request, chain, keys, level};

fn orders() -> Chain {
    let gateway = json!({ "rules": [
        { "name": "not-from-the-lab", "action": "Deny", "when": { "sources": ["10.9.0.0/16"] } },
    ] });
    let route = json!({ "methods": keys(), "rules": [
        { "name": "anyone-reads", "when": { "methods": ["GET"], "paths": [{ "value": "/orders" }] } },
        { "name": "clerks-write", "when": { "methods": ["POST"], "callers": [{ "apiKey": "clerk" }] } },
        { "name": "by-team", "when": { "headers": [{ "name": "authorization", "value": "x" }] } },
    ] });
    chain([level([gateway]), level([route])])
}

#[test]
fn a_denial_tells_of_every_rule_what_it_missed() {
    let request = Request::get("/invoices").key(crate::fixtures::READER);
    let request = request.with("authorization", "Custom hidden-value");
    let told = orders().explain(&request.facts(), None).to_string();
    let wanted = "\
answered 403 access_denied: no allow rule of level 2 matches
callers: apikey:reader (from level 2)
level 1 has no allow rule, so it lets pass
  AccessPolicy shop/p0
    no   Deny  not-from-the-lab: sources: saw 10.1.1.1, wanted 10.9.0.0 to 10.9.255.255
level 2 does not allow
  AuthnPolicy shop/p0
    yes  Proof keys
  AccessPolicy shop/p0
    no   Allow anyone-reads: paths: saw /invoices, wanted prefix /orders
    no   Allow clerks-write: methods: saw GET, wanted POST
    no   Allow by-team: headers: saw a value that is not shown, wanted the value asked for in 'authorization'";
    assert_eq!(told, wanted);
}

#[test]
fn what_allows_is_named() {
    let request = Request::get("/orders/7");
    let story = orders().explain(&request.facts(), None);
    assert_eq!(story.because, "rule 'anyone-reads' of AccessPolicy shop/p0 allows it");
    let json = serde_json::to_value(&story).unwrap();
    assert_eq!(json["reason"], "ok");
    assert_eq!(json["levels"][1]["outcome"], "allows");
    assert_eq!(json["levels"][1]["policies"][1]["rules"][0]["matched"], true);
    let failed = json!({ "condition": "methods", "wanted": "POST", "saw": "GET" });
    assert_eq!(json["levels"][1]["policies"][1]["rules"][1]["failed"], failed);
}

#[test]
fn secrets_are_never_shown() {
    let marker = "marker-0123456789abcdef";
    let header =
        json!({ "name": "h", "when": { "headers": [{ "name": "x-api-key", "value": marker }] } });
    let asks = chain([level([json!({ "methods": keys(), "rules": [header] })])]);
    let wrong = Request::get("/").key("wrong-marker").with("authorization", "Bearer marker.a.b");
    for (chain, request) in [
        (&asks, Request::get("/").key(CLERK)),
        (&asks, Request::get("/")),
        (&asks, wrong.clone()),
        (&orders(), wrong),
    ] {
        let story = chain.explain(&request.facts(), None);
        let shown =
            format!("{story}\n{}\n{story:?}\n{chain:?}", serde_json::to_string(&story).unwrap());
        assert!(!shown.contains("marker") && !shown.contains("0123456789"), "{shown}");
    }
}

#[test]
fn a_refused_credential_a_closed_level_and_a_redirect_are_told() {
    let wrong = Request::get("/orders").key("wrong");
    let told = orders().explain(&wrong.facts(), None).because;
    assert_eq!(told, "the key in the header 'x-api-key' is refused: nobody has this key");
    let key = crate::fixtures::compile("broken", json!({})).unwrap().key().clone();
    let closed = chain([std::sync::Arc::new(crate::Level::Closed { key })]);
    let told = closed.explain(&Request::get("/").facts(), None).to_string();
    let wanted = "\
answered 503 policy_unreadable: AccessPolicy shop/broken could not be read, so its targets are closed
level 1 is closed: AccessPolicy shop/broken could not be read";
    assert_eq!(told, wanted);
    let filter = json!([{ "type": "RequestRedirect", "requestRedirect": { "scheme": "https", "path":
        { "type": "ReplacePrefixMatch", "replacePrefixMatch": "/new" } } }]);
    let filters: Vec<_> = serde_json::from_value(filter).unwrap();
    let redirects = Chain::compile(Vec::new(), &filters).unwrap();
    let story = redirects.explain(&Request::get("/old/x").facts(), Some("/old"));
    assert_eq!(story.location.as_deref(), Some("https://shop.example/new/x"));
    assert_eq!(story.status, Some(302));
}

#[test]
fn a_proof_that_is_required_and_lacks_is_told_by_the_policy_that_requires_it() {
    let other = json!({ "name": "others", "apiKey":
        { "from": [{ "header": "x-other" }], "secretRef": { "name": "other-keys" } } });
    let both = json!([keys()[0], other]);
    for (methods, require, wanted) in [
        (keys(), "Any", "proof of who is calling by keys"),
        (both.clone(), "Any", "proof of who is calling by any of keys, others"),
        (both, "All", "proof of who is calling by all of keys, others"),
    ] {
        let level = level([json!({ "methods": methods, "require": require })]);
        let story = chain([level]).explain(&Request::get("/").facts(), None);
        let policy = "AuthnPolicy shop/p0";
        assert_eq!(story.because, format!("{policy} requires {wanted}"));
        assert_eq!(story.change, Some(format!("{policy} would let it pass with {wanted}")));
        let told = story.to_string();
        let level = "level 1 requires a proof that was not given";
        let method = "    no   Proof keys";
        let place = format!("{level}\n  {policy} requires {wanted}\n{method}");
        assert!(told.contains(&place), "{told}");
        assert_eq!(serde_json::to_value(&story).unwrap()["levels"][0]["outcome"], "unproved");
    }
}

#[test]
fn changes_are_told_as_they_would_be_done_without_credentials() {
    let filters = json!([
        { "type": "RequestHeaderModifier", "requestHeaderModifier": {
            "set": [{ "name": "x-tier", "value": "gold" }, { "name": "x-key", "value": "marker" }],
            "add": [{ "name": "Authorization", "value": "marker" }],
            "remove": ["X-Gone"] } },
        { "type": "URLRewrite", "urlRewrite": { "hostname": "orders.internal", "path":
            { "type": "ReplacePrefixMatch", "replacePrefixMatch": "/v2/orders" } } },
        { "type": "ResponseHeaderModifier",
          "responseHeaderModifier": { "set": [{ "name": "set-cookie", "value": "marker" }] } },
    ]);
    let filters: Vec<_> = serde_json::from_value(filters).unwrap();
    let keys = json!({ "from": [{ "header": "x-key" }], "secretRef": { "name": "keys" } });
    let keys = json!([{ "name": "keys", "apiKey": keys }]);
    let chain = Chain::compile(vec![level([json!({ "methods": keys })])], &filters).unwrap();
    let request = Request { query: Some("q=1".to_owned()), ..Request::get("/orders/7") };
    let told = chain.explain_changes(&request.facts(), Some("/orders"));
    let wanted = json!({
        "rewrite": { "path": "/v2/orders/7", "host": "orders.internal" },
        "requestHeaders": {
            "set": [{ "name": "x-tier", "value": "gold" }, { "name": "x-key" }],
            "add": [{ "name": "authorization" }],
            "remove": ["x-gone"],
        },
        "responseHeaders": { "set": [{ "name": "set-cookie" }] },
    });
    assert_eq!(serde_json::to_value(&told).unwrap(), wanted);
    let long = Request::get(&format!("/orders{}", "/x".repeat(32_763)));
    let told = chain.explain_changes(&long.facts(), Some("/orders"));
    assert_eq!(json!(told.rewrite), json!({ "reason": "path_invalid" }));
    let plain = Chain::default().explain_changes(&request.facts(), None);
    assert_eq!(json!(plain), json!({}));
}

#[test]
fn the_smallest_change_names_the_rule_that_comes_nearest_and_what_it_lacks() {
    let chain = orders();
    let change = |request: Request| chain.explain(&request.facts(), None).change;
    // One condition of the first allow rule, two of the second.
    let request = Request::get("/invoices").key(crate::fixtures::READER);
    let rule = "of AccessPolicy shop/p0";
    let wanted =
        format!("rule 'anyone-reads' {rule} would allow it if its 'paths' named /invoices");
    assert_eq!(change(request), Some(wanted));
    // Nobody is known: the request lacks something, and not the rule.
    let request = Request::get("/orders").method(http::Method::POST);
    let wanted = format!(
        "rule 'clerks-write' {rule} would allow it if the caller were proved to be apikey:clerk"
    );
    assert_eq!(change(request), Some(wanted));
    // A deny rule of one level, and an allow rule that another lacks.
    let request = Request::get("/invoices").from("10.9.0.1");
    let wanted = format!(
        "rule 'not-from-the-lab' {rule} must not mean this request; and rule 'anyone-reads' {rule} \
         would allow it if its 'paths' named /invoices"
    );
    assert_eq!(change(request), Some(wanted));
    assert_eq!(change(Request::get("/orders/7")), None);
}

#[test]
fn of_two_rules_that_lack_as_much_the_narrower_is_to_be_changed_by_an_entry_as_it_is_written() {
    let chain = chain([level([json!({ "rules": [
        { "name": "the-edge", "when": { "workloads": [{ "gateway": "edge" }] } },
        { "name": "orders-look", "when": {
            "methods": ["GET"], "workloads": [{ "serviceAccount": "orders" }] } },
    ] })])]);
    let parse = |name: &str| name.parse::<Name>().unwrap();
    let workload = |namespace| Peer::Workload {
        cluster: parse("east"),
        namespace: parse(namespace),
        service_account: parse("front"),
    };
    let gateway = Peer::Gateway { cluster: parse("west"), name: parse("dmz") };
    for (peer, entry) in [
        (workload("shop"), "{cluster: east, serviceAccount: front}"),
        (workload("bank"), "{cluster: east, namespace: bank, serviceAccount: front}"),
        (gateway, "{cluster: west, gateway: dmz}"),
    ] {
        let request = Request::get("/books");
        let facts = Facts { peer: Some(&peer), ..request.facts() };
        let wanted = format!(
            "rule 'orders-look' of AccessPolicy shop/p0 would allow it if its 'workloads' named {entry}"
        );
        assert_eq!(chain.explain(&facts, None).change, Some(wanted));
    }
}
