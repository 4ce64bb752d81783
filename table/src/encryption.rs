//! How what goes to the endpoints of a Service is encrypted, and what a Gateway shows of itself there.
//!
//! It hangs on both: the Service has a BackendTLSPolicy, the Gateway a certificate. Where either cannot be
//! used, nothing goes there: what was to be encrypted is never sent in the clear, nor by nobody what was to
//! be sent by somebody.

use std::fmt;
use std::sync::Arc;

use model::backend_tls::{SubjectAltName, SubjectAltNameType};
use model::{Hostname, Key};

use crate::listener::{Authority, Certificate, Listener};
use crate::service::Service;

/// Whether what goes to a port of a Service is encrypted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Encryption {
    /// It is not.
    #[default]
    None,
    /// By TLS.
    Tls(Arc<BackendTls>),
    /// It should be, and nobody can say how: nothing is sent. This is why.
    Closed(Arc<str>),
}

/// TLS as a BackendTLSPolicy wants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackendTls {
    /// The policy.
    pub policy: Key,
    /// Who is asked for, and must answer where `names` are none.
    pub server_name: Hostname,
    /// One of these must answer.
    pub names: Vec<SubjectAltName>,
    /// Who may have signed for them.
    pub authorities: Authorities,
}

/// Who may sign certificates of backends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Authorities {
    /// Any of these; at least one.
    These(Vec<Authority>),
    /// Those that everybody knows.
    System,
}

/// What a Gateway shows to backends that it speaks TLS with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Presented {
    /// Nothing.
    #[default]
    Nothing,
    /// This certificate.
    Certificate(Arc<Certificate>),
    /// A certificate that cannot be used: it speaks TLS with nobody. This is why.
    Unusable(Arc<str>),
}

/// TLS towards the endpoints of a Service, of what came through one listener.
#[derive(Debug, Clone, Copy)]
pub struct Onward<'t> {
    /// What it is like.
    pub tls: &'t Arc<BackendTls>,
    /// What is shown there.
    pub shown: Option<&'t Arc<Certificate>>,
}

impl Service {
    /// How what came through `listener` goes on to the endpoints; in the clear, or as it came, where there is
    /// nothing.
    ///
    /// # Errors
    /// If it may not go there at all: why, in words.
    pub fn onward<'t>(&'t self, listener: &'t Listener) -> Result<Option<Onward<'t>>, &'t str> {
        // What goes on as it came has the client's own TLS, which ends at the backend.
        if listener.is_passthrough {
            return Ok(None);
        }
        let tls = match &self.encryption {
            Encryption::None => return Ok(None),
            Encryption::Tls(tls) => tls,
            Encryption::Closed(why) => return Err(why),
        };
        match &listener.presented {
            Presented::Nothing => Ok(Some(Onward { tls, shown: None })),
            Presented::Certificate(shown) => Ok(Some(Onward { tls, shown: Some(shown) })),
            Presented::Unusable(why) => Err(why),
        }
    }
}

impl fmt::Display for Onward<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.tls)?;
        self.shown.iter().try_for_each(|shown| write!(f, "; shows {}", shown.secret))
    }
}

impl fmt::Display for BackendTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let asked = &self.server_name;
        let names: Vec<_> = self.names.iter().map(called).collect();
        let signed = match &self.authorities {
            Authorities::System => "an authority that everybody knows".to_owned(),
            Authorities::These(all) => {
                let all: Vec<_> = all.iter().map(|one| one.config_map.to_string()).collect();
                all.join(" or ")
            }
        };
        match names.as_slice() {
            [] => write!(f, "TLS with {asked}")?,
            some => write!(f, "TLS with {} under the server name {asked}", some.join(" or "))?,
        }
        write!(f, ", signed by {signed} ({})", self.policy)
    }
}

fn called(name: &SubjectAltName) -> &str {
    let written = match name.kind {
        SubjectAltNameType::Hostname => name.hostname.as_ref().map(Hostname::as_str),
        SubjectAltNameType::Uri => name.uri.as_deref(),
    };
    written.unwrap_or_default()
}
