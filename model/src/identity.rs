//! Who speaks between proxies, as their certificates say it (SPIFFE ID, section 2).
//!
//! Each cluster is a trust domain of its own below the installation's trust name, so the same
//! namespace and account in another cluster is somebody else.

use std::fmt;

use crate::Name;

/// Who is at the other end of a connection between proxies.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Peer {
    /// A workload, by its service account.
    Workload {
        /// The cluster that vouches for it.
        cluster: Name,
        /// Its namespace.
        namespace: Name,
        /// Its service account there.
        service_account: Name,
    },
    /// A gateway, by the name by which it joined.
    Gateway {
        /// The cluster that vouches for it.
        cluster: Name,
        /// Its name.
        name: Name,
    },
}

impl Peer {
    /// The cluster that vouches for it.
    pub fn cluster(&self) -> &Name {
        match self {
            Peer::Workload { cluster, .. } | Peer::Gateway { cluster, .. } => cluster,
        }
    }

    /// `spiffe://CLUSTER.TRUST/ns/NAMESPACE/sa/ACCOUNT`, or `.../node/gateway/NAME`.
    pub fn uri(&self, trust: &str) -> String {
        format!("spiffe://{}.{trust}{}", self.cluster(), Path(self))
    }

    /// Whom a URI under `trust` names; none if it is not of this form to the letter.
    pub fn read(uri: &str, trust: &str) -> Option<Self> {
        let (domain, path) = uri.strip_prefix("spiffe://")?.split_once('/')?;
        let cluster = domain.strip_suffix(trust)?.strip_suffix('.')?;
        let cluster = Name::parse(cluster).ok().filter(|name| !name.as_str().contains('.'))?;
        let words: Vec<_> = path.split('/').collect();
        match words[..] {
            ["ns", namespace, "sa", account] => Some(Peer::Workload {
                cluster,
                namespace: Name::parse(namespace).ok()?,
                service_account: Name::parse(account).ok()?,
            }),
            ["node", "gateway", name] => {
                Some(Peer::Gateway { cluster, name: Name::parse(name).ok()? })
            }
            _ => None,
        }
    }
}

/// Such as `workload shop/orders of east`.
impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Peer::Workload { cluster, namespace, service_account } => {
                write!(f, "workload {namespace}/{service_account} of {cluster}")
            }
            Peer::Gateway { cluster, name } => write!(f, "gateway {name} of {cluster}"),
        }
    }
}

/// The path of the URI.
struct Path<'p>(&'p Peer);

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Peer::Workload { namespace, service_account, .. } => {
                write!(f, "/ns/{namespace}/sa/{service_account}")
            }
            Peer::Gateway { name, .. } => write!(f, "/node/gateway/{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(word: &str) -> Name {
        Name::parse(word).unwrap()
    }

    #[test]
    fn a_peer_is_read_from_its_own_uri_and_from_no_other() {
        let workload = Peer::Workload {
            cluster: name("east"),
            namespace: name("shop"),
            service_account: name("orders"),
        };
        let gateway = Peer::Gateway { cluster: name("east"), name: name("edge") };
        let uri = workload.uri("heddle.internal");
        assert_eq!(uri, "spiffe://east.heddle.internal/ns/shop/sa/orders");
        for peer in [workload, gateway] {
            assert_eq!(Peer::read(&peer.uri("heddle.internal"), "heddle.internal"), Some(peer));
        }
        for wrong in [
            "spiffe://east.heddle.internal/ns/shop/sa",
            "spiffe://east.heddle.internal/ns/shop/sa/orders/",
            "spiffe://east.heddle.internal//ns/shop/sa/orders",
            "spiffe://east.heddle.internal/ns/Shop/sa/orders",
            "spiffe://east.heddle.internal/node/mesh/orders-1",
            "spiffe://far.east.heddle.internal/ns/shop/sa/orders",
            "spiffe://heddle.internal/ns/shop/sa/orders",
            "spiffe://eastheddle.internal/ns/shop/sa/orders",
            "spiffe://east.heddle.example/ns/shop/sa/orders",
            "https://east.heddle.internal/ns/shop/sa/orders",
        ] {
            assert_eq!(Peer::read(wrong, "heddle.internal"), None, "{wrong}");
        }
    }
}
