//! ReferenceGrant (`gateway.networking.k8s.io`): what other namespaces may refer to in this one.
//!
//! ```yaml
//! apiVersion: gateway.networking.k8s.io/v1
//! kind: ReferenceGrant
//! metadata: { name: shop-calls-us, namespace: bank }
//! spec:
//!   from:
//!     - { group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: shop }
//!   to:
//!     - { group: "", kind: Service, name: accounts }   # without a name: every Service of 'bank'
//! ```
//!
//! It lies beside what is referred to, so nobody can open what is another's.
//! Each of `from` may refer to each of `to`; what several grants open adds up.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::invalid::Checker;
use crate::{Key, Kind, Meta, Name};

/// The kinds that refer to others across namespaces.
pub const REFERRING: [Kind; 7] = [
    Kind::Gateway,
    Kind::ListenerSet,
    Kind::HttpRoute,
    Kind::GrpcRoute,
    Kind::TlsRoute,
    Kind::TcpRoute,
    Kind::UdpRoute,
];

/// The kinds that are referred to across namespaces.
pub const REFERRED: [Kind; 3] = [Kind::Service, Kind::Secret, Kind::ConfigMap];

/// Lets objects of other namespaces refer to those of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReferenceGrant {
    /// Who it is; what it opens lies in its namespace.
    pub metadata: Meta,
    /// What is wanted.
    pub spec: ReferenceGrantSpec,
}

/// `spec` of a ReferenceGrant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReferenceGrantSpec {
    /// Who may refer.
    #[schemars(length(min = 1, max = 16))]
    pub from: Vec<ReferenceGrantFrom>,
    /// To what.
    #[schemars(length(min = 1, max = 16))]
    pub to: Vec<ReferenceGrantTo>,
}

/// Objects of one kind in one namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReferenceGrantFrom {
    /// `gateway.networking.k8s.io`.
    pub group: String,
    /// `Gateway`, `ListenerSet`, `HTTPRoute`, `GRPCRoute`, `TLSRoute`, `TCPRoute` or `UDPRoute`.
    pub kind: String,
    /// Where they lie.
    pub namespace: Name,
}

/// Objects of one kind beside the grant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReferenceGrantTo {
    /// The core group: `""`.
    pub group: String,
    /// `Service`, `Secret` or `ConfigMap`.
    pub kind: String,
    /// The one object; every one of the kind where none is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
}

impl ReferenceGrant {
    /// Whether it lets the object `from` refer to the object `to`.
    pub fn permits(&self, from: &Key, to: &Key) -> bool {
        to.namespace == self.metadata.namespace
            && self.spec.from.iter().any(|one| one.is_of(from))
            && self.spec.to.iter().any(|one| one.is_of(to))
    }

    /// The objects beside it that it opens by their names, each with its place in `spec.to`.
    pub fn named(&self) -> impl Iterator<Item = (usize, Key)> {
        let own = &self.metadata.namespace;
        self.spec.to.iter().enumerate().filter_map(|(index, to)| {
            Some((index, Key::new(to.referred()?, own.clone(), to.name.clone()?)))
        })
    }

    /// Reports what the schema cannot say.
    pub fn check(&self, at: &mut Checker) {
        at.within("spec", |at| {
            at.each("from", &self.spec.from, |at, from| {
                if from.referring().is_none() {
                    at.fault_in("kind", unknown(&from.group, &from.kind, "refers", &REFERRING));
                }
            });
            at.each("to", &self.spec.to, |at, to| {
                if to.referred().is_none() {
                    at.fault_in("kind", unknown(&to.group, &to.kind, "is referred to", &REFERRED));
                }
            });
        });
    }
}

impl ReferenceGrantFrom {
    /// Its kind, if objects of it refer to others across namespaces.
    pub fn referring(&self) -> Option<Kind> {
        known(&self.group, &self.kind, &REFERRING)
    }

    fn is_of(&self, key: &Key) -> bool {
        self.namespace == key.namespace && self.referring() == Some(key.kind)
    }
}

impl ReferenceGrantTo {
    /// Its kind, if objects of it are referred to across namespaces.
    pub fn referred(&self) -> Option<Kind> {
        known(&self.group, &self.kind, &REFERRED)
    }

    fn is_of(&self, key: &Key) -> bool {
        self.referred() == Some(key.kind) && self.name.as_ref().is_none_or(|name| *name == key.name)
    }
}

/// The one of some kinds that is called so.
fn known(group: &str, word: &str, kinds: &[Kind]) -> Option<Kind> {
    kinds.iter().copied().find(|kind| kind.as_str() == word && kind.group() == group)
}

/// Why a kind would have no effect, and which ones have one.
fn unknown(group: &str, word: &str, does: &str, kinds: &[Kind]) -> String {
    let of = |group: &str| match group {
        "" => "the core group (\"\")".to_owned(),
        group => format!("'{group}'"),
    };
    let known: Vec<_> = kinds.iter().map(|kind| kind.as_str()).collect();
    let (known, right) = (known.join(", "), of(kinds[0].group()));
    format!(
        "in this version no '{word}' of {} {does} across namespaces; use {known} of {right}",
        of(group)
    )
}
