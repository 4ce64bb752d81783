//! Which request goes where: hosts, paths, headers, queries, methods, weights.

use e2e::client::{nothing, request};
use e2e::{Connection, Origin, Setup, yaml};

use crate::scene::{HOST, answered, assert_share, refused};

/// An origin and a Service for each name.
async fn origins<const N: usize>(names: [&str; N], mut setup: Setup) -> ([Origin; N], Setup) {
    let mut origins = Vec::new();
    for name in names {
        let origin = Origin::start(name).await;
        setup = setup.with(yaml::service(name, &[origin.address]));
        origins.push(origin);
    }
    (origins.try_into().expect("as many as names"), setup)
}

#[tokio::test]
async fn the_most_specific_match_wins() {
    let names = ["prefix", "exact", "header", "post", "query", "regex", "wild", "any"];
    let (_origins, setup) = origins(names, Setup::new()).await;
    let shop = yaml::route(
        "shop",
        r"
        hostnames: [shop.test]
        rules:
          - matches: [{ path: { value: /cart } }]
            backendRefs: [{ name: prefix, port: 80 }]
          - matches: [{ path: { type: Exact, value: /cart/checkout } }]
            backendRefs: [{ name: exact, port: 80 }]
          - matches: [{ path: { value: /cart }, headers: [{ name: X-Tier, value: gold }] }]
            backendRefs: [{ name: header, port: 80 }]
          - matches: [{ path: { value: /cart }, method: POST }]
            backendRefs: [{ name: post, port: 80 }]
          - matches: [{ path: { value: /cart }, queryParams: [{ name: beta, value: '1' }] }]
            backendRefs: [{ name: query, port: 80 }]
          - matches:
              - path: { value: /item }
                headers: [{ name: x-id, type: RegularExpression, value: '[0-9]+' }]
            backendRefs: [{ name: regex, port: 80 }]",
    );
    let wild = yaml::route(
        "wild",
        r"
        hostnames: ['*.test']
        rules: [{ backendRefs: [{ name: wild, port: 80 }] }]",
    );
    let gateway = setup.with(shop).with(wild).with(yaml::path_route("any", "/only", "any"));
    let gateway = gateway.start().await;

    let (none, mut replies): (&[(&str, &str)], _) = (&[], Vec::new());
    for (method, host, path, headers, origin) in [
        ("GET", "shop.test", "/cart", none, "prefix"),
        ("GET", "SHOP.test", "/cart/", none, "prefix"),
        ("GET", "shop.test", "/cart/deep/down?beta=2", none, "prefix"),
        ("GET", "shop.test", "/cart/checkout", none, "exact"),
        ("GET", "shop.test", "/cart/checkout/", none, "prefix"),
        ("GET", "shop.test", "/cart", &[("x-tier", "gold")], "header"),
        ("GET", "shop.test", "/cart", &[("x-tier", "golden")], "prefix"),
        ("POST", "shop.test", "/cart", none, "post"),
        // Method before headers, headers before queries.
        ("POST", "shop.test", "/cart", &[("x-tier", "gold")], "post"),
        ("GET", "shop.test", "/cart?beta=1", &[("x-tier", "gold")], "header"),
        ("GET", "shop.test", "/cart?beta=1", none, "query"),
        ("GET", "shop.test", "/cart?other=0&beta=1", none, "query"),
        ("GET", "shop.test", "/item", &[("x-id", "123")], "regex"),
        ("GET", "shop.test", "/item", &[("x-id", "123a")], "wild"),
        // A prefix is whole elements.
        ("GET", "shop.test", "/cartoon", none, "wild"),
        ("GET", "www.shop.test", "/cart", none, "wild"),
        ("GET", "other.example", "/only/this", none, "any"),
    ] {
        let mut asked = request(method, host, path);
        for (name, value) in headers {
            asked = asked.header(*name, *value);
        }
        let reply = gateway.send(asked.body(nothing()).unwrap()).await;
        assert_eq!(reply.origin(), origin, "{method} {host}{path} {headers:?}: {reply:?}");
        let debug = reply.header("heddle-debug");
        assert!(debug.contains(&format!("backend=shop/{origin}:80")), "{debug}");
        replies.push((reply, method, origin));
    }
    for (reply, method, origin) in replies {
        let line = answered(&gateway, &reply, origin).await;
        assert_eq!(line["method"], method);
        assert_eq!(line["backend"], format!("shop/{origin}:80"));
    }
}

#[tokio::test]
async fn a_host_or_path_that_nobody_serves_is_404() {
    let (origins, setup) = origins(["one"], Setup::bare()).await;
    let port = e2e::program::free_port();
    let gateway = setup
        .listener("web", port, yaml::http_for("web", port, "shop.test"))
        .with(yaml::path_route("cart", "/cart", "one"))
        .start()
        .await;
    for (host, path, reason) in
        [("shop.test", "/elsewhere", "no_route"), ("stranger.example", "/cart", "no_listener")]
    {
        let reply = gateway.get(host, path).await;
        let line = refused(&gateway, &reply, 404, reason).await;
        assert_eq!((&line["host"], &line["path"]), (&host.into(), &path.into()));
    }
    let reply = gateway.get(HOST, "/cart").await;
    answered(&gateway, &reply, "one").await;
    assert_eq!(origins[0].count(), 1);
}

#[tokio::test]
async fn backends_get_their_weights() {
    let names = ["heavy", "light", "none"];
    let (origins, setup) = origins(names, Setup::new()).await;
    let route = yaml::route(
        "weights",
        r"
        rules:
          - backendRefs:
              - { name: heavy, port: 80, weight: 90 }
              - { name: light, port: 80, weight: 10 }
              - { name: none, port: 80, weight: 0 }",
    );
    let gateway = setup.with(route).start().await;
    let mut connection = Connection::h1(gateway.web()).await.unwrap();
    for _ in 0..2000 {
        let sent = connection.send(request("GET", HOST, "/").body(nothing()).unwrap()).await;
        assert_eq!(sent.unwrap().status, 200);
    }
    let [heavy, light, none] = &origins;
    assert_eq!((heavy.count() + light.count(), none.count()), (2000, 0));
    assert_share(light.count(), 2000, 0.1);
}

#[tokio::test]
async fn endpoints_of_a_service_share_its_requests() {
    let (one, two) = (Origin::start("one").await, Origin::start("two").await);
    let gateway = Setup::new()
        .with(yaml::service("both", &[one.address, two.address]))
        .with(yaml::path_route("all", "/", "both"))
        .start()
        .await;
    let connection = Connection::h2c(gateway.web()).await.unwrap();
    // At once: one after the other, the quicker endpoint rightly gets most.
    let ask = || connection.begin(request("GET", HOST, "/delay/50").body(nothing()).unwrap());
    let asked: Vec<_> = (0..100).map(|_| ask()).collect();
    for answer in asked {
        assert_eq!(answer.await.unwrap().unwrap().status, 200);
    }
    assert!(one.count() >= 10 && two.count() >= 10, "{} and {}", one.count(), two.count());
}

#[tokio::test]
async fn listeners_are_isolated_by_host_and_section() {
    let (_origins, setup) = origins(["shop", "blog"], Setup::bare()).await;
    let port = e2e::program::free_port();
    let route = |name: &str, section: &str| {
        let text = yaml::path_route(name, "/", name);
        let parent = format!("parentRefs: [{{ name: edge, sectionName: {section} }}]");
        text.replace("parentRefs: [{ name: edge }]", &parent)
    };
    let gateway = setup
        .listener("web", port, yaml::http_for("web", port, "*.test"))
        .listener("blog", port, yaml::http_for("blog", port, "blog.test"))
        .with(route("shop", "web"))
        .with(route("blog", "blog"))
        .start()
        .await;
    for (host, origin) in [("shop.test", "shop"), ("blog.test", "blog")] {
        let reply = gateway.get(host, "/").await;
        answered(&gateway, &reply, origin).await;
    }
}
