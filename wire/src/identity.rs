//! How a node comes by its certificate: by a token first, by its certificate from then on.

use crate::proto::identity as proto;

/// A node that has nothing but a join token.
#[derive(Clone, PartialEq, Eq)]
pub struct Join {
    /// The token's id.
    pub token_id: String,
    /// The token's secret.
    pub token_secret: String,
    /// `gateway` or `mesh`.
    pub kind: String,
    /// The node's name.
    pub name: String,
    /// Its software.
    pub version: String,
    /// PKCS#10, DER.
    pub csr: Vec<u8>,
    /// Its clock, microseconds since 1970.
    pub now: i64,
}

impl std::fmt::Debug for Join {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Join")
            .field("token_id", &self.token_id)
            .field("kind", &self.kind)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// A node whose certificate will end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renew {
    /// PKCS#10, DER.
    pub csr: Vec<u8>,
    /// The node's software.
    pub version: String,
    /// Its clock, microseconds since 1970.
    pub now: i64,
}

/// A node whose certificate has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejoin {
    /// The certificate, DER.
    pub certificate: Vec<u8>,
    /// PKCS#10, DER, signed by the certificate's key and for it.
    pub csr: Vec<u8>,
    /// The node's software.
    pub version: String,
    /// Its clock, microseconds since 1970.
    pub now: i64,
}

/// What a node is from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certified {
    /// UUIDv7; the same for the same cluster, kind and name.
    pub node_id: String,
    /// The cluster it is in.
    pub cluster: String,
    /// What all clusters' trust domains end in, such as `heddle.internal`.
    pub trust: String,
    /// Its certificate, then its issuer's, DER.
    pub chain: Vec<Vec<u8>>,
    /// The roots that it trusts, DER.
    pub roots: Vec<Vec<u8>>,
    /// The server's clock, microseconds since 1970.
    pub now: i64,
}

/// A proxy of the mesh that is to speak for its workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Speak {
    /// PKCS#10, DER, for the key of the node's own certificate.
    pub csr: Vec<u8>,
    /// Its clock, microseconds since 1970.
    pub now: i64,
}

/// As whom a proxy of the mesh speaks to others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spoken {
    /// The workload's certificate, then its issuer's, DER.
    pub chain: Vec<Vec<u8>>,
    /// The roots under which all workloads lie, DER.
    pub roots: Vec<Vec<u8>>,
    /// The server's clock, microseconds since 1970.
    pub now: i64,
}

/// Turns a plain type into its message and back, field by field.
macro_rules! same_fields {
    ($plain:ident, $message:ident { $($field:ident),+ }) => {
        impl From<$plain> for proto::$message {
            fn from(plain: $plain) -> Self {
                proto::$message { $($field: plain.$field),+ }
            }
        }

        impl From<proto::$message> for $plain {
            fn from(message: proto::$message) -> Self {
                $plain { $($field: message.$field),+ }
            }
        }
    };
}

same_fields!(Join, JoinRequest { token_id, token_secret, kind, name, version, csr, now });
same_fields!(Renew, RenewRequest { csr, version, now });
same_fields!(Rejoin, RejoinRequest { certificate, csr, version, now });
same_fields!(Speak, SpeakRequest { csr, now });
same_fields!(Spoken, Spoken { chain, roots, now });
same_fields!(Certified, Certified { node_id, cluster, trust, chain, roots, now });
