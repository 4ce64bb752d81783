//! What gateways count together by a Redis: how much they let through, and what becomes of requests while it is
//! gone, hangs, or has just come back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use e2e::client::{nothing, request};
use e2e::trust::Authority;
use e2e::{Connection, Gateway, Origin, Redis, Reply, Setup, wait, yaml};
use futures::future::join_all;

use crate::scene::{HOST, answered, refused};

/// A gateway before an origin, with these limits on its route, by a Redis.
async fn gateway(origin: &Origin, redis: &str, limits: &str) -> Gateway {
    let spec = format!("targetRefs: [{{ kind: HTTPRoute, name: all }}]\nlimits:\n{limits}");
    let setup = Setup::new()
        .with(yaml::service("shop", &[origin.address]))
        .with(yaml::path_route("all", "/", "shop"))
        .with(yaml::limits("fair", &spec))
        // A machine that does much else is not to count as a Redis that hangs.
        .arguments(&["--workers", "2", "--redis", redis, "--redis-timeout", "10s"]);
    let gateway = setup.start().await;
    until_asked(&gateway, 2).await;
    gateway
}

/// Waits until so many workers can ask.
async fn until_asked(gateway: &Gateway, workers: u64) {
    wait::until_true_of("workers that can ask Redis", async || {
        let shown = gateway.admin("/config").await.expect("it answers").json();
        shown["inForce"]["redis"]["connections"] == workers
    })
    .await;
}

async fn send(gateway: &Gateway, tenant: &str) -> Reply {
    gateway.get_with(HOST, "/", &[("x-tenant", tenant)]).await
}

/// How many are left, as an answer says.
fn left(reply: &Reply) -> u64 {
    let (_, left) = reply.header("ratelimit").split_once(";r=").expect("a limit is told");
    let (left, _) = left.split_once(';').expect("when there are more is told, too");
    left.parse().expect("a number")
}

#[tokio::test]
async fn two_gateways_let_pass_together_what_a_limit_says() {
    let (origin, redis) = (Origin::start("shop").await, Redis::start().await);
    let limit = "  - { name: all, requests: 100, window: 1m, scope: Shared }";
    let gateways =
        [gateway(&origin, &redis.url(), limit).await, gateway(&origin, &redis.url(), limit).await];
    let one = async |index: usize| {
        let mut connection = Connection::h1(gateways[index % 2].web()).await.expect("one");
        let mut statuses = Vec::new();
        for _ in 0..25 {
            let asked = request("GET", HOST, "/").body(nothing()).expect("a request");
            let reply = wait::within("an answer", connection.send(asked)).await.expect("one");
            statuses.push(reply.status);
        }
        statuses
    };
    let statuses: Vec<_> = join_all((0..16).map(one)).await.concat();
    let count = |status: u16| statuses.iter().filter(|one| **one == status).count();
    let (passed, refused) = (count(200), count(429));
    assert_eq!(passed + refused, 400, "{statuses:?}");
    assert!((95..=105).contains(&passed), "{passed}");
    assert_eq!(origin.count(), passed);
    // Whoever is refused on and on costs Redis little: what is used up is known here.
    let asked = join_all(
        gateways
            .iter()
            .map(|one| one.metric("heddle_redis_asked_total", &["outcome=\"answered\""])),
    );
    let asked: f64 = asked.await.into_iter().sum();
    assert!((100.0..250.0).contains(&asked), "{asked}");
}

#[tokio::test]
async fn a_count_goes_on_at_another_gateway_and_is_told_there() {
    let (origin, redis) = (Origin::start("shop").await, Redis::start().await);
    let limits = "  - { name: here, requests: 100, window: 1h, by: [{ type: Header, name: x-tenant }] }
  - { name: each, by: [{ type: Header, name: x-tenant }], requests: 1, window: 1h, algorithm: TokenBucket, burst: 3, scope: Shared }";
    let one = gateway(&origin, &redis.url(), limits).await;
    let other = gateway(&origin, &redis.url(), limits).await;
    let told = |reply: &Reply| {
        let all = reply.header("ratelimit").split(", ");
        all.map(|one| one.split(";t=").next().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    for (gateway, here, left) in [(&one, 99, 2), (&other, 99, 1), (&one, 98, 0)] {
        let reply = send(gateway, "a").await;
        answered(gateway, &reply, "shop").await;
        let wanted =
            [format!("\"shop/fair/here\";r={here}"), format!("\"shop/fair/each\";r={left}")];
        assert_eq!(told(&reply), wanted);
    }
    for gateway in [&other, &one] {
        let reply = send(gateway, "a").await;
        let line = refused(gateway, &reply, 429, "rate_limited").await;
        assert_eq!(line["rule"], "shop/fair/each");
        let detail = line["detail"].as_str().expect("why");
        let wanted = "at most 1 request in 3600 s, 3 at once, by header x-tenant, shared by proxies; \
                      there is room again in 3";
        assert!(detail.starts_with(wanted), "{detail}");
    }
    // What one limit refused counts for none.
    assert_eq!(told(&send(&other, "b").await)[0], "\"shop/fair/here\";r=99");
    assert_eq!(origin.count(), 4);
}

/// Asks on and on until it is told to end; how often there came what status.
async fn load(gateway: &Gateway, path: &str, ends: Arc<AtomicBool>) -> BTreeMap<u16, usize> {
    let mut connection = Connection::h1(gateway.web()).await.expect("a connection");
    let mut seen = BTreeMap::new();
    while !ends.load(Ordering::Relaxed) {
        let asked = request("GET", HOST, path).body(nothing()).expect("a request");
        let reply = wait::within("an answer", connection.send(asked)).await.expect("an answer");
        *seen.entry(reply.status).or_default() += 1;
    }
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_ends_hangs_and_comes_back_under_load_fails_no_request() {
    let (origin, mut redis) = (Origin::start("shop").await, Redis::start().await);
    let modes = ["Local", "Open", "Closed"];
    let mut setup = Setup::new().with(yaml::service("shop", &[origin.address]));
    for mode in modes {
        let name = mode.to_lowercase();
        let limit = format!(
            "targetRefs: [{{ kind: HTTPRoute, name: {name} }}]\nlimits: [{{ name: all, requests: 1000000, \
             window: 24h, scope: Shared, failureMode: {mode} }}]"
        );
        setup = setup.with(yaml::path_route(&name, &format!("/{name}"), "shop"));
        setup = setup.with(yaml::limits(&name, &limit));
    }
    let setup =
        setup.arguments(&["--workers", "2", "--redis", &redis.url(), "--redis-timeout", "2s"]);
    let gateway = Arc::new(setup.start().await);
    until_asked(&gateway, 2).await;
    let ends = Arc::<AtomicBool>::default();
    let loads = modes.map(|mode| {
        let (gateway, ends) = (Arc::clone(&gateway), Arc::clone(&ends));
        let path = format!("/{}", mode.to_lowercase());
        tokio::spawn(async move { load(&gateway, &path, ends).await })
    });
    let asks = async |path: &str| gateway.get(HOST, path).await;
    let before = left(&asks("/local").await);
    assert!(before > 0);

    for is_halted in [false, true] {
        if is_halted {
            redis.halt();
        } else {
            redis.kill();
        }
        until_asked(&gateway, 0).await;
        // By itself it begins anew; of what nobody counts nothing is told.
        let alone = asks("/local").await;
        assert_eq!(alone.status, 200);
        let open = asks("/open").await;
        assert_eq!((open.status, open.header("ratelimit")), (200, ""));
        let closed = asks("/closed").await;
        let line = refused(&gateway, &closed, 503, "limit_unreached").await;
        assert_eq!(
            (line["rule"].as_str(), closed.header("retry-after")),
            (Some("shop/closed/all"), "1")
        );
        if is_halted {
            redis.resume();
        } else {
            redis.restart().await;
        }
        until_asked(&gateway, 2).await;
        for mode in modes {
            let reply = asks(&format!("/{}", mode.to_lowercase())).await;
            assert_eq!(reply.status, 200);
            assert!(left(&reply) > 0);
        }
    }
    ends.store(true, Ordering::Relaxed);
    let mut seen = Vec::new();
    for load in loads {
        seen.push(load.await.expect("it went on to its end"));
    }
    for open in &seen[..2] {
        assert_eq!(open.keys().collect::<Vec<_>>(), [&200], "{open:?}");
    }
    assert_eq!(seen[2].keys().collect::<Vec<_>>(), [&200, &503], "{seen:?}");
    let unreached = gateway.metric("heddle_redis_asked_total", &["outcome=\"unreached\""]).await;
    assert!(unreached > 0.0);
    gateway.until_said("Redis counts what limits share").await;
}

#[tokio::test]
async fn while_redis_is_gone_each_gateway_counts_by_itself_and_then_together_again() {
    let (origin, mut redis) = (Origin::start("shop").await, Redis::start().await);
    let limit = "  - { name: each, by: [{ type: Header, name: x-tenant }], requests: 2, window: 1h, scope: Shared }";
    let one = gateway(&origin, &redis.url(), limit).await;
    let other = gateway(&origin, &redis.url(), limit).await;
    let passed = async |tenant: &str| {
        let mut passed = 0;
        for gateway in [&one, &other, &one, &other, &one, &other] {
            passed += usize::from(send(gateway, tenant).await.status == 200);
        }
        passed
    };
    assert_eq!(passed("a").await, 2);
    redis.kill();
    for gateway in [&one, &other] {
        until_asked(gateway, 0).await;
    }
    assert_eq!(passed("a").await, 4);
    redis.restart().await;
    for gateway in [&one, &other] {
        until_asked(gateway, 2).await;
    }
    assert_eq!(passed("a").await, 2);
    assert_eq!(origin.count(), 8);
}

#[tokio::test]
async fn a_redis_is_known_by_its_certificate_and_asked_with_a_password() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    // As much as the documentation says.
    let user =
        "heddle on >marker-word ~heddle:limit:* +evalsha +script|load +time +get +set +select";
    let (redis, port) = Redis::start_guarded(&authority.sign("localhost"), user).await;
    let origin = Origin::start("shop").await;
    let folder = tempfile::TempDir::new().expect("a folder for the test");
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("a file for the test");
        path.display().to_string()
    };
    let (ca, other) = (file("ca", authority.pem()), file("other", stranger.pem()));
    let url = |password: &str| format!("rediss://heddle:{password}@localhost:{port}");
    let (good, bad) = (file("good", &url("marker-word")), file("bad", &url("marker-guess")));
    let limit = "targetRefs: [{ kind: HTTPRoute, name: all }]\n\
                 limits: [{ name: all, requests: 9, window: 1h, scope: Shared }]";
    let begin = async |address: &str, ca: &str| {
        let setup = Setup::new()
            .with(yaml::service("shop", &[origin.address]))
            .with(yaml::path_route("all", "/", "shop"))
            .with(yaml::limits("fair", limit));
        let address = format!("@{address}");
        setup.arguments(&["--workers", "1", "--redis", &address, "--redis-ca", ca]).start().await
    };
    let why = async |gateway: &Gateway| {
        wait::until("why Redis does not count", async || {
            let shown = gateway.admin("/config").await.ok()?.json();
            Some(shown["inForce"]["redis"]["why"].as_str()?.to_owned())
        })
        .await
    };
    let gateway = begin(&good, &ca).await;
    until_asked(&gateway, 1).await;
    answered(&gateway, &gateway.get(HOST, "/").await, "shop").await;
    let guesses = begin(&bad, &ca).await;
    assert!(why(&guesses).await.to_lowercase().contains("password"), "{}", why(&guesses).await);
    let misled = begin(&good, &other).await;
    assert!(why(&misled).await.contains("--redis-ca"), "{}", why(&misled).await);
    for gateway in [&gateway, &guesses, &misled] {
        let shown = gateway.admin("/config").await.expect("it answers").text();
        assert!(!gateway.stderr().contains("marker") && !shown.contains("marker"));
    }
    drop(redis);
}

#[tokio::test]
async fn without_a_redis_a_gateway_counts_by_itself_and_says_so() {
    let (origin, setup) = crate::scene::shop().await;
    let limit = "targetRefs: [{ kind: HTTPRoute, name: all }]\n\
                 limits: [{ name: all, requests: 1, window: 1h, scope: Shared, failureMode: Closed }]";
    let gateway = setup.with(yaml::limits("fair", limit)).start().await;
    answered(&gateway, &gateway.get(HOST, "/").await, "shop").await;
    refused(&gateway, &gateway.get(HOST, "/").await, 429, "rate_limited").await;
    gateway.until_said("no --redis is told: this process counts by itself").await;
    let shown = gateway.admin("/config").await.expect("it answers").json();
    assert_eq!(shown["inForce"]["redis"], serde_json::Value::Null);
    assert_eq!(origin.count(), 1);
    let mut odd = Setup::new().arguments(&["--redis", "redis://marker:marker"]).spawn();
    assert_eq!(odd.exited().await, 1);
    let said = odd.stderr();
    assert!(
        said.contains("--redis, or HEDDLE_REDIS, names no Redis") && !said.contains("marker"),
        "{said}"
    );
}

#[tokio::test]
async fn a_quota_that_is_shared_is_counted_by_redis() {
    let (origin, redis) = (Origin::start("shop").await, Redis::start().await);
    let limit =
        "  - { name: plan, requests: 3, period: Month, scope: Shared, failureMode: Closed }";
    let one = gateway(&origin, &redis.url(), limit).await;
    let other = gateway(&origin, &redis.url(), limit).await;
    for (gateway, wanted) in [(&one, 2), (&other, 1), (&one, 0)] {
        assert_eq!(left(&send(gateway, "a").await), wanted);
    }
    refused(&other, &send(&other, "a").await, 429, "rate_limited").await;
    // Whoever comes new knows of it.
    let third = gateway(&origin, &redis.url(), limit).await;
    refused(&third, &send(&third, "a").await, 429, "rate_limited").await;
    assert_eq!(origin.count(), 3);
    assert!(!third.stderr().contains("--state"), "it outlives the process there");
}
