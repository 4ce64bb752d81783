//! Whether the server at the other end is the control plane.
//!
//! Its certificate must lie under a root that the node knows (by fingerprint before it joined, by
//! its own copy afterwards), be for `spiffe://hub.TRUST/control`, and come from the authority of
//! the `hub`: that of a cluster vouches for its own nodes alone.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
};

use super::certificate::Certificate;
use super::token::Fingerprint;

/// The name that every control server's certificate has, wherever it is reached.
pub(crate) const CONTROL: &str = wire::SERVER;

/// By what a node knows the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Anchor {
    /// By its root's fingerprint, from a join token.
    Root(Fingerprint),
    /// By roots that the node holds, for this trust name.
    Roots { roots: Vec<Vec<u8>>, trust: String },
}

impl Anchor {
    /// The name by which to ask for a server that can be known by it.
    fn name(&self) -> String {
        match self {
            Anchor::Root(root) => wire::server_under(&root.to_string()),
            // The one that signs is the first.
            Anchor::Roots { roots, .. } => match roots.first() {
                Some(root) => wire::server_under(&Fingerprint::of(root).to_string()),
                None => CONTROL.to_owned(),
            },
        }
    }
}

/// The root among `roots` that signed the certificate of this authority, all DER.
pub(crate) fn above(issuer: &[u8], roots: &[Vec<u8>]) -> Option<Fingerprint> {
    let issuer = Certificate::read(issuer).ok()?;
    let signed =
        |root: &&Vec<u8>| Certificate::read(root).is_ok_and(|root| issuer.is_signed_by(&root));
    roots.iter().find(signed).map(|root| Fingerprint::of(root))
}

/// Why a server is not believed; each says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Distrust {
    /// Its root is another one than the token says.
    #[error(
        "the server shows no certificate of the root {wanted}, which the join token names: another \
         server answers at this address, or the token is of another installation or older than a \
         rotation of the root; check --server, or make a token there with `heddle join-token create`"
    )]
    OtherRoot {
        /// The fingerprint in the token.
        wanted: String,
    },
    /// Its certificate comes from none of our roots.
    #[error(
        "the server's certificate is not signed by a root that this node trusts: another server \
         answers at this address, or the root was rotated while this node was away; check --server, \
         or start it with a new join token by --join (`heddle join-token create`)"
    )]
    Stranger,
    /// It is a good certificate of somebody else.
    #[error(
        "the certificate at this address is for {found:?}, not for the control plane ({wanted})"
    )]
    NotControl {
        /// What it is for.
        found: Vec<String>,
        /// What it should be for.
        wanted: String,
    },
    /// The authority that signed it may not do so.
    #[error(
        "the server's certificate is signed by an authority that vouches for others, not for {0}"
    )]
    NotVouched(String),
    /// One of the two clocks is wrong, or the server has slept.
    #[error(
        "the server's certificate {what} by this node's clock ({now}): set the clock of this \
         machine, or that of the server"
    )]
    Clock {
        /// In which way it does not hold.
        what: &'static str,
        /// This node's clock, seconds since 1970.
        now: u64,
    },
    /// It cannot be read.
    #[error("the server's certificate cannot be read")]
    Odd,
}

/// Checks the server's certificate.
#[derive(Debug)]
pub(crate) struct ServerCheck {
    /// Another one when the roots are rotated.
    anchor: ArcSwap<Anchor>,
    provider: Arc<CryptoProvider>,
}

impl ServerCheck {
    pub(crate) fn new(anchor: Anchor, provider: Arc<CryptoProvider>) -> Self {
        ServerCheck { anchor: ArcSwap::from_pointee(anchor), provider }
    }

    /// Knows the server by this from the next handshake on.
    pub(crate) fn trusts(&self, anchor: Anchor) {
        self.anchor.store(Arc::new(anchor));
    }

    /// The name by which to ask for the server.
    pub(crate) fn name(&self) -> String {
        self.anchor.load().name()
    }

    /// The whole check, but for the proof that the server has the certificate's key.
    fn check(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        let anchor = self.anchor.load();
        let root = anchor.roots(others)?;
        let read = Certificate::read(leaf).map_err(|_| distrust(Distrust::Odd))?;
        anchor.vouched(&read, others, &root)?;
        clock(&read, now)?;
        // Everything else that a certificate must be: lengths, uses, every signature.
        let mut store = RootCertStore::empty();
        for root in root {
            store.add(root).map_err(|_| distrust(Distrust::Odd))?;
        }
        let provider = Arc::clone(&self.provider);
        let usual = WebPkiServerVerifier::builder_with_provider(Arc::new(store), provider).build();
        let usual = usual.map_err(|_| distrust(Distrust::Stranger))?;
        let name = ServerName::try_from(CONTROL).map_err(|_| distrust(Distrust::Odd))?;
        match usual.verify_server_cert(leaf, others, &name, &[], now) {
            Ok(_) => Ok(()),
            // Authorities of two installations may have the same names, but not the same keys.
            Err(Error::InvalidCertificate(
                CertificateError::UnknownIssuer | CertificateError::BadSignature,
            )) => Err(distrust(Distrust::Stranger)),
            Err(error) => Err(error),
        }
    }
}

impl Anchor {
    /// The roots that count: our own, or the one that the server shows and the token names.
    fn roots(&self, shown: &[CertificateDer<'_>]) -> Result<Vec<CertificateDer<'static>>, Error> {
        match self {
            Anchor::Roots { roots, .. } => {
                Ok(roots.iter().map(|root| CertificateDer::from(root.clone())).collect())
            }
            Anchor::Root(wanted) => {
                let root = shown.iter().find(|shown| Fingerprint::of(shown) == *wanted);
                let root = root.map(|root| vec![root.clone().into_owned()]);
                root.ok_or_else(|| distrust(Distrust::OtherRoot { wanted: wanted.to_string() }))
            }
        }
    }

    /// Whether it is the control plane's certificate, from an authority that may say so.
    fn vouched(
        &self,
        leaf: &Certificate,
        others: &[CertificateDer<'_>],
        roots: &[CertificateDer<'_>],
    ) -> Result<(), Error> {
        let is_control = |uri: &str| match self {
            Anchor::Roots { trust, .. } => uri == format!("spiffe://hub.{trust}/control"),
            Anchor::Root(_) => uri.starts_with("spiffe://hub.") && uri.ends_with("/control"),
        };
        let uri = match &leaf.uris[..] {
            [uri] if is_control(uri) => uri,
            _ => {
                let wanted = match self {
                    Anchor::Roots { trust, .. } => format!("spiffe://hub.{trust}/control"),
                    Anchor::Root(_) => "spiffe://hub.TRUST/control".to_owned(),
                };
                let found = leaf.uris.clone();
                return Err(distrust(Distrust::NotControl { found, wanted }));
            }
        };
        let domain = uri.trim_start_matches("spiffe://").trim_end_matches("/control");
        let known = |shown: &[CertificateDer<'_>]| -> Vec<_> {
            shown.iter().filter_map(|der| Certificate::read(der).ok()).collect()
        };
        let roots = known(roots);
        // Whoever has a cluster's key can write a certificate with the hub's name for it: only what
        // the root itself signed says who an authority is.
        let is_of_root = |issuer: &Certificate| roots.iter().any(|root| issuer.is_signed_by(root));
        let shown = known(others);
        let issuers = shown.iter().filter(|issuer| leaf.is_signed_by(issuer));
        let issuers: Vec<_> = issuers.filter(|issuer| is_of_root(issuer)).collect();
        if issuers.is_empty() {
            Err(distrust(Distrust::Stranger))
        } else if issuers.iter().any(|issuer| issuer.domain() == Some(domain)) {
            Ok(())
        } else {
            Err(distrust(Distrust::NotVouched(domain.to_owned())))
        }
    }
}

fn clock(leaf: &Certificate, now: UnixTime) -> Result<(), Error> {
    let at: SystemTime = UNIX_EPOCH + Duration::from_secs(now.as_secs());
    let what = if at < leaf.not_before {
        "does not hold yet"
    } else if at > leaf.not_after {
        "has ended"
    } else {
        return Ok(());
    };
    Err(distrust(Distrust::Clock { what, now: now.as_secs() }))
}

fn distrust(why: Distrust) -> Error {
    Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(why))))
}

/// Our own reason inside an error of TLS, if there is one.
pub(crate) fn reason(error: &Error) -> Option<Distrust> {
    match error {
        Error::InvalidCertificate(CertificateError::Other(OtherError(why))) => {
            why.downcast_ref::<Distrust>().cloned()
        }
        _ => None,
    }
}

impl ServerCertVerifier for ServerCheck {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check(leaf, others, now).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, leaf, signed, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, leaf, signed, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
