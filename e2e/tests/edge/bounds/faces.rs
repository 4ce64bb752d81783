//! One bound on connections for Gateways that show different certificates to a backend.

use std::net::{Ipv4Addr, SocketAddr};

use e2e::client::{nothing, request};
use e2e::program::free_port;
use e2e::trust::Authority;
use e2e::{Connection, Origin, Setup, wait, yaml};

use super::{ONE, assert_most, begun, bounds, ended, told, until_nothing_leaked, until_waiting};
use crate::scene::{HOST, answered};

const NAME: &str = "orders.internal";

#[tokio::test]
async fn gateways_that_show_different_certificates_share_the_bound_and_no_connection() {
    let (authority, callers) = (Authority::new(), Authority::new());
    let origin = Origin::start_tls("shop", authority.server(&[NAME], Some(&callers))).await;
    let [own, others] = ["edge.test", "side.test"].map(|name| callers.sign_client(name));
    let port = free_port();
    let side = yaml::proving_gateway(&[yaml::http("side", port)], None, Some("others"));
    let trusted = format!(
        "{{ caCertificateRefs: [{{ group: '', kind: ConfigMap, name: ca }}], hostname: {NAME} }}"
    );
    let route = "spec:\n  parentRefs: [{ name: edge }, { name: side }]\n  \
                 rules: [{ backendRefs: [{ name: shop, port: 80 }] }]";
    let gateway = Setup::new()
        .arguments(ONE)
        .showing(Some("own"))
        .with(side.replace("name: edge,", "name: side,"))
        .with(yaml::tls_secret("own", &own))
        .with(yaml::tls_secret("others", &others))
        .with(yaml::bundle("ca", &authority))
        .with(yaml::backend_tls("shop", &trusted))
        .with(yaml::service("shop", &[origin.address]))
        .with(bounds("connections: 1, pendingTimeout: 20s"))
        .with(yaml::document("gateway.networking.k8s.io/v1", "HTTPRoute", "all", route))
        .start()
        .await;
    let shown = || origin.last().sealed.and_then(|sealed| sealed.shown);
    let held = begun(&gateway, "/gate");
    wait::until_true("one under way", || origin.count() == 1).await;
    assert_eq!(shown(), Some(own.der.clone()));
    let waits = tokio::spawn(async move {
        let asked = request("GET", HOST, "/").body(nothing())?;
        let side = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Connection::h1(side).await?.send(asked).await
    });
    until_waiting(&gateway, 1).await;
    origin.open_gate();
    answered(&gateway, &ended(held).await, "shop").await;
    answered(&gateway, &ended(waits).await, "shop").await;
    // What came back was closed for it, and so is its own for who comes next.
    assert_eq!(shown(), Some(others.der));
    answered(&gateway, &gateway.get(HOST, "/").await, "shop").await;
    assert_eq!((shown(), origin.connections()), (Some(own.der), 3));
    assert_eq!(told(&gateway).await["open"], 1);
    let origins = [origin];
    until_nothing_leaked(&gateway, &origins).await;
    assert_most(&origins, 1);
}
