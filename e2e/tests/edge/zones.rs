//! Endpoints of the own zone come first, as long as enough of them are well.

use std::collections::BTreeMap;

use e2e::{Gateway, Ill, Origin, Setup, wait, yaml};

use crate::scene::{HOST, assert_share};

/// A check that finds out soon, by which requests to a path of its own are told from others.
const CHECK: &str =
    "healthCheck: { type: HTTP, path: /well, interval: 100ms, timeout: 100ms, unhealthyAfter: 2 }";

/// Two origins in zone `a` and one in zone `b`, behind a Service that says this, and what else there is.
async fn three(service: &str, more: &[String], arguments: &[&str]) -> ([Origin; 3], Gateway) {
    let origins =
        [Origin::start("a-0").await, Origin::start("a-1").await, Origin::start("b-0").await];
    let spec = format!("spec:\n  ports: [{{ port: 80 }}]\n{service}");
    let mut setup = Setup::new().with(yaml::document("v1", "Service", "shop", &spec));
    for (origin, (name, zone)) in origins.iter().zip([("a-0", "a"), ("a-1", "a"), ("b-0", "b")]) {
        let slice = yaml::slice(name, "shop", origin.address);
        setup = setup.with(slice.replacen("addresses:", &format!("zone: {zone}, addresses:"), 1));
    }
    setup = more.iter().fold(setup, |setup, one| setup.with(one));
    setup = setup.with(yaml::path_route("all", "/", "shop")).arguments(arguments);
    (origins, setup.start().await)
}

/// Who answered so many requests, and how many of them.
async fn answers(gateway: &Gateway, count: usize) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for _ in 0..count {
        let reply = gateway.get(HOST, "/").await;
        assert_eq!(reply.status, 200, "{reply:?}");
        *counts.entry(reply.origin().to_owned()).or_default() += 1;
    }
    counts
}

fn of(counts: &BTreeMap<String, usize>, names: &[&str]) -> usize {
    names.iter().filter_map(|name| counts.get(*name)).sum()
}

/// So many endpoints get no requests.
async fn until_ailing(gateway: &Gateway, count: usize) {
    wait::until_true_of("what checks find out", async || {
        let config = gateway.admin("/config").await.expect("/config answers").json();
        let endpoints = config["inForce"]["services"]["shop/shop:80"].as_array().cloned();
        let endpoints = endpoints.unwrap_or_default();
        let says =
            |one: &serde_json::Value| one["getsRequests"].as_str().unwrap_or_default().to_owned();
        endpoints.iter().filter(|one| says(one).contains("health checks")).count() == count
    })
    .await;
}

#[tokio::test]
async fn requests_stay_in_the_zone_while_enough_there_are_well_and_come_back() {
    let policy = format!("balance: {{ algorithm: RoundRobin, zones: Prefer }}\n{CHECK}");
    let policies = [yaml::traffic("shop", &policy)];
    let ([first, second, _other], gateway) = three("", &policies, &["--zone", "a"]).await;
    let all = answers(&gateway, 40).await;
    assert_eq!((of(&all, &["a-0"]), of(&all, &["a-1"])), (20, 20), "{all:?}");
    // One of two bears 70 of a hundred requests.
    first.ail(Ill::Answers(500), usize::MAX);
    until_ailing(&gateway, 1).await;
    let some = answers(&gateway, 300).await;
    assert_share(of(&some, &["b-0"]), 300, 0.3);
    assert_eq!(of(&some, &["a-0"]), 0, "{some:?}");
    second.ail(Ill::Answers(500), usize::MAX);
    until_ailing(&gateway, 2).await;
    assert_eq!(of(&answers(&gateway, 30).await, &["b-0"]), 30);
    first.ail(Ill::Answers(500), 0);
    second.ail(Ill::Answers(500), 0);
    until_ailing(&gateway, 0).await;
    assert_eq!(of(&answers(&gateway, 40).await, &["a-0", "a-1"]), 40);
}

#[tokio::test]
async fn a_service_says_so_itself_unless_a_policy_says_otherwise() {
    let near = "  trafficDistribution: PreferSameZone\n";
    let ignores = [yaml::traffic("shop", "balance: { algorithm: RoundRobin, zones: Ignore }")];
    let turns = [yaml::traffic("shop", "balance: { algorithm: RoundRobin }")];
    let (own, none) = (&["--zone", "b"][..], &["--zone", ""][..]);
    for (service, policies, arguments, in_b) in [
        (near, &turns, own, 30),
        (near, &ignores, own, 10),
        ("", &turns, own, 10),
        (near, &turns, none, 10),
    ] {
        let (_origins, gateway) = three(service, policies, arguments).await;
        let counts = answers(&gateway, 30).await;
        assert_eq!(of(&counts, &["b-0"]), in_b, "{service:?} {arguments:?} {counts:?}");
        let config = gateway.admin("/config").await.expect("/config answers").json();
        let endpoints = config["inForce"]["services"]["shop/shop:80"].as_array().cloned();
        let own = endpoints.unwrap_or_default().into_iter().filter(|one| one["ownZone"] == true);
        assert_eq!(own.count(), usize::from(in_b == 30), "{service:?} {arguments:?}");
    }
}
