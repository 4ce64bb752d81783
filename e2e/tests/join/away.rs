//! A server that is away changes nothing: not for a gateway that serves, nor for one that starts.

use std::fs;

use wire::Envelope;

use crate::bed::{Bed, HOST, assert_served, standing};
use crate::states::rewritten;

#[tokio::test]
async fn a_gateway_that_lost_its_server_serves_on_and_comes_back_with_what_it_holds() {
    let mut bed = Bed::new().await;
    bed.control.set(1, bed.shop(&["orders"]));
    let gateway = bed.joined().await;
    bed.control.acknowledged(1).await;
    bed.control.go().await;
    gateway.until_said("what is in force is served on").await;
    assert_served(&gateway.get(HOST, "/orders").await);
    assert_eq!(gateway.admin("/readyz").await.unwrap().status, 200);
    assert_eq!(gateway.metric("heddle_config_connected", &[]).await, 0.0);
    let joined = standing(&gateway).await;
    assert_eq!((&joined["connected"], &joined["stale"]), (&false.into(), &true.into()));
    bed.control.set(2, bed.shop(&["orders", "catalog"]));
    bed.control.come().await;
    bed.control.acknowledged(2).await;
    let seen = bed.control.seen();
    let held = seen.hellos.last().unwrap().held.len();
    assert_eq!((held, seen.resyncs, seen.joins), (4, 0, 1));
    assert_served(&gateway.get(HOST, "/catalog").await);
}

#[tokio::test]
async fn a_gateway_that_starts_without_its_server_serves_what_it_kept() {
    let mut bed = Bed::new().await;
    bed.control.set(5, bed.shop(&["orders"]));
    let mut gateway = bed.joined().await;
    bed.control.acknowledged(5).await;
    gateway.terminate();
    assert_eq!(gateway.exited().await, 0);
    drop(gateway);
    bed.control.go().await;
    let gateway = bed.setup(&[]).start().await;
    assert_served(&gateway.get(HOST, "/orders").await);
    let joined = standing(&gateway).await;
    assert_eq!(joined["from"], "last good on disk");
    assert_eq!((&joined["vector"]["platform"], &joined["stale"]), (&5.into(), &true.into()));
    bed.control.come().await;
    e2e::wait::until("the server's word", || async {
        (standing(&gateway).await["from"] == "server").then_some(())
    })
    .await;
    let hello = bed.control.seen().hellos.last().unwrap().clone();
    assert_eq!((hello.held.len(), hello.vector.len()), (4, 1));
}

#[tokio::test]
async fn what_a_gateway_cannot_read_keeps_its_form_over_a_restart_without_the_server() {
    let mut bed = Bed::new().await;
    bed.control.set(1, bed.shop(&["orders"]));
    let mut gateway = bed.joined().await;
    bed.control.acknowledged(1).await;
    let future = |mut all: Vec<Envelope>| {
        for one in all.iter_mut().filter(|one| one.key.kind == "Gateway") {
            let newer = rewritten(one, |body| body["spec"]["moonPhase"] = "full".into());
            *one = Envelope { schema: wire::SCHEMA + 1, ..newer }.digested();
        }
        all
    };
    bed.control.set(2, future(bed.shop(&["orders", "catalog"])));
    let ack = bed.control.acknowledged(2).await;
    let [rejected] = &ack.rejected[..] else { panic!("{:?}", ack.rejected) };
    assert_eq!(rejected.key.kind, "Gateway");
    assert_served(&gateway.get(HOST, "/catalog").await);
    gateway.terminate();
    assert_eq!(gateway.exited().await, 0);
    drop(gateway);
    bed.control.go().await;
    let gateway = bed.setup(&[]).start().await;
    for path in ["/orders", "/catalog"] {
        assert_served(&gateway.get(HOST, path).await);
    }
    let joined = standing(&gateway).await;
    assert_eq!(
        (&joined["from"], &joined["vector"]["platform"]),
        (&"last good on disk".into(), &2.into())
    );
    // The server comes back, and hears of it again; and so it goes on.
    bed.control.come().await;
    bed.control.set(3, future(bed.shop(&["catalog"])));
    let ack = bed.control.acknowledged(3).await;
    assert_eq!(ack.rejected.len(), 1, "{:?}", ack.rejected);
    assert_served(&gateway.get(HOST, "/catalog").await);
    assert_eq!(gateway.get(HOST, "/orders").await.status, 404);
}

#[tokio::test]
async fn an_older_or_changed_state_on_disk_is_not_served() {
    let mut bed = Bed::new().await;
    bed.control.set(1, bed.shop(&["orders"]));
    let mut gateway = bed.joined().await;
    bed.control.acknowledged(1).await;
    let file = bed.state.path().join("state/last-good");
    e2e::wait::until_true("the state on disk", || file.is_file()).await;
    let old = fs::read(&file).unwrap();
    bed.control.set(2, bed.shop(&["orders", "catalog"]));
    bed.control.acknowledged(2).await;
    gateway.terminate();
    assert_eq!(gateway.exited().await, 0);
    drop(gateway);
    bed.control.go().await;
    let new = fs::read(&file).unwrap();
    let mut changed = new.clone();
    let last = changed.len() - 1;
    changed[last] ^= 1;
    for (bytes, word) in [(&old, "it is older"), (&changed, "it was changed")] {
        fs::write(&file, bytes).unwrap();
        let gateway = bed.setup(&[]).spawn();
        gateway.until_said(word).await;
        gateway.until_said("admin port").await;
        assert_eq!(gateway.admin("/readyz").await.unwrap().status, 503);
        assert!(standing(&gateway).await["disk"].as_str().unwrap().contains(word));
    }
    bed.control.come().await;
    let gateway = bed.setup(&[]).start().await;
    assert_served(&gateway.get(HOST, "/catalog").await);
}

#[tokio::test]
async fn a_state_that_cannot_be_kept_is_served_from_memory() {
    let bed = Bed::new().await;
    let state = bed.state.path().join("state");
    // A folder where the file is to be written stands for a disk that takes nothing.
    fs::create_dir_all(state.join("last-good.new/in-the-way")).unwrap();
    bed.control.set(1, bed.shop(&["orders"]));
    let gateway = bed.joined().await;
    gateway.until_said("served on from memory").await;
    assert_served(&gateway.get(HOST, "/orders").await);
    assert!(standing(&gateway).await["disk"].as_str().unwrap().contains("last-good"));
    fs::remove_dir_all(state.join("last-good.new")).unwrap();
    e2e::wait::until("the state on disk", || async {
        standing(&gateway).await["disk"].is_null().then_some(())
    })
    .await;
}
