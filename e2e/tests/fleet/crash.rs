//! A server, or its database, that is killed in the middle of everything: no request fails, nothing
//! that was acknowledged is lost, nothing is there by half or twice.

use std::collections::BTreeSet;
use std::time::Duration;

use e2e::client::{nothing, request};
use e2e::postgres::Postgres;
use e2e::soak::{count, seed};
use e2e::{Connection, fleet, wait};
use serde_json::Value;

use crate::scene::{SHOP, Scene, clean, routes};

/// How often it is killed.
const KILLS: u64 = 5;
/// Requests per second meanwhile.
const RATE: f64 = 500.0;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_killed_server_loses_nothing() {
    let mut scene = Scene::new(fleet::Plan::default()).await;
    let commits = count(40);
    let load = scene.load(SHOP, RATE, lasting(commits));
    let at = moments(commits);
    let mut acknowledged = Vec::new();
    for version in 1..=commits {
        if at.contains(&version) {
            // The commit is on its way when the server dies, or was answered a moment before.
            let (made, ()) = tokio::join!(
                commit_once(&scene.fleet, version),
                die_within(&scene, chance(version) % 20)
            );
            scene.fleet.kill().await;
            scene.fleet.serve().await;
            acknowledged.push(match made {
                Some(revision) => revision,
                None => commit(&scene.fleet, version).await,
            });
            let last = *acknowledged.last().expect("one was made");
            // Nobody waits for a node to come back to learn what it has.
            scene.fleet.until_everywhere(last).await;
        } else {
            acknowledged.push(commit(&scene.fleet, version).await);
        }
    }
    let tally = load.await.expect("the load ends");
    clean(&tally);
    println!("crash: {commits} commits, {KILLS} kills, {}", tally.to_json());
    is_whole(&scene, &acknowledged).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_killed_database_loses_nothing() {
    let mut database = Postgres::start().await;
    let plan = fleet::Plan { database: Some(database.url()), ..fleet::Plan::default() };
    let scene = Scene::new(plan).await;
    let commits = count(40);
    let load = scene.load(SHOP, RATE, lasting(commits));
    let at = moments(commits);
    let mut acknowledged = Vec::new();
    for version in 1..=commits {
        if at.contains(&version) {
            let (made, ()) = tokio::join!(commit_once(&scene.fleet, version), async {
                tokio::time::sleep(Duration::from_millis(chance(version) % 20)).await;
                database.kill().await;
            });
            let refused = scene.fleet.try_change(&routes(version), Some(&key(version))).await;
            // Without a database nothing is acknowledged, and that is said.
            assert_eq!(refused.expect("the server answers").status, 503);
            database.restart().await;
            acknowledged.push(match made {
                Some(revision) => revision,
                None => commit(&scene.fleet, version).await,
            });
        } else {
            acknowledged.push(commit(&scene.fleet, version).await);
        }
    }
    scene.fleet.until_everywhere(*acknowledged.last().expect("some were made")).await;
    let tally = load.await.expect("the load ends");
    clean(&tally);
    println!("crash: {commits} commits, {KILLS} kills of the database, {}", tally.to_json());
    is_whole(&scene, &acknowledged).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_starts_from_its_last_good_state_while_the_server_is_away() {
    let mut scene = Scene::new(fleet::Plan::default()).await;
    let first = scene.gateway.state().join("last-good");
    let older = scene.fleet.path("older");
    std::fs::copy(&first, &older).expect("the last good state is there");
    let revision = scene.fleet.change(&routes(2)).await;
    scene.fleet.until_everywhere(revision).await;
    wait::until_true("the newer state on disk", || {
        std::fs::read(&first).ok() != std::fs::read(&older).ok()
    })
    .await;
    scene.fleet.kill().await;
    scene.gateway.stop().await;
    scene.gateway.respawn();
    scene.gateway.until_ready().await;
    assert_eq!(version(&scene).await, "v2");
    // A file that was valid once is no way back.
    scene.gateway.stop().await;
    std::fs::copy(&older, &first).expect("the file can be replaced");
    scene.gateway.respawn();
    let gateway = &scene.gateway;
    wait::until_true("the older file to be refused", || gateway.stderr().contains("older")).await;
    let asked = || async { gateway.admin("/readyz").await.ok() };
    let ready = wait::until("the admin port to answer", asked).await;
    assert_ne!(ready.status, 200, "an older state is not served");
    scene.fleet.serve().await;
    scene.gateway.until_ready().await;
    assert_eq!(version(&scene).await, "v2");
}

async fn version(scene: &Scene) -> String {
    let asked = request("GET", SHOP, "/").body(nothing()).expect("a well-formed request");
    let mut connection = Connection::h1(scene.web).await.expect("the gateway listens");
    let reply = connection.send(asked).await.expect("an answer");
    reply.header("x-version").to_owned()
}

/// The load lasts as long as the commits usually take: a minute for 200 of them.
fn lasting(commits: u64) -> Duration {
    Duration::from_millis(300 * commits)
}

fn key(version: u64) -> String {
    format!("version-{version}")
}

/// Makes the change of `version`, and asks again with the same key until it is answered.
async fn commit(fleet: &fleet::Fleet, version: u64) -> i64 {
    wait::until("the change to be made", || commit_once(fleet, version)).await
}

async fn commit_once(fleet: &fleet::Fleet, version: u64) -> Option<i64> {
    let reply = fleet.try_change(&routes(version), Some(&key(version))).await.ok()?;
    match reply.status {
        200 | 201 => reply.json()["revision"].as_i64(),
        503 => None,
        _ => panic!("version {version}: {}", reply.text()),
    }
}

async fn die_within(scene: &Scene, milliseconds: u64) {
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
    let server = scene.fleet.pid().to_string();
    let _gone = std::process::Command::new("kill").args(["-KILL", &server]).status();
}

/// Every commit is there once and whole.
async fn is_whole(scene: &Scene, acknowledged: &[i64]) {
    let distinct: BTreeSet<_> = acknowledged.iter().collect();
    assert_eq!(distinct.len(), acknowledged.len(), "each change has a revision of its own");
    let made = |workspace: &str| {
        let path = format!("/history/HTTPRoute/{workspace}/all?limit=500");
        async move {
            let history = scene.fleet.get(&path).await;
            let items = history["items"].as_array().cloned().unwrap_or_default();
            let revision = |item: &Value| item["revision"].as_i64().expect("a revision");
            items.iter().map(revision).collect::<Vec<_>>()
        }
    };
    let (shop, bank) = (made("shop").await, made("bank").await);
    // Newest first, and the one that the scene began with behind them.
    let wanted: Vec<_> = acknowledged.iter().rev().copied().collect();
    assert_eq!(shop[..shop.len() - 1], wanted, "each once, none besides");
    assert_eq!(shop, bank, "both objects of each change, or none");
    let audit = scene.fleet.get("/audit/verify").await;
    assert_eq!(audit["intact"], true, "{audit:#}");
    assert_eq!(version(scene).await, format!("v{}", acknowledged.len()));
}

/// At which commits it is killed.
fn moments(commits: u64) -> BTreeSet<u64> {
    let mut at = BTreeSet::new();
    let mut salt = 0;
    while (at.len() as u64) < KILLS.min(commits) {
        salt += 1;
        at.insert(chance(salt) % commits + 1);
    }
    at
}

/// Chance that the seed repeats (SplitMix64).
fn chance(number: u64) -> u64 {
    let mut z = seed().wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
