//! What is counted, and where everything that a stranger can make grow ends.

use serde_json::json;

use crate::book::BookId;
use crate::orders::{LARGEST_ORDER, MOST_KEPT};
use crate::service::Version;
use crate::stats::{LONGEST_PATH, MOST_PATHS, OTHER, Stats};
use crate::upstream::BaseUrl;

use super::*;

#[tokio::test]
async fn each_service_counts_what_it_received_but_not_who_watches_it() {
    let catalog = Running::catalog().await;
    let orders = Running::orders(catalog.address).await;
    let fresh = json!({
        "service": "catalog", "version": "v2", "cluster": "east", "requests": 0, "by_path": {},
    });
    assert_eq!(catalog.get("/stats").await.json(), fresh);

    for path in ["/orders", "/orders?page=2", "/nothing", "/healthz", "/stats"] {
        orders.get(path).await;
    }
    orders.order(r#"{"book":"odyssey"}"#).await;

    let received = orders.get("/stats").await.json();
    assert_eq!(received["requests"], 4);
    assert_eq!(received["by_path"], json!({ "/orders": 3, "/nothing": 1 }));
    let received = catalog.get("/stats").await.json();
    assert_eq!(received["requests"], 3);
    assert_eq!(received["by_path"], json!({ "/catalog": 2, "/catalog/odyssey": 1 }));
}

#[test]
fn paths_beyond_the_bound_are_counted_together() {
    let stats = Stats::default();
    stats.count(&format!("/{}", "x".repeat(LONGEST_PATH)));
    stats.count("*");
    for number in 0..MOST_PATHS + 5 {
        stats.count(&format!("/{number}"));
    }
    stats.count("/0");
    let counts = stats.counts();
    assert_eq!(counts.requests, MOST_PATHS as u64 + 8);
    assert_eq!(counts.by_path.len(), MOST_PATHS + 1);
    assert_eq!((counts.by_path[OTHER], counts.by_path["/0"]), (7, 2));
}

#[tokio::test]
async fn the_oldest_order_is_forgotten_first() {
    let catalog = Running::catalog().await;
    let orders = Running::orders(catalog.address).await;
    for _ in 0..=MOST_KEPT {
        assert_eq!(orders.order(r#"{"book":"shirley"}"#).await.status, StatusCode::CREATED);
    }
    let page = orders.get("/orders").await.json();
    assert_eq!(page["taken"], MOST_KEPT + 1);
    assert_eq!(page["orders"].as_array().unwrap().len(), MOST_KEPT);
    assert_eq!(page["orders"][0]["id"], 2);
}

#[tokio::test]
async fn a_bad_order_is_refused_before_the_catalog_hears_of_it() {
    let catalog = Running::catalog().await;
    let orders = Running::orders(catalog.address).await;
    let large = format!(r#"{{"book":"{}"}}"#, "x".repeat(LARGEST_ORDER));
    let cases = [
        ("", StatusCode::BAD_REQUEST),
        ("{}", StatusCode::BAD_REQUEST),
        (r#"{"book":"../stats"}"#, StatusCode::BAD_REQUEST),
        (r#"{"book":"odyssey","price":0}"#, StatusCode::BAD_REQUEST),
        (r#"{"book":"odyssey","copies":0}"#, StatusCode::BAD_REQUEST),
        (r#"{"book":"odyssey","copies":1001}"#, StatusCode::BAD_REQUEST),
        (&large, StatusCode::PAYLOAD_TOO_LARGE),
    ];
    for (order, status) in cases {
        assert_eq!(orders.order(order).await.status, status, "{order:.40}");
    }
    assert_eq!(catalog.get("/stats").await.json()["requests"], 0);
}

#[tokio::test]
async fn slowness_is_bounded() {
    let catalog = Running::catalog().await;
    assert_eq!(catalog.get("/slow?ms=20").await.json()["waited_ms"], 20);
    for query in ["", "?ms=", "?ms=-1", "?ms=10001", "?ms=99999999999999999999", "?s=1"] {
        let answer = catalog.get(&format!("/slow{query}")).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{query}");
    }
}

#[tokio::test]
async fn a_path_says_which_methods_it_knows() {
    let catalog = Running::catalog().await;
    let orders = Running::orders(catalog.address).await;
    let answer = orders.send(Method::DELETE, "/orders", &[], "").await;
    assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(answer.headers["allow"], "GET, HEAD, POST");
    let answer = catalog.send(Method::POST, "/catalog", &[], "").await;
    assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(answer.headers["allow"], "GET, HEAD");

    let answer = catalog.send(Method::HEAD, "/catalog", &[], "").await;
    let length = catalog.get("/catalog").await.body.len();
    assert_eq!((answer.status, answer.body.len()), (StatusCode::OK, 0));
    assert_eq!(answer.headers["content-length"], length.to_string());
}

#[test]
fn names_and_addresses_are_parsed_at_the_border() {
    for id in ["odyssey", "a", "7-x", &"x".repeat(64)] {
        assert!(BookId::try_from(id.to_owned()).is_ok(), "{id}");
    }
    for id in ["", "A", "a/b", "a?b", "ä", "..", &"x".repeat(65)] {
        assert!(BookId::try_from(id.to_owned()).is_err(), "{id}");
    }
    for url in ["http://127.0.0.1:9102", "http://orders/", "http://[::1]:80"] {
        assert!(url.parse::<BaseUrl>().is_ok(), "{url}");
    }
    for url in ["", "orders:9102", "https://orders", "http://orders/v1", "http://", "/orders"] {
        assert!(url.parse::<BaseUrl>().is_err(), "{url}");
    }
}

#[test]
fn a_service_listens_by_custom_unless_told_otherwise() {
    let listen = |flags: &[&str]| {
        let args = Args::try_parse_from(["bookshop"].iter().chain(flags)).unwrap();
        args.listen().to_string()
    };
    assert_eq!(listen(&["--service", "storefront"]), "127.0.0.1:9101");
    assert_eq!(listen(&["--service", "orders", "--version", "v2"]), "127.0.0.1:9102");
    assert_eq!(listen(&["--service", "catalog"]), "127.0.0.1:9103");
    assert_eq!(listen(&["--service", "catalog", "--version", "v2"]), "127.0.0.1:9104");
    assert_eq!(listen(&["--service", "catalog", "--listen", "[::1]:7"]), "[::1]:7");
    let args = Args::try_parse_from(["bookshop", "--service", "catalog"]).unwrap();
    assert_eq!((args.version, args.cluster.as_str()), (Version::V1, "local"));
    assert!(Args::try_parse_from(["bookshop"]).is_err());
}
