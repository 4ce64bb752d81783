//! What every address of the server answers, asked without a socket.

use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use tower::ServiceExt as _;

use super::*;

async fn ask(path: &str) -> (StatusCode, String) {
    let router = router(&Site(PathBuf::from("no-such-folder")));
    let request = Request::get(path).body(Body::empty()).unwrap();
    let response = router.oneshot(request).await.unwrap();
    let status = response.status();
    let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn the_start_page_is_whole_before_any_script_runs() {
    let (status, html) = ask("/").await;
    assert_eq!(status, StatusCode::OK);
    assert!(html.contains("<title>Start · Heddle</title>"), "{html}");
    assert!(html.contains("Pass the shuttle</button>"), "{html}");
    assert!(html.contains("/pkg/console_bg.wasm"), "{html}");
}

#[tokio::test]
async fn an_unknown_path_is_a_page_with_404() {
    let (status, html) = ask("/nothing/here").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(html.contains("No such page</h1>"), "{html}");
}

#[tokio::test]
async fn an_unknown_file_is_404_without_a_page() {
    let (status, body) = ask("/pkg/nothing.js").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_eq!(body, "");
}

#[test]
fn a_folder_without_the_browsers_half_is_refused_by_name() {
    let refused = Site::open(Path::new("no-such-folder")).unwrap_err().to_string();
    assert!(refused.contains("no-such-folder/pkg/console.js"), "{refused}");
    assert!(refused.contains("cargo xtask wasm"), "{refused}");
}
