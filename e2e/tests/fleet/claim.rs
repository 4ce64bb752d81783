//! What a workspace claims stays its own, whichever door somebody else comes through.

use std::time::Duration;

use e2e::people::{heddle, token_of};
use e2e::program::ended;
use e2e::soak::count;
use e2e::{Fleet, fleet};

use crate::scene::{SHOP, Scene, clean, route};

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
