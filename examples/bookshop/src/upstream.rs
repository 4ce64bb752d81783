//! A call to the next service: one deadline, a bounded reply, and only two headers handed on.
//!
//! A stock application knows tracing and nothing else, so of what the caller sent only
//! `traceparent` and `baggage` travel further: no credentials, no request id.

use std::error::Error;
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper::header::{HOST, HeaderValue};
use hyper::http::uri::{Authority, PathAndQuery, Scheme};
use hyper::{HeaderMap, Request, Response, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde_json::Value;
use tokio::time::timeout;

use crate::service::Service;

/// The headers that a service hands on to the service it calls.
pub(crate) const FORWARDED: [&str; 2] = ["traceparent", "baggage"];

/// The largest reply that is read.
const LARGEST_REPLY: usize = 256 * 1024;

/// Another service, as this one calls it.
#[derive(Debug)]
pub(crate) struct Upstream {
    service: Service,
    base: BaseUrl,
    proxy: Option<SocketAddr>,
    deadline: Duration,
    client: Client<HttpConnector, Empty<Bytes>>,
}

/// Why a call brought no usable reply.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallFailure {
    #[error("{service} did not answer within {} ms", .deadline.as_millis())]
    Late { service: Service, deadline: Duration },
    #[error("{service} could not be reached")]
    Unreachable { service: Service, source: Box<dyn Error + Send + Sync> },
    #[error("{service} answered {status}")]
    Refused { service: Service, status: StatusCode, reply: Option<Value> },
    #[error("{service} answered something that is not JSON of a bounded size")]
    Unreadable { service: Service, source: Box<dyn Error + Send + Sync> },
}

impl Upstream {
    /// An upstream that is first connected to, or the proxy before it, when it is first called.
    pub(crate) fn new(
        service: Service,
        base: BaseUrl,
        proxy: Option<SocketAddr>,
        deadline: Duration,
    ) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(deadline));
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(20))
            .pool_max_idle_per_host(64)
            .build(connector);
        Self { service, base, proxy, deadline, client }
    }

    /// The JSON that `GET path` answers, on behalf of a request that came with these headers.
    pub(crate) async fn get(&self, path: &str, came: &HeaderMap) -> Result<Value, CallFailure> {
        match timeout(self.deadline, self.exchange(path, came)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(CallFailure::Late { service: self.service, deadline: self.deadline }),
        }
    }

    async fn exchange(&self, path: &str, came: &HeaderMap) -> Result<Value, CallFailure> {
        let service = self.service;
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = match self.proxy {
            None => self.base.join(path),
            Some(proxy) => {
                let host = HeaderValue::from_str(self.base.0.as_str());
                let host = host.expect("an authority is a host");
                request.headers_mut().insert(HOST, host);
                BaseUrl::of(proxy).join(path)
            }
        };
        for name in FORWARDED {
            for value in came.get_all(name) {
                request.headers_mut().append(name, value.clone());
            }
        }
        let response = self.client.request(request).await.map_err(|error| {
            eprintln!("cannot reach {service} at {}: {error:?}", self.base.0);
            CallFailure::Unreachable { service, source: error.into() }
        })?;
        let status = response.status();
        let reply = read_json(response).await;
        if !status.is_success() {
            return Err(CallFailure::Refused { service, status, reply: reply.ok() });
        }
        reply.map_err(|source| CallFailure::Unreadable { service, source })
    }
}

async fn read_json(response: Response<Incoming>) -> Result<Value, Box<dyn Error + Send + Sync>> {
    let body = Limited::new(response.into_body(), LARGEST_REPLY).collect().await?;
    Ok(serde_json::from_slice(&body.to_bytes())?)
}

impl CallFailure {
    /// The deepest service that is known to have failed.
    pub(crate) fn culprit(&self) -> String {
        match self {
            Self::Refused { reply: Some(Value::Object(reply)), service, .. } => reply
                .get("failed")
                .and_then(Value::as_str)
                .map_or_else(|| service.to_string(), str::to_owned),
            Self::Late { service, .. }
            | Self::Unreachable { service, .. }
            | Self::Refused { service, .. }
            | Self::Unreadable { service, .. } => service.to_string(),
        }
    }

    /// The status that the called service answered, if it answered at all.
    pub(crate) fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            Self::Late { .. } | Self::Unreachable { .. } | Self::Unreadable { .. } => None,
        }
    }

    /// What the called service said about it.
    pub(crate) fn into_reply(self) -> Option<Value> {
        match self {
            Self::Refused { reply, .. } => reply,
            Self::Late { .. } | Self::Unreachable { .. } | Self::Unreadable { .. } => None,
        }
    }
}

/// `http://HOST[:PORT]`, and nothing behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BaseUrl(Authority);

impl BaseUrl {
    fn of(address: SocketAddr) -> Self {
        let authority = address.to_string().parse();
        Self(authority.expect("a socket's address is an authority"))
    }

    /// The address of a path below this base; the path is one of ours and begins with a slash.
    fn join(&self, path: &str) -> Uri {
        let path = PathAndQuery::try_from(path).expect("our own paths are plain ASCII");
        Uri::builder()
            .scheme(Scheme::HTTP)
            .authority(self.0.clone())
            .path_and_query(path)
            .build()
            .expect("a scheme, an authority and a path make an address")
    }
}

impl FromStr for BaseUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const SHAPE: &str = "an upstream is written http://HOST[:PORT], with nothing behind it";
        let parts = Uri::from_str(text).map_err(|_| SHAPE)?.into_parts();
        let bare = parts.path_and_query.is_none_or(|path| path == "/");
        match (parts.scheme, parts.authority) {
            (Some(scheme), Some(authority)) if bare && scheme == Scheme::HTTP => {
                Ok(Self(authority))
            }
            (Some(_) | None, Some(_) | None) => Err(SHAPE),
        }
    }
}
