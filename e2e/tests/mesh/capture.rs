//! What somebody sees who listens on the network: nothing between the processes of the mesh.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use e2e::Connection;
use e2e::app::App;
use e2e::capture::{Capture, Seen, held};
use e2e::client::{bytes, nothing, request};
use e2e::fleet::{Fleet, Kind, Plan};
use tokio::sync::RwLock;

use crate::cloth::{CLERK, Cloth, orders};
use crate::scene::{HOST, edge, somewhere};
use crate::two::Two;

/// How often each is asked.
const TIMES: usize = 20;

/// Whoever captures holds it alone, and whoever fills loopback with others who do: packets that a capture
/// has no room for are lost.
pub(crate) static LOOPBACK: RwLock<()> = RwLock::const_new(());

/// A word that nobody else says.
fn marker() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    format!("marker-{:x}-{}", now.expect("it is later").as_nanos(), std::process::id())
}

/// Sends the marker to `host` in the query and the body, and gets it back: it goes both ways.
async fn echoes(to: SocketAddr, host: &str, marker: &str) {
    let path = format!("/echo?word={marker}");
    let asked = request("POST", host, &path).header("x-api-key", CLERK);
    let mut connection = Connection::h1(to).await.expect("it listens");
    let asked = asked.body(bytes(marker.to_owned())).expect("a request");
    let reply = connection.send(asked).await.expect("an answer");
    assert_eq!((reply.status, reply.text()), (200, marker.to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_read_between_processes_but_from_an_application_to_its_own_proxy() {
    let _alone = LOOPBACK.write().await;
    let (cloth, marker) = (Cloth::new().await, marker());
    let capture = Capture::start(&marker);
    // The server tells it to the proxies, callers and applications send it.
    let rule = format!("headers: [{{ name: x-word, value: {marker} }}]\n    - name: rest");
    let revision = cloth.fleet.change(&orders(&rule)).await;
    cloth.fleet.until_everywhere(revision).await;
    for _ in 0..TIMES {
        echoes(cloth.web, HOST, &marker).await;
        echoes(cloth.front_sends, "orders", &marker).await;
    }
    let callers = [cloth.web.port(), cloth.fleet.rest.port(), cloth.front_sends.port()];
    // At once: what is not used is closed some time.
    let own = [(&cloth.front, &cloth.nodes[1]), (&cloth.orders, &cloth.nodes[2])];
    let own = own.map(|(origin, proxy)| (origin.address.port(), held(proxy.pid())));
    let is_open = |seen: &Seen| {
        callers.iter().any(|port| [seen.from, seen.to].contains(port))
            || own.iter().any(|(at, proxy)| {
                (seen.to == *at && proxy.contains(&seen.from))
                    || (seen.from == *at && proxy.contains(&seen.to))
            })
    };
    let seen = capture.end();
    let leaks: BTreeSet<_> = seen.iter().filter(|seen| !is_open(seen)).collect();
    assert!(leaks.is_empty(), "{leaks:?}");
    // It looked: each application got what it was sent, in plain text from its own proxy.
    for (at, _) in own {
        let count = seen.iter().filter(|seen| seen.to == at).count();
        assert!(count >= TIMES, "{count} packets to an application");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_read_of_a_shop_but_between_each_service_and_its_own_proxy() {
    let _alone = LOOPBACK.write().await;
    let (two, marker) = (Two::new().await, marker());
    let east = &two.east;
    let capture = Capture::start(&marker);
    for _ in 0..TIMES {
        shops(east.web, &marker).await;
    }
    let own = east.apps.iter().zip(&east.proxies);
    let own: Vec<_> = own.map(|(app, proxy)| (held(app.pid()), held(proxy.pid()))).collect();
    let seen = capture.end();
    let is_open = |seen: &Seen| {
        [seen.from, seen.to].contains(&east.web.port())
            || own.iter().any(|(app, proxy)| joins(seen, app, proxy))
    };
    let leaks: BTreeSet<_> = seen.iter().filter(|seen| !is_open(seen)).collect();
    assert!(leaks.is_empty(), "{leaks:?}");
    // It looked: each service got it, the last of them too.
    for (app, (_, proxy)) in east.apps.iter().zip(own) {
        assert_seen(&seen, &proxy, app.address);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_mesh_the_same_capture_reads_what_a_gateway_sends() {
    let _alone = LOOPBACK.write().await;
    let (fleet, marker) = (Fleet::start(Plan::default()).await, marker());
    let [web, storefront, orders, catalog] = [0; 4].map(|_| somewhere());
    let last = App::start(catalog, &["--service", "catalog"]).await;
    let url = format!("http://{catalog}");
    let middle = App::start(orders, &["--service", "orders", "--catalog", &url]).await;
    let url = format!("http://{orders}");
    let first = App::start(storefront, &["--service", "storefront", "--orders", &url]).await;
    let revision = fleet.change(&(edge(web.port()) + &plain(storefront))).await;
    let gateway = fleet.join_in("local", Kind::Gateway, "edge").await;
    fleet.until_everywhere(revision).await;
    let capture = Capture::start(&marker);
    for _ in 0..TIMES {
        shops(web, &marker).await;
    }
    // The gateway to the first service, and each service to the next one.
    let hops = [(gateway.pid(), &first), (first.pid(), &middle), (middle.pid(), &last)];
    let hops = hops.map(|(from, to)| (held(from), to.address));
    let seen = capture.end();
    for (from, to) in hops {
        assert_seen(&seen, &from, to);
    }
}

/// Asks a shop of three services, each of which hands the marker on to the next.
async fn shops(web: SocketAddr, marker: &str) {
    let word = format!("word={marker}");
    let asked = request("GET", HOST, &format!("/?{word}")).header("baggage", word);
    let mut connection = Connection::h1(web).await.expect("it listens");
    let reply = connection.send(asked.body(nothing()).expect("a request")).await;
    let reply = reply.expect("an answer");
    let last = &reply.json()["called"]["called"]["service"];
    assert_eq!((reply.status, last), (200, &"catalog".into()), "{}", reply.text());
}

/// Sees that the marker was seen on its way there, each time, from one of these ports.
fn assert_seen(seen: &[Seen], from: &BTreeSet<u16>, to: SocketAddr) {
    let count = seen.iter().filter(|one| one.to == to.port() && from.contains(&one.from)).count();
    assert!(count >= TIMES, "{count} of {} packets to {to}", seen.len());
}

/// Whether a packet went between two processes, by the ports of each.
fn joins(seen: &Seen, one: &BTreeSet<u16>, other: &BTreeSet<u16>) -> bool {
    (one.contains(&seen.from) && other.contains(&seen.to))
        || (other.contains(&seen.from) && one.contains(&seen.to))
}

/// An application without a proxy, behind a route that no policy speaks of.
fn plain(at: SocketAddr) -> String {
    format!(
        "apiVersion: heddle.dev/v1alpha1\nkind: Workload\nmetadata:\n  name: plain-1\n  \
         namespace: shop\n  labels: {{ app: plain }}\nspec:\n  cluster: local\n  \
         serviceAccount: plain\n  address: 127.0.0.1\n  ports: [{{ name: http, port: {} }}]\n---\n\
         apiVersion: v1\nkind: Service\nmetadata: {{ name: plain, namespace: shop }}\nspec:\n  \
         selector: {{ app: plain }}\n  ports: [{{ port: 80, targetPort: http }}]\n---\n\
         apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\n\
         metadata: {{ name: plain, namespace: shop }}\nspec:\n  \
         parentRefs: [{{ name: edge, namespace: platform }}]\n  hostnames: [{HOST}]\n  rules:\n    \
         - backendRefs: [{{ name: plain, port: 80 }}]\n---\n",
        at.port()
    )
}
