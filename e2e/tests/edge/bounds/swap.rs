//! Bounds on connections from table to table: endpoints and Services that go, and what stays open of them.

use e2e::{Gateway, Origin, wait, yaml};

use super::{
    ONE, SHOP, assert_most, begun, behind, bounds, ended, socket, told, until_nothing_leaked,
    until_waiting,
};
use crate::scene::{HOST, answered, refused};

/// From now on this origin alone is behind the Service `shop`.
async fn moved_to(gateway: &Gateway, origin: &Origin) {
    gateway.write(SHOP, &yaml::service("shop", &[origin.address]));
    wait::until_true_of("the new endpoint", async || {
        let config = gateway.admin("/config").await.expect("/config answers").json();
        let at = &config["inForce"]["services"]["shop/shop:80"][0]["address"];
        *at == origin.address.to_string()
    })
    .await;
}

#[tokio::test]
async fn a_higher_bound_wakes_those_who_wait() {
    let (origins, gateway) = behind(1, "http", "connections: 1, pendingTimeout: 20s", ONE).await;
    let held = begun(&gateway, "/gate");
    wait::until_true("one under way", || origins[0].count() == 1).await;
    let waits = begun(&gateway, "/");
    until_waiting(&gateway, 1).await;
    gateway.write("bounds.yaml", &bounds("connections: 2"));
    answered(&gateway, &ended(waits).await, "shop-0").await;
    assert_eq!(told(&gateway).await["most"], 2);
    origins[0].open_gate();
    answered(&gateway, &ended(held).await, "shop-0").await;
    until_nothing_leaked(&gateway, &origins).await;
    assert_most(&origins, 2);
}

#[tokio::test]
async fn an_endpoint_that_is_gone_keeps_the_place_of_its_tunnel_alone() {
    let (origins, gateway) = behind(1, "http", "connections: 2, pending: 0", ONE).await;
    let socket = socket(&gateway).await;
    assert_eq!(gateway.get(HOST, "/").await.status, 200);
    assert_eq!(told(&gateway).await["open"], 2);
    let other = Origin::start_beside(&origins[0], "other").await;
    moved_to(&gateway, &other).await;
    // What lay idle is closed, and what is in use lives on.
    wait::until_true("one to be closed", || origins[0].open() == 1).await;
    assert_eq!(told(&gateway).await["open"], 1);
    let held = begun(&gateway, "/gate");
    wait::until_true("one under way", || other.count() == 1).await;
    refused(&gateway, &gateway.get(HOST, "/").await, 503, "overloaded").await;
    drop(socket);
    wait::until_true_of("room", async || gateway.get(HOST, "/").await.status == 200).await;
    other.open_gate();
    answered(&gateway, &ended(held).await, "other").await;
    until_nothing_leaked(&gateway, &[other]).await;
    assert_most(&origins, 2);
}

#[tokio::test]
async fn who_waits_for_an_endpoint_that_is_gone_goes_to_another() {
    let (origins, gateway) = behind(1, "http", "connections: 1, pendingTimeout: 20s", ONE).await;
    let held = begun(&gateway, "/gate");
    wait::until_true("one under way", || origins[0].count() == 1).await;
    let waits = begun(&gateway, "/");
    until_waiting(&gateway, 1).await;
    let other = Origin::start_beside(&origins[0], "other").await;
    moved_to(&gateway, &other).await;
    until_waiting(&gateway, 1).await;
    origins[0].open_gate();
    answered(&gateway, &ended(held).await, "shop-0").await;
    answered(&gateway, &ended(waits).await, "other").await;
    assert_eq!((origins[0].count(), other.count()), (1, 1));
    until_nothing_leaked(&gateway, &[other]).await;
    assert_most(&origins, 1);
}

#[tokio::test]
async fn who_waits_for_a_service_that_is_gone_is_told() {
    let (origins, gateway) = behind(1, "http", "connections: 1, pendingTimeout: 20s", ONE).await;
    let held = begun(&gateway, "/gate");
    wait::until_true("one under way", || origins[0].count() == 1).await;
    let waits = begun(&gateway, "/");
    until_waiting(&gateway, 1).await;
    gateway.write(SHOP, &yaml::service("shop", &[]));
    let line = refused(&gateway, &ended(waits).await, 503, "no_endpoint").await;
    let why =
        "backend: the endpoint that it waited for is gone, and there is no other where it may go";
    assert_eq!(line["detail"], why);
    origins[0].open_gate();
    answered(&gateway, &ended(held).await, "shop-0").await;
    assert_most(&origins, 1);
}

#[tokio::test]
async fn a_service_that_comes_back_has_its_bound_once() {
    let (origins, gateway) = behind(1, "http", "connections: 2, pending: 0", ONE).await;
    let shop = yaml::service("shop", &[origins[0].address]);
    let socket = socket(&gateway).await;
    let is_led = async |path: &str| gateway.get(HOST, path).await.status == 200;
    // Two tables without it.
    // What another Service has open counts in its own bound.
    let other = Origin::start("other").await;
    gateway.write(SHOP, &yaml::service("other", &[other.address]));
    wait::until_true_of("nobody to be led there", async || !is_led("/").await).await;
    gateway.write("other.yaml", &yaml::path_route("other", "/other", "other"));
    wait::until_true_of("another table", async || is_led("/other").await).await;
    gateway.write(SHOP, &shop);
    wait::until_true_of("it to be back", async || is_led("/").await).await;
    assert_eq!(told(&gateway).await["open"], 2, "the socket, and what lies idle");
    let held = begun(&gateway, "/gate");
    wait::until_true("one under way", || origins[0].last().target == "/gate").await;
    refused(&gateway, &gateway.get(HOST, "/").await, 503, "overloaded").await;
    drop(socket);
    wait::until_true_of("room", async || is_led("/").await).await;
    origins[0].open_gate();
    answered(&gateway, &ended(held).await, "shop-0").await;
    until_nothing_leaked(&gateway, &origins).await;
    assert_most(&origins, 2);
}
