//! Routes for connections: by server name, by port, and never for a request.

use model::gateway::Protocol;
use model::service::AppProtocol;
use model::{Key, Kind, Name, Resource};
use policy::{Facts, Layer, Scheme};
use serde_json::{Value, json};

use super::fixture::{faults, gateway, get, made, object, path, route};
use crate::{Assembly, Input, Refused, State, Table, Target, assemble};

const TLS: u16 = 443;
const TCP: u16 = 5432;

/// Port 443 with TLS of three sorts, one each for plain TCP and plain HTTP, and one for UDP at the number of
/// that for TCP.
fn listeners() -> Value {
    let secret = json!({ "certificateRefs": [{ "name": "cert" }] });
    json!([
        { "name": "web", "port": TLS, "protocol": "HTTPS", "hostname": "web.test", "tls": secret },
        { "name": "db", "port": TLS, "protocol": "TLS", "hostname": "*.db.test", "tls": secret },
        { "name": "raw", "port": TLS, "protocol": "TLS", "tls": { "mode": "Passthrough" } },
        { "name": "tcp", "port": TCP, "protocol": "TCP" },
        { "name": "plain", "port": 80 },
        { "name": "udp", "port": TCP, "protocol": "UDP" },
    ])
}

fn certificate() -> Resource {
    let data = json!({ "tls.crt": "chain", "tls.key": "key" });
    let body = json!({ "type": "kubernetes.io/tls", "stringData": data });
    object(Kind::Secret, "infra", "cert", body)
}

/// A route for connections of `infra/edge`, or one listener of it.
fn stream(kind: Kind, name: &str, hosts: &[&str], section: Option<&str>) -> Resource {
    let mut spec = json!({
        "parentRefs": [{ "namespace": "infra", "name": "edge" }],
        "rules": [{ "backendRefs": [{ "name": "rows", "port": 80 }] }],
    });
    if let Some(section) = section {
        spec["parentRefs"][0]["sectionName"] = section.into();
    }
    if kind == Kind::TlsRoute {
        spec["hostnames"] = json!(hosts);
    }
    object(kind, "shop", name, spec)
}

fn rows() -> Resource {
    let ports = json!([{ "name": "tcp", "port": 80 },
        { "name": "udp", "port": 80, "protocol": "UDP" }]);
    object(Kind::Service, "shop", "rows", json!({ "ports": ports }))
}

fn with(more: impl IntoIterator<Item = Resource>) -> Assembly {
    made([gateway(listeners()), certificate(), rows()].into_iter().chain(more).collect())
}

/// The rule that a connection meets, by the server name where it comes by TLS.
fn led(table: &Table, port: u16, name: &'static str) -> String {
    let ask = get(name, "");
    let scheme = if port == TLS { Scheme::Https } else { Scheme::Http };
    let facts = Facts { layer: Layer::Connection, scheme, port, ..ask.facts() };
    match table.find(&facts) {
        Ok(found) => found.rule.label.to_string(),
        Err(reason) => reason.to_string(),
    }
}

#[test]
fn the_server_name_leads_a_connection() {
    let assembly = with([
        stream(Kind::TlsRoute, "all", &["*.test"], None),
        stream(Kind::TlsRoute, "db", &["*.db.test"], None),
        stream(Kind::TlsRoute, "one", &["one.db.test", "one.raw.test"], None),
        stream(Kind::TcpRoute, "tcp", &[], Some("tcp")),
    ]);
    assert_eq!(faults(&assembly), [""; 0]);
    for (name, wanted) in [
        ("one.db.test", "shop/one/0"),
        ("two.db.test", "shop/db/0"),
        ("one.raw.test", "shop/one/0"),
        ("two.raw.test", "shop/all/0"),
        ("elsewhere.org", "no_route"),
        ("", "no_route"),
        // What is there for requests leads no connection.
        ("web.test", "no_listener"),
    ] {
        assert_eq!(led(&assembly.table, TLS, name), wanted, "{name}");
    }
    assert_eq!(led(&assembly.table, TCP, ""), "shop/tcp/0");
    assert_eq!(led(&assembly.table, 80, ""), "no_listener");
    let listener = |name| assembly.table.listener(TLS, name).unwrap();
    let sorts = ["web.test", "a.db.test", "a.raw.test"]
        .map(listener)
        .map(|one| (one.protocol, one.is_passthrough, one.ends_tls(), one.certificates.len()));
    assert_eq!(
        sorts,
        [
            (Protocol::Https, false, true, 1),
            (Protocol::Tls, false, true, 1),
            (Protocol::Tls, true, false, 0)
        ]
    );
}

#[test]
fn no_request_meets_a_listener_for_connections() {
    let everything = route("r", &[], path("PathPrefix", "/"));
    let assembly = with([everything, stream(Kind::TlsRoute, "all", &["*.test"], None)]);
    for (host, port, scheme, wanted) in [
        ("web.test", TLS, Scheme::Https, "shop/r/0"),
        ("a.db.test", TLS, Scheme::Https, "no_listener"),
        ("a.raw.test", TLS, Scheme::Https, "no_listener"),
        ("h", TCP, Scheme::Http, "no_listener"),
        ("h", 80, Scheme::Http, "shop/r/0"),
    ] {
        let ask = get(host, "/");
        let facts = Facts { port, scheme, ..ask.facts() };
        let found = assembly.table.find(&facts);
        let told = found.map_or_else(|why| why.to_string(), |found| found.rule.label.to_string());
        assert_eq!(told, wanted, "{host}:{port}");
    }
    let ask = get("a.raw.test", "/");
    let story = assembly.table.why(&Facts { port: TLS, scheme: Scheme::Https, ..ask.facts() });
    let told = story.to_string();
    assert!(told.contains("speaks TLS, of which no request is read"), "{told}");
}

#[test]
fn a_listener_takes_the_routes_that_its_protocol_can_be_led_by() {
    use Kind::{GrpcRoute, HttpRoute, TcpRoute, TlsRoute, UdpRoute};
    for (section, taken) in [
        ("web", &[HttpRoute, GrpcRoute][..]),
        ("plain", &[HttpRoute, GrpcRoute]),
        ("db", &[TlsRoute, TcpRoute]),
        ("raw", &[TlsRoute]),
        ("tcp", &[TcpRoute]),
        ("udp", &[UdpRoute]),
    ] {
        for kind in Kind::ROUTES {
            let assembly = with([match kind {
                TlsRoute | TcpRoute => stream(kind, "r", &["*.test"], Some(section)),
                _ => {
                    let parent =
                        json!([{ "namespace": "infra", "name": "edge", "sectionName": section }]);
                    let rules = json!([{ "backendRefs": [{ "name": "rows", "port": 80 }] }]);
                    object(kind, "shop", "r", json!({ "parentRefs": parent, "rules": rules }))
                }
            }]);
            let told = faults(&assembly).join("\n");
            let wanted = if taken.contains(&kind) { "" } else { "and leads nothing by" };
            assert!(
                told.contains(wanted) && told.is_empty() == wanted.is_empty(),
                "{kind}: {told}"
            );
        }
    }
}

#[test]
fn tls_of_all_sorts_shares_a_port_and_datagrams_have_one_of_their_own() {
    let sorts = [
        json!({ "name": "http", "protocol": "HTTP" }),
        json!({ "name": "tcp", "protocol": "TCP" }),
        json!({ "name": "https", "protocol": "HTTPS", "hostname": "a.test",
            "tls": { "certificateRefs": [{ "name": "cert" }] } }),
        json!({ "name": "tls", "protocol": "TLS", "hostname": "b.test",
            "tls": { "mode": "Passthrough" } }),
        json!({ "name": "udp", "protocol": "UDP" }),
    ];
    for (one, first) in sorts.iter().enumerate() {
        for (other, second) in sorts.iter().enumerate().filter(|(other, _)| *other != one) {
            let assembly = made(vec![gateway(json!([first, second])), certificate()]);
            let states = assembly.table.listeners.iter().map(|one| one.state.clone());
            let refused: Vec<_> = states.filter(|state| *state != State::Serving).collect();
            match (one, other) {
                (2, 3) | (3, 2) | (4, _) | (_, 4) => assert_eq!(refused, [], "{first} {second}"),
                _ => assert!(matches!(&*refused, [State::Refused(why)] if why.contains("speaks"))),
            }
        }
    }
    let same = made(vec![
        gateway(json!([sorts[2], { "name": "too", "protocol": "TLS", "hostname": "a.test",
            "tls": { "mode": "Passthrough" } }])),
        certificate(),
    ]);
    let told = faults(&same);
    assert!(told[0].contains("'a.test' on port 80 is held by listener 'https'"), "{told:?}");
}

#[test]
fn whatever_a_service_speaks_goes_through() {
    for says in [None, Some("http"), Some("tcp"), Some("kubernetes.io/h2c")] {
        let mut port = json!({ "port": 80 });
        if let Some(says) = says {
            port["appProtocol"] = says.into();
        }
        let rows = object(Kind::Service, "shop", "rows", json!({ "ports": [port] }));
        let tcp = stream(Kind::TcpRoute, "tcp", &[], Some("tcp"));
        let assembly = made(vec![gateway(listeners()), certificate(), rows, tcp]);
        assert_eq!(faults(&assembly), [""; 0], "{says:?}");
        let protocols = assembly.table.services.iter().map(|one| one.protocol);
        assert_eq!(protocols.collect::<Vec<_>>(), [AppProtocol::Tcp], "{says:?}");
        assert!(matches!(assembly.table.rules[0].backends.target(0), Some(Target::Service(0))));
    }
}

#[test]
fn what_others_hold_of_a_host_keeps_its_connections_from_strangers() {
    let workspace = |name| object(Kind::Workspace, "heddle", name, json!({ "access": "open" }));
    let hosts = json!([{ "host": "held.test", "paths": ["/some"] }]);
    let claim = object(Kind::Claim, "other", "hosts", json!({ "hosts": hosts }));
    let world = || {
        let listener = json!([{ "name": "db", "port": TLS, "protocol": "TLS",
            "tls": { "certificateRefs": [{ "name": "cert" }] } }]);
        vec![gateway(listener), certificate(), rows(), workspace("shop"), workspace("other")]
    };
    for (of, wanted) in [
        (stream(Kind::TcpRoute, "r", &[], None), "shop/r/0"),
        (stream(Kind::TlsRoute, "r", &["*.test"], None), "no_route"),
    ] {
        let free = made(world().into_iter().chain([of.clone()]).collect());
        assert_eq!(led(&free.table, TLS, "held.test"), "shop/r/0");
        let held = made(world().into_iter().chain([of, claim.clone()]).collect());
        assert_eq!(led(&held.table, TLS, "held.test"), "no_route");
        assert_eq!(led(&held.table, TLS, "free.test"), wanted);
    }
}

#[test]
fn a_refused_route_under_a_policy_leaves_its_names_to_no_other() {
    let key = Key::new(Kind::TlsRoute, Name::parse("shop").unwrap(), Name::parse("one").unwrap());
    let spec = json!({ "targetRefs": [{ "kind": "TLSRoute", "name": "one" }],
        "rules": [{ "name": "near", "when": { "sources": ["127.0.0.1"] } }] });
    let policy = object(Kind::AccessPolicy, "shop", "p", spec);
    let raw = json!({ "spec": {
        "parentRefs": [{ "namespace": "infra", "name": "edge" }],
        "hostnames": ["one.raw.test"],
        "rules": "none",
    } });
    let all = stream(Kind::TlsRoute, "all", &["*.raw.test"], None);
    let resources = vec![gateway(listeners()), certificate(), rows(), all, policy];
    let refused = vec![Refused { key: Some(key), raw: Some(raw), faults: Vec::new() }];
    let table = assemble(Input { resources, refused, ..Input::default() }, None).table;
    assert_eq!(led(&table, TLS, "two.raw.test"), "shop/all/0");
    assert_eq!(led(&table, TLS, "one.raw.test"), "shop/one/0");
    let ask = get("one.raw.test", "");
    let facts = Facts { layer: Layer::Connection, scheme: Scheme::Https, port: TLS, ..ask.facts() };
    let found = table.find(&facts).unwrap();
    let verdict = found.rule.chain.uncounted(&facts, found.prefix);
    assert!(!matches!(verdict, policy::Verdict::Pass(_)), "it was let through");
}

#[test]
fn whose_port_an_older_route_has_is_told_so() {
    let assembly = with([
        stream(Kind::TcpRoute, "a", &[], None),
        stream(Kind::TcpRoute, "b", &[], Some("tcp")),
        stream(Kind::TcpRoute, "c", &[], Some("db")),
    ]);
    assert_eq!(led(&assembly.table, TCP, ""), "shop/a/0");
    let told = |name: &str, listener: &str| {
        format!(
            "TCPRoute shop/{name}: spec.parentRefs: TCPRoute shop/a is older and has the connections of \
             listener '{listener}' of Gateway infra/edge; name another listener there, by \
             'sectionName', for one of the two"
        )
    };
    assert_eq!(faults(&assembly), [told("b", "tcp"), told("c", "db")]);
}

#[test]
fn where_nothing_serves_the_story_says_what_each_port_speaks_and_how_a_handshake_ends() {
    let all = json!([
        { "name": "web", "port": TLS, "protocol": "HTTPS", "hostname": "web.test",
          "tls": { "certificateRefs": [{ "name": "cert" }] } },
        { "name": "db", "port": TLS, "protocol": "TLS", "hostname": "db.test",
          "tls": { "mode": "Passthrough" } },
        { "name": "tcp", "port": TCP, "protocol": "TCP" },
    ]);
    let table = made(vec![gateway(all), certificate()]).table;
    let told = |layer, scheme, port| {
        let ask = get("x.test", "/");
        table.why(&Facts { layer, scheme, port, ..ask.facts() }).no_listener.unwrap()
    };
    let wanted = format!("nothing listens on port 1; there are {TLS} (HTTPS and TLS), {TCP} (TCP)");
    assert_eq!(told(Layer::Request, Scheme::Http, 1), wanted);
    let refused = "its TLS handshake is refused with the alert access_denied";
    assert!(told(Layer::Request, Scheme::Https, TLS).contains(refused));
    assert!(told(Layer::Connection, Scheme::Https, TLS).ends_with(refused));
    let wanted = format!("port {TLS} speaks HTTPS and TLS, not HTTP");
    assert_eq!(told(Layer::Request, Scheme::Http, TLS), wanted);
}
