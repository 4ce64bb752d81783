//! Who may answer, and what is shown to them.

use model::Key;
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType,
};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};
use table::Authority;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;

/// An authority of a test, and its certificate in PEM.
struct Root(Issuer<'static, KeyPair>, String);

impl Root {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Root(Issuer::new(params, key), pem)
    }

    /// A server that shows a certificate with these names on one connection, and speaks `alpn`.
    async fn server(&self, names: Vec<SanType>, alpn: &[&str]) -> TcpStream {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.subject_alt_names = names;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let chain = vec![params.signed_by(&key, &self.0).unwrap().der().clone()];
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder().with_no_client_auth();
        let mut config = config.with_single_cert(chain, key).unwrap();
        config.alpn_protocols = alpn.iter().map(|word| word.as_bytes().to_vec()).collect();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            if let Ok(mut stream) = TlsAcceptor::from(Arc::new(config)).accept(stream).await {
                let _until_it_ends = stream.read_u8().await;
            }
        });
        TcpStream::connect(address).await.unwrap()
    }
}

/// A certificate that a Gateway shows.
pub(crate) fn shown() -> Arc<Shown> {
    let key = KeyPair::generate().unwrap();
    let chain = CertificateParams::default().self_signed(&key).unwrap().pem();
    let secret = self::key(model::Kind::Secret, "own");
    let [chain_pem, key_pem] = [chain, key.serialize_pem()].map(model::secret::SecretBytes::new);
    Arc::new(Shown::new(&Arc::new(Certificate { secret, chain_pem, key_pem })).unwrap())
}

fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}

fn uri(name: &str) -> SanType {
    SanType::URI(name.try_into().unwrap())
}

fn key(kind: model::Kind, name: &str) -> Key {
    let [namespace, name] = ["shop", name].map(|word| model::Name::parse(word).unwrap());
    Key::new(kind, namespace, name)
}

/// TLS with `a.shop.test`, or with one of these instead.
fn wanted(authorities: Authorities, names: Value) -> BackendTls {
    BackendTls {
        policy: key(model::Kind::BackendTlsPolicy, "p"),
        server_name: model::Hostname::parse("a.shop.test").unwrap(),
        names: serde_json::from_value(names).unwrap(),
        authorities,
    }
}

fn signed_by(roots: &[&Root]) -> Authorities {
    let config_map = key(model::Kind::ConfigMap, "ca");
    let of = |root: &&Root| Authority { config_map: config_map.clone(), pem: root.1.clone() };
    Authorities::These(roots.iter().map(of).collect())
}

async fn proved(of: BackendTls, protocol: AppProtocol, stream: TcpStream) -> Result<(), String> {
    let backend = Backend::new(&Arc::new(of), protocol).unwrap();
    backend.handshake(stream, None).await.map(drop).map_err(|error| error.to_string())
}

#[tokio::test]
async fn whoever_answers_has_the_name_that_is_asked_for_and_an_authority_that_is_named() {
    let [good, other] = [Root::new(), Root::new()];
    let http = AppProtocol::Http1;
    let all = || signed_by(&[&other, &good]);
    for (root, name, authorities, may) in [
        (&good, "a.shop.test", all(), true),
        (&good, "*.shop.test", all(), true),
        (&good, "b.shop.test", all(), false),
        (&good, "a.shop.test", signed_by(&[&other]), false),
        (&good, "a.shop.test", Authorities::System, false),
        (&other, "a.shop.test", signed_by(&[&good]), false),
    ] {
        let server = root.server(vec![dns(name)], &["http/1.1"]).await;
        let asked = proved(wanted(authorities.clone(), json!([])), http, server).await;
        assert_eq!(asked.is_ok(), may, "{name} {authorities:?}: {asked:?}");
    }
}

#[tokio::test]
async fn other_names_count_in_the_place_of_the_server_name() {
    let root = Root::new();
    let names = json!([
        { "type": "Hostname", "hostname": "c.test" },
        { "type": "URI", "uri": "spiffe://shop/orders" },
    ]);
    for (shown, may) in [
        (vec![uri("spiffe://shop/orders")], true),
        (vec![dns("x.test"), uri("spiffe://shop/x"), uri("spiffe://shop/orders")], true),
        (vec![dns("c.test")], true),
        (vec![dns("a.shop.test")], false),
        (vec![uri("spiffe://shop/order")], false),
        (vec![uri("spiffe://shop/orders/x")], false),
        (vec![dns("shop")], false),
        (vec![], false),
    ] {
        let server = root.server(shown.clone(), &[]).await;
        let of = wanted(signed_by(&[&root]), names.clone());
        let asked = proved(of, AppProtocol::Http1, server).await;
        assert_eq!(asked.is_ok(), may, "{shown:?}: {asked:?}");
        if let Err(why) = asked {
            assert!(why.contains("is not for c.test or spiffe://shop/orders"), "{why}");
        }
    }
}

#[tokio::test]
async fn a_server_that_speaks_something_else_is_not_spoken_to() {
    let root = Root::new();
    for (protocol, alpn, may) in [
        (AppProtocol::Http1, &["http/1.1", "h2"][..], true),
        (AppProtocol::Http1, &["h2"], false),
        (AppProtocol::Http1, &[], true),
        (AppProtocol::H2c, &["http/1.1", "h2"], true),
        (AppProtocol::H2c, &["http/1.1"], false),
        (AppProtocol::H2c, &[], true),
        (AppProtocol::Tcp, &["db"], true),
    ] {
        let server = root.server(vec![dns("a.shop.test")], alpn).await;
        let of = wanted(signed_by(&[&root]), json!([]));
        let asked = proved(of, protocol, server).await;
        assert_eq!(asked.is_ok(), may, "{protocol:?} {alpn:?}: {asked:?}");
    }
}

#[test]
fn authorities_that_cannot_be_read_are_no_way_to_speak() {
    let config_map = key(model::Kind::ConfigMap, "ca");
    let odd = Authorities::These(vec![Authority { config_map, pem: "nothing".to_owned() }]);
    let error = Backend::new(&Arc::new(wanted(odd, json!([]))), AppProtocol::Http1).unwrap_err();
    assert_eq!(error.to_string(), "ConfigMap shop/ca cannot be used");
}
