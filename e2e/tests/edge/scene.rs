//! What several tests set up and look for.

use std::net::SocketAddr;

use e2e::{Gateway, Origin, Reply, Setup, yaml};
use serde_json::Value;

/// The host that most tests ask for.
pub(crate) const HOST: &str = "shop.test";

/// A setup in which everything goes to the Service `shop` at the origin.
pub(crate) async fn shop() -> (Origin, Setup) {
    let origin = Origin::start("shop").await;
    let setup = Setup::new()
        .with(yaml::service("shop", &[origin.address]))
        .with(yaml::path_route("all", "/", "shop"));
    (origin, setup)
}

/// The same, started.
pub(crate) async fn open_shop() -> (Origin, Gateway) {
    let (origin, setup) = shop().await;
    (origin, setup.start().await)
}

/// A port on which nobody listens.
pub(crate) fn closed() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], e2e::program::free_port()))
}

/// The origin answered, and the log agrees; gives the log's line.
pub(crate) async fn answered(gateway: &Gateway, reply: &Reply, origin: &str) -> Value {
    assert_eq!((reply.status, reply.origin()), (200, origin), "{reply:?}");
    let line = gateway.logged(reply).await;
    assert_eq!((&line["status"], &line["reason"]), (&200.into(), &"ok".into()), "{line}");
    line
}

/// The gateway itself answered `status` for `reason`, in head, body and log alike; gives the
/// log's line.
pub(crate) async fn refused(gateway: &Gateway, reply: &Reply, status: u16, reason: &str) -> Value {
    let id = reply.header("x-request-id");
    assert_eq!((reply.status, reply.origin()), (status, ""), "{reply:?}");
    assert_eq!(reply.header("content-type"), "application/problem+json");
    let said = serde_json::json!({ "status": status, "reason": reason, "request_id": id });
    assert_eq!(reply.json(), said);
    let line = gateway.logged(reply).await;
    assert_eq!((&line["status"], &line["reason"]), (&status.into(), &reason.into()), "{line}");
    line
}

/// Whether `count` of `all` is what chance `share` gives: within five standard deviations, which
/// chance alone leaves once in two million runs.
#[track_caller]
pub(crate) fn assert_share(count: usize, all: usize, share: f64) {
    let (count, all) = (count as f64, all as f64);
    let bound = 5.0 * (all * share * (1.0 - share)).sqrt();
    assert!((count - all * share).abs() <= bound, "{count} of {all} for a share of {share}");
}
