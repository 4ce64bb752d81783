//! One exchange as a span, with the words of OpenTelemetry's semantic conventions.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::{HeaderValue, Method, Version};
use opentelemetry::trace::{
    Link, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{InstrumentationScope, KeyValue, Value};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use policy::Reason;
use table::Rule;

use crate::grpc::{Call, Code};
use crate::record::{Record, Spoken, bounded};
use crate::tls::client::Client;
use crate::trace::{Parent, TraceContext};

/// What is kept of a record until it is sent; cheap to make, since a worker does.
#[derive(Debug)]
pub(super) struct Span {
    trace: TraceContext,
    began_at: SystemTime,
    took: Duration,
    request_id: HeaderValue,
    source: IpAddr,
    method: Method,
    spoken: Spoken,
    host: Box<str>,
    path: Box<str>,
    port: u16,
    rule: Option<Arc<Rule>>,
    backend: Option<Arc<str>>,
    endpoint: Option<SocketAddr>,
    attempts: u32,
    client: Option<Arc<Client>>,
    reason: Reason,
    status: Option<u16>,
    call: Option<Call>,
}

impl Span {
    /// Takes the texts out of `record`, which is not told again.
    pub(super) fn of(record: &mut Record, took: Duration) -> Self {
        Span {
            trace: record.trace,
            began_at: record.began_at,
            took,
            request_id: record.request_id.clone(),
            source: record.source,
            method: record.method.clone(),
            spoken: record.spoken,
            host: std::mem::take(&mut record.host),
            path: std::mem::take(&mut record.path),
            port: record.port,
            rule: record.rule.take().map(|(_, rule)| rule),
            backend: record.backend.take(),
            endpoint: record.endpoint,
            attempts: record.attempts,
            client: record.client.take(),
            reason: record.reason,
            status: record.status.map(|status| status.as_u16()),
            call: record.call,
        }
    }

    /// The span as the exporter takes it.
    pub(super) fn export(self, scope: &InstrumentationScope) -> SpanData {
        let mut links = SpanLinks::default();
        links.links.extend(self.trace.link.map(|link| Link::new(context(link), Vec::new(), 0)));
        SpanData {
            span_context: context(Parent {
                trace_id: self.trace.trace_id,
                span_id: self.trace.span_id,
                sampled: true,
            }),
            parent_span_id: self.trace.parent.map_or(SpanId::INVALID, SpanId::from_bytes),
            parent_span_is_remote: self.trace.parent.is_some(),
            span_kind: SpanKind::Server,
            name: self.name().into(),
            start_time: self.began_at,
            end_time: self.began_at + self.took,
            attributes: self.attributes(),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links,
            status: self.outcome(),
            instrumentation_scope: scope.clone(),
        }
    }

    /// `GET shop/orders/0`: few distinct ones, as names of spans must be.
    fn name(&self) -> String {
        let asks = match (self.spoken, method(&self.method)) {
            (Spoken::Tcp, _) => "TCP",
            (Spoken::Udp, _) => "UDP",
            (Spoken::Http(_), "_OTHER") => "HTTP",
            (Spoken::Http(_), method) => method,
        };
        match &self.rule {
            Some(rule) => format!("{asks} {}", rule.label),
            None => asks.to_owned(),
        }
    }

    fn attributes(&self) -> Vec<KeyValue> {
        let mut list = vec![
            KeyValue::new("server.address", bounded(&self.host)),
            KeyValue::new("server.port", i64::from(self.port)),
            KeyValue::new("client.address", self.source.to_string()),
            KeyValue::new("heddle.reason", self.reason.as_str()),
            KeyValue::new("heddle.attempts", i64::from(self.attempts)),
        ];
        let mut add = |key: &'static str, value: Option<Value>| {
            list.extend(value.map(|value| KeyValue::new(key, value)));
        };
        let transport = match self.spoken {
            Spoken::Http(_) | Spoken::Tcp => "tcp",
            Spoken::Udp => "udp",
        };
        add("network.transport", Some(transport.into()));
        if let Spoken::Http(spoken) = self.spoken {
            add("http.request.method", Some(method(&self.method).into()));
            add("url.path", Some(bounded(&self.path).into()));
            add("network.protocol.name", Some("http".into()));
            add("network.protocol.version", version(spoken).map(Value::from));
        }
        let request_id = self.request_id.to_str().ok();
        add("heddle.request_id", request_id.map(|id| bounded(id).into()));
        add("http.response.status_code", self.status.map(|status| i64::from(status).into()));
        add("http.route", self.rule.as_ref().map(|rule| Arc::clone(&rule.label).into()));
        // In upper case, as the semantic conventions want it.
        let client = self.client.as_ref().map(|client| client.fingerprint.to_uppercase().into());
        add("tls.client.hash.sha256", client);
        add("heddle.backend", self.backend.clone().map(Value::from));
        add("heddle.endpoint", self.endpoint.map(|endpoint| endpoint.to_string().into()));
        add("error.type", self.failed().map(Value::from));
        if self.call.is_some() {
            list.extend(self.of_call());
        }
        list
    }

    fn of_call(&self) -> Vec<KeyValue> {
        let mut list = vec![KeyValue::new("rpc.system", "grpc")];
        let code = self.code().map(|code| i64::from(code.number()));
        list.extend(code.map(|code| KeyValue::new("rpc.grpc.status_code", code)));
        if let Some((service, method)) = self.path.trim_start_matches('/').split_once('/') {
            list.push(KeyValue::new("rpc.service", bounded(service)));
            list.push(KeyValue::new("rpc.method", bounded(method)));
        }
        list
    }

    fn code(&self) -> Option<Code> {
        self.call.and_then(|call| call.code)
    }

    /// Why the server failed, if it did.
    fn failed(&self) -> Option<&'static str> {
        match (self.code().filter(|code| code.is_of_server()), self.status) {
            // What the backend itself said has no reason of ours.
            (Some(code), _) if self.reason == Reason::Ok => Some(code.as_str()),
            (Some(_), _) | (None, Some(500..)) => Some(self.reason.as_str()),
            (None, _) => None,
        }
    }

    /// Faults of the server only: what a caller did wrong is no error of this span.
    fn outcome(&self) -> Status {
        self.failed().map_or(Status::Unset, Status::error)
    }
}

fn context(span: Parent) -> SpanContext {
    let flags = if span.sampled { TraceFlags::SAMPLED } else { TraceFlags::default() };
    let trace_id = TraceId::from_bytes(span.trace_id);
    let span_id = SpanId::from_bytes(span.span_id);
    SpanContext::new(trace_id, span_id, flags, true, TraceState::NONE)
}

/// The method, if it is a known one: a stranger may not make up names of spans.
fn method(method: &Method) -> &'static str {
    const KNOWN: [&str; 9] =
        ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or("_OTHER")
}

fn version(version: Version) -> Option<&'static str> {
    match version {
        Version::HTTP_10 => Some("1.0"),
        Version::HTTP_11 => Some("1.1"),
        Version::HTTP_2 => Some("2"),
        Version::HTTP_3 => Some("3"),
        _ => None,
    }
}
