//! What is told of an exchange reaches every place.

use std::net::{IpAddr, Ipv4Addr};
use std::time::SystemTime;

use http::{HeaderValue, Method, StatusCode, Version};
use policy::Reason;

use super::*;
use crate::record::Spoken;
use crate::trace;

/// A record of a plain exchange, told to `telemetry` when it is dropped.
pub(crate) fn sample(telemetry: &Arc<Telemetry>) -> Record {
    Record {
        busy: None,
        telemetry: Arc::clone(telemetry),
        table: telemetry.attach(&Table::default()),
        worker: 0,
        began: Instant::now(),
        began_at: SystemTime::now(),
        request_id: trace::request_id(SystemTime::now()),
        trace: telemetry.trace(&HeaderMap::new(), Caller::Stranger),
        source: IpAddr::V4(Ipv4Addr::LOCALHOST),
        method: Method::GET,
        spoken: Spoken::Http(Version::HTTP_11),
        call: None,
        host: "shop.example".into(),
        path: "/orders".into(),
        user_agent: None,
        port: 8080,
        side: wire::Side::Edge,
        rule: None,
        meant: None,
        backend: None,
        endpoint: None,
        attempts: 1,
        client: None,
        from: None,
        behalf: None,
        refused: None,
        _stay: None,
        principal: None,
        aside: None,
        decided_by: None,
        story: None,
        reason: Reason::Ok,
        detail: None,
        status: Some(StatusCode::OK),
        bytes_in: 0,
        bytes_out: 0,
        datagrams: None,
        backend_time: None,
        is_untold: false,
    }
}

/// A folder of the test's own, gone with it.
#[derive(Debug)]
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        let name = format!("heddle-{}", trace::request_id(SystemTime::now()).to_str().unwrap());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const STRANGER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[test]
fn a_dropped_record_is_counted_and_logged_once() {
    let folder = Folder::new();
    let file = folder.0.join("access.log");
    let settings =
        Settings { access_log: Sink::File(file.clone()), workers: 2, ..Settings::default() };
    let telemetry = Telemetry::start(&settings).unwrap();
    drop(sample(&telemetry));
    let mut left = sample(&telemetry);
    (left.status, left.reason, left.worker) = (None, Reason::ClientGone, 1);
    drop(left);
    assert!(telemetry.stop(Duration::from_secs(5)));

    let lines = std::fs::read_to_string(file).unwrap();
    assert_eq!(lines.lines().count(), 2, "{lines}");
    let counts = telemetry.metrics();
    for labels in [r#"code_class="2xx",reason="ok""#, r#"code_class="none",reason="client_gone""#] {
        let line = format!("heddle_requests_total{{route=\"\",{labels}}} 1");
        assert!(counts.contains(&line), "{counts}");
    }
}

const SHOP: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: shop}
spec:
  gatewayClassName: heddle
  listeners: [{name: http, port: 8080, protocol: HTTP}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: orders, namespace: shop}
spec:
  parentRefs: [{name: edge}]
  rules: [{name: all, backendRefs: [{name: orders, port: 80}]}]
---
apiVersion: v1
kind: Service
metadata: {name: orders, namespace: shop}
spec: {ports: [{port: 80}]}
";

#[test]
fn a_routed_exchange_is_told_under_its_rule_also_after_the_next_table() {
    let folder = Folder::new();
    let file = folder.0.join("access.log");
    let access_log = Sink::File(file.clone());
    let telemetry = Telemetry::start(&Settings { access_log, ..Settings::default() }).unwrap();
    let resources = model::read(SHOP).into_iter().map(|document| document.result.unwrap());
    let input = table::Input { resources: resources.collect(), ..table::Input::default() };
    let table = table::assemble(input, None).table;
    let mut record = sample(&telemetry);
    record.table = telemetry.attach(&table);
    record.rule = Some((0, Arc::clone(&table.rules[0])));
    record.table.connect_failed(0);
    telemetry.attach(&Table::default());
    drop(record);
    assert!(telemetry.stop(Duration::from_secs(5)));

    let counts = telemetry.metrics();
    let routed =
        "heddle_requests_total{route=\"shop/orders/all\",code_class=\"2xx\",reason=\"ok\"} 1";
    let failed = "heddle_backend_connect_failures_total{backend=\"shop/orders:80\"} 1";
    assert!(counts.contains(routed) && counts.contains(failed), "{counts}");
    let line = std::fs::read_to_string(file).unwrap();
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line["route"], "shop/orders/all");
    assert_eq!(line["table"], table.digest);
}

#[test]
fn a_strangers_trace_is_linked_and_a_trusted_callers_is_continued() {
    let telemetry = Telemetry::start(&Settings::default()).unwrap();
    let mut headers = HeaderMap::new();
    headers.insert(trace::TRACEPARENT, HeaderValue::from_static(STRANGER));
    let theirs = Parent::of(&headers).unwrap();

    let stranger = telemetry.trace(&headers, Caller::Stranger);
    assert_ne!(stranger.trace_id, theirs.trace_id);
    assert_eq!(stranger.link, Some(theirs));
    assert!(!stranger.sampled, "no collector, so nothing is recorded");
    let trusted = telemetry.trace(&headers, Caller::Trusted);
    assert_eq!(trusted.trace_id, theirs.trace_id);
    assert!(trusted.sampled);
    let fresh = telemetry.trace(&HeaderMap::new(), Caller::Trusted);
    assert_eq!(fresh.parent, None);
}

#[test]
fn a_log_that_cannot_be_opened_is_named() {
    let folder = Folder::new();
    let file = folder.0.join("nowhere").join("access.log");
    let settings = Settings { access_log: Sink::File(file.clone()), ..Settings::default() };
    let error = Telemetry::start(&settings).unwrap_err();
    assert!(error.to_string().contains(file.to_str().unwrap()), "{error}");
}

#[test]
fn a_collector_that_is_no_address_is_refused() {
    for endpoint in ["collector:4317", "https://127.0.0.1:4317", "not a url", ""] {
        let tracing = Some(Tracing { endpoint: endpoint.to_owned(), sampling: 1.0 });
        let error = Telemetry::start(&Settings { tracing, ..Settings::default() }).unwrap_err();
        assert!(matches!(error, Error::Collector { .. }), "{endpoint}: {error}");
    }
}
