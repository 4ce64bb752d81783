//! Proxies among each other: HBONE, HTTP/2 CONNECT over TLS 1.3 with certificates on both sides.
//!
//! ```text
//! outbound: endpoint ── a connection to its proxy, one for each worker ── CONNECT address:port ── bytes
//! inbound:  accept ── who connects ── CONNECT ── HTTP on what comes through, as on any connection
//! ```
//!
//! [`Membership`] has the certificate by which this process speaks; until there is one, it opens
//! nothing through the mesh and lets nobody in.
//!
//! Architecture Invariant: nothing goes to a proxy, or comes from one, whose certificate does not say
//! who it is; the authority that signed it is that of the trust domain in the name.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwapOption;
use model::identity::Peer;
use rustls::crypto::aws_lc_rs::{default_provider, sign::any_ecdsa_type};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::TLS13;
use rustls::{ClientConfig, ServerConfig, SignatureScheme};
use tokio::sync::watch;

use crate::identity::{Certificate, NodeKey};
use crate::revoked::Revoked;
use check::PeerCheck;

mod check;
mod inbound;
mod outbound;
mod stream;

pub(crate) use check::Nobody;
pub(crate) use inbound::serve;
pub(crate) use outbound::Way;
pub(crate) use stream::Tunnel;

/// What is under way on a connection whose root was retired may go on for so long; a request that takes
/// longer to be answered is given up everywhere.
const DISOWNED: Duration = Duration::from_secs(60);
/// Bytes of one tunnel that may wait to be read.
const WINDOW: u32 = 256 << 10;
/// The same of all tunnels of a connection: one that nobody reads does not hold up the others.
const WINDOWS: u32 = (1 << 31) - 1;
/// Tunnels of one connection at once: each is one connection of the other side. As many that were reset
/// are remembered for a moment, so that what was under way to them is no fault of the whole.
const TUNNELS: u32 = 4096;
/// Bytes of the head of a CONNECT, or of its answer.
const HEAD: u32 = 16 << 10;
/// The longest frame that is taken: bytes of a body are cut into fewer pieces than at the usual 16 KiB.
const FRAME: u32 = 64 << 10;

/// As whom this process speaks to other proxies; another one after each renewal.
#[derive(Debug, Default)]
pub struct Membership {
    now: ArcSwapOption<Credentials>,
    /// Says "look again" when it speaks by something else.
    news: watch::Sender<()>,
    /// Whom it speaks with no more, and who else is shut out.
    pub(crate) revoked: Arc<Revoked>,
}

/// Why nobody vouches any more for who is at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Disowned {
    /// The root above its certificate was retired: what is under way may go on for a while.
    Retired,
    /// It was shut out: nothing goes on.
    Revoked,
}

/// One certificate, ready for handshakes.
#[derive(Debug)]
pub(crate) struct Credentials {
    /// As whom.
    pub(crate) peer: Peer,
    /// No other of this process has it.
    pub(crate) number: u64,
    shown: Arc<CertifiedKey>,
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
    check: Arc<PeerCheck>,
}

/// A certificate of the mesh, as it came.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Papers<'p> {
    pub(crate) peer: &'p Peer,
    /// What all trust domains end in.
    pub(crate) trust: &'p str,
    /// The certificate, then its issuer's, DER.
    pub(crate) chain: &'p [Vec<u8>],
    /// The roots under which all proxies lie, DER.
    pub(crate) roots: &'p [Vec<u8>],
}

/// Why a certificate is none to speak by.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unfit {
    /// It is for somebody else, or another key, or cannot be read.
    #[error("it is not for {0} and this node's key")]
    Other(Peer),
    /// TLS cannot be set up by it.
    #[error("TLS cannot be set up by it: {0}")]
    Tls(String),
}

impl Membership {
    /// Speaks by this certificate from the next handshake on.
    pub(crate) fn show(&self, papers: &Papers<'_>, key: &NodeKey) -> Result<(), Unfit> {
        static NUMBERS: AtomicU64 = AtomicU64::new(0);
        let number = NUMBERS.fetch_add(1, Relaxed);
        let credentials = credentials(papers, key, number, Arc::clone(&self.revoked))?;
        self.now.store(Some(Arc::new(credentials)));
        self.news.send_replace(());
        Ok(())
    }

    /// Speaks as nobody any more.
    pub(crate) fn clear(&self) {
        self.now.store(None);
        self.news.send_replace(());
    }

    /// What it speaks by.
    pub(crate) fn now(&self) -> Option<Arc<Credentials>> {
        self.now.load_full()
    }

    /// Waits until a chain of certificates, believed by the credentials of this number, is believed no
    /// more: the root above it was retired, or the node that it is of was shut out.
    pub(crate) async fn disowns(&self, chain: &[CertificateDer<'_>], number: u64) -> Disowned {
        let (mut news, mut number) = (self.news(), number);
        let mut out = self.revoked.news();
        loop {
            out.mark_unchanged();
            if let Some(now) = self.now() {
                match now.check.proven(chain) {
                    Err(Nobody::Revoked) => return Disowned::Revoked,
                    Err(_) if now.number != number => return Disowned::Retired,
                    Ok(_) | Err(_) => {}
                }
                number = now.number;
            }
            // They end with the process.
            tokio::select! {
                Ok(()) = news.changed() => {}
                Ok(()) = out.changed() => {}
                else => return std::future::pending().await,
            }
        }
    }

    /// Ends each time that it speaks by something else.
    pub(crate) fn news(&self) -> watch::Receiver<()> {
        self.news.subscribe()
    }
}

impl Credentials {
    /// The signature (ASN.1) of a text by the key of the certificate.
    pub(crate) fn sign(&self, text: &[u8]) -> Option<Vec<u8>> {
        let signer = self.shown.key.choose_scheme(&[SignatureScheme::ECDSA_NISTP256_SHA256])?;
        signer.sign(text).ok()
    }

    /// The certificate, then its issuer's, DER.
    pub(crate) fn chain(&self) -> impl Iterator<Item = &[u8]> {
        self.shown.cert.iter().map(AsRef::as_ref)
    }

    /// What all trust domains end in.
    pub(crate) fn trust(&self) -> &str {
        self.check.trust()
    }

    /// Whether a node was shut out, by its id.
    pub(crate) fn has_shut_out(&self, id: Option<&str>, now: SystemTime) -> bool {
        self.check.has_shut_out(id, now)
    }

    /// The gateway that a chain of certificates (DER, its own first) proves now, and its certificate.
    pub(crate) fn gateway(
        &self,
        chain: &[Vec<u8>],
        now: SystemTime,
    ) -> Result<(Peer, Certificate), Nobody> {
        let proven = self.check.proven_now(chain, now)?;
        match proven.peer {
            gateway @ Peer::Gateway { .. } => Ok((gateway, proven.certificate)),
            workload @ Peer::Workload { .. } => Err(Nobody::NoGateway(workload)),
        }
    }
}

fn credentials(
    papers: &Papers<'_>,
    key: &NodeKey,
    number: u64,
    revoked: Arc<Revoked>,
) -> Result<Credentials, Unfit> {
    let other = || Unfit::Other(papers.peer.clone());
    let leaf = papers.chain.first().ok_or_else(other)?;
    let leaf = Certificate::read(leaf).map_err(|_| other())?;
    if leaf.uris != [papers.peer.uri(papers.trust)] || !leaf.is_for(key.public()) {
        return Err(other());
    }
    let tls = |error: rustls::Error| Unfit::Tls(error.to_string());
    let der = PrivatePkcs8KeyDer::from(key.der().expose().to_vec());
    let signing = any_ecdsa_type(&PrivateKeyDer::Pkcs8(der)).map_err(tls)?;
    let chain = papers.chain.iter().map(|der| CertificateDer::from(der.clone())).collect();
    let shown = Arc::new(CertifiedKey::new(chain, signing));
    let resolver = Arc::new(SingleCertAndKey::from(Arc::clone(&shown)));
    let provider = Arc::new(default_provider());
    let check = PeerCheck::new(papers.roots, papers.trust, Arc::clone(&provider), revoked)?;
    let check = Arc::new(check);
    let mut client = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&TLS13])
        .map_err(tls)?
        .dangerous()
        .with_custom_certificate_verifier(check.clone())
        .with_client_cert_resolver(resolver.clone());
    client.alpn_protocols = vec![b"h2".to_vec()];
    client.enable_sni = false;
    // A resumed session would show a certificate that was checked once, long ago.
    client.resumption = rustls::client::Resumption::disabled();
    let mut server = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .map_err(tls)?
        .with_client_cert_verifier(check.clone())
        .with_cert_resolver(resolver);
    server.alpn_protocols = vec![b"h2".to_vec()];
    server.send_tls13_tickets = 0;
    let (client, server) = (Arc::new(client), Arc::new(server));
    Ok(Credentials { peer: papers.peer.clone(), number, shown, client, server, check })
}

/// How long a certificate lives yet.
pub(crate) fn left(ends: SystemTime) -> Duration {
    ends.duration_since(SystemTime::now()).unwrap_or_default()
}

#[cfg(test)]
pub(crate) mod tests;
