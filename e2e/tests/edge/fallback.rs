//! A Service that is a fallback: it gets requests in the place of another of which no endpoint takes any, and of
//! nobody else.

use std::net::SocketAddr;

use e2e::{Gateway, Ill, Origin, Setup, wait, yaml};

use crate::scene::{HOST, assert_share, closed};

/// A rule that leads to these Services alike, of which `spare` is a fallback; of the others this is said.
async fn leading(services: &[(&str, &[SocketAddr])], said: &str) -> Gateway {
    let to: Vec<_> =
        services.iter().map(|(name, _)| format!("{{ name: {name}, port: 80 }}")).collect();
    let rules = format!("rules: [{{ backendRefs: [{}] }}]", to.join(", "));
    let mut setup = Setup::new().with(yaml::route("all", &rules));
    for (name, addresses) in services {
        let said = if *name == "spare" { "fallback: true" } else { said };
        setup = setup.with(yaml::service(name, addresses)).with(yaml::traffic(name, said));
    }
    setup.start().await
}

async fn asks(gateway: &Gateway) -> String {
    gateway.get(HOST, "/").await.origin().to_owned()
}

async fn until_led(gateway: &Gateway, origin: &str) {
    wait::until_true_of(origin, async || asks(gateway).await == origin).await;
    for _ in 0..20 {
        assert_eq!(asks(gateway).await, origin);
    }
}

#[tokio::test]
async fn it_stands_in_for_one_that_fails_its_checks_and_steps_back() {
    let (main, spare) = (Origin::start("main").await, Origin::start("spare").await);
    let services: [(&str, &[_]); 2] = [("main", &[main.address]), ("spare", &[spare.address])];
    let said = "healthCheck: { type: HTTP, path: /well, interval: 100ms, unhealthyAfter: 1 }";
    let gateway = leading(&services, said).await;
    for _ in 0..20 {
        assert_eq!(asks(&gateway).await, "main");
    }
    main.ail(Ill::Answers(500), usize::MAX);
    until_led(&gateway, "spare").await;
    main.ail(Ill::Answers(500), 0);
    until_led(&gateway, "main").await;
}

#[tokio::test]
async fn it_stands_in_for_one_that_cannot_be_reached_until_that_was_tried() {
    let (spare, address) = (Origin::start("spare").await, closed());
    let services: [(&str, &[_]); 2] = [("main", &[address]), ("spare", &[spare.address])];
    let gateway = leading(&services, "ejection: {}").await;
    wait::until_true_of("the spare one", async || asks(&gateway).await == "spare").await;
    let _main = Origin::start_at("main", address).await;
    until_led(&gateway, "main").await;
}

#[tokio::test]
async fn it_takes_the_share_of_one_without_endpoints_and_leaves_others_theirs() {
    const ALL: usize = 400;
    let (well, spare) = (Origin::start("well").await, Origin::start("spare").await);
    let services: [(&str, &[_]); 3] =
        [("none", &[]), ("well", &[well.address]), ("spare", &[spare.address])];
    let gateway = leading(&services, "ejection: {}").await;
    for _ in 0..ALL {
        assert_eq!(gateway.get(HOST, "/").await.status, 200);
    }
    assert_share(well.count(), ALL, 0.5);
    assert_eq!(well.count() + spare.count(), ALL);
}

#[tokio::test]
async fn where_nobody_takes_any_the_answer_is_the_others() {
    let gateway = leading(&[("none", &[]), ("spare", &[])], "ejection: {}").await;
    let reply = gateway.get(HOST, "/").await;
    let line = crate::scene::refused(&gateway, &reply, 503, "no_endpoint").await;
    assert_eq!(line["backend"], "shop/none:80", "{line}");
}
