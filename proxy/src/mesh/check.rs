//! Whom a certificate of the mesh proves, for both sides of a connection.

use std::sync::Arc;
use std::time::SystemTime;

use model::identity::Peer;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, RootCertStore,
    SignatureScheme,
};

use super::Unfit;
use crate::identity::Certificate;
use crate::revoked::Revoked;

/// Checks certificates of other proxies.
#[derive(Debug)]
pub(super) struct PeerCheck {
    roots: RootCertStore,
    known: Vec<Certificate>,
    trust: String,
    revoked: Arc<Revoked>,
    usual: Arc<dyn ClientCertVerifier>,
    provider: Arc<CryptoProvider>,
}

/// Why a certificate proves nobody.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Nobody {
    /// It cannot be read.
    #[error("its certificate cannot be read")]
    Odd,
    /// Its name is none of a workload or gateway of this installation.
    #[error("its certificate names no workload and no gateway of this installation")]
    Nameless,
    /// No authority of the trust domain in its name signed it.
    #[error("no authority of the cluster in its name vouches for it")]
    NotVouched,
    /// It does not lie under a root that is known, or does not hold now.
    #[error("its certificate is of another installation, or does not hold now")]
    Unproven,
    /// The node that it is of was forgotten.
    #[error("the node that its certificate is of was shut out")]
    Revoked,
    /// It is somebody else's who is known.
    #[error("its certificate is that of {0}")]
    NoGateway(Peer),
}

/// Somebody who was proven, until their certificate ends.
#[derive(Debug, Clone)]
pub(super) struct Proven {
    pub(super) peer: Peer,
    pub(super) certificate: Certificate,
}

impl PeerCheck {
    pub(super) fn new(
        roots: &[Vec<u8>],
        trust: &str,
        provider: Arc<CryptoProvider>,
        revoked: Arc<Revoked>,
    ) -> Result<Self, Unfit> {
        let mut store = RootCertStore::empty();
        for root in roots {
            let added = store.add(CertificateDer::from(root.clone()));
            added.map_err(|error| Unfit::Tls(error.to_string()))?;
        }
        let known = roots.iter().filter_map(|root| Certificate::read(root).ok()).collect();
        let shared = Arc::new(store.clone());
        let usual = WebPkiClientVerifier::builder_with_provider(shared, Arc::clone(&provider));
        let usual = usual.build().map_err(|error| Unfit::Tls(error.to_string()))?;
        let trust = trust.to_owned();
        Ok(PeerCheck { roots: store, known, trust, revoked, usual, provider })
    }

    /// Whom a chain proves whose signatures and dates were checked.
    pub(super) fn proven(&self, chain: &[CertificateDer<'_>]) -> Result<Proven, Nobody> {
        let (leaf, others) = chain.split_first().ok_or(Nobody::Odd)?;
        let leaf = Certificate::read(leaf).map_err(|_| Nobody::Odd)?;
        let [uri] = &leaf.uris[..] else { return Err(Nobody::Nameless) };
        let peer = Peer::read(uri, &self.trust).ok_or(Nobody::Nameless)?;
        // Whoever has another cluster's key can write a certificate with this name for it: only what
        // the root itself signed says for whom an authority vouches.
        let domain = format!("{}.{}", peer.cluster(), self.trust);
        let issuers = others.iter().filter_map(|other| Certificate::read(other).ok());
        let is_vouched = issuers.into_iter().any(|issuer| {
            leaf.is_signed_by(&issuer)
                && issuer.domain() == Some(domain.as_str())
                && self.known.iter().any(|root| issuer.is_signed_by(root))
        });
        if !is_vouched {
            return Err(Nobody::NotVouched);
        }
        if self.has_shut_out(leaf.name.as_deref(), SystemTime::now()) {
            return Err(Nobody::Revoked);
        }
        Ok(Proven { peer, certificate: leaf })
    }

    /// Whom a chain proves that nobody has looked at yet.
    pub(super) fn proven_now(&self, chain: &[Vec<u8>], now: SystemTime) -> Result<Proven, Nobody> {
        let chain: Vec<_> = chain.iter().map(|der| CertificateDer::from(&der[..])).collect();
        let (leaf, others) = chain.split_first().ok_or(Nobody::Odd)?;
        let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let now = UnixTime::since_unix_epoch(since);
        let verified = self.usual.verify_client_cert(leaf, others, now);
        verified.map_err(|_| Nobody::Unproven)?;
        self.proven(&chain)
    }

    /// Whether a node was shut out, by its id.
    pub(super) fn has_shut_out(&self, id: Option<&str>, now: SystemTime) -> bool {
        self.revoked.has_node(id, now)
    }

    /// What all trust domains end in.
    pub(super) fn trust(&self) -> &str {
        &self.trust
    }

    fn checked(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
    ) -> Result<(), Error> {
        let chain: Vec<_> = [leaf].into_iter().chain(others).cloned().collect();
        match self.proven(&chain) {
            Ok(_) => Ok(()),
            Err(nobody) => {
                let other = CertificateError::Other(OtherError(Arc::new(nobody)));
                Err(Error::InvalidCertificate(other))
            }
        }
    }
}

impl ServerCertVerifier for PeerCheck {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let parsed = ParsedCertificate::try_from(leaf)?;
        let known = self.provider.signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&parsed, &self.roots, others, now, known)?;
        self.checked(leaf, others).map(|()| ServerCertVerified::assertion())
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

impl ClientCertVerifier for PeerCheck {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.usual.verify_client_cert(leaf, others, now)?;
        self.checked(leaf, others).map(|()| verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.usual.verify_tls12_signature(message, leaf, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.usual.verify_tls13_signature(message, leaf, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.usual.supported_verify_schemes()
    }
}
