//! Requests that are sent again: when, where to, how often, and when never.

use std::time::{Duration, Instant};

use e2e::client::{bytes, request};
use e2e::raw::Raw;
use e2e::{Gateway, Ill, Origin, Setup, yaml};
use http::Method;

use crate::scene::{HOST, answered, closed, refused};

/// A route to the Service `shop` with this `retry`, and what else its rule says.
fn route(retry: &str, rest: &str) -> String {
    let text =
        format!("rules: [{{ retry: {retry}, {rest} backendRefs: [{{ name: shop, port: 80 }}] }}]");
    yaml::route("all", &text)
}

/// One origin behind a rule with this `retry`.
async fn alone(retry: &str, rest: &str) -> (Origin, Gateway) {
    let origin = Origin::start("shop").await;
    let setup = Setup::new().with(yaml::service("shop", &[origin.address]));
    let gateway = setup.with(route(retry, rest)).start().await;
    (origin, gateway)
}

#[tokio::test]
async fn answers_that_a_rule_names_are_asked_for_again_and_others_are_passed_on() {
    let retry = "{ codes: [500, 503], attempts: 2, backoff: 1ms }";
    let (origin, gateway) = alone(retry, "").await;
    for (status, ills, wanted, tries) in
        [(500, 1, 200, 2), (503, 2, 200, 3), (503, 3, 503, 3), (502, 1, 502, 1), (404, 1, 404, 1)]
    {
        origin.ail(Ill::Answers(status), ills);
        let reply = gateway.get(HOST, "/").await;
        assert_eq!((reply.status, reply.origin()), (wanted, "shop"), "{status} {ills}");
        let line = gateway.logged(&reply).await;
        assert_eq!((&line["attempts"], &line["reason"]), (&tries.into(), &"ok".into()), "{line}");
    }
    let backend = ["backend=\"shop/shop:80\""];
    assert_eq!(gateway.metric("heddle_backend_retries_total", &backend).await, 5.0);
    assert_eq!(gateway.metric("heddle_retries_left_out_total", &[]).await, 0.0);
}

#[tokio::test]
async fn a_backend_that_breaks_off_is_asked_again_by_methods_that_may_be_repeated() {
    let (origin, gateway) = alone("{ attempts: 1, backoff: 1ms }", "").await;
    let send = async |method: Method, key: bool| {
        origin.ail(Ill::BreaksOff, 1);
        let mut asked = request(method.as_str(), HOST, "/sink");
        if key {
            asked = asked.header("idempotency-key", "order-7");
        }
        gateway.send(asked.body(bytes("one order")).expect("a request")).await
    };
    for (method, key) in [(Method::PUT, false), (Method::DELETE, false), (Method::POST, true)] {
        let reply = send(method, key).await;
        assert_eq!((reply.status, reply.text().as_str()), (200, "9"), "{reply:?}");
    }
    let before = origin.count();
    for method in [Method::POST, Method::PATCH] {
        let reply = send(method, false).await;
        refused(&gateway, &reply, 502, "upstream_reset").await;
    }
    assert_eq!(origin.count() - before, 2, "each was sent once");
}

#[tokio::test]
async fn a_body_is_sent_anew_from_its_beginning_as_long_as_it_is_short() {
    let (origin, gateway) = alone("{ codes: [503], attempts: 3, backoff: 1ms }", "").await;
    let body = "0123456789abcdef".repeat(4 << 10);
    assert_eq!(body.len(), 64 << 10);
    for (body, status, tries) in [(body.clone(), 200, 4), (body + "!", 503, 1)] {
        origin.ail(Ill::Answers(503), 3);
        let length = body.len();
        let asked = request("PUT", HOST, "/echo").body(bytes(body.clone())).expect("a request");
        let reply = gateway.send(asked).await;
        assert_eq!(reply.status, status, "{length}");
        assert_eq!(gateway.logged(&reply).await["attempts"], tries);
        if status == 200 {
            assert_eq!(reply.text(), body);
        }
        assert!(origin.taken().iter().all(|taken| taken.whole && taken.length >= 64 << 10));
        origin.ail(Ill::Answers(503), 0);
    }
}

#[tokio::test]
async fn a_try_that_takes_too_long_is_followed_by_another_within_the_requests_time() {
    let rest = "timeouts: { request: 20s, backendRequest: 200ms },";
    let (origin, gateway) = alone("{ attempts: 2, backoff: 1ms }", rest).await;
    origin.ail(Ill::Mute, 2);
    let line = answered(&gateway, &gateway.get(HOST, "/").await, "shop").await;
    assert_eq!(line["attempts"], 3);
    origin.ail(Ill::Mute, 9);
    let line = refused(&gateway, &gateway.get(HOST, "/").await, 504, "backend_timeout").await;
    assert_eq!(line["attempts"], 3);
}

#[tokio::test]
async fn a_caller_that_still_sends_its_body_has_no_second_try() {
    let rest = "timeouts: { request: 20s, backendRequest: 200ms },";
    let (_origin, gateway) = alone("{ attempts: 2, backoff: 1ms }", rest).await;
    let mut slow = Raw::connect(gateway.web()).await;
    slow.write(format!("PUT /sink HTTP/1.1\r\nhost: {HOST}\r\ncontent-length: 9\r\n\r\nhalf"))
        .await;
    let answer = slow.head().await;
    assert_eq!(answer.status, 504, "{}", answer.text);
    let line = gateway.logged_as(answer.header("x-request-id")).await;
    assert_eq!(
        (&line["reason"], &line["attempts"]),
        (&"backend_timeout".into(), &1.into()),
        "{line}"
    );
}

#[tokio::test]
async fn no_retry_begins_for_which_the_request_has_no_time() {
    let retry = "{ codes: [503], attempts: 3, backoff: 30s }";
    let (origin, gateway) = alone(retry, "timeouts: { request: 10s },").await;
    origin.ail(Ill::Answers(503), 1);
    let began = Instant::now();
    let reply = gateway.get(HOST, "/").await;
    assert_eq!((reply.status, reply.origin()), (503, "shop"), "the answer that there is");
    assert!(began.elapsed() < Duration::from_secs(10));
    assert_eq!(gateway.logged(&reply).await["attempts"], 1);
}

#[tokio::test]
async fn another_endpoint_is_asked_before_the_same_one() {
    let (ill, well) = (Origin::start("ill").await, Origin::start("well").await);
    let gateway = Setup::new()
        .with(yaml::service("shop", &[ill.address, well.address]))
        .with(route("{ codes: [500], attempts: 1, backoff: 1ms }", ""))
        .start()
        .await;
    ill.ail(Ill::Answers(500), usize::MAX);
    for _ in 0..40 {
        answered(&gateway, &gateway.get(HOST, "/").await, "well").await;
    }
    assert_eq!(well.count(), 40);
    assert!(ill.count() > 0, "the one that fails was never tried first in 40 requests");
}

#[tokio::test]
async fn a_service_bears_so_many_retries_and_no_more() {
    let (origin, gateway) = alone("{ codes: [500], attempts: 1, backoff: 1ms }", "").await;
    origin.ail(Ill::Answers(500), usize::MAX);
    let began = Instant::now();
    for _ in 0..250 {
        let reply = gateway.get(HOST, "/").await;
        assert_eq!((reply.status, reply.origin()), (500, "shop"));
    }
    // What it holds at first, a fifth of what was sent (the first finds it full), and ten for each second.
    let lent = 100 + 249 / 5;
    let borne = lent + 1 + 10 * (began.elapsed().as_secs() as usize + 1);
    let retried = origin.count() - 250;
    assert!((lent..=borne).contains(&retried), "{retried} of {borne}");
    let left_out = gateway.metric("heddle_retries_left_out_total", &[]).await;
    assert_eq!(left_out, (250 - retried) as f64);
}

#[tokio::test]
async fn an_endpoint_that_comes_up_between_two_tries_is_reached() {
    let address = closed();
    let retry = "{ attempts: 10, backoff: 100ms }";
    let setup = Setup::new().with(yaml::service("shop", &[address])).with(route(retry, ""));
    let gateway = setup.start().await;
    // Of which nothing was sent, whatever its method: it arrives whole.
    let asked = request("POST", HOST, "/echo").body(bytes("one order")).expect("a request");
    let asked = gateway.send(asked);
    let starts = async {
        e2e::wait::until_true_of("a try that failed", async || {
            gateway.metric("heddle_backend_connect_failures_total", &[]).await > 0.0
        })
        .await;
        Origin::start_at("late", address).await
    };
    let (reply, _origin) = tokio::join!(asked, starts);
    answered(&gateway, &reply, "late").await;
    assert_eq!(reply.text(), "one order");
}
