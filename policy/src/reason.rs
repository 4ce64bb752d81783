//! Why a request ended as it did: the closed list behind status, metric label, log and explain.

use std::fmt;

use http::StatusCode;
use serde::{Serialize, Serializer};

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $variant:ident = $word:literal, $status:literal;)+) => {
        /// Why a request ended as it did.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Reason {
            /// Every reason, in the order of a request's way.
            pub const ALL: &'static [Reason] = &[$(Reason::$variant),+];

            /// The word in logs and metrics.
            pub const fn as_str(self) -> &'static str {
                match self { $(Reason::$variant => $word,)+ }
            }

            /// The status we answer with. For [`Reason::Ok`] the backend says it and for
            /// [`Reason::Redirected`] the filter; what stands here is their usual one.
            pub const fn status(self) -> StatusCode {
                match self { $(Reason::$variant => const { known($status) },)+ }
            }
        }
    };
}

/// The status of this code, found while compiling.
const fn known(code: u16) -> StatusCode {
    match StatusCode::from_u16(code) {
        Ok(status) => status,
        Err(_) => panic!("a status has three digits"),
    }
}

reasons! {
    /// Routed; the backend answered.
    Ok = "ok", 200;
    /// Answered with a redirect.
    Redirected = "redirected", 302;
    /// A browser asked what a page may send, and was told.
    Preflight = "preflight", 204;
    /// A browser was sent to where it logs in.
    LoginBegun = "login_begun", 302;
    /// A browser came back from where it logged in, and has a session.
    LoggedIn = "logged_in", 303;
    /// A browser has no session any more.
    LoggedOut = "logged_out", 303;
    /// The request is no HTTP that we take.
    BadRequest = "bad_request", 400;
    /// The path has no normal form.
    PathInvalid = "path_invalid", 400;
    /// The host is missing, doubled or no host.
    HostInvalid = "host_invalid", 400;
    /// The head is larger than allowed.
    HeadersTooLarge = "headers_too_large", 431;
    /// The body is larger than allowed.
    BodyTooLarge = "body_too_large", 413;
    /// The caller was too slow to send.
    ClientTimeout = "client_timeout", 408;
    /// The caller went away before the answer was whole.
    ClientGone = "client_gone", 499;
    /// The host belongs to another listener than the connection's.
    Misdirected = "misdirected", 421;
    /// No listener serves this host on this port.
    NoListener = "no_listener", 404;
    /// No route's rule matches.
    NoRoute = "no_route", 404;
    /// The Api that the route belongs to is a draft, or not there.
    ApiUnpublished = "api_unpublished", 404;
    /// The Api that the route belongs to is retired.
    ApiRetired = "api_retired", 410;
    /// Nobody proved who is calling, and that is needed.
    CredentialMissing = "credential_missing", 401;
    /// A credential was shown and is wrong.
    CredentialInvalid = "credential_invalid", 401;
    /// Who is calling is known, and was shut out before their credentials end.
    CallerRevoked = "caller_revoked", 403;
    /// Who came back from where they log in is not let in: the provider declined, its word cannot be believed, or
    /// nothing was begun that this ends.
    LoginRefused = "login_refused", 403;
    /// Where browsers log in cannot be asked who they are.
    LoginUnreached = "login_unreached", 503;
    /// A rule denies it, or none allows it.
    AccessDenied = "access_denied", 403;
    /// No policy speaks of it, and its workspace denies that.
    DefaultDenied = "default_denied", 403;
    /// As much came already as a limit lets pass.
    RateLimited = "rate_limited", 429;
    /// What a limit has counted cannot be asked, and it says that nothing passes then: closed.
    LimitUnreached = "limit_unreached", 503;
    /// A policy stands here that could not be read: closed.
    PolicyUnreadable = "policy_unreadable", 503;
    /// The rule names no backend, or all weigh nothing.
    NoBackend = "no_backend", 500;
    /// The backend that the rule names does not exist.
    BackendMissing = "backend_missing", 500;
    /// The backend lies in a namespace that does not grant its use.
    BackendNotAllowed = "backend_not_allowed", 500;
    /// The backend does not speak what was sent: bytes alone where a request came, or HTTP where a
    /// connection did.
    BackendProtocol = "backend_protocol", 500;
    /// The backend is to be reached by TLS, and what says how cannot be used: closed.
    BackendTls = "backend_tls", 500;
    /// The backend has no endpoint that is ready.
    NoEndpoint = "no_endpoint", 503;
    /// As many requests are under way to the backend as it is to get, or as many connections open.
    Overloaded = "overloaded", 503;
    /// No endpoint could be connected to.
    ConnectFailed = "connect_failed", 503;
    /// The backend did not prove that it is who must answer, or speaks no TLS that we take.
    UpstreamTls = "upstream_tls", 502;
    /// The backend broke off.
    UpstreamReset = "upstream_reset", 502;
    /// The backend spoke no HTTP that we take.
    UpstreamProtocol = "upstream_protocol", 502;
    /// The rule's time for the whole request ran out.
    RequestTimeout = "request_timeout", 504;
    /// The rule's time for one try at a backend ran out.
    BackendTimeout = "backend_timeout", 504;
    /// The process ended, and its time to finish what was under way with it.
    Drained = "drained", 503;
}

impl Reason {
    /// Whether a request that ended so was denied: by a rule, by a border, for want of either, or by a limit.
    pub const fn is_denial(self) -> bool {
        matches!(
            self,
            Reason::ApiUnpublished
                | Reason::ApiRetired
                | Reason::CredentialMissing
                | Reason::CredentialInvalid
                | Reason::CallerRevoked
                | Reason::LoginRefused
                | Reason::LoginUnreached
                | Reason::AccessDenied
                | Reason::DefaultDenied
                | Reason::RateLimited
                | Reason::LimitUnreached
                | Reason::PolicyUnreadable
        )
    }

    /// Whether it was a limit that denied a request that ended so.
    pub const fn is_limit(self) -> bool {
        matches!(self, Reason::RateLimited | Reason::LimitUnreached)
    }

    /// Whether a request that ended so was let through and got no answer of a backend, for no fault of
    /// who asked.
    pub const fn is_failure(self) -> bool {
        matches!(
            self,
            Reason::NoBackend
                | Reason::BackendMissing
                | Reason::BackendNotAllowed
                | Reason::BackendProtocol
                | Reason::BackendTls
                | Reason::NoEndpoint
                | Reason::ConnectFailed
                | Reason::UpstreamTls
                | Reason::UpstreamReset
                | Reason::UpstreamProtocol
                | Reason::RequestTimeout
                | Reason::BackendTimeout
                | Reason::Drained
        )
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn words_are_distinct_and_in_snake_case_and_statuses_are_final() {
        let words: BTreeSet<_> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
        assert_eq!(words.len(), Reason::ALL.len());
        for reason in Reason::ALL {
            assert!(reason.as_str().bytes().all(|b| b.is_ascii_lowercase() || b == b'_'));
            assert!((200..600).contains(&reason.status().as_u16()), "{reason}");
        }
    }
}
