//! gRPC over HTTP/2, as far as a proxy speaks it: which requests are calls, how long they may take, how
//! they ended, and how one is told that we answer it ourselves.
//!
//! Source: the gRPC project's `PROTOCOL-HTTP2` and `statuscodes`.

use std::fmt;
use std::time::Duration;

use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version};
use model::traffic::Ejection;
use policy::Reason;

use crate::balance::Said;

const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// How many codes there are.
pub(crate) const CODES: usize = 17;

/// A call, and what is known of its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Call {
    /// `None` until its status is there; for ever where it broke off before.
    pub(crate) code: Option<Code>,
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Code(u8);

impl Code {
    pub(crate) const OK: Code = Code(0);
    const CANCELLED: Code = Code(1);
    const UNKNOWN: Code = Code(2);
    const DEADLINE_EXCEEDED: Code = Code(4);
    const PERMISSION_DENIED: Code = Code(7);
    pub(crate) const RESOURCE_EXHAUSTED: Code = Code(8);
    const UNIMPLEMENTED: Code = Code(12);
    const INTERNAL: Code = Code(13);
    pub(crate) const UNAVAILABLE: Code = Code(14);
    const UNAUTHENTICATED: Code = Code(16);

    const NAMES: [&str; CODES] = [
        "OK",
        "CANCELLED",
        "UNKNOWN",
        "INVALID_ARGUMENT",
        "DEADLINE_EXCEEDED",
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "PERMISSION_DENIED",
        "RESOURCE_EXHAUSTED",
        "FAILED_PRECONDITION",
        "ABORTED",
        "OUT_OF_RANGE",
        "UNIMPLEMENTED",
        "INTERNAL",
        "UNAVAILABLE",
        "DATA_LOSS",
        "UNAUTHENTICATED",
    ];

    /// Every code, by its number.
    pub(crate) fn all() -> impl Iterator<Item = Code> {
        (0..CODES as u8).map(Code)
    }

    /// What a head or trailers say. What is no code that there is counts as UNKNOWN, as it does for
    /// callers.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Code> {
        let text = headers.get(STATUS)?.to_str().unwrap_or_default();
        let code = text.parse().ok().filter(|code| usize::from(*code) < CODES);
        Some(code.map_or(Code::UNKNOWN, Code))
    }

    /// What it says of the endpoint that ended a call by it, where these answers are failures.
    pub(crate) fn says(self, rule: &Ejection) -> Said {
        match self {
            Code::RESOURCE_EXHAUSTED => Said::Burdened,
            // The deadline was the caller's.
            Code::OK | Code::DEADLINE_EXCEEDED => Said::Well,
            code if rule.is_failure(code.as_http()) => Said::Failed,
            _ => Said::Well,
        }
    }

    /// The number, from 0 on.
    pub(crate) fn number(self) -> u8 {
        self.0
    }

    /// The word in logs and metrics.
    pub(crate) fn as_str(self) -> &'static str {
        Code::NAMES[usize::from(self.0)]
    }

    /// The HTTP status that says the same (`google.rpc.Code`).
    pub(crate) fn as_http(self) -> u16 {
        const STATUSES: [u16; CODES] =
            [200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401];
        STATUSES[usize::from(self.0)]
    }

    /// Whether the server failed, and not its caller (OpenTelemetry's conventions for gRPC).
    pub(crate) fn is_of_server(self) -> bool {
        matches!(self.0, 2 | 4 | 12..=15)
    }

    /// What a caller is told where we answer for this reason.
    fn for_reason(reason: Reason) -> Code {
        match reason {
            Reason::Ok => Code::OK,
            Reason::BadRequest | Reason::PathInvalid | Reason::HostInvalid => Code::INTERNAL,
            Reason::HeadersTooLarge | Reason::BodyTooLarge | Reason::RateLimited => {
                Code::RESOURCE_EXHAUSTED
            }
            Reason::ClientTimeout | Reason::RequestTimeout | Reason::BackendTimeout => {
                Code::DEADLINE_EXCEEDED
            }
            Reason::ClientGone => Code::CANCELLED,
            Reason::NoListener | Reason::NoRoute | Reason::ApiUnpublished | Reason::ApiRetired => {
                Code::UNIMPLEMENTED
            }
            Reason::CredentialMissing
            | Reason::CredentialInvalid
            | Reason::LoginBegun
            | Reason::LoginRefused => Code::UNAUTHENTICATED,
            Reason::AccessDenied | Reason::CallerRevoked | Reason::DefaultDenied => {
                Code::PERMISSION_DENIED
            }
            Reason::NoBackend
            | Reason::BackendMissing
            | Reason::BackendNotAllowed
            | Reason::BackendProtocol
            | Reason::BackendTls
            | Reason::Redirected
            | Reason::LoggedIn
            | Reason::LoggedOut
            | Reason::Preflight => Code::UNKNOWN,
            Reason::Misdirected
            | Reason::LimitUnreached
            | Reason::LoginUnreached
            | Reason::PolicyUnreadable
            | Reason::NoEndpoint
            | Reason::Overloaded
            | Reason::ConnectFailed
            | Reason::UpstreamReset
            | Reason::UpstreamTls
            | Reason::UpstreamProtocol
            | Reason::Drained => Code::UNAVAILABLE,
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Call {
    /// The call that a request is, if it is one.
    pub(crate) fn of(parts: &Parts) -> Option<Call> {
        if parts.version != Version::HTTP_2 {
            return None;
        }
        let kind = parts.headers.get(CONTENT_TYPE)?.as_bytes().strip_prefix(b"application/grpc")?;
        // `application/grpc-web` is another protocol.
        matches!(kind.first(), None | Some(b'+' | b';')).then(Call::default)
    }
}

/// How long a caller waits for its call.
pub(crate) fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(TIMEOUT)?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let is_number = (1..=8).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    let count: u64 = digits.parse().ok().filter(|_| is_number)?;
    Some(match unit {
        "H" => Duration::from_secs(count * 3600),
        "M" => Duration::from_secs(count * 60),
        "S" => Duration::from_secs(count),
        "m" => Duration::from_millis(count),
        "u" => Duration::from_micros(count),
        "n" => Duration::from_nanos(count),
        _ => return None,
    })
}

/// Whether the head of an answer to a call says what is to be thought of who gave it: with a code, or by a status
/// that no call has, such as that of a proxy before it. Else its end does.
pub(crate) fn is_told(status: StatusCode, headers: &HeaderMap) -> bool {
    Code::of(headers).is_some() || status != StatusCode::OK
}

/// The head of an answer of ours that has no body and no trailers behind it (`Trailers-Only`).
pub(crate) fn answer(headers: &mut HeaderMap, reason: Reason) -> Code {
    let code = Code::for_reason(reason);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(STATUS, HeaderValue::from(u16::from(code.number())));
    headers.insert(MESSAGE, HeaderValue::from_static(reason.as_str()));
    code
}

#[cfg(test)]
mod tests;
