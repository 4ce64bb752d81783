//! A joined gateway is followed by another process with the same folder, or goes on where that fails.

use std::net::TcpListener;
use std::process::Command;

use e2e::Gateway;

use crate::bed::{Bed, assert_served};

/// Starts another process with the same folder.
fn next(bed: &Bed, before: &Gateway) -> Gateway {
    let (server, state) = (bed.control.address.to_string(), bed.state.path().join("state"));
    let state = state.to_str().expect("a folder named in ASCII");
    before.next(&["--server", &server, "--state", state, "--name", "edge"])
}

async fn first(bed: &Bed) -> Gateway {
    bed.control.set(1, bed.shop(&["orders"]));
    let first = bed.setup(&["--join", &bed.control.token()]).replaceable().start().await;
    bed.control.acknowledged(1).await;
    first
}

#[tokio::test]
async fn the_next_one_has_the_folder_and_follows_the_server() {
    let bed = Bed::new().await;
    let mut first = first(&bed).await;
    let second = next(&bed, &first);
    assert_eq!(first.exited().await, 0, "{}", second.stderr());
    assert_served(&second.get("shop.test", "/orders").await);
    bed.control.set(2, bed.shop(&["orders", "carts"]));
    bed.control.acknowledged(2).await;
    assert_served(&second.get("shop.test", "/carts").await);
    assert_eq!(bed.control.seen().joins, 1);
    let said = second.stderr();
    assert!(said.contains("serving what") && !said.contains("ERROR"), "{said}");
}

#[tokio::test]
async fn the_one_before_takes_the_folder_again_if_the_next_comes_to_nothing() {
    let bed = Bed::new().await;
    let mut first = first(&bed).await;
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    bed.control.set(2, bed.shop_at(&["orders"], Some(held.local_addr().unwrap().port())));
    first.until_said("in use by another process").await;
    // It never serves, for want of that port.
    let second = next(&bed, &first);
    second.until_said("in use by another process").await;
    assert_served(&first.get("shop.test", "/orders").await);
    drop(second);
    first.until_said("does not follow").await;
    bed.control.set(3, bed.shop(&["orders", "carts"]));
    bed.control.acknowledged(3).await;
    assert_served(&first.get("shop.test", "/carts").await);
    assert!(first.try_exit().is_none());
}

#[tokio::test]
async fn the_next_one_serves_what_it_can_if_the_one_before_is_killed_meanwhile() {
    let bed = Bed::new().await;
    let mut first = first(&bed).await;
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    bed.control.set(2, bed.shop_at(&["orders"], Some(held.local_addr().unwrap().port())));
    first.until_said("in use by another process").await;
    let mut second = next(&bed, &first);
    second.until_said("in use by another process").await;
    let killed = Command::new("kill").args(["-KILL", &first.id().to_string()]).status().unwrap();
    assert!(killed.success());
    assert_eq!(first.exited().await, -1);
    second.until_said("since nobody else does").await;
    assert_served(&second.get("shop.test", "/orders").await);
    assert_eq!(second.admin("/readyz").await.unwrap().status, 503);
    drop(held);
    second.until_ready().await;
}
