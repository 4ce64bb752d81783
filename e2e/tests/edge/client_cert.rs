//! Certificates of callers: who is let in, what backends are told, and what an edit makes of connections and
//! sessions that began before it.

use std::net::SocketAddr;
use std::sync::Arc;

use e2e::client::{nothing, request};
use e2e::program::free_port;
use e2e::trust::{Authority, Papers};
use e2e::{Connection, Gateway, Origin, Reply, Setup, wait, yaml};
use futures::{SinkExt as _, StreamExt as _};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, HandshakeKind};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use crate::scene::{HOST, answered, refused};

const TOLD: &str = "x-forwarded-client-cert";
const TILL: &str = "spiffe://partner.test/till";
/// Asks for a certificate of the partner's.
const NEEDED: &str = "{ caCertificateRefs: [{ group: '', kind: ConfigMap, name: partner }] }";
const WANTED: &str = "{ caCertificateRefs: [{ group: '', kind: ConfigMap, name: partner }], \
                      mode: AllowInsecureFallback }";

/// A gateway whose listener with TLS asks callers for certificates.
struct Scene {
    origin: Origin,
    /// Who signed the gateway's certificate.
    own: Authority,
    partner: Authority,
    setup: Setup,
    gateway: Gateway,
    address: SocketAddr,
}

impl Scene {
    async fn start(validation: Option<&str>) -> Self {
        let (own, partner) = (Authority::new(), Authority::new());
        let (origin, port) = (Origin::start("shop").await, free_port());
        let setup = Setup::bare()
            .listener("tls", port, yaml::https("tls", port, HOST, "cert"))
            .asking(validation)
            .with(yaml::tls_secret("cert", &own.sign(HOST)))
            .with(yaml::service("shop", &[origin.address]))
            .with(yaml::path_route("all", "/", "shop"))
            .file("bundle.yaml", yaml::bundle("partner", &partner));
        let gateway = setup.clone().start().await;
        let address = gateway.listener("tls");
        Scene { origin, own, partner, setup, gateway, address }
    }

    /// Puts what is asked in the place of what was, and waits until it holds.
    async fn ask(&self, validation: Option<&str>) {
        self.edit("gateway.yaml", &self.setup.clone().asking(validation).text()).await;
    }

    /// Replaces a file, and waits until it holds.
    async fn edit(&self, name: &str, text: &str) {
        let before = self.table().await;
        self.gateway.write(name, text);
        wait::until("another table", || async { (self.table().await != before).then_some(()) })
            .await;
    }

    async fn config(&self) -> Value {
        self.gateway.admin("/config").await.expect("it answers").json()
    }

    async fn table(&self) -> String {
        self.config().await["inForce"]["table"].as_str().expect("a digest").to_owned()
    }

    fn client(&self, papers: Option<Papers>, alpn: &str) -> Arc<ClientConfig> {
        let mut client = self.own.client_showing(papers);
        client.alpn_protocols = vec![alpn.as_bytes().to_vec()];
        Arc::new(client)
    }

    fn till(&self) -> Option<Papers> {
        Some(self.partner.sign_uri(TILL))
    }

    async fn connect(&self, client: &Arc<ClientConfig>) -> Result<Connection, e2e::client::Fault> {
        Connection::tls_as(self.address, HOST, Arc::clone(client)).await
    }

    /// What a caller gets on a new connection; nothing where that fails.
    async fn get(&self, client: &Arc<ClientConfig>) -> Option<Reply> {
        let mut connection = self.connect(client).await.ok()?;
        let asked = request("GET", HOST, "/").header(TOLD, "Hash=forged;URI=spiffe://root");
        connection.send(asked.body(nothing()).ok()?).await.ok()
    }

    /// A connection on which one request was answered, so that the tickets for sessions came.
    async fn stream(&self, client: &Arc<ClientConfig>) -> std::io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(self.address).await?;
        let name = HOST.try_into().expect("a host is a name");
        let mut stream = TlsConnector::from(Arc::clone(client)).connect(name, stream).await?;
        stream.write_all(format!("GET / HTTP/1.1\r\nhost: {HOST}\r\n\r\n").as_bytes()).await?;
        let mut said = [0; 12];
        stream.read_exact(&mut said).await?;
        assert_eq!(&said, b"HTTP/1.1 200");
        Ok(stream)
    }
}

/// SHA-256 of a certificate as it is told.
fn fingerprint((chain, _): &Papers) -> String {
    let digest = Sha256::digest(&chain[0]);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn only_who_shows_a_certificate_of_an_authority_is_let_in() {
    let scene = Scene::start(Some(NEEDED)).await;
    for alpn in ["h2", "http/1.1"] {
        for stranger in [None, Some(Authority::new().sign_uri(TILL))] {
            let reply = scene.get(&scene.client(stranger, alpn)).await;
            assert!(reply.is_none(), "{reply:?}");
        }
        assert_eq!(scene.origin.count(), 0);
    }
    for alpn in ["h2", "http/1.1"] {
        let papers = scene.partner.sign_uri(TILL);
        let hash = fingerprint(&papers);
        let reply = scene.get(&scene.client(Some(papers), alpn)).await.unwrap();
        let line = answered(&scene.gateway, &reply, "shop").await;
        assert_eq!(line["client_certificate"], hash.as_str());
        let told = format!("Hash={hash};Subject=\"CN=rcgen self signed cert\";URI={TILL}");
        assert_eq!(scene.origin.last().all(TOLD), [told]);
    }
}

#[tokio::test]
async fn with_the_fallback_everybody_is_let_in_and_only_what_was_proved_is_told() {
    let scene = Scene::start(Some(WANTED)).await;
    for (papers, is_told) in [
        (None, false),
        (Some(Authority::new().sign_uri(TILL)), false),
        (Some(scene.partner.sign_uri(TILL)), true),
    ] {
        let hash = papers.as_ref().map(fingerprint);
        let reply = scene.get(&scene.client(papers, "h2")).await.unwrap();
        let line = answered(&scene.gateway, &reply, "shop").await;
        let told = scene.origin.last().all(TOLD);
        assert_eq!(told.len(), usize::from(is_told), "{told:?}");
        if is_told {
            assert!(told[0].starts_with(&format!("Hash={};", hash.unwrap())), "{told:?}");
        }
        assert_eq!(line["client_certificate"].is_string(), is_told, "{line}");
    }
}

#[tokio::test]
async fn a_consumer_is_known_by_a_certificate_that_an_authority_of_the_listener_signed() {
    const FILE: &str = "consumers.yaml";
    let scene = Scene::start(Some(WANTED)).await;
    let authn = yaml::authn(
        "tills",
        "
        targetRefs: [{ kind: HTTPRoute, name: all }]
        methods:
          - name: tills
            clientCertificate: { consumers: {} }
            toHeaders: [{ header: x-till }]
        require: Any",
    );
    let known = |certificate: &str| {
        let spec = format!("spec: {{ certificates: [{{ name: one, {certificate} }}] }}");
        yaml::join(&[
            authn.clone(),
            yaml::document("heddle.dev/v1alpha1", "Consumer", "acme", &spec),
        ])
    };
    let (till, other) = (scene.partner.sign_uri(TILL), scene.partner.sign_uri("spiffe://else"));
    let forged = Authority::new().sign_uri(TILL);
    let pinned = fingerprint(&other);
    let callers = [None, Some(forged), Some(till), Some(other)];
    let callers = callers.map(|papers| scene.client(papers, "h2"));
    for (certificate, wanted) in [
        (format!("uri: '{TILL}'"), [false, false, true, false]),
        (format!("sha256: {pinned}"), [false, false, false, true]),
        // Somebody's, and ended: that is a wrong one.
        (format!("sha256: {pinned}, until: '2020-01-01T00:00:00Z'"), [false; 4]),
    ] {
        let is_over = certificate.contains("until");
        scene.edit(FILE, &known(&certificate)).await;
        for (place, (caller, is_known)) in callers.iter().zip(wanted).enumerate() {
            let reply = scene.get(caller).await.unwrap();
            if is_known {
                let line = answered(&scene.gateway, &reply, "shop").await;
                assert_eq!(line["principal"], "consumer:shop/acme", "{line}");
                assert_eq!(scene.origin.last().header("x-till"), "acme");
            } else {
                let is_wrong = is_over && place == 3;
                let reason = if is_wrong { "credential_invalid" } else { "credential_missing" };
                refused(&scene.gateway, &reply, 401, reason).await;
            }
        }
    }
}

#[tokio::test]
async fn where_it_is_optional_who_shows_none_is_let_in_and_a_bad_one_is_not() {
    let scene = Scene::start(Some(NEEDED)).await;
    let text = scene.setup.text().replace(
        "certificateRefs: [{ name: cert }]",
        "certificateRefs: [{ name: cert }], options: { heddle.dev/client-certificate: optional }",
    );
    // Who came before, and had to show one, is asked anew.
    let client = scene.client(scene.till(), "h2");
    let mut early = scene.connect(&client).await.unwrap();
    scene.edit("gateway.yaml", &text).await;
    let asked = || request("GET", HOST, "/").body(nothing()).unwrap();
    assert_eq!(early.send(asked()).await.unwrap().status, 421);
    for alpn in ["h2", "http/1.1"] {
        for (papers, is_let_in, is_told) in [
            (None, true, false),
            (Some(Authority::new().sign_uri(TILL)), false, false),
            (scene.till(), true, true),
        ] {
            let reply = scene.get(&scene.client(papers, alpn)).await;
            assert_eq!(reply.is_some(), is_let_in, "{alpn}: {reply:?}");
            if let Some(reply) = reply {
                let line = answered(&scene.gateway, &reply, "shop").await;
                assert_eq!(line["client_certificate"].is_string(), is_told, "{line}");
                assert_eq!(scene.origin.last().all(TOLD).len(), usize::from(is_told));
            }
        }
    }
    let listener = &scene.config().await["inForce"]["listeners"][0];
    assert_eq!(listener["clientValidation"]["optional"], true, "{listener}");
}

#[tokio::test]
async fn where_nobody_is_asked_nobody_is_told_of_a_certificate() {
    let scene = Scene::start(None).await;
    let reply = scene.get(&scene.client(scene.till(), "h2")).await.unwrap();
    answered(&scene.gateway, &reply, "shop").await;
    assert_eq!(scene.origin.last().all(TOLD), [""; 0]);
}

#[tokio::test]
async fn who_is_asked_proves_it_in_each_handshake() {
    for (validation, resumes) in [(Some(NEEDED), false), (Some(WANTED), false), (None, true)] {
        let scene = Scene::start(validation).await;
        for version in [&TLS13, &TLS12] {
            let client = Arc::new(scene.own.client_speaking(&[version], scene.till()));
            for is_first in [true, false] {
                let stream = scene.stream(&client).await.unwrap();
                let kind = stream.get_ref().1.handshake_kind().unwrap();
                let resumed = kind == HandshakeKind::Resumed;
                assert_eq!(resumed, resumes && !is_first, "{version:?} {validation:?}");
                assert_eq!(scene.origin.last().all(TOLD).len(), usize::from(validation.is_some()));
            }
        }
    }
}

#[tokio::test]
async fn what_began_before_anything_was_asked_goes_on_nowhere() {
    let scene = Scene::start(None).await;
    let client = scene.client(None, "http/1.1");
    let h2 = scene.client(None, "h2");
    let (mut old, mut old_h2) =
        (scene.connect(&client).await.unwrap(), scene.connect(&h2).await.unwrap());
    scene.stream(&client).await.unwrap();
    let resumed = scene.stream(&client).await.unwrap();
    assert_eq!(resumed.get_ref().1.handshake_kind(), Some(HandshakeKind::Resumed));
    scene.ask(Some(NEEDED)).await;
    let before = scene.origin.count();
    // Neither an open connection, nor a session by its ticket.
    for connection in [&mut old, &mut old_h2] {
        let asked = request("GET", HOST, "/").body(nothing()).unwrap();
        let reply = connection.send(asked).await.unwrap();
        assert_eq!(reply.status, 421, "{reply:?}");
        assert_eq!(scene.gateway.logged(&reply).await["reason"], "misdirected");
        let again = request("GET", HOST, "/").body(nothing()).unwrap();
        connection.send(again).await.unwrap_err();
    }
    scene.stream(&client).await.unwrap_err();
    assert_eq!(scene.origin.count(), before);
    assert_eq!(scene.get(&scene.client(scene.till(), "h2")).await.unwrap().status, 200);
}

#[tokio::test]
async fn a_tunnel_from_before_anything_was_asked_is_cut() {
    let scene = Scene::start(None).await;
    let connector = TlsConnector::from(scene.client(None, "http/1.1"));
    let stream = TcpStream::connect(scene.address).await.unwrap();
    let stream = connector.connect(HOST.try_into().unwrap(), stream).await.unwrap();
    let asked = format!("wss://{HOST}/ws").into_client_request().unwrap();
    let opened = tokio_tungstenite::client_async(asked, stream);
    let (mut socket, _) = Box::pin(wait::within("the handshake", opened)).await.unwrap();
    socket.send(Message::text("before")).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("before"));
    scene.ask(Some(NEEDED)).await;
    let next = wait::within("the end of the tunnel", socket.next()).await;
    assert!(!matches!(next, Some(Ok(_))), "{next:?}");
}

#[tokio::test]
async fn with_another_authority_what_the_old_one_signed_proves_nothing_any_more() {
    let scene = Scene::start(Some(NEEDED)).await;
    let client = scene.client(scene.till(), "http/1.1");
    let mut old = scene.connect(&client).await.unwrap();
    scene.stream(&client).await.unwrap();
    let other = Authority::new();
    scene.edit("bundle.yaml", &yaml::bundle("partner", &other)).await;
    let reply = old.send(request("GET", HOST, "/").body(nothing()).unwrap()).await.unwrap();
    assert_eq!(reply.status, 421);
    scene.stream(&client).await.unwrap_err();
    let client = scene.client(Some(other.sign_uri(TILL)), "http/1.1");
    scene.stream(&client).await.unwrap();
}

#[tokio::test]
async fn of_two_gateways_on_a_port_each_asks_its_own_callers() {
    let scene = Scene::start(Some(NEEDED)).await;
    let open = scene.own.sign("open.test");
    let port = scene.address.port();
    let other = yaml::gateway(&[yaml::https("open", port, "open.test", "open")])
        .replace("name: edge", "name: open");
    let route = yaml::path_route("open", "/", "shop").replace("name: edge", "name: open");
    scene.edit("open.yaml", &yaml::join(&[other, route, yaml::tls_secret("open", &open)])).await;
    let nobody = scene.client(None, "h2");
    assert!(scene.get(&nobody).await.is_none());
    let connected = Connection::tls_as(scene.address, "open.test", Arc::clone(&nobody)).await;
    let mut connection = connected.unwrap();
    let told = "Hash=forged;URI=spiffe://root";
    let asked = request("GET", "open.test", "/").header(TOLD, told).body(nothing()).unwrap();
    answered(&scene.gateway, &connection.send(asked).await.unwrap(), "shop").await;
    assert_eq!(scene.origin.last().all(TOLD), [""; 0]);
    // Nor does it lead to the host of the other.
    let asked = request("GET", HOST, "/").body(nothing()).unwrap();
    assert_eq!(connection.send(asked).await.unwrap().status, 421);
    assert_eq!(scene.get(&scene.client(scene.till(), "h2")).await.unwrap().status, 200);
}

#[tokio::test]
async fn an_edit_of_anything_else_breaks_no_connection() {
    let scene = Scene::start(Some(NEEDED)).await;
    let client = scene.client(scene.till(), "http/1.1");
    let mut old = scene.connect(&client).await.unwrap();
    scene.edit("more.yaml", &yaml::path_route("more", "/more", "shop")).await;
    let reply = old.send(request("GET", HOST, "/more").body(nothing()).unwrap()).await.unwrap();
    answered(&scene.gateway, &reply, "shop").await;
}

#[tokio::test]
async fn an_authority_that_goes_closes_the_listener_and_no_other() {
    let scene = Scene::start(Some(NEEDED)).await;
    let client = scene.client(scene.till(), "h2");
    assert_eq!(scene.get(&client).await.unwrap().status, 200);
    scene
        .gateway
        .write("bundle.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: other }\n");
    wait::until("the listener to close", || async {
        Box::pin(scene.get(&client)).await.is_none().then_some(())
    })
    .await;
    let config = scene.config().await;
    let refused = config["inForce"]["listeners"][0]["refused"].as_str().unwrap().to_owned();
    assert_eq!(refused, "no certificate of an authority that it names can be used");
}

#[tokio::test]
async fn the_oldest_version_is_the_listeners() {
    let scene = Scene::start(None).await;
    let old = Arc::new(scene.own.client_speaking(&[&TLS12], None));
    scene.stream(&old).await.unwrap();
    let option = "tls: { options: { heddle.dev/tls-min-version: '1.3' },";
    scene.edit("gateway.yaml", &scene.setup.text().replace("tls: {", option)).await;
    scene.stream(&old).await.unwrap_err();
    let new = Arc::new(scene.own.client_speaking(&[&TLS13], None));
    scene.stream(&new).await.unwrap();
}

#[tokio::test]
async fn bytes_of_whom_nothing_was_asked_are_cut_and_a_port_may_ask_for_itself() {
    let (own, partner) = (Authority::new(), Authority::new());
    let (origin, [bytes, open]) = (Origin::start("shop").await, [free_port(), free_port()]);
    let route = yaml::document(
        "gateway.networking.k8s.io/v1",
        "TCPRoute",
        "bytes",
        "spec:\n  parentRefs: [{ name: edge, sectionName: bytes }]\n  \
         rules: [{ backendRefs: [{ name: bytes, port: 80 }] }]",
    );
    let ends = |name: &str, port: u16| {
        yaml::https(name, port, HOST, "cert").replace("protocol: HTTPS", "protocol: TLS")
    };
    let setup = Setup::bare()
        .listener("bytes", bytes, ends("bytes", bytes))
        .listener("open", open, yaml::https("open", open, HOST, "cert"))
        .with(yaml::tls_secret("cert", &own.sign(HOST)))
        .with(yaml::service("shop", &[origin.address]))
        .with(yaml::service_speaking("bytes", "tcp", &[origin.address]))
        .with(yaml::path_route("all", "/", "shop"))
        .with(route)
        .with(yaml::bundle("partner", &partner));
    let gateway = setup.clone().start().await;
    let client = |papers| Arc::new(own.client_showing(papers));
    let ask =
        async |port: &str, client: Arc<ClientConfig>| -> std::io::Result<TlsStream<TcpStream>> {
            let stream = TcpStream::connect(gateway.listener(port)).await?;
            let mut stream =
                TlsConnector::from(client).connect(HOST.try_into().unwrap(), stream).await?;
            stream.write_all(format!("GET / HTTP/1.1\r\nhost: {HOST}\r\n\r\n").as_bytes()).await?;
            stream.read_u8().await?;
            Ok(stream)
        };
    let mut old = ask("bytes", client(None)).await.unwrap();
    let asking = setup.asking(Some(NEEDED)).text();
    let per_port = format!("perPort: [{{ port: {open}, tls: {{}} }}], default:");
    gateway.write("gateway.yaml", &asking.replace("default:", &per_port));
    let mut rest = Vec::new();
    let _reset = wait::within("the old one to be cut", old.read_to_end(&mut rest)).await;
    ask("bytes", client(None)).await.unwrap_err();
    ask("bytes", client(Some(partner.sign_uri(TILL)))).await.unwrap();
    ask("open", client(None)).await.unwrap();
}

#[tokio::test]
async fn two_gateways_on_a_port_may_ask_the_same() {
    let scene = Scene::start(Some(NEEDED)).await;
    let listener = yaml::https("more", scene.address.port(), "more.test", "more");
    let other =
        yaml::proving_gateway(&[listener], Some(NEEDED), None).replace("name: edge", "name: more");
    let route = yaml::path_route("more", "/", "shop").replace("name: edge", "name: more");
    let secret = yaml::tls_secret("more", &scene.own.sign("more.test"));
    scene.edit("more.yaml", &yaml::join(&[other, route, secret])).await;
    let client = scene.client(scene.till(), "h2");
    for host in [HOST, "more.test"] {
        let connected = Connection::tls_as(scene.address, host, Arc::clone(&client)).await;
        let asked = request("GET", host, "/").body(nothing()).unwrap();
        let reply = connected.unwrap().send(asked).await.unwrap();
        answered(&scene.gateway, &reply, "shop").await;
    }
}
