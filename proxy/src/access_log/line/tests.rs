//! One line: its fields, escapes and bounds.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use http::{HeaderValue, Method, StatusCode};
use policy::Reason;
use serde_json::Value;
use tokio::time::Instant;

use super::*;
use crate::telemetry::tests::sample;
use crate::telemetry::{Settings, Telemetry};

fn telemetry() -> Arc<Telemetry> {
    Telemetry::start(&Settings::default()).unwrap()
}

fn line(record: &Record) -> Value {
    let mut batch = Batch::default();
    batch.add(record, Duration::from_micros(1_234));
    assert_eq!(batch.lines, 1);
    let text = std::str::from_utf8(&batch.bytes).unwrap();
    assert!(text.ends_with("}\n") && text.lines().count() == 1, "{text}");
    serde_json::from_str(text).unwrap()
}

#[test]
fn a_line_holds_every_field_that_is_known() {
    let telemetry = telemetry();
    let mut record = sample(&telemetry);
    record.began_at = UNIX_EPOCH + Duration::from_millis(1_795_470_671_042);
    record.source = IpAddr::V6(Ipv6Addr::LOCALHOST);
    record.backend = Some("shop/orders:80".into());
    record.endpoint = Some("127.0.0.1:9000".parse().unwrap());
    record.user_agent = Some(HeaderValue::from_static("curl/8"));
    record.detail = Some("broken pipe".into());
    record.bytes_in = 7;
    record.bytes_out = u64::MAX;
    record.backend_time = Some(Duration::from_micros(900));
    let expected = serde_json::json!({
        "time": "2026-11-23T21:51:11.042Z",
        "request_id": record.request_id.to_str().unwrap(),
        "trace_id": format!("{:032x}", u128::from_be_bytes(record.trace.trace_id)),
        "source": "::1",
        "method": "GET",
        "host": "shop.example",
        "path": "/orders",
        "protocol": "HTTP/1.1",
        "user_agent": "curl/8",
        "listener_port": 8080,
        "status": 200,
        "reason": "ok",
        "table": "",
        "detail": "broken pipe",
        "backend": "shop/orders:80",
        "endpoint": "127.0.0.1:9000",
        "attempts": 1,
        "backend_us": 900,
        "bytes_in": 7,
        "bytes_out": u64::MAX,
        "duration_us": 1_234,
    });
    assert_eq!(line(&record), expected);
}

#[test]
fn what_is_not_known_is_not_there() {
    let telemetry = telemetry();
    let mut record = sample(&telemetry);
    record.status = None;
    record.reason = Reason::ClientGone;
    let line = line(&record);
    for key in ["status", "route", "rule", "principal", "backend", "endpoint", "user_agent"] {
        assert!(line.get(key).is_none(), "{key}");
    }
    assert_eq!(line["reason"], "client_gone");
}

#[test]
fn texts_from_outside_cannot_break_a_line() {
    let telemetry = telemetry();
    let nasty = "a\"b\\c\n{\"status\":200}\u{7f}\u{85}\u{9b}31m\u{2028}é\0";
    let mut record = sample(&telemetry);
    record.path = nasty.into();
    record.host = nasty.into();
    record.method = Method::from_bytes(b"M'|~").unwrap();
    record.user_agent = Some(HeaderValue::from_bytes(b"\"\xff\xfe\\ \xc3\xa9\t").unwrap());
    let mut batch = Batch::default();
    batch.add(&record, Duration::ZERO);
    let text = std::str::from_utf8(&batch.bytes).unwrap();
    assert!(!text.trim_end_matches('\n').chars().any(|c| c.is_control() || c == '\u{2028}'));
    let line = line(&record);
    assert_eq!(line["path"], nasty);
    assert_eq!(line["host"], nasty);
    assert_eq!(line["user_agent"], "\"\u{fffd}\u{fffd}\\ é\t");
    assert_eq!(line["status"], 200);
}

#[test]
fn a_long_text_is_cut_at_a_character_and_says_so() {
    let telemetry = telemetry();
    let mut record = sample(&telemetry);
    record.path = format!("/{}", "é".repeat(100_000)).into();
    let long = [b"x".repeat(LONGEST - 1).as_slice(), &[0xff; 9_000]].concat();
    record.user_agent = Some(HeaderValue::from_bytes(&long).unwrap());
    record.detail = Some("\u{1}".repeat(9_000).into());
    record.method = http::Method::from_bytes(&b"M".repeat(9_000)).unwrap();
    let line = line(&record);
    assert_eq!(line["method"].as_str().unwrap().len(), LONGEST + "…".len());
    let path = line["path"].as_str().unwrap();
    assert!(path.ends_with("é…") && path.len() <= LONGEST + 3, "{}", path.len());
    let agent = line["user_agent"].as_str().unwrap();
    assert_eq!(agent.len(), LONGEST - 1 + "…".len(), "cut once, where the room ended");
    assert_eq!(line["detail"].as_str().unwrap().matches('\u{1}').count(), LONGEST);
}

#[test]
fn time_is_right_across_seconds_and_ends_of_years() {
    let mut batch = Batch::default();
    let cases = [
        (0, "1970-01-01T00:00:00.000Z"),
        (999, "1970-01-01T00:00:00.999Z"),
        (951_782_399_001, "2000-02-28T23:59:59.001Z"),
        (951_782_400_020, "2000-02-29T00:00:00.020Z"),
        (4_102_444_799_300, "2099-12-31T23:59:59.300Z"),
        (1_000, "1970-01-01T00:00:01.000Z"),
    ];
    for (millis, text) in cases {
        batch.bytes.clear();
        batch.time(UNIX_EPOCH + Duration::from_millis(millis));
        assert_eq!(std::str::from_utf8(&batch.bytes).unwrap(), text);
    }
}

/// Not a bound that a busy machine could break: it prints, for whoever measures in release.
#[test]
fn many_lines_fit_into_one_buffer() {
    let telemetry = telemetry();
    let mut record = sample(&telemetry);
    record.status = Some(StatusCode::OK);
    record.backend = Some("shop/orders:80".into());
    record.endpoint = Some("127.0.0.1:9000".parse().unwrap());
    record.user_agent = Some(HeaderValue::from_static("Mozilla/5.0 (X11; Linux x86_64)"));
    let mut batch = Batch::default();
    let (rounds, began) = (20_000, Instant::now());
    let mut longest = 0;
    for _ in 0..rounds {
        batch.clear();
        batch.add(&record, Duration::from_micros(321));
        longest = longest.max(batch.bytes.len());
    }
    println!("{:?} a line of {longest} bytes", began.elapsed() / rounds);
    assert_eq!(batch.bytes.capacity(), Batch::default().bytes.capacity(), "never grown");
}

#[test]
fn what_needs_an_escape_is_seen_wherever_it_stands() {
    for byte in 0..=u8::MAX {
        let plain = (0x20..0x7f).contains(&byte) && byte != b'"' && byte != b'\\';
        for length in 1..20 {
            for at in 0..length {
                let mut text = vec![b'~'; length];
                text[at] = byte;
                assert_eq!(is_plain(&text), plain, "{byte:#x} at {at} of {length}");
                text.iter_mut().enumerate().filter(|(i, _)| *i != at).for_each(|(_, b)| *b = b' ');
                assert_eq!(is_plain(&text), plain, "{byte:#x} at {at} of {length} blanks");
            }
        }
    }
    assert!(is_plain(b""));
}
