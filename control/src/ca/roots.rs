//! The roots of an installation at one moment, and what follows from the state of each.
//!
//! ```text
//!              trusted   signs   retired
//! coming          x
//! active          x        x
//! leaving         x
//! gone                              x
//! ```
//!
//! One signs at any time; [`rotation`](crate::rotation) says how they follow each other.

use rustls::pki_types::CertificateDer;
use store::authority::{Authority, Kind, State};

use super::{CaError, Proven, authority};

/// One root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// Its id in the store.
    pub id: String,
    /// Lower-case hexadecimal SHA-256 of its certificate.
    pub fingerprint: String,
    /// The certificate, DER.
    pub certificate: CertificateDer<'static>,
    /// What it is used for.
    pub state: State,
    /// Since when, in microseconds since 1970.
    pub since: i64,
    /// When it was made.
    pub created: i64,
    /// When its certificate ends.
    pub expires: i64,
}

/// All roots that there ever were, of which one signs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roots {
    signs: Root,
    others: Vec<Root>,
}

impl Root {
    /// From what is stored.
    ///
    /// # Errors
    /// [`CaError::Damaged`].
    pub fn read(stored: &Authority) -> Result<Self, CaError> {
        let certificate = authority::read(&stored.certificate)?;
        Ok(Root {
            id: stored.id.clone(),
            fingerprint: store::digest(&certificate),
            certificate,
            state: stored.state,
            since: stored.since,
            created: stored.created,
            expires: stored.expires,
        })
    }

    /// Whether certificates under it are believed.
    pub fn is_trusted(&self) -> bool {
        match self.state {
            State::Active | State::Coming | State::Leaving => true,
            State::Gone => false,
        }
    }

    /// Whether it signed the certificate of this authority itself.
    pub fn has_signed(&self, issuer: &CertificateDer<'_>) -> bool {
        Proven::is_of_root(issuer, &self.certificate)
    }
}

impl Roots {
    /// The roots among all authorities; none if none of them signs.
    ///
    /// # Errors
    /// [`CaError::Damaged`].
    pub fn read(all: &[Authority]) -> Result<Option<Self>, CaError> {
        let roots = all.iter().filter(|one| one.kind == Kind::Root).map(Root::read);
        let mut others = roots.collect::<Result<Vec<_>, _>>()?;
        let signs = others.iter().position(|root| root.state == State::Active);
        Ok(signs.map(|at| Roots { signs: others.remove(at), others }))
    }

    /// The one that signs.
    pub fn signs(&self) -> &Root {
        &self.signs
    }

    /// All of them, the one that signs first.
    pub fn all(&self) -> impl Iterator<Item = &Root> {
        std::iter::once(&self.signs).chain(&self.others)
    }

    /// Those that are believed, the one that signs first.
    pub fn trusted(&self) -> impl Iterator<Item = &Root> {
        self.all().filter(|root| root.is_trusted())
    }

    /// The one in a state in which there is one at most.
    pub fn in_state(&self, state: State) -> Option<&Root> {
        self.all().find(|root| root.state == state)
    }

    /// Whether the root of this fingerprint is believed.
    pub fn trusts(&self, fingerprint: &str) -> bool {
        self.trusted().any(|root| root.fingerprint == fingerprint)
    }

    /// The root that signed the certificate of an authority, be it retired.
    pub fn above(&self, issuer: &CertificateDer<'_>) -> Option<&Root> {
        self.all().find(|root| root.has_signed(issuer))
    }

    /// The certificates of those that are believed, DER.
    pub fn bundle(&self) -> Vec<Vec<u8>> {
        self.trusted().map(|root| root.certificate.to_vec()).collect()
    }
}
