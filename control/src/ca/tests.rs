//! Roots are made once, certificates say what we say, and authorities vouch for their own cluster.

use rcgen::CertificateParams;
use store::Location;
use time::macros::datetime;

use super::*;

const NOW: OffsetDateTime = datetime!(2026-03-01 12:00 UTC);
const TRUST: &str = "heddle.internal";

async fn store(dir: &tempfile::TempDir) -> Store {
    Store::open(&Location::Folder(dir.path().to_owned())).await.unwrap()
}

async fn ca(dir: &tempfile::TempDir) -> Ca {
    Ca::open(store(dir).await, TRUST, Duration::hours(24), NOW).await.unwrap()
}

fn request(key: &KeyPair, names: &[&str]) -> Vec<u8> {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    CertificateParams::new(names).unwrap().serialize_request(key).unwrap().der().to_vec()
}

fn node(cluster: &str) -> NodeName {
    NodeName::parse(cluster, "gateway", "edge-1").unwrap()
}

#[tokio::test]
async fn servers_that_start_at_once_end_with_one_root() {
    let dir = tempfile::tempdir().unwrap();
    let first = store(&dir).await;
    let opened = (0..8).map(|_| Ca::open(first.clone(), TRUST, Duration::hours(24), NOW));
    let opened = futures::future::join_all(opened).await;
    let prints: std::collections::BTreeSet<_> =
        opened.iter().map(|ca| ca.as_ref().unwrap().fingerprint()).collect();
    assert_eq!(prints.len(), 1);
    let issuers = opened.iter().map(|ca| ca.as_ref().unwrap().issuer("east", NOW));
    for issuer in futures::future::join_all(issuers).await {
        let again = opened[0].as_ref().unwrap().issuer("east", NOW).await.unwrap();
        assert_eq!(issuer.unwrap().certificate(), again.certificate());
    }
    assert_eq!(first.authority_list(None).await.unwrap().len(), 2);
    let other = Ca::open(first, "other.example", Duration::hours(24), NOW).await;
    assert!(matches!(other, Err(CaError::OtherTrust { .. })), "{other:?}");
}

#[tokio::test]
async fn a_certificate_says_what_we_say_whatever_was_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let ca = ca(&dir).await;
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let asked = Requested::read(&request(&key, &["control.heddle.internal"])).unwrap();
    let serial = serial().unwrap();
    let issued = ca.certify(&node("east"), "id-1", &serial, &asked, NOW).await.unwrap();
    let proven = Proven::read(&issued.chain[0], &issued.chain[1], TRUST).unwrap();
    assert_eq!(proven.node, node("east"));
    assert_eq!((proven.id.as_str(), &proven.serial), ("id-1", &serial));
    assert_eq!(proven.expires, NOW + Duration::hours(24));
    assert_eq!(proven.key, asked.key());
    let west = ca.issuer("west", NOW).await.unwrap();
    let other = Proven::read(&issued.chain[0], west.certificate(), TRUST);
    assert_eq!(other, Err(Unfit::Stranger));
    assert_eq!(Proven::claimed(&ca.roots().signs().certificate, TRUST), Err(Unfit::Nameless));
}

#[tokio::test]
async fn an_authority_of_another_cluster_vouches_for_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let ca = ca(&dir).await;
    let west = ca.issuer("west", NOW).await.unwrap();
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let (stolen, _) = west
        .leaf(Leaf {
            key: &key,
            serial: serial().unwrap(),
            common_name: "id-1".into(),
            names: authority::of_uri(node("east").uri(TRUST)).unwrap(),
            usages: vec![ExtendedKeyUsagePurpose::ClientAuth],
            now: NOW,
            lasts: Duration::hours(1),
        })
        .unwrap();
    let read = Proven::read(&stolen, west.certificate(), TRUST);
    assert_eq!(read, Err(Unfit::OtherCluster));
}

#[tokio::test]
async fn requests_that_prove_nothing_are_refused() {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let mut broken = request(&key, &[]);
    *broken.last_mut().unwrap() ^= 1;
    assert_eq!(Requested::read(&broken).unwrap_err(), Request::Malformed);
    assert_eq!(Requested::read(b"no request").unwrap_err(), Request::Malformed);
    let other = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    assert_eq!(Requested::read(&request(&other, &[])).unwrap_err(), Request::Algorithm);
}

#[tokio::test]
async fn an_intermediate_is_followed_before_it_ends_and_the_root_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let ca = ca(&dir).await;
    let first = ca.issuer("east", NOW).await.unwrap();
    assert_eq!(first.expires(), NOW + Duration::days(365));
    let same = ca.issuer("east", NOW + Duration::days(334)).await.unwrap();
    assert_eq!(first.certificate(), same.certificate());
    let later = NOW + Duration::days(336);
    let next = ca.issuer("east", later).await.unwrap();
    assert_ne!(first.certificate(), next.certificate());
    let again = Ca::open(store_of(&ca), TRUST, Duration::hours(24), later).await.unwrap();
    assert_eq!(again.roots(), ca.roots());
    assert_eq!(again.issuer("east", later).await.unwrap().certificate(), next.certificate());
}

/// Takes a step of a rotation, as an admin would, and looks at it.
async fn step(ca: &Ca, act: crate::rotation::Act) {
    let app = crate::App::new(store_of(ca));
    let op = crate::test::op();
    app.found(&op.actor.user, NOW).await.unwrap();
    app.authority_rotate(&op, act, None).await.unwrap();
    ca.look().await.unwrap();
}

#[tokio::test]
async fn each_root_counts_until_it_is_retired_and_none_beyond_its_clusters() {
    use crate::rotation::Act;
    let dir = tempfile::tempdir().unwrap();
    let ca = Arc::new(ca(&dir).await);
    let check =
        NodeCheck::new(Arc::clone(&ca), Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let asked = Requested::read(&request(&key, &[])).unwrap();
    let certify = async || {
        let serial = serial().unwrap();
        ca.certify(&node("east"), "id-1", &serial, &asked, NOW).await.unwrap().chain
    };
    let (old_root, old) = (ca.fingerprint(), certify().await);
    let old_west = ca.issuer("west", NOW).await.unwrap();
    assert_eq!(ca.server(NOW).await.unwrap().len(), 1);
    step(&ca, Act::Begin).await;
    assert_eq!((ca.fingerprint(), ca.roots().bundle().len()), (old_root.clone(), 2));
    step(&ca, Act::Force).await;
    let (new_root, new) = (ca.fingerprint(), certify().await);
    assert_ne!(old_root, new_root);
    // Both count, the server has a certificate under each, and the newer one of the cluster signs.
    assert_eq!(check.proven(&old).unwrap().root, old_root);
    assert_eq!(check.proven(&new).unwrap().root, new_root);
    let shown: Vec<_> = ca.server(NOW).await.unwrap().into_iter().map(|one| one.root).collect();
    assert_eq!(shown, [new_root.clone(), old_root.clone()]);
    // An authority of the old root mints nobody else's names, whichever root is beside it.
    let stolen = old_west.leaf(Leaf {
        key: &key,
        serial: serial().unwrap(),
        common_name: "id-1".into(),
        names: authority::of_uri(node("east").uri(TRUST)).unwrap(),
        usages: vec![ExtendedKeyUsagePurpose::ClientAuth],
        now: NOW,
        lasts: Duration::hours(1),
    });
    let stolen = [stolen.unwrap().0, old_west.certificate().clone(), new[1].clone()];
    assert_eq!(check.proven(&stolen[..2]), Err(Unfit::OtherCluster));
    assert!(check.proven(&stolen).is_err());
    // Nor does what another installation signs under a root of the same name.
    let other_dir = tempfile::tempdir().unwrap();
    let other = self::ca(&other_dir).await;
    let serial = serial().unwrap();
    let other = other.certify(&node("east"), "id-1", &serial, &asked, NOW).await.unwrap();
    assert_eq!(check.proven(&other.chain), Err(Unfit::Stranger));
    step(&ca, Act::Force).await;
    assert_eq!(check.proven(&old), Err(Unfit::Retired));
    assert_eq!(ca.prove(&old[0]).await.unwrap(), Err(Unfit::Retired));
    assert_eq!(check.proven(&new).unwrap().root, new_root);
    assert_eq!(ca.prove(&new[0]).await.unwrap().unwrap().root, new_root);
    assert_eq!(ca.server(NOW).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_server_that_has_not_looked_signs_nothing_under_a_root_that_is_leaving() {
    use crate::rotation::Act;
    let dir = tempfile::tempdir().unwrap();
    let (ca, other) = (ca(&dir).await, ca(&dir).await);
    step(&ca, Act::Begin).await;
    step(&ca, Act::Force).await;
    // It believes the old one to sign; for a cluster that is new to it, it learns better.
    assert_ne!(other.fingerprint(), ca.fingerprint());
    let made = other.issuer("north", NOW).await.unwrap();
    assert!(ca.roots().signs().has_signed(made.certificate()));
    assert_eq!(other.roots(), ca.roots());
}

#[tokio::test]
async fn a_rotation_that_is_given_up_goes_back_to_the_old_root() {
    use crate::rotation::Act;
    let dir = tempfile::tempdir().unwrap();
    let ca = ca(&dir).await;
    let (first, east) = (ca.fingerprint(), ca.issuer("east", NOW).await.unwrap());
    step(&ca, Act::Begin).await;
    step(&ca, Act::Abandon).await;
    assert_eq!((ca.fingerprint(), ca.roots().bundle().len()), (first.clone(), 1));
    step(&ca, Act::Begin).await;
    step(&ca, Act::Force).await;
    ca.issuer("east", NOW).await.unwrap();
    step(&ca, Act::Abandon).await;
    assert_eq!((ca.fingerprint(), ca.roots().bundle().len()), (first.clone(), 2));
    assert_eq!(ca.issuer("east", NOW).await.unwrap().certificate(), east.certificate());
    step(&ca, Act::Force).await;
    assert_eq!((ca.fingerprint(), ca.roots().bundle().len()), (first, 1));
}

fn store_of(ca: &Ca) -> Store {
    ca.store.clone()
}

/// It also tells how fast we sign; `HEDDLE_SOAK_COUNT` makes it more than a few.
#[tokio::test]
async fn every_certificate_has_a_serial_number_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let ca = ca(&dir).await;
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let csr = request(&key, &[]);
    let count = std::env::var("HEDDLE_SOAK_COUNT").map_or(50, |count| count.parse().unwrap());
    let (start, mut serials) = (std::time::Instant::now(), std::collections::BTreeSet::new());
    for _ in 0..count {
        let asked = Requested::read(&csr).unwrap();
        let serial = serial().unwrap();
        ca.certify(&node("east"), "id-1", &serial, &asked, NOW).await.unwrap();
        assert!(serials.insert(serial));
    }
    println!("{:.0} certificates/s", f64::from(count) / start.elapsed().as_secs_f64());
}
