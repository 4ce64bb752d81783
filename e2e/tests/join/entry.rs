//! How a gateway gets in, and what it says when it does not.

use std::os::unix::fs::PermissionsExt as _;

use e2e::Setup;

use crate::bed::{Bed, assert_served, standing};
use crate::control::{Control, SECRET};

#[tokio::test]
async fn a_gateway_joins_serves_and_says_who_it_is() {
    let bed = Bed::new().await;
    let mut gateway = bed.setup(&["--join", &bed.control.token()]).spawn();
    gateway.until_said("joined").await;
    gateway.until_said("admin port").await;
    let ready = gateway.admin("/readyz").await.unwrap();
    assert_eq!((ready.status, ready.text().as_str()), (503, "no table serves yet\n"));
    bed.control.set(7, bed.shop(&["orders"]));
    gateway.until_ready().await;
    assert_served(&gateway.get("shop.test", "/orders").await);
    let ack = bed.control.acknowledged(7).await;
    assert!(ack.rejected.is_empty());
    let config = gateway.admin("/config").await.unwrap().json();
    assert_eq!(config["source"], "joined");
    let joined = &config["joined"];
    assert_eq!(joined["node"]["uri"], "spiffe://east.heddle.test/node/gateway/edge");
    assert_eq!((&joined["from"], &joined["vector"]["platform"]), (&"server".into(), &7.into()));
    assert_eq!((&joined["connected"], &joined["stale"]), (&true.into(), &false.into()));
    assert_eq!(config["resources"].as_array().unwrap().len(), 4);
    assert_eq!(gateway.metric("heddle_config_connected", &[]).await, 1.0);
    assert_eq!(gateway.metric("heddle_config_applied_total", &[]).await, 1.0);
    assert!(gateway.metric("heddle_config_age_seconds", &[]).await < 5.0);
    assert!(gateway.metric("heddle_certificate_expiry_timestamp_seconds", &[]).await > 1e9);
}

#[tokio::test]
async fn the_folder_is_for_its_owner_and_nobody_is_shown_the_secret() {
    let bed = Bed::new().await;
    bed.control.set(1, bed.shop(&[]));
    let gateway = bed.joined().await;
    let state = bed.state.path().join("state");
    let file = state.join("last-good");
    e2e::wait::until_true("the state on disk", || file.is_file()).await;
    let mode =
        |name: &str| std::fs::metadata(state.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("."), 0o700);
    for name in ["key.pem", "identity.json", "last-good"] {
        assert_eq!(mode(name), 0o600, "{name}");
        let bytes = std::fs::read(state.join(name)).unwrap();
        assert!(!bytes.windows(SECRET.len()).any(|at| at == SECRET.as_bytes()), "{name}");
    }
    let config = gateway.admin("/config").await.unwrap().text();
    for text in [gateway.stderr(), config] {
        assert!(!text.contains(SECRET), "{text}");
    }
}

/// Ends with 1, and says this.
async fn assert_refused(setup: Setup, words: &[&str]) {
    let mut gateway = setup.spawn();
    assert_eq!(gateway.exited().await, 1, "{}", gateway.stderr());
    let said = gateway.stderr();
    for word in words {
        assert!(said.contains(word), "no '{word}' in\n{said}");
    }
    assert!(!said.contains(SECRET), "{said}");
}

#[tokio::test]
async fn each_way_not_to_get_in_says_what_to_do() {
    let bed = Bed::new().await;
    let token = bed.control.token();
    let (head, _) = token.rsplit_once('.').unwrap();
    let other = format!("{head}.{}", "ab".repeat(32));
    assert_refused(bed.setup(&["--join", &other]), &["another server answers", "--server"]).await;
    assert_refused(bed.setup(&["--join", head]), &["no join token", "heddle join-token create"])
        .await;
    assert_refused(bed.setup(&[]), &["holds no identity", "--join"]).await;
    let plain = bed.origin.address.to_string();
    let setup = Setup::bare().joined().arguments(&["--server", &plain, "--join", &token]);
    let state = bed.state.path().join("state");
    let setup = setup.arguments(&["--state", state.to_str().unwrap()]);
    assert_refused(setup, &["port for nodes"]).await;
    assert_eq!(bed.control.seen().joins, 0);
    bed.control.set(1, bed.shop(&[]));
    drop(bed.joined().await);
    let elsewhere = bed.state.path().join("elsewhere");
    let again = ["--join", &token, "--state", elsewhere.to_str().unwrap()];
    let setup = Setup::bare().joined().arguments(&["--server", &bed.control.address.to_string()]);
    assert_refused(setup.arguments(&again), &["used up", "heddle join-token create"]).await;
}

#[tokio::test]
async fn a_token_that_is_given_again_is_not_used_and_a_folder_is_for_one_process() {
    let bed = Bed::new().await;
    bed.control.set(1, bed.shop(&["orders"]));
    let gateway = bed.joined().await;
    let taken = ["is used by another process", "--state"];
    assert_refused(bed.setup(&["--join", &bed.control.token()]), &taken).await;
    drop(gateway);
    let gateway = bed.joined().await;
    assert!(gateway.stderr().contains("the token is not needed"), "{}", gateway.stderr());
    assert_served(&gateway.get("shop.test", "/orders").await);
    assert_eq!(bed.control.seen().joins, 1);
}

#[tokio::test]
async fn a_server_that_is_away_is_told_and_joined_once_it_is_there() {
    let mut bed = Bed::with(Control::new()).await;
    bed.control.set(1, bed.shop(&["orders"]));
    let mut gateway = bed.setup(&["--join", &bed.control.token()]).spawn();
    gateway.until_said("does not answer").await;
    gateway.until_said("is `heddle-server` running").await;
    gateway.until_said("admin port").await;
    assert_eq!(gateway.admin("/readyz").await.unwrap().status, 503);
    assert!(standing(&gateway).await["trouble"].as_str().unwrap().contains("does not answer"));
    bed.control.come().await;
    gateway.until_ready().await;
    assert_served(&gateway.get("shop.test", "/orders").await);
}

#[tokio::test]
async fn the_token_may_come_by_file_and_files_exclude_a_server() {
    let bed = Bed::new().await;
    bed.control.set(1, bed.shop(&["orders"]));
    let file = bed.state.path().join("token");
    std::fs::write(&file, bed.control.token() + "\n").unwrap();
    let by_file = format!("@{}", file.display());
    let gateway = bed.setup(&["--join", &by_file]).start().await;
    assert_served(&gateway.get("shop.test", "/orders").await);
    let both = e2e::program::run(&["--config", "edge.yaml", "--join", &bed.control.token()]);
    assert_eq!(both.code, 2, "{}", both.stderr);
    assert!(both.stderr.contains("cannot be used with") && !both.stderr.contains(SECRET));
    let neither = e2e::program::run(&[]);
    assert_eq!(neither.code, 2);
    assert!(neither.stderr.contains("--config") && neither.stderr.contains("--join"));
}
