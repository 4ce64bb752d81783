//! `tunnel`: one half of a bare pair, what mutual TLS itself costs between two forwarders of bytes.
//!
//! The outbound half takes TCP and opens TLS 1.3 to the inbound half, one connection for each; the
//! inbound half asks for a certificate and opens TCP to its upstream. Neither reads what it carries.
#![forbid(unsafe_code)]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use clap::Parser;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional_with_sizes};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What is carried at once: a TLS record.
const PIECE: usize = 16 * 1024;

#[derive(Debug, Parser)]
#[command(about = "Carry TCP connections to another half, by mutual TLS")]
struct Args {
    #[arg(long, value_enum)]
    side: Side,
    /// Where connections are taken.
    #[arg(long)]
    listen: SocketAddr,
    /// Where they are carried to.
    #[arg(long)]
    to: SocketAddr,
    /// The name that the outbound half expects in the other's certificate.
    #[arg(long)]
    peer: String,
    /// Who signed the other half's certificate, PEM.
    #[arg(long)]
    authority: PathBuf,
    /// The certificate, PEM.
    #[arg(long)]
    certificate: PathBuf,
    /// The certificate's key, PEM.
    #[arg(long)]
    key: PathBuf,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Side {
    Outbound,
    Inbound,
}

/// One of the two, with what its TLS needs.
#[derive(Clone)]
enum Half {
    Outbound(TlsConnector, ServerName<'static>),
    Inbound(TlsAcceptor),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let args = Args::parse();
    let (half, to) = (Half::new(&args)?, args.to);
    let listener = TcpListener::bind(args.listen).await;
    let listener = listener.with_context(|| format!("listening on {}", args.listen))?;
    loop {
        let (stream, _peer) = listener.accept().await?;
        let half = half.clone();
        tokio::spawn(async move {
            // A connection that breaks is no news for a tunnel without a log.
            let _ended = half.carry(stream, to).await;
        });
    }
}

impl Half {
    fn new(args: &Args) -> Result<Self> {
        let chain =
            CertificateDer::pem_file_iter(&args.certificate)?.collect::<Result<Vec<_>, _>>()?;
        let key = PrivateKeyDer::from_pem_file(&args.key)?;
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&args.authority)?)?;
        let (roots, provider) =
            (Arc::new(roots), Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
        Ok(match args.side {
            Side::Outbound => {
                let config = ClientConfig::builder_with_provider(provider)
                    .with_protocol_versions(&[&TLS13])?
                    .with_root_certificates(roots)
                    .with_client_auth_cert(chain, key)?;
                let peer = ServerName::try_from(args.peer.clone())?;
                Half::Outbound(TlsConnector::from(Arc::new(config)), peer)
            }
            Side::Inbound => {
                let asked = WebPkiClientVerifier::builder_with_provider(roots, provider.clone());
                let config = ServerConfig::builder_with_provider(provider)
                    .with_protocol_versions(&[&TLS13])?
                    .with_client_cert_verifier(asked.build()?)
                    .with_single_cert(chain, key)?;
                Half::Inbound(TlsAcceptor::from(Arc::new(config)))
            }
        })
    }

    async fn carry(self, stream: TcpStream, to: SocketAddr) -> Result<()> {
        stream.set_nodelay(true)?;
        let onward = async {
            let onward = TcpStream::connect(to).await?;
            onward.set_nodelay(true)?;
            anyhow::Ok(onward)
        };
        match self {
            Half::Outbound(connector, peer) => {
                join(stream, connector.connect(peer, onward.await?).await?).await
            }
            // Nothing is opened for somebody who was not let in.
            Half::Inbound(acceptor) => join(acceptor.accept(stream).await?, onward.await?).await,
        }
    }
}

async fn join<A, B>(mut one: A, mut other: B) -> Result<()>
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    copy_bidirectional_with_sizes(&mut one, &mut other, PIECE, PIECE).await?;
    Ok(())
}
