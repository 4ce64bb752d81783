//! What every request meets: ids, hosts, origins, sizes, words that nobody knows.

use e2e::client::{Connection, nothing, request};
use serde_json::json;

use super::bed::{Hub, problem};

#[tokio::test]
async fn every_answer_carries_the_id_of_its_request() {
    let hub = Hub::new().await;
    let asked = async |id: &str| {
        let reply = hub.nobody().send("GET", "/session", &[("x-request-id", id)], "").await;
        reply.header("x-request-id").to_owned()
    };
    assert_eq!(asked("mine-1").await, "mine-1");
    for bad in ["not this one", "no_underscore", &"a".repeat(65)] {
        let made = asked(bad).await;
        assert!(made != bad && made.len() == 36, "{made}");
    }
}

#[tokio::test]
async fn hosts_and_pages_that_are_not_ours_are_turned_away() {
    let hub = Hub::with(&["--host", "heddle.example"]).await;
    let asked = async |host: &str| {
        let asked = request("GET", host, "/api/v1/openapi.json").body(nothing()).unwrap();
        Connection::h1(hub.server.address).await.unwrap().send(asked).await.unwrap().status
    };
    assert_eq!(asked("heddle.example").await, 200);
    assert_eq!(asked("localhost:7080").await, 200);
    assert_eq!(asked("console.localhost:7080").await, 200);
    assert_eq!(asked("localhost.example").await, 400);
    assert_eq!(asked("rebound.example").await, 400);

    let body = json!({ "user": "admin", "password": hub.password }).to_string();
    let from = async |origin: &str| {
        hub.nobody().send("POST", "/session", &[("origin", origin)], &body).await
    };
    assert_eq!(from(&format!("http://{}", hub.server.address)).await.status, 201);
    for origin in ["http://elsewhere.example", "null"] {
        let refused = from(origin).await;
        assert_eq!((refused.status, problem(&refused).as_str()), (403, "forbidden"), "{origin}");
    }
}

#[tokio::test]
async fn what_is_too_large_unknown_or_no_json_is_named() {
    let hub = Hub::new().await;
    let large = "x".repeat((64 << 10) + 1);
    let reply = hub.nobody().send("POST", "/session", &[], &large).await;
    assert_eq!((reply.status, problem(&reply).as_str()), (413, "too-large"));

    let reply = hub.admin.send("POST", "/changes", &[], &" ".repeat((8 << 20) + 1)).await;
    assert_eq!((reply.status, problem(&reply).as_str()), (413, "too-large"));

    let reply = hub.admin.post("/users", &json!({ "name": "zoe", "admin": true })).await;
    assert_eq!((reply.status, problem(&reply).as_str()), (422, "invalid"));
    assert!(reply.text().contains("unknown field `admin`"), "{}", reply.text());

    let reply = hub.admin.send("POST", "/users", &[], "{").await;
    assert_eq!((reply.status, problem(&reply).as_str()), (400, "malformed"));

    let reply = hub.admin.get("/resources?kynd=Gateway&limit=0").await;
    assert_eq!((reply.status, problem(&reply).as_str()), (422, "invalid"));
    assert_eq!(reply.json()["faults"][0]["nearest"], "kind");

    let reply = hub.admin.get("/resources?kind=Gatewy&limit=0&cursor=?").await;
    assert_eq!(reply.status, 422);
    let reply = hub.admin.get("/nothing").await;
    assert_eq!((reply.status, problem(&reply).as_str()), (404, "not-found"));
    let reply = hub.admin.send("PATCH", "/users", &[], "").await;
    assert_eq!((reply.status, problem(&reply).as_str()), (405, "not-found"));
}

#[tokio::test]
async fn who_watches_over_the_server_needs_no_credentials() {
    let hub = Hub::new().await;
    for path in ["/healthz", "/readyz"] {
        let reply = hub.server.get(path).await.unwrap();
        assert_eq!((reply.status, reply.text().as_str()), (200, "ok\n"), "{path}");
    }
    let metrics = hub.server.get("/metrics").await.unwrap().text();
    let signed_in = "heddle_server_requests_total{operation=\"session_create\",status=\"201\"} 1";
    for line in [
        signed_in,
        "heddle_server_revision 1",
        "heddle_server_store_up 1",
        "heddle_server_sessions 1",
    ] {
        assert!(metrics.lines().any(|one| one == line), "no '{line}' in:\n{metrics}");
    }
}
