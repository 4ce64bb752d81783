//! The authorities of a small installation: a root, the hub's and a cluster's.

use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType, SigningKey as _,
};
use rustls::pki_types::CertificateSigningRequestDer;

pub(crate) const TRUST: &str = "heddle.test";
pub(crate) const CLUSTER: &str = "east";

/// One authority.
pub(crate) struct Authority {
    pub(crate) der: Vec<u8>,
    issuer: Issuer<'static, KeyPair>,
}

/// A root and what stands under it.
pub(crate) struct Authorities {
    pub(crate) root: Authority,
    pub(crate) hub: Authority,
    pub(crate) cluster: Authority,
}

fn params(uri: &str, lasts: Duration) -> CertificateParams {
    let now = SystemTime::now();
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, uri);
    params.not_before = (now - Duration::from_secs(60)).into();
    params.not_after = (now + lasts).into();
    params.subject_alt_names = vec![SanType::URI(uri.try_into().expect("a URI is ASCII"))];
    params
}

impl Authority {
    fn new(domain: &str, path: BasicConstraints, above: Option<&Authority>) -> Self {
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("a key");
        let mut params = params(&format!("spiffe://{domain}"), Duration::from_secs(3600));
        params.is_ca = IsCa::Ca(path);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let made = match above {
            Some(above) => params.signed_by(&key, &above.issuer),
            None => params.self_signed(&key),
        };
        let der = made.expect("a certificate").der().to_vec();
        Authority { der, issuer: Issuer::new(params, key) }
    }

    /// The server's certificate and key.
    pub(crate) fn server(&self) -> (Vec<u8>, Vec<u8>) {
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("a key");
        let mut params =
            params(&format!("spiffe://hub.{TRUST}/control"), Duration::from_secs(3600));
        let name = "control.heddle.internal".try_into().expect("a name is ASCII");
        params.subject_alt_names.push(SanType::DnsName(name));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let made = params.signed_by(&key, &self.issuer).expect("a certificate");
        (made.der().to_vec(), key.serialize_der())
    }

    /// A node's certificate for the key of its request.
    pub(crate) fn node(&self, csr: &[u8], name: &str, lasts: Duration) -> Vec<u8> {
        let csr = CertificateSigningRequestDer::from(csr.to_vec());
        let mut csr = CertificateSigningRequestParams::from_der(&csr).expect("a request");
        csr.params = params(&format!("spiffe://{CLUSTER}.{TRUST}/node/gateway/{name}"), lasts);
        csr.params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        csr.signed_by(&self.issuer).expect("a certificate").der().to_vec()
    }

    pub(crate) fn sign(&self, text: &[u8]) -> Vec<u8> {
        self.issuer.key().sign(text).expect("a signature")
    }
}

impl Authorities {
    pub(crate) fn new() -> Self {
        let root = Authority::new("root.test", BasicConstraints::Unconstrained, None);
        let under = |name: &str| {
            let domain = format!("{name}.{TRUST}");
            Authority::new(&domain, BasicConstraints::Constrained(0), Some(&root))
        };
        let (hub, cluster) = (under("hub"), under(CLUSTER));
        Authorities { root, hub, cluster }
    }

    /// The fingerprint of the root, as a token has it.
    pub(crate) fn fingerprint(&self) -> String {
        wire::digest::hex(&wire::digest::bytes(&self.root.der))
    }
}
