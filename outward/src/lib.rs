//! Requests that our programs make themselves: of a server to login providers, which the platform names, and for the
//! keys of an issuer, which anybody names who may write an AuthnPolicy; of a gateway to those where browsers log in,
//! which the same people name. Over TLS but to this machine itself, bounded in time and size.
//!
//! Whoever names a URL could have us ask what they cannot reach themselves. So where keys are fetched, an address is
//! looked at before somebody is asked there, at each redirect anew: see [`Reach`].

#![forbid(unsafe_code)]

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::header::{ACCEPT, HOST, HeaderValue, LOCATION};
use http::uri::{PathAndQuery, Scheme};
use http::{Request, Response, StatusCode, Uri};
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
use tokio_rustls::client::TlsStream;
use url::Url;

mod reach;

pub use reach::Reach;

/// How long an answer may take, from the first packet to its last.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long one address of several may take to take a connection.
const EACH: Duration = Duration::from_secs(3);
/// Bytes of an answer.
const MOST: usize = 1 << 20;
/// How often one place may send us on to another.
const REDIRECTS: usize = 3;

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
    /// It lies where strangers may not have us go.
    #[error(
        "{0} has no address that may be asked: it lies in a network of its own, on this machine or nowhere; where it \
         is to be reached, the platform lists its addresses by --fetch-from"
    )]
    Closed(String),
    /// It has no such document.
    #[error("{0} answered {1}")]
    Status(String, StatusCode),
    /// It sends us on and on, or nowhere.
    #[error("{0} sends us on without end or nowhere")]
    Redirected(String),
    /// It does not answer in time.
    #[error("{0} did not answer within {n} s", n = PATIENCE.as_secs())]
    Late(String),
}

/// Who asks; copies share what they trust.
#[derive(Clone)]
pub struct Client(Arc<ClientConfig>);

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Client")
    }
}

impl Default for Client {
    fn default() -> Self {
        Client::new()
    }
}

impl Client {
    /// Trusts what the system does; where it has no such file, what Mozilla does.
    pub fn new() -> Self {
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
    pub async fn call(&self, asked: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, Error> {
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
        let bare = bare_host(&uri).ok_or_else(|| Error::NoHost(place.to_owned()))?;
        let failed = |error| Error::Connect(place.to_owned(), error);
        if uri.scheme() == Some(&Scheme::HTTPS) {
            let port = uri.port_u16().unwrap_or(443);
            let stream = TcpStream::connect((bare, port)).await.map_err(failed)?;
            return exchange(self.shake(bare, stream).await.map_err(failed)?, asked, place).await;
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

    /// The document behind a URL that a stranger wrote, after redirects.
    ///
    /// # Errors
    /// [`Error`]; also where it or a redirect leads to where `reach` does not.
    pub async fn fetch(&self, url: &Uri, reach: &Reach) -> Result<Vec<u8>, Error> {
        let fetched = tokio::time::timeout(PATIENCE, self.follow(url, reach)).await;
        fetched.unwrap_or_else(|_| Err(Error::Late(place(url))))
    }

    /// What is answered at a URL that a stranger wrote, whatever its status.
    ///
    /// # Errors
    /// [`Error`]; also where it lies where `reach` does not lead.
    pub async fn call_within(
        &self,
        asked: Request<Vec<u8>>,
        reach: &Reach,
    ) -> Result<Response<Vec<u8>>, Error> {
        let place = place(asked.uri());
        let called = tokio::time::timeout(PATIENCE, self.visit(asked, reach)).await;
        called.unwrap_or_else(|_| Err(Error::Late(place)))
    }

    async fn follow(&self, first: &Uri, reach: &Reach) -> Result<Vec<u8>, Error> {
        let mut url = first.clone();
        for _ in 0..=REDIRECTS {
            let asked = Request::get(&url).header(ACCEPT, "application/json").body(Vec::new());
            let asked = asked.map_err(|_| Error::NoHost(place(&url)))?;
            let answer = self.visit(asked, reach).await?;
            match answer.status() {
                StatusCode::OK => return Ok(answer.into_body()),
                status if status.is_redirection() => {
                    url = led(&url, answer.headers().get(LOCATION))?;
                }
                status => return Err(Error::Status(place(&url), status)),
            }
        }
        Err(Error::Redirected(place(first)))
    }

    /// Asks at those addresses of a host alone that `reach` leads to: the very ones that were looked at.
    async fn visit(
        &self,
        asked: Request<Vec<u8>>,
        reach: &Reach,
    ) -> Result<Response<Vec<u8>>, Error> {
        let url = &asked.uri().clone();
        let place = &place(url);
        let failed = |error| Error::Connect(place.clone(), error);
        let bare = bare_host(url).ok_or_else(|| Error::NoHost(place.clone()))?;
        let is_tls = url.scheme() == Some(&Scheme::HTTPS);
        if !is_tls && (url.scheme() != Some(&Scheme::HTTP) || !is_loopback(bare)) {
            return Err(Error::Clear(place.clone()));
        }
        let port = url.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let mut addresses: Vec<SocketAddr> = match bare.parse() {
            Ok(address) => vec![SocketAddr::new(address, port)],
            // No resolver is asked: one that is not ours could lead it elsewhere.
            Err(_) if is_loopback(bare) => vec![SocketAddr::from((Ipv4Addr::LOCALHOST, port))],
            // Whether there is such a name, inside, is not for strangers to know.
            Err(_) => match tokio::net::lookup_host((bare, port)).await {
                Ok(found) => found.collect(),
                Err(_) => Vec::new(),
            },
        };
        addresses.retain(|address| reach.leads_to(address.ip()));
        if addresses.is_empty() {
            return Err(Error::Closed(place.clone()));
        }
        let stream = connected(&addresses).await.map_err(failed)?;
        match is_tls {
            true => exchange(self.shake(bare, stream).await.map_err(failed)?, asked, place).await,
            false => exchange(stream, asked, place).await,
        }
    }

    /// Speaks TLS with a host of this name.
    async fn shake(&self, host: &str, stream: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
        let wrong = |error| std::io::Error::new(std::io::ErrorKind::InvalidInput, error);
        let name = ServerName::try_from(host.to_owned()).map_err(wrong)?;
        TlsConnector::from(Arc::clone(&self.0)).connect(name, stream).await
    }
}

/// The host of a URL without the brackets of an IPv6 address.
fn bare_host(url: &Uri) -> Option<&str> {
    let host = url.host().filter(|host| !host.is_empty())?;
    Some(host.trim_start_matches('[').trim_end_matches(']'))
}

/// A connection to the first of these that takes one; each has its time, so that one that swallows packets does not
/// hide the others.
async fn connected(addresses: &[SocketAddr]) -> std::io::Result<TcpStream> {
    let mut last = std::io::Error::from(std::io::ErrorKind::AddrNotAvailable);
    for address in addresses {
        match tokio::time::timeout(EACH, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = error,
            Err(_) => last = std::io::ErrorKind::TimedOut.into(),
        }
    }
    Err(last)
}

/// Where a redirect leads (RFC 9110, section 10.2.2); from https never out of it, since what was sought over TLS is
/// not taken from whoever is between.
fn led(from: &Uri, to: Option<&HeaderValue>) -> Result<Uri, Error> {
    let next = || {
        let base = Url::parse(&from.to_string()).ok()?;
        let mut next = base.join(to?.to_str().ok()?).ok()?;
        next.set_fragment(None);
        let is_plain = next.username().is_empty() && next.password().is_none();
        next.as_str().parse::<Uri>().ok().filter(|_| is_plain)
    };
    let next = next().ok_or_else(|| Error::Redirected(place(from)))?;
    if from.scheme() == Some(&Scheme::HTTPS) && next.scheme() != from.scheme() {
        return Err(Error::Clear(place(&next)));
    }
    Ok(next)
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
