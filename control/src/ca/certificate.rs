//! What a certificate that somebody showed says, once it is proven that an authority of ours signed it.

use rustls::pki_types::CertificateDer;
use time::OffsetDateTime;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;

use super::{NodeName, Root, domain};

/// Why a certificate is not one of a node of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// It is no certificate.
    #[error("it cannot be read")]
    Malformed,
    /// No authority of ours signed it.
    #[error("no authority of this installation signed it")]
    Stranger,
    /// The authority that signed it vouches for another cluster.
    #[error("the authority that signed it vouches for another cluster")]
    OtherCluster,
    /// It lies under a root that nobody trusts any more.
    #[error(
        "it lies under a root that was retired; let the node join again with a new join token \
         (`heddle join-token create`)"
    )]
    Retired,
    /// It names no node, or more than one.
    #[error("it does not name one node")]
    Nameless,
}

/// A certificate that an authority of ours signed for one node. Whether it has ended or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proven {
    /// The node.
    pub node: NodeName,
    /// Its id.
    pub id: String,
    /// The certificate's serial number, in hexadecimal.
    pub serial: String,
    /// When it ends.
    pub expires: OffsetDateTime,
    /// Its public key.
    pub key: Vec<u8>,
    /// The fingerprint of the root above it, once that is known.
    pub root: String,
}

impl Proven {
    /// Reads a certificate of a node, and proves it by `issuer`, which an authority of ours is.
    ///
    /// # Errors
    /// [`Unfit`]. That it has ended is none.
    pub fn read(
        certificate: &CertificateDer<'_>,
        issuer: &CertificateDer<'_>,
        trust: &str,
    ) -> Result<Self, Unfit> {
        let leaf = parse(certificate)?;
        let issuer = parse(issuer)?;
        let signed = leaf.verify_signature(Some(issuer.public_key()));
        signed.map_err(|_| Unfit::Stranger)?;
        let proven = Proven::names(&leaf, trust)?;
        let cluster = domain(proven.node.cluster.as_str(), trust);
        if leaf.issuer() != issuer.subject()
            || one_uri(&issuer) != Some(format!("spiffe://{cluster}"))
        {
            return Err(Unfit::OtherCluster);
        }
        Ok(proven)
    }

    /// The node that a certificate names, which nothing proves yet.
    ///
    /// # Errors
    /// [`Unfit`].
    pub fn claimed(certificate: &CertificateDer<'_>, trust: &str) -> Result<Self, Unfit> {
        Proven::names(&parse(certificate)?, trust)
    }

    /// The same under the root above its issuer, if that is trusted.
    ///
    /// # Errors
    /// [`Unfit::Retired`], [`Unfit::Stranger`] where there is no such root.
    pub(super) fn under(self, root: Option<&Root>) -> Result<Self, Unfit> {
        match root {
            Some(root) if root.is_trusted() => {
                Ok(Proven { root: root.fingerprint.clone(), ..self })
            }
            Some(_) => Err(Unfit::Retired),
            None => Err(Unfit::Stranger),
        }
    }

    /// Whether the root itself signed this certificate.
    pub(super) fn is_of_root(issuer: &CertificateDer<'_>, root: &CertificateDer<'_>) -> bool {
        let (Ok(issuer), Ok(root)) = (parse(issuer), parse(root)) else { return false };
        issuer.issuer() == root.subject()
            && issuer.is_ca()
            && issuer.verify_signature(Some(root.public_key())).is_ok()
    }

    fn names(leaf: &X509Certificate<'_>, trust: &str) -> Result<Self, Unfit> {
        let uri = one_uri(leaf).ok_or(Unfit::Nameless)?;
        let node = NodeName::read(&uri, trust).ok_or(Unfit::Nameless)?;
        let mut names = leaf.subject().iter_common_name();
        let id = match (names.next(), names.next()) {
            (Some(name), None) => name.as_str().map_err(|_| Unfit::Nameless)?.to_owned(),
            (_, _) => return Err(Unfit::Nameless),
        };
        Ok(Proven {
            node,
            id,
            serial: wire::digest::hex(leaf.raw_serial()),
            expires: leaf.validity().not_after.to_datetime(),
            key: leaf.public_key().subject_public_key.data.to_vec(),
            root: String::new(),
        })
    }
}

/// The trust domain that an authority's certificate says.
pub(crate) fn domain_of(certificate: &CertificateDer<'_>) -> Option<String> {
    let uri = one_uri(&parse(certificate).ok()?)?;
    uri.strip_prefix("spiffe://").map(str::to_owned)
}

fn parse<'c>(certificate: &'c CertificateDer<'_>) -> Result<X509Certificate<'c>, Unfit> {
    match X509Certificate::from_der(certificate) {
        Ok(([], parsed)) => Ok(parsed),
        Ok(_) | Err(_) => Err(Unfit::Malformed),
    }
}

/// The only alternative name of a certificate, where that is a URI.
fn one_uri(certificate: &X509Certificate<'_>) -> Option<String> {
    let names = certificate.subject_alternative_name().ok()??;
    match names.value.general_names.as_slice() {
        [GeneralName::URI(uri)] => Some((*uri).to_owned()),
        _ => None,
    }
}
