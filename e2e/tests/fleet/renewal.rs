//! Certificates that end soon: they are renewed while requests pass, and a gateway that slept past
//! the end of its own comes back.

use std::time::Duration;

use e2e::client::{nothing, request};
use e2e::soak::count;
use e2e::{Connection, Joined, fleet, wait};

use crate::scene::{SHOP, Scene, clean, routes};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn short_lived_certificates_are_renewed_while_requests_pass() {
    // At full count ten minutes with certificates of one minute; in CI some lives of ten seconds.
    let seconds = count(25);
    let life = (seconds / 10).max(10);
    let mut scene = Scene::new(short(life)).await;
    let first = expiry(&scene.gateway).await;
    let load = scene.load(SHOP, 200.0, Duration::from_secs(seconds));
    let mut version = 1;
    while !load.is_finished() {
        version += 1;
        let revision = scene.fleet.change(&routes(version)).await;
        scene.fleet.until_everywhere(revision).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let tally = load.await.expect("the load ends");
    clean(&tally);
    let last = expiry(&scene.gateway).await;
    println!("renewal: lives of {life} s over {seconds} s, {}", tally.to_json());
    assert!(last >= first + (seconds as f64) / 2.0, "{first} to {last}");
    // Asleep past the end of its certificate, it serves what it had and is let in again.
    scene.gateway.stop().await;
    tokio::time::sleep(Duration::from_secs(life + 1)).await;
    let revision = scene.fleet.change(&routes(999)).await;
    scene.gateway.respawn();
    scene.gateway.until_ready().await;
    scene.fleet.until_everywhere(revision).await;
    let asked = request("GET", SHOP, "/").body(nothing()).expect("a well-formed request");
    let mut connection = Connection::h1(scene.web).await.expect("the gateway listens");
    assert_eq!(connection.send(asked).await.expect("an answer").header("x-version"), "v999");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_was_used_lets_nobody_else_in() {
    let scene = Scene::new(fleet::Plan::default()).await;
    let token = scene.fleet.join_token("local", 1).await;
    let state = |name: &str| scene.fleet.path(&format!("state-{name}"));
    let one = Joined::spawn("one", scene.fleet.nodes, &state("one"), Some(&token));
    one.until_joined().await;
    let two = Joined::spawn("two", scene.fleet.nodes, &state("two"), Some(&token));
    wait::until_true("the second to be refused", || two.stderr().contains("used up")).await;
    assert!(two.admin("/readyz").await.map_or(true, |reply| reply.status != 200));
    assert!(!state("two").join("identity.json").exists());
    // Another server's fingerprint is no reason to trust this one.
    let (id_secret, _) = token.rsplit_once('.').expect("three parts");
    let other = format!("{id_secret}.{}", "0".repeat(64));
    let three = Joined::spawn("three", scene.fleet.nodes, &state("three"), Some(&other));
    wait::until_true("the wrong root to be told", || {
        three.stderr().contains("no certificate of the root")
    })
    .await;
}

fn short(life: u64) -> fleet::Plan {
    let arguments = vec!["--certificate-ttl".to_owned(), format!("{life}s")];
    fleet::Plan { arguments, ..fleet::Plan::default() }
}

/// When the gateway's certificate ends, in seconds since 1970.
async fn expiry(gateway: &Joined) -> f64 {
    let page = gateway.admin("/metrics").await.expect("/metrics answers").text();
    let line =
        page.lines().find(|line| line.starts_with("heddle_certificate_expiry_timestamp_seconds"));
    let value = line.and_then(|line| line.rsplit(' ').next()?.parse().ok());
    value.unwrap_or_else(|| panic!("no expiry in\n{page}"))
}
