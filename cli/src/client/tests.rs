//! What becomes of odd answers, over real sockets.

use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::fake::{Act, Fake, good, problem, say};
use super::*;

fn change() -> Ask {
    Ask::post(&["changes"]).with_json(&json!({ "edits": [] })).keyed()
}

fn key(request: &str) -> &str {
    request.lines().find_map(|line| line.strip_prefix("idempotency-key: ")).unwrap()
}

#[tokio::test]
async fn a_good_answer_is_its_json() {
    let fake = Fake::new(&[good(r#"{"a":1}"#)]).await;
    let answer = fake.client().json(&Ask::get(&["x"]).query("q", "1")).await.unwrap();
    assert_eq!(answer, json!({ "a": 1 }));
    let requests = fake.requests.await.unwrap();
    assert!(requests[0].starts_with("GET /api/v1/x?q=1 HTTP/1.1\r\n"), "{requests:?}");
    assert!(requests[0].contains("authorization: Bearer hdl_x\r\n"), "{requests:?}");
}

#[tokio::test]
async fn whoever_is_asked_without_the_token_does_not_get_it() {
    let fake = Fake::new(&[good("{}")]).await;
    fake.client().json(&Ask::get(&["x"]).anonymous()).await.unwrap();
    assert!(!fake.requests.await.unwrap()[0].contains("authorization"));
}

#[tokio::test]
async fn what_is_no_answer_of_heddle_is_a_failure_that_says_so() {
    for (act, words) in [
        (say("500 Oops", "text/html", "", "\n<h1>\u{1b}[2J</h1>"), "500 Internal Server Error"),
        (say("200 OK", "text/html", "", "<html>"), "is this a Heddle server?"),
        (say("404 Not Found", "text/plain", "", ""), "the answer 404 Not Found is empty"),
        (say("302 Found", "text/html", "location: http://127.0.0.1:1/\r\n", ""), "302 Found"),
    ] {
        let fake = Fake::new(&[act]).await;
        let failure = fake.client().json(&Ask::get(&["x"])).await.unwrap_err();
        assert_eq!(failure.number(), 1, "{failure}");
        let told = failure.to_string();
        assert!(told.contains(words) && !told.contains('\u{1b}'), "{told}");
    }
}

#[tokio::test]
async fn a_refusal_keeps_the_words_of_the_server_and_says_what_to_do() {
    for (status, sort, more, remedy) in [
        ("429 Too Many Requests", "too-many-attempts", "retry-after: 7\r\n", "try again in 7 s"),
        ("401 Unauthorized", "unauthenticated", "", "sign in: heddle login"),
        ("409 Conflict", "busy", "retry-after: 1\r\n", "try again in 1 s"),
    ] {
        let fake = Fake::new(&[problem(status, sort, more)]).await;
        let failure = fake.client().json(&change()).await.unwrap_err();
        assert_eq!(failure.number(), 1);
        assert_eq!(failure.to_string(), format!("one\ntwo\n{remedy}"));
    }
}

#[tokio::test]
async fn a_named_change_is_repeated_under_its_name_until_there_is_an_answer() {
    let busy = problem("503 Service Unavailable", "unavailable", "retry-after: 0\r\n");
    let gateway = say("502 Bad Gateway", "text/html", "", "<html>");
    let acts = [Act::Cut, busy, gateway, good(r#"{"revision":1}"#)];
    let fake = Fake::new(&acts).await;
    let answer = fake.client().json(&change()).await.unwrap();
    assert_eq!(answer["revision"], 1);
    let requests = fake.requests.await.unwrap();
    assert_eq!(requests.len(), 4);
    assert!(requests.iter().all(|request| key(request) == key(&requests[0])), "{requests:?}");
    assert_eq!(key(&requests[0]).len(), 36);
}

#[tokio::test]
async fn what_has_no_name_is_sent_once_and_told_to_be_unclear() {
    let fake = Fake::new(&[Act::Cut]).await;
    let ask = Ask::post(&["tokens"]).with_json(&json!({}));
    let failure = fake.client().json(&ask).await.unwrap_err();
    assert_eq!(failure.number(), 3);
    assert!(failure.to_string().contains("not known"), "{failure}");
    assert_eq!(fake.requests.await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_not_reachable() {
    let fake = Fake::new(&[Act::Hang]).await;
    let short = Duration::from_millis(200);
    let client = Client::new(fake.address.clone(), None, short).unwrap();
    let failure = client.json(&Ask::get(&["x"])).await.unwrap_err();
    assert_eq!(failure.number(), 3);
    assert!(failure.to_string().contains("did not answer within 0.2 s"), "{failure}");
    fake.requests.abort();

    let gone = Fake::new(&[]).await;
    let client = Client::new(gone.address.clone(), None, short).unwrap();
    assert!(gone.requests.await.unwrap().is_empty());
    for ask in [Ask::get(&["x"]), change()] {
        let failure = client.json(&ask).await.unwrap_err();
        assert_eq!(failure.number(), 3);
        assert!(failure.to_string().contains("cannot reach http://fake.localhost"), "{failure}");
    }
}

#[tokio::test]
async fn an_answer_that_ends_half_way_is_asked_for_again() {
    let half = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{";
    let fake = Fake::new(&[Act::Say(half.to_owned()), good("{}")]).await;
    fake.client().json(&Ask::get(&["x"])).await.unwrap();
    assert_eq!(fake.requests.await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_list_is_read_page_by_page_up_to_its_limit() {
    let page = |items: &str, next: &str| good(&format!(r#"{{"items":{items},"next":{next}}}"#));
    let fake = Fake::new(&[page("[1,2]", r#""a b""#), page("[3,4]", r#""c""#)]).await;
    let answer = fake.client().first(&Ask::get(&["x"]), 3).await.unwrap();
    assert_eq!(answer["items"], json!([1, 2, 3]));
    let requests = fake.requests.await.unwrap();
    assert!(requests[1].starts_with("GET /api/v1/x?limit=1&cursor=a%20b "), "{requests:?}");
}

#[tokio::test]
async fn a_certificate_is_trusted_if_it_comes_from_the_authority_that_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["heddle.localhost".to_owned()]).unwrap();
    let other = rcgen::generate_simple_self_signed(["heddle.localhost".to_owned()]).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let key = made.signing_key.serialize_der().try_into().unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(config));
    let server = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut bytes = [0; 4096];
            assert!(stream.read(&mut bytes).await.unwrap() > 0);
            let Act::Say(answer) = good("{}") else { unreachable!() };
            stream.write_all(answer.as_bytes()).await.unwrap();
            stream.shutdown().await.unwrap();
        }
    });
    let address = Address::parse(&format!("https://heddle.localhost:{port}")).unwrap();
    let ca = folder.path().join("ca.pem");
    for (certificate, code) in [(&made.cert, None), (&other.cert, Some(3))] {
        std::fs::write(&ca, certificate.pem()).unwrap();
        let client = Client::new(address.clone(), Some(&ca), Duration::from_secs(20)).unwrap();
        let failure = client.json(&Ask::get(&["x"])).await.err();
        assert_eq!(failure.as_ref().map(Failure::number), code, "{failure:?}");
    }
    std::fs::write(&ca, "no certificate").unwrap();
    let failure = Client::new(address, Some(&ca), Duration::from_secs(20)).unwrap_err();
    assert!(failure.to_string().contains("there is none in it"), "{failure}");
    server.abort();
}
