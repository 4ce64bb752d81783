//! Refused HTTPRoutes without a good form: what a policy protects of them falls to nobody.

use model::{Key, Kind, Name, Resource};
use serde_json::{Value, json};

use super::fixture::{faults, gateway_at, get, object};
use crate::{Assembly, Input, Refused, assemble};

const OK: &str = "ok";
const SHUT: &str = "policy_unreadable";

fn route(namespace: &str, name: &str, hosts: &[&str], paths: &[&str]) -> Resource {
    let matches = paths.iter().map(|path| json!({ "path": { "value": path } }));
    let rules = json!([{ "matches": matches.collect::<Vec<_>>() }]);
    let parents = json!([{ "name": "edge", "namespace": "infra" }]);
    let spec = json!({ "parentRefs": parents, "hostnames": hosts, "rules": rules });
    object(Kind::HttpRoute, namespace, name, spec)
}

/// Two Gateways; of `shop` an open route at all of them, of `other` one at a host of its own.
fn world() -> Vec<Resource> {
    let side = json!([{ "name": "edge", "namespace": "infra" },
        { "name": "side", "namespace": "infra" }]);
    let Resource::HttpRoute(open) = route("shop", "open", &[], &["/", "/admin/open"]) else {
        panic!("a route")
    };
    let mut open = (*open).clone();
    open.spec.parent_refs = serde_json::from_value(side).unwrap();
    vec![
        gateway_at("infra", "edge", json!([{ "name": "web" }])),
        gateway_at("infra", "side", json!([{ "name": "web", "port": 81 }])),
        Resource::HttpRoute(open.into()),
        route("other", "theirs", &["theirs.test"], &["/"]),
    ]
}

fn policy() -> Resource {
    let spec = json!({ "targetRefs": [{ "kind": "HTTPRoute", "name": "admin" }],
        "rules": [{ "name": "posts", "when": { "methods": ["POST"] } }] });
    object(Kind::AccessPolicy, "shop", "p", spec)
}

fn key(kind: Kind, name: &str) -> Key {
    Key::new(kind, Name::parse("shop").unwrap(), Name::parse(name).unwrap())
}

/// The text of the route `shop/admin`, which has a fault in a place that matters to nobody here.
fn admin() -> Value {
    json!({ "spec": {
        "parentRefs": [{ "name": "edge", "namespace": "infra" }],
        "rules": [{
            "matches": [{ "path": { "value": "/admin" }, "method": "GET" }],
            "backendRef": [{ "name": "admin", "port": 80 }],
        }],
    } })
}

/// The same, with another value at this place.
fn with(pointer: &str, value: Value) -> Value {
    let mut text = admin();
    *text.pointer_mut(pointer).unwrap() = value;
    text
}

/// The same, with the word `wrong` for a field.
fn misspelt(object: &str, field: &str, wrong: &str) -> Value {
    let mut text = admin();
    let fields = text.pointer_mut(object).unwrap().as_object_mut().unwrap();
    let value = fields.remove(field).unwrap_or(json!(["h"]));
    fields.insert(wrong.to_owned(), value);
    text
}

fn refused(raw: Option<Value>, resources: Vec<Resource>) -> Assembly {
    let key = Some(key(Kind::HttpRoute, "admin"));
    let refused = vec![Refused { key, raw, faults: Vec::new() }];
    assemble(Input { resources, refused, ..Input::default() }, None)
}

/// The root, two places below `/admin`, one of which is open by itself, the root of the other
/// Gateway, and the same path at another namespace's host.
fn verdicts(assembly: &Assembly) -> [String; 5] {
    let asks = [
        get("h", "/"),
        get("h", "/admin/x"),
        get("h", "/admin/open"),
        get("h", "/admin").port(81),
        get("theirs.test", "/admin"),
    ];
    asks.map(|ask| ask.verdict(&assembly.table))
}

#[test]
fn what_is_protected_of_a_stray_does_not_fall_to_an_open_route() {
    let untold = [SHUT, SHUT, SHUT, OK, OK];
    let nothing = [SHUT, SHUT, SHUT, SHUT, OK];
    let spec = "/spec";
    let rule = "/spec/rules/0";
    let one = "/spec/rules/0/matches/0";
    let cases = [
        ("a fault elsewhere", Some(admin()), [OK, SHUT, OK, OK, OK]),
        ("no slash", Some(with(&format!("{one}/path/value"), json!("admin"))), untold),
        ("an odd path", Some(with(&format!("{one}/path/value"), json!("/a?b"))), untold),
        ("a number", Some(with(&format!("{one}/path/value"), json!(7))), untold),
        ("an odd type", Some(with(&format!("{one}/path"), json!({ "type": "Prefix" }))), untold),
        ("a misspelt value", Some(misspelt(&format!("{one}/path"), "value", "valeu")), untold),
        ("a misspelt path", Some(misspelt(one, "path", "paht")), untold),
        ("misspelt matches", Some(misspelt(rule, "matches", "match")), untold),
        ("misspelt rules", Some(misspelt(spec, "rules", "rule")), untold),
        // A word that nobody knows may mean the hosts, which are not written.
        ("misspelt hosts", Some(misspelt(spec, "hostnames", "hostname")), untold),
        ("no rules", Some(with("/spec/rules", json!([]))), untold),
        ("any path", Some(with(rule, json!({ "filters": 7 }))), [SHUT, SHUT, OK, OK, OK]),
        ("an odd parent", Some(with("/spec/parentRefs/0/name", json!("A B"))), nothing),
        ("a Service", Some(with("/spec/parentRefs/0", json!({ "kind": "Service" }))), nothing),
        ("no parents", Some(with("/spec/parentRefs", json!([]))), nothing),
        ("no spec", Some(with(spec, json!(7))), nothing),
        ("no text", None, nothing),
    ];
    for (what, raw, wanted) in cases {
        let assembly = refused(raw.clone(), [world(), vec![policy()]].concat());
        assert_eq!(verdicts(&assembly), wanted, "{what}");
        assert_eq!(verdicts(&refused(raw, world())), [OK; 5], "{what}, without a policy");
    }
}

#[test]
fn a_stray_closes_its_own_hosts_and_nothing_of_another_namespace() {
    let mut raw = admin();
    raw["spec"]["hostnames"] = json!(["x.test", "theirs.test"]);
    let assembly = refused(Some(raw), [world(), vec![policy()]].concat());
    assert_eq!(verdicts(&assembly), [OK; 5]);
    let ask = get("x.test", "/admin");
    assert_eq!(ask.verdict(&assembly.table), SHUT);
    assert_eq!(ask.rule(&assembly.table), "shop/admin/0");
    // Where another namespace alone would answer, it goes on doing so.
    let mut others = world();
    others[2] = route("other", "all", &[], &["/"]);
    others.push(policy());
    assert_eq!(verdicts(&refused(Some(admin()), others.clone())), [OK, OK, OK, "no_route", OK]);
    assert_eq!(verdicts(&refused(None, others)), [OK, OK, OK, "no_route", OK]);
}

#[test]
fn the_policy_tells_that_it_closes() {
    let assembly = refused(Some(admin()), [world(), vec![policy()]].concat());
    assert_eq!(
        faults(&assembly),
        ["AccessPolicy shop/p: spec.targetRefs[0]: HTTPRoute shop/admin is refused, see its own \
          faults; until they are mended, the policy closes what it was meant for"]
    );
    assert!(assembly.closed.contains(&policy().key()));
}

#[test]
fn a_policy_that_cannot_be_read_itself_closes_a_stray_too() {
    let raw = json!({ "spec": { "targetRefs": [{ "kind": "HTTPRoute", "name": "admin" }] } });
    let refused = |kind, name, raw| Refused {
        key: Some(key(kind, name)),
        raw: Some(raw),
        faults: Vec::new(),
    };
    let refused =
        vec![refused(Kind::AccessPolicy, "p", raw), refused(Kind::HttpRoute, "admin", admin())];
    let assembly = assemble(Input { resources: world(), refused, ..Input::default() }, None);
    assert_eq!(verdicts(&assembly), [OK, SHUT, OK, OK, OK]);
}

#[test]
fn a_pattern_that_does_not_compile_closes_every_route_of_its_gateways() {
    let Resource::HttpRoute(bad) = route("shop", "admin", &[], &["/(admin"]) else {
        panic!("a route")
    };
    let mut bad = (*bad).clone();
    bad.spec.rules[0].matches[0].path.kind = model::route::PathMatchType::RegularExpression;
    let resources = [world(), vec![policy(), Resource::HttpRoute(bad.into())]].concat();
    let assembly = assemble(Input { resources, ..Input::default() }, None);
    assert_eq!(verdicts(&assembly), [SHUT, SHUT, SHUT, OK, OK]);
}

#[test]
fn a_stray_with_a_last_good_form_closes_nothing() {
    let good = route("shop", "admin", &[], &["/admin"]);
    let resources = [world(), vec![policy(), good]].concat();
    let before = assemble(Input { resources, ..Input::default() }, None);
    let resources = [world(), vec![policy()]].concat();
    let key = Some(key(Kind::HttpRoute, "admin"));
    let refused = vec![Refused { key, raw: Some(admin()), faults: Vec::new() }];
    let after = assemble(Input { resources, refused, ..Input::default() }, Some(&before));
    assert_eq!(verdicts(&before), [OK, "access_denied", OK, OK, OK]);
    assert_eq!(verdicts(&after), verdicts(&before));
    assert_eq!(after.table.digest, before.table.digest);
}
