//! One request that this program makes itself, such as to a login provider: over TLS but to this machine itself, bounded in time and size, and led
//! nowhere else by a redirect.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::header::{HOST, HeaderValue};
use http::uri::{PathAndQuery, Scheme};
use http::{Request, Response, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use model::login::is_loopback;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// How long an answer may take, from the first packet to its last.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of an answer.
const MOST: usize = 1 << 20;

/// Where systems keep the certificates that they trust, those of their owners among them.
const PLATFORM: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It would go over the network in the clear.
    #[error("{0} is no https URL, nor on this machine")]
    Clear(String),
    /// The address is none.
    #[error("{0} names no host")]
    NoHost(String),
    /// It cannot be reached.
    #[error("connecting to {0}")]
    Connect(String, #[source] std::io::Error),
    /// It does not speak HTTP as it should.
    #[error("asking {0}")]
    Ask(String, #[source] hyper::Error),
    /// It answers without end, or breaks off.
    #[error("reading an answer of {0}, which may have {MOST} bytes")]
    Read(String, #[source] Box<dyn std::error::Error + Send + Sync>),
    /// It does not answer in time.
    #[error("{0} did not answer within {n} s", n = PATIENCE.as_secs())]
    Late(String),
}

/// Who asks providers; copies share what they trust.
#[derive(Clone)]
pub(crate) struct Client(Arc<ClientConfig>);

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Client")
    }
}

impl Client {
    /// Trusts what the system does; where it has no such file, what Mozilla does.
    pub(crate) fn new() -> Self {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider has what the default versions need");
        let mut config = config.with_root_certificates(roots()).with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Client(Arc::new(config))
    }

    /// What is answered, whatever its status.
    ///
    /// # Errors
    /// [`Error`].
    pub(crate) async fn call(&self, asked: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, Error> {
        let place = place(asked.uri());
        let called = tokio::time::timeout(PATIENCE, self.connect(asked, &place));
        called.await.unwrap_or_else(|_| Err(Error::Late(place.clone())))
    }

    async fn connect(
        &self,
        asked: Request<Vec<u8>>,
        place: &str,
    ) -> Result<Response<Vec<u8>>, Error> {
        let uri = asked.uri().clone();
        let host = uri.host().ok_or_else(|| Error::NoHost(place.to_owned()))?;
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let failed = |error| Error::Connect(place.to_owned(), error);
        if uri.scheme() == Some(&Scheme::HTTPS) {
            let wrong = |error| std::io::Error::new(std::io::ErrorKind::InvalidInput, error);
            let name = ServerName::try_from(bare.to_owned()).map_err(wrong).map_err(failed)?;
            let port = uri.port_u16().unwrap_or(443);
            let stream = TcpStream::connect((bare, port)).await.map_err(failed)?;
            let shake = TlsConnector::from(Arc::clone(&self.0)).connect(name, stream);
            return exchange(shake.await.map_err(failed)?, asked, place).await;
        }
        if uri.scheme() != Some(&Scheme::HTTP) || !is_loopback(bare) {
            return Err(Error::Clear(place.to_owned()));
        }
        // No resolver is asked: one that is not ours could lead it elsewhere.
        let address = bare.parse().unwrap_or(std::net::IpAddr::from([127, 0, 0, 1]));
        let port = uri.port_u16().unwrap_or(80);
        let stream = TcpStream::connect((address, port)).await.map_err(failed)?;
        exchange(stream, asked, place).await
    }
}

/// Scheme and host, for people; never what stands behind them.
fn place(uri: &Uri) -> String {
    let scheme = uri.scheme_str().unwrap_or("?");
    format!("{scheme}://{}", uri.authority().map_or("", http::uri::Authority::as_str))
}

async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    asked: Request<Vec<u8>>,
    place: &str,
) -> Result<Response<Vec<u8>>, Error> {
    let failed = |error| Error::Ask(place.to_owned(), error);
    let shake = hyper::client::conn::http1::handshake(TokioIo::new(stream));
    let (mut sender, connection) = shake.await.map_err(failed)?;
    let asked = relative(asked, place)?;
    let answer = async move {
        let answer = sender.send_request(asked).await.map_err(failed)?;
        let (parts, body) = answer.into_parts();
        let whole = Limited::new(body, MOST).collect().await;
        let whole = whole.map_err(|error| Error::Read(place.to_owned(), error))?;
        Ok(Response::from_parts(parts, whole.to_bytes().to_vec()))
    };
    tokio::pin!(answer);
    // What was read is there also where the connection ends before it is taken.
    tokio::select! {
        biased;
        answer = &mut answer => answer,
        _ = connection => answer.await,
    }
}

/// As it stands on the wire: the path alone, and the host in its header.
fn relative(asked: Request<Vec<u8>>, place: &str) -> Result<Request<Full<Bytes>>, Error> {
    let (mut parts, body) = asked.into_parts();
    let none = || Error::NoHost(place.to_owned());
    let authority = parts.uri.authority().ok_or_else(none)?;
    let host = HeaderValue::from_str(authority.as_str()).map_err(|_| none())?;
    parts.headers.insert(HOST, host);
    let root = || PathAndQuery::from_static("/");
    parts.uri = Uri::from(parts.uri.path_and_query().cloned().unwrap_or_else(root));
    Ok(Request::from_parts(parts, Full::new(Bytes::from(body))))
}

fn roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let platform = PLATFORM.iter().map(Path::new).find(|path| path.is_file());
    if let Some(certificates) = platform.and_then(|path| CertificateDer::pem_file_iter(path).ok()) {
        roots.add_parsable_certificates(certificates.filter_map(Result::ok));
    }
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots
}

#[cfg(test)]
mod tests;
