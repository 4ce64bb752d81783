//! The way of one request through three services, and what is said when it breaks.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::service::Service;
use crate::upstream::{CallFailure, Upstream};

use super::*;

#[tokio::test]
async fn a_request_at_the_storefront_shows_every_service_on_its_way() {
    let catalog = Running::catalog().await;
    let orders = Running::orders(catalog.address).await;
    let storefront = Running::storefront(orders.address).await;

    let answer = storefront.get("/").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.headers["x-served-by"], "storefront-v1");
    assert_eq!(answer.headers["content-type"], "application/json");

    let mut page = answer.json();
    let mut seen: Vec<[String; 3]> = Vec::new();
    while page.is_object() {
        seen.push(["service", "version", "cluster"].map(|key| page[key].as_str().unwrap().into()));
        page = page["called"].take();
    }
    let expected = [
        ["storefront", "v1", "west"].map(str::to_owned),
        ["orders", "v1", "east"].map(str::to_owned),
        ["catalog", "v2", "east"].map(str::to_owned),
    ];
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn http2_by_prior_knowledge_is_answered_like_http1() {
    let catalog = Running::catalog().await;
    let request = Request::get(catalog.url("/headers?a=b")).body(Full::default()).unwrap();
    let mut client = Client::builder(TokioExecutor::new());
    client.http2_only(true);
    let head = exchange(client, request).await.json();
    assert_eq!(head["protocol"], "HTTP/2.0");
    assert_eq!(head["authority"], catalog.address.to_string());

    let head = catalog.get("/headers?a=b").await.json();
    assert_eq!(head["protocol"], "HTTP/1.1");
    assert_eq!((&head["method"], &head["path"]), (&"GET".into(), &"/headers".into()));
    assert_eq!(head["query"], "a=b");
    assert_eq!(head["headers"]["host"][0], catalog.address.to_string());
}

#[tokio::test]
async fn of_what_the_caller_sent_only_trace_and_baggage_travel_on() {
    let mut catalog = Fake::answering("200 OK", "{}").await;
    let orders = Running::orders(catalog.address).await;
    let storefront = Running::storefront(orders.address).await;
    let sent = [
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ("baggage", "shelf=3"),
        ("baggage", "row=1"),
        ("tracestate", "a=b"),
        ("authorization", "Bearer example"),
        ("x-api-key", "example"),
        ("x-request-id", "7"),
        ("cookie", "a=b"),
    ];
    assert_eq!(storefront.send(Method::GET, "/", &sent, "").await.status, StatusCode::OK);

    let head = catalog.head().await;
    let lines: BTreeSet<&str> = head.trim_end().lines().collect();
    let host = format!("host: {}", catalog.address);
    let traceparent = format!("traceparent: {}", sent[0].1);
    let expected =
        ["GET /catalog HTTP/1.1", &host, &traceparent, "baggage: shelf=3", "baggage: row=1"];
    assert_eq!(lines, BTreeSet::from(expected));
}

#[tokio::test]
async fn through_a_proxy_calls_keep_the_name_of_whom_they_are_for() {
    let mut proxy = Fake::answering("200 OK", "{}").await;
    let flags = "--service storefront --orders http://orders.bookshop --proxy";
    let storefront = Running::start(&format!("{flags} {}", proxy.address)).await;
    assert_eq!(storefront.get("/").await.status, StatusCode::OK);
    let head = proxy.head().await;
    let lines: BTreeSet<&str> = head.trim_end().lines().collect();
    assert_eq!(lines, BTreeSet::from(["GET /orders HTTP/1.1", "host: orders.bookshop"]));
}

#[tokio::test]
async fn an_order_is_taken_for_a_book_that_the_catalog_has() {
    let catalog = Running::catalog().await;
    let orders = Running::orders(catalog.address).await;

    let taken = orders.order(r#"{"book":"odyssey","copies":2}"#).await;
    assert_eq!(taken.status, StatusCode::CREATED);
    assert_eq!(taken.headers["location"], "/orders/1");
    assert_eq!(taken.json()["called"]["book"]["title"], "The Odyssey");
    assert_eq!(orders.get("/orders/1").await.json()["order"]["copies"], 2);
    assert_eq!(orders.get("/orders").await.json()["orders"][0]["book"], "odyssey");

    let refused = orders.order(r#"{"book":"no-such-book"}"#).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(orders.get("/orders").await.json()["taken"], 1);
    assert_eq!(orders.get("/orders/2").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn only_the_second_catalog_rates_its_books() {
    let first = Running::start("--service catalog").await;
    let second = Running::catalog().await;
    assert!(first.get("/catalog/odyssey").await.json()["book"]["rating"].is_null());
    assert_eq!(second.get("/catalog/odyssey").await.json()["book"]["rating"], 5);
    assert_eq!(first.get("/catalog/odyssey").await.headers["x-served-by"], "catalog-v1");
    assert_eq!(second.get("/catalog/no").await.headers["x-served-by"], "catalog-v2");
}

#[tokio::test]
async fn a_catalog_that_is_down_is_named_all_the_way_up() {
    let orders = Running::orders(nowhere().await).await;
    let storefront = Running::storefront(orders.address).await;

    let answer = storefront.get("/").await;
    assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
    let page = answer.json();
    assert_eq!((&page["service"], &page["failed"]), (&"storefront".into(), &"catalog".into()));
    assert_eq!(page["error"], "orders answered 502 Bad Gateway");
    assert_eq!(page["called"]["service"], "orders");
    assert_eq!(page["called"]["error"], "catalog could not be reached");

    let taken = orders.order(r#"{"book":"odyssey"}"#).await;
    assert_eq!(
        (taken.status, &taken.json()["failed"]),
        (502.try_into().unwrap(), &"catalog".into())
    );
}

#[tokio::test]
async fn orders_that_are_down_are_named_by_the_storefront() {
    let storefront = Running::storefront(nowhere().await).await;
    let answer = storefront.get("/").await;
    assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
    assert_eq!(answer.json()["failed"], "orders");
    assert_eq!(storefront.get("/healthz").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_refusal_without_json_tells_its_status() {
    let catalog = Fake::answering("403 Forbidden", "denied by policy").await;
    let orders = Running::orders(catalog.address).await;
    let answer = orders.get("/orders").await;
    assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
    let page = answer.json();
    assert_eq!((&page["failed"], &page["status"]), (&"catalog".into(), &403.into()));
    assert!(page.get("called").is_none());
}

#[tokio::test]
async fn a_reply_that_is_not_json_or_too_large_is_a_bad_gateway() {
    let large = format!("\"{}\"", "x".repeat(300_000));
    for body in ["<html>", "", &large] {
        let catalog = Fake::answering("200 OK", body).await;
        let orders = Running::orders(catalog.address).await;
        let answer = orders.get("/orders").await;
        assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
        let error = "catalog answered something that is not JSON of a bounded size";
        assert_eq!(answer.json()["error"], error);
    }
}

#[tokio::test]
async fn a_silent_upstream_is_given_up_at_the_deadline() {
    let silent = Fake::start(Vec::new()).await;
    let base = format!("http://{}", silent.address).parse().unwrap();
    let upstream = Upstream::new(Service::Orders, base, None, Duration::from_millis(50));
    let failure = upstream.get("/orders", &HeaderMap::new()).await.unwrap_err();
    assert!(matches!(failure, CallFailure::Late { service: Service::Orders, .. }));
    assert_eq!(failure.to_string(), "orders did not answer within 50 ms");
}
