//! A disk that is full: nothing more is taken, nothing that was taken is lost, traffic passes.

use std::process::Command;
use std::time::Duration;

use e2e::program::ended;
use e2e::{fleet, wait};

use crate::scene::{SHOP, Scene, clean};

/// Room for the server's data, in MiB.
const ROOM: u32 = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_full_disk_refuses_changes_in_words_and_loses_nothing() {
    let wrapper = [
        "unshare",
        "--mount",
        "--map-root-user",
        "sh",
        "-c",
        &format!("mount -t tmpfs -o size={ROOM}m none \"$0\" && exec \"$@\""),
    ];
    let wrapper = wrapper.map(str::to_owned).to_vec();
    let plan = fleet::Plan { wrapper, ..fleet::Plan::default() };
    let scene = Scene::new(plan).await;
    let load = scene.load(SHOP, 200.0, Duration::from_secs(5));
    let mut taken = 0;
    let refused = loop {
        let reply = scene.fleet.try_change(&filling(taken), None).await;
        let reply = reply.expect("the server answers");
        if reply.status != 201 {
            break reply;
        }
        taken += 1;
        assert!(taken < 100, "{taken} changes fit into {ROOM} MiB");
    };
    assert_eq!(refused.status, 503, "{}", refused.text());
    let detail = refused.json()["detail"].as_str().unwrap_or_default().to_owned();
    assert!(detail.contains("disk is full") && detail.contains("free some space"), "{detail}");
    let listed = scene.fleet.get("/resources?kind=ConfigMap&namespace=shop&limit=500").await;
    assert_eq!(
        listed["items"].as_array().map(Vec::len),
        Some(taken),
        "all that was taken is there"
    );
    clean(&load.await.expect("the load ends"));
    // With some room again it goes on by itself.
    let server = scene.fleet.pid().to_string();
    let data = scene.fleet.data().display().to_string();
    let more =
        ended(
            Command::new("nsenter")
                .args(["-t", &server, "-m", "-U", "--preserve-credentials"])
                .args(["mount", "-o", "remount,size=64m", &data]),
        );
    assert_eq!(more.code, 0, "{more:?}");
    wait::until("a change to be taken again", || async {
        let reply = scene.fleet.try_change(&filling(taken), None).await.ok()?;
        assert!(matches!(reply.status, 201 | 503), "{}", reply.text());
        (reply.status == 201).then_some(())
    })
    .await;
    let audit = scene.fleet.get("/audit/verify").await;
    assert_eq!(audit["intact"], true, "{audit:#}");
}

/// A ConfigMap of some hundred KiB.
fn filling(number: usize) -> String {
    let filling = "all work and no play ".repeat(12_000);
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: filling-{number}, namespace: shop }}\n\
         data: {{ filling: '{number} {filling}' }}\n"
    )
}
