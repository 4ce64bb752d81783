//! Routes for datagrams: they have ports of their own, of listeners as of Services.

use std::net::SocketAddr;

use model::service::AppProtocol;
use model::{Kind, Resource};
use policy::{Facts, Layer, Reason};
use serde_json::{Value, json};

use super::fixture::{faults, gateway, gateway_at, get, made, object, path, route};
use crate::{Assembly, State, Table, Target};

const DNS: u16 = 53;

fn listeners() -> Value {
    json!([
        { "name": "udp", "port": DNS, "protocol": "UDP" },
        { "name": "tcp", "port": DNS, "protocol": "TCP" },
        { "name": "other", "port": 54, "protocol": "UDP" },
    ])
}

/// A route of a kind that attaches to `infra/edge`, or one listener of it, and leads to a port of `names`.
fn led_to(kind: Kind, name: &str, section: Option<&str>, port: u16) -> Resource {
    let mut spec = json!({
        "parentRefs": [{ "namespace": "infra", "name": "edge" }],
        "rules": [{ "backendRefs": [{ "name": "names", "port": port }] }],
    });
    if let Some(section) = section {
        spec["parentRefs"][0]["sectionName"] = section.into();
    }
    object(kind, "shop", name, spec)
}

/// Port 53 both ways, 80 of TCP and 81 of UDP alone, each with its endpoint.
fn names() -> [Resource; 2] {
    let ports = json!([
        { "name": "dns", "port": 53, "protocol": "UDP" },
        { "name": "dns-tcp", "port": 53, "protocol": "TCP", "appProtocol": "tcp" },
        { "name": "web", "port": 80 },
        { "name": "log", "port": 81, "protocol": "UDP" },
    ]);
    // By the names of the Service's ports, of which each here stands for both transports.
    let at = |name: &str, port: u16, protocol: &str| json!({ "name": name, "port": port, "protocol": protocol });
    let mut slice = json!({
        "addressType": "IPv4",
        "endpoints": [{ "addresses": ["10.0.0.1"] }],
        "ports": [at("dns", 1053, "UDP"), at("dns", 2053, "TCP"), at("dns-tcp", 3053, "TCP"),
            at("dns-tcp", 4053, "UDP"), { "name": "log", "port": 5053 }],
    });
    slice["metadata"] = json!({ "labels": { "kubernetes.io/service-name": "names" } });
    let slice = object(Kind::EndpointSlice, "shop", "names-1", slice);
    [object(Kind::Service, "shop", "names", json!({ "ports": ports })), slice]
}

fn with(more: impl IntoIterator<Item = Resource>) -> Assembly {
    made([gateway(listeners())].into_iter().chain(names()).chain(more).collect())
}

/// The rule that datagrams or a connection meet.
fn led(table: &Table, layer: Layer, port: u16) -> String {
    let ask = get("", "");
    let facts = Facts { layer, port, ..ask.facts() };
    match table.find(&facts) {
        Ok(found) => found.rule.label.to_string(),
        Err(reason) => reason.to_string(),
    }
}

#[test]
fn datagrams_and_connections_share_a_number_and_nothing_else() {
    let assembly = with([
        led_to(Kind::UdpRoute, "udp", Some("udp"), 53),
        led_to(Kind::TcpRoute, "tcp", Some("tcp"), 53),
    ]);
    assert_eq!(faults(&assembly), [""; 0]);
    let table = &assembly.table;
    assert_eq!(led(table, Layer::Datagrams, DNS), "shop/udp/0");
    assert_eq!(led(table, Layer::Connection, DNS), "shop/tcp/0");
    assert_eq!(led(table, Layer::Datagrams, 54), "no_route");
    assert_eq!(led(table, Layer::Datagrams, 55), "no_listener");
    assert_eq!(led(table, Layer::Connection, 54), "no_listener");
    assert_eq!(table.ports().into_keys().collect::<Vec<_>>(), [DNS]);
    assert_eq!(table.udp_ports().collect::<Vec<_>>(), [DNS, 54]);
    let endpoints = table.services.iter().map(|service| {
        let addresses = service.endpoints.iter().map(|one| one.address).collect::<Vec<_>>();
        (service.protocol, addresses)
    });
    let at = |port: u16| vec![SocketAddr::from(([10, 0, 0, 1], port))];
    let wanted = [(AppProtocol::Tcp, at(3053)), (AppProtocol::Udp, at(1053))];
    assert_eq!(endpoints.collect::<Vec<_>>(), wanted);
}

#[test]
fn a_port_of_an_endpoint_that_says_no_transport_is_one_of_tcp() {
    let assembly = with([led_to(Kind::UdpRoute, "udp", Some("udp"), 81)]);
    assert_eq!(faults(&assembly), [""; 0]);
    assert_eq!(assembly.table.services[0].endpoints, []);
}

#[test]
fn a_route_leads_to_ports_that_are_carried_as_what_it_leads() {
    for (kind, section, port, wanted) in [
        (
            Kind::UdpRoute,
            "udp",
            80,
            "port 80 of shop/names is one of TCP, and UDPRoute leads to UDP",
        ),
        (
            Kind::TcpRoute,
            "tcp",
            81,
            "port 81 of shop/names is one of UDP, and TCPRoute leads to TCP",
        ),
        (Kind::UdpRoute, "udp", 82, "no Service shop/names with port 82"),
    ] {
        let assembly = with([led_to(kind, "r", Some(section), port)]);
        let told = faults(&assembly);
        assert!(told.len() == 1 && told[0].contains(wanted), "{told:?}");
        let broken = assembly.table.rules[0].backends.target(0);
        assert!(matches!(broken, Some(Target::Broken(_))), "{kind}: {broken:?}");
    }
    let rules = json!([{ "backendRefs": [{ "name": "names", "port": 81 }] }]);
    let parent = json!([{ "namespace": "infra", "name": "edge", "sectionName": "web" }]);
    let spec = json!({ "parentRefs": parent, "rules": rules });
    let web = json!([{ "name": "web", "port": 80 }]);
    let http = object(Kind::HttpRoute, "shop", "r", spec);
    let all = [gateway(web), http].into_iter().chain(names()).collect();
    let assembly = made(all);
    let broken = assembly.table.rules[0].backends.target(0);
    assert_eq!(broken, Some(&Target::Broken(Reason::BackendProtocol)));
    assert!(faults(&assembly)[0].ends_with("use a UDPRoute"), "{:?}", faults(&assembly));
}

#[test]
fn two_listeners_for_datagrams_have_no_port_in_common() {
    let one = json!([{ "name": "a", "port": DNS, "protocol": "UDP" }]);
    let gateways = ["older", "younger"].map(|name| gateway_at("infra", name, one.clone()));
    let assembly = made(gateways.into());
    let states = assembly.table.listeners.iter().map(|one| one.is_serving());
    assert_eq!(states.collect::<Vec<_>>(), [true, false]);
    let State::Refused(why) = &assembly.table.listeners[1].state else { panic!("it serves") };
    assert_eq!(why, "port 53 of UDP is held by listener 'a' of Gateway infra/older");
}

#[test]
fn of_two_routes_the_older_one_has_the_datagrams_of_a_listener() {
    let assembly = with([
        led_to(Kind::UdpRoute, "a", Some("udp"), 53),
        led_to(Kind::UdpRoute, "b", None, 53),
        led_to(Kind::TcpRoute, "c", None, 53),
    ]);
    assert_eq!(led(&assembly.table, Layer::Datagrams, DNS), "shop/a/0");
    assert_eq!(led(&assembly.table, Layer::Datagrams, 54), "shop/b/0");
    let told = faults(&assembly);
    let wanted = "UDPRoute shop/b: spec.parentRefs: UDPRoute shop/a is older and has the datagrams of \
                  listener 'udp' of Gateway infra/edge";
    assert!(told.len() == 1 && told[0].starts_with(wanted), "{told:?}");
}

#[test]
fn a_workload_behind_a_proxy_takes_no_datagrams_past_it() {
    let workload = |name: &str, mesh: Value| {
        let mut written = json!({
            "metadata": { "name": name, "namespace": "shop", "labels": { "app": "names" } },
            "spec": { "cluster": "east", "address": "10.0.0.9", "ports": [{ "port": 53 }] },
        });
        if !mesh.is_null() {
            written["spec"]["mesh"] = mesh;
            written["spec"]["address"] = "10.0.0.8".into();
        }
        Resource::from_json(Kind::Workload, written).unwrap()
    };
    let ports = json!([{ "name": "dns", "port": 53, "protocol": "UDP" }]);
    let service = object(
        Kind::Service,
        "shop",
        "names",
        json!({ "ports": ports, "selector": { "app": "names" } }),
    );
    let all = vec![
        gateway(listeners()),
        service,
        workload("plain", Value::Null),
        workload("meshed", json!({})),
        led_to(Kind::UdpRoute, "udp", Some("udp"), 53),
    ];
    let assembly = made(all);
    let endpoints = assembly.table.services[0].endpoints.iter().map(|one| one.address.to_string());
    assert_eq!(endpoints.collect::<Vec<_>>(), ["10.0.0.9:53"]);
}

#[test]
fn why_tells_of_datagrams() {
    let assembly = with([led_to(Kind::UdpRoute, "udp", Some("udp"), 53)]);
    let ask = get("", "");
    let story = |port| {
        let facts = Facts { layer: Layer::Datagrams, port, ..ask.facts() };
        assembly.table.why(&facts).to_string()
    };
    assert!(story(DNS).contains("every datagram"), "{}", story(DNS));
    let told = story(80);
    assert!(told.contains("nothing takes datagrams on port 80; there are 53, 54"), "{told}");
    // A route of its own kind alone, whatever there is for requests.
    let http = with([route("r", &[], path("PathPrefix", "/"))]);
    assert_eq!(led(&http.table, Layer::Datagrams, DNS), "no_route");
}
