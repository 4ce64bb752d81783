//! What is told of a request afterwards: each proxy on its way, what decided there, and what would
//! have allowed it.

use e2e::people::token_of;
use e2e::wait;
use serde_json::Value;

use crate::cloth::{CLERK, Cloth, READER, TRACE, send};
use crate::scene::{HOST, until_speaking};

/// The hops that the server knows of a request, once there are so many.
async fn hops(cloth: &Cloth, id: &str, count: usize) -> Vec<Value> {
    let path = format!("/requests/{id}");
    wait::until(&format!("{count} hops of {id}"), || async {
        let reply = cloth.fleet.get_as(cloth.fleet.token(), &path).await.ok()?;
        let hops = reply.json()["hops"].as_array()?.clone();
        (hops.len() >= count).then_some(hops)
    })
    .await
}

/// In short: where, what came of it, who was calling.
fn told(hop: &Value) -> String {
    let word = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let (side, reason, caller) = (word(&hop["side"]), word(&hop["reason"]), word(&hop["caller"]));
    format!("{} {side} {} {reason} {caller}", word(&hop["node"]["name"]), hop["status"])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_of_four_hops_is_told_from_the_edge_to_the_last_application() {
    let cloth = Cloth::new().await;
    let (sent, trace) = cloth.under_way(CLERK).await;
    assert_eq!(cloth.asks(&trace).await, 200);
    cloth.front.open_gate();
    let reply = sent.await.expect("it was sent");
    let hops = hops(&cloth, reply.header("x-request-id"), 4).await;
    let told: Vec<_> = hops.iter().map(told).collect();
    assert_eq!(
        told,
        [
            "edge edge 200 ok apikey:clerk",
            "shop.front inbound 200 ok apikey:clerk",
            "shop.front outbound 200 ok -",
            "shop.orders inbound 200 ok apikey:clerk",
        ]
    );
    let text = cloth.explained(reply.header("x-request-id"));
    for word in
        ["rule 'known' of AccessPolicy shop/edge", "'for-users' of AccessPolicy shop/orders"]
    {
        assert!(text.contains(word), "{word} is not in\n{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_denial_is_told_with_what_would_have_allowed_it() {
    let cloth = Cloth::new().await;
    // At the edge; by who sends; by who is called for.
    let edge = send(cloth.web, HOST, "/echo", &[]).await;
    let other = send(cloth.other_sends, "orders", "/echo", &[]).await;
    let (sent, trace) = cloth.under_way(READER).await;
    let reader = send(cloth.front_sends, "orders", "/echo", &[(TRACE, &trace)]).await;
    let unknown = send(cloth.front_sends, "orders", "/echo", &[]).await;
    assert_eq!(cloth.orders.count(), 0);
    for (reply, count, reason, change) in [
        (&edge, 1, "credential_missing", "the caller were proved to be any proved caller"),
        (
            &other,
            2,
            "access_denied",
            "its 'workloads' named {cluster: local, serviceAccount: other} and",
        ),
        (&reader, 2, "access_denied", "its 'callers' named {apiKey: reader}"),
        (&unknown, 2, "access_denied", "the caller were proved to be apikey:clerk"),
    ] {
        let id = reply.header("x-request-id");
        assert_eq!(reply.json()["reason"], reason);
        let hops = hops(&cloth, id, count).await;
        let denied = hops.iter().find(|hop| hop["reason"] == reason).expect("the one who denied");
        assert!(denied["vector"].as_array().is_some_and(|vector| !vector.is_empty()), "{denied:#}");
        let text = cloth.explained(id);
        assert!(text.contains(change), "'{change}' is not in\n{text}");
    }
    cloth.front.open_gate();
    sent.await.expect("it was sent");
    // Who has no rights there is told nothing.
    let stranger = token_of(&cloth.fleet, "stan").await;
    let path = format!("/requests/{}", reader.header("x-request-id"));
    let hidden = cloth.fleet.get_as(&stranger, &path).await.expect("the server answers");
    assert_eq!(hidden.status, 404, "{}", hidden.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_decided_while_the_server_was_away_is_told_when_it_is_back() {
    let mut cloth = Cloth::new().await;
    cloth.fleet.kill().await;
    let denied = send(cloth.web, HOST, "/echo", &[]).await;
    assert_eq!(denied.status, 401);
    cloth.fleet.serve().await;
    until_speaking(&cloth.nodes[0], "gateway edge of local").await;
    let id = denied.header("x-request-id");
    assert_eq!(told(&hops(&cloth, id, 1).await[0]), "edge edge 401 credential_missing -");
    // It outlives another end of the server.
    cloth.fleet.stop().await;
    cloth.fleet.serve().await;
    assert_eq!(hops(&cloth, id, 1).await.len(), 1);
}
