//! Whether a client's certificate is one of a node of ours, at the moment of the handshake.
//!
//! A connection may come without one: it can join, and nothing else. Whether the node was forgotten
//! since is asked of the store by each service, since a handshake cannot wait for it.

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, RootCertStore,
    SignatureScheme,
};

use super::{Ca, Proven, Unfit};

/// Checks certificates of nodes, by the roots that are trusted at that moment.
#[derive(Debug)]
pub(crate) struct NodeCheck {
    ca: Arc<Ca>,
    provider: Arc<CryptoProvider>,
}

impl NodeCheck {
    pub(crate) fn new(ca: Arc<Ca>, provider: Arc<CryptoProvider>) -> Self {
        NodeCheck { ca, provider }
    }

    /// The node that a chain of certificates proves.
    pub(crate) fn proven(&self, chain: &[CertificateDer<'_>]) -> Result<Proven, Unfit> {
        let (leaf, others) = chain.split_first().ok_or(Unfit::Malformed)?;
        let roots = self.ca.roots();
        let issuers = others.iter().filter_map(|one| Some((one, roots.above(one)?)));
        let read = issuers
            .map(|(issuer, root)| Proven::read(leaf, issuer, self.ca.trust())?.under(Some(root)));
        // Of several, the reason of the one that came nearest.
        read.reduce(|one, other| if one.is_ok() { one } else { other })
            .unwrap_or(Err(Unfit::Stranger))
    }

    /// The usual check: dates, uses, every signature.
    fn usual(&self) -> Result<Arc<dyn ClientCertVerifier>, Error> {
        let mut trusted = RootCertStore::empty();
        for root in self.ca.roots().trusted() {
            trusted.add(root.certificate.clone())?;
        }
        let provider = Arc::clone(&self.provider);
        let usual = WebPkiClientVerifier::builder_with_provider(Arc::new(trusted), provider);
        usual.build().map_err(|error| Error::General(error.to_string()))
    }
}

impl ClientCertVerifier for NodeCheck {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let chain: Vec<_> = [leaf].into_iter().chain(others).cloned().collect();
        // First, since it says more of what is under a root that was retired.
        match self.proven(&chain) {
            Ok(_) => self.usual()?.verify_client_cert(leaf, others, now),
            Err(unfit) => {
                let other = CertificateError::Other(OtherError(Arc::new(unfit)));
                Err(Error::InvalidCertificate(other))
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
