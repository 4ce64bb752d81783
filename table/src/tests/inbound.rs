//! What comes through the mesh to a workload: by which policies, and where it goes.

use model::identity::Peer;
use model::{Invalid, Key, Kind, Name, Resource};
use policy::{Facts, Verdict};
use serde_json::{Value, json};

use super::fixture::{Ask, get, object, plain, route};
use crate::{Assembly, Input, Refused, assemble};

fn name(word: &str) -> Name {
    Name::parse(word).unwrap()
}

fn own() -> Key {
    Key::new(Kind::Workload, name("shop"), name("orders-1"))
}

fn workload(cluster: &str, mesh: Value) -> Resource {
    let mut written = json!({
        "metadata": { "namespace": "shop", "name": "orders-1", "labels": { "app": "orders" } },
        "spec": { "cluster": cluster, "serviceAccount": "orders", "address": "10.0.0.7",
            "ports": [{ "name": "http", "port": 8080 }, { "port": 9090 }] },
    });
    if !mesh.is_null() {
        written["spec"]["mesh"] = mesh;
    }
    Resource::from_json(Kind::Workload, written).unwrap()
}

fn meshed() -> Resource {
    workload("east", json!({ "port": 15008 }))
}

fn service(called: &str, target: Value) -> Resource {
    let ports = json!([{ "port": 80, "targetPort": target }]);
    object(
        Kind::Service,
        "shop",
        called,
        json!({ "selector": { "app": "orders" }, "ports": ports }),
    )
}

fn policy(called: &str, service: &str, rules: Value) -> Resource {
    let targets = json!([{ "group": "", "kind": "Service", "name": service }]);
    let spec = json!({ "targetRefs": targets, "rules": rules });
    object(Kind::AccessPolicy, "shop", called, spec)
}

fn workspace(access: &str) -> Resource {
    let spec = json!({ "namespaces": ["shop"], "access": access });
    object(Kind::Workspace, "heddle", "shop", spec)
}

fn input(resources: Vec<Resource>) -> Input {
    let (stands_for, cluster) = (Some(own()), Some(name("east")));
    Input { resources, slice: true, stands_for, cluster, ..Input::default() }
}

fn made(resources: Vec<Resource>) -> Assembly {
    assemble(input(resources), None)
}

fn storefront(cluster: &str) -> Peer {
    let (namespace, service_account) = (name("shop"), name("storefront"));
    Peer::Workload { cluster: name(cluster), namespace, service_account }
}

/// What a request that `peer` sends to a port meets.
fn meets(assembly: &Assembly, ask: &Ask, port: u16, peer: &Peer) -> String {
    let facts = Facts { peer: Some(peer), port, ..ask.facts() };
    match assembly.table.find(&facts) {
        Err(reason) => reason.to_string(),
        Ok(found) => match found.rule.chain.uncounted(&facts, found.prefix) {
            Verdict::Pass(_) => "ok".to_owned(),
            Verdict::Answer(answer) => answer.reason.to_string(),
        },
    }
}

#[test]
fn each_port_goes_to_the_application_whatever_its_host_says() {
    let made = made(vec![meshed(), service("orders", json!("http"))]);
    let inbound = made.table.inbound.as_ref().unwrap();
    assert_eq!(inbound.address.to_string(), "10.0.0.7:15008");
    assert_eq!(inbound.peer.to_string(), "workload shop/orders of east");
    let ask = get("anything", "/x");
    for (port, wanted) in [(8080, "ok"), (9090, "ok"), (80, "no_listener")] {
        assert_eq!(meets(&made, &ask, port, &storefront("east")), wanted, "{port}");
    }
    let peer = storefront("east");
    let facts = Facts { peer: Some(&peer), port: 8080, ..ask.facts() };
    let found = made.table.find(&facts).unwrap();
    assert_eq!(&*found.rule.label, "shop/orders-1/http");
    // What did not come through the mesh finds none of it.
    assert_eq!(ask.port(8080).rule(&made.table), "no_listener");
}

#[test]
fn a_proxy_stands_for_a_workload_of_its_own_cluster_that_has_one() {
    assert!(made(vec![workload("west", json!({}))]).table.inbound.is_none());
    assert!(made(vec![workload("east", Value::Null)]).table.inbound.is_none());
    assert!(made(vec![]).table.inbound.is_none());
}

#[test]
fn the_policies_of_every_service_over_it_are_asked_and_where_none_speaks_the_workspace() {
    let east = json!([{ "name": "front", "when": { "workloads":
        [{ "cluster": "east", "serviceAccount": "storefront" }] } }]);
    let reads = json!([{ "name": "reads", "when": { "methods": ["GET"] } }]);
    let services = || vec![meshed(), service("orders", json!(8080)), service("other", json!(8080))];
    let with = |more: Vec<Resource>| made(services().into_iter().chain(more).collect());
    let (ask, front) = (get("h", "/"), storefront("east"));
    assert_eq!(meets(&with(vec![workspace("deny")]), &ask, 8080, &front), "default_denied");
    assert_eq!(meets(&with(vec![workspace("open")]), &ask, 8080, &front), "ok");
    let one = with(vec![workspace("deny"), policy("a", "orders", east.clone())]);
    assert_eq!(meets(&one, &ask, 8080, &front), "ok");
    assert_eq!(meets(&one, &ask, 8080, &storefront("west")), "access_denied");
    // A port that no Service leads to is the workspace's.
    assert_eq!(meets(&one, &ask, 9090, &front), "default_denied");
    let gateway = Peer::Gateway { cluster: name("east"), name: name("storefront") };
    assert_eq!(meets(&one, &ask, 8080, &gateway), "access_denied");
    let both = with(vec![policy("a", "orders", east), policy("b", "other", reads)]);
    assert_eq!(meets(&both, &ask, 8080, &front), "ok");
    let mut post = get("h", "/");
    post.method = http::Method::POST;
    assert_eq!(meets(&both, &post, 8080, &front), "access_denied");
}

#[test]
fn what_cannot_be_read_closes_the_application_and_no_other_port() {
    let refused = |kind, called: &str, raw: Option<Value>| Refused {
        key: Some(Key::new(kind, name("shop"), name(called))),
        raw,
        faults: Vec::<Invalid>::new(),
    };
    let (ask, front) = (get("h", "/"), storefront("east"));
    let named = json!([{ "name": "http", "port": 80, "targetPort": 8080 }]);
    let named = object(
        Kind::Service,
        "shop",
        "orders",
        json!({ "selector": { "app": "orders" }, "ports": named }),
    );
    // A Service has no parts for a policy: one that names a port was meant for all of it.
    for (service, more) in [
        (service("orders", json!(8080)), json!({})),
        (named.clone(), json!({ "sectionName": "http" })),
        (named, json!({ "sectionName": "nobody" })),
    ] {
        let mut target = json!({ "group": "", "kind": "Service", "name": "orders" });
        target.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let target = json!({ "spec": { "targetRefs": [target] } });
        let policy_lost = Input {
            refused: vec![refused(Kind::AccessPolicy, "a", Some(target))],
            ..input(vec![meshed(), service])
        };
        let made = assemble(policy_lost, None);
        assert_eq!(meets(&made, &ask, 8080, &front), "policy_unreadable", "{more}");
        assert_eq!(meets(&made, &ask, 9090, &front), "ok");
    }
    // Of a Service that cannot be read nobody knows over which workloads it is.
    let all = json!([{ "name": "all" }]);
    let service_lost = Input {
        refused: vec![refused(Kind::Service, "orders", None)],
        ..input(vec![meshed(), policy("a", "orders", all)])
    };
    let made = assemble(service_lost, None);
    assert_eq!(meets(&made, &ask, 8080, &front), "policy_unreadable");
}

#[test]
fn who_sends_to_a_service_goes_through_the_proxies_of_its_workloads() {
    let rules = json!([{ "backendRefs": [{ "name": "orders", "port": 80 }] }]);
    let edge = [plain(), route("r", &[], rules), service("orders", json!(8080))];
    for (workload, through) in
        [(meshed(), Some("10.0.0.7:15008")), (workload("east", Value::Null), None)]
    {
        let resources = edge.iter().cloned().chain([workload]).collect();
        let made = assemble(Input { resources, ..Input::default() }, None);
        let [endpoint] = &made.table.services[0].endpoints[..] else { panic!("one endpoint") };
        assert_eq!(endpoint.address.to_string(), "10.0.0.7:8080");
        let found = endpoint.through.as_ref().map(|through| through.address.to_string());
        assert_eq!(found.as_deref(), through);
    }
    // At the edge nobody is a workload, and what is attached to the Service is not asked.
    let named = json!([{ "name": "a", "when": { "workloads": [{ "cluster": "east" }] } }]);
    let targets = json!([{ "kind": "HTTPRoute", "name": "r" }]);
    let on_route = object(
        Kind::AccessPolicy,
        "shop",
        "e",
        json!({ "targetRefs": targets, "rules": named.clone() }),
    );
    let all = |policy: Resource| {
        let resources = edge.iter().cloned().chain([meshed(), policy]).collect();
        assemble(Input { resources, ..Input::default() }, None)
    };
    assert_eq!(get("h", "/").verdict(&all(on_route).table), "access_denied");
    assert_eq!(get("h", "/").verdict(&all(policy("a", "orders", named)).table), "ok");
}
