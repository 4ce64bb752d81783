//! Who attaches by the labels of their namespace: while the file says so, and from one reload to the next.

use std::net::{Ipv4Addr, SocketAddr};

use e2e::client::{Fault, nothing, request};
use e2e::program::free_port;
use e2e::{Connection, Origin, Reply, Setup, wait, yaml};

use crate::scene::{answered, refused};

const LABELS: &str = "labels.yaml";
const WEB: &str = "web.test";
/// The host of the listener that the team adds.
const OWN: &str = "own.test";

/// The Gateway `infra/door`, which takes routes and ListenerSets of namespaces that its selector picks.
fn door(port: u16, selector: &str) -> String {
    let picked = format!("{{ namespaces: {{ from: Selector, selector: {selector} }} }}");
    let listener = format!(
        "{{ name: door, port: {port}, protocol: HTTP, hostname: {WEB}, allowedRoutes: {picked} }}"
    );
    let gateway = yaml::gateway(&[listener]).replace("name: edge,", "name: door,");
    gateway.replace("namespace: shop", "namespace: infra")
        + &format!("  allowedListeners: {picked}\n")
}

/// A route of the team to what takes it.
fn led(name: &str, parent: &str) -> String {
    yaml::path_route(name, "/", "shop").replace("{ name: edge }", parent)
}

/// What the namespace of the team is labelled.
fn labels(labels: &str) -> String {
    format!("apiVersion: v1\nkind: Namespace\nmetadata: {{ name: shop, labels: {labels} }}\n")
}

/// The team's Service, its route at the Gateway, and its set there with another one; with the door's port.
async fn scene(selector: &str) -> (Origin, Setup, u16) {
    let (origin, port) = (Origin::start("shop").await, free_port());
    let spec = format!(
        "spec:\n  parentRef: {{ name: door, namespace: infra }}\n  listeners: [{}]",
        yaml::http_for("own", port, OWN)
    );
    let setup = Setup::new()
        .with(door(port, selector))
        .with(yaml::service("shop", &[origin.address]))
        .with(led("web", "{ name: door, namespace: infra }"))
        .with(yaml::document("gateway.networking.k8s.io/v1", "ListenerSet", "set", &spec))
        .with(led("own", "{ kind: ListenerSet, name: set }"));
    (origin, setup, port)
}

/// What is answered at the door.
async fn ask(port: u16, host: &str) -> Result<Reply, Fault> {
    let asked = request("GET", host, "/").body(nothing()).expect("a request");
    let mut connection = Connection::h1(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
    connection.send(asked).await
}

async fn until_status(port: u16, host: &str, status: u16) {
    wait::until_true_of(&format!("{host} to be answered {status}"), async || {
        ask(port, host).await.is_ok_and(|reply| reply.status == status)
    })
    .await;
}

#[tokio::test]
async fn routes_and_sets_are_served_while_their_namespace_has_the_label() {
    let (_origin, setup, port) = scene("{ matchLabels: { team: shop } }").await;
    let gateway = setup.start().await;
    gateway.until_said("and the namespace has none of that name").await;
    refused(&gateway, &ask(port, WEB).await.unwrap(), 404, "no_route").await;
    gateway.write(LABELS, &labels("{ team: shop }"));
    for host in [WEB, OWN] {
        until_status(port, host, 200).await;
        answered(&gateway, &ask(port, host).await.unwrap(), "shop").await;
    }
    // One that cannot be read stays as it was.
    gateway.write(LABELS, &labels("{ team: -bank }"));
    gateway.until_said("'-bank' is no value of a label").await;
    for host in [WEB, OWN] {
        answered(&gateway, &ask(port, host).await.unwrap(), "shop").await;
    }
    gateway.write(LABELS, &labels("{ team: bank }"));
    gateway.until_said("and the namespace has 'bank' there").await;
    for host in [WEB, OWN] {
        until_status(port, host, 404).await;
    }
    gateway.write(LABELS, &labels("{ team: shop }"));
    until_status(port, OWN, 200).await;
    std::fs::remove_file(gateway.file(LABELS)).expect("the file of the labels is there");
    for host in [WEB, OWN] {
        until_status(port, host, 404).await;
    }
}

#[tokio::test]
async fn of_labels_that_nobody_could_read_yet_nothing_holds() {
    let selector = "{ matchExpressions: [{ key: team, operator: DoesNotExist }] }";
    let (_origin, setup, port) = scene(selector).await;
    let gateway = setup.file(LABELS, labels("{ team: -bank }")).start().await;
    gateway.until_said("and the labels of the namespace cannot be read").await;
    refused(&gateway, &ask(port, WEB).await.unwrap(), 404, "no_route").await;
    gateway.write(LABELS, &labels("{ stage: test }"));
    for host in [WEB, OWN] {
        until_status(port, host, 200).await;
        answered(&gateway, &ask(port, host).await.unwrap(), "shop").await;
    }
}
