//! Matches that can never win, and logins from which nobody comes back.

use serde_json::{Value, json};

use super::fixture::{gateway, made, object, path, plain, route};

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

/// An AuthnPolicy on this, whose login has these paths.
fn login((namespace, name): (&str, &str), on: &Value, paths: [&str; 2]) -> model::Resource {
    // The public key of RFC 8037, appendix A.2.
    let key = json!({
        "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    });
    let oidc = json!({
        "issuer": "https://login.example", "clientId": "shop",
        "authorizationUrl": "https://login.example/a", "tokenUrl": "https://login.example/t",
        "jwks": json!({ "keys": [key] }).to_string(),
        "callbackPath": paths[0], "logoutPath": paths[1],
    });
    let methods = json!([{ "name": "people", "oidc": oidc }]);
    let spec = json!({ "targetRefs": [on], "methods": methods });
    object(model::Kind::AuthnPolicy, namespace, name, spec)
}

#[test]
fn a_login_from_which_nobody_comes_back_is_told_at_its_policy() {
    let told = |resources: Vec<model::Resource>| -> Vec<String> {
        made(resources).table.idle_logins().iter().map(ToString::to_string).collect()
    };
    let on_route = json!({ "kind": "HTTPRoute", "name": "a" });
    let with = |prefix: &str, policies: Vec<model::Resource>| {
        let mut all = vec![plain(), route("a", &["a.test"], path("PathPrefix", prefix))];
        all.extend(policies);
        all
    };
    let usual = ["/oauth2/callback", "/oauth2/logout"];
    assert_eq!(told(with("/", vec![login(("shop", "p"), &on_route, usual)])), [""; 0]);
    let own = ["/orders/callback", "/orders/logout"];
    assert_eq!(told(with("/orders", vec![login(("shop", "p"), &on_route, own)])), [""; 0]);
    let missed = told(with("/orders", vec![login(("shop", "p"), &on_route, usual)]));
    assert_eq!(
        missed,
        [
            "AuthnPolicy shop/p: spec.methods[0].oidc.callbackPath: no rule below the policy matches \
             '/oauth2/callback': write a path that one does",
            "AuthnPolicy shop/p: spec.methods[0].oidc.logoutPath: no rule below the policy matches \
             '/oauth2/logout': write a path that one does",
        ]
    );
    let on_gateway = json!({ "kind": "Gateway", "name": "edge" });
    let both =
        vec![login(("shop", "p"), &on_route, usual), login(("infra", "broad"), &on_gateway, usual)];
    let [idle] = &told(with("/", both))[..] else { panic!() };
    assert!(
        idle.starts_with("AuthnPolicy shop/p: ")
            && idle.contains("'infra/broad/people', which is attached"),
        "{idle}"
    );
}
