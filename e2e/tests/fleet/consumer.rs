//! A caller by a name of its own, from the command line that draws its key to the gateway that knows it.

use e2e::client::{Connection, nothing, request};
use e2e::people::{heddle, token_of};
use e2e::program::{Ended, ended};
use e2e::{fleet, wait};

use crate::scene::{SHOP, Scene};

const POLICY: &str = "apiVersion: heddle.dev/v1alpha1\nkind: AuthnPolicy\n\
    metadata: { name: customers, namespace: shop }\nspec:\n  \
    targetRefs: [{ kind: HTTPRoute, name: all }]\n  require: Any\n  methods:\n    \
    - name: customers\n      \
    apiKey: { from: [{ header: x-api-key }, { basic: shop }], consumers: {} }\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_drawn_changed_over_and_taken_out() {
    let scene = Scene::new(fleet::Plan::default()).await;
    let sara = token_of(&scene.fleet, "sara").await;
    let revision = scene.fleet.change(POLICY).await;
    scene.fleet.until_everywhere(revision).await;
    assert_eq!(status(&scene, "hdc_of-nobody-at-all").await, 401);

    let first = key_of(&key(&scene, &sara, &[]));
    until(&scene, &first, 200).await;
    let second = key_of(&key(&scene, &sara, &["--overlap", "1s", "--valid", "1d"]));
    // The one before goes by itself, at its time.
    until(&scene, &first, 401).await;
    until(&scene, &second, 200).await;
    assert_ne!(first, second);

    let shown = scene.fleet.get("/resources/Consumer/shop/acme").await;
    let keys = shown["spec"]["keys"].as_array().expect("keys");
    assert_eq!(keys.len(), 2, "{shown}");
    for secret in [&first, &second] {
        for path in ["/resources?limit=500", "/history/Consumer/shop/acme", "/audit"] {
            let said = scene.fleet.get(path).await.to_string();
            assert!(!said.contains(secret.as_str()), "{path} shows it");
        }
        let config = scene.gateway.admin("/config").await.expect("/config answers").text();
        assert!(
            config.contains("Consumer") && !config.contains(secret.as_str()),
            "/config shows it"
        );
    }
    // Of the other workspace's people nobody draws keys here.
    let bert = token_of(&scene.fleet, "bert").await;
    let refused = key(&scene, &bert, &[]);
    assert!(refused.code == 1 && refused.stdout.is_empty(), "{refused:?}");

    let mut delete = heddle(&scene.fleet);
    delete.env("HEDDLE_TOKEN", &sara).args(["delete", "consumer/shop/acme"]);
    assert_eq!(ended(&mut delete).code, 0);
    until(&scene, &second, 401).await;
}

fn key(scene: &Scene, token: &str, more: &[&str]) -> Ended {
    let mut command = heddle(&scene.fleet);
    command.env("HEDDLE_TOKEN", token).args(["consumer", "key", "acme", "-n", "shop"]).args(more);
    ended(&mut command)
}

/// Standard output has the key, and nothing else.
fn key_of(ended: &Ended) -> String {
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.stderr.contains("of Consumer shop/acme"), "{ended:?}");
    let key = ended.stdout.trim();
    assert!(key.starts_with("hdc_") && !key.contains(char::is_whitespace), "{ended:?}");
    key.to_owned()
}

async fn until(scene: &Scene, key: &str, wanted: u16) {
    let what = format!("a key to be answered {wanted}");
    wait::until_true_of(&what, async || status(scene, key).await == wanted).await;
}

async fn status(scene: &Scene, key: &str) -> u16 {
    let asked = request("GET", SHOP, "/").header("x-api-key", key);
    let asked = asked.body(nothing()).expect("a well-formed request");
    let mut connection = Connection::h1(scene.web).await.expect("the gateway listens");
    connection.send(asked).await.expect("an answer").status
}
