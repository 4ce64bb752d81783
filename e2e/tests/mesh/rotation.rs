//! One root follows another while users are served through every hop, and nobody notices but those
//! who were away.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use e2e::fleet::Plan;
use e2e::soak::count;
use e2e::trust::Credulous;
use e2e::{Fleet, Joined, wait};
use rustls::ClientConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::cloth::{CLERK, Cloth, TRACE};

const ROTATION: &str = "/authority/rotation";
const ADVANCE: &str = "/authority/rotation/advance";
/// A server looks at the roots each second.
const SETTLED: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_root_is_rotated_under_load_and_no_request_fails() {
    // At full count many rotations; certificates are renewed all the while.
    let rounds = count(2);
    let arguments = ["--certificate-ttl", "10s"].map(str::to_owned).to_vec();
    let mut scene = Cloth::with(Plan { arguments, ..Plan::default() }).await;
    let first = signs(&scene.fleet).await;
    // Begun under the first root, and answered long after that is gone.
    let (long, _) = scene.under_way(CLERK).await;
    let mut long = Some(long);
    for round in 0..rounds {
        let (old, leaves) = (signs(&scene.fleet).await, leaves(&scene.fleet).await);
        let served = serve_while(&mut scene, rotate).await;
        let new = signs(&scene.fleet).await;
        assert_ne!(old, new);
        wait::until_true("every node to keep the new root alone", || {
            scene.nodes.iter().all(|node| kept_roots(node) == [new.clone()])
        })
        .await;
        println!("rotation {round}: {served} requests through every hop, 0 failed");
        let renewed = self::leaves(&scene.fleet).await;
        assert!(leaves.iter().zip(&renewed).all(|(old, new)| old < new), "{leaves:?} {renewed:?}");
        if let Some(long) = long.take() {
            assert!(!long.is_finished(), "it ended by itself");
            scene.front.open_gate();
            let reply = long.await.expect("it was sent");
            assert_eq!(reply.status, 200, "of before the rotation: {}", reply.text());
        }
    }
    assert_ne!(first, signs(&scene.fleet).await);
    let all = scene.fleet.get("/authority").await;
    assert_eq!((&all["phase"], &all["holding"]), (&json!("resting"), &json!([])), "{all:#}");
}

/// When the certificate of each node ends.
async fn leaves(fleet: &Fleet) -> Vec<String> {
    let nodes = fleet.get("/nodes").await;
    let ends = nodes["items"].as_array().expect("a list").iter();
    ends.map(|node| node["certificateExpires"].as_str().expect("a time").to_owned()).collect()
}

/// From begin to end, the server killed in each phase.
async fn rotate(fleet: &mut Fleet) {
    let begun = fleet.post(ROTATION, json!({})).await.expect("the server answers");
    assert_eq!(begun.status, 201, "{}", begun.text());
    for after in ["moving", "resting"] {
        fleet.kill().await;
        fleet.serve().await;
        advance(fleet).await;
        let all = fleet.get("/authority").await;
        assert_eq!(all["phase"], after, "{all:#}");
    }
    fleet.kill().await;
    fleet.serve().await;
}

/// Goes on as soon as no node holds it back.
async fn advance(fleet: &Fleet) -> Value {
    wait::until("nothing to hold the rotation back", || async {
        let reply = fleet.post(ADVANCE, json!({})).await.expect("the server answers");
        assert!(matches!(reply.status, 200 | 409), "{}", reply.text());
        (reply.status == 200).then(|| reply.json())
    })
    .await
}

/// Serves somebody through every hop, again and again, as long as `what` takes; how often.
async fn serve_while(scene: &mut Cloth, what: impl AsyncFn(&mut Fleet)) -> u64 {
    let (is_over, served) = (AtomicBool::new(false), AtomicU64::new(0));
    let Cloth { fleet, front, web, front_sends, nodes, .. } = scene;
    let calls = async {
        while !is_over.load(Relaxed) {
            let at_edge =
                crate::cloth::send(*web, crate::scene::HOST, "/echo", &[("x-api-key", CLERK)]);
            let reply = at_edge.await;
            assert_eq!(reply.status, 200, "at the edge: {}", reply.text());
            // The application asks another one for its user, whom the passport tells.
            let trace = front.last().header(TRACE).to_owned();
            let reply =
                crate::cloth::send(*front_sends, "orders", "/echo", &[(TRACE, &trace)]).await;
            assert_eq!(reply.status, 200, "{}\n{}", reply.text(), told(nodes, &trace));
            served.fetch_add(1, Relaxed);
        }
    };
    let rotated = async {
        what(fleet).await;
        // What was open under the old root is cut by now; it has its time to hurt.
        let (before, began) = (served.load(Relaxed), Instant::now());
        wait::until_true("more requests after the end", || {
            served.load(Relaxed) > before + 20 && began.elapsed() > SETTLED
        })
        .await;
        is_over.store(true, Relaxed);
    };
    tokio::join!(calls, rotated);
    served.into_inner()
}

/// What the proxies logged of a trace.
fn told(nodes: &[Joined], trace: &str) -> String {
    let id = trace.split('-').nth(1).unwrap_or("no trace");
    let logs: String = nodes.iter().map(Joined::access_log).collect();
    logs.lines().filter(|line| line.contains(id)).collect::<Vec<_>>().join("\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_is_away_holds_a_rotation_back_and_comes_back_by_a_new_token() {
    let mut scene = Cloth::new().await;
    let old = signs(&scene.fleet).await;
    let before = scene.fleet.join_token("local", 1).await;
    let hbone = hbone(&scene, "orders").await;
    // As the gateway is now, for ever.
    let (chain, key) = papers(scene.nodes[0].state());
    let mut open = dial(hbone, &chain, &key).await.expect("the gateway is let in");
    scene.nodes[3].stop().await;
    let begun = scene.fleet.post(ROTATION, json!({})).await.expect("the server answers");
    assert_eq!(begun.status, 201, "{}", begun.text());
    let twice = scene.fleet.post(ROTATION, json!({})).await.expect("the server answers");
    assert_eq!(twice.status, 409, "{}", twice.text());
    let held = only_holds(&scene.fleet, "shop.other").await;
    assert!(held.contains("does not trust the new root"), "{held}");
    let forced = scene.fleet.post(ADVANCE, json!({ "force": true })).await.expect("an answer");
    assert_eq!(forced.status, 200, "{}", forced.text());
    assert_eq!(forced.json()["left"][0]["name"], "shop.other", "{}", forced.text());
    // Both roots are believed: who knows the old one alone is let in, by a token or as who they are.
    let new = signs(&scene.fleet).await;
    let after = wait::until("a token under the new root", || async {
        let token = scene.fleet.join_token("local", 1).await;
        token.ends_with(&new).then_some(token)
    })
    .await;
    for (name, token, root) in [("before", &before, &old), ("after", &after, &new)] {
        assert!(token.ends_with(root.as_str()), "{token} is not under {root}");
        let node = Joined::spawn(name, scene.fleet.nodes, &scene.fleet.path(name), Some(token));
        node.until_joined().await;
        wait::until_true("both roots to be kept", || kept_roots(&node).len() == 2).await;
        drop(node);
        forget(&scene.fleet, name).await;
    }
    let held = only_holds(&scene.fleet, "shop.other").await;
    assert!(held.contains("new join token"), "{held}");
    scene.nodes[3].respawn();
    wait::until_true("the one that was away to learn of the new root", || {
        kept_roots(&scene.nodes[3]).first() == Some(&new)
    })
    .await;
    // Away again before all of it is under the new root or not, it is left behind or is ready.
    scene.nodes[3].stop().await;
    let forced = scene.fleet.post(ADVANCE, json!({ "force": true })).await.expect("an answer");
    assert_eq!(forced.status, 200, "{}", forced.text());
    // What was open under the old root ends, and nothing is opened by it any more.
    let mut rest = Vec::new();
    let _reset = wait::within("the end of an old connection", open.read_to_end(&mut rest)).await;
    wait::until("the old certificate to be refused", || async {
        dial(hbone, &chain, &key).await.is_none().then_some(())
    })
    .await;
    let audit = scene.fleet.get("/audit?limit=500").await.to_string();
    for word in ["rotate", "force", "leaving behind local shop.other"] {
        assert!(audit.contains(word), "no '{word}' in {audit}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_slept_through_a_rotation_is_told_what_to_do_and_does_it() {
    let mut fleet = Fleet::start(Plan::default()).await;
    let (token, state) = (fleet.join_token("local", 2).await, fleet.path("sleeper"));
    let mut node = Joined::spawn("sleeper", fleet.nodes, &state, Some(&token));
    node.until_ready().await;
    node.stop().await;
    assert_eq!(fleet.post(ROTATION, json!({})).await.expect("an answer").status, 201);
    for _ in 0..2 {
        let forced = fleet.post(ADVANCE, json!({ "force": true })).await.expect("an answer");
        assert_eq!(forced.status, 200, "{}", forced.text());
    }
    node.respawn();
    wait::until_true("the node to say what helps", || {
        node.stderr().contains("the root was rotated while this node was away")
    })
    .await;
    node.stop().await;
    // A token of before is of no use any more, and says why.
    let late = fleet.path("late");
    let refused = Joined::spawn("late", fleet.nodes, &late, Some(&token));
    wait::until_true("the old token to be refused", || {
        refused.stderr().contains("older than a rotation of the root")
    })
    .await;
    drop(refused);
    let token = fleet.join_token("local", 1).await;
    let back = Joined::spawn("sleeper", fleet.nodes, &state, Some(&token));
    let new = signs(&fleet).await;
    wait::until_true("the node to be back", || kept_roots(&back) == [new.clone()]).await;
    wait::until("nobody to hold anything back", || async {
        let nodes = fleet.get("/nodes").await;
        (nodes["items"][0]["state"] == "connected").then_some(())
    })
    .await;
    let told = fleet.server().stderr();
    assert!(told.contains("knows us by a root that was retired"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_rotation_that_is_given_up_costs_no_request_either() {
    let mut scene = Cloth::new().await;
    let old = signs(&scene.fleet).await;
    let there_and_back = async |fleet: &mut Fleet| {
        assert_eq!(fleet.post(ROTATION, json!({})).await.expect("an answer").status, 201);
        advance(fleet).await;
        let back = fleet.delete(ROTATION).await.expect("an answer");
        assert_eq!(back.status, 200, "{}", back.text());
        advance(fleet).await;
    };
    let served = serve_while(&mut scene, there_and_back).await;
    assert!(served > 0);
    assert_eq!(signs(&scene.fleet).await, old);
    wait::until_true("the old root alone to be kept", || {
        scene.nodes.iter().all(|node| kept_roots(node) == [old.clone()])
    })
    .await;
}

/// The words of the refusal, once this node alone holds the next step back.
async fn only_holds(fleet: &Fleet, name: &str) -> String {
    wait::until("one node alone to hold it back", || async {
        let all = fleet.get("/authority").await;
        let holding = all["holding"].as_array().expect("a list").clone();
        assert!(holding.iter().any(|one| one["name"] == name), "{all:#}");
        (holding.len() == 1).then_some(())
    })
    .await;
    let held = fleet.post(ADVANCE, json!({})).await.expect("the server answers");
    assert_eq!(held.status, 409, "{}", held.text());
    let words = held.json()["detail"].as_str().expect("words").to_owned();
    assert!(words.contains(name), "{words}");
    words
}

async fn forget(fleet: &Fleet, name: &str) {
    let nodes = fleet.get("/nodes").await;
    let nodes = nodes["items"].as_array().expect("a list");
    let id = nodes.iter().find(|node| node["name"] == name).expect("the node")["id"].clone();
    let path = format!("/nodes/{}", id.as_str().expect("an id"));
    assert_eq!(fleet.delete(&path).await.expect("an answer").status, 204);
}

/// The fingerprint of the root that signs.
async fn signs(fleet: &Fleet) -> String {
    let all = fleet.get("/authority").await;
    all["roots"][0]["fingerprint"].as_str().expect("a fingerprint").to_owned()
}

/// The fingerprints of the roots that a node has on its disk.
fn kept_roots(node: &Joined) -> Vec<String> {
    let Some(identity) = kept(node.state(), "identity.json") else { return Vec::new() };
    ders(&identity["roots"]).iter().map(|der| store::digest(der)).collect()
}

fn kept(state: &Path, file: &str) -> Option<Value> {
    serde_json::from_slice(&std::fs::read(state.join(file)).ok()?).ok()
}

fn ders(texts: &Value) -> Vec<Vec<u8>> {
    let texts = texts.as_array().expect("a list").iter();
    texts.map(|text| STANDARD.decode(text.as_str().expect("text")).expect("base64")).collect()
}

type Papers = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// A node's certificate with its key.
fn papers(state: &Path) -> Papers {
    let identity = kept(state, "identity.json").expect("an identity");
    let chain = ders(&identity["chain"]).into_iter().map(CertificateDer::from).collect();
    let key = PrivateKeyDer::from_pem_file(state.join("key.pem")).expect("a key");
    (chain, key)
}

/// Where the proxy of a workload takes connections of the mesh.
async fn hbone(scene: &Cloth, name: &str) -> std::net::SocketAddr {
    let workload = scene.fleet.get(&format!("/resources/Workload/shop/{name}")).await;
    let port = workload["spec"]["mesh"]["port"].as_u64().expect("a port");
    ([127, 0, 0, 1], u16::try_from(port).expect("a port")).into()
}

/// A connection as the mesh has them, if it is not ended at once.
async fn dial(
    to: std::net::SocketAddr,
    chain: &[CertificateDer<'static>],
    key: &PrivateKeyDer<'static>,
) -> Option<TlsStream<TcpStream>> {
    let provider = Arc::new(default_provider());
    let mut tls = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Credulous::new(provider)))
        .with_client_auth_cert(chain.to_vec(), key.clone_key())
        .expect("a certificate");
    tls.alpn_protocols = vec![b"h2".to_vec()];
    let stream = TcpStream::connect(to).await.ok()?;
    let name = ServerName::try_from("mesh.heddle.internal").expect("a name");
    let mut stream = TlsConnector::from(Arc::new(tls)).connect(name, stream).await.ok()?;
    // With TLS 1.3 a client learns only afterwards whether it was let in: HTTP/2 begins then.
    let mut settings = [0; 9];
    stream.read_exact(&mut settings).await.ok()?;
    Some(stream)
}
