//! Gateways behind HAProxy, which knows nothing of what goes through: sessions resume across two that share
//! keys, the end of one hurts no request but those that it had, and each learns who is calling.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};

use e2e::client::{nothing, request};
use e2e::program::free_port;
use e2e::trust::Authority;
use e2e::{Connection, Gateway, Origin, Setup, wait, yaml};
use tempfile::TempDir;

mod end;

const HOST: &str = "shop.test";
/// 48 bytes each, in base64.
const KEYS: [&str; 2] = [
    "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWYwMTIzNDU2Nzg5YWJjZGVm",
    "ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTBmZWRjYmE5ODc2NTQzMjEw",
];

/// Two gateways behind one port.
struct Pair {
    origin: Origin,
    authority: Authority,
    gateways: Vec<Gateway>,
    port: u16,
    _balancer: Balancer,
    folder: TempDir,
}

/// HAProxy, which ends when this is dropped.
struct Balancer(Child);

impl Drop for Balancer {
    fn drop(&mut self) {
        let _gone_already = self.0.kill();
        let _gone_already = self.0.wait();
    }
}

impl Balancer {
    /// With these words for each server.
    fn start(folder: &TempDir, port: u16, servers: &[SocketAddr], words: &str) -> Self {
        let servers: String = servers
            .iter()
            .enumerate()
            .map(|(number, at)| format!("  server s{number} {at} {words}\n"))
            .collect();
        let text = format!(
            "defaults\n  mode tcp\n  timeout connect 2s\n  timeout client 60s\n  timeout server 60s\n  \
             retries 3\n  option redispatch 1\n\
             listen pair\n  bind 127.0.0.1:{port}\n  balance roundrobin\n{servers}"
        );
        let config = folder.path().join("haproxy.cfg");
        std::fs::write(&config, text).expect("a folder to write to");
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "haproxy", "-db", "-f"]).arg(&config);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        Balancer(command.spawn().expect("haproxy (of the package haproxy) starts"))
    }
}

impl Pair {
    async fn start() -> Self {
        let (origin, authority) = (Origin::start("shop").await, Authority::new());
        let folder = TempDir::new().expect("a folder");
        let certificate = authority.sign(HOST);
        let mut gateways = Vec::new();
        for number in 0..2 {
            let keys = folder.path().join(format!("keys-{number}"));
            std::fs::write(&keys, KEYS[0]).expect("a folder to write to");
            let port = free_port();
            let setup = Setup::bare()
                .listener("tls", port, yaml::https("tls", port, HOST, "cert"))
                .with(yaml::tls_secret("cert", &certificate))
                .with(yaml::service("shop", &[origin.address]))
                .with(yaml::path_route("all", "/", "shop"))
                .arguments(&["--ticket-keys", &keys.to_string_lossy()]);
            gateways.push(setup.start().await);
        }
        let port = free_port();
        let servers: Vec<_> = gateways.iter().map(|gateway| gateway.listener("tls")).collect();
        let balancer = Balancer::start(&folder, port, &servers, "check inter 200ms fall 1");
        let pair = Pair { origin, authority, gateways, port, _balancer: balancer, folder };
        wait::until("HAProxy to listen", || async { Box::pin(pair.connect()).await.ok() }).await;
        pair
    }

    fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    async fn connect(&self) -> Result<Connection, e2e::client::Fault> {
        let client = self.authority.client(&["http/1.1"]);
        Connection::tls_as(self.address(), HOST, client).await
    }

    /// How many requests each of the gateways has answered, once there are so many in all.
    async fn logged(&self, least: usize) -> Vec<usize> {
        let lines = || self.gateways.iter().map(|one| one.access_log().lines().count()).collect();
        wait::until("the log lines", || async {
            let counts: Vec<usize> = lines();
            (counts.iter().sum::<usize>() >= least).then_some(counts)
        })
        .await
    }

    /// Asks by openssl, with the session of the file `session` where there is one, which is written anew; gives
    /// whether it resumed.
    fn ask(&self, version: &str, session: &str) -> bool {
        let file = self.folder.path().join(session);
        let mut command = Command::new("openssl");
        command.args(["s_client", "-connect", &self.address().to_string(), version]);
        command.args(["-servername", HOST, "-ign_eof", "-sess_out"]).arg(&file);
        if file.exists() {
            command.arg("-sess_in").arg(&file);
        }
        let asked = format!("GET / HTTP/1.1\r\nhost: {HOST}\r\nconnection: close\r\n\r\n");
        let text = self.folder.path().join("request");
        std::fs::write(&text, asked).expect("a folder to write to");
        command.stdin(std::fs::File::open(text).expect("it was written"));
        let said = command.output().expect("openssl (of the package openssl) starts");
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        assert!(said.contains("HTTP/1.1 200 OK"), "{said}");
        said.lines().any(|line| line.starts_with("Reused, "))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_resume_at_either_and_across_a_change_of_keys() {
    let pair = Pair::start().await;
    for version in ["-tls1_3", "-tls1_2"] {
        let before = pair.logged(0).await;
        assert!(!pair.ask(version, version), "the first one is new");
        for _ in 0..8 {
            assert!(pair.ask(version, version), "{version}");
        }
        let after = pair.logged(before.iter().sum::<usize>() + 9).await;
        assert!(before.iter().zip(&after).all(|(before, after)| after - before >= 3), "{after:?}");
    }
    // Each learns of the next key before any seals by it, and forgets the old one last.
    let [old, new] = KEYS;
    for lines in [[old, new], [new, old]] {
        for number in 0..2 {
            std::fs::write(pair.folder.path().join(format!("keys-{number}")), lines.join("\n"))
                .unwrap();
            until_taken(&pair.gateways[number], lines == [new, old]).await;
            for _ in 0..4 {
                assert!(pair.ask("-tls1_3", "-tls1_3"), "{number} {lines:?}");
            }
        }
    }
}

/// Waits until a gateway has taken its keys so many times.
async fn until_taken(gateway: &Gateway, twice: bool) {
    let wanted = if twice { 3 } else { 2 };
    wait::until_true("the keys to be taken", || {
        gateway.stderr().matches("keys for TLS sessions taken").count() >= wanted
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_balancer_says_who_is_calling_by_either_version() {
    let origin = Origin::start("shop").await;
    let gateway = Setup::new()
        .with(yaml::service("shop", &[origin.address]))
        .with(yaml::path_route("all", "/", "shop"))
        .arguments(&["--proxy-protocol", "127.0.0.1/32"])
        .start()
        .await;
    let folder = TempDir::new().unwrap();
    for (number, words) in
        ["send-proxy", "send-proxy-v2", "send-proxy-v2-ssl-cn"].into_iter().enumerate()
    {
        let port = free_port();
        // Its own checks speak for themselves.
        let words = format!("{words} check inter 100ms check-send-proxy");
        let _balancer = Balancer::start(&folder, port, &[gateway.web()], &words);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let source = Ipv4Addr::new(127, 0, 0, 20 + number as u8);
        let reply = wait::until("an answer", || async {
            let mut connection = Connection::h1_from(source, address).await.ok()?;
            let asked = request("GET", HOST, "/").body(nothing()).ok()?;
            Box::pin(connection.send(asked)).await.ok()
        })
        .await;
        assert_eq!(reply.status, 200, "{words}");
        assert_eq!(origin.last().header("x-forwarded-for"), source.to_string(), "{words}");
    }
}
