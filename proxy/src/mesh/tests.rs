//! Whom a certificate proves, and who is let through.

use std::net::SocketAddr;
use std::time::Duration;

use futures::FutureExt as _;
use model::Name;
use rustls::crypto::aws_lc_rs::default_provider;

use super::check::Nobody;
use super::*;
use crate::identity::tests::authority::{Authority, Installation, TRUST, life};

const HOUR: Duration = Duration::from_secs(3600);

fn peer(cluster: &str, account: &str) -> Peer {
    let name = |word| Name::parse(word).unwrap();
    let (cluster, service_account) = (name(cluster), name(account));
    Peer::Workload { cluster, namespace: name("shop"), service_account }
}

fn chain(by: &Authority, uri: &str, key: &NodeKey) -> Vec<CertificateDer<'static>> {
    let leaf = by.workload(uri, key, life(HOUR));
    vec![CertificateDer::from(leaf), CertificateDer::from(by.der.clone())]
}

fn check(installation: &Installation) -> PeerCheck {
    let provider = Arc::new(default_provider());
    PeerCheck::new(std::slice::from_ref(&installation.root.der), TRUST, provider, Arc::default())
        .unwrap()
}

#[test]
fn an_authority_vouches_for_its_own_cluster_alone() {
    let (installation, key) = (Installation::new(), NodeKey::make().unwrap());
    let check = check(&installation);
    let proven = |chain: &[_]| check.proven(chain).map(|proven| proven.peer);
    let orders = peer("east", "orders");
    let own = chain(&installation.east, &orders.uri(TRUST), &key);
    assert_eq!(proven(&own), Ok(orders.clone()));
    // The authority of the other cluster signs the same name.
    let stolen = chain(&installation.west, &orders.uri(TRUST), &key);
    assert_eq!(proven(&stolen), Err(Nobody::NotVouched));
    // It also makes itself an authority of that cluster.
    let mut forged = stolen;
    let domain = format!("east.{TRUST}");
    let own = format!("west.{TRUST}");
    forged.push(CertificateDer::from(installation.west.forged(&own, &domain)));
    assert_eq!(proven(&forged), Err(Nobody::NotVouched));
    // Another installation.
    let other = Installation::new();
    let stranger = chain(&other.east, &orders.uri(TRUST), &key);
    assert_eq!(proven(&stranger), Err(Nobody::NotVouched));
}

#[test]
fn each_of_two_roots_counts_for_its_own_clusters_until_it_is_retired() {
    let (old, new, thief) = (Installation::new(), Installation::new(), Installation::new());
    let key = NodeKey::make().unwrap();
    let checks = |all: &[&Installation]| {
        let roots: Vec<_> = all.iter().map(|one| one.root.der.clone()).collect();
        PeerCheck::new(&roots, TRUST, Arc::new(default_provider()), Arc::default()).unwrap()
    };
    let (both, after) = (checks(&[&new, &old]), checks(&[&new]));
    let orders = peer("east", "orders");
    let by = |authority: &Authority| chain(authority, &orders.uri(TRUST), &key);
    let proven = |check: &PeerCheck, chain: &[_]| check.proven(chain).map(|proven| proven.peer);
    for one in [&old, &new] {
        assert_eq!(proven(&both, &by(&one.east)), Ok(orders.clone()));
        // The authority of the other cluster, alone, beside the right one of the other root, and as
        // what it makes of itself.
        let mut stolen = by(&one.west);
        assert_eq!(proven(&both, &stolen), Err(Nobody::NotVouched));
        stolen.push(CertificateDer::from(old.east.der.clone()));
        stolen.push(CertificateDer::from(new.east.der.clone()));
        let (own, domain) = (format!("west.{TRUST}"), format!("east.{TRUST}"));
        stolen.push(CertificateDer::from(one.west.forged(&own, &domain)));
        assert_eq!(proven(&both, &stolen), Err(Nobody::NotVouched));
    }
    assert_eq!(proven(&both, &by(&thief.east)), Err(Nobody::NotVouched));
    assert_eq!(proven(&after, &by(&new.east)), Ok(orders.clone()));
    assert_eq!(proven(&after, &by(&old.east)), Err(Nobody::NotVouched));
}

#[test]
fn a_chain_is_disowned_when_its_root_is_retired_and_not_before() {
    let (old, new) = (Installation::new(), Installation::new());
    let (orders, key) = (peer("east", "orders"), NodeKey::make().unwrap());
    let theirs = chain(&old.east, &orders.uri(TRUST), &key);
    let own = new.east.workload(&orders.uri(TRUST), &key, life(HOUR));
    let own = [own, new.east.der.clone()];
    let membership = Membership::default();
    let show = |all: &[&Installation]| {
        let roots: Vec<_> = all.iter().map(|one| one.root.der.clone()).collect();
        let papers = Papers { peer: &orders, trust: TRUST, chain: &own, roots: &roots };
        membership.show(&papers, &key).unwrap();
        membership.now().unwrap().number
    };
    let number = show(&[&old, &new]);
    let disowned = membership.disowns(&theirs, number);
    let mut disowned = std::pin::pin!(disowned);
    assert!(disowned.as_mut().now_or_never().is_none());
    show(&[&new, &old]);
    assert!(disowned.as_mut().now_or_never().is_none());
    show(&[&new]);
    assert!(disowned.as_mut().now_or_never().is_some());
}

#[test]
fn a_name_that_is_none_of_the_mesh_proves_nobody() {
    let (installation, key) = (Installation::new(), NodeKey::make().unwrap());
    let check = check(&installation);
    let proven = |chain: &[_]| check.proven(chain).map(|proven| proven.peer);
    for uri in [
        format!("spiffe://east.{TRUST}/node/mesh/shop.orders-1"),
        format!("spiffe://hub.{TRUST}/control"),
        format!("spiffe://east.{TRUST}"),
        "spiffe://east.heddle.example/ns/shop/sa/orders".to_owned(),
    ] {
        let chain = chain(&installation.east, &uri, &key);
        assert_eq!(proven(&chain), Err(Nobody::Nameless), "{uri}");
    }
    assert_eq!(proven(&[]), Err(Nobody::Odd));
}

#[test]
fn a_certificate_of_somebody_else_or_another_key_is_none_to_speak_by() {
    let (installation, key) = (Installation::new(), NodeKey::make().unwrap());
    let (orders, roots) = (peer("east", "orders"), [installation.root.der.clone()]);
    let leaf = installation.east.workload(&orders.uri(TRUST), &key, life(HOUR));
    let chain = [leaf, installation.east.der.clone()];
    let membership = Membership::default();
    let papers = Papers { peer: &orders, trust: TRUST, chain: &chain, roots: &roots };
    let other = NodeKey::make().unwrap();
    assert_eq!(membership.show(&papers, &other), Err(Unfit::Other(orders.clone())));
    let catalog = peer("east", "catalog");
    let wrong = Papers { peer: &catalog, ..papers };
    assert_eq!(membership.show(&wrong, &key), Err(Unfit::Other(catalog.clone())));
    assert!(membership.now().is_none());
    assert_eq!(membership.show(&papers, &key), Ok(()));
    assert_eq!(membership.now().map(|now| now.peer.clone()), Some(orders));
    membership.clear();
    assert!(membership.now().is_none());
}

/// As whom a server of one membership knows the client of another; what the client made of it.
async fn meet(client: &Membership, server: &Membership) -> (Option<Peer>, bool) {
    let (near, far) = tokio::io::duplex(64 << 10);
    let (client, server) = (client.now().unwrap(), server.now().unwrap());
    let accepting = tokio_rustls::TlsAcceptor::from(Arc::clone(&server.server)).accept(far);
    let connector = tokio_rustls::TlsConnector::from(Arc::clone(&client.client));
    let name = rustls::pki_types::ServerName::try_from("mesh.heddle.internal").unwrap();
    let (accepted, connected) = tokio::join!(accepting, connector.connect(name, near));
    let known = accepted.ok().and_then(|stream| {
        let chain = stream.get_ref().1.peer_certificates()?;
        Some(server.check.proven(chain).ok()?.peer)
    });
    (known, connected.is_ok())
}

/// Who speaks as `peer`, by a certificate of `by`.
pub(crate) fn member(
    installation: &Installation,
    by: &Authority,
    peer: &Peer,
    life: [SystemTime; 2],
) -> Membership {
    let (key, roots) = (NodeKey::make().unwrap(), [installation.root.der.clone()]);
    let leaf = by.workload(&peer.uri(TRUST), &key, life);
    let chain = [leaf, by.der.clone()];
    let membership = Membership::default();
    membership.show(&Papers { peer, trust: TRUST, chain: &chain, roots: &roots }, &key).unwrap();
    membership
}

#[tokio::test]
async fn two_proxies_know_each_other_and_no_impostor() {
    let installation = Installation::new();
    let (orders, front) = (peer("east", "orders"), peer("west", "storefront"));
    let server = member(&installation, &installation.east, &orders, life(HOUR));
    let client = member(&installation, &installation.west, &front, life(HOUR));
    assert_eq!(meet(&client, &server).await, (Some(front.clone()), true));
    // A name of west that east signed.
    let impostor = member(&installation, &installation.east, &front, life(HOUR));
    assert_eq!(meet(&impostor, &server).await.0, None);
    assert!(!meet(&client, &impostor).await.1);
    // One that has ended.
    let [began, now] = life(Duration::ZERO);
    let over = [began, now - Duration::from_secs(2)];
    let ended = member(&installation, &installation.west, &front, over);
    assert_eq!(meet(&ended, &server).await.0, None);
}

#[tokio::test]
async fn two_proxies_agree_on_keys_that_a_quantum_computer_would_not_find() {
    let installation = Installation::new();
    let of =
        |account| member(&installation, &installation.east, &peer("east", account), life(HOUR));
    let (client, server) = (of("storefront").now().unwrap(), of("orders").now().unwrap());
    let (near, far) = tokio::io::duplex(64 << 10);
    let accepting = tokio_rustls::TlsAcceptor::from(Arc::clone(&server.server)).accept(far);
    let connector = tokio_rustls::TlsConnector::from(Arc::clone(&client.client));
    let name = rustls::pki_types::ServerName::try_from("mesh.heddle.internal").unwrap();
    let (accepted, connected) = tokio::join!(accepting, connector.connect(name, near));
    let (accepted, connected) = (accepted.unwrap(), connected.unwrap());
    let (theirs, ours) = (accepted.get_ref().1, connected.get_ref().1);
    assert_eq!(ours.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
    for group in [ours.negotiated_key_exchange_group(), theirs.negotiated_key_exchange_group()] {
        assert_eq!(group.map(|group| group.name()), Some(rustls::NamedGroup::X25519MLKEM768));
    }
}

#[tokio::test]
async fn without_a_certificate_nothing_is_opened() {
    let address: SocketAddr = "127.0.0.1:9".parse().unwrap();
    let through = Arc::new(table::Through { address, peer: peer("east", "orders") });
    let way = Way::new(through, &Arc::default(), 1);
    let limits = crate::Limits::default();
    let tunnel = way.tunnel(address, 0, (&limits, limits.connect), http::HeaderMap::new());
    let refused = tunnel.await.unwrap_err();
    assert!(refused.to_string().contains("no certificate yet"), "{refused}");
}
