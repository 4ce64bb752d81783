//! Keys of an issuer, from where it publishes them to the gateway that knows callers by them.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use e2e::client::{Connection, nothing, request};
use e2e::people::{heddle, token_of};
use e2e::program::{Ended, ended};
use e2e::token::Issuer;
use e2e::{fleet, wait};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::scene::{SHOP, Scene};

const ISSUER: &str = "https://login.example";

/// Where an issuer publishes keys.
struct Published {
    url: String,
    keys: Arc<Mutex<String>>,
    accepting: tokio::task::JoinHandle<()>,
}

impl Published {
    async fn start(issuer: &Issuer) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let url = format!("http://{}/keys", listener.local_addr().expect("an address"));
        let keys = Arc::new(Mutex::new(issuer.jwks()));
        let said = Arc::clone(&keys);
        let accepting = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut head = vec![0; 4096];
                let _ = stream.read(&mut head).await;
                let body = said.lock().expect("nobody panics").clone();
                let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n";
                let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
            }
        });
        Published { url, keys, accepting }
    }

    fn away(&self) {
        self.accepting.abort();
    }
}

fn policy(url: &str) -> String {
    format!(
        "apiVersion: heddle.dev/v1alpha1\nkind: AuthnPolicy\n\
         metadata: {{ name: staff, namespace: shop }}\nspec:\n  \
         targetRefs: [{{ kind: HTTPRoute, name: all }}]\n  require: Any\n  methods:\n    \
         - name: staff\n      jwt: {{ issuer: '{ISSUER}', audiences: [orders], jwksUrl: '{url}' }}\n"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_fetched_by_the_server_told_to_gateways_and_followed() {
    let arguments = ["--fetch-from", "127.0.0.1/32"].map(str::to_owned).to_vec();
    let mut scene = Scene::new(fleet::Plan { arguments, ..fleet::Plan::default() }).await;
    let [sara, bert] = [token_of(&scene.fleet, "sara").await, token_of(&scene.fleet, "bert").await];
    let [issuer, next] = [Issuer::new(ISSUER), Issuer::new(ISSUER)];
    let published = Published::start(&issuer).await;
    let revision = scene.fleet.change(&policy(&published.url)).await;
    scene.fleet.until_everywhere(revision).await;
    until(&scene, &issuer, 200).await;
    assert_eq!(status(&scene, &next).await, 401, "its key is not published");

    let listed = key_set(&scene, &sara, &["list"]);
    assert!(listed.code == 0 && listed.stdout.contains(&published.url), "{listed:?}");
    assert!(listed.stdout.contains("shop/staff") && listed.stdout.contains("k1"), "{listed:?}");
    // Who may not read the policy is told of none, and has none fetched.
    let listed = key_set(&scene, &bert, &["list", "-o", "json"]);
    assert!(listed.code == 0 && !listed.stdout.contains(&published.url), "{listed:?}");
    let refused = key_set(&scene, &bert, &["fetch", &published.url]);
    assert!(refused.code == 1 && refused.stdout.is_empty(), "{refused:?}");

    // The issuer changes its key out of turn, and does not have us wait.
    *published.keys.lock().expect("nobody panics") = next.jwks();
    wait::until_true_of("the next key to be known", async || {
        assert_eq!(key_set(&scene, &sara, &["fetch", &published.url]).code, 0);
        status(&scene, &next).await == 200
    })
    .await;
    until(&scene, &issuer, 401).await;

    // A server that begins anew tells no gateway that nobody is known, though the issuer is away.
    published.away();
    scene.fleet.kill().await;
    scene.fleet.serve().await;
    let revision =
        scene.fleet.change(&policy(&published.url).replace("name: staff", "name: more")).await;
    scene.fleet.until_everywhere(revision).await;
    assert_eq!((status(&scene, &next).await, status(&scene, &issuer).await), (200, 401));

    // A gateway that begins anew knows it, though nobody is there to ask.
    scene.fleet.stop().await;
    scene.gateway.stop().await;
    scene.gateway.respawn();
    scene.gateway.until_ready().await;
    until(&scene, &next, 200).await;
    assert_eq!(status(&scene, &issuer).await, 401);
}

fn key_set(scene: &Scene, token: &str, words: &[&str]) -> Ended {
    let mut command = heddle(&scene.fleet);
    command.env("HEDDLE_TOKEN", token).arg("key-set").args(words);
    ended(&mut command)
}

async fn until(scene: &Scene, issuer: &Issuer, wanted: u16) {
    let what = format!("a token to be answered {wanted}");
    wait::until_true_of(&what, async || status(scene, issuer).await == wanted).await;
}

async fn status(scene: &Scene, issuer: &Issuer) -> u16 {
    let token = issuer.token("ann", "orders", 600);
    let asked = request("GET", SHOP, "/").header("authorization", format!("Bearer {token}"));
    let asked = asked.body(nothing()).expect("a well-formed request");
    let mut connection = Connection::h1(scene.web).await.expect("the gateway listens");
    connection.send(asked).await.expect("an answer").status
}
