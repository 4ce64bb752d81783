//! The certificate authority of the installation: a root, an intermediate for each cluster.
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
//!
//! While one root follows another, several are trusted and one signs ([`Roots`]); what the store
//! says of them is looked at each second, since another server may have moved them.

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
use tokio::sync::watch;

mod authority;
mod certificate;
mod name;
mod roots;
mod verify;

pub use authority::Authority;
pub use certificate::{Proven, Unfit};
pub use name::{HUB, NodeKind, NodeName};
pub use roots::{Root, Roots};

pub(crate) use authority::{New, domain, read};
pub(crate) use certificate::domain_of;
pub(crate) use name::cluster_name;
pub(crate) use verify::NodeCheck;

use crate::moment::micros;

use authority::Leaf;

/// The DNS name of the control plane's certificate, by which nodes ask for it.
pub const SERVER_NAME: &str = wire::SERVER;
/// An intermediate that ends within this time is followed by a new one.
const SUCCESSION: Duration = Duration::days(30);
/// How long the control plane's own certificate lasts.
const SERVER: Duration = Duration::days(7);
/// How often it is looked whether the roots were moved.
const LOOK: std::time::Duration = std::time::Duration::from_secs(1);

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
    /// The root that signs was another one each time that we looked.
    #[error("the root that signs changes all the time")]
    Moved,
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
    /// The fingerprint of the root above it.
    pub root: String,
    /// Leaf, intermediate and root, DER: nodes that join know the root's fingerprint alone.
    pub chain: Vec<CertificateDer<'static>>,
    /// PKCS#8, DER.
    pub key: Vec<u8>,
    /// When to take the next one.
    pub renew: OffsetDateTime,
}

/// Roots and intermediates of one installation.
#[derive(Debug)]
pub struct Ca {
    store: Store,
    trust: String,
    lasts: Duration,
    roots: watch::Sender<Arc<Roots>>,
    /// By the fingerprint of the root above, and the cluster.
    issuers: Mutex<BTreeMap<(String, String), Arc<Authority>>>,
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
        let roots = first(&store, &trust, now).await?;
        let held = certificate::domain_of(&roots.signs().certificate);
        if held.as_deref() != Some(&trust) {
            let held = held.unwrap_or_default();
            return Err(CaError::OtherTrust { held, asked: trust });
        }
        let (roots, _) = watch::channel(Arc::new(roots));
        Ok(Ca { store, trust, lasts, roots, issuers: Mutex::default() })
    }

    /// What all trust domains end in.
    pub fn trust(&self) -> &str {
        &self.trust
    }

    /// The roots as they were last seen.
    pub fn roots(&self) -> Arc<Roots> {
        Arc::clone(&self.roots.borrow())
    }

    /// Wakes when the roots are moved.
    pub(crate) fn moves(&self) -> watch::Receiver<Arc<Roots>> {
        self.roots.subscribe()
    }

    /// The fingerprint of the root that signs: lower-case hexadecimal SHA-256.
    pub fn fingerprint(&self) -> String {
        self.roots().signs().fingerprint.clone()
    }

    /// Looks at the roots until it is aborted.
    pub(crate) async fn follow(self: Arc<Self>) {
        loop {
            tokio::time::sleep(LOOK).await;
            if let Err(error) = self.look().await {
                tracing::warn!(%error, "the roots could not be looked at; trying again");
            }
        }
    }

    /// Looks whether the roots were moved.
    ///
    /// # Errors
    /// [`CaError`].
    pub async fn look(&self) -> Result<(), CaError> {
        let all = self.store.authority_list(None).await?;
        let roots = Roots::read(&all)?.ok_or(CaError::Damaged("the root that signs"))?;
        self.roots.send_if_modified(|held| {
            let is_news = **held != roots;
            if is_news {
                tracing::info!(signs = roots.signs().fingerprint, "the roots were moved");
                *held = Arc::new(roots);
            }
            is_news
        });
        Ok(())
    }

    /// The authority of a cluster, or of the hub, under the root that signs.
    ///
    /// # Errors
    /// [`CaError`].
    pub async fn issuer(
        &self,
        cluster: &str,
        now: OffsetDateTime,
    ) -> Result<Arc<Authority>, CaError> {
        if cluster != HUB && cluster_name(cluster).is_none() {
            return Err(CaError::Cluster(cluster.to_owned()));
        }
        for _ in 0..3 {
            let roots = self.roots();
            let known = self.known(roots.signs(), cluster);
            if let Some(known) = known.filter(|one| one.expires() > now + SUCCESSION) {
                return Ok(known);
            }
            if let Some(settled) = self.settle(roots.signs(), cluster, now).await? {
                return Ok(self.keep(roots.signs(), cluster, settled));
            }
            // Another root signs by now.
            self.look().await?;
        }
        Err(CaError::Moved)
    }

    /// The authority of the hub under the root that is leaving, while it lasts.
    async fn leaving(
        &self,
        root: &Root,
        now: OffsetDateTime,
    ) -> Result<Option<Arc<Authority>>, CaError> {
        if let Some(known) = self.known(root, HUB).filter(|one| one.expires() > now) {
            return Ok(Some(known));
        }
        for held in self.store.authority_list(Some(HUB)).await? {
            let lasts = held.state == State::Leaving && held.expires > micros(now);
            if lasts && root.has_signed(&authority::read(&held.certificate)?) {
                let opened = unlock(&self.store, &held).await?;
                return Ok(Some(self.keep(root, HUB, opened)));
            }
        }
        Ok(None)
    }

    fn known(&self, root: &Root, cluster: &str) -> Option<Arc<Authority>> {
        let issuers = self.issuers.lock().unwrap_or_else(PoisonError::into_inner);
        issuers.get(&(root.fingerprint.clone(), cluster.to_owned())).cloned()
    }

    fn keep(&self, root: &Root, cluster: &str, authority: Authority) -> Arc<Authority> {
        let authority = Arc::new(authority);
        let mut issuers = self.issuers.lock().unwrap_or_else(PoisonError::into_inner);
        let place = (root.fingerprint.clone(), cluster.to_owned());
        issuers.insert(place, Arc::clone(&authority));
        authority
    }

    /// The authority of a cluster under this root that the store has, or has from now on; none if
    /// another root signs.
    async fn settle(
        &self,
        root: &Root,
        cluster: &str,
        now: OffsetDateTime,
    ) -> Result<Option<Authority>, CaError> {
        let until = micros(now + SUCCESSION);
        let lasts = |one: &store::authority::Authority| {
            one.kind == Kind::Intermediate && one.state == State::Active && one.expires > until
        };
        let held = self.store.authority_list(Some(cluster)).await?.into_iter().find(lasts);
        let found = match held {
            Some(found) => Some(found),
            None => {
                let roots = self.store.authority_list(Some("")).await?;
                let above = roots.iter().find(|one| one.id == root.id);
                let above = above.ok_or(CaError::Damaged("the root that signs"))?;
                let above = unlock(&self.store, above).await?;
                let new = above.intermediate(&domain(cluster, &self.trust), now)?;
                let row = new.row(cluster, Kind::Intermediate, State::Active, now);
                self.store.authority_settle_under(&root.id, &row, &new.key, until).await?
            }
        };
        match found {
            Some(found) if root.has_signed(&authority::read(&found.certificate)?) => {
                unlock(&self.store, &found).await.map(Some)
            }
            Some(_) | None => Ok(None),
        }
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

    /// A certificate for the proxy of a workload, which takes and makes connections by it; `id` is that of its node.
    ///
    /// # Errors
    /// [`CaError`].
    pub async fn vouch(
        &self,
        id: &str,
        peer: &Peer,
        request: &Requested,
        now: OffsetDateTime,
    ) -> Result<Issued, CaError> {
        let issuer = self.issuer(peer.cluster().as_str(), now).await?;
        let (certificate, expires) = issuer.leaf(Leaf {
            key: &request.0,
            serial: serial()?,
            common_name: id.to_owned(),
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
        let held = self.store.authority_list(None).await?;
        let roots = Roots::read(&held)?.ok_or(CaError::Damaged("the root that signs"))?;
        let issuers = held
            .iter()
            .filter(|one| one.kind == Kind::Intermediate && one.cluster == cluster.as_str());
        for issuer in issuers {
            let issuer = authority::read(&issuer.certificate)?;
            if let Ok(proven) = Proven::read(&certificate, &issuer, &self.trust) {
                return Ok(proven.under(roots.above(&issuer)));
            }
        }
        Ok(Err(Unfit::Stranger))
    }

    /// New certificates for the port that nodes speak to: under the root that signs, and under one
    /// that is leaving, for nodes that know no other.
    ///
    /// # Errors
    /// [`CaError`].
    pub async fn server(&self, now: OffsetDateTime) -> Result<Vec<ServerCertificate>, CaError> {
        let issuer = self.issuer(HUB, now).await?;
        let roots = self.roots();
        let mut all = vec![self.shown(&issuer, roots.above(issuer.certificate()), now)?];
        if let Some(root) = roots.in_state(State::Leaving)
            && let Some(issuer) = self.leaving(root, now).await?
        {
            all.push(self.shown(&issuer, Some(root), now)?);
        }
        Ok(all)
    }

    fn shown(
        &self,
        issuer: &Authority,
        root: Option<&Root>,
        now: OffsetDateTime,
    ) -> Result<ServerCertificate, CaError> {
        let root = root.ok_or(CaError::Moved)?;
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
        let chain = vec![certificate, issuer.certificate().clone(), root.certificate.clone()];
        let (root, key) = (root.fingerprint.clone(), key.serialize_der());
        Ok(ServerCertificate { root, chain, key, renew: now + (expires - now) / 2 })
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

/// The roots that the store has, or has from now on.
async fn first(store: &Store, trust: &str, now: OffsetDateTime) -> Result<Roots, CaError> {
    if let Some(roots) = Roots::read(&store.authority_list(Some("")).await?)? {
        return Ok(roots);
    }
    let new = New::root(trust, now)?;
    let row = new.row("", Kind::Root, State::Active, now);
    // Nodes know the root; one that ends is followed by a rotation and by nothing else.
    store.authority_settle(&row, &new.key, i64::MIN).await?;
    let roots = Roots::read(&store.authority_list(Some("")).await?)?;
    roots.ok_or(CaError::Damaged("the root that signs"))
}

/// A stored authority with its key.
async fn unlock(store: &Store, row: &store::authority::Authority) -> Result<Authority, CaError> {
    let key = store.authority_key(&row.id).await?;
    let key = key.ok_or(CaError::Damaged("the key of an authority"))?;
    Authority::open(&row.certificate, key, row.expires)
}

#[cfg(test)]
mod tests;
