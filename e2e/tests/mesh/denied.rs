//! What is denied, and how each denial shows: its status and reason to who asks, a line in the log of
//! the proxy that denied, a decision at the server, and nothing at the application.

use std::net::SocketAddr;

use e2e::client::Reply;
use e2e::fleet::Kind;
use e2e::program::free_port;
use e2e::soak::count;
use e2e::{Joined, wait};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::cloth::{CLERK, Cloth, PASSPORT, READER, TRACE, send, workload};
use crate::scene::until_speaking;

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
    let path = cloth.get("/echo", CLERK, &[]).await;
    shows(&cloth, "by method and path", &path, front, "access_denied").await;
    // Without a certificate nothing is a request: there is a line, and nothing else.
    let config = orders.admin("/config").await.expect("the admin port").json();
    let resources = config["resources"].as_array().into_iter().flatten();
    let own = resources.filter(|one| one["kind"] == "Workload");
    let mut own = own.filter(|one| one["metadata"]["name"] == "orders");
    let port = own.next().and_then(|one| one["spec"]["mesh"]["port"].as_u64());
    let port = port.and_then(|port| u16::try_from(port).ok()).expect("the proxy's own port");
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.expect("the proxy listens");
    stream.write_all(b"GET /echo HTTP/1.1\r\nHost: orders\r\n\r\n").await.expect("it takes bytes");
    let mut said = Vec::new();
    let _reset = stream.read_to_end(&mut said).await;
    assert!(!String::from_utf8_lossy(&said).contains("HTTP/"), "{said:?}");
    wait::until_true("who is not let in, in the log", || {
        orders.stderr().contains("not let in from the mesh")
    })
    .await;
    assert_eq!((cloth.front.count(), cloth.orders.count()), before);
    cloth.front.open_gate();
    for reply in [sent.await, reading.await] {
        assert_eq!(reply.expect("it was sent").status, 200);
    }
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
