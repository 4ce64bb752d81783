//! One authority: a certificate with the key that signs for it.

use model::Name;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData, SanType, SerialNumber,
    SigningKey as _,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use store::authority::{Kind, State};
use time::{Duration, OffsetDateTime};

use super::CaError;
use crate::moment::micros;

/// How far the clocks of two machines may differ without a new certificate looking like one of the
/// future.
const SKEW: Duration = Duration::minutes(1);
/// How long a root lasts.
const ROOT: Duration = Duration::days(3650);
/// How long an intermediate lasts.
const INTERMEDIATE: Duration = Duration::days(365);

/// Signs for one trust domain, or as the root for all.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    expires: OffsetDateTime,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").field("expires", &self.expires).finish_non_exhaustive()
    }
}

/// An authority that is to be stored.
pub(crate) struct New {
    pem: String,
    pub(crate) key: Vec<u8>,
    expires: OffsetDateTime,
}

/// What a leaf says; its issuer sees to the rest.
pub(super) struct Leaf<'k, K> {
    pub(super) key: &'k K,
    /// In hexadecimal.
    pub(super) serial: String,
    pub(super) common_name: String,
    pub(super) names: Vec<SanType>,
    pub(super) usages: Vec<ExtendedKeyUsagePurpose>,
    pub(super) now: OffsetDateTime,
    pub(super) lasts: Duration,
}

impl New {
    /// A root of `trust`.
    pub(crate) fn root(trust: &str, now: OffsetDateTime) -> Result<Self, CaError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let params = of_authority(trust, BasicConstraints::Constrained(1), now, now + ROOT)?;
        let pem = params.self_signed(&key)?.pem();
        Ok(New { pem, key: key.serialize_der(), expires: now + ROOT })
    }

    /// As it is to be stored.
    pub(crate) fn row(
        &self,
        cluster: &str,
        kind: Kind,
        state: State,
        now: OffsetDateTime,
    ) -> store::authority::Authority {
        let (created, expires) = (micros(now), micros(self.expires));
        let (id, cluster) = (uuid::Uuid::now_v7().to_string(), cluster.to_owned());
        let certificate = self.pem.clone();
        let since = created;
        store::authority::Authority {
            id,
            cluster,
            kind,
            certificate,
            created,
            expires,
            state,
            since,
        }
    }
}

impl Authority {
    /// An intermediate of this root for the trust domain `domain`, not yet stored.
    pub(super) fn intermediate(&self, domain: &str, now: OffsetDateTime) -> Result<New, CaError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let expires = self.expires.min(now + INTERMEDIATE);
        let params = of_authority(domain, BasicConstraints::Constrained(0), now, expires)?;
        let pem = params.signed_by(&key, &self.issuer)?.pem();
        Ok(New { pem, key: key.serialize_der(), expires })
    }

    /// From what is stored.
    pub(super) fn open(pem: &str, key: Vec<u8>, expires: i64) -> Result<Self, CaError> {
        let certificate = read(pem)?;
        let key = PrivatePkcs8KeyDer::from(key);
        let key = KeyPair::from_pkcs8_der_and_sign_algo(&key, &PKCS_ECDSA_P256_SHA256)?;
        let expires = OffsetDateTime::from_unix_timestamp_nanos(i128::from(expires) * 1000)
            .map_err(|_| CaError::Damaged("the end of an authority"))?;
        let issuer = Issuer::from_ca_cert_der(&certificate, key)?;
        Ok(Authority { issuer, certificate, expires })
    }

    /// The certificate, DER.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// When the certificate ends.
    pub fn expires(&self) -> OffsetDateTime {
        self.expires
    }

    /// ECDSA P-256 over the SHA-256 of `statement`, ASN.1.
    ///
    /// # Errors
    /// [`CaError`] if the system gives no randomness.
    pub fn sign(&self, statement: &[u8]) -> Result<Vec<u8>, CaError> {
        Ok(self.issuer.key().sign(statement)?)
    }

    /// Signs a leaf; it and when it ends.
    pub(super) fn leaf<K: PublicKeyData>(
        &self,
        leaf: Leaf<'_, K>,
    ) -> Result<(CertificateDer<'static>, OffsetDateTime), CaError> {
        let mut params = CertificateParams::default();
        params.not_before = leaf.now - SKEW;
        params.not_after = whole(self.expires.min(leaf.now + leaf.lasts));
        params.serial_number = Some(SerialNumber::from_slice(&bytes(&leaf.serial)));
        params.distinguished_name = named(&leaf.common_name);
        params.subject_alt_names = leaf.names;
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = leaf.usages;
        params.use_authority_key_identifier_extension = true;
        let expires = params.not_after;
        Ok((params.signed_by(leaf.key, &self.issuer)?.into(), expires))
    }
}

fn of_authority(
    domain: &str,
    path: BasicConstraints,
    now: OffsetDateTime,
    expires: OffsetDateTime,
) -> Result<CertificateParams, CaError> {
    let mut params = CertificateParams::default();
    params.not_before = now - SKEW;
    params.not_after = whole(expires);
    params.serial_number = Some(SerialNumber::from_slice(&bytes(&super::serial()?)));
    params.distinguished_name = named(domain);
    params.subject_alt_names = vec![SanType::URI(format!("spiffe://{domain}").try_into()?)];
    params.is_ca = IsCa::Ca(path);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

/// A stored certificate, DER.
pub(crate) fn read(pem: &str) -> Result<CertificateDer<'static>, CaError> {
    let read = CertificateDer::from_pem_slice(pem.as_bytes());
    read.map_err(|_| CaError::Damaged("the certificate of an authority"))
}

/// A certificate ends at a whole second.
fn whole(time: OffsetDateTime) -> OffsetDateTime {
    time.replace_nanosecond(0).unwrap_or(time)
}

fn named(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name
}

/// The bytes of a word of hexadecimal digits that we made.
fn bytes(hex: &str) -> Vec<u8> {
    let pair = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap_or_default();
    (0..hex.len() / 2).map(|at| pair(2 * at)).collect()
}

/// The trust domain of a cluster, or of the hub.
pub(crate) fn domain(cluster: &str, trust: &str) -> String {
    format!("{cluster}.{trust}")
}

/// The names of the control plane's own certificate.
pub(super) fn of_server(trust: &str) -> Result<Vec<SanType>, CaError> {
    let uri = format!("spiffe://{}/control", domain(super::name::HUB, trust));
    let dns = super::SERVER_NAME.to_owned();
    Ok(vec![SanType::URI(uri.try_into()?), SanType::DnsName(dns.try_into()?)])
}

/// The only name of a certificate of a node or a workload.
pub(super) fn of_uri(uri: String) -> Result<Vec<SanType>, CaError> {
    Ok(vec![SanType::URI(uri.try_into()?)])
}

/// A trust name that certificates can carry: a name of two labels or more.
pub(super) fn trust_name(word: &str) -> Result<String, CaError> {
    match Name::parse(word) {
        Ok(name) if name.as_str().contains('.') && word.len() <= 180 => Ok(word.to_owned()),
        Ok(_) | Err(_) => Err(CaError::Trust(word.to_owned())),
    }
}
