//! What a state comes to: applied as a whole, refused as a whole, or served but for what is bad.

use model::{Name, Scope};
use serde_json::json;
use wire::Envelope;

use crate::bed::{Bed, HOST, assert_served};
use crate::control::envelopes;

/// The same object with another body.
pub(crate) fn rewritten(
    envelope: &Envelope,
    change: impl FnOnce(&mut serde_json::Value),
) -> Envelope {
    let mut value = serde_json::from_slice(&envelope.body).expect("a body of JSON");
    change(&mut value);
    let body = bytes::Bytes::from(value.to_string());
    Envelope { body, generation: envelope.generation + 1, ..envelope.clone() }.digested()
}

pub(crate) fn allow_all(route: &str) -> Envelope {
    let spec = format!(
        "targetRefs: [{{ group: gateway.networking.k8s.io, kind: HTTPRoute, name: {route} }}]\n\
         rules: [{{ name: all, action: Allow }}]"
    );
    envelopes(&e2e::yaml::policy("guard", &spec)).remove(0)
}

#[tokio::test]
async fn objects_come_and_go_as_differences() {
    let bed = Bed::new().await;
    bed.control.set(1, bed.shop(&["orders", "catalog"]));
    let gateway = bed.joined().await;
    bed.control.acknowledged(1).await;
    bed.control.set(2, bed.shop(&["catalog"]));
    bed.control.acknowledged(2).await;
    assert_eq!(gateway.get(HOST, "/orders").await.status, 404);
    assert_served(&gateway.get(HOST, "/catalog").await);
    assert_eq!(bed.control.seen().resyncs, 0);
}

#[tokio::test]
async fn two_scopes_that_changed_together_come_into_force_at_once() {
    let bed = Bed::new().await;
    bed.control.set(1, bed.shop(&["orders"]));
    let gateway = bed.joined().await;
    bed.control.acknowledged(1).await;
    let shop = Scope::Workspace(Name::parse("shop").unwrap());
    let vector = [(Scope::Platform, 2), (shop, 2)].into_iter().collect();
    bed.control.set_at(vector, bed.shop(&["orders", "catalog"]));
    let ack = bed.control.acknowledged(2).await;
    assert_eq!(ack.vector.len(), 2);
    assert_eq!(gateway.metric("heddle_table_applied_total", &[]).await, 2.0);
    assert_served(&gateway.get(HOST, "/catalog").await);
}

#[tokio::test]
async fn a_policy_of_the_future_closes_its_target_while_others_serve() {
    let bed = Bed::new().await;
    let with = |policy: Envelope| {
        let mut all = bed.shop(&["orders", "catalog"]);
        all.push(policy);
        all
    };
    bed.control.set(1, with(allow_all("orders")));
    let gateway = bed.joined().await;
    assert_served(&gateway.get(HOST, "/orders").await);
    let mut future =
        rewritten(&allow_all("orders"), |body| body["spec"]["moonPhase"] = json!("full"));
    future = Envelope { schema: 2, ..future }.digested();
    bed.control.set(2, with(future));
    let ack = bed.control.acknowledged(2).await;
    let [rejected] = &ack.rejected[..] else { panic!("{:?}", ack.rejected) };
    assert!(rejected.reason.contains("schema 2"), "{}", rejected.reason);
    assert_eq!(rejected.closed[0].name, "orders");
    let closed = gateway.get(HOST, "/orders").await;
    assert_eq!((closed.status, closed.json()["reason"].as_str()), (503, Some("policy_unreadable")));
    assert_served(&gateway.get(HOST, "/catalog").await);
    let same = rewritten(&allow_all("orders"), |body| body["spec"]["moonPhase"] = json!("new"));
    bed.control.set(3, with(same));
    let ack = bed.control.acknowledged(3).await;
    assert_eq!(ack.rejected[0].path, "spec.moonPhase");
    assert_eq!(gateway.get(HOST, "/orders").await.status, 503);
    let config = gateway.admin("/config").await.unwrap().json();
    assert_eq!(config["faults"][0]["object"], "AccessPolicy shop/guard");
    assert_eq!(gateway.metric("heddle_config_rejected_objects", &[]).await, 1.0);
    bed.control.set(4, with(allow_all("orders")));
    assert!(bed.control.acknowledged(4).await.rejected.is_empty());
    assert_served(&gateway.get(HOST, "/orders").await);
}

#[tokio::test]
async fn a_route_that_cannot_be_read_keeps_its_last_good_form() {
    let bed = Bed::new().await;
    bed.control.set(1, bed.shop(&["orders"]));
    let gateway = bed.joined().await;
    let bad = bed.shop(&["orders"]).into_iter().map(|one| match one.key.kind.as_str() {
        "HTTPRoute" => rewritten(&one, |body| body["spec"]["later"] = json!(1)),
        _ => one,
    });
    bed.control.set(2, bad);
    let ack = bed.control.acknowledged(2).await;
    assert_eq!((ack.rejected.len(), ack.rejected[0].path.as_str()), (1, "spec.later"));
    assert!(ack.rejected[0].closed.is_empty());
    assert_served(&gateway.get(HOST, "/orders").await);
}

#[tokio::test]
async fn a_state_with_a_wrong_digest_is_refused_and_all_is_sent_anew() {
    let bed = Bed::new().await;
    bed.control.set(1, bed.shop(&["orders"]));
    let gateway = bed.joined().await;
    bed.control.acknowledged(1).await;
    bed.control.err(1);
    bed.control.set(2, bed.shop(&["orders", "catalog"]));
    bed.control.acknowledged(2).await;
    let seen = bed.control.seen();
    assert_eq!((seen.nacks.len(), seen.resyncs), (1, 1));
    assert!(seen.nacks[0].contains("the objects held would be"), "{}", seen.nacks[0]);
    assert_served(&gateway.get(HOST, "/catalog").await);
    assert_eq!(gateway.metric("heddle_config_refused_total", &[]).await, 1.0);
}

#[tokio::test]
async fn a_port_that_cannot_be_opened_is_told_until_it_is_open() {
    let bed = Bed::new().await;
    bed.control.set(1, bed.shop(&["orders"]));
    let gateway = bed.joined().await;
    let held = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port to hold");
    let port = held.local_addr().expect("its address").port();
    bed.control.set(2, bed.shop_at(&["orders"], Some(port)));
    let ack = bed.control.acknowledged(2).await;
    let [rejected] = &ack.rejected[..] else { panic!("{ack:?}") };
    assert_eq!(
        (rejected.key.kind.as_str(), &*rejected.path),
        ("Gateway", "spec.listeners[1].port")
    );
    let why = format!("port {port} is not open");
    assert!(
        rejected.reason.starts_with(&why) && rejected.reason.contains("in use"),
        "{rejected:?}"
    );
    assert_served(&gateway.get(HOST, "/orders").await);
    drop(held);
    e2e::wait::until("the port to be told open", || async {
        let last = bed.control.seen().acks.last().cloned()?;
        (last.nonce == ack.nonce && last.rejected.is_empty()).then_some(())
    })
    .await;
}
