//! What is denied, and how each denial shows: its status and reason to who asks, a line in the log of
//! the proxy that denied, a decision at the server, and nothing at the application.

use std::net::SocketAddr;

use e2e::client::{Fault, Reply, nothing, request};
use e2e::fleet::Kind;
use e2e::program::free_port;
use e2e::soak::count;
use e2e::trust::{Authority, Papers, credulous};
use e2e::{Connection, Joined, wait};
use http::Request;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::cloth::{CLERK, Cloth, PASSPORT, READER, TRACE, send, workload};
use crate::scene::{HOST, until_speaking};

/// Sees that a denial shows everywhere where it should.
async fn shows(cloth: &Cloth, what: &str, reply: &Reply, by: &Joined, reason: &str) {
    assert_eq!((reply.status, reply.json()["reason"].as_str()), (403, Some(reason)), "{what}");
    let id = reply.header("x-request-id");
    let line = || {
        let log = by.access_log();
        let mut lines = log.lines().map(str::to_owned);
        lines.find(|line| line.contains(id) && line.contains(reason))
    };
    wait::until_true(&format!("{what}: the line in the log"), || line().is_some()).await;
    let path = format!("/requests/{id}");
    wait::until_true_of(&format!("{what}: the decision"), async || {
        let told = cloth.fleet.get_as(cloth.fleet.token(), &path).await;
        told.is_ok_and(|told| {
            let told = told.json();
            let mut hops = told["hops"].as_array().into_iter().flatten();
            hops.any(|hop| hop["node"]["name"] == by.name() && hop["reason"] == reason)
        })
    })
    .await;
    // In words: who denied it, why, and what would allow it.
    let text = cloth.explained(id);
    let denied = format!("denied it with 403 {reason}: ");
    assert!(text.contains(&denied) && text.contains("what would allow it: "), "{what}: {text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_denial_shows_to_who_asks_in_the_log_and_at_the_server() {
    let cloth = Cloth::new().await;
    let (front, orders) = (&cloth.nodes[1], &cloth.nodes[2]);
    // The same namespace and account as the storefront's, in the trust domain of another cluster.
    let sends = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let text = workload("front-west", 9, sends.port())
        .replace("cluster: local", "cluster: west")
        .replace("serviceAccount: front-west", "serviceAccount: front");
    let revision = cloth.fleet.change(&text).await;
    let west = cloth.fleet.join_in("west", Kind::Mesh, "shop/front-west").await;
    until_speaking(&west, "workload shop/front of west").await;
    cloth.fleet.until_everywhere(revision).await;

    let (sent, trace) = cloth.under_way(CLERK).await;
    let (reading, reader) = cloth.under_way(READER).await;
    let before = (cloth.front.count(), cloth.orders.count());
    let made_up = format!("00-{}-00f067aa0ba902b7-01", "ab".repeat(16));
    let asks = async |from: SocketAddr, path: &str, headers: &[(&str, &str)]| {
        send(from, "orders", path, headers).await
    };
    let own = cloth.front_sends;
    for (what, reply) in [
        ("by identity", asks(cloth.other_sends, "/echo", &[]).await),
        ("by the trust domain of another cluster", asks(sends, "/echo", &[(TRACE, &trace)]).await),
        ("a user whom no rule names", asks(own, "/echo", &[(TRACE, &reader)]).await),
        ("without a trace", asks(own, "/echo", &[]).await),
        ("by a trace that is nobody's", asks(own, "/echo", &[(TRACE, &made_up)]).await),
        ("by a passport of an application", asks(own, "/echo", &[(PASSPORT, "a.b.c.d")]).await),
        ("by the trace of another application's user", {
            asks(cloth.other_sends, "/echo", &[(TRACE, &trace)]).await
        }),
    ] {
        shows(&cloth, what, &reply, orders, "access_denied").await;
    }
    // By method and path: the storefront is there to be read.
    let text = "apiVersion: heddle.dev/v1alpha1\nkind: AccessPolicy\n\
                metadata: { name: front, namespace: shop }\nspec:\n  \
                targetRefs: [{ kind: Service, name: front }]\n  rules:\n    \
                - { name: read, when: { methods: [GET], paths: [{ value: /gate }] } }\n";
    let revision = cloth.fleet.change(text).await;
    cloth.fleet.until_everywhere(revision).await;
    for (what, method, path) in [("by path", "GET", "/echo"), ("by method", "POST", "/gate")] {
        let asked = request(method, HOST, path).header("x-api-key", CLERK).body(nothing());
        let mut connection = Connection::h1(cloth.web).await.expect("the gateway listens");
        // Who is let in after all waits at the gate.
        let sent = connection.send(asked.expect("a request"));
        let reply = wait::within(what, sent).await.expect("an answer");
        shows(&cloth, what, &reply, front, "access_denied").await;
    }
    assert_eq!((cloth.front.count(), cloth.orders.count()), before);
    cloth.front.open_gate();
    for reply in [sent.await, reading.await] {
        assert_eq!(reply.expect("it was sent").status, 200);
    }
}

/// Sees that whom a proxy did not let in, so that no request came to be, shows in its log and at the
/// server: by an id that the log has, in words, with what would let them in.
async fn shows_nobody(cloth: &Cloth, by: &Joined, before: &str, reason: &str, cause: &str) {
    let id = wait::until(&format!("'{cause}' in the log"), || async {
        let log = by.access_log();
        let mut lines = log.lines().skip(before.lines().count()).map(str::to_owned);
        let line = lines.find(|line| line.contains(reason) && line.contains(cause))?;
        let line: serde_json::Value = serde_json::from_str(&line).expect("a line is JSON");
        assert_eq!(
            (&line["status"], &line["method"]),
            (&serde_json::Value::Null, &"CONNECT".into())
        );
        Some(line["request_id"].as_str().expect("an id").to_owned())
    })
    .await;
    let path = format!("/requests/{id}");
    wait::until_true_of("the decision", async || {
        let told = cloth.fleet.get_as(cloth.fleet.token(), &path).await;
        told.is_ok_and(|told| {
            let hop = &told.json()["hops"][0];
            hop["node"]["name"] == by.name()
                && hop["reason"] == reason
                && hop["route"]["kind"] == "Workload"
        })
    })
    .await;
    let text = cloth.explained(&id);
    let denied = format!("denied it without an answer, by {reason}: ");
    let change = "what would allow it: a certificate that this installation signed";
    assert!(text.contains(&denied) && text.contains(change), "{cause}: {text}");
}

/// The status that a proxy of the mesh answers who asks it for its application, over TLS and by this id.
pub(crate) async fn connects(
    to: SocketAddr,
    application: SocketAddr,
    papers: Option<Papers>,
    id: &str,
) -> Result<u16, Fault> {
    let mut connection = Connection::tls_as(to, "mesh.heddle.internal", credulous(papers)).await?;
    let asked = Request::connect(application.to_string()).header("x-request-id", id);
    let asked = asked.body(nothing())?;
    Ok(connection.open(asked).await?.status().as_u16())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_let_in_without_a_certificate_that_the_mesh_believes() {
    let cloth = Cloth::new().await;
    let (edge, orders) = (&cloth.nodes[0], &cloth.nodes[2]);
    let workload = cloth.fleet.get("/resources/Workload/shop/orders").await;
    let port = workload["spec"]["mesh"]["port"].as_u64().expect("a port");
    let hbone = SocketAddr::from(([127, 0, 0, 1], u16::try_from(port).expect("a port")));
    let before = cloth.orders.count();
    // Who is called as the gateway is, but by an authority of their own.
    let (uri, real) = ("spiffe://local.heddle.internal/node/gateway/edge", edge.papers());
    assert!(real.0[0].windows(uri.len()).any(|bytes| bytes == uri.as_bytes()), "{uri}");
    let own = Authority::new().sign_uri(uri);
    for (papers, reason, cause) in [
        (None, "credential_missing", "peer sent no certificates"),
        (Some(own), "credential_invalid", "UnknownIssuer"),
    ] {
        let log = orders.access_log();
        // Boxed, since a TLS stream is large.
        let asked = Box::pin(connects(hbone, cloth.orders.address, papers, "a-stranger"));
        let connected = wait::within("a stranger's end", asked).await;
        assert!(connected.is_err(), "{cause}: {connected:?}");
        shows_nobody(&cloth, orders, &log, reason, cause).await;
    }
    // Nor is anything read that is not TLS.
    let mut stream = TcpStream::connect(hbone).await.expect("the proxy listens");
    stream.write_all(b"GET /echo HTTP/1.1\r\nHost: orders\r\n\r\n").await.expect("it takes bytes");
    let mut said = Vec::new();
    let _reset = wait::within("the end", stream.read_to_end(&mut said)).await;
    assert!(!String::from_utf8_lossy(&said).contains("HTTP/"), "{said:?}");
    wait::until_true("what is no TLS, in the log", || {
        orders.stderr().lines().any(|line| {
            line.contains("not let in from the mesh") && line.contains("corrupt message")
        })
    })
    .await;
    assert_eq!(cloth.orders.count(), before);
    // It is for want of such a certificate: the same client is let in by the gateway's own.
    let let_in = connects(hbone, cloth.orders.address, Some(real), "the-edge").await;
    assert_eq!(let_in.expect("it is answered"), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trace_that_is_over_tells_for_nobody_again() {
    let cloth = Cloth::new().await;
    let (sent, trace) = cloth.under_way(CLERK).await;
    assert_eq!(cloth.asks(&trace).await, 200);
    cloth.front.open_gate();
    assert_eq!(sent.await.expect("it was sent").status, 200);
    // Not more often: what is told of one trace is bounded.
    let mut beat = tokio::time::interval(std::time::Duration::from_secs(1));
    wait::until_true_of("the trace to be over", async || {
        beat.tick().await;
        cloth.asks(&trace).await == 403
    })
    .await;
    let before = cloth.orders.count();
    let seconds = count(2);
    for _ in 0..seconds {
        beat.tick().await;
        let reply = send(cloth.front_sends, "orders", "/echo", &[(TRACE, &trace)]).await;
        shows(&cloth, "by a trace that is over", &reply, &cloth.nodes[2], "access_denied").await;
    }
    println!("denied: a trace that is over, once a second for {seconds} s");
    assert_eq!(cloth.orders.count(), before);
}
