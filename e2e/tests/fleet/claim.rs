//! What a workspace claims stays its own, whichever door somebody else comes through.

use std::process::Command;
use std::time::Duration;

use e2e::program::{self, ended};
use e2e::{Fleet, fleet};
use serde_json::json;

use crate::scene::{SHOP, Scene, clean, count, route};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_intruder_is_refused_in_the_same_words_while_every_request_reaches_the_holder() {
    let scene = Scene::new(fleet::Plan::default()).await;
    let claim = "apiVersion: heddle.dev/v1alpha1\nkind: Claim\n\
                 metadata: { name: hosts, namespace: shop }\n\
                 spec:\n  hosts:\n    - host: shop.example.com\n    \
                 - host: '*.shop.example.com'\n    \
                 - { host: pay.example.com, paths: [/cart] }\n";
    scene.fleet.change(claim).await;
    let token = token_of(&scene.fleet, "bert").await;
    let requests = count(2_000);
    let load = scene.load(SHOP, 500.0, Duration::from_secs_f64(requests as f64 / 500.0));
    let intruder = route("bank", SHOP, 9).replace("name: all", "name: intruder");
    for (host, path) in [
        (SHOP, "/"),
        (SHOP, "/a/longer/path"),
        ("'*.example.com'", "/"),
        ("a.shop.example.com", "/"),
        ("pay.example.com", "/CART/items"),
        ("pay.example.com", "/%63art"),
        ("pay.example.com", "/x/%2e%2e/cart/items"),
    ] {
        let text = intruder.replace(SHOP, host).replace(
            "    - filters",
            &format!("    - matches: [{{ path: {{ value: {path} }} }}]\n      filters"),
        );
        let rest = by_rest(&scene.fleet, &token, &text).await;
        assert_eq!(rest.0, 409, "{host} {path}: {rest:?}");
        assert!(rest.1.contains("workspace 'shop' holds by Claim shop/hosts"), "{rest:?}");
        assert!(rest.1.contains("ask team 'shop-team'"), "{rest:?}");
        let cli = by_cli(&scene.fleet, &token, &text);
        assert!(cli.contains(&rest.1), "{host} {path}\nREST: {}\nCLI: {cli}", rest.1);
    }
    // A host in other letters is no host, whoever holds it.
    let rest = by_rest(&scene.fleet, &token, &intruder.replace(SHOP, "SHOP.example.com")).await;
    assert!(rest.0 == 422 && rest.1.contains("is not a host name"), "{rest:?}");
    let tally = load.await.expect("the load ends");
    clean(&tally);
    assert!(tally.latency.total() >= requests, "{}", tally.to_json());
    assert_eq!(scene.origin.count() as u64, tally.latency.total());
}

/// A user with a token of their own.
async fn token_of(fleet: &Fleet, user: &str) -> String {
    let password = "another-password-of-a-test";
    let made = fleet.post("/users", json!({ "name": user, "password": password })).await;
    assert_eq!(made.expect("the server answers").status, 201);
    let home = fleet.path(user);
    let mut login = heddle(fleet);
    login.args(["login", "--user", user, "--password-stdin"]).env("XDG_CONFIG_HOME", &home);
    let ended = piped(login, password);
    assert!(ended.0, "{}", ended.1);
    let file = std::fs::read_to_string(home.join("heddle/config.json")).expect("a token was kept");
    let file: serde_json::Value = serde_json::from_str(&file).expect("JSON");
    file["token"].as_str().expect("a token").to_owned()
}

async fn by_rest(fleet: &Fleet, token: &str, text: &str) -> (u16, String) {
    let reply = fleet.change_as(token, text).await.expect("the server answers");
    (reply.status, reply.json()["detail"].as_str().unwrap_or_default().to_owned())
}

fn by_cli(fleet: &Fleet, token: &str, text: &str) -> String {
    let file = fleet.path("intruder.yaml");
    std::fs::write(&file, text).expect("the file can be written");
    let mut apply = heddle(fleet);
    let ended = ended(apply.env("HEDDLE_TOKEN", token).arg("apply").arg("-f").arg(&file));
    assert_eq!(ended.code, 1, "{ended:?}");
    ended.stderr
}

fn heddle(fleet: &Fleet) -> Command {
    let mut command = Command::new(program::heddle());
    command.env("HEDDLE_SERVER", format!("http://{}", fleet.rest)).env_remove("HEDDLE_TOKEN");
    command
}

fn piped(mut command: Command, input: &str) -> (bool, String) {
    use std::io::Write as _;
    use std::process::Stdio;
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("heddle starts");
    child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("heddle ends");
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}
