//! `bare`: what hyper itself costs, a forwarder without routes, metrics or log.
//!
//! One current-thread runtime, three listeners (HTTP/1.1, HTTP/2 without TLS, HTTP/1.1 over TLS),
//! one upstream reached through a pool of HTTP/1.1 connections. With `--callee`, what comes over HTTP/2 goes
//! there, over one connection of HTTP/2. The benchmarks take it as the
//! floor that a gateway built on hyper can come near to, so it has the gateway's allocator.
#![forbid(unsafe_code)]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use clap::Parser;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::{http1::SendRequest, http2};
use hyper::header::{CONNECTION, HOST, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response, Uri, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio_rustls::TlsAcceptor;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Debug, Parser)]
#[command(about = "Forward HTTP to one upstream, with nothing else done")]
struct Args {
    /// Where HTTP/1.1 is served.
    #[arg(long)]
    http: SocketAddr,
    /// Where HTTP/2 without TLS is served.
    #[arg(long)]
    h2c: SocketAddr,
    /// Where HTTP/1.1 over TLS 1.3 is served.
    #[arg(long)]
    https: SocketAddr,
    /// The certificate chain, PEM.
    #[arg(long)]
    certificate: PathBuf,
    /// The certificate's key, PEM.
    #[arg(long)]
    key: PathBuf,
    /// The upstream, HTTP/1.1.
    #[arg(long)]
    upstream: SocketAddr,
    /// Where what comes over HTTP/2 goes, over HTTP/2.
    #[arg(long)]
    callee: Option<SocketAddr>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let args = Args::parse();
    let pool = Arc::new(Pool { upstream: args.upstream, idle: Mutex::default() });
    let acceptor = acceptor(&args)?;
    let http = listen(args.http).await?;
    let h2c = listen(args.h2c).await?;
    let https = listen(args.https).await?;
    let callee = Arc::new(Callee { address: args.callee, shared: tokio::sync::Mutex::default() });
    // It ends as any program does: what counts branches in it is written down then.
    let mut ended = signal(SignalKind::terminate())?;
    loop {
        tokio::select! {
            _ = ended.recv() => return Ok(()),
            accepted = http.accept() => {
                tokio::spawn(serve_http1(nodelay(accepted)?, Arc::clone(&pool)));
            }
            accepted = h2c.accept() => {
                let stream = nodelay(accepted)?;
                match args.callee {
                    Some(_) => tokio::spawn(serve_calls(stream, Arc::clone(&callee))),
                    None => tokio::spawn(serve_http2(stream, Arc::clone(&pool))),
                };
            }
            accepted = https.accept() => {
                let (stream, acceptor) = (nodelay(accepted)?, acceptor.clone());
                let pool = Arc::clone(&pool);
                tokio::spawn(async move {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        serve_http1(stream, pool).await;
                    }
                });
            }
        }
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("listening on {address}"))
}

fn nodelay(accepted: std::io::Result<(TcpStream, SocketAddr)>) -> std::io::Result<TcpStream> {
    let (stream, _peer) = accepted?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn acceptor(args: &Args) -> Result<TlsAcceptor> {
    let chain = CertificateDer::pem_file_iter(&args.certificate)?.collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_file(&args.key)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

async fn serve_http1<S>(stream: S, pool: Arc<Pool>)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request| forward(request, Arc::clone(&pool)));
    // A caller that goes away in the middle is no news for a forwarder without a log.
    let _ended = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn serve_http2(stream: TcpStream, pool: Arc<Pool>) {
    let service = service_fn(move |request| forward(request, Arc::clone(&pool)));
    let _ended = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn serve_calls(stream: TcpStream, callee: Arc<Callee>) {
    let service = service_fn(move |request| call(request, Arc::clone(&callee)));
    let _ended = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

/// The one connection to who answers calls.
struct Callee {
    address: Option<SocketAddr>,
    shared: tokio::sync::Mutex<Option<http2::SendRequest<Incoming>>>,
}

impl Callee {
    async fn sender(&self) -> Result<http2::SendRequest<Incoming>> {
        let mut shared = self.shared.lock().await;
        if let Some(sender) = shared.as_ref().filter(|sender| !sender.is_closed()) {
            return Ok(sender.clone());
        }
        let stream = TcpStream::connect(self.address.context("nobody answers calls")?).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) =
            http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(shared.insert(sender).clone())
    }
}

async fn call(
    call: Request<Incoming>,
    callee: Arc<Callee>,
) -> Result<Response<Incoming>, anyhow::Error> {
    Ok(callee.sender().await?.send_request(call).await?)
}

async fn forward(
    mut request: Request<Incoming>,
    pool: Arc<Pool>,
) -> Result<Response<Pooled>, anyhow::Error> {
    let old = request.version() != Version::HTTP_2;
    if !old {
        to_origin_form(&mut request)?;
    }
    request.headers_mut().remove(CONNECTION);
    let mut sender = pool.take().await?;
    let (mut head, body) = sender.send_request(request).await?.into_parts();
    head.headers.remove(CONNECTION);
    head.headers.remove("keep-alive");
    head.version = if old { Version::HTTP_11 } else { Version::HTTP_2 };
    Ok(Response::from_parts(head, Pooled { body, sender: Some(sender), pool }))
}

/// HTTP/2 names the host in the URI, HTTP/1.1 in a header.
fn to_origin_form(request: &mut Request<Incoming>) -> Result<()> {
    let uri = std::mem::take(request.uri_mut()).into_parts();
    if let Some(authority) = uri.authority {
        request.headers_mut().insert(HOST, HeaderValue::from_str(authority.as_str())?);
    }
    *request.uri_mut() = uri.path_and_query.map_or_else(|| Uri::from_static("/"), Uri::from);
    *request.version_mut() = Version::HTTP_11;
    Ok(())
}

/// Connections to the upstream that wait for their next request; the one used last goes first.
struct Pool {
    upstream: SocketAddr,
    idle: Mutex<Vec<SendRequest<Incoming>>>,
}

impl Pool {
    async fn take(&self) -> Result<SendRequest<Incoming>> {
        while let Some(mut sender) = self.pop() {
            if sender.ready().await.is_ok() {
                return Ok(sender);
            }
        }
        let stream = TcpStream::connect(self.upstream).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(sender)
    }

    fn pop(&self) -> Option<SendRequest<Incoming>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn put(&self, sender: SendRequest<Incoming>) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(sender);
    }
}

/// A response body that gives its connection back to the pool once it was read to the end.
struct Pooled {
    body: Incoming,
    sender: Option<SendRequest<Incoming>>,
    pool: Arc<Pool>,
}

impl Body for Pooled {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Pooled {
    fn drop(&mut self) {
        if let Some(sender) = self.sender.take()
            && self.body.is_end_stream()
        {
            self.pool.put(sender);
        }
    }
}
