//! Who answers: every reply says service, version and cluster, in the body and in a header.
//!
//! ```text
//! x-served-by: catalog-v2
//! {"service":"catalog","version":"v2","cluster":"local","books":[...]}
//! ```

use std::fmt;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use serde::Serialize;
use serde_json::{Value, json};

use crate::service::{Service, Version};
use crate::upstream::CallFailure;

/// A whole answer, ready to send.
pub(crate) type Reply = Response<Full<Bytes>>;

/// The header that names the service and version which answered.
pub(crate) const SERVED_BY: HeaderName = HeaderName::from_static("x-served-by");

/// The name under which one process answers.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Nameplate {
    pub(crate) service: Service,
    pub(crate) version: Version,
    pub(crate) cluster: String,
}

/// The body of a reply: the nameplate first, then what there is to say.
#[derive(Serialize)]
struct Page<'a> {
    #[serde(flatten)]
    plate: &'a Nameplate,
    #[serde(flatten)]
    fields: Value,
}

impl Nameplate {
    /// A reply of this status; `fields` is a JSON object and stands after the name.
    pub(crate) fn reply(&self, status: StatusCode, fields: Value) -> Reply {
        let page = Page { plate: self, fields };
        let mut body = serde_json::to_vec(&page).expect("an object with text keys always encodes");
        body.push(b'\n');
        let mut reply = Response::new(Full::new(Bytes::from(body)));
        *reply.status_mut() = status;
        reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        reply
    }

    /// A reply of success.
    pub(crate) fn ok(&self, fields: Value) -> Reply {
        self.reply(StatusCode::OK, fields)
    }

    /// A reply to a request that the caller got wrong.
    pub(crate) fn refuse(&self, status: StatusCode, error: &str) -> Reply {
        self.reply(status, json!({ "error": error }))
    }

    /// A reply where the fault lies with a service further on, which `failed` names: the deepest
    /// one known, since a caller at the edge wants to know where the chain broke.
    pub(crate) fn bad_gateway(&self, failure: CallFailure) -> Reply {
        let mut fields = json!({ "error": failure.to_string(), "failed": failure.culprit() });
        if let Some(status) = failure.status() {
            fields["status"] = status.as_u16().into();
        }
        if let Some(called) = failure.into_reply() {
            fields["called"] = called;
        }
        self.reply(StatusCode::BAD_GATEWAY, fields)
    }

    /// Signs a reply with the header that names who served it.
    pub(crate) fn sign(&self, reply: &mut Reply) {
        let name = match (self.service, self.version) {
            (Service::Storefront, Version::V1) => "storefront-v1",
            (Service::Storefront, Version::V2) => "storefront-v2",
            (Service::Orders, Version::V1) => "orders-v1",
            (Service::Orders, Version::V2) => "orders-v2",
            (Service::Catalog, Version::V1) => "catalog-v1",
            (Service::Catalog, Version::V2) => "catalog-v2",
            (Service::Visitors, _) => "visitors",
        };
        reply.headers_mut().insert(SERVED_BY, HeaderValue::from_static(name));
    }
}

impl fmt::Display for Nameplate {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {} in cluster {}", self.service, self.version, self.cluster)
    }
}
