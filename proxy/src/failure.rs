//! A fault on the way of a request: whose it is, whether another endpoint may be tried, and the
//! closed word for it.

use std::error::Error;
use std::fmt;

use policy::Reason;

/// Who failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// The caller.
    Client,
    /// The backend, or the way to it.
    Backend,
    /// This proxy.
    Proxy,
}

/// Whether the request may be sent once more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retry {
    /// Nothing of it reached a backend: safe for every method.
    Elsewhere,
    /// The same, and no endpoint failed: the connection that it was granted had ended.
    Anew,
    /// Some of it may have.
    Never,
}

/// One fault.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) side: Side,
    pub(crate) reason: Reason,
    pub(crate) retry: Retry,
    pub(crate) source: Option<Box<dyn Error + Send + Sync>>,
}

impl Failure {
    /// A fault of the caller's.
    pub(crate) fn client(reason: Reason) -> Self {
        Failure { side: Side::Client, reason, retry: Retry::Never, source: None }
    }

    /// A fault of ours.
    pub(crate) fn proxy(reason: Reason) -> Self {
        Failure { side: Side::Proxy, reason, retry: Retry::Never, source: None }
    }

    /// A fault of the backend's, after it may have seen the request.
    pub(crate) fn backend(reason: Reason) -> Self {
        Failure { side: Side::Backend, reason, retry: Retry::Never, source: None }
    }

    /// The endpoint could not be reached: nothing was sent.
    pub(crate) fn unreached(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Failure {
            side: Side::Backend,
            reason: Reason::ConnectFailed,
            retry: Retry::Elsewhere,
            source: Some(source.into()),
        }
    }

    /// The connection that was granted had ended: nothing was sent.
    pub(crate) fn ended() -> Self {
        Failure { retry: Retry::Anew, ..Self::proxy(Reason::Overloaded) }
            .because("the connection that it was given had ended")
    }

    /// Whoever answered at the endpoint did not prove to be who must: nothing was sent.
    pub(crate) fn unproved(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Failure { reason: Reason::UpstreamTls, ..Self::unreached(source) }
    }

    /// The same with its cause, for the log.
    pub(crate) fn because(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }
}

impl fmt::Display for Failure {
    /// The whole chain of causes: for the log, never for the caller.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = match self.side {
            Side::Client => "client",
            Side::Backend => "backend",
            Side::Proxy => "proxy",
        };
        write!(f, "{side}")?;
        let mut cause = self.source.as_ref().map(|source| &**source as &dyn Error);
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}
