//! Whether a client's certificate is one of a node of ours, at the moment of the handshake.
//!
//! A connection may come without one: it can join, and nothing else. Whether the node was forgotten
//! since is asked of the store by each service, since a handshake cannot wait for it.

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, RootCertStore,
    SignatureScheme,
};

use super::{Ca, CaError, Proven, Unfit};

/// Checks certificates of nodes.
#[derive(Debug)]
pub(crate) struct NodeCheck {
    usual: Arc<dyn ClientCertVerifier>,
    root: CertificateDer<'static>,
    trust: String,
}

impl NodeCheck {
    pub(crate) fn new(ca: &Ca, provider: Arc<CryptoProvider>) -> Result<Self, CaError> {
        let damaged = CaError::Damaged("the certificate of the root");
        let mut roots = RootCertStore::empty();
        roots
            .add(ca.root().clone())
            .map_err(|_| CaError::Damaged("the certificate of the root"))?;
        let usual = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        let usual = usual.allow_unauthenticated().build().map_err(|_| damaged)?;
        Ok(NodeCheck { usual, root: ca.root().clone(), trust: ca.trust().to_owned() })
    }

    /// The node that a chain of certificates proves.
    pub(crate) fn proven(&self, chain: &[CertificateDer<'_>]) -> Result<Proven, Unfit> {
        let (leaf, others) = chain.split_first().ok_or(Unfit::Malformed)?;
        let issuers = others.iter().filter(|one| Proven::is_of_root(one, &self.root));
        let read = issuers.map(|issuer| Proven::read(leaf, issuer, &self.trust));
        // Of several, the reason of the one that came nearest.
        read.reduce(|one, other| if one.is_ok() { one } else { other })
            .unwrap_or(Err(Unfit::Stranger))
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
        let verified = self.usual.verify_client_cert(leaf, others, now)?;
        let chain: Vec<_> = [leaf].into_iter().chain(others).cloned().collect();
        match self.proven(&chain) {
            Ok(_) => Ok(verified),
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
        self.usual.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.usual.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.usual.supported_verify_schemes()
    }
}
