//! Sessions of a rule (Gateway API, `SessionPersistence`, GEP-1619).

use http::HeaderName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::GatewayDuration;
use crate::cookie;
use crate::header::{is_of_connection, is_of_cors, is_of_origin};
use crate::invalid::Checker;

/// Whose requests go to one and the same endpoint: those of a caller who brings back what the first
/// answer gave.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SessionPersistence {
    /// The name of the cookie or header; one of the rule's own where none is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub session_name: Option<String>,
    /// How long a session lasts at most; without end where none is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub absolute_timeout: Option<GatewayDuration>,
    /// How long a session lasts without a request; without end where none is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_timeout: Option<GatewayDuration>,
    /// By what callers carry it; `Cookie` where none is written.
    #[serde(rename = "type", default)]
    pub kind: SessionType,
    /// What belongs to cookies alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cookie_config: Option<CookieConfig>,
}

/// By what callers carry a session.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)]
pub enum SessionType {
    #[default]
    Cookie,
    Header,
}

/// How a browser keeps the cookie.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CookieConfig {
    /// For how long; `Session` where none is written.
    #[serde(default)]
    pub lifetime_type: CookieLifetime,
}

/// For how long a browser keeps the cookie.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum CookieLifetime {
    /// Until it is closed.
    #[default]
    Session,
    /// Until `absoluteTimeout` is over, which is needed then.
    Permanent,
}

/// Headers that mean something to those on the way, or to the backend.
const TAKEN: [&str; 10] = [
    "authorization",
    "proxy-authorization",
    "cookie",
    "set-cookie",
    "content-type",
    "content-encoding",
    "location",
    "traceparent",
    "tracestate",
    "x-request-id",
];

impl SessionPersistence {
    /// For how long a browser keeps the cookie.
    pub fn lifetime(&self) -> CookieLifetime {
        self.cookie_config.unwrap_or_default().lifetime_type
    }

    /// Reports what the schema cannot say.
    pub(super) fn check(&self, at: &mut Checker) {
        if let Some(name) = &self.session_name {
            at.within("sessionName", |at| self.check_name(at, name));
        }
        for (field, bound) in
            [("absoluteTimeout", self.absolute_timeout), ("idleTimeout", self.idle_timeout)]
        {
            if bound == Some(GatewayDuration::default()) {
                at.fault_in(field, "must be longer than 0s; leave it out for a session without");
            }
        }
        if self.lifetime() == CookieLifetime::Permanent && self.absolute_timeout.is_none() {
            let text = "a permanent cookie needs 'absoluteTimeout', by which it ends";
            at.fault_in("absoluteTimeout", text);
        }
        if self.kind == SessionType::Header && self.cookie_config.is_some() {
            at.fault_in("cookieConfig", "does not belong to type Header");
        }
    }

    fn check_name(&self, at: &mut Checker, name: &str) {
        // Names of cookies have the same letters (RFC 6265, section 4.1.1).
        if HeaderName::from_bytes(name.as_bytes()).is_err() {
            at.fault(format!("'{name}' is no name: letters, digits, '-', '_', '.' and the like"));
            return;
        }
        let lower = name.to_ascii_lowercase();
        match self.kind {
            SessionType::Cookie => {
                if cookie::ALL.iter().any(|ours| ours.eq_ignore_ascii_case(name)) {
                    at.fault(format!(
                        "'{name}' is a cookie of Heddle's console; take another name"
                    ));
                } else if lower.starts_with("__host-") || lower.starts_with("__secure-") {
                    let text = "browsers drop cookies named so where TLS or path is not as the name \
                                promises; take another name";
                    at.fault(text);
                }
            }
            SessionType::Header => {
                let starts = |prefix: &&str| lower.starts_with(*prefix);
                let is_taken = TAKEN.contains(&&*lower)
                    || ["x-forwarded-", "heddle-", "grpc-"].iter().any(starts)
                    || is_of_connection(&lower)
                    || is_of_origin(&lower)
                    || is_of_cors(&lower);
                if is_taken {
                    at.fault(format!("'{name}' means something else already; take another name"));
                }
            }
        }
    }
}
