//! One authority for a pair, and a certificate for each half.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType};

use super::Side;
use crate::bench::case::SERVICE;

/// The certificates of a pair, in files: ECDSA P-256, as those of Heddle's own authority.
#[derive(Debug)]
pub(super) struct Trust {
    dir: PathBuf,
}

impl Trust {
    /// Makes all anew in the folder `dir`.
    pub(super) fn lay(dir: &Path) -> Result<Self> {
        let trust = Self { dir: dir.to_owned() };
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "bench");
        put(&trust.authority(), &params.self_signed(&key)?.pem())?;
        let issuer = Issuer::new(params, key);
        for side in Side::BOTH {
            let key = KeyPair::generate()?;
            let mut params = CertificateParams::default();
            params.subject_alt_names = vec![
                SanType::URI(principal(side).try_into()?),
                SanType::DnsName(account(side).try_into()?),
            ];
            put(&trust.certificate(side), &params.signed_by(&key, &issuer)?.pem())?;
            put(&trust.key(side), &key.serialize_pem())?;
        }
        Ok(trust)
    }

    pub(super) fn authority(&self) -> PathBuf {
        self.dir.join("authority.pem")
    }

    pub(super) fn certificate(&self, side: Side) -> PathBuf {
        self.dir.join(format!("{}.pem", side.name()))
    }

    pub(super) fn key(&self, side: Side) -> PathBuf {
        self.dir.join(format!("{}.key", side.name()))
    }
}

/// The service account that a half speaks as.
pub(super) fn account(side: Side) -> &'static str {
    match side {
        Side::Outbound => "storefront",
        Side::Inbound => SERVICE,
    }
}

/// Its name in certificates.
pub(super) fn principal(side: Side) -> String {
    format!("spiffe://local.bench/ns/shop/sa/{}", account(side))
}

fn put(file: &Path, text: &str) -> Result<()> {
    std::fs::write(file, text).with_context(|| format!("writing {}", file.display()))
}
