//! Routes that are attached to Services: what applications call goes where they say, and nobody's
//! calls are led by a stranger.

use std::sync::Arc;

use model::{Key, Kind, Resource};
use policy::Verdict;
use serde_json::{Value, json};

use super::fixture::{Ask, faults, gateway, get, object, route as of_gateway};
use super::outbound::{call, input, name, service, workload};
use crate::{Assembly, Closed, Input, Refused, Target, assemble};

/// Services of two versions, both behind `orders`, which has two ports; another of `bank`.
fn world() -> Vec<Resource> {
    let port = json!([{ "port": 80, "targetPort": 8080 }]);
    let ports = json!([{ "name": "a", "port": 80, "targetPort": 8080 },
        { "name": "b", "port": 81, "targetPort": 8080 }]);
    vec![
        workload("orders-1", "orders", json!({})),
        workload("v1-1", "v1", json!({})),
        workload("v2-1", "v2", json!({ "port": 15009 })),
        service("shop", "orders", ports),
        service("shop", "v1", port.clone()),
        service("shop", "v2", port.clone()),
        service("bank", "books", port),
    ]
}

pub(super) fn parent(service: &str) -> Value {
    json!({ "group": "", "kind": "Service", "name": service })
}

pub(super) fn route(namespace: &str, called: &str, parents: Value, rules: Value) -> Resource {
    let spec = json!({ "parentRefs": parents, "rules": rules });
    object(Kind::HttpRoute, namespace, called, spec)
}

/// A rule for what has a prefix, to a version.
fn to(prefix: &str, version: &str) -> Value {
    json!({ "matches": [{ "path": { "value": prefix } }],
        "backendRefs": [{ "name": version, "port": 80 }] })
}

fn split() -> Resource {
    let both = json!([{ "name": "v1", "port": 80, "weight": 90 },
        { "name": "v2", "port": 80, "weight": 10 }]);
    let canary = json!([{ "headers": [{ "name": "x-canary", "value": "yes" }] }]);
    let rules = json!([
        { "matches": [{ "path": { "value": "/orders" } }], "backendRefs": both },
        { "matches": canary, "backendRefs": [{ "name": "v2", "port": 80 }] },
    ]);
    route("shop", "split", json!([parent("orders")]), rules)
}

pub(super) fn with(more: Vec<Resource>) -> Vec<Resource> {
    world().into_iter().chain(more).collect()
}

fn made(more: Vec<Resource>) -> Assembly {
    assemble(input(with(more)), None)
}

fn refused(raw: Value, namespace: &str, mut input: Input) -> Input {
    let key = Some(Key::new(Kind::HttpRoute, name(namespace), name("bad")));
    input.refused.push(Refused { key, raw: Some(raw), faults: Vec::new() });
    input
}

/// The text of a route of a Service with a fault that matters to nobody here.
fn bad(parents: Value) -> Value {
    json!({ "spec": { "parentRefs": parents, "rules": [{ "backendRef": [] }] } })
}

/// What becomes of a call.
fn verdict(assembly: &Assembly, ask: &Ask) -> String {
    let facts = ask.facts();
    match assembly.table.called(&facts, None) {
        Err(reason) => reason.to_string(),
        Ok(found) => match found.rule.chain.uncounted(&facts, found.prefix) {
            Verdict::Pass(_) => "ok".to_owned(),
            Verdict::Answer(answer) => answer.reason.to_string(),
        },
    }
}

const PLAIN: &str = "shop/orders:80 1";

#[test]
fn calls_are_split_by_weight_and_by_header_and_what_fits_nothing_has_no_route() {
    let made = made(vec![split()]);
    assert_eq!(faults(&made), Vec::<String>::new());
    let orders = get("orders.shop", "/orders/7");
    let found = made.table.called(&orders.facts(), None).unwrap();
    assert_eq!((found.prefix, found.listener.port), (Some("/orders"), 80));
    let label = |random| match found.rule.backends.target(random) {
        Some(Target::Service(id)) => made.table.services[*id].label.to_string(),
        other => format!("{other:?}"),
    };
    let to_v2 = (0..1000).filter(|at| label(at * (u32::MAX / 1000)) == "shop/v2:80").count();
    assert!((99..=101).contains(&to_v2), "{to_v2} of 1000");
    let canary = get("orders", "/").header("x-canary", "yes");
    assert_eq!(call(&made, &canary, None), "shop/split/1 1");
    assert_eq!(call(&made, &get("orders", "/"), None), "no_route");
    // Others are called as ever, and so are the versions by themselves.
    assert_eq!(call(&made, &get("v1", "/"), None), "shop/v1:80 1");
    assert_eq!(call(&made, &get("books.bank", "/"), None), "bank/books:80 0");
}

#[test]
fn a_route_leads_the_ports_that_it_names() {
    let mut one = parent("orders");
    one["port"] = json!(81);
    let made = made(vec![route("shop", "r", json!([one]), json!([to("/", "v1")]))]);
    assert_eq!(call(&made, &get("orders", "/"), Some(81)), "shop/r/0 1");
    assert_eq!(call(&made, &get("orders", "/"), Some(80)), PLAIN);
    let mut none = parent("orders");
    none["port"] = json!(82);
    let resources = with(vec![route("shop", "r", json!([none]), json!([to("/", "v1")]))]);
    let made = assemble(input(resources), None);
    let wanted = "HTTPRoute shop/r: spec.parentRefs[0]: Service shop/orders has no port 82; \
                  it has 80, 81";
    assert_eq!(faults(&made), [wanted]);
    assert_eq!(call(&made, &get("orders", "/"), None), PLAIN);
}

#[test]
fn a_service_may_be_backend_of_its_own_route_and_host_names_say_nothing() {
    let spec = json!({ "parentRefs": [parent("orders")], "hostnames": ["else.test"],
        "rules": [{ "matches": [{ "path": { "value": "/a" } }],
            "backendRefs": [{ "name": "orders", "port": 80 }] }] });
    let made = made(vec![object(Kind::HttpRoute, "shop", "r", spec)]);
    let found = made.table.called(&get("orders", "/a").facts(), None);
    let target = found.unwrap().rule.backends.target(0);
    let Some(Target::Service(id)) = target else { panic!("{target:?}") };
    assert_eq!(&*made.table.services[*id].label, "shop/orders:80");
    assert_eq!(call(&made, &get("orders", "/b"), None), "no_route");
}

#[test]
fn of_several_routes_the_precedence_of_the_gateway_api_decides() {
    let wide = route("shop", "a", json!([parent("orders"), parent("v2")]), json!([to("/", "v1")]));
    let narrow = route("shop", "z", json!([parent("orders")]), json!([to("/admin", "v2")]));
    let made = made(vec![wide, narrow]);
    for (host, path, wanted) in [
        ("orders", "/admin/x", "shop/z/0 1"),
        ("orders", "/", "shop/a/0 1"),
        ("v2", "/admin/x", "shop/a/0 1"),
    ] {
        assert_eq!(call(&made, &get(host, path), None), wanted, "{host}{path}");
    }
}

#[test]
fn nobody_leads_the_calls_of_anothers_service() {
    let mut theirs = parent("orders");
    theirs["namespace"] = json!("shop");
    let thief = route("bank", "thief", json!([theirs]), json!([to("/", "books")]));
    let one = made(vec![thief]);
    assert_eq!(call(&one, &get("orders", "/"), None), PLAIN);
    let wanted = "HTTPRoute bank/thief: spec.parentRefs[0]: a route attaches to Services of its own \
                  namespace";
    assert_eq!(faults(&one), [wanted]);
    // Nor by one that cannot be read, whatever it means.
    for parents in [json!([theirs]), json!("?"), Value::Null] {
        let made = assemble(refused(bad(parents), "bank", input(with(vec![split()]))), None);
        assert_eq!(call(&made, &get("orders", "/orders"), None), "shop/split/0 1");
        assert_eq!(call(&made, &get("v1", "/"), None), "shop/v1:80 1");
    }
}

#[test]
fn a_refused_route_keeps_its_good_form_or_answers_nothing() {
    let good = route("shop", "bad", json!([parent("orders")]), json!([to("/a", "v1")]));
    let before = assemble(input(with(vec![good])), None);
    let now = || refused(bad(json!([parent("orders")])), "shop", input(world()));
    let kept = assemble(now(), Some(&before));
    assert_eq!(call(&kept, &get("orders", "/a"), None), "shop/bad/0 1");
    assert_eq!(call(&kept, &get("orders", "/b"), None), "no_route");
    // Without one the Service's own endpoints do not answer in its place.
    let lost = assemble(now(), None);
    assert_eq!(call(&lost, &get("orders", "/a"), None), "no_route");
    assert_eq!(call(&lost, &get("v1", "/"), None), "shop/v1:80 1");
    // Another route of the Service does.
    let other = refused(bad(json!([parent("orders")])), "shop", input(with(vec![split()])));
    assert_eq!(call(&assemble(other, None), &get("orders", "/orders"), None), "shop/split/0 1");
    // So does one of which no more can be told than where it stood, or that it stood elsewhere.
    let mut odd = parent("orders");
    odd["mesh"] = json!("newer");
    for (parents, orders, v1) in [
        (json!([odd]), "no_route", "shop/v1:80 1"),
        (json!([{ "name": "edge", "mesh": "newer", "kind": "Gateway" }]), PLAIN, "shop/v1:80 1"),
        (json!([{ "name": "edge", "kinds": "Service" }]), "no_route", "no_route"),
        (
            json!([{ "kind": "Service", "name": "orders", "namespace": "bank" }]),
            PLAIN,
            "shop/v1:80 1",
        ),
    ] {
        let made = assemble(refused(bad(parents.clone()), "shop", input(world())), None);
        let seen = ["orders", "v1"].map(|host| call(&made, &get(host, "/"), None));
        assert_eq!(seen, [orders, v1], "{parents}");
    }
    // One of which nobody can tell where it stood may have stood at any Service of its namespace.
    let vague = assemble(refused(bad(json!("?")), "shop", input(world())), None);
    for (host, wanted) in
        [("orders", "no_route"), ("v1", "no_route"), ("books.bank", "bank/books:80 0")]
    {
        assert_eq!(call(&vague, &get(host, "/"), None), wanted, "{host}");
    }
}

#[test]
fn the_life_of_an_api_is_felt_by_callers() {
    let own = |lifecycle: &str| {
        let space = object(Kind::Workspace, "heddle", "shop", json!({ "access": "open" }));
        let spec = json!({ "owner": "sellers", "lifecycle": lifecycle });
        vec![space, object(Kind::Api, "shop", "beta", spec)]
    };
    let labels = json!({ "heddle.dev/api": "beta" });
    let mut text =
        route("shop", "bad", json!([parent("orders")]), json!([to("/", "v1")])).to_json();
    text["metadata"]["labels"] = labels.clone();
    let route = Resource::from_json(Kind::HttpRoute, text).unwrap();
    for (lifecycle, wanted) in [("Draft", "api_unpublished"), ("Published", "ok")] {
        let more = own(lifecycle).into_iter().chain([route.clone()]).collect();
        assert_eq!(verdict(&made(more), &get("orders", "/")), wanted, "{lifecycle}");
    }
    // Of a draft that cannot be read nothing falls to the Service's other routes.
    let mut raw = bad(json!([parent("orders")]));
    raw["metadata"] = json!({ "labels": labels });
    for (lifecycle, wanted) in [("Draft", "no_route"), ("Published", "shop/split/0 1")] {
        let more = own(lifecycle).into_iter().chain([split()]).collect();
        let made = assemble(refused(raw.clone(), "shop", input(with(more))), None);
        assert_eq!(call(&made, &get("orders", "/orders"), None), wanted, "{lifecycle}");
    }
}

#[test]
fn a_policy_on_such_a_route_is_refused_and_closes_it() {
    let targets = json!([{ "kind": "HTTPRoute", "name": "split" }]);
    let spec = json!({ "targetRefs": targets, "rules": [{ "name": "all" }] });
    let policy = object(Kind::AccessPolicy, "shop", "p", spec);
    let made = made(vec![split(), policy]);
    let wanted = "AccessPolicy shop/p: spec.targetRefs[0]: HTTPRoute shop/split is attached to \
                  Services, which ask their own policies where a call arrives: attach the policy to \
                  the Service; until then it closes the route";
    assert_eq!(faults(&made), [wanted]);
    assert_eq!(verdict(&made, &get("orders", "/orders")), "policy_unreadable");
    assert_eq!(verdict(&made, &get("v1", "/")), "ok");
    // So does one of a kind that nobody here knows.
    let unknown = Closed {
        policy: "RegoPolicy shop/p".to_owned(),
        targets: vec![Key::new(Kind::HttpRoute, name("shop"), name("split"))],
        fault: model::Invalid {
            key: None,
            path: String::new(),
            line: None,
            reason: "new".to_owned(),
            nearest: None,
        },
    };
    let input = Input { closed: vec![unknown], ..input(with(vec![split()])) };
    assert_eq!(verdict(&assemble(input, None), &get("orders", "/orders")), "policy_unreadable");
}

#[test]
fn nothing_goes_past_the_proxy_of_a_backend_that_is_guarded() {
    let spec = json!({ "targetRefs": [{ "group": "", "kind": "Service", "name": "v1" }],
        "rules": [{ "name": "all" }] });
    let policy = object(Kind::AccessPolicy, "shop", "p", spec);
    let plain = || workload("v1-2", "v1", Value::Null);
    let rules = || route("shop", "r", json!([parent("orders")]), json!([to("/", "v1")]));
    assert_eq!(call(&made(vec![rules(), plain()]), &get("orders", "/"), None), "shop/r/0 2");
    let guarded = made(vec![rules(), plain(), policy]);
    assert_eq!(call(&guarded, &get("orders", "/"), None), "shop/r/0 1");
}

#[test]
fn a_gateway_leads_past_the_routes_of_a_service() {
    let rules = json!([{ "backendRefs": [{ "name": "orders", "port": 80 }] }]);
    let edge = gateway(json!([{ "name": "web" }]));
    let resources = with(vec![edge, of_gateway("in", &[], rules), split()]);
    let table = assemble(Input { resources, ..Input::default() }, None).table;
    let backends = get("h", "/anything").backends(&table);
    assert_eq!(backends.len(), 1);
    assert!(backends[0].starts_with("1 x shop/orders:80"), "{backends:?}");
}

#[test]
fn who_keeps_the_books_is_told_of_what_is_missing_until_it_is_there() {
    let route = || route("shop", "r", json!([parent("later")]), json!([to("/", "v9")]));
    let told = |more: Vec<Resource>, before: Option<&Assembly>| {
        assemble(Input { resources: with(more), ..Input::default() }, before)
    };
    let first = told(vec![route()], None);
    let wanted = [
        "HTTPRoute shop/r: spec.parentRefs[0]: no Service shop/later",
        "HTTPRoute shop/r: spec.rules[0].backendRefs[0]: no Service shop/v9 with port 80",
    ];
    assert_eq!(faults(&first), wanted);
    let port = || json!([{ "port": 80 }]);
    let later = told(vec![route(), service("shop", "later", port())], Some(&first));
    assert_eq!(faults(&later), wanted[1..]);
    let whole = vec![route(), service("shop", "later", port()), service("shop", "v9", port())];
    assert_eq!(faults(&told(whole, Some(&later))), Vec::<String>::new());
    assert!(later.table.rules.is_empty(), "no listener leads there");
}

#[test]
fn what_did_not_change_is_the_very_rule_of_before() {
    let split = split();
    let first = assemble(input(with(vec![split.clone()])), None);
    let other = route("shop", "z", json!([parent("v1")]), json!([to("/z", "v2")]));
    let next = assemble(input(with(vec![split, other])), Some(&first));
    let rule = |assembly: &Assembly| {
        let orders = get("orders", "/orders");
        Arc::clone(assembly.table.called(&orders.facts(), None).unwrap().rule)
    };
    assert!(Arc::ptr_eq(&rule(&first), &rule(&next)));
}
