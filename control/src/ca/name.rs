//! The name that a node's certificate says: its cluster, its kind and its own name.

use std::fmt;

use model::Name;

/// The trust domain's label of the control plane itself; no cluster may be called so.
pub const HUB: &str = "hub";

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NodeKind {
    /// It serves what comes from outside.
    Gateway,
    /// It serves what services say to each other.
    Mesh,
}

impl NodeKind {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            NodeKind::Gateway => "gateway",
            NodeKind::Mesh => "mesh",
        }
    }

    /// The kind that `word` means.
    pub fn parse(word: &str) -> Option<Self> {
        [NodeKind::Gateway, NodeKind::Mesh].into_iter().find(|kind| kind.as_str() == word)
    }
}

impl fmt::Display for NodeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which node.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeName {
    /// Its cluster.
    pub cluster: Name,
    /// What it is.
    pub kind: NodeKind,
    /// Its name, of which a cluster has one for each kind.
    pub name: Name,
}

impl NodeName {
    /// Parses the words of a request; none if one of them is no name.
    pub fn parse(cluster: &str, kind: &str, name: &str) -> Option<Self> {
        let cluster = cluster_name(cluster)?;
        Some(NodeName { cluster, kind: NodeKind::parse(kind)?, name: Name::parse(name).ok()? })
    }

    /// `spiffe://CLUSTER.TRUST/node/KIND/NAME`.
    pub fn uri(&self, trust: &str) -> String {
        format!("spiffe://{}.{trust}/node/{}/{}", self.cluster, self.kind, self.name)
    }

    /// The node that a URI under `trust` names.
    pub fn read(uri: &str, trust: &str) -> Option<Self> {
        let (domain, path) = uri.strip_prefix("spiffe://")?.split_once('/')?;
        let cluster = domain.strip_suffix(trust)?.strip_suffix('.')?;
        let (kind, name) = path.strip_prefix("node/")?.split_once('/')?;
        NodeName::parse(cluster, kind, name)
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} of {}", self.kind, self.name, self.cluster)
    }
}

/// A cluster's name: one label, since it is the first of a trust domain, and not the hub's.
pub(crate) fn cluster_name(word: &str) -> Option<Name> {
    let is_label = word.len() <= 63 && !word.contains('.') && word != HUB;
    is_label.then(|| Name::parse(word).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_from_its_own_uri_and_from_no_other() {
        let node = NodeName::parse("east", "gateway", "edge-1").unwrap();
        let uri = node.uri("heddle.internal");
        assert_eq!(uri, "spiffe://east.heddle.internal/node/gateway/edge-1");
        assert_eq!(NodeName::read(&uri, "heddle.internal"), Some(node));
        for wrong in [
            "spiffe://east.heddle.internal/node/gateway",
            "spiffe://east.heddle.internal/node/gateway/a/b",
            "spiffe://east.heddle.internal/node/control/edge-1",
            "spiffe://east.evil.heddle.internal/node/gateway/edge-1",
            "spiffe://hub.heddle.internal/node/gateway/edge-1",
            "spiffe://heddle.internal/node/gateway/edge-1",
            "spiffe://eastheddle.internal/node/gateway/edge-1",
            "https://east.heddle.internal/node/gateway/edge-1",
            "spiffe://east.heddle.example/node/gateway/edge-1",
        ] {
            assert_eq!(NodeName::read(wrong, "heddle.internal"), None, "{wrong}");
        }
    }
}
