//! What a rule does to a request and its answer: headers, rewrites, redirects, mirrors.

use e2e::client::{bytes, nothing, request};
use e2e::{Origin, Reply, Scripted, Setup, wait, yaml};

use crate::scene::{HOST, answered, assert_share, closed, shop};

/// A rule for `/old` with `filters`, before the Service `shop`.
fn old(filters: &str) -> String {
    yaml::route(
        "old",
        &format!(
            "rules:\n  - matches: [{{ path: {{ value: /old }} }}]\n    filters: [{filters}]\n    \
             backendRefs: [{{ name: shop, port: 80 }}]"
        ),
    )
}

fn values<'a>(headers: &'a http::HeaderMap, name: &str) -> Vec<&'a str> {
    headers.get_all(name).iter().map(|value| value.to_str().unwrap_or("?")).collect()
}

#[tokio::test]
async fn request_headers_are_set_added_and_removed() {
    let (origin, setup) = shop().await;
    let filter = "{ type: RequestHeaderModifier, requestHeaderModifier: {
        set: [{ name: X-Set, value: ours }], add: [{ name: x-add, value: more }],
        remove: [x-gone] } }";
    let gateway = setup.with(old(filter)).start().await;
    let headers = [("x-set", "theirs"), ("x-add", "first"), ("x-gone", "1"), ("x-kept", "1")];
    let reply = gateway.get_with(HOST, "/old", &headers).await;
    answered(&gateway, &reply, "shop").await;
    let seen = origin.last();
    assert_eq!(values(&seen.headers, "x-set"), ["ours"]);
    assert_eq!(values(&seen.headers, "x-add"), ["first", "more"]);
    assert_eq!((seen.header("x-gone"), seen.header("x-kept")), ("", "1"));
}

#[tokio::test]
async fn response_headers_are_set_added_and_removed() {
    let (_origin, setup) = shop().await;
    let filter = "{ type: ResponseHeaderModifier, responseHeaderModifier: {
        set: [{ name: x-set, value: ours }], add: [{ name: x-end-to-end, value: more }],
        remove: [x-origin] } }";
    let rewrite = "{ type: URLRewrite, urlRewrite: {
        path: { type: ReplacePrefixMatch, replacePrefixMatch: /hop } } }";
    let gateway = setup.with(old(&format!("{filter}, {rewrite}"))).start().await;
    let reply = gateway.get(HOST, "/old").await;
    assert_eq!((reply.status, reply.text().as_str()), (200, "hop"));
    assert_eq!(reply.header("x-set"), "ours");
    assert_eq!(values(&reply.headers, "x-end-to-end"), ["kept", "more"]);
    assert_eq!(reply.header("x-origin"), "");
}

#[tokio::test]
async fn paths_and_hosts_are_rewritten() {
    for (rewrite, asked, host, target) in [
        ("hostname: inner.test", "/old/x?q=1", "inner.test", "/old/x?q=1"),
        ("path: { type: ReplaceFullPath, replaceFullPath: /new }", "/old/x?q=1", HOST, "/new?q=1"),
        (prefix("/new"), "/old", HOST, "/new"),
        (prefix("/new"), "/old/", HOST, "/new/"),
        (prefix("/new"), "/old/x/y?q=1", HOST, "/new/x/y?q=1"),
        (prefix("/new/"), "/old/x", HOST, "/new/x"),
        (prefix("/"), "/old", HOST, "/"),
        (prefix("/"), "/old/x", HOST, "/x"),
        (prefix("''"), "/old/x", HOST, "/x"),
    ] {
        let (origin, setup) = shop().await;
        let filter = format!("{{ type: URLRewrite, urlRewrite: {{ {rewrite} }} }}");
        let gateway = setup.with(old(&filter)).start().await;
        let reply = gateway.get(HOST, asked).await;
        answered(&gateway, &reply, "shop").await;
        let seen = origin.last();
        assert_eq!((seen.host.as_str(), seen.target.as_str()), (host, target), "{rewrite} {asked}");
    }
}

/// A rewrite of the matched prefix. The text lives as long as the program.
fn prefix(new: &str) -> &'static str {
    let text = format!("path: {{ type: ReplacePrefixMatch, replacePrefixMatch: {new} }}");
    Box::leak(text.into_boxed_str())
}

#[tokio::test]
async fn redirects_say_where_and_ask_no_backend() {
    let full = "path: { type: ReplaceFullPath, replaceFullPath: /new }";
    let (origin, mut setup) = shop().await;
    let cases = [
        ("scheme: https", 302, "https://shop.test/r/x?q=1"),
        ("scheme: https, statusCode: 301", 301, "https://shop.test/r/x?q=1"),
        ("hostname: new.test, statusCode: 308", 308, "http://new.test:PORT/r/x?q=1"),
        ("port: 8443", 302, "http://shop.test:8443/r/x?q=1"),
        ("scheme: http, port: 80", 302, "http://shop.test/r/x?q=1"),
        ("scheme: https, port: 443, statusCode: 307", 307, "https://shop.test/r/x?q=1"),
        ("scheme: https, port: 8443, statusCode: 303", 303, "https://shop.test:8443/r/x?q=1"),
        (full, 302, "http://shop.test:PORT/new?q=1"),
        (prefix("/new"), 302, "http://shop.test:PORT/new/x?q=1"),
        (prefix("/"), 302, "http://shop.test:PORT/x?q=1"),
    ];
    for (index, (redirect, ..)) in cases.iter().enumerate() {
        setup = setup.with(yaml::route(
            &format!("redirect-{index}"),
            &format!(
                "rules:\n  - matches: [{{ path: {{ value: /r }}, headers: [{{ name: x-case, value: '{index}' }}] }}]\n    \
                 filters: [{{ type: RequestRedirect, requestRedirect: {{ {redirect} }} }}]"
            ),
        ));
    }
    let gateway = setup.start().await;
    let port = gateway.web().port().to_string();
    for (index, (redirect, status, location)) in cases.into_iter().enumerate() {
        let host = format!("{HOST}:{port}");
        let reply = gateway.get_with(&host, "/r/x?q=1", &[("x-case", &index.to_string())]).await;
        let wanted = location.replace("PORT", &port);
        assert_eq!((reply.status, reply.header("location")), (status, &*wanted), "{redirect}");
        let line = gateway.logged(&reply).await;
        assert_eq!((&line["status"], &line["reason"]), (&status.into(), &"redirected".into()));
    }
    assert_eq!(origin.count(), 0);
}

#[tokio::test]
async fn a_mirror_gets_a_copy_and_its_answer_is_dropped() {
    let (origin, setup) = shop().await;
    let mirror = Origin::start("mirror").await;
    let filter =
        "{ type: RequestMirror, requestMirror: { backendRef: { name: mirror, port: 80 } } }";
    let setup = setup.with(yaml::service("mirror", &[mirror.address])).with(old(filter));
    let gateway = setup.start().await;
    let mut replies = Vec::new();
    for index in 0..20 {
        let path = format!("/old/{index}?q=1");
        let asked = request("POST", HOST, &path).header("x-mine", "1").body(bytes("a body"));
        replies.push(gateway.send(asked.unwrap()).await);
    }
    for reply in &replies {
        answered(&gateway, reply, "shop").await;
    }
    assert_eq!(gateway.get(HOST, "/not-mirrored").await.origin(), "shop");
    wait::until_true("20 copies", || mirror.count() >= 20).await;
    assert_eq!((origin.count(), mirror.count()), (21, 20));
    let copy = mirror.last();
    assert_eq!((copy.method.as_str(), copy.header("x-mine")), ("POST", "1"));
    assert!(copy.target.starts_with("/old/"), "{}", copy.target);
}

#[tokio::test]
async fn mirrors_that_hang_or_break_are_not_felt() {
    let (_origin, setup) = shop().await;
    let (mirror, mute) = (Origin::start("mirror").await, Scripted::held("").await);
    let filters = "{ type: RequestMirror, requestMirror: { backendRef: { name: mirror, port: 80 } } },
        { type: URLRewrite, urlRewrite: { path: { type: ReplacePrefixMatch, replacePrefixMatch: / } } },
        { type: RequestMirror, requestMirror: { backendRef: { name: mute, port: 80 } } },
        { type: RequestMirror, requestMirror: { backendRef: { name: nowhere, port: 80 } } }";
    let setup = setup
        .with(yaml::service("mirror", &[mirror.address]))
        .with(yaml::service("mute", &[mute.address]))
        .with(old(filters));
    let gateway = setup.start().await;
    let reply: Reply = gateway.get(HOST, "/old/reset").await;
    // The origin was told to break as well; what counts is the next request.
    assert_eq!(reply.status, 502);
    let mut replies = Vec::new();
    for _ in 0..10 {
        replies.push(gateway.get(HOST, "/old/fine").await);
    }
    for reply in &replies {
        answered(&gateway, reply, "shop").await;
    }
}

#[tokio::test]
async fn a_mirror_that_hangs_leaves_room_for_others() {
    let (_origin, setup) = shop().await;
    let (mirror, mute) = (Origin::start("mirror").await, Scripted::held("").await);
    let filters =
        "{ type: RequestMirror, requestMirror: { backendRef: { name: mute, port: 80 } } },
        { type: RequestMirror, requestMirror: { backendRef: { name: mirror, port: 80 } } }";
    let setup = setup
        .with(yaml::service("mirror", &[mirror.address]))
        .with(yaml::service("mute", &[mute.address]))
        .with(old(filters));
    let gateway = setup.start().await;
    for _ in 0..200 {
        assert_eq!(gateway.get(HOST, "/old").await.status, 200);
    }
    wait::until_true("200 copies", || mirror.count() == 200).await;
    assert_eq!(gateway.metric("heddle_mirrors_left_out_total", &[]).await, 72.0);
}

#[tokio::test]
async fn a_dead_endpoint_of_a_mirror_draws_few_copies() {
    let (_origin, setup) = shop().await;
    let mirror = Origin::start("mirror").await;
    let filter =
        "{ type: RequestMirror, requestMirror: { backendRef: { name: mirror, port: 80 } } }";
    let both = [closed(), mirror.address];
    let gateway = setup.with(yaml::service("mirror", &both)).with(old(filter)).start().await;
    for _ in 0..100 {
        assert_eq!(gateway.get(HOST, "/old").await.status, 200);
    }
    wait::until_true("most of 100 copies", || mirror.count() >= 80).await;
}

#[tokio::test]
async fn mirrors_get_their_percentage() {
    let origin = Origin::start("shop").await;
    let (half, none) = (Origin::start("half").await, Origin::start("none").await);
    let filters = "{ type: RequestMirror, requestMirror: { percent: 50, backendRef: { name: half, port: 80 } } },
        { type: RequestMirror, requestMirror: { percent: 0, backendRef: { name: none, port: 80 } } }";
    let mut gateway = Setup::new()
        .with(yaml::service("shop", &[origin.address]))
        .with(yaml::service("half", &[half.address]))
        .with(yaml::service("none", &[none.address]))
        .with(old(filters))
        .start()
        .await;
    for _ in 0..400 {
        let asked = request("GET", HOST, "/old").body(nothing());
        assert_eq!(gateway.send(asked.unwrap()).await.status, 200);
    }
    wait::until_true("about 200 copies", || half.count() >= 150).await;
    // Afterwards no more can come.
    gateway.terminate();
    gateway.exited().await;
    assert_share(half.count(), 400, 0.5);
    assert_eq!((origin.count(), none.count()), (400, 0));
}

/// Two backends of one rule, the second behind `filters` of its own.
fn two(filters: &str) -> String {
    yaml::route(
        "two",
        &format!(
            "rules: [{{ matches: [{{ path: {{ value: /two }} }}],
            filters: [{{ type: RequestHeaderModifier, requestHeaderModifier: {{
              set: [{{ name: x-who, value: rule }}] }} }}],
            backendRefs: [{{ name: shop, port: 80 }},
              {{ name: other, port: 80, filters: [{filters}] }}] }}]"
        ),
    )
}

#[tokio::test]
async fn a_backend_has_filters_of_its_own_which_come_after_the_rules() {
    let (origin, setup) = shop().await;
    let (other, mirror) = (Origin::start("other").await, Origin::start("mirror").await);
    let filters = "{ type: RequestHeaderModifier, requestHeaderModifier: {
          add: [{ name: x-who, value: backend }] } },
        { type: ResponseHeaderModifier, responseHeaderModifier: {
          set: [{ name: x-from, value: backend }] } },
        { type: RequestMirror, requestMirror: { backendRef: { name: mirror, port: 80 } } },
        { type: URLRewrite, urlRewrite: {
          hostname: inner.test, path: { type: ReplacePrefixMatch, replacePrefixMatch: /deep } } }";
    let gateway = setup
        .with(yaml::service("other", &[other.address]))
        .with(yaml::service("mirror", &[mirror.address]))
        .with(two(filters))
        .start()
        .await;
    for _ in 0..60 {
        let reply = gateway.get(HOST, "/two/x").await;
        let from = if reply.origin() == "other" { "backend" } else { "" };
        assert_eq!(reply.header("x-from"), from, "{reply:?}");
    }
    assert!(origin.count() > 0 && other.count() > 0, "one of two got none of 60");
    let (plain, own) = (origin.last(), other.last());
    assert_eq!((plain.target.as_str(), plain.host.as_str()), ("/two/x", HOST));
    assert_eq!(values(&plain.headers, "x-who"), ["rule"]);
    assert_eq!((own.target.as_str(), own.host.as_str()), ("/deep/x", "inner.test"));
    assert_eq!(values(&own.headers, "x-who"), ["rule", "backend"]);
    let copies = other.count();
    wait::until_true("a copy of each", || mirror.count() == copies).await;
    assert_eq!(mirror.last().target, "/deep/x");
}

#[tokio::test]
async fn a_backend_may_be_a_redirect_for_its_share() {
    let (origin, setup) = shop().await;
    let filter =
        "{ type: RequestRedirect, requestRedirect: { hostname: elsewhere.test, port: 80 } }";
    let gateway = setup.with(two(filter).replace("name: other", "name: shop")).start().await;
    let mut redirected = 0;
    for _ in 0..400 {
        let reply = gateway.get(HOST, "/two/x").await;
        if reply.status == 302 {
            assert_eq!(reply.header("location"), "http://elsewhere.test/two/x");
            redirected += 1;
        } else {
            assert_eq!((reply.status, reply.origin()), (200, "shop"));
        }
    }
    assert_share(redirected, 400, 0.5);
    assert_eq!(origin.count() + redirected, 400);
}
