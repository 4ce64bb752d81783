//! How requests are spread over endpoints, and which of them get none.

use e2e::{Connection, Gateway, Ill, Origin, Setup, wait, yaml};
use serde_json::Value;

use crate::scene::{HOST, refused};

/// So many origins behind the Service `shop`, under a TrafficPolicy that says this.
async fn behind(count: usize, spec: &str) -> (Vec<Origin>, Gateway) {
    let mut origins = Vec::new();
    for index in 0..count {
        origins.push(Origin::start(&format!("shop-{index}")).await);
    }
    let addresses: Vec<_> = origins.iter().map(|origin| origin.address).collect();
    let setup = Setup::new()
        .with(yaml::service("shop", &addresses))
        .with(yaml::traffic("shop", spec))
        .with(yaml::path_route("all", "/", "shop"));
    (origins, setup.start().await)
}

/// What `/config` says of an endpoint.
async fn state(gateway: &Gateway, origin: &Origin) -> Value {
    let config = gateway.admin("/config").await.expect("/config answers").json();
    let endpoints = config["inForce"]["services"]["shop/shop:80"].as_array().cloned();
    let mut endpoints = endpoints.unwrap_or_default().into_iter();
    let address = origin.address.to_string();
    endpoints.find(|one| one["address"] == address.as_str()).unwrap_or_default()
}

fn says(state: &Value) -> &str {
    state["getsRequests"].as_str().unwrap_or_default()
}

#[tokio::test]
async fn one_after_the_other_gets_its_turn() {
    let (origins, gateway) = behind(3, "balance: { algorithm: RoundRobin }").await;
    for _ in 0..60 {
        assert_eq!(gateway.get(HOST, "/").await.status, 200);
    }
    let counts: Vec<_> = origins.iter().map(Origin::count).collect();
    assert_eq!(counts, [20, 20, 20]);
}

#[tokio::test]
async fn the_same_header_or_cookie_leads_to_the_same_endpoint() {
    for (on, name) in [("header: X-User", "x-user"), ("cookie: cart", "cookie")] {
        let spec = format!("balance: {{ algorithm: RingHash, hashOn: {{ {on} }} }}");
        let (origins, gateway) = behind(4, &spec).await;
        let mut used = std::collections::BTreeSet::new();
        for user in 0..20 {
            let value = match name {
                "cookie" => format!("theme=dark; cart={user}"),
                _ => user.to_string(),
            };
            let mut first = None;
            for _ in 0..5 {
                let reply = gateway.get_with(HOST, "/", &[(name, &value)]).await;
                let origin = reply.origin().to_owned();
                assert_eq!(first.get_or_insert_with(|| origin.clone()), &origin, "{name} {value}");
                used.insert(origin);
            }
        }
        assert!(used.len() >= 3, "{name}: {used:?} of {}", origins.len());
    }
}

#[tokio::test]
async fn an_endpoint_that_fails_checks_gets_no_requests_until_it_is_well() {
    let spec = "healthCheck: { type: HTTP, path: /well, interval: 100ms, timeout: 100ms, \
                unhealthyAfter: 2 }";
    let (origins, gateway) = behind(2, spec).await;
    let [ill, well] = &origins[..] else { panic!("there are two") };
    ill.ail(Ill::Answers(500), usize::MAX);
    wait::until_true_of("one that is not well", async || {
        says(&state(&gateway, ill).await).starts_with("no: it fails its health checks")
    })
    .await;
    assert_eq!(says(&state(&gateway, well).await), "yes");
    assert!(well.seen().iter().any(|seen| seen.target == "/well"));
    for _ in 0..40 {
        assert_eq!(gateway.get(HOST, "/").await.origin(), "shop-1");
    }
    assert!(ill.seen().iter().all(|seen| seen.target == "/well"), "only checks came");
    ill.ail(Ill::Answers(500), 0);
    wait::until_true_of("a request to it", async || {
        gateway.get(HOST, "/").await.origin() == "shop-0"
    })
    .await;
}

#[tokio::test]
async fn an_endpoint_whose_port_is_closed_fails_checks_by_tcp() {
    let origin = Origin::start("shop").await;
    let closed = crate::scene::closed();
    let setup = Setup::new()
        .with(yaml::service("shop", &[origin.address, closed]))
        .with(yaml::traffic("shop", "healthCheck: { type: TCP, interval: 100ms, timeout: 100ms }"))
        .with(yaml::path_route("all", "/", "shop"));
    let gateway = setup.start().await;
    wait::until_true_of("a check that failed", async || {
        let said = format!("an endpoint is not well service=shop/shop:80 address={closed}");
        gateway.stderr().contains(&said)
    })
    .await;
    let before = gateway.metric("heddle_backend_connect_failures_total", &[]).await;
    for _ in 0..40 {
        assert_eq!(gateway.get(HOST, "/").await.origin(), "shop");
    }
    let after = gateway.metric("heddle_backend_connect_failures_total", &[]).await;
    assert_eq!(before, after, "no request tried it");
}

#[tokio::test]
async fn no_more_requests_are_under_way_than_a_service_bears() {
    let (origins, gateway) = behind(1, "bounds: { requests: 2 }").await;
    let origin = &origins[0];
    let web = gateway.web();
    let held = |_| async move {
        let asked = e2e::client::request("GET", HOST, "/gate").body(e2e::client::nothing());
        Connection::h1(web).await?.send(asked?).await
    };
    let held: Vec<_> = (0..2).map(held).map(tokio::spawn).collect();
    wait::until_true("two under way", || origin.count() == 2).await;
    let line = refused(&gateway, &gateway.get(HOST, "/").await, 503, "overloaded").await;
    assert_eq!(line["detail"], "proxy: 2 requests are under way to it");
    assert_eq!(origin.count(), 2);
    origin.open_gate();
    for reply in held {
        assert_eq!(reply.await.expect("it ended").expect("an answer").status, 200);
    }
    wait::until_true_of("room", async || gateway.get(HOST, "/").await.status == 200).await;
}

#[tokio::test]
async fn of_two_policies_for_a_service_the_older_holds_and_the_other_is_a_fault() {
    let (_origins, gateway) = behind(2, "balance: { algorithm: RoundRobin }").await;
    let younger = yaml::traffic("shop", "balance: { algorithm: Random }").replacen(
        "name: shop",
        "name: younger",
        1,
    );
    gateway.write("younger.yaml", &younger);
    wait::until_true_of("a fault", async || {
        gateway.metric("heddle_config_faults", &[]).await > 0.0
    })
    .await;
    let config = gateway.admin("/config").await.expect("/config answers").json();
    assert_eq!(config["inForce"]["traffic"]["shop/shop:80"], "shop/shop");
    let fault = &config["faults"][0];
    assert_eq!(fault["object"], "TrafficPolicy shop/younger");
    assert_eq!(fault["path"], "spec.targetRefs[0]");
    assert_eq!(fault["message"], "TrafficPolicy 'shop' holds for Service shop/shop already");
}

#[tokio::test]
async fn config_log_and_metrics_say_what_is_wrong_with_an_endpoint() {
    let (origin, gone) = (Origin::start("shop").await, crate::scene::closed());
    let setup = Setup::new()
        .with(yaml::service("shop", &[origin.address, gone]))
        .with(yaml::service("none", &[origin.address]))
        .with(yaml::traffic("shop", "balance: { algorithm: RoundRobin }"))
        .with(yaml::route(
            "all",
            "rules: [{ backendRefs: [{ name: shop, port: 80 }, { name: none, port: 80, weight: 0 }] }]",
        ));
    let gateway = setup.start().await;
    for _ in 0..4 {
        assert_eq!(gateway.get(HOST, "/").await.status, 200);
    }
    let config = gateway.admin("/config").await.expect("/config answers").json();
    let services = &config["inForce"]["services"];
    let said = |name: &str, address: std::net::SocketAddr| {
        let all = services[name].as_array().cloned().unwrap_or_default();
        let address = address.to_string();
        let one = all.into_iter().find(|one| one["address"] == address.as_str());
        one.and_then(|one| Some(one["getsRequests"].as_str()?.to_owned())).unwrap_or_default()
    };
    let wrong = said("shop/shop:80", gone);
    assert!(wrong.starts_with("no: it could not be reached: "), "{wrong}");
    assert!(wrong.contains("refused") && wrong.contains("; tried again in "), "{wrong}");
    assert_eq!(said("shop/shop:80", origin.address), "yes");
    assert_eq!(
        said("shop/none:80", origin.address),
        "no: no rule leads there, or none with a weight"
    );
    assert!(gateway.stderr().contains("an endpoint cannot be reached"), "{}", gateway.stderr());
    for (state, count) in [("well", 1.0), ("resting", 1.0), ("unhealthy", 0.0)] {
        let labels = ["backend=\"shop/shop:80\"".to_owned(), format!("state=\"{state}\"")];
        let labels = [&*labels[0], &*labels[1]];
        let told = gateway.metric("heddle_backend_endpoints", &labels).await;
        assert!((told - count).abs() < f64::EPSILON, "{state}: {told}");
    }
    let _back = Origin::start_at("back", gone).await;
    wait::until_true_of("it to answer again", async || {
        gateway.get(HOST, "/").await.origin() == "back"
    })
    .await;
    assert!(gateway.stderr().contains("an endpoint answers again"), "{}", gateway.stderr());
}

#[tokio::test]
async fn who_asks_for_fewer_requests_gets_fewer_and_no_rest() {
    let (origins, gateway) = behind(2, "ejection: { consecutive: 1 }").await;
    let [burdened, other] = &origins[..] else { panic!("there are two") };
    burdened.ail(Ill::Answers(429), usize::MAX);
    for _ in 0..100 {
        gateway.get(HOST, "/").await;
    }
    assert!(burdened.count() < 20, "{} of 100", burdened.count());
    assert_eq!(burdened.count() + other.count(), 100);
    let said = state(&gateway, burdened).await;
    assert_eq!(said["getsRequests"], "yes", "{said}");
    assert!(said["getsFewerMillis"].as_u64() > Some(0), "{said}");
}
