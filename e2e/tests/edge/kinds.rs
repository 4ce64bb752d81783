//! Routes of two kinds that lead to one port: requests and calls reach the same applications there, so what
//! one of them learns of an endpoint, and what it takes of the port's bounds, holds for the other.

use std::collections::BTreeSet;

use e2e::client::{nothing, request};
use e2e::{Connection, Gateway, Ill, Origin, Reply, Setup, wait, yaml};
use http::Version;
use serde_json::Value;

use crate::scene::{HOST, refused};

/// The host of the calls: one is there for routes of one kind.
const CALLED: &str = "calls.test";
/// Whether the port says what it speaks: then both kinds have its connections in common.
const SPOKEN: [&str; 2] = ["{ port: 80 }", "{ port: 80, appProtocol: kubernetes.io/h2c }"];

/// An HTTPRoute and a GRPCRoute to a port of so many origins, for which this is said.
async fn behind(port: &str, count: usize, traffic: &str) -> (Vec<Origin>, Gateway) {
    let rules = "rules: [{ backendRefs: [{ name: shop, port: 80 }] }]";
    let spec =
        format!("spec:\n  parentRefs: [{{ name: edge }}]\n  hostnames: [{CALLED}]\n  {rules}");
    let calls = yaml::document("gateway.networking.k8s.io/v1", "GRPCRoute", "calls", &spec);
    let mut setup = Setup::new()
        .with(yaml::document("v1", "Service", "shop", &format!("spec: {{ ports: [{port}] }}")))
        .with(yaml::traffic("shop", traffic))
        .with(yaml::route("web", &format!("hostnames: [{HOST}]\n{rules}")))
        .with(calls);
    let mut origins = Vec::new();
    for index in 0..count {
        let origin = Origin::start(&format!("shop-{index}")).await;
        setup = setup.with(yaml::slice(&format!("shop-{index}"), "shop", origin.address));
        origins.push(origin);
    }
    (origins, setup.start().await)
}

async fn call(gateway: &Gateway) -> Reply {
    let asked =
        request("POST", CALLED, "/shop.Books/Get").header("content-type", "application/grpc");
    let asked = asked.body(nothing()).expect("a well-formed call");
    let mut connection = Connection::h2c(gateway.web()).await.expect("a connection");
    wait::within("a call", connection.send(asked)).await.expect("an answer")
}

/// What `/config` says of an origin, once for each protocol that is spoken there.
async fn states(gateway: &Gateway, origin: &Origin) -> Vec<Value> {
    let config = gateway.admin("/config").await.expect("/config answers").json();
    let endpoints = config["inForce"]["services"]["shop/shop:80"].as_array().cloned();
    let address = origin.address.to_string();
    let of_it = endpoints.unwrap_or_default().into_iter();
    of_it.filter(|one| one["address"] == address.as_str()).collect()
}

#[tokio::test]
async fn what_fails_by_one_rests_for_the_other_and_goes_on_to_when_tables_change() {
    for (port, protocols) in SPOKEN.into_iter().zip([2, 1]) {
        let spec = "balance: { algorithm: RoundRobin }\nejection: { consecutive: 2, rest: 60s, codes: [500] }";
        let (origins, gateway) = behind(port, 2, spec).await;
        let [ill, _well] = &origins[..] else { panic!("there are two") };
        ill.ail(Ill::Answers(500), usize::MAX);
        for _ in 0..4 {
            gateway.get(HOST, "/").await;
        }
        let seen = ill.count();
        assert_eq!(seen, 2);
        let more = "hostnames: [more.test]\nrules: [{ backendRefs: [{ name: shop, port: 80 }] }]";
        gateway.write("more.yaml", &yaml::route("more", more));
        wait::until_true_of("another table", async || {
            gateway.get("more.test", "/").await.status == 200
        })
        .await;
        let told = states(&gateway, ill).await;
        assert_eq!(told.len(), protocols, "{told:?}");
        for state in told {
            let says = state["getsRequests"].as_str().unwrap_or_default();
            assert!(says.starts_with("no: "), "{port}: {state}");
        }
        for _ in 0..20 {
            assert_eq!(call(&gateway).await.origin(), "shop-1", "{port}");
        }
        assert_eq!(ill.count(), seen, "{port}");
    }
}

#[tokio::test]
async fn requests_and_calls_are_bounded_together() {
    for port in SPOKEN {
        let (origins, gateway) = behind(port, 1, "bounds: { requests: 2 }").await;
        let (origin, web) = (&origins[0], gateway.web());
        let held = |_| async move {
            let asked = request("GET", HOST, "/gate").body(nothing());
            Connection::h1(web).await?.send(asked?).await
        };
        let held: Vec<_> = (0..2).map(held).map(tokio::spawn).collect();
        wait::until_true("two under way", || origin.count() == 2).await;
        let reply = call(&gateway).await;
        assert_eq!((reply.status, reply.header("grpc-message")), (200, "overloaded"), "{reply:?}");
        refused(&gateway, &gateway.get(HOST, "/").await, 503, "overloaded").await;
        origin.open_gate();
        for reply in held {
            assert_eq!(reply.await.expect("it ended").expect("an answer").status, 200);
        }
        wait::until_true_of("room", async || call(&gateway).await.origin() == "shop-0").await;
    }
}

#[tokio::test]
async fn an_endpoint_is_checked_by_one_protocol_alone() {
    for (port, version) in SPOKEN.into_iter().zip([Version::HTTP_11, Version::HTTP_2]) {
        let spec = "healthCheck: { type: HTTP, path: /well, interval: 100ms, unhealthyAfter: 1 }";
        let (origins, gateway) = behind(port, 1, spec).await;
        let origin = &origins[0];
        wait::until_true("ten checks", || origin.count() >= 10).await;
        let versions: BTreeSet<_> =
            origin.seen().iter().map(|seen| format!("{:?}", seen.version)).collect();
        assert_eq!(versions, BTreeSet::from([format!("{version:?}")]), "{port}");
        origin.ail(Ill::Answers(500), usize::MAX);
        wait::until_true_of("both to be told of it", async || {
            let told = states(&gateway, origin).await;
            let is_told = |one: &Value| {
                let says = one["getsRequests"].as_str();
                says.is_some_and(|says| says.contains("it fails its health checks"))
            };
            !told.is_empty() && told.iter().all(is_told)
        })
        .await;
    }
}
