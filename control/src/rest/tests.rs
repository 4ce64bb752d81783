//! The table and what is made of it.

use axum::body::to_bytes;
use axum::extract::ConnectInfo;
use store::{Location, Store};
use tower::ServiceExt as _;

use super::*;

#[test]
fn no_two_operations_are_the_same() {
    let mut seen = std::collections::BTreeSet::new();
    let mut ids = std::collections::BTreeSet::new();
    for operation in OPERATIONS {
        assert!(seen.insert((operation.path, operation.method.word())), "{}", operation.id);
        assert!(ids.insert(operation.id), "{}", operation.id);
        assert!(!operation.answers.is_empty(), "{}", operation.id);
    }
}

#[test]
fn the_checked_in_document_is_that_of_the_table() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/openapi.json");
    let on_disk = std::fs::read_to_string(path).unwrap_or_default();
    assert!(on_disk == document_text(), "run cargo xtask codegen and commit docs/openapi.json");
}

#[test]
fn every_reference_of_the_document_leads_somewhere() {
    let document = document();
    let text = document.to_string();
    for behind in text.split("\"$ref\":\"#").skip(1) {
        let (pointer, _) = behind.split_once('"').unwrap();
        assert!(document.pointer(pointer).is_some(), "{pointer}");
    }
}

#[tokio::test]
async fn every_operation_answers_where_the_table_says() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&Location::Folder(folder.path().to_owned())).await.unwrap();
    let (_stop, stopping) = watch::channel(false);
    let rest = Rest::new(Arc::new(App::new(store)), Settings::default(), stopping);
    for operation in OPERATIONS {
        let path = operation.path.replace(['{', '}'], "");
        let asked = Request::builder()
            .method(operation.method.word().to_uppercase().as_str())
            .uri(format!("{BASE}{path}"))
            .header(header::HOST, "localhost");
        let reply = rest.router().oneshot(asked.body(Body::empty()).unwrap()).await.unwrap();
        let expected = match operation.id {
            "openapi" | "login_provider_list" => StatusCode::OK,
            // There is no body, which is no JSON.
            "session_create" => StatusCode::BAD_REQUEST,
            _ => StatusCode::UNAUTHORIZED,
        };
        assert_eq!(reply.status(), expected, "{}", operation.id);
    }
}

#[tokio::test]
async fn a_store_that_is_gone_is_said_to_be_away() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&Location::Folder(folder.path().to_owned())).await.unwrap();
    let (_stop, stopping) = watch::channel(false);
    let app = Arc::new(App::new(store));
    let rest = Rest::new(Arc::clone(&app), Settings::default(), stopping);
    let ask = async |path: &str| {
        let asked = Request::get(path)
            .header(header::HOST, "localhost")
            .header(header::AUTHORIZATION, format!("Bearer hdl_{}", "a".repeat(43)));
        rest.router().oneshot(asked.body(Body::empty()).unwrap()).await.unwrap()
    };
    assert_eq!(ask("/readyz").await.status(), StatusCode::OK);
    app.store().close().await;
    assert_eq!(ask("/readyz").await.status(), StatusCode::SERVICE_UNAVAILABLE);
    let reply = ask("/api/v1/session").await;
    assert_eq!(reply.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(reply.headers().contains_key(header::RETRY_AFTER));
    let body = to_bytes(reply.into_body(), 1 << 16).await.unwrap();
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["type"], "https://heddle.dev/problems/unavailable");
}

/// The operations over an empty store.
pub(super) async fn rest(folder: &tempfile::TempDir) -> Arc<Rest> {
    let store = Store::open(&Location::Folder(folder.path().to_owned())).await.unwrap();
    let (_, stopping) = watch::channel(false);
    Rest::new(Arc::new(App::new(store)), Settings::default(), stopping)
}

/// What a request for a session with this body is answered with.
pub(super) async fn sign_in(rest: &Arc<Rest>, body: impl Into<Body>) -> Response {
    sign_in_from(std::net::Ipv4Addr::LOCALHOST, rest, body).await
}

/// The same from an address.
pub(super) async fn sign_in_from(
    address: std::net::Ipv4Addr,
    rest: &Arc<Rest>,
    body: impl Into<Body>,
) -> Response {
    let peer = ConnectInfo(std::net::SocketAddr::from((address, 1)));
    let asked = Request::post(format!("{BASE}/session")).header(header::HOST, "localhost");
    let asked = asked.extension(peer).body(body.into()).unwrap();
    rest.router().oneshot(asked).await.unwrap()
}

#[tokio::test]
async fn a_nul_in_a_body_is_wrong_and_not_the_stores_fault() {
    let folder = tempfile::tempdir().unwrap();
    let rest = rest(&folder).await;
    let body = "{\n\"user\":\"a\\u0000b\",\"password\":\"x\"}";
    let reply = sign_in(&rest, body).await;
    assert_eq!(reply.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let told = to_bytes(reply.into_body(), 1 << 16).await.unwrap();
    let told: serde_json::Value = serde_json::from_slice(&told).unwrap();
    assert_eq!(told["faults"][0]["line"], 2);
    let reason = told["faults"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("the string at column 10 holds the character NUL"), "{reason}");
}

#[tokio::test]
async fn no_debug_form_of_a_request_shows_what_was_sent() {
    const MARKER: &str = "marker-that-must-not-show";
    let folder = tempfile::tempdir().unwrap();
    let headers = [header::COOKIE, header::AUTHORIZATION, guard::CSRF];
    let marked = |name| (name, axum::http::HeaderValue::from_static(MARKER));
    let ask = Ask {
        rest: rest(&folder).await,
        operation: "session_create",
        caller: None,
        path: [("id".to_owned(), MARKER.to_owned())].into(),
        query: vec![("user".to_owned(), MARKER.to_owned())],
        headers: headers.map(marked).into_iter().collect(),
        body: MARKER.into(),
        address: std::net::Ipv4Addr::LOCALHOST.into(),
        request_id: "r".to_owned(),
        now: time::OffsetDateTime::UNIX_EPOCH,
    };
    let shown = format!("{ask:?}");
    assert!(!shown.contains(MARKER), "{shown}");
    assert!(shown.contains("session_create"), "{shown}");
}
