//! The admin port over real sockets.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use model::secret::SecretBytes;
use serde_json::json;

use super::*;
use crate::telemetry::{Settings, tests::sample};

const MARKER: &str = "marker-4d1c9a7e-of-a-secret";

fn state() -> State {
    let key = SecretBytes::new(MARKER);
    State {
        telemetry: Telemetry::start(&Settings::default()).unwrap(),
        readiness: Arc::default(),
        config: Arc::new(move || json!({ "table": "abc", "key": key })),
    }
}

fn started(state: &State) -> Handle {
    serve(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), state.clone()).unwrap()
}

fn ask(handle: &Handle, request: &str) -> String {
    let mut stream = TcpStream::connect(handle.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn get(handle: &Handle, path: &str) -> (String, String) {
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    let answer = ask(handle, &request);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

#[test]
fn a_process_that_can_answer_is_alive() {
    let handle = started(&state());
    let (head, body) = get(&handle, "/healthz?any=query");
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert_eq!(body, "ok\n");
}

#[test]
fn nobody_is_led_to_it_through_a_proxy() {
    let handle = started(&state());
    for path in ["/config", "/metrics", "/healthz"] {
        let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n");
        let answer = ask(&handle, &format!("{head}X-Forwarded-For: 192.0.2.7\r\n\r\n"));
        assert!(answer.starts_with("HTTP/1.1 403 ") && !answer.contains("abc"), "{answer}");
    }
}

#[test]
fn it_is_ready_while_a_table_serves_and_else_says_why_not() {
    let state = state();
    let handle = started(&state);
    let ready = || {
        let (head, body) = get(&handle, "/readyz");
        (head.split(' ').nth(1).unwrap().to_owned(), body)
    };
    assert_eq!(ready(), ("503".to_owned(), "no table serves yet\n".to_owned()));
    state.readiness.set(Phase::Serving);
    assert_eq!(ready(), ("200".to_owned(), "ready\n".to_owned()));
    state.readiness.set(Phase::Draining);
    state.readiness.set(Phase::Serving);
    assert_eq!(ready(), ("503".to_owned(), "draining\n".to_owned()));
}

#[test]
fn counts_are_shown_under_their_content_type() {
    let state = state();
    let handle = started(&state);
    drop(sample(&state.telemetry));
    let (head, body) = get(&handle, "/metrics");
    assert!(head.contains("application/openmetrics-text; version=1.0.0"), "{head}");
    assert!(body.contains("heddle_requests_total{"), "{body}");
    assert!(body.ends_with("# EOF\n"));
}

#[test]
fn the_configuration_is_json_without_a_secret() {
    let handle = started(&state());
    let (head, body) = get(&handle, "/config");
    assert!(head.contains("content-type: application/json"), "{head}");
    let shown: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(shown["table"], "abc");
    assert!(shown["key"].as_str().unwrap().starts_with("sha256:"), "{shown}");
    for path in ["/healthz", "/readyz", "/metrics", "/config", "/nothing"] {
        let (head, body) = get(&handle, path);
        assert!(!head.contains(MARKER) && !body.contains(MARKER), "{path}");
    }
}

#[test]
fn it_only_shows() {
    let handle = started(&state());
    let head = ask(&handle, "HEAD /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200 ") && head.ends_with("\r\n\r\n"), "{head}");
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let request = format!(
            "{method} /config HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        );
        let answer = ask(&handle, &request);
        assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
        assert!(answer.contains("allow: GET, HEAD"), "{answer}");
    }
    for path in ["/", "/healthz/", "/config/x", "//config"] {
        let (head, _) = get(&handle, path);
        assert!(head.starts_with("HTTP/1.1 404 "), "{path}: {head}");
    }
}

#[test]
fn an_address_in_use_is_said_to_be() {
    let first = started(&state());
    let error = serve(first.address(), state()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    let text = error.to_string();
    assert!(text.contains("address in use"), "{text}");
    assert!(text.contains(&first.address().to_string()), "{text}");
}

#[test]
fn a_stopped_port_is_free_again_though_a_client_lingers() {
    let handle = started(&state());
    let address = handle.address();
    let mut lingering = TcpStream::connect(address).unwrap();
    lingering.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    lingering.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    assert!(lingering.read(&mut [0; 512]).unwrap() > 0);
    handle.stop();
    assert!(TcpStream::connect(address).is_err());
    serve(address, state()).unwrap();
}
