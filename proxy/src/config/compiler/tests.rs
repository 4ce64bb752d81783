//! What cannot be read closes what it protects, or changes nothing; all else is served.

use bytes::Bytes;
use policy::{Facts, Layer, Verdict};
use serde_json::json;

use super::*;
use crate::config::held::Held;

fn envelope(kind: &str, name: &str, body: &serde_json::Value) -> Envelope {
    let body = Bytes::from(body.to_string());
    let target = Key { kind: "HTTPRoute".into(), namespace: "shop".into(), name: "orders".into() };
    let is_policy = kind.ends_with("Policy");
    Envelope {
        key: Key { kind: kind.into(), namespace: "shop".into(), name: name.into() },
        scope: "platform".into(),
        generation: 1,
        digest: [0; 32],
        body,
        schema: 1,
        policy: is_policy,
        targets: if is_policy { vec![target] } else { Vec::new() },
    }
    .digested()
}

fn gateway() -> Envelope {
    envelope(
        "Gateway",
        "edge",
        &json!({
            "metadata": { "name": "edge", "namespace": "shop" },
            "spec": { "gatewayClassName": "heddle",
                "listeners": [{ "name": "web", "port": 80, "protocol": "HTTP" }] },
        }),
    )
}

fn route(name: &str, path: &str) -> Envelope {
    let matches = json!([{ "path": { "type": "PathPrefix", "value": path } }]);
    envelope(
        "HTTPRoute",
        name,
        &json!({
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "HTTPRoute",
            "metadata": { "name": name, "namespace": "shop" },
            "spec": { "parentRefs": [{ "name": "edge" }], "rules": [{ "matches": matches,
                "filters": [{ "type": "RequestRedirect",
                    "requestRedirect": { "path": { "type": "ReplaceFullPath",
                        "replaceFullPath": "/there" } } }] }] },
        }),
    )
}

fn policy(spec: &serde_json::Value) -> Envelope {
    let metadata = json!({ "name": "locked", "namespace": "shop" });
    envelope("AccessPolicy", "locked", &json!({ "metadata": metadata, "spec": spec }))
}

fn good_policy() -> Envelope {
    let target =
        json!({ "group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": "orders" });
    policy(&json!({ "targetRefs": [target], "rules": [{ "name": "all", "action": "Allow" }] }))
}

fn held(all: &[Envelope]) -> Objects {
    all.iter().map(|one| (one.key.clone(), Arc::new(one.clone()))).collect()
}

/// What a request for this path meets: the reason that decides.
fn meets(table: &Table, path: &str) -> String {
    let (method, headers) = (http::Method::GET, http::HeaderMap::new());
    let facts = Facts {
        layer: Layer::Request,
        now: 0,
        source: std::net::Ipv4Addr::LOCALHOST.into(),
        scheme: policy::Scheme::Http,
        port: 80,
        host: "shop.example",
        method: &method,
        path,
        query: None,
        headers: &headers,
        peer: None,
        certificate: None,
        users: &[],
        sessions: &[],
        revoked: None,
    };
    let found = match table.find(&facts) {
        Ok(found) => found,
        Err(reason) => return reason.to_string(),
    };
    match found.rule.chain.uncounted(&facts, found.prefix) {
        Verdict::Pass(_) => "ok".to_owned(),
        Verdict::Answer(answer) => answer.reason.to_string(),
    }
}

const CLOSED: &str = "policy_unreadable";

fn all(last: Envelope) -> Vec<Envelope> {
    vec![gateway(), route("orders", "/orders"), route("catalog", "/catalog"), last]
}

#[test]
fn what_is_readable_is_served() {
    let compiled = Compiler::default().compile(&held(&all(good_policy())));
    assert_eq!(compiled.rejected, []);
    assert_eq!(compiled.resources.len(), 4);
    for path in ["/orders", "/catalog"] {
        assert_eq!(meets(&compiled.table, path), "redirected");
    }
}

/// Policies that a control plane of the future may send.
fn unreadable() -> Vec<(Envelope, &'static str, &'static str)> {
    let spec = json!({ "targetRefs": [{ "group": "gateway.networking.k8s.io", "kind": "HTTPRoute",
        "name": "orders" }], "rules": [{ "name": "all", "action": "Allow" }], "moonPhase": "full" });
    let future = policy(&spec);
    let newer = Envelope { schema: 2, ..good_policy() }.digested();
    let unknown = envelope("MoonPolicy", "locked", &json!({ "spec": {} }));
    let body = Bytes::from_static(b"{{");
    let torn = Envelope { body, ..good_policy() }.digested();
    let mut other = good_policy();
    other.key.name = "other".to_owned();
    vec![
        (future, "spec.moonPhase", "unknown field"),
        (newer, "", "schema 2"),
        (unknown, "", "MoonPolicy"),
        (torn, "", "no JSON object"),
        (other, "", "says that it is AccessPolicy shop/locked"),
    ]
}

#[test]
fn a_policy_that_cannot_be_read_closes_what_control_says_it_protects_and_nothing_else() {
    for (policy, path, word) in unreadable() {
        let key = policy.key.clone();
        for before in [None, Some(good_policy())] {
            let mut compiler = Compiler::default();
            if let Some(before) = before {
                compiler.compile(&held(&all(before)));
            }
            let compiled = compiler.compile(&held(&all(policy.clone())));
            let [rejected] = &compiled.rejected[..] else { panic!("{:?}", compiled.rejected) };
            assert_eq!((&rejected.key, rejected.path.as_str()), (&key, path));
            assert!(rejected.reason.contains(word), "{}", rejected.reason);
            assert_eq!(rejected.closed, policy.targets);
            assert_eq!(meets(&compiled.table, "/orders"), CLOSED, "{key}");
            assert_eq!(meets(&compiled.table, "/catalog"), "redirected");
        }
    }
}

#[test]
fn what_a_newer_schema_says_is_kept_for_borders_unless_it_is_a_secret() {
    let raw = |kind: &str| {
        let body = json!({ "spec": { "namespaces": ["shop"] } });
        let newer = Envelope { schema: 2, ..envelope(kind, "shop", &body) };
        read(&newer).unwrap_err().raw
    };
    assert_eq!(raw("Workspace").unwrap()["spec"]["namespaces"], json!(["shop"]));
    assert_eq!((raw("Secret"), raw("Moon")), (None, None));
}

#[test]
fn a_policy_that_moves_on_with_one_target_elsewhere_protects_the_one_that_is_here() {
    let on = |names: [&str; 2]| {
        let target = |name: &str| json!({ "group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": name });
        let rules = json!([{ "name": "none", "action": "Deny" }]);
        policy(&json!({ "targetRefs": names.map(target), "rules": rules }))
    };
    let mut compiler = Compiler::default();
    compiler.compile(&held(&all(on(["orders", "far"]))));
    let moved = compiler.compile(&held(&all(on(["catalog", "far"]))));
    assert_eq!(meets(&moved.table, "/orders"), "redirected");
    assert_ne!(meets(&moved.table, "/catalog"), "redirected");
    assert_eq!((moved.faults.as_slice(), moved.rejected.as_slice()), (&[][..], &[][..]));
}

#[test]
fn a_route_with_a_parent_that_is_elsewhere_is_no_fault() {
    let mut both = route("both", "/both");
    let body = String::from_utf8_lossy(&both.body);
    both.body = body.replace(r#"[{"name":"edge"}]"#, r#"[{"name":"edge"},{"name":"west"}]"#).into();
    let compiled = Compiler::default().compile(&held(&[gateway(), both.digested()]));
    assert_eq!(meets(&compiled.table, "/both"), "redirected");
    assert_eq!(compiled.faults, []);
}

#[test]
fn a_route_that_is_not_served_at_all_is_told_as_rejected() {
    let mut bad = route("bad", "/bad");
    let body = String::from_utf8_lossy(&bad.body);
    let wrong = r#""type":"RegularExpression","value":"(""#;
    bad.body = body.replace(r#""type":"PathPrefix","value":"/bad""#, wrong).into();
    let compiled = Compiler::default().compile(&held(&[gateway(), bad.digested()]));
    let told: Vec<_> = compiled.rejected.iter().map(|one| one.key.name.as_str()).collect();
    assert_eq!(told, ["bad"]);
}

#[test]
fn it_opens_again_once_the_policy_can_be_read() {
    let mut compiler = Compiler::default();
    for (policy, ..) in unreadable() {
        let closed = compiler.compile(&held(&all(policy)));
        assert_eq!(meets(&closed.table, "/orders"), CLOSED);
        let open = compiler.compile(&held(&all(good_policy())));
        assert_eq!(meets(&open.table, "/orders"), "redirected");
    }
}

#[test]
fn a_target_of_an_unknown_kind_closes_its_namespace() {
    let mut moon = envelope("MoonPolicy", "locked", &json!({}));
    moon.targets[0].kind = "MoonRoute".to_owned();
    let compiled = Compiler::default().compile(&held(&all(moon)));
    for path in ["/orders", "/catalog"] {
        assert_eq!(meets(&compiled.table, path), CLOSED);
    }
}

#[test]
fn any_other_object_keeps_its_last_good_form_or_is_left_out() {
    let mut bad = route("orders", "/elsewhere");
    bad.body = String::from_utf8_lossy(&bad.body).replace("parentRefs", "parentReffs").into();
    let state = |route: &Envelope| held(&[gateway(), route.clone()]);
    let fresh = Compiler::default().compile(&state(&bad));
    let [rejected] = &fresh.rejected[..] else { panic!("{:?}", fresh.rejected) };
    assert_eq!(rejected.path, "spec.parentReffs");
    assert!(rejected.closed.is_empty());
    assert_eq!(meets(&fresh.table, "/elsewhere"), "no_route");
    let mut compiler = Compiler::default();
    compiler.compile(&state(&route("orders", "/orders")));
    let compiled = compiler.compile(&state(&bad));
    assert_eq!(meets(&compiled.table, "/orders"), "redirected");
    assert_eq!(compiled.rejected.len(), 1);
    assert_eq!((compiled.kept.len(), compiled.resources.len()), (1, 2));
    let unknown = envelope("MoonPhase", "a", &json!({}));
    let compiled = compiler.compile(&held(&all(unknown)));
    assert_eq!(compiled.rejected.len(), 1);
    assert_eq!(meets(&compiled.table, "/orders"), "redirected");
}

#[test]
fn a_last_good_form_is_in_force_again_after_a_restart() {
    let newer = |mut envelope: Envelope| {
        envelope.schema = wire::SCHEMA + 1;
        envelope.digested()
    };
    let mut bad = route("orders", "/elsewhere");
    bad.body = String::from_utf8_lossy(&bad.body).replace("parentRefs", "parentReffs").into();
    let before = held(&[gateway(), route("orders", "/orders")]);
    let after = held(&[newer(gateway()), bad.digested()]);
    let mut running = Compiler::default();
    assert!(running.compile(&before).good.is_empty());
    let kept = running.compile(&after);
    assert_eq!(kept.good, before);
    // It stays what it is as long as the object cannot be read, whatever else changes.
    let again = running.compile(&after);
    assert_eq!(again.good, before);
    let state = Arc::new(Held { objects: after.clone(), ..Held::default() });
    let restarted = Compiler::after(&Served { state, good: again.good.clone() }, Seat::default())
        .compile(&after);
    assert_eq!(restarted.good, again.good);
    assert_eq!((&restarted.rejected, &restarted.kept), (&again.rejected, &again.kept));
    assert_eq!(restarted.resources, again.resources);
    assert_eq!(meets(&restarted.table, "/orders"), "redirected");
    assert_eq!(meets(&Compiler::default().compile(&after).table, "/orders"), "no_listener");
    // And no longer.
    assert!(running.compile(&before).good.is_empty());
}
