//! Who a node is, and the form in which that is kept.

use std::collections::BTreeMap;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use wire::{Certified, Vector};

use super::certificate::Certificate;

/// Who a node is, by what proves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// UUIDv7.
    pub node: String,
    /// `gateway` or `mesh`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// The cluster it is in.
    pub cluster: String,
    /// What the trust domains of all clusters end in.
    pub trust: String,
    /// Its certificate, then its issuer's, DER.
    pub(crate) chain: Vec<Vec<u8>>,
    /// The roots it trusts, DER.
    pub(crate) roots: Vec<Vec<u8>>,
    /// The state that it last took.
    pub(crate) vector: Vector,
}

/// A certificate of the workload that a node speaks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Spoken {
    /// The certificate, then its issuer's, DER. The roots above are those that the node trusts.
    pub(crate) chain: Vec<Vec<u8>>,
}

/// `workload.json`; older ones have roots in it, too.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SpokenWritten {
    chain: Vec<String>,
}

impl From<&Spoken> for SpokenWritten {
    fn from(spoken: &Spoken) -> Self {
        SpokenWritten { chain: texts(&spoken.chain) }
    }
}

impl TryFrom<SpokenWritten> for Spoken {
    type Error = Unfit;

    fn try_from(written: SpokenWritten) -> Result<Self, Unfit> {
        Ok(Spoken { chain: ders(&written.chain)? })
    }
}

/// Certificates as they are kept.
fn texts(all: &[Vec<u8>]) -> Vec<String> {
    all.iter().map(|der| STANDARD.encode(der)).collect()
}

fn ders(all: &[String]) -> Result<Vec<Vec<u8>>, Unfit> {
    all.iter().map(|text| STANDARD.decode(text).map_err(|_| Unfit::Odd)).collect()
}

/// What makes no identity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unfit {
    #[error("there is no certificate of the node")]
    NoCertificate,
    #[error("there is no root")]
    NoRoot,
    #[error("a certificate cannot be read")]
    Odd,
    #[error("the certificate is for another key")]
    OtherKey,
    #[error("the certificate is for {found:?} where {wanted} is meant")]
    OtherName { found: Vec<String>, wanted: String },
    #[error("'{0}' is no scope")]
    Scope(String),
}

impl Identity {
    /// What the server certified, for a node of this kind and name.
    pub(crate) fn certified(certified: Certified, kind: &str, name: &str) -> Self {
        Identity {
            node: certified.node_id,
            kind: kind.to_owned(),
            name: name.to_owned(),
            cluster: certified.cluster,
            trust: certified.trust,
            chain: certified.chain,
            roots: certified.roots,
            vector: Vector::new(),
        }
    }

    /// Its name in certificates.
    pub fn uri(&self) -> String {
        format!("spiffe://{}/node/{}/{}", self.domain(), self.kind, self.name)
    }

    /// The trust domain of its cluster.
    pub(crate) fn domain(&self) -> String {
        format!("{}.{}", self.cluster, self.trust)
    }

    /// Its certificate.
    pub(crate) fn certificate(&self) -> Result<Certificate, Unfit> {
        let first = self.chain.first().ok_or(Unfit::NoCertificate)?;
        Certificate::read(first).map_err(|_| Unfit::Odd)
    }

    /// Checks that it is of one piece, and for this public key.
    pub(crate) fn check(&self, public_key: &[u8]) -> Result<(), Unfit> {
        let certificate = self.certificate()?;
        if self.roots.is_empty() {
            return Err(Unfit::NoRoot);
        }
        if !certificate.is_for(public_key) {
            return Err(Unfit::OtherKey);
        }
        let wanted = self.uri();
        if certificate.uris != [wanted.clone()] {
            return Err(Unfit::OtherName { found: certificate.uris, wanted });
        }
        Ok(())
    }

    /// When its certificate ends.
    pub(crate) fn ends(&self) -> Result<SystemTime, Unfit> {
        Ok(self.certificate()?.not_after)
    }
}

/// `identity.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Written {
    node: String,
    kind: String,
    name: String,
    cluster: String,
    trust: String,
    chain: Vec<String>,
    roots: Vec<String>,
    #[serde(default)]
    vector: BTreeMap<String, i64>,
}

impl From<&Identity> for Written {
    fn from(identity: &Identity) -> Self {
        let vector = identity.vector.iter();
        Written {
            node: identity.node.clone(),
            kind: identity.kind.clone(),
            name: identity.name.clone(),
            cluster: identity.cluster.clone(),
            trust: identity.trust.clone(),
            chain: texts(&identity.chain),
            roots: texts(&identity.roots),
            vector: vector.map(|(scope, revision)| (scope.to_string(), *revision)).collect(),
        }
    }
}

impl TryFrom<Written> for Identity {
    type Error = Unfit;

    fn try_from(written: Written) -> Result<Self, Unfit> {
        let scope = |(scope, revision): (String, i64)| match scope.clone().try_into() {
            Ok(scope) => Ok((scope, revision)),
            Err(_) => Err(Unfit::Scope(scope)),
        };
        Ok(Identity {
            node: written.node,
            kind: written.kind,
            name: written.name,
            cluster: written.cluster,
            trust: written.trust,
            chain: ders(&written.chain)?,
            roots: ders(&written.roots)?,
            vector: written.vector.into_iter().map(scope).collect::<Result<_, _>>()?,
        })
    }
}
