//! A node's key pair: made once, kept for its whole life, so that what it sealed it can open again.

use std::fmt;

use model::secret::SecretBytes;
use rcgen::{CertificateParams, DistinguishedName, KeyPair};

/// ECDSA P-256.
pub struct NodeKey(KeyPair);

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// It cannot be made or used.
    #[error("making a key or a request of it")]
    Made(#[source] rcgen::Error),
    /// What was kept is none.
    #[error("the text is no PEM private key of ECDSA P-256")]
    Odd,
}

impl NodeKey {
    /// Makes a new one.
    ///
    /// # Errors
    /// If there is no randomness.
    pub fn make() -> Result<Self, KeyError> {
        KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map(NodeKey).map_err(KeyError::Made)
    }

    /// Reads what [`NodeKey::pem`] wrote.
    ///
    /// # Errors
    /// If it is another sort of key, or none.
    pub fn read(pem: &str) -> Result<Self, KeyError> {
        let key = KeyPair::from_pkcs8_pem_and_sign_algo(pem, &rcgen::PKCS_ECDSA_P256_SHA256);
        key.map(NodeKey).map_err(|_| KeyError::Odd)
    }

    /// As it is kept.
    pub(crate) fn pem(&self) -> SecretBytes {
        SecretBytes::new(self.0.serialize_pem())
    }

    /// PKCS#8, DER.
    pub(crate) fn der(&self) -> SecretBytes {
        SecretBytes::new(self.0.serialize_der())
    }

    /// The public point.
    pub(crate) fn public(&self) -> &[u8] {
        self.0.public_key_raw()
    }

    /// A request for a certificate, PKCS#10 DER. Who the node is, the server says.
    pub(crate) fn request(&self) -> Result<Vec<u8>, KeyError> {
        let mut wanted = CertificateParams::default();
        wanted.distinguished_name = DistinguishedName::new();
        let request = wanted.serialize_request(&self.0).map_err(KeyError::Made)?;
        Ok(request.der().to_vec())
    }
}

impl fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeKey").finish_non_exhaustive()
    }
}
