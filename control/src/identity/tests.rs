//! Who gets a certificate, who does not, and in which words.

use std::sync::atomic::{AtomicI64, Ordering};

use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256};
use store::Location;
use time::macros::datetime;
use tonic::Code;

use super::*;

const NOW: OffsetDateTime = datetime!(2026-03-01 12:00 UTC);

/// A service over a store, at a time that a test sets.
struct Bed {
    service: Identities,
    store: Store,
    passed: Arc<AtomicI64>,
    _dir: tempfile::TempDir,
}

impl Bed {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&Location::Folder(dir.path().to_owned())).await.unwrap();
        let passed = Arc::new(AtomicI64::new(0));
        let clock = {
            let passed = Arc::clone(&passed);
            Clock::of(move || NOW + Duration::seconds(passed.load(Ordering::Relaxed)))
        };
        let hours = Duration::hours(24);
        let ca = Ca::open(store.clone(), "heddle.internal", hours, NOW).await.unwrap();
        let app = Arc::new(App::new(store.clone()));
        let service = Identities::new(app, Arc::new(ca), clock);
        Bed { service, store, passed, _dir: dir }
    }

    fn pass(&self, time: Duration) {
        self.passed.fetch_add(time.whole_seconds(), Ordering::Relaxed);
    }

    fn now(&self) -> i64 {
        micros(self.service.clock.now())
    }

    async fn token(&self, pattern: &str, uses: i64) -> (String, String) {
        crate::test::join_token(&self.store, "east", pattern, uses, self.now()).await
    }

    fn join(&self, token: &(String, String), name: &str, key: &KeyPair) -> Join {
        Join {
            token_id: token.0.clone(),
            token_secret: token.1.clone(),
            kind: "gateway".into(),
            name: name.into(),
            version: "0.1.0".into(),
            csr: csr(key),
            now: self.now(),
        }
    }

    async fn rejoin(&self, certificate: &[u8], key: &KeyPair) -> Result<Certified, Status> {
        let (certificate, csr) = (certificate.to_vec(), csr(key));
        let rejoin = Rejoin { certificate, csr, version: "0.1.0".into(), now: self.now() };
        self.service.let_back_in(rejoin).await
    }

    async fn renew(&self, held: &Certified, key: &KeyPair) -> Result<Certified, Status> {
        let proven = self.service.ca.prove(&held.chain[0]).await.unwrap().unwrap();
        let renew = Renew { csr: csr(key), version: "0.1.0".into(), now: self.now() };
        self.service.renewed(&proven, renew).await
    }
}

fn key() -> KeyPair {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap()
}

fn csr(key: &KeyPair) -> Vec<u8> {
    CertificateParams::default().serialize_request(key).unwrap().der().to_vec()
}

#[tokio::test]
async fn a_token_lets_in_as_many_as_it_says_and_says_the_same_of_every_bad_one() {
    let bed = Bed::new().await;
    let token = bed.token("edge-*", 2).await;
    let first = bed.service.let_in(bed.join(&token, "edge-1", &key())).await.unwrap();
    let again = bed.service.let_in(bed.join(&token, "edge-1", &key())).await.unwrap();
    assert_eq!(first.node_id, again.node_id, "a node keeps its id");
    assert_ne!(first.chain[0], again.chain[0]);
    let used_up = bed.service.let_in(bed.join(&token, "edge-1", &key())).await.unwrap_err();
    let unknown = (token.0.clone(), "no secret".to_owned());
    let unknown = bed.service.let_in(bed.join(&unknown, "edge-1", &key())).await.unwrap_err();
    let fresh = bed.token("*", 1).await;
    let other = (token.0.clone(), fresh.1.clone());
    let other = bed.service.let_in(bed.join(&other, "edge-1", &key())).await.unwrap_err();
    bed.pass(Duration::hours(2));
    let expired = bed.service.let_in(bed.join(&fresh, "edge-1", &key())).await.unwrap_err();
    for refused in [used_up, unknown, other, expired] {
        assert_eq!((refused.code(), refused.message()), (Code::Unauthenticated, NO_TOKEN));
    }
}

#[tokio::test]
async fn a_token_of_another_pattern_or_kind_is_not_used_up() {
    let bed = Bed::new().await;
    let token = bed.token("edge-*", 1).await;
    let refused = bed.service.let_in(bed.join(&token, "core-1", &key())).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(refused.message().contains("'edge-*'"), "{}", refused.message());
    let kind = NodeKind::Mesh.to_string();
    let mesh = Join { kind, ..bed.join(&token, "edge-1", &key()) };
    let refused = bed.service.let_in(mesh).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    let odd = bed.service.let_in(bed.join(&token, "Edge/1", &key())).await.unwrap_err();
    assert_eq!(odd.code(), Code::InvalidArgument);
    let broken = Join { csr: b"none".to_vec(), ..bed.join(&token, "edge-1", &key()) };
    let refused = bed.service.let_in(broken).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    bed.service.let_in(bed.join(&token, "edge-1", &key())).await.unwrap();
}

#[tokio::test]
async fn a_clock_that_is_wrong_is_told_by_how_much() {
    let bed = Bed::new().await;
    let token = bed.token("*", 1).await;
    let hour = 3_600_000_000;
    for (off, words) in [(-hour, "1 h 0 min behind"), (6 * 60_000_000, "6 min 0 s ahead of")] {
        let join = Join { now: bed.now() + off, ..bed.join(&token, "edge-1", &key()) };
        let refused = bed.service.let_in(join).await.unwrap_err();
        assert_eq!(refused.code(), Code::FailedPrecondition);
        assert!(refused.message().contains(words), "{}", refused.message());
    }
    let near = Join { now: bed.now() + hour / 15, ..bed.join(&token, "edge-1", &key()) };
    bed.service.let_in(near).await.unwrap();
}

#[tokio::test]
async fn a_node_comes_back_by_its_last_certificate_and_key_alone() {
    let bed = Bed::new().await;
    let (token, own) = (bed.token("*", 1).await, key());
    let first = bed.service.let_in(bed.join(&token, "edge-1", &own)).await.unwrap();
    let second = bed.renew(&first, &own).await.unwrap();
    assert_eq!(first.node_id, second.node_id);
    let second = bed.renew(&second, &own).await.unwrap();
    bed.pass(Duration::days(20));
    let refused = bed.renew(&second, &own).await.unwrap_err();
    assert!(refused.message().contains("has ended"), "{}", refused.message());
    let refused = bed.rejoin(&first.chain[0], &own).await.unwrap_err();
    assert_eq!((refused.code(), refused.message()), (Code::Unauthenticated, NOT_LAST));
    let refused = bed.rejoin(&second.chain[0], &key()).await.unwrap_err();
    assert!(refused.message().contains("another key"), "{}", refused.message());
    let root = bed.service.ca.roots().signs().certificate.to_vec();
    let refused = bed.rejoin(&root, &own).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    let third = bed.rejoin(&second.chain[0], &own).await.unwrap();
    assert_eq!(first.node_id, third.node_id);
    bed.pass(Duration::days(32));
    let refused = bed.rejoin(&third.chain[0], &own).await.unwrap_err();
    assert!(refused.message().contains("31 days ago"), "{}", refused.message());
}

#[tokio::test]
async fn a_node_that_lost_the_answers_comes_back_by_the_certificate_it_has() {
    let bed = Bed::new().await;
    let (token, own) = (bed.token("*", 1).await, key());
    let held = bed.service.let_in(bed.join(&token, "edge-1", &own)).await.unwrap();
    bed.renew(&held, &own).await.unwrap();
    bed.pass(Duration::days(20));
    bed.rejoin(&held.chain[0], &own).await.unwrap();
    let last = bed.rejoin(&held.chain[0], &own).await.unwrap();
    bed.rejoin(&last.chain[0], &own).await.unwrap();
    let refused = bed.rejoin(&held.chain[0], &own).await.unwrap_err();
    assert_eq!(refused.message(), NOT_LAST);
}

#[tokio::test]
async fn of_two_that_ask_at_once_one_certificate_is_noted() {
    let bed = Bed::new().await;
    let (token, own) = (bed.token("*", 1).await, key());
    let held = bed.service.let_in(bed.join(&token, "edge-1", &own)).await.unwrap();
    let last = bed.store.node(&held.node_id).await.unwrap().unwrap().certificate.unwrap().serial;
    let by = Some(Shown { serial: &last, last: Some(&last) });
    let note = |serial: &str| Certificate { serial: serial.to_owned(), expires: 1 };
    assert!(bed.store.node_certify(&held.node_id, &note("a"), by).await.unwrap());
    assert!(!bed.store.node_certify(&held.node_id, &note("b"), by).await.unwrap());
}

#[tokio::test]
async fn a_node_that_was_forgotten_gets_no_certificate() {
    let bed = Bed::new().await;
    let (token, own) = (bed.token("*", 2).await, key());
    let held = bed.service.let_in(bed.join(&token, "edge-1", &own)).await.unwrap();
    assert!(crate::test::forget(&bed.store, &held.node_id).await);
    let renewed = bed.renew(&held, &own).await.unwrap_err();
    let rejoined = bed.rejoin(&held.chain[0], &own).await.unwrap_err();
    for refused in [renewed, rejoined] {
        assert_eq!((refused.code(), refused.message()), (Code::Unauthenticated, FORGOTTEN));
    }
    let anew = bed.service.let_in(bed.join(&token, "edge-1", &own)).await.unwrap();
    assert_ne!(anew.node_id, held.node_id);
    let old = bed.renew(&held, &own).await.unwrap_err();
    assert_eq!(old.message(), FORGOTTEN, "its old certificate stays that of a forgotten node");
}

fn mesh_token(bed: &Bed, cluster: &str) -> store::join::JoinToken {
    let id = uuid::Uuid::now_v7().simple().to_string();
    store::join::JoinToken {
        hash: store::digest(format!("secret of {id}").as_bytes()),
        id,
        cluster: cluster.to_owned(),
        kind: "mesh".to_owned(),
        pattern: "*".to_owned(),
        uses_left: 1,
        created: bed.now(),
        expires: bed.now() + 3_600_000_000,
        revoked: None,
    }
}

impl Bed {
    /// Joins the proxy of a workload in a cluster.
    async fn join_mesh(&self, cluster: &str, name: &str, key: &KeyPair) -> Certified {
        let token = mesh_token(self, cluster);
        self.store.join_token_create(&token, &store::Entry::default()).await.unwrap();
        let secret = format!("secret of {}", token.id);
        let joins = Join { kind: "mesh".into(), ..self.join(&(token.id, secret), name, key) };
        self.service.let_in(joins).await.unwrap()
    }

    /// Joins so, and asks to speak; whose certificate comes.
    async fn speak(
        &self,
        cluster: &str,
        name: &str,
        by: Option<&KeyPair>,
    ) -> Result<String, Status> {
        let own = key();
        let held = self.join_mesh(cluster, name, &own).await;
        self.speak_by(&held, by.unwrap_or(&own), Duration::ZERO).await
    }

    /// Asks to speak on a connection that was opened so long ago by this certificate.
    async fn speak_by(
        &self,
        held: &Certified,
        key: &KeyPair,
        ago: Duration,
    ) -> Result<String, Status> {
        let proven = self.service.ca.prove(&held.chain[0]).await.unwrap().unwrap();
        self.pass(ago);
        let speak = Speak { csr: csr(key), now: self.now() };
        let spoken = self.service.spoken(&proven, speak).await?;
        let leaf = x509_parser::parse_x509_certificate(&spoken.chain[0]).unwrap().1;
        let names = leaf.subject_alternative_name().unwrap().unwrap();
        let [x509_parser::extensions::GeneralName::URI(uri)] = names.value.general_names[..] else {
            panic!("one URI");
        };
        Ok(uri.to_owned())
    }
}

#[tokio::test]
async fn a_proxy_gets_a_certificate_of_its_own_workload_alone() {
    let bed = Bed::new().await;
    let text = "
apiVersion: heddle.dev/v1alpha1
kind: Workspace
metadata: { name: shop }
spec: {}
---
apiVersion: heddle.dev/v1alpha1
kind: Workload
metadata: { name: orders-1, namespace: shop }
spec:
  cluster: east
  serviceAccount: orders
  address: 127.0.0.1
  ports: [{ port: 8080 }]
  mesh: {}
---
apiVersion: heddle.dev/v1alpha1
kind: Workload
metadata: { name: plain, namespace: shop }
spec: { cluster: east, address: 127.0.0.1, ports: [{ port: 8080 }] }
";
    let app = &bed.service.app;
    app.found(&crate::test::op().actor.user, crate::test::op().now).await.unwrap();
    app.change_commit(&crate::test::op(), crate::read(text).unwrap()).await.unwrap();
    let spoken = bed.speak("east", "shop.orders-1", None).await.unwrap();
    assert_eq!(spoken, "spiffe://east.heddle.internal/ns/shop/sa/orders");
    for (cluster, name, word) in [
        ("west", "shop.orders-1", "runs in cluster 'east', and this proxy joined 'west'"),
        ("east", "shop.orders-2", "there is no Workload shop/orders-2"),
        ("east", "shop.plain", "has no proxy"),
        ("east", "orders-1", "names no workload"),
        ("east", "a.shop.orders-1", "names no workload"),
    ] {
        let refused = bed.speak(cluster, name, None).await.unwrap_err();
        assert_eq!(refused.code(), Code::FailedPrecondition);
        assert!(refused.message().contains(word), "{}", refused.message());
    }
    let refused = bed.speak("east", "shop.orders-1", Some(&key())).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    // Nor by a certificate that ended while its connection went on.
    let own = key();
    let held = bed.join_mesh("east", "shop.orders-1", &own).await;
    bed.speak_by(&held, &own, Duration::hours(23)).await.unwrap();
    let late = bed.speak_by(&held, &own, Duration::hours(2)).await.unwrap_err();
    assert_eq!(late.code(), Code::Unauthenticated);
    assert!(late.message().contains("has ended"), "{}", late.message());
    // Nor where its workspace is no more.
    let text = "
apiVersion: heddle.dev/v1alpha1
kind: Workspace
metadata: { name: shop }
spec: { clusters: { stage: production } }
";
    app.change_commit(&crate::test::op(), crate::read(text).unwrap()).await.unwrap();
    let refused = bed.speak("east", "shop.orders-1", None).await.unwrap_err();
    assert!(refused.message().contains("is not in the cluster 'east'"), "{}", refused.message());
}
