//! Spans arrive at a collector, and its absence costs nothing but spans.

use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};

use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode as SpanStatus;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, Span as Told};
use prost::Message as _;
use tokio::sync::mpsc;
use tokio::task::JoinHandle as Task;
use tokio::time::timeout;

use super::*;
use crate::record::Spoken;
use crate::telemetry::tests::sample;
use crate::telemetry::{self, Caller, Telemetry};
use crate::trace::{Parent, TRACEPARENT};

const SOON: Duration = Duration::from_secs(15);
const THEIRS: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// A collector: gRPC by hand over HTTP/2.
struct Collector {
    address: SocketAddr,
    got: mpsc::UnboundedReceiver<ResourceSpans>,
    task: Task<()>,
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Collector {
    fn start() -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").unwrap())
    }

    fn on(listener: TcpListener) -> Self {
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        let (told, got) = mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let service = service_fn(move |request| collect(request, told.clone()));
            let http = http2::Builder::new(TokioExecutor::new());
            let _ = http.serve_connection(TokioIo::new(stream), service).await;
        });
        Collector { address, got, task }
    }

    async fn next(&mut self) -> Told {
        let mut spans = self.batch().await.scope_spans.remove(0).spans;
        assert_eq!(spans.len(), 1);
        spans.remove(0)
    }

    async fn batch(&mut self) -> ResourceSpans {
        timeout(SOON, self.got.recv()).await.expect("a span should come").unwrap()
    }
}

async fn collect(
    request: Request<Incoming>,
    told: mpsc::UnboundedSender<ResourceSpans>,
) -> Result<Response<UnsyncBoxBody<Bytes, Infallible>>, Infallible> {
    assert!(request.uri().path().ends_with("trace.v1.TraceService/Export"), "{request:?}");
    let body = request.into_body().collect().await.unwrap().to_bytes();
    // A gRPC message: one byte that says "not compressed", four of length, the message.
    assert_eq!(body[0], 0);
    let spans = ExportTraceServiceRequest::decode(&body[5..]).unwrap().resource_spans;
    for span in spans {
        let _ = told.send(span);
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let frames = [Frame::data(Bytes::from_static(&[0; 5])), Frame::trailers(trailers)];
    let body = StreamBody::new(futures::stream::iter(frames.map(Ok))).boxed_unsync();
    let mut response = Response::new(body);
    let kind = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert("content-type", kind);
    Ok(response)
}

fn telling(address: SocketAddr, sampling: f64) -> Arc<Telemetry> {
    let tracing = Some(Settings { endpoint: format!("http://{address}"), sampling });
    Telemetry::start(&telemetry::Settings { tracing, ..Default::default() }).unwrap()
}

fn attribute<'s>(span: &'s Told, key: &str) -> Option<&'s Value> {
    let found = span.attributes.iter().find(|attribute| attribute.key == key)?;
    found.value.as_ref()?.value.as_ref()
}

fn word(span: &Told, key: &str) -> Option<String> {
    match attribute(span, key)? {
        Value::StringValue(word) => Some(word.clone()),
        other => panic!("{key} is {other:?}"),
    }
}

#[tokio::test]
async fn an_exchange_is_one_span_with_the_words_of_the_conventions() {
    let mut collector = Collector::start();
    let telemetry = telling(collector.address, 1.0);
    let mut record = sample(&telemetry);
    record.backend = Some("shop/orders:80".into());
    let (trace, id) = (record.trace, record.request_id.clone());
    drop(record);

    let batch = collector.batch().await;
    let resource = batch.resource.unwrap().attributes;
    let named = resource.iter().find(|attribute| attribute.key == "service.name").unwrap();
    let name = named.value.as_ref().unwrap().value.as_ref().unwrap();
    assert_eq!(*name, Value::StringValue("heddle-gateway".to_owned()));
    let span = &batch.scope_spans[0].spans[0];
    assert_eq!(span.trace_id, trace.trace_id);
    assert_eq!(span.span_id, trace.span_id);
    assert!(span.parent_span_id.is_empty() || span.parent_span_id == [0; 8]);
    assert_eq!(span.name, "GET");
    assert_eq!(span.kind, 2, "a server's span");
    assert!(span.end_time_unix_nano >= span.start_time_unix_nano);
    let expected = [
        ("http.request.method", "GET"),
        ("url.path", "/orders"),
        ("server.address", "shop.example"),
        ("client.address", "127.0.0.1"),
        ("network.transport", "tcp"),
        ("network.protocol.name", "http"),
        ("network.protocol.version", "1.1"),
        ("heddle.reason", "ok"),
        ("heddle.backend", "shop/orders:80"),
        ("heddle.request_id", id.to_str().unwrap()),
    ];
    for (key, value) in expected {
        assert_eq!(word(span, key).as_deref(), Some(value), "{key}");
    }
    assert_eq!(attribute(span, "http.response.status_code"), Some(&Value::IntValue(200)));
    assert_eq!(attribute(span, "error.type"), None);
}

#[tokio::test]
async fn a_connection_of_bytes_is_told_as_no_request() {
    let mut collector = Collector::start();
    let telemetry = telling(collector.address, 1.0);
    for (spoken, transport) in [(Spoken::Tcp, "tcp"), (Spoken::Udp, "udp")] {
        let mut record = sample(&telemetry);
        (record.method, record.spoken) = (Method::CONNECT, spoken);
        drop(record);
        let span = collector.batch().await.scope_spans.remove(0).spans.remove(0);
        assert_eq!(span.name, transport.to_uppercase());
        assert_eq!(word(&span, "network.transport").as_deref(), Some(transport));
        for key in ["http.request.method", "url.path", "network.protocol.name"] {
            assert_eq!(attribute(&span, key), None, "{key}");
        }
    }
}

#[tokio::test]
async fn a_strangers_span_is_linked_and_a_trusted_callers_is_the_parent() {
    let mut collector = Collector::start();
    let telemetry = telling(collector.address, 1.0);
    let mut headers = HeaderMap::new();
    headers.insert(TRACEPARENT, HeaderValue::from_static(THEIRS));
    let theirs = Parent::of(&headers).unwrap();

    let mut record = sample(&telemetry);
    record.trace = telemetry.trace(&headers, Caller::Stranger);
    drop(record);
    let span = collector.next().await;
    assert_ne!(span.trace_id, theirs.trace_id);
    assert_eq!(span.links.len(), 1);
    assert_eq!(span.links[0].trace_id, theirs.trace_id);
    assert_eq!(span.links[0].span_id, theirs.span_id);

    let mut record = sample(&telemetry);
    record.trace = telemetry.trace(&headers, Caller::Trusted);
    drop(record);
    let span = collector.next().await;
    assert_eq!(span.trace_id, theirs.trace_id);
    assert_eq!(span.parent_span_id, theirs.span_id);
    assert!(span.links.is_empty());
}

#[tokio::test]
async fn what_went_wrong_is_told_though_nothing_is_sampled() {
    let mut collector = Collector::start();
    let telemetry = telling(collector.address, 0.0);
    drop(sample(&telemetry));
    let end = |reason, status| {
        let mut record = sample(&telemetry);
        (record.reason, record.status) = (reason, Some(status));
    };
    end(Reason::AccessDenied, StatusCode::FORBIDDEN);
    let span = collector.next().await;
    assert_eq!(word(&span, "heddle.reason").as_deref(), Some("access_denied"));
    assert_eq!(span.status.unwrap_or_default().code, SpanStatus::Unset as i32);

    end(Reason::ConnectFailed, StatusCode::SERVICE_UNAVAILABLE);
    let span = collector.next().await;
    assert_eq!(span.status.clone().unwrap().code, SpanStatus::Error as i32);
    assert_eq!(word(&span, "error.type").as_deref(), Some("connect_failed"));
}

#[tokio::test]
async fn a_stop_sends_what_is_left() {
    let mut collector = Collector::start();
    let telemetry = telling(collector.address, 1.0);
    for _ in 0..BATCH + 10 {
        drop(sample(&telemetry));
    }
    let told = Arc::clone(&telemetry);
    let stopped = tokio::task::spawn_blocking(move || told.stop(SOON));
    let mut count = 0;
    while count < BATCH + 10 {
        count += collector.batch().await.scope_spans[0].spans.len();
    }
    assert!(stopped.await.unwrap());
    assert!(telemetry.metrics().contains("heddle_spans_dropped_total 0"));
}

#[tokio::test]
async fn a_collector_that_is_away_costs_spans_and_is_found_when_it_comes() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let exporter = Settings { endpoint: format!("http://{address}"), sampling: 1.0 };
    let exporter = Exporter::start("heddle-gateway", &exporter).unwrap();
    let quiet = Telemetry::start(&telemetry::Settings::default()).unwrap();
    let tell = || {
        let mut record = sample(&quiet);
        record.trace.sampled = true;
        exporter.tell(&mut record, Duration::ZERO);
    };
    tell();
    let lost = async {
        while exporter.dropped() == 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(SOON, lost).await.expect("a span that cannot be sent is counted");

    let mut collector = Collector::on(TcpListener::bind(address).unwrap());
    let found = async {
        loop {
            tell();
            if timeout(Duration::from_millis(200), collector.batch()).await.is_ok() {
                return;
            }
        }
    };
    timeout(SOON * 2, found).await.expect("the collector is found");
}

#[tokio::test]
async fn a_collector_that_hangs_costs_no_more_than_the_queue_holds() {
    // It listens, and never answers.
    let hanging = TcpListener::bind("127.0.0.1:0").unwrap();
    let telemetry = telling(hanging.local_addr().unwrap(), 1.0);
    let began = tokio::time::Instant::now();
    for _ in 0..QUEUE + 3 * BATCH {
        drop(sample(&telemetry));
    }
    assert!(began.elapsed() < SOON, "telling never waits: {:?}", began.elapsed());
    let text = telemetry.metrics();
    let dropped = text.lines().find_map(|line| line.strip_prefix("heddle_spans_dropped_total "));
    assert!(dropped.unwrap().parse::<usize>().unwrap() >= BATCH, "{dropped:?}");
    assert!(!telemetry.stop(Duration::from_millis(5)));
}
