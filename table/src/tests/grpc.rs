//! Routes for gRPC: which call goes where, beside routes for HTTP.

use std::time::Duration;

use model::route::CookieLifetime;
use model::service::AppProtocol;
use model::{Kind, Resource};
use serde_json::{Value, json};

use super::fixture::{faults, gateway, get, made, object, path, plain, route};
use crate::{Carrier, Session};

/// The GRPCRoute `shop/name` of `infra/edge`, its rules by the methods that they are for.
fn grpc(name: &str, hosts: &[&str], rules: Value) -> Resource {
    let parents = json!([{ "namespace": "infra", "name": "edge" }]);
    let spec = json!({ "parentRefs": parents, "hostnames": hosts, "rules": rules });
    object(Kind::GrpcRoute, "shop", name, spec)
}

fn named(rules: &[(&str, Value)]) -> Value {
    rules.iter().map(|(name, one)| json!({ "name": name, "matches": [one] })).collect()
}

#[test]
fn a_call_is_led_by_service_then_method_then_headers() {
    let header = json!([{ "name": "x-beta", "value": "1" }]);
    // The more specific comes last, so that the order of rules decides nothing.
    let rules = named(&[
        ("all", json!({})),
        ("beta", json!({ "headers": header })),
        ("get", json!({ "method": { "method": "Get" } })),
        ("get-beta", json!({ "method": { "method": "Get" }, "headers": header })),
        ("orders", json!({ "method": { "service": "shop.v1.Orders" } })),
        ("place", json!({ "method": { "service": "shop.v1.Orders", "method": "Place" } })),
    ]);
    let assembly = made(vec![plain(), grpc("calls", &[], rules)]);
    assert_eq!(faults(&assembly), <[&str; 0]>::default());
    let table = assembly.table;
    for (asked, wanted) in [
        ("/shop.v1.Orders/Place", "place"),
        ("/shop.v1.Orders/Get", "orders"),
        ("/shop.v1.Orders/Places", "orders"),
        ("/shop.v1.OrdersToo/Place", "all"),
        ("/shop.v1.Books/Get", "get"),
        ("/shop.v1.Books/Gets", "all"),
        ("/shop.v1.Books/x/Get", "all"),
        ("/Get", "all"),
        ("/", "all"),
    ] {
        assert_eq!(get("h", asked).rule(&table), format!("shop/calls/{wanted}"), "{asked}");
    }
    let beta = |asked| get("h", asked).header("x-beta", "1").rule(&table);
    assert_eq!(beta("/shop.v1.Books/Get"), "shop/calls/get-beta");
    assert_eq!(beta("/shop.v1.Books/List"), "shop/calls/beta");
    assert_eq!(beta("/shop.v1.Orders/Get"), "shop/calls/orders", "a service is more than a header");
}

#[test]
fn a_rule_for_calls_keeps_sessions_as_one_for_requests_does() {
    let rules = json!([{
        "name": "orders",
        "matches": [{ "method": { "service": "shop.v1.Orders" } }],
        "sessionPersistence": {
            "sessionName": "seat",
            "absoluteTimeout": "8h",
            "idleTimeout": "30m",
            "cookieConfig": { "lifetimeType": "Permanent" },
        },
    }]);
    let table = made(vec![plain(), grpc("calls", &[], rules)]).table;
    let wanted = Session {
        name: "seat".into(),
        carrier: Carrier::Cookie {
            path: "/shop.v1.Orders".into(),
            lifetime: CookieLifetime::Permanent,
        },
        absolute: Some(Duration::from_secs(8 * 3600)),
        idle: Some(Duration::from_secs(30 * 60)),
        of: "GRPCRoute/shop/calls/orders".into(),
    };
    let sessions: Vec<_> = table.rules.iter().filter_map(|rule| rule.session.as_deref()).collect();
    assert_eq!(sessions, [&wanted]);
}

#[test]
fn expressions_mean_the_whole_of_service_and_method() {
    let like = |service: Value, method: Value| {
        let mut one = json!({ "type": "RegularExpression" });
        for (field, value) in [("service", service), ("method", method)] {
            if !value.is_null() {
                one[field] = value;
            }
        }
        json!({ "method": one })
    };
    // Neither may reach over the slash, nor out of its parentheses.
    let rules = named(&[
        ("reads", like(Value::Null, json!("Get|List"))),
        ("books", like(json!("shop\\.(v1|v2)\\.Books"), Value::Null)),
        ("odd", like(json!("(?x)odd#"), json!("M"))),
    ]);
    let assembly = made(vec![plain(), grpc("calls", &[], rules)]);
    assert_eq!(faults(&assembly), <[&str; 0]>::default());
    for (asked, wanted) in [
        ("/a.B/Get", "shop/calls/reads"),
        ("/a.B/List", "shop/calls/reads"),
        ("/a.B/GetList", "no_route"),
        ("/a.B/c/Get", "no_route"),
        ("/shop.v2.Books/Put", "shop/calls/books"),
        ("/shop.v3.Books/Put", "no_route"),
        ("/odd/M", "shop/calls/odd"),
        ("/odd/N", "no_route"),
    ] {
        assert_eq!(get("h", asked).rule(&assembly.table), wanted, "{asked}");
    }
}

#[test]
fn a_host_of_a_listener_is_for_routes_of_one_kind_and_the_older_one() {
    let everything = || path("PathPrefix", "/");
    let cases: [(&[&str], &[&str], &str, &str); 7] = [
        (&["a.example.com"], &["a.example.com"], "a.example.com", "shop/a-http/0"),
        (&["*.example.com"], &["a.example.com"], "a.example.com", "shop/a-http/0"),
        (&["a.example.com"], &["*.example.com"], "b.example.com", "no_route"),
        (&["a.b.example.com"], &["*.example.com", "x.org"], "x.org", "no_route"),
        (&[], &["a.example.com"], "a.example.com", "shop/a-http/0"),
        (&["a.example.com"], &[], "b.org", "no_route"),
        (&["*.example.com"], &["example.com"], "example.com", "shop/b-grpc/0"),
    ];
    for (http, calls, asked, wanted) in cases {
        let calls = grpc("b-grpc", calls, json!([{}]));
        let assembly = made(vec![plain(), route("a-http", http, everything()), calls]);
        assert_eq!(get(asked, "/s/m").rule(&assembly.table), wanted, "{http:?}");
        let told = faults(&assembly).join("\n");
        let yields = told.contains("HTTPRoute shop/a-http has a host of it at listener 'web'");
        assert_eq!(yields, wanted != "shop/b-grpc/0", "{http:?}: {told}");
    }
}

#[test]
fn whoever_holds_a_host_yields_to_no_stranger() {
    let workspace = |name| object(Kind::Workspace, "heddle", name, json!({ "access": "open" }));
    let claim = object(Kind::Claim, "shop", "hosts", json!({ "hosts": [{ "host": "shop.test" }] }));
    let stranger = |hosts: Value| {
        let parents = json!([{ "namespace": "infra", "name": "edge" }]);
        object(Kind::HttpRoute, "rival", "a", json!({ "parentRefs": parents, "hostnames": hosts }))
    };
    for hosts in [json!([]), json!(["shop.test"]), json!(["*.test"])] {
        let calls = grpc("calls", &["shop.test"], json!([{}]));
        let all = vec![plain(), workspace("shop"), workspace("rival"), stranger(hosts), calls];
        // Until it is held, who was first has it: by name, since neither has an age.
        let table = made(all.clone()).table;
        assert_eq!(get("shop.test", "/s/m").rule(&table), "rival/a/0");
        let held = all.into_iter().chain([claim.clone()]).collect();
        let table = made(held).table;
        assert_eq!(get("shop.test", "/s/m").rule(&table), "shop/calls/0");
    }
    // Its own routes share it no more than anybody's.
    let own = route("a-http", &["shop.test"], path("PathPrefix", "/"));
    let calls = grpc("calls", &["shop.test"], json!([{}]));
    let table = made(vec![plain(), workspace("shop"), claim, own, calls]).table;
    assert_eq!(get("shop.test", "/s/m").rule(&table), "shop/a-http/0");
}

#[test]
fn who_yields_comes_back_once_the_other_is_gone() {
    let gateway = || gateway(json!([{ "name": "web" }, { "name": "beside", "port": 81 }]));
    let http = || {
        let parents = json!([{ "namespace": "infra", "name": "edge", "sectionName": "web" }]);
        let spec = json!({ "parentRefs": parents, "rules": path("PathPrefix", "/") });
        object(Kind::HttpRoute, "shop", "a-http", spec)
    };
    let calls = grpc("b-grpc", &[], json!([{}]));
    let assemble = |resources, before: Option<&crate::Assembly>| {
        crate::assemble(crate::Input { resources, ..crate::Input::default() }, before)
    };
    let both = assemble(vec![gateway(), http(), calls.clone()], None);
    let at = |table: &crate::Table, port| get("h", "/s/m").port(port).rule(table);
    assert_eq!(at(&both.table, 80), "shop/a-http/0");
    assert_eq!(at(&both.table, 81), "shop/b-grpc/0", "where nobody was before it, it stays");
    let alone = assemble(vec![gateway(), calls.clone()], Some(&both));
    assert_eq!(at(&alone.table, 80), "shop/b-grpc/0");
    let again = assemble(vec![gateway(), http(), calls], Some(&alone));
    assert_eq!(at(&again.table, 80), "shop/a-http/0");
}

#[test]
fn a_listener_takes_the_kinds_that_it_names() {
    let allowed = json!({ "namespaces": { "from": "All" }, "kinds": [{ "kind": "HTTPRoute" }] });
    let http_only = gateway(json!([{ "name": "web", "allowedRoutes": allowed }]));
    let assembly = made(vec![http_only, grpc("calls", &[], json!([{}]))]);
    assert_eq!(get("h", "/s/m").rule(&assembly.table), "no_route");
    let told = faults(&assembly);
    assert!(told[0].contains("takes no GRPCRoute"), "{told:?}");
}

fn service(name: &str, says: Option<&str>) -> Resource {
    let mut port = json!({ "port": 80 });
    if let Some(says) = says {
        port["appProtocol"] = says.into();
    }
    object(Kind::Service, "shop", name, json!({ "ports": [port] }))
}

#[test]
fn calls_are_sent_over_http2_to_what_does_not_say_otherwise() {
    let to = |name: &str| json!([{ "backendRefs": [{ "name": name, "port": 80 }] }]);
    let speaks = |says: Option<&str>| {
        let assembly = made(vec![plain(), service("books", says), grpc("r", &[], to("books"))]);
        let told = faults(&assembly).join("\n");
        let protocols: Vec<_> = assembly.table.services.iter().map(|one| one.protocol).collect();
        let sent = get("h", "/s/m").backends(&assembly.table);
        (protocols, sent, told)
    };
    for says in [None, Some("kubernetes.io/h2c"), Some("grpc")] {
        let (protocols, sent, told) = speaks(says);
        assert_eq!((protocols, &*told), (vec![AppProtocol::H2c], ""), "{says:?}");
        assert_eq!(sent, ["1 x shop/books:80 []"], "{says:?}");
    }
    let (_, sent, told) = speaks(Some("http"));
    assert_eq!(sent, ["1 x backend_protocol"]);
    assert!(told.contains("say appProtocol: grpc"), "{told}");
    // One Service may be sent both: requests as before, calls over HTTP/2.
    let http = route("a", &["a.example.com"], to("books"));
    let both =
        vec![plain(), service("books", None), http, grpc("b", &["b.example.com"], to("books"))];
    let table = made(both).table;
    let protocol = |host| {
        let ask = get(host, "/s/m");
        let found = table.find(&ask.facts()).unwrap();
        let Some(crate::Target::Service(id)) = found.rule.backends.target(0) else { panic!() };
        table.services[*id].protocol
    };
    assert_eq!(protocol("a.example.com"), AppProtocol::Http1);
    assert_eq!(protocol("b.example.com"), AppProtocol::H2c);
}
