//! Connections of which nobody reads what goes through: a database behind its proxy, for whom a rule
//! that speaks of connections lets in.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use e2e::Joined;
use e2e::client::{nothing, request};
use e2e::fleet::{Fleet, Kind, Plan};
use e2e::people::heddle;
use e2e::program::{ended, free_port};
use e2e::raw::{Head, Raw};
use e2e::{Connection, wait};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::capture::LOOPBACK;
use crate::cloth::workload;
use crate::scene::{HOST, edge, somewhere, until_speaking, workspace};

/// A database that says what it is sent, and a word of its own at the end. Told to quit it breaks off.
struct Echo {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    /// How many were broken off by the other side.
    broken: Arc<AtomicUsize>,
}

impl Echo {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let connections = Arc::new(AtomicUsize::new(0));
        let (count, broken) = (Arc::clone(&connections), Arc::new(AtomicUsize::new(0)));
        let broke = Arc::clone(&broken);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (count, broke) = (Arc::clone(&count), Arc::clone(&broke));
                tokio::spawn(async move {
                    let mut bytes = vec![0; 16 << 10];
                    // What only looks whether somebody listens sends nothing.
                    let mut is_counted = false;
                    loop {
                        let length = match stream.read(&mut bytes).await {
                            Ok(0) => break,
                            Ok(length) => length,
                            Err(_) => {
                                broke.fetch_add(1, SeqCst);
                                return;
                            }
                        };
                        if &bytes[..length] == b"quit" {
                            let _gone = stream.write_all(b"bye").await;
                            stream.set_zero_linger().expect("it is open");
                            return;
                        }
                        if !std::mem::replace(&mut is_counted, true) {
                            count.fetch_add(1, SeqCst);
                        }
                        if stream.write_all(&bytes[..length]).await.is_err() {
                            broke.fetch_add(1, SeqCst);
                            return;
                        }
                    }
                    let _gone = stream.write_all(b"bye").await;
                });
            }
        });
        Echo { address, connections, broken }
    }

    fn count(&self) -> usize {
        self.connections.load(SeqCst)
    }
}

/// A storefront, another application, and the database that they may ask for.
struct Shop {
    fleet: Fleet,
    echo: Echo,
    web: SocketAddr,
    front_sends: SocketAddr,
    /// A port of the storefront's that leads to the database, and one that leads nowhere.
    front_asks: [SocketAddr; 2],
    other_sends: SocketAddr,
    front: Joined,
    db: Joined,
    _others: Vec<Joined>,
}

impl Shop {
    async fn new() -> Self {
        let node_arguments = ["--decision-ratio", "1"].map(str::to_owned).to_vec();
        let fleet = Fleet::start(Plan { node_arguments, ..Plan::default() }).await;
        let echo = Echo::start().await;
        let [web, front_sends, other_sends] = [0; 3].map(|_| somewhere());
        let front_asks = [0; 2].map(|_| somewhere());
        let [there, nowhere] = front_asks.map(|address| address.port());
        let upstreams = format!(
            "upstreams: [{{ listen: {there}, name: db, port: 5432 }}, \
             {{ listen: {nowhere}, name: db, port: 1 }}], outbound"
        );
        let tcp =
            |text: String| text.replace("name: http, port", "name: tcp, appProtocol: tcp, port");
        let text = edge(web.port())
            + &workspace(&["front"])
            + "apiVersion: v1\nkind: Service\nmetadata: { name: db, namespace: shop }\nspec:\n  \
               selector: { app: db }\n  \
               ports: [{ port: 5432, targetPort: tcp, appProtocol: tcp }]\n---\n"
            + &workload("front", free_port(), front_sends.port()).replace("outbound", &upstreams)
            + &workload("other", free_port(), other_sends.port())
            + &tcp(workload("db", echo.address.port(), free_port()));
        fleet.change(&text).await;
        let mut nodes = Vec::new();
        for name in ["front", "db", "other"] {
            let node = fleet.join_in("local", Kind::Mesh, &format!("shop/{name}")).await;
            until_speaking(&node, &format!("workload shop/{name} of local")).await;
            nodes.push(node);
        }
        let gateway = fleet.join_in("local", Kind::Gateway, "edge").await;
        until_speaking(&gateway, "gateway edge of local").await;
        nodes.push(gateway);
        let mut nodes = nodes.into_iter();
        let [front, db] = [(); 2].map(|()| nodes.next().expect("it was joined"));
        let _others = nodes.collect();
        Shop { fleet, echo, web, front_sends, front_asks, other_sends, front, db, _others }
    }

    async fn change(&self, text: &str) {
        let revision = self.fleet.change(text).await;
        self.fleet.until_everywhere(revision).await;
    }

    /// The policy of the database: these rules.
    async fn rules(&self, rules: &str) {
        self.change(&format!(
            "apiVersion: heddle.dev/v1alpha1\nkind: AccessPolicy\n\
             metadata: {{ name: db, namespace: shop }}\nspec:\n  \
             targetRefs: [{{ kind: Service, name: db }}]\n  rules: [{rules}]\n"
        ))
        .await;
    }

    /// The hops of a connection, once so many were told.
    async fn hops(&self, id: &str, count: usize) -> Vec<Value> {
        let path = format!("/requests/{id}");
        wait::until(&format!("{count} hops of {id}"), || async {
            let reply = self.fleet.get_as(self.fleet.token(), &path).await.ok()?;
            let hops = reply.json()["hops"].as_array()?.clone();
            (hops.len() >= count).then_some(hops)
        })
        .await
    }

    fn explained(&self, id: &str) -> String {
        let mut command = heddle(&self.fleet);
        let ended = ended(command.env("HEDDLE_TOKEN", self.fleet.token()).args(["explain", id]));
        assert_eq!(ended.code, 0, "{ended:?}");
        ended.stdout
    }
}

/// Asks the proxy of an application for a connection.
async fn connect(proxy: SocketAddr, to: &str) -> (Raw, Head) {
    let mut raw = Raw::connect(proxy).await;
    raw.write(format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n\r\n")).await;
    let head = raw.head().await;
    (raw, head)
}

const FRONT: &str =
    "{ name: front, when: { workloads: [{ cluster: local, serviceAccount: front }] } }";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_go_both_ways_between_those_who_may_and_are_told_as_one_exchange() {
    let _filling = LOOPBACK.read().await;
    let shop = Shop::new().await;
    shop.rules(FRONT).await;
    let (raw, head) = connect(shop.front_sends, "db:5432").await;
    assert_eq!(head.status, 200, "{}", head.text);
    let sent: Vec<u8> = (0..1_u32 << 20).map(|at| (at % 251) as u8).collect();
    // Both at once: what is sent back would fill all buffers.
    let (mut read, mut write) = raw.into_stream().into_split();
    let (writes, wanted) = (sent.clone(), sent.len());
    let writing = tokio::spawn(async move {
        write.write_all(&writes).await.expect("it is taken");
        write.shutdown().await.expect("one side ends");
    });
    let mut said = Vec::new();
    wait::within("the end of the other side", read.read_to_end(&mut said)).await.expect("bytes");
    writing.await.expect("it was written");
    // One side that has ended does not end the other.
    assert!(said[..wanted] == sent && said[wanted..] == *b"bye", "{} bytes", said.len());
    let id = head.header("x-request-id").to_owned();
    let hops = shop.hops(&id, 2).await;
    let told: Vec<_> = hops
        .iter()
        .map(|hop| {
            let word = |field: &str| hop[field].as_str().unwrap_or("-").to_owned();
            [word("side"), word("method"), word("reason"), hop["status"].to_string()].join(" ")
        })
        .collect();
    assert_eq!(told, ["outbound CONNECT ok 200", "inbound CONNECT ok 200"]);
    let explained = shop.explained(&id);
    assert!(explained.contains("rule 'front' of AccessPolicy shop/db allows it"), "{explained}");
    for (node, counts) in [(&shop.front, "1048576"), (&shop.db, "1048576")] {
        wait::until_true(&format!("a line of {}", node.name()), || {
            let log = node.access_log();
            log.lines().any(|line| {
                line.contains(&id)
                    && line.contains(&format!(r#""bytes_in":{counts}"#))
                    && line.contains(r#""bytes_out":1048579"#)
            })
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_broken_off_is_not_taken_for_whole_on_the_other_side() {
    let _filling = LOOPBACK.read().await;
    let shop = Shop::new().await;
    shop.rules(FRONT).await;
    let opened = async || {
        let (mut raw, head) = connect(shop.front_sends, "db:5432").await;
        assert_eq!(head.status, 200);
        raw.write("ping").await;
        assert_eq!(raw.exactly(4).await, b"ping");
        (raw.into_stream(), head)
    };
    // The last words of who breaks off come, and then no end but a reset.
    for quits_by_itself in [true, false] {
        let (mut stream, head) = opened().await;
        let mut said = Vec::new();
        if quits_by_itself {
            stream.write_all(b"quit").await.expect("it is taken");
        } else {
            shop.rules("{ name: nobody, action: Deny }").await;
        }
        let ended = wait::within("the end", stream.read_to_end(&mut said)).await;
        let ended = ended.expect_err("it was broken off").kind();
        assert_eq!(ended, std::io::ErrorKind::ConnectionReset);
        assert_eq!(said, if quits_by_itself { &b"bye"[..] } else { b"" });
        let reason = if quits_by_itself { "upstream_reset" } else { "access_denied" };
        let id = head.header("x-request-id");
        wait::until_true(reason, || {
            let log = shop.db.access_log();
            log.lines().any(|line| line.contains(id) && line.contains(reason))
        })
        .await;
    }
    // Of the two only the one whose rule went was broken off for the database.
    shop.rules(FRONT).await;
    wait::until_true("one reset", || shop.echo.broken.load(SeqCst) == 1).await;
    // Nor is one kept that writes and reads nothing, so that nothing goes on between the two.
    let (mut stream, head) = opened().await;
    let piece = vec![7; 64 << 10];
    let stuck = std::time::Duration::from_secs(1);
    while tokio::time::timeout(stuck, stream.write_all(&piece)).await.is_ok() {}
    shop.rules("{ name: nobody, action: Deny }").await;
    let broken = wait::within("the end", async { while stream.write_all(&piece).await.is_ok() {} });
    broken.await;
    let id = head.header("x-request-id");
    wait::until_true("the line of who sent it", || shop.front.access_log().contains(id)).await;
    shop.rules(FRONT).await;
    wait::until_true("two resets", || shop.echo.broken.load(SeqCst) == 2).await;
    let (stream, _) = opened().await;
    stream.set_zero_linger().expect("it is open");
    drop(stream);
    wait::until_true("another reset", || shop.echo.broken.load(SeqCst) == 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_of_loopback_leads_to_a_database_for_programs_that_know_of_no_proxy() {
    let shop = Shop::new().await;
    shop.rules(FRONT).await;
    let [there, nowhere] = shop.front_asks;
    let mut raw = Raw::connect(there).await;
    raw.write("ping").await;
    assert_eq!(raw.exactly(4).await, b"ping");
    drop(raw);
    let id = wait::until("the line of the connection", || async {
        let log = shop.front.access_log();
        let mut lines = log.lines();
        let line = lines.find(|line| line.contains(r#""host":"db.shop:5432""#))?;
        let line: Value = serde_json::from_str(line).ok()?;
        assert_eq!((&line["status"], &line["bytes_in"]), (&200.into(), &4.into()), "{line}");
        line["request_id"].as_str().map(str::to_owned)
    })
    .await;
    assert_eq!(shop.hops(&id, 2).await.len(), 2);
    // Whoever is not let in, and who calls what is not there, finds it closed.
    for (rules, to) in [(FRONT, nowhere), ("{ name: nobody, action: Deny }", there)] {
        shop.rules(rules).await;
        let before = shop.echo.count();
        let mut raw = Raw::connect(to).await;
        raw.write("ping").await;
        assert_eq!(raw.rest().await, b"");
        assert_eq!(shop.echo.count(), before);
    }
    for reason in ["no_route", "access_denied"] {
        let node = if reason == "no_route" { &shop.front } else { &shop.db };
        wait::until_true(reason, || node.access_log().contains(reason)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_only_a_request_would_tell_lets_no_connection_in_and_each_denial_is_told() {
    let shop = Shop::new().await;
    let writes = "{ name: writes, action: Deny, when: { methods: [POST] } }";
    let elsewhere = "{ name: elsewhere, action: Deny, when: { methods: [POST], \
                     workloads: [{ cluster: local, serviceAccount: other }] } }";
    let reads = "{ name: reads, when: { methods: [GET], \
                 workloads: [{ cluster: local, serviceAccount: front }] } }";
    let both = |deny: &str| format!("{deny}, {FRONT}");
    for (rules, from, status, reason, because) in [
        (
            FRONT.to_owned(),
            shop.other_sends,
            403,
            "access_denied",
            "named {cluster: local, serviceAccount: other}",
        ),
        (
            reads.to_owned(),
            shop.front_sends,
            403,
            "access_denied",
            "it did not ask for 'methods', which a TCP connection does not tell",
        ),
        (
            both(writes),
            shop.front_sends,
            403,
            "access_denied",
            "must not mean this connection, which does not tell its 'methods'",
        ),
        (
            both(elsewhere),
            shop.front_sends,
            200,
            "ok",
            "rule 'front' of AccessPolicy shop/db allows it",
        ),
        (both(elsewhere), shop.other_sends, 403, "access_denied", "must not mean this connection"),
    ] {
        shop.rules(&rules).await;
        let before = shop.echo.count();
        let (mut raw, head) = connect(from, "db.shop.svc.cluster.local:5432").await;
        assert_eq!(head.status, status, "{rules}: {}", head.text);
        let id = head.header("x-request-id").to_owned();
        if status == 200 {
            raw.write("ping").await;
            assert_eq!(raw.exactly(4).await, b"ping");
            drop(raw);
        } else {
            assert_eq!(shop.echo.count(), before, "{rules}");
        }
        let hops = shop.hops(&id, 2).await;
        // Who sends passed it on; who is called decides.
        assert_eq!((&hops[0]["reason"], &hops[0]["status"]), (&"ok".into(), &status.into()));
        assert_eq!((&hops[1]["reason"], &hops[1]["status"]), (&reason.into(), &status.into()));
        let told = shop.explained(&id);
        assert!(told.contains(because), "{rules}: {because} is not in\n{told}");
        wait::until_true("the line in the log", || shop.db.access_log().contains(&id)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_that_refuses_a_connection_says_nothing_of_the_endpoint() {
    let shop = Shop::new().await;
    shop.rules(FRONT).await;
    shop.change(
        "apiVersion: heddle.dev/v1alpha1\nkind: RateLimitPolicy\n\
         metadata: { name: db, namespace: shop }\nspec:\n  \
         targetRefs: [{ kind: Service, name: db }]\n  \
         limits: [{ name: all, requests: 1, window: 1h }]\n",
    )
    .await;
    let (_open, head) = connect(shop.front_sends, "db:5432").await;
    assert_eq!(head.status, 200, "{}", head.text);
    let (_closed, head) = connect(shop.front_sends, "db:5432").await;
    assert_eq!(head.status, 429, "{}", head.text);
    let hops = shop.hops(head.header("x-request-id"), 2).await;
    assert_eq!(hops[1]["reason"], "rate_limited", "{hops:?}");
    let shown = shop.front.admin("/config").await.expect("/config answers").json();
    let endpoint = &shown["inForce"]["services"]["shop/db:5432"][0];
    assert_eq!(endpoint["restsMillis"], 0, "{endpoint}");
    assert_eq!(endpoint["getsRequests"], "yes", "{endpoint}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_ends_where_a_new_table_would_not_let_it_be_opened() {
    let shop = Shop::new().await;
    shop.rules(FRONT).await;
    let (mut raw, head) = connect(shop.front_sends, "db:5432").await;
    assert_eq!(head.status, 200);
    raw.write("ping").await;
    assert_eq!(raw.exactly(4).await, b"ping");
    // What changes nothing for it leaves it.
    shop.rules(&format!("{FRONT}, {{ name: more, when: {{ sources: [10.0.0.0/8] }} }}")).await;
    raw.write("ping").await;
    assert_eq!(raw.exactly(4).await, b"ping");
    shop.rules(&FRONT.replace("front }", "back }")).await;
    assert_eq!(raw.rest().await, b"");
    let id = head.header("x-request-id");
    wait::until_true("the cause in the log", || {
        shop.db.access_log().lines().any(|line| line.contains(id) && line.contains("a new table"))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_and_connections_do_not_stand_for_each_other() {
    let shop = Shop::new().await;
    shop.rules(FRONT).await;
    let asks = async |to: SocketAddr, host: &str| {
        let asked = request("GET", host, "/").body(nothing()).expect("a request");
        let mut connection = Connection::h1(to).await.expect("it listens");
        connection.send(asked).await.expect("an answer")
    };
    let reply = asks(shop.front_sends, "db:5432").await;
    assert_eq!((reply.status, &reply.json()["reason"]), (500, &"backend_protocol".into()));
    for (to, status, reason) in [
        ("front:80", 500, "backend_protocol"),
        ("nowhere:5432", 404, "no_route"),
        ("db:5433", 404, "no_route"),
        ("db", 400, "bad_request"),
    ] {
        let (mut raw, head) = connect(shop.front_sends, to).await;
        assert_eq!(head.status, status, "{to}: {}", head.text);
        let length = head.header("content-length").parse().expect("a length");
        let body = String::from_utf8(raw.exactly(length).await).expect("text");
        assert!(body.contains(reason), "{to}: {body}");
    }
    // Nobody opens connections at the edge, and no route leads requests there.
    let (_raw, head) = connect(shop.web, "db:5432").await;
    assert_eq!(head.status, 400);
    let route = format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\n\
         metadata: {{ name: db, namespace: shop }}\nspec:\n  \
         parentRefs: [{{ name: edge, namespace: platform }}]\n  hostnames: [{HOST}]\n  \
         rules: [{{ backendRefs: [{{ name: db, port: 5432 }}] }}]\n"
    );
    let reply = shop.fleet.try_change(&route, None).await.expect("an answer");
    assert_eq!(reply.status, 422);
    let told = "shop/db:5432 carries TCP, and HTTPRoute leads requests; use a TCPRoute or TLSRoute";
    assert_eq!(reply.json()["faults"][0]["reason"], told);
    assert_eq!(shop.echo.count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_gateway_leads_here_is_judged_by_where_it_comes_from_and_taken_as_it_is_meant() {
    let shop = Shop::new().await;
    let [to_db, to_front] = [(); 2].map(|()| somewhere());
    let route = |name: &str, port: u16, service: &str, number: u16| {
        format!(
            "apiVersion: gateway.networking.k8s.io/v1\nkind: TCPRoute\n\
             metadata: {{ name: {name}, namespace: shop }}\nspec:\n  \
             parentRefs: [{{ name: raw, port: {port} }}]\n  \
             rules: [{{ backendRefs: [{{ name: {service}, port: {number} }}] }}]\n---\n\
             apiVersion: heddle.dev/v1alpha1\nkind: AccessPolicy\n\
             metadata: {{ name: {name}-edge, namespace: shop }}\nspec:\n  \
             targetRefs: [{{ kind: TCPRoute, name: {name} }}]\n  rules: [{{ name: all }}]\n---\n"
        )
    };
    let listeners = format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\n\
         metadata: {{ name: raw, namespace: shop }}\nspec:\n  gatewayClassName: heddle\n  listeners:\n    \
         - {{ name: db, protocol: TCP, port: {} }}\n    - {{ name: front, protocol: TCP, port: {} }}\n---\n",
        to_db.port(),
        to_front.port()
    );
    let text = listeners
        + &route("db", to_db.port(), "db", 5432)
        + &route("front", to_front.port(), "front", 80);
    shop.change(&text).await;
    shop.rules("{ name: near, when: { workloads: [{ cluster: local, gateway: edge }], sources: [127.0.0.9] } }").await;
    let connect = async |from: &str, to: SocketAddr| {
        let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
        socket.bind(format!("{from}:0").parse().expect("an address")).expect("it is free");
        let mut stream = socket.connect(to).await?;
        let mut said = [0; 4];
        stream.write_all(b"ping").await?;
        stream.read_exact(&mut said).await.map(|_| said)
    };
    assert_eq!(connect("127.0.0.9", to_db).await.expect("it is let in"), *b"ping");
    assert!(connect("127.0.0.1", to_db).await.is_err(), "it is the gateway that is near");
    wait::until_true("the client in the log of the database's proxy", || {
        let log = shop.db.access_log();
        let has = |source: &str, reason: &str| {
            let source = format!(r#""source":"{source}""#);
            log.lines().any(|line| line.contains(&source) && line.contains(reason))
        };
        has("127.0.0.9", r#""reason":"ok""#) && has("127.0.0.1", "access_denied")
    })
    .await;
    // What takes requests is sent no bytes, in which somebody could say that they are somebody else.
    let told = connect("127.0.0.9", to_front).await;
    assert_eq!(told.expect_err("it is refused").kind(), std::io::ErrorKind::ConnectionReset);
}
