//! The way of a request as programs read it.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::http::{Request, header};
use serde_json::json;
use store::Entry;
use store::node::Node;
use store::token::Token;
use store::user::User;
use tokio::sync::watch;
use tower::ServiceExt as _;

use super::*;
use crate::fleet::Fleet;
use crate::moment::micros;
use crate::rest::{BASE, Rest, Settings};
use crate::seeing::{Seeing, Window};
use crate::test::Bed;
use crate::{App, Clock};

const TOKEN: &str = "hdl_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

/// Gives `root` the token [`TOKEN`], and has a gateway tell some decisions.
pub(in crate::rest) async fn told(bed: &Bed, decisions: Vec<Decision>) {
    let now = micros(time::OffsetDateTime::now_utc());
    let user = User {
        id: "u1".to_owned(),
        name: "root".to_owned(),
        password: Some("none that anybody has".to_owned()),
        disabled: false,
        created: now,
        updated: now,
    };
    bed.store.user_create(&user, &Entry::default()).await.unwrap();
    let token = Token {
        id: "t1".to_owned(),
        user: "u1".to_owned(),
        name: String::new(),
        hash: store::digest(TOKEN.as_bytes()),
        scopes: r#"{"scope":null,"role":null}"#.to_owned(),
        created: now,
        expires: None,
        revoked: None,
        seen: None,
    };
    bed.store.token_create(&token, &Entry::default()).await.unwrap();
    let node = Node {
        id: "n1".to_owned(),
        cluster: "east".to_owned(),
        kind: "gateway".to_owned(),
        name: "edge".to_owned(),
        version: String::new(),
        first_seen: now,
        last_seen: now,
        certificate: None,
        connected: true,
        standing: None,
    };
    bed.store.node_join(&node).await.unwrap();
    let fleet = Arc::new(Fleet::new(bed.store.clone(), Clock::system()));
    let app = Arc::new(App::new(bed.store.clone()));
    let seeing = Seeing::new(app, fleet, Clock::system(), Window::default());
    seeing.keep("n1", wire::Told { decisions, ..wire::Told::default() }).await.unwrap();
}

fn decision(span: u64) -> Decision {
    let key = |kind: &str| Key {
        kind: kind.to_owned(),
        namespace: "platform".to_owned(),
        name: "orders".to_owned(),
    };
    Decision {
        span: format!("{span:016x}"),
        trace: "a".repeat(32),
        request: format!("r-{span}"),
        at: 1_700_000_000_000_000 + i64::try_from(span).unwrap(),
        took: 7,
        vector: [("platform".to_owned(), 2)].into(),
        method: "GET".to_owned(),
        host: "shop.test".to_owned(),
        path: "/orders".to_owned(),
        route: Some(key("HTTPRoute")),
        status: Some(403),
        reason: "access_denied".to_owned(),
        policy: Some(key("AccessPolicy")),
        policy_rule: Some("nobody".to_owned()),
        story: Some(json!({ "reason": "access_denied", "levels": [], "change": "a key" })),
        ..Decision::default()
    }
}

/// Asks as `root`.
pub(in crate::rest) async fn reply(bed: &Bed, path: &str) -> Response {
    let (_stop, stopping) = watch::channel(false);
    let rest = Rest::new(Arc::clone(&bed.app), Settings::default(), stopping);
    let asked = Request::get(format!("{BASE}{path}"))
        .header(header::HOST, "localhost")
        .header(header::AUTHORIZATION, format!("Bearer {TOKEN}"));
    rest.router().oneshot(asked.body(Body::empty()).unwrap()).await.unwrap()
}

pub(in crate::rest) async fn ask(bed: &Bed, path: &str) -> (u16, Value) {
    let reply = reply(bed, path).await;
    let status = reply.status().as_u16();
    let body = to_bytes(reply.into_body(), 1 << 20).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap())
}

#[tokio::test]
async fn a_hop_says_all_that_may_be_said_and_null_where_there_is_nothing() {
    let bed = Bed::new().await;
    told(&bed, vec![decision(1)]).await;
    let (status, way) = ask(&bed, "/requests/r-1").await;
    let object = |kind: &str| json!({ "kind": kind, "namespace": "platform", "name": "orders" });
    let hop = json!({
        "hidden": false,
        "began": 0,
        "words": [
            "gateway edge of east denied it with 403 access_denied: by rule 'nobody' of AccessPolicy \
             platform/orders",
            "what would allow it: a key",
        ],
        "node": { "name": "edge", "cluster": "east", "kind": "gateway" },
        "side": "edge",
        "span": "0000000000000001",
        "parent": null,
        "at": "2023-11-14T22:13:20.000001Z",
        "took": 7,
        "backendTook": null,
        "status": 403,
        "reason": "access_denied",
        "method": "GET",
        "host": "shop.test",
        "path": "/orders",
        "peer": null,
        "caller": null,
        "route": object("HTTPRoute"),
        "rule": null,
        "backend": null,
        "endpoint": null,
        "attempts": 0,
        "policy": object("AccessPolicy"),
        "policyRule": "nobody",
        "vector": [{ "scope": "platform", "revision": 2 }],
        "passport": null,
        "detail": null,
        "story": { "reason": "access_denied", "levels": [], "change": "a key" },
        "change": "a key",
    });
    let wanted = json!({ "id": "r-1", "at": "2023-11-14T22:13:20.000001Z", "hops": [hop] });
    assert_eq!((status, way), (200, wanted));
    let (status, problem) = ask(&bed, "/requests/r-9").await;
    assert_eq!(
        (status, &problem["detail"]),
        (404, &json!("there is no such request; of those that passed only a share is kept"))
    );
}

#[tokio::test]
async fn the_latest_come_in_pages_and_by_reason() {
    let bed = Bed::new().await;
    let passed = Decision { reason: "ok".to_owned(), ..decision(2) };
    told(&bed, vec![decision(1), passed, decision(3)]).await;
    let list = async |query: &str| {
        let (status, page) = ask(&bed, &format!("/requests{query}")).await;
        assert_eq!(status, 200, "{page}");
        let items = page["items"].as_array().unwrap().iter();
        let ids: Vec<_> = items.map(|one| one["id"].as_str().unwrap().to_owned()).collect();
        (ids, page["next"].as_str().map(str::to_owned))
    };
    assert_eq!(list("").await, (["r-3", "r-2", "r-1"].map(str::to_owned).into(), None));
    assert_eq!(list("?denied=true").await.0, ["r-3", "r-1"]);
    assert_eq!(list("?reason=ok").await.0, ["r-2"]);
    let (first, next) = list("?limit=2").await;
    assert_eq!(first, ["r-3", "r-2"]);
    let next = format!("?limit=2&cursor={}", next.unwrap());
    assert_eq!(list(&next).await, (vec!["r-1".to_owned()], None));
    let (_, page) = ask(&bed, "/requests?limit=1").await;
    let glimpse = json!({
        "id": "r-3",
        "at": "2023-11-14T22:13:20.000003Z",
        "node": { "name": "edge", "cluster": "east", "kind": "gateway" },
        "method": "GET",
        "host": "shop.test",
        "path": "/orders",
        "status": 403,
        "reason": "access_denied",
    });
    assert_eq!(page["items"], json!([glimpse]));
    for (query, words) in [
        ("?reason=acces_denied", "did you mean 'access_denied'?"),
        ("?reason=ok&denied=true", "send one of them"),
        ("?failed=true&denied=true", "send one of them"),
        ("?failed=true&reason=ok", "send one of them"),
        ("?denied=yes", "is true or false"),
        ("?cursor=x", "no cursor that this list gave"),
    ] {
        let (status, problem) = ask(&bed, &format!("/requests{query}")).await;
        let detail = problem["detail"].as_str().unwrap();
        assert!(status == 422 && detail.contains(words), "{query}: {detail}");
    }
}
