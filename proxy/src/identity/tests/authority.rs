//! A control plane's authorities, made for a test: a root, one for the hub, one for a cluster.

use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType, SigningKey as _,
};
use wire::{Certified, Vector, digest};

use crate::config::held::Proof;
use crate::identity::{Fingerprint, Identity, NodeKey};

pub(crate) const TRUST: &str = "heddle.test";

/// An authority: its certificate, and the key for signing further ones.
pub(crate) struct Authority {
    pub(crate) der: Vec<u8>,
    issuer: Issuer<'static, KeyPair>,
}

/// A root with the authorities under it.
pub(crate) struct Installation {
    pub(crate) root: Authority,
    pub(crate) hub: Authority,
    pub(crate) east: Authority,
    pub(crate) west: Authority,
}

fn key() -> KeyPair {
    KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap()
}

fn params(uri: &str, life: [SystemTime; 2]) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(rcgen::DnType::CommonName, uri);
    [params.not_before, params.not_after] = life.map(Into::into);
    params.subject_alt_names = vec![SanType::URI(uri.try_into().unwrap())];
    params
}

/// From a minute ago to `lasts` from now.
pub(crate) fn life(lasts: Duration) -> [SystemTime; 2] {
    let now = SystemTime::now();
    [now - Duration::from_secs(60), now + lasts]
}

impl Authority {
    fn new(domain: &str, path: BasicConstraints, above: Option<&Authority>) -> Self {
        let key = key();
        let mut params =
            params(&format!("spiffe://{domain}"), life(Duration::from_secs(24 * 3600)));
        params.is_ca = IsCa::Ca(path);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let signed = match above {
            Some(above) => params.signed_by(&key, &above.issuer),
            None => params.self_signed(&key),
        };
        let der = signed.unwrap().der().to_vec();
        Authority { der, issuer: Issuer::new(params, key) }
    }

    /// A server's certificate for this URI, with its key (PKCS#8).
    pub(crate) fn server(&self, uri: &str, life: [SystemTime; 2]) -> (Vec<u8>, Vec<u8>) {
        let (key, mut params) = (key(), params(uri, life));
        let name = super::super::trust::CONTROL;
        params.subject_alt_names.push(SanType::DnsName(name.try_into().unwrap()));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let signed = params.signed_by(&key, &self.issuer).unwrap();
        (signed.der().to_vec(), key.serialize_der())
    }

    /// A certificate for this authority's own key and subject that says another domain, signed by
    /// itself.
    pub(crate) fn forged(&self, own: &str, domain: &str) -> Vec<u8> {
        let mut params = params(&format!("spiffe://{own}"), life(Duration::from_secs(24 * 3600)));
        let uri = format!("spiffe://{domain}");
        params.subject_alt_names = vec![SanType::URI(uri.as_str().try_into().unwrap())];
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        params.self_signed(self.issuer.key()).unwrap().der().to_vec()
    }

    /// A node's certificate.
    pub(crate) fn node(&self, uri: &str, node: &NodeKey, life: [SystemTime; 2]) -> Vec<u8> {
        self.leaf(uri, node, life, vec![ExtendedKeyUsagePurpose::ClientAuth])
    }

    /// A workload's certificate, for the key of its proxy.
    pub(crate) fn workload(&self, uri: &str, node: &NodeKey, life: [SystemTime; 2]) -> Vec<u8> {
        let both = [ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
        self.leaf(uri, node, life, both.to_vec())
    }

    fn leaf(
        &self,
        uri: &str,
        node: &NodeKey,
        life: [SystemTime; 2],
        usages: Vec<ExtendedKeyUsagePurpose>,
    ) -> Vec<u8> {
        let mut params = params(uri, life);
        params.extended_key_usages = usages;
        let key = KeyPair::from_pem(&String::from_utf8_lossy(node.pem().expose())).unwrap();
        params.signed_by(&key, &self.issuer).unwrap().der().to_vec()
    }

    /// What a commit of this state says for a node.
    pub(crate) fn proof(&self, node: &str, at: i64, vector: &Vector, digest: &[u8; 32]) -> Proof {
        let statement = digest::statement(node, at, vector, digest);
        let signature = self.issuer.key().sign(&statement).unwrap();
        Proof { issued_at: at, signature, signer: self.der.clone() }
    }
}

impl Installation {
    pub(crate) fn new() -> Self {
        let root = Authority::new("root.heddle.test", BasicConstraints::Unconstrained, None);
        let under = |name: &str| {
            let domain = format!("{name}.{TRUST}");
            Authority::new(&domain, BasicConstraints::Constrained(0), Some(&root))
        };
        let (hub, east, west) = (under("hub"), under("east"), under("west"));
        Installation { root, hub, east, west }
    }

    pub(crate) fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.root.der)
    }

    /// A gateway `edge` of the cluster `east`.
    pub(crate) fn identity(&self, key: &NodeKey, lasts: Duration) -> Identity {
        let uri = format!("spiffe://east.{TRUST}/node/gateway/edge");
        let certificate = self.east.node(&uri, key, life(lasts));
        let certified = Certified {
            node_id: "0192-node".to_owned(),
            cluster: "east".to_owned(),
            trust: TRUST.to_owned(),
            chain: vec![certificate, self.east.der.clone()],
            roots: vec![self.root.der.clone()],
            now: 0,
        };
        Identity::certified(certified, "gateway", "edge")
    }
}
