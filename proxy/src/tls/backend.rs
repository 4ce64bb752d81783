//! TLS towards backends: who must answer there, and what is shown of ourselves.
//!
//! Every handshake is a whole one: a session that resumes shows a certificate which was checked once, long
//! ago.

use std::sync::{Arc, Weak};
use std::{fmt, io};

use model::backend_tls::{SubjectAltName, SubjectAltNameType};
use model::service::AppProtocol;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::SingleCertAndKey;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, OtherError, RootCertStore,
    SignatureScheme,
};
use table::{Authorities, BackendTls, Certificate};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::{certificate, client};

/// Why no TLS can be spoken as a policy wants it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// An authority cannot be read.
    #[error("{0} cannot be used")]
    Authority(model::Key, #[source] client::Error),
    /// It is no name that a handshake could ask for.
    #[error("'{0}' is no server name")]
    Name(String),
}

/// TLS with the endpoints of one port of a Service.
#[derive(Debug)]
pub(crate) struct Backend {
    pub(crate) of: Arc<BackendTls>,
    /// What is agreed on.
    protocol: AppProtocol,
    name: ServerName<'static>,
    check: Arc<Check>,
}

/// A certificate that is shown to backends.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) of: Arc<Certificate>,
    key: Arc<SingleCertAndKey>,
}

/// As whom something goes to an endpoint.
#[derive(Debug, Clone, Default)]
pub(crate) enum Face {
    /// As it is, without any TLS of ours.
    #[default]
    Plain,
    /// By TLS with the backend, to which this is shown.
    Tls(Option<Arc<Shown>>),
}

/// The same as is remembered of a connection; it keeps nothing that is of no use any more.
pub(crate) type Remembered = Option<Weak<Shown>>;

impl Face {
    /// What is remembered of it.
    pub(crate) fn remembered(&self) -> Remembered {
        match self {
            Face::Plain | Face::Tls(None) => None,
            Face::Tls(Some(shown)) => Some(Arc::downgrade(shown)),
        }
    }

    /// The same without what is shown, for who remembers it for long: a certificate is to be gone when no
    /// Gateway has it.
    pub(crate) fn bare(&self) -> Face {
        match self {
            Face::Plain => Face::Plain,
            Face::Tls(_) => Face::Tls(None),
        }
    }

    /// Whether it is the other one.
    pub(crate) fn is(&self, other: &Face) -> bool {
        match (self, other) {
            (Face::Plain, Face::Plain) | (Face::Tls(None), Face::Tls(None)) => true,
            (Face::Tls(Some(one)), Face::Tls(Some(other))) => Arc::ptr_eq(one, other),
            (Face::Plain | Face::Tls(_), _) => false,
        }
    }
}

impl Shown {
    /// None where certificate and key cannot be used, which is told.
    pub(crate) fn new(of: &Arc<Certificate>) -> Option<Self> {
        match certificate::certified(&of.chain_pem, &of.key_pem) {
            Ok(key) => {
                let key = Arc::new(SingleCertAndKey::from(key));
                Some(Shown { of: Arc::clone(of), key })
            }
            Err(error) => {
                // Such a Secret is refused before a table is assembled.
                tracing::error!(secret = %of.secret, %error, "no backend is shown this certificate");
                None
            }
        }
    }
}

impl Backend {
    /// TLS that carries what a port speaks.
    pub(crate) fn new(of: &Arc<BackendTls>, protocol: AppProtocol) -> Result<Self, Error> {
        let mut roots = RootCertStore::empty();
        match &of.authorities {
            Authorities::System => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
            Authorities::These(all) => {
                for one in all {
                    let read = client::read(&one.pem);
                    let read = read.map_err(|why| Error::Authority(one.config_map.clone(), why))?;
                    roots.roots.extend(read.roots);
                }
            }
        }
        let name = server_name(of.server_name.as_str())?;
        let names = of.names.iter().map(Wanted::new).collect::<Result<_, _>>()?;
        let check = Arc::new(Check { roots, names, provider: Arc::new(default_provider()) });
        Ok(Backend { of: Arc::clone(of), protocol, name, check })
    }

    /// Whether it is as `of` wants it, for this protocol.
    pub(crate) fn is(&self, of: &Arc<BackendTls>, protocol: AppProtocol) -> bool {
        self.of == *of && self.protocol == protocol
    }

    /// Finds out who answers on a connection, and shows who asks.
    pub(crate) async fn handshake(
        &self,
        stream: TcpStream,
        shown: Option<&Arc<Shown>>,
    ) -> io::Result<TlsStream<TcpStream>> {
        let connector = TlsConnector::from(Arc::new(self.config(shown)));
        connector.connect(self.name.clone(), stream).await.map_err(plainly)
    }

    fn config(&self, shown: Option<&Arc<Shown>>) -> ClientConfig {
        let builder = ClientConfig::builder()
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&self.check) as _);
        let mut config = match shown {
            Some(shown) => builder.with_client_cert_resolver(Arc::clone(&shown.key) as _),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = match self.protocol {
            AppProtocol::Http1 => vec![b"http/1.1".to_vec()],
            AppProtocol::H2c => vec![b"h2".to_vec()],
            // Of what is carried nothing is known.
            AppProtocol::Tcp | AppProtocol::Udp => Vec::new(),
        };
        config.resumption = Resumption::disabled();
        config
    }
}

/// An error of ours in its own words.
fn plainly(error: io::Error) -> io::Error {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(why)))) => {
            io::Error::other(Arc::clone(why))
        }
        Some(_) | None => error,
    }
}

fn server_name(host: &str) -> Result<ServerName<'static>, Error> {
    ServerName::try_from(host.to_owned()).map_err(|_| Error::Name(host.to_owned()))
}

/// A name of which a certificate must have one.
#[derive(Debug)]
enum Wanted {
    Host(ServerName<'static>),
    Uri(String),
}

impl Wanted {
    fn new(name: &SubjectAltName) -> Result<Self, Error> {
        match name.kind {
            SubjectAltNameType::Hostname => {
                let host = name.hostname.as_ref().map(ToString::to_string).unwrap_or_default();
                server_name(&host).map(Wanted::Host)
            }
            SubjectAltNameType::Uri => Ok(Wanted::Uri(name.uri.clone().unwrap_or_default())),
        }
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wanted::Host(name) => f.write_str(&name.to_str()),
            Wanted::Uri(uri) => f.write_str(uri),
        }
    }
}

/// Checks the certificates of a backend.
#[derive(Debug)]
struct Check {
    roots: RootCertStore,
    /// In the place of the server name; that counts where there is none.
    names: Vec<Wanted>,
    provider: Arc<CryptoProvider>,
}

/// A certificate that is for somebody else.
#[derive(Debug, thiserror::Error)]
#[error("the certificate that was shown is not for {0}")]
struct NotFor(String);

impl Check {
    /// Whether it is for one of those who may answer; that it is signed was checked.
    fn is_for_one(
        &self,
        leaf: &CertificateDer<'_>,
        parsed: &ParsedCertificate<'_>,
        asked: &ServerName<'_>,
    ) -> Result<(), rustls::Error> {
        if self.names.is_empty() {
            return verify_server_name(parsed, asked);
        }
        let uris = uris(leaf);
        let is_it = |wanted: &Wanted| match wanted {
            Wanted::Host(name) => verify_server_name(parsed, name).is_ok(),
            Wanted::Uri(uri) => uris.contains(uri),
        };
        if self.names.iter().any(is_it) {
            return Ok(());
        }
        let names: Vec<_> = self.names.iter().map(ToString::to_string).collect();
        let other = OtherError(Arc::new(NotFor(names.join(" or "))));
        Err(rustls::Error::InvalidCertificate(CertificateError::Other(other)))
    }
}

/// The URIs that a certificate is for.
fn uris(leaf: &CertificateDer<'_>) -> Vec<String> {
    let Ok((_, read)) = X509Certificate::from_der(leaf) else { return Vec::new() };
    let names = read.extensions().iter().filter_map(|one| match one.parsed_extension() {
        ParsedExtension::SubjectAlternativeName(names) => Some(&names.general_names),
        _ => None,
    });
    let uris = names.flatten().filter_map(|name| match name {
        GeneralName::URI(uri) => Some((*uri).to_owned()),
        _ => None,
    });
    uris.collect()
}

impl ServerCertVerifier for Check {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        asked: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let parsed = ParsedCertificate::try_from(leaf)?;
        let known = self.provider.signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&parsed, &self.roots, others, now, known)?;
        self.is_for_one(leaf, &parsed, asked).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, leaf, signed, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, leaf, signed, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
pub(crate) mod tests;
