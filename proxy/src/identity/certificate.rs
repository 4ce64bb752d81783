//! What we ask of a certificate: whose it is, when it holds, and who signed it.
//!
//! All of the mesh's certificates are ECDSA P-256 with SHA-256, so one check of signatures does.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// A certificate, taken apart.
#[derive(Debug, Clone)]
pub(crate) struct Certificate {
    /// The URIs that it is for.
    pub(crate) uris: Vec<String>,
    /// What its subject is called, where that is one name: the id of the node that it is of.
    pub(crate) name: Option<String>,
    pub(crate) is_authority: bool,
    pub(crate) not_before: SystemTime,
    pub(crate) not_after: SystemTime,
    subject: Vec<u8>,
    issuer: Vec<u8>,
    public_key: Vec<u8>,
    signed: Vec<u8>,
    signature: Vec<u8>,
}

/// Bytes that are no certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no X.509 certificate")]
pub(crate) struct Odd;

impl Certificate {
    /// Reads DER.
    pub(crate) fn read(der: &[u8]) -> Result<Self, Odd> {
        let (rest, read) = X509Certificate::from_der(der).map_err(|_| Odd)?;
        if !rest.is_empty() {
            return Err(Odd);
        }
        let names = read.subject_alternative_name().map_err(|_| Odd)?;
        let names = names.iter().flat_map(|names| &names.value.general_names);
        let uris = names.filter_map(|name| match name {
            GeneralName::URI(uri) => Some((*uri).to_owned()),
            _ => None,
        });
        let mut called = read.subject().iter_common_name();
        let name = match (called.next(), called.next()) {
            (Some(name), None) => name.as_str().ok().map(str::to_owned),
            (_, _) => None,
        };
        Ok(Certificate {
            uris: uris.collect(),
            name,
            is_authority: read.is_ca(),
            not_before: moment(read.validity().not_before.timestamp()),
            not_after: moment(read.validity().not_after.timestamp()),
            subject: read.subject().as_raw().to_vec(),
            issuer: read.issuer().as_raw().to_vec(),
            public_key: read.public_key().subject_public_key.data.to_vec(),
            signed: read.tbs_certificate.as_ref().to_vec(),
            signature: read.signature_value.data.to_vec(),
        })
    }

    /// Whether the key of `issuer`, an authority, signed this certificate.
    pub(crate) fn is_signed_by(&self, issuer: &Certificate) -> bool {
        self.issuer == issuer.subject
            && issuer.is_authority
            && issuer.has_signed(&self.signed, &self.signature)
    }

    /// Whether its key made this signature (ASN.1) of `text`.
    pub(crate) fn has_signed(&self, text: &[u8], signature: &[u8]) -> bool {
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &self.public_key);
        key.verify(text, signature).is_ok()
    }

    /// Whether it is for this public key, given as the point alone.
    pub(crate) fn is_for(&self, public_key: &[u8]) -> bool {
        self.public_key == public_key
    }

    /// Whether it holds at `now`.
    pub(crate) fn holds(&self, now: SystemTime) -> bool {
        self.not_before <= now && now <= self.not_after
    }

    /// The trust domain that an authority vouches for: the host of its own URI, which has no path.
    pub(crate) fn domain(&self) -> Option<&str> {
        let [uri] = &self.uris[..] else { return None };
        uri.strip_prefix("spiffe://").filter(|domain| !domain.contains('/'))
    }
}

/// Seconds since 1970 as a moment; what lies before is the beginning.
fn moment(seconds: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or_default())
}
