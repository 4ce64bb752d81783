//! Where a redirect points (Gateway API, `HTTPRequestRedirectFilter`).

use std::fmt::Write as _;

use http::{HeaderValue, StatusCode, Uri};
use model::Hostname;
use model::route::{RedirectScheme, RequestRedirect};

use crate::chain::ChainError;
use crate::facts::{Facts, Scheme};
use crate::rewrite::{PathChange, TargetTooLong};

/// A redirect; what it does not say stays as the request had it, the query always.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    scheme: Option<Scheme>,
    host: Option<Hostname>,
    port: Option<u16>,
    path: Option<PathChange>,
    status: StatusCode,
}

impl Redirect {
    /// Compiles `from`.
    ///
    /// # Errors
    /// [`ChainError`] for a path that is none, a wildcard host, or a status that redirects not.
    pub fn compile(from: &RequestRedirect) -> Result<Self, ChainError> {
        if let Some(host) = from.hostname.as_ref().filter(|host| host.suffix().is_some()) {
            return Err(ChainError::Host(host.to_string()));
        }
        let status = StatusCode::from_u16(from.status_code).ok();
        let status = status.filter(StatusCode::is_redirection);
        Ok(Redirect {
            scheme: from.scheme.map(|scheme| match scheme {
                RedirectScheme::Http => Scheme::Http,
                RedirectScheme::Https => Scheme::Https,
            }),
            host: from.hostname.clone(),
            port: from.port,
            path: from.path.as_ref().map(PathChange::compile).transpose()?,
            status: status.ok_or(ChainError::Status(from.status_code))?,
        })
    }

    /// The status it answers with.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The value of `Location`.
    ///
    /// # Errors
    /// [`TargetTooLong`] where it would be no URL that a client could ask us for, or where the
    /// request has bytes that no header carries.
    pub fn location(
        &self,
        facts: &Facts<'_>,
        prefix: Option<&str>,
    ) -> Result<HeaderValue, TargetTooLong> {
        let target = self.target(facts, prefix);
        Uri::try_from(target.as_str()).map_err(|_| TargetTooLong)?;
        HeaderValue::try_from(target).map_err(|_| TargetTooLong)
    }

    /// The URL it points to; without a host, where neither side names one, the path alone.
    pub fn target(&self, facts: &Facts<'_>, prefix: Option<&str>) -> String {
        let scheme = self.scheme.unwrap_or(facts.scheme);
        let host = self.host.as_ref().map_or(facts.host, Hostname::as_str);
        let mut url = String::with_capacity(16 + host.len() + facts.path.len());
        if !host.is_empty() {
            url.push_str(scheme.as_str());
            url.push_str("://");
            url.push_str(host);
            let port = self.port(facts, scheme);
            if port != scheme.well_known_port() {
                let _infallible = write!(url, ":{port}");
            }
        }
        match &self.path {
            Some(change) => url.push_str(&change.apply(facts.path, prefix)),
            None => url.push_str(facts.path),
        }
        if let Some(query) = facts.query {
            url.push('?');
            url.push_str(query);
        }
        url
    }

    /// The port written; else, where the scheme is written, its own; else the listener's.
    fn port(&self, facts: &Facts<'_>, scheme: Scheme) -> u16 {
        match (self.port, self.scheme) {
            (Some(port), _) => port,
            (None, Some(_)) => scheme.well_known_port(),
            (None, None) => facts.port,
        }
    }
}

#[cfg(test)]
mod tests;
