//! Certificates end: they are renewed while traffic goes on, and a node that slept comes back.

use std::time::Duration;

use e2e::wait;

use crate::bed::{Bed, HOST, assert_served};

#[tokio::test]
async fn certificates_of_seconds_are_renewed_under_traffic() {
    let bed = Bed::new().await;
    bed.control.certificates_last(Duration::from_secs(3));
    bed.control.set(1, bed.shop(&["orders"]));
    let gateway = bed.joined().await;
    wait::until("three renewals", || async {
        assert_served(&gateway.get(HOST, "/orders").await);
        let seen = bed.control.seen();
        (seen.renewals >= 3 && seen.streams > 3).then_some(())
    })
    .await;
    // The stream was opened anew by each certificate before the old one was let go.
    assert!(!gateway.stderr().contains("is served on"), "{}", gateway.stderr());
    let seen = bed.control.seen();
    assert_eq!((seen.joins, seen.rejoins, seen.resyncs), (1, 0, 0));
    bed.control.set(2, bed.shop(&["orders", "catalog"]));
    bed.control.acknowledged(2).await;
    assert_served(&gateway.get(HOST, "/catalog").await);
}

#[tokio::test]
async fn a_node_whose_certificate_ended_comes_back_by_it() {
    let mut bed = Bed::new().await;
    bed.control.certificates_last(Duration::from_secs(2));
    bed.control.set(1, bed.shop(&["orders"]));
    let gateway = bed.joined().await;
    bed.control.acknowledged(1).await;
    bed.control.go().await;
    gateway.until_said("the certificate has ended").await;
    assert_served(&gateway.get(HOST, "/orders").await);
    bed.control.certificates_last(Duration::from_secs(600));
    bed.control.set(2, bed.shop(&["orders", "catalog"]));
    bed.control.come().await;
    bed.control.acknowledged(2).await;
    assert_served(&gateway.get(HOST, "/catalog").await);
    let seen = bed.control.seen();
    assert_eq!((seen.joins, seen.rejoins), (1, 1));
}

#[tokio::test]
async fn so_does_one_that_was_not_running_meanwhile() {
    let bed = Bed::new().await;
    bed.control.certificates_last(Duration::from_secs(1));
    bed.control.set(1, bed.shop(&["orders"]));
    let mut gateway = bed.joined().await;
    gateway.terminate();
    assert_eq!(gateway.exited().await, 0);
    drop(gateway);
    // On a slow machine the certificate ends before the gateway does.
    let before = bed.control.seen().rejoins;
    let began = std::time::Instant::now();
    wait::until_true("the certificate's end", || began.elapsed() > Duration::from_secs(2)).await;
    bed.control.certificates_last(Duration::from_secs(600));
    let gateway = bed.setup(&[]).start().await;
    assert_served(&gateway.get(HOST, "/orders").await);
    bed.control.set(2, bed.shop(&["catalog"]));
    bed.control.acknowledged(2).await;
    assert_eq!(bed.control.seen().rejoins, before + 1);
}

#[tokio::test]
async fn a_node_that_was_forgotten_joins_anew_by_a_token_and_keeps_its_state_under_its_new_id() {
    let mut bed = Bed::new().await;
    bed.control.certificates_last(Duration::from_secs(3));
    bed.control.set(1, bed.shop(&["orders"]));
    let mut gateway = bed.joined().await;
    bed.control.acknowledged(1).await;
    bed.control.certificates_last(Duration::from_secs(600));
    bed.control.forget();
    wait::until("a second entry", || async {
        assert_served(&gateway.get(HOST, "/orders").await);
        let seen = bed.control.seen();
        (seen.joins == 2 && seen.acks.len() == 2).then_some(())
    })
    .await;
    gateway.terminate();
    assert_eq!(gateway.exited().await, 0);
    drop(gateway);
    bed.control.go().await;
    let gateway = bed.setup(&[]).start().await;
    assert_served(&gateway.get(HOST, "/orders").await);
}
