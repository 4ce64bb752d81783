//! Sessions at several gateways that joined one server, which share no file: each replica of a Gateway goes on
//! with what another began, and no other Gateway does.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};

use e2e::client::{nothing, request};
use e2e::program::{ended, free_port};
use e2e::trust::Authority;
use e2e::{Connection, Fleet, Joined, Origin, fleet, people, wait};
use serde_json::json;

const HOST: &str = "shop.test";

/// Two replicas, each at an address of its own, of a Gateway and of another one.
struct Pair {
    fleet: Fleet,
    _origins: Vec<Origin>,
    authority: Authority,
    gateways: Vec<Joined>,
    /// The port of the Gateway `edge`, and of the Gateway `other`.
    ports: [u16; 2],
}

impl Pair {
    async fn start() -> Self {
        let (fleet, authority) = (Fleet::start(fleet::Plan::default()).await, Authority::new());
        let mut origins = Vec::new();
        for number in 0..4 {
            origins.push(Origin::start(&format!("shop-{number}")).await);
        }
        let ports = [free_port(), free_port()];
        let certificate = authority.sign(HOST);
        let secret = json!({ "tls.crt": certificate.chain, "tls.key": certificate.key });
        let text = format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{ name: cert, namespace: platform }}\n\
             type: kubernetes.io/tls\nstringData: {secret}\n---\n{}{}{}",
            gateway("edge", ports[0]),
            gateway("other", ports[1]),
            shop(&origins)
        );
        let revision = fleet.change(&text).await;
        let mut gateways = Vec::new();
        for number in 0..2 {
            let at = address(number, 0).ip().to_string();
            gateways.push(fleet.join_with(&format!("edge-{number}"), &["--bind", &at]).await);
        }
        fleet.until_everywhere(revision).await;
        let pair = Pair { fleet, _origins: origins, authority, gateways, ports };
        // They may be told of secrets after the state.
        for (number, gateway) in pair.gateways.iter().enumerate() {
            let file = pair.fleet.path(&format!("state-local-edge-{number}/session-secrets"));
            wait::until_true(&gateway.stderr(), || file.exists()).await;
        }
        pair
    }

    /// Where a replica serves the Gateway `edge`, or the other one.
    fn at(&self, number: u8, gateway: usize) -> SocketAddr {
        address(number, self.ports[gateway])
    }

    /// Asks by openssl, with the session of the file `session` where there is one, which is written anew; gives
    /// whether it resumed.
    fn resumes(&self, at: SocketAddr, version: &str, session: &str) -> bool {
        let file = self.fleet.path(session);
        let mut command = Command::new("openssl");
        command.args(["s_client", "-connect", &at.to_string(), version]);
        command.args(["-servername", HOST, "-ign_eof", "-sess_out"]).arg(&file);
        if file.exists() {
            command.arg("-sess_in").arg(&file);
        }
        let asked = format!("GET / HTTP/1.1\r\nhost: {HOST}\r\nconnection: close\r\n\r\n");
        let text = self.fleet.path("request");
        std::fs::write(&text, asked).expect("a folder to write to");
        command.stdin(std::fs::File::open(text).expect("it was written")).stderr(Stdio::null());
        let said = command.output().expect("openssl (of the package openssl) starts");
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        assert!(said.contains("HTTP/1.1 200 OK"), "{said}");
        said.lines().any(|line| line.starts_with("Reused, "))
    }

    /// The origin that a caller with a cookie is led to, and the cookie that it is given.
    async fn led(&self, at: SocketAddr, cookie: &str) -> (String, Option<String>) {
        let client = self.authority.client(&["http/1.1"]);
        let mut connection =
            Box::pin(Connection::tls_as(at, HOST, client)).await.expect("the gateway listens");
        let asked = request("GET", HOST, "/").header("cookie", cookie);
        let asked = asked.body(nothing()).expect("a well-formed request");
        let reply = connection.send(asked).await.expect("an answer");
        assert_eq!(reply.status, 200, "{reply:?}");
        let set = reply.header("set-cookie").split_once(';').map(|(pair, _)| pair.to_owned());
        (reply.origin().to_owned(), set)
    }

    /// Has another secret seal, and waits until it does at both.
    async fn rotate(&self, words: &[&str]) {
        let mut before = Vec::new();
        for number in 0..2 {
            let (_, given) = self.led(self.at(number, 0), "").await;
            before.push(given.expect("a cookie"));
        }
        let mut command = people::heddle(&self.fleet);
        command.env("HEDDLE_TOKEN", self.fleet.token()).args(["session-secret", "rotate"]);
        let said = ended(command.args(words));
        assert_eq!(said.code, 0, "{said:?}");
        for (number, cookie) in (0..).zip(&before) {
            // Who brings a token of the one before is given one of the new secret.
            wait::until_true_of("another secret to seal", async || {
                self.led(self.at(number, 0), cookie).await.1.is_some()
            })
            .await;
        }
    }
}

fn address(number: u8, port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::from(Ipv4Addr::new(127, 0, 0, 11 + number)), port)
}

fn gateway(name: &str, port: u16) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\n\
         metadata: {{ name: {name}, namespace: platform }}\nspec:\n  gatewayClassName: heddle\n  \
         listeners:\n    - name: tls\n      protocol: HTTPS\n      port: {port}\n      \
         hostname: {HOST}\n      tls: {{ certificateRefs: [{{ name: cert }}] }}\n      \
         allowedRoutes: {{ namespaces: {{ from: All }} }}\n---\n"
    )
}

/// A rule that keeps sessions, at both Gateways; who has none is led to each origin in its turn.
fn shop(origins: &[Origin]) -> String {
    let slices = origins.iter().enumerate().map(|(number, origin)| {
        format!(
            "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata:\n  \
             name: app-{number}\n  namespace: platform\n  \
             labels: {{ kubernetes.io/service-name: app }}\naddressType: IPv4\n\
             ports: [{{ port: {} }}]\nendpoints: [{{ addresses: ['{}'] }}]\n---\n",
            origin.address.port(),
            origin.address.ip()
        )
    });
    let slices: String = slices.collect();
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{ name: app, namespace: platform }}\n\
         spec: {{ ports: [{{ port: 80 }}] }}\n---\n\
         apiVersion: heddle.dev/v1alpha1\nkind: TrafficPolicy\n\
         metadata: {{ name: app, namespace: platform }}\nspec:\n  \
         targetRefs: [{{ group: '', kind: Service, name: app }}]\n  \
         balance: {{ algorithm: RoundRobin }}\n---\n\
         apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\n\
         metadata: {{ name: all, namespace: platform }}\nspec:\n  \
         parentRefs: [{{ name: edge }}, {{ name: other }}]\n  rules:\n    \
         - name: all\n      sessionPersistence: {{ sessionName: cart }}\n      \
         backendRefs: [{{ name: app, port: 80 }}]\n---\n{slices}"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_goes_on_at_each_replica_of_its_gateway_and_at_no_other_gateway() {
    let mut pair = Pair::start().await;
    for version in ["-tls1_3", "-tls1_2"] {
        assert!(!pair.resumes(pair.at(0, 0), version, version), "the first one is new");
        for number in [1, 0, 1] {
            assert!(pair.resumes(pair.at(number, 0), version, version), "{version} {number}");
        }
        std::fs::copy(pair.fleet.path(version), pair.fleet.path("kept")).unwrap();
        assert!(!pair.resumes(pair.at(0, 1), version, "kept"), "at another Gateway, {version}");
    }
    for _ in 0..8 {
        let (origin, cookie) = pair.led(pair.at(0, 0), "").await;
        let cookie = cookie.expect("a cookie");
        assert_eq!(pair.led(pair.at(1, 0), &cookie).await, (origin, None));
        assert!(pair.led(pair.at(1, 1), &cookie).await.1.is_some(), "it opens nothing there");
    }
    // One that starts anew while the server is away opens what it opened before.
    let (origin, cookie) = pair.led(pair.at(0, 0), "").await;
    pair.fleet.stop().await;
    pair.gateways[1].kill();
    pair.gateways[1].respawn();
    pair.gateways[1].until_ready().await;
    assert_eq!(pair.led(pair.at(1, 0), &cookie.expect("a cookie")).await, (origin, None));
    assert!(pair.resumes(pair.at(1, 0), "-tls1_3", "-tls1_3"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_sealed_before_a_rotation_opens_on_until_it_is_forgotten() {
    let pair = Pair::start().await;
    assert!(!pair.resumes(pair.at(0, 0), "-tls1_3", "first"));
    let (origin, cookie) = pair.led(pair.at(0, 0), "").await;
    let cookie = cookie.expect("a cookie");
    pair.rotate(&[]).await;
    std::fs::copy(pair.fleet.path("first"), pair.fleet.path("again")).unwrap();
    assert!(pair.resumes(pair.at(1, 0), "-tls1_3", "first"), "a ticket of before");
    let (at, renewed) = pair.led(pair.at(1, 0), &cookie).await;
    let renewed = renewed.expect("one of the new secret");
    assert_eq!(at, origin, "a cookie of before");
    assert_eq!(pair.led(pair.at(0, 0), &renewed).await, (origin, None));
    pair.rotate(&["--forget"]).await;
    assert!(!pair.resumes(pair.at(1, 0), "-tls1_3", "again"), "forgotten");
    // The secrets stand in no file in the clear, and no door shows them.
    let config = pair.gateways[0].admin("/config").await.expect("/config answers");
    assert!(!String::from_utf8_lossy(&config.body).contains("secrets\""), "{config:?}");
    let audit = pair.fleet.get("/audit").await.to_string();
    assert_eq!(audit.matches("\"session-secret\"").count(), 2, "{audit}");
}
