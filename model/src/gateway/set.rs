//! ListenerSet (`gateway.networking.k8s.io/v1`): listeners that a team adds to a Gateway of somebody else.
//!
//! ```yaml
//! apiVersion: gateway.networking.k8s.io/v1
//! kind: ListenerSet
//! metadata: { name: books, namespace: shop }
//! spec:
//!   parentRef: { name: edge, namespace: platform }   # says spec.allowedListeners.namespaces.from: All
//!   listeners:
//!     - name: https
//!       hostname: books.example.com
//!       port: 443
//!       protocol: HTTPS
//!       tls: { certificateRefs: [{ name: books-tls }] }   # of 'shop'
//! ```
//!
//! All that its listeners name is looked for, and judged, from its own namespace.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    FromNamespaces, Listener, NamespaceSelector, certificates, check_listeners, gateway_group,
};
use crate::invalid::Checker;
use crate::{Key, Kind, Meta, Name};

/// Listeners for a Gateway that lets them attach.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListenerSet {
    /// Who it is.
    pub metadata: Meta,
    /// What is wanted.
    pub spec: ListenerSetSpec,
}

/// `spec` of a ListenerSet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ListenerSetSpec {
    /// The Gateway that gets the listeners; its `allowedListeners` must let this namespace.
    pub parent_ref: ParentGateway,
    /// The listeners; names are unique within this set, and so is each port, protocol and host name
    /// together.
    #[schemars(length(min = 1, max = 64))]
    pub listeners: Vec<Listener>,
}

/// The Gateway that a ListenerSet attaches to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ParentGateway {
    /// `gateway.networking.k8s.io` where none is written.
    #[serde(default = "gateway_group")]
    pub group: String,
    /// `Gateway` where none is written.
    #[serde(default = "gateway_kind")]
    pub kind: String,
    /// The set's own namespace where none is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Name>,
    /// The name of the Gateway.
    pub name: Name,
}

fn gateway_kind() -> String {
    Kind::Gateway.as_str().to_owned()
}

/// Which ListenerSets may attach to a Gateway.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AllowedListeners {
    /// From which namespaces; from none where nothing is written.
    #[serde(default)]
    pub namespaces: ListenerNamespaces,
}

/// Namespaces from which ListenerSets may attach.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ListenerNamespaces {
    /// `None` where nothing is written.
    #[serde(default = "nowhere")]
    pub from: FromNamespaces,
    /// With `Selector`, labels of namespaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<NamespaceSelector>,
}

const fn nowhere() -> FromNamespaces {
    FromNamespaces::None
}

impl Default for ListenerNamespaces {
    fn default() -> Self {
        ListenerNamespaces { from: nowhere(), selector: None }
    }
}

impl ListenerSet {
    /// The Gateway that it names.
    pub fn gateway(&self) -> Key {
        let ParentGateway { namespace, name, .. } = &self.spec.parent_ref;
        let own = &self.metadata.namespace;
        Key::new(Kind::Gateway, namespace.as_ref().unwrap_or(own).clone(), name.clone())
    }

    /// The Secrets that hold the certificates which it names, each behind the place at which it does.
    pub fn certificates(&self) -> impl Iterator<Item = (String, Key)> {
        certificates(&self.metadata.namespace, &self.spec.listeners)
    }

    /// Reports what the schema cannot say.
    pub fn check(&self, at: &mut Checker) {
        let spec = &self.spec;
        at.within("spec", |at| {
            let parent = &spec.parent_ref;
            if parent.group != gateway_group() || parent.kind != gateway_kind() {
                at.within("parentRef", |at| {
                    let text = "a ListenerSet attaches to a Gateway of 'gateway.networking.k8s.io'";
                    at.fault_in("kind", text);
                });
            }
            check_listeners(at, &spec.listeners, Kind::ListenerSet);
        });
    }
}

impl AllowedListeners {
    pub(super) fn check(&self, at: &mut Checker) {
        let ListenerNamespaces { from, selector } = &self.namespaces;
        at.within("namespaces", |at| from.check(selector.as_ref(), at));
    }
}
