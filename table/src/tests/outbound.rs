//! What an application sends: which Service its names mean, and that nothing goes past a proxy that
//! is to be asked.

use model::{Key, Kind, Name, Resource};
use policy::Layer;
use serde_json::{Value, json};

use super::fixture::{Ask, faults, get, object};
use crate::{Assembly, Input, Target, assemble};

pub(super) fn name(word: &str) -> Name {
    Name::parse(word).unwrap()
}

pub(super) fn workload(called: &str, app: &str, mesh: Value) -> Resource {
    let mut written = json!({
        "metadata": { "namespace": "shop", "name": called, "labels": { "app": app } },
        "spec": { "cluster": "east", "address": "10.0.0.7", "ports": [{ "port": 8080 }] },
    });
    if !mesh.is_null() {
        written["spec"]["mesh"] = mesh;
    }
    Resource::from_json(Kind::Workload, written).unwrap()
}

pub(super) fn service(namespace: &str, called: &str, ports: Value) -> Resource {
    let spec = json!({ "selector": { "app": called }, "ports": ports });
    object(Kind::Service, namespace, called, spec)
}

/// What the proxy of `shop/front-1` is told.
pub(super) fn input(resources: Vec<Resource>) -> Input {
    let own = Key::new(Kind::Workload, name("shop"), name("front-1"));
    let (stands_for, cluster) = (Some(own), Some(name("east")));
    let front = workload("front-1", "front", json!({ "outbound": 15001 }));
    let resources = resources.into_iter().chain([front]).collect();
    Input { resources, slice: true, stands_for, cluster, ..Input::default() }
}

fn made(resources: Vec<Resource>) -> Assembly {
    assemble(input(resources), None)
}

/// The same of a connection.
fn opened(assembly: &Assembly, host: &'static str, port: u16) -> String {
    let ask = Ask { layer: Layer::Connection, ..get(host, "") };
    call(assembly, &ask, Some(port))
}

/// The rule that a call meets, and how many endpoints it may go to.
fn called(assembly: &Assembly, host: &'static str, port: Option<u16>) -> String {
    call(assembly, &get(host, "/"), port)
}

pub(super) fn call(assembly: &Assembly, ask: &Ask, port: Option<u16>) -> String {
    match assembly.table.called(&ask.facts(), port) {
        Err(reason) => reason.to_string(),
        Ok(found) => match found.rule.backends.target(0) {
            Some(Target::Service(id)) => {
                let endpoints = &assembly.table.services[*id].endpoints;
                format!("{} {}", found.rule.label, endpoints.len())
            }
            other => format!("{other:?}"),
        },
    }
}

#[test]
fn a_port_of_udp_is_none_that_applications_call() {
    let port = |name: &str, number: u16, protocol: &str| {
        json!({ "name": name, "port": number, "targetPort": 8080, "protocol": protocol,
            "appProtocol": (protocol == "TCP").then_some("tcp") })
    };
    let ports = json!([port("udp", 53, "UDP"), port("tcp", 53, "TCP"), port("log", 54, "UDP")]);
    let names = workload("names-1", "names", Value::Null);
    let made = made(vec![names, service("shop", "names", ports)]);
    assert_eq!(opened(&made, "names", 53), "shop/names:53 1");
    assert_eq!(opened(&made, "names", 54), "no_route");
    let services = made.table.services.iter().filter(|one| one.key.kind == Kind::Service);
    assert_eq!(services.count(), 1);
    assert_eq!(made.table.udp_ports().count(), 0);
}

#[test]
fn services_are_called_by_the_names_that_they_have_in_kubernetes() {
    let one = json!([{ "port": 80, "targetPort": 8080 }]);
    let two = json!([{ "name": "a", "port": 80 }, { "name": "b", "port": 81 }]);
    let odd = json!([{ "name": "a", "port": 81 }, { "name": "b", "port": 82 }]);
    let orders = workload("orders-1", "orders", json!({}));
    let made = made(vec![
        orders,
        service("shop", "orders", one.clone()),
        service("shop", "two", two),
        service("shop", "odd", odd),
        service("bank", "books", one),
    ]);
    let addresses = made.table.outbound.as_ref().unwrap().addresses();
    assert_eq!(addresses.map(|at| at.to_string()).collect::<Vec<_>>(), ["127.0.0.1:15001"]);
    for (host, port, wanted) in [
        ("orders", None, "shop/orders:80 1"),
        ("orders", Some(80), "shop/orders:80 1"),
        ("orders", Some(81), "no_route"),
        ("orders.shop", None, "shop/orders:80 1"),
        ("orders.shop.svc", None, "shop/orders:80 1"),
        ("orders.shop.svc.cluster.local", Some(80), "shop/orders:80 1"),
        ("orders.bank", None, "no_route"),
        ("two", None, "shop/two:80 0"),
        ("two", Some(81), "shop/two:81 0"),
        ("odd", None, "no_route"),
        ("books", None, "no_route"),
        ("books.bank", None, "bank/books:80 0"),
        ("shop.example.com", None, "no_route"),
        ("10.0.0.7", Some(8080), "no_route"),
        ("", None, "no_route"),
    ] {
        assert_eq!(called(&made, host, port), wanted, "{host} {port:?}");
    }
}

#[test]
fn nothing_goes_past_a_proxy_where_one_is_to_be_asked() {
    let port = json!([{ "port": 80, "targetPort": 8080 }]);
    let workspace = |access: &str| {
        let spec = json!({ "namespaces": ["shop"], "access": access });
        object(Kind::Workspace, "heddle", "shop", spec)
    };
    let targets = json!([{ "group": "", "kind": "Service", "name": "orders" }]);
    let policy = object(
        Kind::AccessPolicy,
        "shop",
        "a",
        json!({ "targetRefs": targets, "rules": [{ "name": "all" }] }),
    );
    let plain = || {
        vec![
            workload("orders-1", "orders", Value::Null),
            workload("orders-2", "orders", json!({ "port": 15009 })),
            service("shop", "orders", port.clone()),
        ]
    };
    let with = |more: Vec<Resource>| {
        called(&made(plain().into_iter().chain(more).collect()), "orders", None)
    };
    assert_eq!(with(vec![]), "shop/orders:80 2");
    assert_eq!(with(vec![workspace("open")]), "shop/orders:80 2");
    assert_eq!(with(vec![workspace("deny")]), "shop/orders:80 1");
    assert_eq!(with(vec![workspace("open"), policy]), "shop/orders:80 1");
}

#[test]
fn a_port_that_carries_tcp_takes_connections_and_no_requests_and_no_route_leads_there() {
    let ports = json!([{ "name": "http", "port": 80, "targetPort": 8080 },
        { "name": "tcp", "port": 5432, "targetPort": 8081, "appProtocol": "tcp" },
        { "name": "odd", "port": 5433, "targetPort": 8080, "appProtocol": "tcp" },
        { "name": "mad", "port": 81, "targetPort": 8081 }]);
    let tcp = json!([{ "port": 5432, "targetPort": 8081, "appProtocol": "tcp" }]);
    let both = json!([{ "port": 8080 }, { "port": 8081, "appProtocol": "tcp" }]);
    let orders = |ports: &Value| {
        let mut written = workload("orders-1", "orders", json!({})).to_json();
        written["spec"]["ports"] = ports.clone();
        Resource::from_json(Kind::Workload, written).unwrap()
    };
    let route = |service: &str, port: Value| {
        let mut parent = json!({ "group": "", "kind": "Service", "name": service });
        if !port.is_null() {
            parent["port"] = port;
        }
        let spec = json!({ "parentRefs": [parent], "rules": [{ "backendRefs":
            [{ "name": "orders", "port": 80 }] }] });
        object(Kind::HttpRoute, "shop", "led", spec)
    };
    let with = |more: Option<Resource>| {
        let resources = [
            orders(&both),
            service("shop", "orders", ports.clone()),
            service("shop", "db", tcp.clone()),
        ];
        made(resources.into_iter().chain(more).collect())
    };
    let made = with(None);
    for (of, wanted) in [
        (called(&made, "orders", Some(80)), "shop/orders:80 1"),
        (called(&made, "orders", Some(5432)), "backend_protocol"),
        (opened(&made, "orders", 5432), "shop/orders:5432 1"),
        (opened(&made, "orders", 80), "backend_protocol"),
        (opened(&made, "orders", 82), "no_route"),
        // Nothing is sent to a proxy as what its port does not take.
        (opened(&made, "orders", 5433), "shop/orders:5433 0"),
        (called(&made, "orders", Some(81)), "shop/orders:81 0"),
    ] {
        assert_eq!(of, wanted);
    }
    // A route leads what is asked of the one port, and the other stays as it is.
    let led = with(Some(route("orders", Value::Null)));
    assert_eq!(faults(&led), [""; 0]);
    assert_eq!(called(&led, "orders", Some(80)), "shop/led/0 1");
    assert_eq!(opened(&led, "orders", 5432), "shop/orders:5432 1");
    for (service, port) in [("orders", json!(5432)), ("db", Value::Null)] {
        let refused = with(Some(route(service, port)));
        let told = faults(&refused).join("\n");
        let wanted =
            format!("what Service shop/{service} is sent there is TCP, and a route leads requests");
        assert!(told.contains(&wanted), "{told}");
        assert_eq!(opened(&refused, service, 5432), opened(&made, service, 5432));
    }
}

#[test]
fn a_port_of_loopback_leads_to_the_service_that_its_workload_says() {
    let upstreams = json!({ "upstreams": [{ "listen": 15432, "name": "db", "port": 5432 },
        { "listen": 15433, "namespace": "bank", "name": "books", "port": 1 }] });
    let own = Key::new(Kind::Workload, name("shop"), name("front-1"));
    let resources = vec![workload("front-1", "front", upstreams)];
    let (stands_for, cluster) = (Some(own), Some(name("east")));
    let made =
        assemble(Input { resources, slice: true, stands_for, cluster, ..Input::default() }, None);
    let outbound = made.table.outbound.as_ref().unwrap();
    let addresses = outbound.addresses().map(|at| at.to_string());
    assert_eq!(addresses.collect::<Vec<_>>(), ["127.0.0.1:15432", "127.0.0.1:15433"]);
    assert_eq!(outbound.upstream(15432), Some(("db.shop", 5432)));
    assert_eq!(outbound.upstream(15433), Some(("books.bank", 1)));
    assert_eq!(outbound.upstream(15001), None);
}

#[test]
fn a_proxy_without_the_port_takes_nothing_of_its_application() {
    let own = Key::new(Kind::Workload, name("shop"), name("front-1"));
    let resources = vec![workload("front-1", "front", json!({}))];
    let (stands_for, cluster) = (Some(own), Some(name("east")));
    let input = Input { resources, slice: true, stands_for, cluster, ..Input::default() };
    assert!(assemble(input, None).table.outbound.is_none());
}
