//! Why an endpoint gets no requests, asked of the server.

use std::net::SocketAddr;

use e2e::client::{nothing, request};
use e2e::people::heddle;
use e2e::program::{ended, free_port};
use e2e::{Connection, fleet, wait};
use serde_json::Value;

use crate::scene::{SHOP, Scene};

const PATH: &str = "/services/shop/app/endpoints";

/// What is said of the endpoint at an address.
fn at(told: &Value, address: SocketAddr) -> Value {
    let mut endpoints = told["ports"].as_array().into_iter().flatten();
    let endpoints = endpoints.next().and_then(|port| port["endpoints"].as_array());
    let mut endpoints = endpoints.into_iter().flatten();
    let address = address.to_string();
    endpoints.find(|one| one["address"] == address.as_str()).cloned().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_tells_why_an_endpoint_gets_no_requests() {
    let scene = Scene::new(fleet::Plan::default()).await;
    let (gone, unready) = (free_port(), free_port());
    let more = format!(
        "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata:\n  name: app-2\n  \
         namespace: shop\n  labels: {{ kubernetes.io/service-name: app }}\n\
         addressType: IPv4\nports: [{{ port: {gone} }}]\nendpoints: [{{ addresses: ['127.0.0.1'] }}]\n\
         ---\n\
         apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata:\n  name: app-3\n  \
         namespace: shop\n  labels: {{ kubernetes.io/service-name: app }}\n\
         addressType: IPv4\nports: [{{ port: {unready} }}]\n\
         endpoints: [{{ addresses: ['127.0.0.1'], conditions: {{ ready: false }} }}]\n"
    );
    let revision = scene.fleet.change(&more).await;
    scene.fleet.until_everywhere(revision).await;
    let [gone, unready] = [gone, unready].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    wait::until_true_of("the server to learn of an endpoint that cannot be reached", async || {
        let mut connection = Connection::h1(scene.web).await.expect("the gateway listens");
        let asked = request("GET", SHOP, "/").body(nothing()).expect("a well-formed request");
        assert_eq!(connection.send(asked).await.expect("an answer").status, 200);
        let told = scene.fleet.get(PATH).await;
        let resting = &at(&told, gone)["resting"][0];
        ["cluster", "node", "cause"].map(|field| &resting[field]) == ["local", "edge", "failing"]
    })
    .await;
    let told = scene.fleet.get(PATH).await;
    assert_eq!(at(&told, scene.origin.address)["getsRequests"], "yes", "{told:#}");
    let said = at(&told, gone)["getsRequests"].as_str().unwrap_or_default().to_owned();
    assert!(said.starts_with("not from local/edge: it could not be reached: "), "{said}");
    let said = &at(&told, unready)["getsRequests"];
    assert_eq!(said, "no: its EndpointSlice says that it is not ready", "{told:#}");
    // People ask by name.
    let mut describe = heddle(&scene.fleet);
    describe.env("HEDDLE_TOKEN", scene.fleet.token());
    let shown = ended(describe.args(["describe", "service/app", "-n", "shop"]));
    assert_eq!(shown.code, 0, "{shown:?}");
    for word in ["GETS REQUESTS", &gone.to_string(), "not from local/edge", "not ready"] {
        assert!(shown.stdout.contains(word), "{word}: {}", shown.stdout);
    }
}
