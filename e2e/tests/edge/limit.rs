//! How much is let through: counts by worker and table, what callers are told, and what is not counted.

use e2e::client::{nothing, request};
use e2e::{Connection, Gateway, Origin, Reply, wait, yaml};
use futures::future::join_all;
use futures::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use crate::scene::{HOST, answered, refused, shop};

const CLERK: &str = "the-clerks-own-marker-key";
const ROUTE: &str = "targetRefs: [{ kind: HTTPRoute, name: all }]\n";

/// A shop whose route has these limits.
async fn limited(limits: &str) -> (Origin, Gateway) {
    let (origin, setup) = shop().await;
    let gateway = setup.with(yaml::limits("fair", &format!("{ROUTE}{limits}"))).start().await;
    (origin, gateway)
}

async fn send(gateway: &Gateway, path: &str, headers: &[(&str, &str)]) -> Reply {
    let mut asked = request("GET", HOST, path);
    for (name, value) in headers {
        asked = asked.header(*name, *value);
    }
    gateway.send(asked.body(nothing()).expect("a well-formed request")).await
}

/// Has another table come into force.
async fn change(gateway: &Gateway, path: &str) {
    let table = async || {
        gateway.admin("/config").await.expect("it answers").json()["inForce"]["table"].to_string()
    };
    let before = table().await;
    gateway.write("other.yaml", &yaml::path_route("other", path, "shop"));
    wait::until_true_of("another table", async || table().await != before).await;
}

fn told(reply: &Reply, header: &str) -> String {
    reply.header(header).to_owned()
}

fn seconds(reply: &Reply, header: &str) -> u64 {
    reply.header(header).parse().expect("a number of seconds")
}

#[tokio::test]
async fn as_many_pass_as_the_limit_says_and_each_is_told_how_many_are_left() {
    let (origin, gateway) = limited(
        "limits:
  - name: each
    by: [{ type: Header, name: x-tenant }]
    requests: 3
    window: 1h",
    )
    .await;
    let ask = async |tenant: &str| send(&gateway, "/", &[("x-tenant", tenant)]).await;
    for left in [2, 1, 0] {
        let reply = ask("a").await;
        answered(&gateway, &reply, "shop").await;
        assert_eq!(told(&reply, "ratelimit-policy"), "\"shop/fair/each\";q=3;w=3600");
        assert!(told(&reply, "ratelimit").starts_with(&format!("\"shop/fair/each\";r={left};t=")));
    }
    // Tables come and go, and what was counted stays.
    change(&gateway, "/other-one").await;
    let reply = ask("a").await;
    let line = refused(&gateway, &reply, 429, "rate_limited").await;
    assert_eq!(line["rule"], "shop/fair/each", "{line}");
    let detail = "at most 3 requests in 3600 s by header x-tenant; there is room again in ";
    assert!(line["detail"].as_str().unwrap().starts_with(detail), "{line}");
    let wait = seconds(&reply, "retry-after");
    assert!((1..=7200).contains(&wait), "{wait}");
    assert!(told(&reply, "ratelimit").starts_with("\"shop/fair/each\";r=0;t="));
    answered(&gateway, &ask("b").await, "shop").await;
    assert_eq!(origin.count(), 4);
}

#[tokio::test]
async fn all_workers_count_together() {
    let bucket = "{ name: all, requests: 1, window: 1h, algorithm: TokenBucket, burst: 40 }";
    for limit in ["{ name: all, requests: 40, window: 1h }", bucket] {
        let (origin, setup) = shop().await;
        let limits = yaml::limits("fair", &format!("{ROUTE}limits: [{limit}]"));
        let gateway = setup.with(limits).arguments(&["--workers", "4"]).start().await;
        let one = async || {
            let mut connection = Connection::h1(gateway.web()).await.expect("a connection");
            let mut passed = 0;
            for _ in 0..5 {
                let asked = request("GET", HOST, "/").body(nothing()).expect("a request");
                let reply = wait::within("an answer", connection.send(asked)).await.expect("one");
                passed += usize::from(reply.status == 200);
            }
            passed
        };
        // Of so many connections the kernel gives no worker all.
        let passed: usize = join_all([(); 24].map(|()| one())).await.into_iter().sum();
        assert_eq!((passed, origin.count()), (40, 40), "{limit}");
    }
}

#[tokio::test]
async fn guesses_at_keys_are_bounded_by_address_and_what_is_refused_is_nobodys_share() {
    let (origin, setup) = shop().await;
    let gateway = setup
        .with(yaml::secret("keys", &[("clerk", CLERK)]))
        .with(yaml::keys("keys", "HTTPRoute, name: all", "keys"))
        .with(yaml::policy(
            "clerks",
            &format!(
                "{ROUTE}rules: [{{ name: clerk, when: {{ callers: [{{ apiKey: clerk }}] }} }}]"
            ),
        ))
        .with(yaml::limits(
            "fair",
            &format!(
                "{ROUTE}limits:
  - {{ name: guesses, by: [{{ type: Address }}], requests: 5, window: 1h }}
  - {{ name: all, requests: 2, window: 1h }}"
            ),
        ))
        .arguments(&["--trust-forwarded", "127.0.0.1/32"])
        .start()
        .await;
    let from = async |source: &str, key: &str| {
        send(&gateway, "/", &[("x-forwarded-for", source), ("x-api-key", key)]).await
    };
    for _ in 0..5 {
        let reply = from("192.0.2.1", "one-that-was-only-guessed").await;
        refused(&gateway, &reply, 401, "credential_invalid").await;
    }
    // Also with the right one: whoever guesses does not learn that it is.
    let reply = from("192.0.2.1", CLERK).await;
    let line = refused(&gateway, &reply, 429, "rate_limited").await;
    assert_eq!(line["rule"], "shop/fair/guesses");
    for _ in 0..2 {
        answered(&gateway, &from("192.0.2.2", CLERK).await, "shop").await;
    }
    let line = refused(&gateway, &from("192.0.2.2", CLERK).await, 429, "rate_limited").await;
    let told = (line["rule"].as_str(), line["principal"].as_str());
    assert_eq!(told, (Some("shop/fair/all"), Some("apikey:clerk")));
    assert_eq!(origin.count(), 2);
}

#[tokio::test]
async fn a_limit_that_is_only_tried_refuses_nothing_and_is_told_of() {
    let (origin, gateway) = limited(
        "limits:
  - { name: tried, requests: 1, window: 1h, dryRun: true }",
    )
    .await;
    let first = answered(&gateway, &send(&gateway, "/", &[]).await, "shop").await;
    assert_eq!(first.get("over_limit"), None, "{first}");
    let reply = send(&gateway, "/", &[]).await;
    let line = answered(&gateway, &reply, "shop").await;
    assert_eq!(line["over_limit"], "shop/fair/tried", "{line}");
    assert_eq!(line.get("audited"), None, "{line}");
    assert_eq!(told(&reply, "ratelimit"), "");
    assert_eq!(origin.count(), 2);
}

#[tokio::test]
async fn a_call_is_told_by_its_own_status() {
    let (_origin, gateway) = limited("limits: [{ name: calls, requests: 1, window: 1h }]").await;
    let call = async || {
        let asked =
            request("POST", HOST, "/shop.Books/Get").header("content-type", "application/grpc");
        let asked = asked.body(nothing()).expect("a well-formed call");
        let mut connection = Connection::h2c(gateway.web()).await.expect("a connection");
        wait::within("a call", connection.send(asked)).await.expect("an answer")
    };
    assert_eq!(call().await.status, 200);
    let reply = call().await;
    assert_eq!((reply.status, reply.header("grpc-status")), (200, "8"), "{reply:?}");
    assert_eq!(reply.header("grpc-message"), "rate_limited");
    assert!(seconds(&reply, "retry-after") > 0);
}

#[tokio::test]
async fn a_tunnel_is_counted_once_whatever_tables_come() {
    let (_origin, gateway) = limited("limits: [{ name: all, requests: 1, window: 1h }]").await;
    let asked = format!("ws://{HOST}/ws").into_client_request().unwrap();
    let stream = TcpStream::connect(gateway.web()).await.unwrap();
    let (mut socket, _) = tokio_tungstenite::client_async(asked, stream).await.unwrap();
    for text in ["one", "two"] {
        change(&gateway, &format!("/other-{text}")).await;
        socket.send(Message::text(text)).await.unwrap();
        let back = wait::within("an echo", socket.next()).await.expect("one more").unwrap();
        assert_eq!(back, Message::text(text));
    }
    refused(&gateway, &send(&gateway, "/", &[]).await, 429, "rate_limited").await;
}

#[tokio::test]
async fn of_what_nobody_reads_each_connection_counts() {
    let (origin, setup) = shop().await;
    let port = e2e::program::free_port();
    let route = yaml::document(
        "gateway.networking.k8s.io/v1",
        "TCPRoute",
        "bytes",
        "spec:\n  parentRefs: [{ name: edge, sectionName: bytes }]\n  \
         rules: [{ backendRefs: [{ name: shop, port: 80 }] }]",
    );
    let limits = "targetRefs: [{ kind: TCPRoute, name: bytes }]\n\
                  limits: [{ name: each, by: [{ type: Address }], requests: 2, window: 1h }]";
    let _gateway = setup
        .listener("bytes", port, format!("{{ name: bytes, port: {port}, protocol: TCP }}"))
        .with(route)
        .with(yaml::limits("fair", limits))
        .start()
        .await;
    let ask = async || {
        let mut connection = Connection::h1(([127, 0, 0, 1], port).into()).await.ok()?;
        for _ in 0..2 {
            let asked = request("GET", HOST, "/").body(nothing()).expect("a request");
            wait::within("an answer", connection.send(asked)).await.ok()?;
        }
        Some(())
    };
    let passed = [ask().await, ask().await, ask().await];
    assert_eq!(passed, [Some(()), Some(()), None]);
    assert_eq!(origin.count(), 4);
}

/// A gateway whose quota is so many a month, with its state in a folder, that another one may follow.
async fn with_quota(requests: u32) -> (Origin, Gateway, tempfile::TempDir, Vec<String>) {
    let (origin, setup) = shop().await;
    let folder = tempfile::TempDir::new().expect("a folder for the test");
    let state = folder.path().join("state").display().to_string();
    let arguments = ["--state".to_owned(), state].to_vec();
    let words: Vec<_> = arguments.iter().map(String::as_str).collect();
    let limit = format!("{ROUTE}limits: [{{ name: plan, requests: {requests}, period: Month }}]");
    let setup = setup.with(yaml::limits("fair", &limit)).replaceable().arguments(&words);
    let gateway = setup.start().await;
    (origin, gateway, folder, arguments)
}

/// Waits until the one count that is kept stands at this.
async fn until_kept(folder: &tempfile::TempDir, count: u64) {
    let file = folder.path().join("state/quotas");
    wait::until_true("the count to be kept", || {
        // Its state, of which the last 40 bits count, and a digest are the end of the file.
        let bytes = std::fs::read(&file).unwrap_or_default();
        let state = bytes.len().checked_sub(40).and_then(|at| bytes[at..].first_chunk().copied());
        state.map(u64::from_be_bytes).is_some_and(|state| state & ((1 << 40) - 1) == count)
    })
    .await;
}

#[tokio::test]
async fn a_quota_outlives_the_process_however_it_ends() {
    let (origin, mut gateway, folder, arguments) = with_quota(5).await;
    let words: Vec<_> = arguments.iter().map(String::as_str).collect();
    answered(&gateway, &send(&gateway, "/", &[]).await, "shop").await;
    // Killed once it had time to write.
    until_kept(&folder, 1).await;
    assert!(
        e2e::program::ended(
            std::process::Command::new("kill").args(["-KILL", &gateway.id().to_string()])
        )
        .code
            == 0
    );
    gateway.exited().await;
    let mut next = gateway.next(&words);
    next.until_ready().await;
    let reply = send(&next, "/", &[]).await;
    assert_eq!(told(&reply, "ratelimit-policy"), "\"shop/fair/plan\";q=5");
    assert!(told(&reply, "ratelimit").starts_with("\"shop/fair/plan\";r=3;t="), "{reply:?}");
    // Told to end right after a request.
    next.terminate();
    assert_eq!(next.exited().await, 0);
    let mut last = next.next(&words);
    last.until_ready().await;
    for left in ["r=2;", "r=1;", "r=0;"] {
        assert!(told(&send(&last, "/", &[]).await, "ratelimit").contains(left));
    }
    let reply = send(&last, "/", &[]).await;
    let line = refused(&last, &reply, 429, "rate_limited").await;
    assert!(line["detail"].as_str().unwrap().starts_with("at most 5 requests a month; "), "{line}");
    assert!((1..=31 * 24 * 3600).contains(&seconds(&reply, "retry-after")));
    assert_eq!(origin.count(), 5);
}

#[tokio::test]
async fn who_follows_another_process_goes_on_with_its_quotas() {
    let (origin, mut gateway, _folder, arguments) = with_quota(20).await;
    let words: Vec<_> = arguments.iter().map(String::as_str).collect();
    // One that the process before finishes while the next one counts.
    let connection = Connection::h2c(gateway.web()).await.expect("a connection");
    let held = connection.begin(request("GET", HOST, "/gate").body(nothing()).expect("a request"));
    wait::until_true("it to be held", || origin.count() == 1).await;
    let passed = async |gateway: &Gateway, wanted: u64| {
        let reply = send(gateway, "/", &[]).await;
        assert!(told(&reply, "ratelimit").contains(&format!("r={wanted};")), "{reply:?}");
    };
    passed(&gateway, 18).await;
    // What was counted right before is not lost.
    let mut next = gateway.next(&words);
    next.until_ready().await;
    passed(&next, 17).await;
    origin.open_gate();
    assert_eq!(held.await.expect("it was sent").expect("it was answered").status, 200);
    assert_eq!(gateway.exited().await, 0);
    // Nor written over by the one before.
    next.terminate();
    assert_eq!(next.exited().await, 0);
    let mut last = next.next(&words);
    last.until_ready().await;
    passed(&last, 16).await;
}

#[tokio::test]
async fn two_gateways_do_not_keep_quotas_in_one_folder() {
    let (_origin, gateway, folder, arguments) = with_quota(5).await;
    let words: Vec<_> = arguments.iter().map(String::as_str).collect();
    let (_other, setup) = shop().await;
    let limit = format!("{ROUTE}limits: [{{ name: plan, requests: 5, period: Month }}]");
    let other = setup.with(yaml::limits("fair", &limit)).arguments(&words).start().await;
    other.until_said("what quotas count cannot be kept, and is tried again").await;
    other.until_said("is used by another process").await;
    let quotas = async |gateway: &Gateway| {
        gateway.admin("/config").await.expect("it answers").json()["inForce"]["quotas"].clone()
    };
    assert!(quotas(&other).await["why"].as_str().is_some_and(|why| why.contains("--state")));
    let (own, file) = (quotas(&gateway).await, folder.path().join("state/quotas"));
    assert_eq!((own["why"].as_str(), own["file"].as_str()), (None, file.to_str()));
    assert_eq!(send(&other, "/", &[]).await.status, 200);
}

#[tokio::test]
async fn a_quota_that_ends_with_the_process_is_told_of() {
    let (origin, gateway) = limited("limits: [{ name: plan, requests: 1, period: Day }]").await;
    answered(&gateway, &send(&gateway, "/", &[]).await, "shop").await;
    refused(&gateway, &send(&gateway, "/", &[]).await, 429, "rate_limited").await;
    gateway
        .until_said("no --state is told: what is counted of them here ends with this process")
        .await;
    assert_eq!(origin.count(), 1);
}
