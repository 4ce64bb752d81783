//! A listener's certificate and its key, as a Secret holds them.

use std::fmt;
use std::sync::Arc;

use model::secret::{Secret, SecretBytes, TLS_SECRET};
use model::{Hostname, Invalid, Key, Kind};
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SigningKey};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate, X509Error};

/// The entries of a Secret that hold a certificate and its key.
const ENTRIES: [&str; 2] = ["tls.crt", "tls.key"];

/// Why certificate and key cannot be served.
#[derive(Debug)]
pub(super) enum Error {
    /// There is no certificate.
    NoCertificate,
    /// What stands between the PEM lines is none.
    OddCertificate(x509_parser::nom::Err<X509Error>),
    /// There is no key.
    NoKey,
    /// The key is of a sort that is not known.
    OddKey(rustls::Error),
    /// Certificate and key do not belong together.
    Mismatch,
}

impl Error {
    /// In words, where certificate and key are called so.
    fn told(&self, [chain, key]: [&str; 2]) -> String {
        match self {
            Error::NoCertificate => format!("{chain} holds no PEM certificate"),
            Error::OddCertificate(_) => {
                format!("the first certificate of {chain} is no X.509 certificate")
            }
            Error::NoKey => format!("{key} holds no PEM private key"),
            Error::OddKey(_) => {
                format!("{key} is of no supported sort (RSA, ECDSA P-256 or P-384, Ed25519)")
            }
            Error::Mismatch => format!("{key} does not belong to the first certificate of {chain}"),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.told(ENTRIES))
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::OddCertificate(why) => Some(why),
            Error::OddKey(why) => Some(why),
            Error::NoCertificate | Error::NoKey | Error::Mismatch => None,
        }
    }
}

/// What is wrong with a Secret of type `kubernetes.io/tls`; nothing with any other Secret.
///
/// Said before a table is assembled, so that a bad certificate is refused like any bad object and
/// its last good form stays in force.
pub fn check(secret: &Secret) -> Vec<Invalid> {
    let faults = ENTRIES.into_iter().zip(faults(secret));
    faults.filter_map(|(entry, error)| Some(fault(secret, entry, &error?))).collect()
}

/// The same in words, for a Secret whose certificate and key are called so where they come from.
pub fn check_called(secret: &Secret, names: [&str; 2]) -> Vec<String> {
    faults(secret).into_iter().flatten().map(|error| error.told(names)).collect()
}

/// What is wrong with the certificate and with the key.
fn faults(secret: &Secret) -> [Option<Error>; 2] {
    let [chain, key] = ENTRIES.map(|entry| secret.value(entry));
    let Some((chain, key)) = chain.zip(key).filter(|_| secret.kind == TLS_SECRET) else {
        return [None, None];
    };
    match (Chain::read(chain), read_key(key)) {
        (Ok(chain), Ok(key)) => [None, chain.fits(&key).err()],
        (chain, key) => [chain.err(), key.err()],
    }
}

/// When a certificate ends, in seconds since 1970.
pub(super) fn ends(certificate: &CertificateDer<'_>) -> Option<i64> {
    let (_, read) = X509Certificate::from_der(certificate).ok()?;
    Some(read.validity().not_after.timestamp())
}

/// What the certificate of a Secret says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stated {
    /// When it begins to hold, in seconds since 1970.
    pub begins: i64,
    /// When it ends.
    pub ends: i64,
    /// The hosts that it is for, in lower case; `*.` begins one that is for all of one label.
    pub hosts: Vec<String>,
}

impl Stated {
    /// What is said by a Secret of type `kubernetes.io/tls`; `None` where it cannot be read.
    pub fn of(secret: &Secret) -> Option<Self> {
        let pem = secret.value("tls.crt").filter(|_| secret.kind == TLS_SECRET)?;
        let first = CertificateDer::from_pem_slice(pem.expose()).ok()?;
        let (_, read) = X509Certificate::from_der(&first).ok()?;
        let (begins, ends) = (read.validity().not_before, read.validity().not_after);
        let names = read.subject_alternative_name().ok().flatten();
        let names = names.map(|names| &names.value.general_names[..]).unwrap_or_default();
        let hosts = names.iter().filter_map(|name| match name {
            GeneralName::DNSName(host) => Some(host.to_ascii_lowercase()),
            _ => None,
        });
        let hosts = hosts.collect();
        Some(Stated { begins: begins.timestamp(), ends: ends.timestamp(), hosts })
    }

    /// Whether it is for `host`, or for some of the hosts that this wildcard means.
    pub fn is_for(&self, host: &Hostname) -> bool {
        let parted = host.as_str().split_once('.').map(|(_, rest)| rest).unwrap_or_default();
        self.hosts.iter().any(|name| match host.suffix() {
            Some(suffix) => name.ends_with(suffix),
            None => name == host.as_str() || name.strip_prefix("*.") == Some(parted),
        })
    }

    /// A moment in seconds since 1970 as people read it.
    pub fn day(at: i64) -> String {
        let at = OffsetDateTime::from_unix_timestamp(at).ok();
        at.and_then(|at| at.format(&Rfc3339).ok()).unwrap_or_else(|| "beyond our time".to_owned())
    }
}

fn fault(secret: &Secret, entry: &str, error: &Error) -> Invalid {
    let meta = &secret.metadata;
    let field = if secret.string_data.contains_key(entry) { "stringData" } else { "data" };
    Invalid {
        key: Some(Key::new(Kind::Secret, meta.namespace.clone(), meta.name.clone())),
        path: format!("{field}['{entry}']"),
        line: None,
        reason: error.to_string(),
        nearest: None,
    }
}

/// A certificate with those that vouch for it, and its public key.
struct Chain {
    certificates: Vec<CertificateDer<'static>>,
    public_key: Vec<u8>,
}

impl Chain {
    fn read(pem: &SecretBytes) -> Result<Self, Error> {
        let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem.expose())
            .collect::<Result<_, _>>()
            .map_err(|_| Error::NoCertificate)?;
        let first = certificates.first().ok_or(Error::NoCertificate)?;
        let (_, first) = X509Certificate::from_der(first).map_err(Error::OddCertificate)?;
        let public_key = first.public_key().raw.to_vec();
        Ok(Chain { certificates, public_key })
    }

    /// rustls' own comparison refuses the version 1 certificates that openssl makes without
    /// extensions and that other servers serve; what a certificate is good for, clients judge.
    fn fits(&self, key: &Arc<dyn SigningKey>) -> Result<(), Error> {
        match key.public_key() {
            Some(public) if *public != *self.public_key => Err(Error::Mismatch),
            Some(_) | None => Ok(()),
        }
    }
}

fn read_key(pem: &SecretBytes) -> Result<Arc<dyn SigningKey>, Error> {
    let key = PrivateKeyDer::from_pem_slice(pem.expose()).map_err(|_| Error::NoKey)?;
    any_supported_type(&key).map_err(Error::OddKey)
}

/// A chain and its key, which belong together.
pub(super) fn certified(chain: &SecretBytes, key: &SecretBytes) -> Result<CertifiedKey, Error> {
    let (chain, key) = (Chain::read(chain)?, read_key(key)?);
    chain.fits(&key)?;
    Ok(CertifiedKey::new(chain.certificates, key))
}

#[cfg(test)]
mod tests;
