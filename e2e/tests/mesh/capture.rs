//! What somebody sees who listens on the network: nothing between the processes of the mesh.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use e2e::capture::{Capture, Seen, holds};
use e2e::client::{bytes, request};
use e2e::fleet::{Fleet, Kind, Plan};
use e2e::program::free_port;
use e2e::{Connection, Origin};

use crate::cloth::{CLERK, Cloth, orders};
use crate::scene::{HOST, edge};

/// How often each is asked.
const TIMES: usize = 20;

/// A word that nobody else says.
fn marker() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    format!("marker-{:x}-{}", now.expect("it is later").as_nanos(), std::process::id())
}

/// Sends the marker to `host` and gets it back, so that it goes both ways.
async fn echoes(to: SocketAddr, host: &str, marker: &str) {
    let asked = request("POST", host, "/echo").header("x-api-key", CLERK);
    let mut connection = Connection::h1(to).await.expect("it listens");
    let asked = asked.body(bytes(marker.to_owned())).expect("a request");
    let reply = connection.send(asked).await.expect("an answer");
    assert_eq!((reply.status, reply.text()), (200, marker.to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_read_between_processes_but_from_an_application_to_its_own_proxy() {
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
    let own = [(&cloth.front, &cloth.nodes[1]), (&cloth.orders, &cloth.nodes[2])];
    let is_open = |seen: &Seen| {
        callers.iter().any(|port| [seen.from, seen.to].contains(port))
            || own.iter().any(|(origin, proxy)| {
                let at = origin.address.port();
                (seen.to == at && holds(proxy.pid(), seen.from))
                    || (seen.from == at && holds(proxy.pid(), seen.to))
            })
    };
    let seen = capture.end();
    let leaks: BTreeSet<_> = seen.iter().filter(|seen| !is_open(seen)).collect();
    assert!(leaks.is_empty(), "{leaks:?}");
    // It looked: each application got what it was sent, in plain text from its own proxy.
    for (origin, _) in own {
        let at = origin.address.port();
        let count = seen.iter().filter(|seen| seen.to == at).count();
        assert!(count >= TIMES, "{count} packets to an application");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_mesh_the_same_capture_reads_what_a_gateway_sends() {
    let (fleet, origin) = (Fleet::start(Plan::default()).await, Origin::start("plain").await);
    let (web, marker) = (SocketAddr::from(([127, 0, 0, 1], free_port())), marker());
    let text = format!(
        "apiVersion: heddle.dev/v1alpha1\nkind: Workload\nmetadata:\n  name: plain-1\n  \
         namespace: shop\n  labels: {{ app: plain }}\nspec:\n  cluster: local\n  \
         serviceAccount: plain\n  address: 127.0.0.1\n  ports: [{{ name: http, port: {} }}]\n---\n\
         apiVersion: v1\nkind: Service\nmetadata: {{ name: plain, namespace: shop }}\nspec:\n  \
         selector: {{ app: plain }}\n  ports: [{{ port: 80, targetPort: http }}]\n---\n\
         apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\n\
         metadata: {{ name: plain, namespace: shop }}\nspec:\n  \
         parentRefs: [{{ name: edge, namespace: platform }}]\n  hostnames: [{HOST}]\n  rules:\n    \
         - backendRefs: [{{ name: plain, port: 80 }}]\n---\n",
        origin.address.port()
    );
    let revision = fleet.change(&(edge(web.port()) + &text)).await;
    let gateway = fleet.join_in("local", Kind::Gateway, "edge").await;
    fleet.until_everywhere(revision).await;
    let capture = Capture::start(&marker);
    for _ in 0..TIMES {
        echoes(web, HOST, &marker).await;
    }
    let at = origin.address.port();
    let is_leak = |seen: &&Seen| seen.to == at && holds(gateway.pid(), seen.from);
    let seen = capture.end();
    let count = seen.iter().filter(is_leak).count();
    assert!(count >= TIMES, "{count} of {} packets", seen.len());
}
