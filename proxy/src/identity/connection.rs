//! One HTTP/2 connection to the control plane, over TLS 1.3.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::client::ResolvesClientCert;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{default_provider, sign::any_ecdsa_type};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, SignatureScheme};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tonic::body::Body;
use tonic::codegen::Service;

use super::key::NodeKey;
use super::node::Identity;
use super::trust::{self, Anchor, CONTROL, Distrust, ServerCheck};

/// From the first packet to a connection that can be used.
const OPENING: Duration = Duration::from_secs(5);
/// A connection on which nothing comes back for so long after a question is gone.
const SILENT: Duration = Duration::from_secs(10);

/// The certificate that the node shows, which is another one after each renewal.
#[derive(Debug, Default)]
pub(crate) struct Shown(ArcSwapOption<CertifiedKey>);

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum Away {
    /// Nobody answers.
    #[error(
        "the server at {server} does not answer ({source}): is `heddle-server` running, and is \
         --server its address for nodes?"
    )]
    Unreachable {
        /// Where it should be.
        server: String,
        /// Why not.
        source: io::Error,
    },
    /// Somebody answers who is not the control plane.
    #[error("{server}: {why}")]
    Distrusted {
        /// Where.
        server: String,
        /// Why not.
        why: Distrust,
    },
    /// The node's own certificate does not hold any more.
    #[error("this node's certificate has ended; another one is asked for")]
    Ended,
    /// The two speak no common tongue, or the server does not want our certificate.
    #[error(
        "{server}: no connection can be agreed on ({why}): is --server the server's port for \
         nodes, 7081 by default?"
    )]
    Refused {
        /// Where.
        server: String,
        /// What was said.
        why: String,
    },
}

/// Opens connections to one server.
#[derive(Debug, Clone)]
pub(crate) struct Dialer {
    server: Arc<str>,
    tls: Arc<ClientConfig>,
    check: Arc<ServerCheck>,
}

/// A connection; closed when dropped.
pub(crate) struct Connection {
    requests: SendRequest<Body>,
    _task: Arc<Task>,
}

struct Task(JoinHandle<()>);

impl Shown {
    /// Shows this identity's certificate from the next handshake on.
    pub(crate) fn show(&self, identity: &Identity, key: &NodeKey) -> Result<(), rustls::Error> {
        let der = PrivatePkcs8KeyDer::from(key.der().expose().to_vec());
        let signing = any_ecdsa_type(&PrivateKeyDer::Pkcs8(der))?;
        let chain = identity.chain.iter().map(|der| CertificateDer::from(der.clone()));
        self.0.store(Some(Arc::new(CertifiedKey::new(chain.collect(), signing))));
        Ok(())
    }
}

impl ResolvesClientCert for Shown {
    fn resolve(&self, _: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.load_full().filter(|shown| shown.key.choose_scheme(schemes).is_some())
    }

    fn has_certs(&self) -> bool {
        self.0.load().is_some()
    }
}

impl Dialer {
    /// To `server` (`HOST:PORT`), which is to lie under `anchor`.
    pub(crate) fn new(
        server: &str,
        anchor: Anchor,
        shown: &Arc<Shown>,
    ) -> Result<Self, rustls::Error> {
        let check = ServerCheck::new(anchor, Arc::new(default_provider()));
        Dialer::checking(server.into(), Arc::new(check), shown)
    }

    /// The same server, to which no certificate is shown.
    pub(crate) fn stranger(&self) -> Result<Self, rustls::Error> {
        Dialer::checking(Arc::clone(&self.server), Arc::clone(&self.check), &Arc::default())
    }

    /// Knows the server by this from the next connection on, as do all who have this dialer.
    pub(crate) fn trusts(&self, anchor: Anchor) {
        self.check.trusts(anchor);
    }

    fn checking(
        server: Arc<str>,
        check: Arc<ServerCheck>,
        shown: &Arc<Shown>,
    ) -> Result<Self, rustls::Error> {
        let provider: Arc<CryptoProvider> = Arc::new(default_provider());
        let mut tls = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(check.clone())
            .with_client_cert_resolver(Arc::clone(shown) as Arc<dyn ResolvesClientCert>);
        tls.alpn_protocols = vec![b"h2".to_vec()];
        // A resumed session would show the certificate of the one before.
        tls.resumption = rustls::client::Resumption::disabled();
        Ok(Dialer { server, tls: Arc::new(tls), check })
    }

    /// Opens a connection.
    ///
    /// # Errors
    /// After 5 s at most.
    pub(crate) async fn dial(&self) -> Result<Connection, Away> {
        let opened = timeout(OPENING, self.open()).await;
        opened.unwrap_or_else(|_| Err(self.away(io::ErrorKind::TimedOut.into())))
    }

    async fn open(&self) -> Result<Connection, Away> {
        let away = |source| self.away(source);
        let stream = TcpStream::connect(&*self.server).await.map_err(away)?;
        stream.set_nodelay(true).map_err(away)?;
        let name =
            ServerName::try_from(self.check.name()).map_err(|_| self.refused(&"no server name"))?;
        let connector = TlsConnector::from(Arc::clone(&self.tls));
        let stream = connector.connect(name, stream).await.map_err(|error| self.no_tls(error))?;
        let mut http = http2::Builder::new(TokioExecutor::new());
        http.timer(TokioTimer::new())
            .keep_alive_interval(SILENT)
            .keep_alive_timeout(SILENT)
            .initial_stream_window_size(8 << 20)
            .initial_connection_window_size(8 << 20);
        let opened = http.handshake(TokioIo::new(stream)).await;
        let (requests, connection) = opened.map_err(|error| self.refused(&error))?;
        let task = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to the server ended");
            }
        });
        Ok(Connection { requests, _task: Arc::new(Task(task)) })
    }

    fn away(&self, source: io::Error) -> Away {
        Away::Unreachable { server: self.server.to_string(), source }
    }

    fn refused(&self, why: &dyn fmt::Display) -> Away {
        Away::Refused { server: self.server.to_string(), why: why.to_string() }
    }

    fn no_tls(&self, error: io::Error) -> Away {
        let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        match tls {
            Some(tls) => match trust::reason(tls) {
                Some(why) => Away::Distrusted { server: self.server.to_string(), why },
                None => self.refused(tls),
            },
            None => self.away(error),
        }
    }
}

impl Service<Request<Body>> for Connection {
    type Response = Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, hyper::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        self.requests.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let path = request.uri().path_and_query().cloned();
        let whole = http::Uri::builder().scheme("https").authority(CONTROL);
        if let Some(path) = path
            && let Ok(uri) = whole.path_and_query(path).build()
        {
            *request.uri_mut() = uri;
        }
        Box::pin(self.requests.send_request(request))
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}
