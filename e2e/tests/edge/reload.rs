//! Edits while it runs: what is good becomes live, what is bad stays out, nobody notices the rest.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use e2e::client::{nothing, request};
use e2e::program::free_port;
use e2e::trust::Authority;
use e2e::{Connection, Gateway, Origin, Setup, wait, yaml};
use tokio::net::TcpStream;

use crate::scene::{HOST, refused, shop};

const ROUTES: &str = "routes.yaml";

/// Two origins; the file `routes.yaml` sends everything to `old`.
async fn two_origins() -> ([Origin; 2], Setup) {
    let (old, new) = (Origin::start("old").await, Origin::start("new").await);
    let setup = Setup::new()
        .with(yaml::service("old", &[old.address]))
        .with(yaml::service("new", &[new.address]))
        .file(ROUTES, yaml::path_route("all", "/", "old"));
    ([old, new], setup)
}

/// Waits until `path` is answered by `origin`.
async fn until_origin(gateway: &Gateway, path: &str, origin: &str) {
    wait::until(&format!("{path} to be answered by {origin}"), || async {
        let asked = request("GET", HOST, path).body(nothing()).ok()?;
        let reply = gateway.try_send(asked).await.ok()?;
        (reply.origin() == origin).then_some(())
    })
    .await;
}

/// Callers that go on until they are stopped.
struct Load {
    stop: Arc<AtomicBool>,
    served: Arc<AtomicUsize>,
    callers: Vec<tokio::task::JoinHandle<Vec<String>>>,
}

impl Load {
    /// One caller on a lasting connection of each protocol, one with a new connection each time.
    fn start(address: SocketAddr) -> Self {
        let (stop, served) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let callers = ["h1", "h2", "new"];
        let callers = callers.map(|kind| {
            let (stop, served) = (Arc::clone(&stop), Arc::clone(&served));
            tokio::spawn(call(address, kind, stop, served))
        });
        Load { stop, served, callers: callers.into() }
    }

    /// Waits for so many more requests.
    async fn more(&self, count: usize) {
        let wanted = self.served.load(Ordering::SeqCst) + count;
        wait::until_true("more requests", || self.served.load(Ordering::SeqCst) >= wanted).await;
    }

    /// Stops; what failed, in words.
    async fn failures(self) -> Vec<String> {
        self.stop.store(true, Ordering::SeqCst);
        let mut failures = Vec::new();
        for caller in self.callers {
            failures.extend(wait::within("a caller to stop", caller).await.expect("a caller ends"));
        }
        failures
    }
}

async fn call(
    address: SocketAddr,
    kind: &'static str,
    stop: Arc<AtomicBool>,
    served: Arc<AtomicUsize>,
) -> Vec<String> {
    let (mut failures, mut connection) = (Vec::new(), None);
    while !stop.load(Ordering::SeqCst) {
        let mut current = match connection.take() {
            Some(kept) => kept,
            None if kind == "h2" => Connection::h2c(address).await.expect("a connection"),
            None => Connection::h1(address).await.expect("a connection"),
        };
        match current.send(request("GET", HOST, "/").body(nothing()).expect("a request")).await {
            Ok(reply) if reply.status == 200 => {
                served.fetch_add(1, Ordering::SeqCst);
                connection = (kind != "new").then_some(current);
            }
            Ok(reply) => failures.push(format!("{kind}: {} {}", reply.status, reply.text())),
            Err(error) => failures.push(format!("{kind}: {error}")),
        }
    }
    failures
}

#[tokio::test]
async fn edits_become_live_without_a_failed_request() {
    let (origins, setup) = two_origins().await;
    let gateway = setup.start().await;
    let load = Load::start(gateway.web());
    load.more(20).await;
    for name in ["new", "old", "new", "old", "new"] {
        gateway.write(ROUTES, &yaml::path_route("all", "/", name));
        until_origin(&gateway, "/", name).await;
        load.more(20).await;
    }
    assert_eq!(load.failures().await, Vec::<String>::new());
    assert!(origins.iter().all(|origin| origin.count() > 0));
}

#[tokio::test]
async fn a_broken_file_keeps_the_last_good_and_says_so() {
    let (_origins, setup) = two_origins().await;
    let gateway = setup.start().await;
    let good = yaml::path_route("all", "/", "new");
    let upto = |word: &str| good.find(word).map(|at| &good[..at]).expect("the word is there");
    let mut wrong = Vec::new();
    for broken in [
        "rules: [",
        "\tkind: HTTPRoute",
        "a: b: c\n",
        "just words\n",
        "\u{fffd}\0\0",
        "",
        // Half-written at several places: nobody can tell what was meant.
        upto("name: new"),
        upto("metadata:"),
        upto("namespace:"),
        upto("spec:"),
        upto("HTTPRoute"),
    ] {
        let before = gateway.stderr().matches(ROUTES).count();
        // Written in place, as a careless editor does.
        std::fs::write(gateway.file(ROUTES), broken).unwrap();
        wait::until_true(&format!("a word on {broken:?}"), || {
            gateway.stderr().matches(ROUTES).count() > before
        })
        .await;
        let reply = gateway.get(HOST, "/").await;
        if reply.origin() != "old" {
            wrong.push((broken, reply.status));
        }
        gateway.write(ROUTES, &yaml::path_route("all", "/", "old"));
        until_origin(&gateway, "/", "old").await;
    }
    assert!(wrong.is_empty(), "not served as before: {wrong:#?}");
    gateway.write(ROUTES, &good);
    until_origin(&gateway, "/", "new").await;
}

#[tokio::test]
async fn one_bad_object_among_good_ones_is_refused_alone() {
    let (_origins, setup) = two_origins().await;
    let gateway = setup.start().await;
    let bad = yaml::path_route("bad", "/bad", "new").replace("backendRefs", "backendRef");
    let good = yaml::path_route("good", "/good", "new");
    let all = yaml::path_route("all", "/", "old");
    let text = yaml::join(&[all, bad, good]);
    let line = 1 + text.lines().position(|line| line.contains("backendRef:")).unwrap();
    gateway.write(ROUTES, &text);
    until_origin(&gateway, "/good", "new").await;
    assert_eq!(gateway.get(HOST, "/bad").await.origin(), "old");
    let said = gateway.stderr();
    for word in ["shop/bad", "spec.rules[0].backendRef", "backendRefs", ROUTES, &line.to_string()] {
        assert!(said.contains(word), "no '{word}' in\n{said}");
    }
}

#[tokio::test]
async fn an_edit_that_makes_an_object_bad_keeps_its_last_good_form() {
    let (_origins, setup) = two_origins().await;
    let gateway = setup.start().await;
    let mine = yaml::path_route("mine", "/mine", "new");
    let all = yaml::path_route("all", "/", "old");
    gateway.write(ROUTES, &yaml::join(&[all.clone(), mine.clone()]));
    until_origin(&gateway, "/mine", "new").await;
    // `mine` becomes bad while another object in the same file changes.
    let bad = mine.replace("value: /mine", "value: mine");
    let other = yaml::path_route("other", "/other", "new");
    gateway.write(ROUTES, &yaml::join(&[all, bad, other]));
    until_origin(&gateway, "/other", "new").await;
    assert_eq!(gateway.get(HOST, "/mine").await.origin(), "new");
    gateway.until_said("shop/mine").await;
}

#[tokio::test]
async fn a_policy_that_becomes_bad_goes_on_denying() {
    let (origin, setup) = shop().await;
    let policy = yaml::policy(
        "closed",
        "targetRefs: [{ kind: HTTPRoute, name: all }]\n\
         rules: [{ name: never, when: { methods: [TRACE] } }]",
    );
    let gateway = setup.file("policy.yaml", policy.clone()).start().await;
    refused(&gateway, &gateway.get(HOST, "/").await, 403, "access_denied").await;
    gateway.write("policy.yaml", &policy.replace("methods", "verbs"));
    gateway.until_said("verbs").await;
    assert_eq!(gateway.get(HOST, "/").await.status, 403);
    assert_eq!(origin.count(), 0);
    // Taking it away is an edit like any other.
    std::fs::remove_file(gateway.file("policy.yaml")).unwrap();
    until_origin(&gateway, "/", "shop").await;
}

#[tokio::test]
async fn a_file_that_vanishes_is_missed_and_the_gateway_serves_on() {
    let (_origin, setup) = shop().await;
    let gateway = setup.single_file().start().await;
    let text = std::fs::read_to_string(gateway.file("gateway.yaml")).unwrap();
    std::fs::remove_file(gateway.file("gateway.yaml")).unwrap();
    gateway.until_said("gateway.yaml").await;
    for _ in 0..20 {
        assert_eq!(gateway.get(HOST, "/").await.origin(), "shop");
    }
    assert_eq!(gateway.admin("/readyz").await.unwrap().status, 200);
    // It comes back changed.
    gateway.write("gateway.yaml", &text.replace("value: /", "value: /back"));
    until_origin(&gateway, "/back", "shop").await;
    wait::until("the old form to go", || async {
        (gateway.get(HOST, "/").await.status == 404).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_folder_that_vanishes_is_missed_too() {
    let (_origin, setup) = shop().await;
    let gateway = setup.start().await;
    let before = gateway.stderr().len();
    std::fs::remove_dir_all(gateway.folder().join("config")).unwrap();
    wait::until_true("a word on it", || gateway.stderr().len() > before).await;
    for _ in 0..20 {
        assert_eq!(gateway.get(HOST, "/").await.origin(), "shop");
    }
}

#[tokio::test]
async fn a_new_certificate_is_shown_to_new_callers() {
    let (origin, authority) = (Origin::start("shop").await, Authority::new());
    let (first, second) = (authority.sign(HOST), authority.sign(HOST));
    let port = free_port();
    let gateway = Setup::bare()
        .listener("tls", port, yaml::https("tls", port, HOST, "cert"))
        .with(yaml::service("shop", &[origin.address]))
        .with(yaml::path_route("all", "/", "shop"))
        .file("cert.yaml", yaml::tls_secret("cert", &first))
        .start()
        .await;
    let address = gateway.listener("tls");
    let connect = || Box::pin(Connection::tls(address, HOST, &authority, &["h2"]));
    let mut old = connect().await.unwrap();
    assert_eq!(old.certificate.as_ref(), Some(&first.der));
    gateway.write("cert.yaml", &yaml::tls_secret("cert", &second));
    wait::until("the second certificate", || async {
        let connection = connect().await.expect("a handshake at any time");
        (connection.certificate.as_ref() == Some(&second.der)).then_some(())
    })
    .await;
    // A certificate that cannot be read keeps the last good.
    let before = gateway.stderr().len();
    let bad = e2e::trust::Certificate { key: first.key.clone(), ..second.clone() };
    gateway.write("cert.yaml", &yaml::tls_secret("cert", &bad));
    wait::until_true("a word on it", || gateway.stderr()[before..].contains("shop/cert")).await;
    assert_eq!(connect().await.unwrap().certificate.as_ref(), Some(&second.der));
    // Who was there is not disturbed.
    let reply = old.send(request("GET", HOST, "/").body(nothing()).unwrap()).await.unwrap();
    assert_eq!(reply.status, 200);
}

#[tokio::test]
async fn a_port_in_use_ends_the_start_with_a_clear_word() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let mut gateway = Setup::bare().listener("web", port, yaml::http("web", port)).spawn();
    assert_eq!(gateway.exited().await, 1);
    let said = gateway.stderr();
    assert!(said.contains(&port.to_string()) && said.contains("in use"), "{said}");

    let admin = taken.local_addr().unwrap().to_string();
    let mut gateway = Setup::new().arguments(&["--admin", &admin]).spawn();
    // Named twice: wrong usage or the last wins, but never a silent start.
    let code = gateway.exited().await;
    assert!(code == 1 || code == 2, "{code}: {}", gateway.stderr());
}

#[tokio::test]
async fn listeners_come_and_go_while_others_serve() {
    let (origin, setup) = shop().await;
    let gateway = setup.start().await;
    let text = std::fs::read_to_string(gateway.file("gateway.yaml")).unwrap();
    let port = free_port();
    let second = SocketAddr::from(([127, 0, 0, 1], port));
    let line = format!("    - {}\n", yaml::http("second", port));
    let load = Load::start(gateway.web());
    load.more(10).await;

    gateway
        .write("gateway.yaml", &text.replacen("listeners:\n", &format!("listeners:\n{line}"), 1));
    let mut there =
        wait::until("the second listener", || async { Connection::h1(second).await.ok() }).await;
    let sent = there.send(request("GET", HOST, "/").body(nothing()).unwrap()).await;
    assert_eq!(sent.unwrap().status, 200);
    let running = tokio::spawn(async move {
        there.send(request("GET", HOST, "/gate").body(nothing()).unwrap()).await
    });
    let at_gate = || origin.seen().iter().any(|seen| seen.target == "/gate");
    wait::until_true("a request at the second listener", at_gate).await;

    gateway.write("gateway.yaml", &text);
    wait::until("the second listener to go", || async {
        TcpStream::connect(second).await.is_err().then_some(())
    })
    .await;
    origin.open_gate();
    let reply = wait::within("the request that ran", running).await.unwrap().unwrap();
    assert_eq!(reply.status, 200);
    assert_eq!(load.failures().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_new_listener_on_a_port_in_use_stays_out_alone() {
    let (_origin, setup) = shop().await;
    let gateway = setup.start().await;
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let text = std::fs::read_to_string(gateway.file("gateway.yaml")).unwrap();
    let line = format!("    - {}\n", yaml::http("second", port));
    let text = text.replacen("listeners:\n", &format!("listeners:\n{line}"), 1);
    gateway.write("gateway.yaml", &yaml::join(&[text, yaml::path_route("new", "/new", "shop")]));
    gateway.until_said(&port.to_string()).await;
    until_origin(&gateway, "/new", "shop").await;
    // The port is free one day: no further edit is needed.
    drop(taken);
    wait::until("the second listener", || async {
        Connection::h1(SocketAddr::from(([127, 0, 0, 1], port))).await.ok()
    })
    .await;
}
