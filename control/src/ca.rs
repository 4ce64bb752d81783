//! The certificate authority of the installation: one root, an intermediate for each cluster.
//!
//! ```text
//! root (10 years) ─┬─ hub.TRUST  (1 year) ── control.heddle.internal
//!                  ├─ east.TRUST (1 year) ── spiffe://east.TRUST/node/gateway/edge-1 (a day)
//!                  └─ west.TRUST ...
//! ```
//!
//! All keys are ECDSA P-256. Keys of authorities lie sealed in the store and are made when they are
//! first needed; of two servers that make the same one, one wins and both use it. A node's key
//! never leaves the node: of its request, only the public key is taken.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use model::identity::Peer;
use rcgen::{
    CertificateSigningRequestParams, ExtendedKeyUsagePurpose, KeyPair, PKCS_ECDSA_P256_SHA256,
    PublicKey, PublicKeyData as _,
};
use rustls::pki_types::{CertificateDer, CertificateSigningRequestDer};
use store::Store;
use store::authority::{Kind, State};
use time::{Duration, OffsetDateTime};

mod authority;
mod certificate;
mod name;
mod verify;

pub use authority::Authority;
pub use certificate::{Proven, Unfit};
pub use name::{HUB, NodeKind, NodeName};

pub(crate) use authority::domain;
pub(crate) use name::cluster_name;
pub(crate) use verify::NodeCheck;

use crate::moment::micros;

use authority::Leaf;

/// The DNS name of the control plane's certificate, by which nodes ask for it.
pub const SERVER_NAME: &str = "control.heddle.internal";
/// An intermediate that ends within this time is followed by a new one.
const SUCCESSION: Duration = Duration::days(30);
/// How long the control plane's own certificate lasts.
const SERVER: Duration = Duration::days(7);

/// Why the authority could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// The store failed.
    #[error("the store of authorities failed")]
    Store(#[from] store::Error),
    /// A key cannot be sealed or opened.
    #[error("the key of an authority cannot be used")]
    Key(#[from] store::authority::AuthorityError),
    /// A certificate could not be made.
    #[error("a certificate could not be made")]
    Certificate(#[from] rcgen::Error),
    /// Something stored is not what it was.
    #[error("{0} cannot be read; restore the store from a backup")]
    Damaged(&'static str),
    /// A trust name that is none.
    #[error("'{0}' is no trust name; give one like heddle.internal")]
    Trust(String),
    /// A cluster's name that is none.
    #[error("'{0}' is no name of a cluster: one label of letters, digits and '-', and not 'hub'")]
    Cluster(String),
    /// The root was made for another trust name.
    #[error(
        "the store's root vouches for '{held}', and not for '{asked}'; start with --trust {held}"
    )]
    OtherTrust {
        /// What the root says.
        held: String,
        /// What was asked for.
        asked: String,
    },
    /// The system gave no randomness.
    #[error("the system gave no randomness")]
    Chance,
}

/// Why a request for a certificate was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Request {
    /// It is none, or its signature is not by its own key.
    #[error("the certificate request cannot be read, or was not signed by its own key")]
    Malformed,
    /// A key of another sort.
    #[error("the certificate request is for a key that is not ECDSA P-256")]
    Algorithm,
}

/// A request whose key signed it.
#[derive(Debug, Clone)]
pub struct Requested(PublicKey);

impl Requested {
    /// Reads PKCS#10, DER.
    ///
    /// # Errors
    /// [`Request`].
    pub fn read(csr: &[u8]) -> Result<Self, Request> {
        let der = CertificateSigningRequestDer::from(csr);
        let read = CertificateSigningRequestParams::from_der(&der);
        let key = read.map_err(|_| Request::Malformed)?.public_key;
        if *key.algorithm() == PKCS_ECDSA_P256_SHA256 {
            Ok(Requested(key))
        } else {
            Err(Request::Algorithm)
        }
    }

    /// The public key, as a certificate carries it.
    pub fn key(&self) -> &[u8] {
        self.0.der_bytes()
    }
}

/// A certificate of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    /// The node's, then its issuer's, DER.
    pub chain: Vec<CertificateDer<'static>>,
    /// When it ends.
    pub expires: OffsetDateTime,
}

/// The control plane's own certificate.
#[derive(Debug)]
pub struct ServerCertificate {
    /// Leaf, intermediate and root, DER: nodes that join know the root's fingerprint alone.
    pub chain: Vec<CertificateDer<'static>>,
    /// PKCS#8, DER.
    pub key: Vec<u8>,
    /// When to take the next one.
    pub renew: OffsetDateTime,
}

/// Root and intermediates of one installation.
#[derive(Debug)]
pub struct Ca {
    store: Store,
    trust: String,
    lasts: Duration,
    root: Authority,
    issuers: Mutex<BTreeMap<String, Arc<Authority>>>,
}

impl Ca {
    /// Over `store`, for names under `trust`, certificates of nodes lasting `lasts`. The root is
    /// made if there is none.
    ///
    /// # Errors
    /// [`CaError`].
    pub async fn open(
        store: Store,
        trust: &str,
        lasts: Duration,
        now: OffsetDateTime,
    ) -> Result<Self, CaError> {
        let trust = authority::trust_name(trust)?;
        let root = settle(&store, "", Kind::Root, now, || Authority::root(&trust, now)).await?;
        let held = certificate::domain_of(root.certificate());
        if held.as_deref() != Some(&trust) {
            let held = held.unwrap_or_default();
            return Err(CaError::OtherTrust { held, asked: trust });
        }
        Ok(Ca { store, trust, lasts, root, issuers: Mutex::default() })
    }

    /// What all trust domains end in.
    pub fn trust(&self) -> &str {
        &self.trust
    }

    /// The root that nodes trust, DER.
    pub fn root(&self) -> &CertificateDer<'static> {
        self.root.certificate()
    }

    /// The root's fingerprint: lower-case hexadecimal SHA-256.
    pub fn fingerprint(&self) -> String {
        store::digest(self.root())
    }

    /// The authority of a cluster, or of the hub.
    ///
    /// # Errors
    /// [`CaError`].
    pub async fn issuer(
        &self,
        cluster: &str,
        now: OffsetDateTime,
    ) -> Result<Arc<Authority>, CaError> {
        if let Some(known) = self.known(cluster).filter(|one| one.expires() > now + SUCCESSION) {
            return Ok(known);
        }
        if cluster != HUB && cluster_name(cluster).is_none() {
            return Err(CaError::Cluster(cluster.to_owned()));
        }
        let domain = domain(cluster, &self.trust);
        let make = || self.root.intermediate(&domain, now);
        let made = Arc::new(settle(&self.store, cluster, Kind::Intermediate, now, make).await?);
        let mut issuers = self.issuers.lock().unwrap_or_else(PoisonError::into_inner);
        issuers.insert(cluster.to_owned(), Arc::clone(&made));
        Ok(made)
    }

    fn known(&self, cluster: &str) -> Option<Arc<Authority>> {
        let issuers = self.issuers.lock().unwrap_or_else(PoisonError::into_inner);
        issuers.get(cluster).cloned()
    }

    /// A certificate for the node of id `id`, whose serial number is to be `serial`.
    ///
    /// # Errors
    /// [`CaError`].
    pub async fn certify(
        &self,
        node: &NodeName,
        id: &str,
        serial: &str,
        request: &Requested,
        now: OffsetDateTime,
    ) -> Result<Issued, CaError> {
        let issuer = self.issuer(node.cluster.as_str(), now).await?;
        let (certificate, expires) = issuer.leaf(Leaf {
            key: &request.0,
            serial: serial.to_owned(),
            common_name: id.to_owned(),
            names: authority::of_uri(node.uri(&self.trust))?,
            usages: vec![ExtendedKeyUsagePurpose::ClientAuth],
            now,
            lasts: self.lasts,
        })?;
        Ok(Issued { chain: vec![certificate, issuer.certificate().clone()], expires })
    }

    /// A certificate for the proxy of a workload, which takes and makes connections by it.
    ///
    /// # Errors
    /// [`CaError`].
    pub async fn vouch(
        &self,
        peer: &Peer,
        request: &Requested,
        now: OffsetDateTime,
    ) -> Result<Issued, CaError> {
        let issuer = self.issuer(peer.cluster().as_str(), now).await?;
        let (certificate, expires) = issuer.leaf(Leaf {
            key: &request.0,
            serial: serial()?,
            common_name: "workload".to_owned(),
            names: authority::of_uri(peer.uri(&self.trust))?,
            usages: vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth],
            now,
            lasts: self.lasts,
        })?;
        Ok(Issued { chain: vec![certificate, issuer.certificate().clone()], expires })
    }

    /// Proves a certificate by the authorities of the cluster that it names, also by those that
    /// sign no more; that it has ended is no fault here.
    ///
    /// # Errors
    /// [`Unfit`] inside, [`CaError`] if the store fails.
    pub async fn prove(&self, certificate: &[u8]) -> Result<Result<Proven, Unfit>, CaError> {
        let certificate = CertificateDer::from(certificate);
        let cluster = match Proven::claimed(&certificate, &self.trust) {
            Ok(claimed) => claimed.node.cluster,
            Err(unfit) => return Ok(Err(unfit)),
        };
        let held = self.store.authority_list(Some(cluster.as_str())).await?;
        let issuers = held.iter().filter(|one| {
            one.kind == Kind::Intermediate && matches!(one.state, State::Active | State::Leaving)
        });
        for issuer in issuers {
            let issuer = authority::read(&issuer.certificate)?;
            if let Ok(proven) = Proven::read(&certificate, &issuer, &self.trust) {
                return Ok(Ok(proven));
            }
        }
        Ok(Err(Unfit::Stranger))
    }

    /// A new certificate for the port that nodes speak to.
    ///
    /// # Errors
    /// [`CaError`].
    pub async fn server(&self, now: OffsetDateTime) -> Result<ServerCertificate, CaError> {
        let issuer = self.issuer(HUB, now).await?;
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let (certificate, expires) = issuer.leaf(Leaf {
            key: &key,
            serial: serial()?,
            common_name: SERVER_NAME.to_owned(),
            names: authority::of_server(&self.trust)?,
            usages: vec![ExtendedKeyUsagePurpose::ServerAuth],
            now,
            lasts: SERVER,
        })?;
        let chain = vec![certificate, issuer.certificate().clone(), self.root().clone()];
        Ok(ServerCertificate { chain, key: key.serialize_der(), renew: now + (expires - now) / 2 })
    }
}

/// A serial number that nobody guesses, in hexadecimal: 16 bytes, of which the first is neither
/// zero nor negative, so that the encoding of it is these bytes.
///
/// # Errors
/// [`CaError::Chance`].
pub(crate) fn serial() -> Result<String, CaError> {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| CaError::Chance)?;
    bytes[0] = bytes[0] & 0x3f | 0x40;
    Ok(wire::digest::hex(&bytes))
}

/// The authority that the store has, or has from now on.
async fn settle(
    store: &Store,
    cluster: &str,
    kind: Kind,
    now: OffsetDateTime,
    make: impl FnOnce() -> Result<authority::New, CaError>,
) -> Result<Authority, CaError> {
    let until = match kind {
        // Nodes know the root; another one would be nothing to them.
        Kind::Root => i64::MIN,
        Kind::Intermediate => micros(now + SUCCESSION),
    };
    let lasts = |one: &store::authority::Authority| {
        one.kind == kind && one.state == State::Active && one.expires > until
    };
    let held = store.authority_list(Some(cluster)).await?.into_iter().find(lasts);
    let found = match held {
        Some(found) => found,
        None => {
            let new = make()?;
            let authority = store::authority::Authority {
                id: uuid::Uuid::now_v7().to_string(),
                cluster: cluster.to_owned(),
                kind,
                certificate: new.pem,
                created: micros(now),
                expires: micros(new.expires),
                state: State::Active,
            };
            store.authority_settle(&authority, &new.key, until).await?
        }
    };
    let key = store.authority_key(&found.id).await?;
    let key = key.ok_or(CaError::Damaged("the key of an authority"))?;
    Authority::open(&found.certificate, key, found.expires)
}

#[cfg(test)]
mod tests;
