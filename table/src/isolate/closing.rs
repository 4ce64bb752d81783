//! Whom a policy that cannot be read was meant for, read as leniently as is safe.

use model::backend_tls::BackendTlsPolicy;
use model::policy::PolicyTargetRef;
use model::{Key, Kind, Name};
use serde_json::Value;

/// An object, or a part of it, that policies attach to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// A Gateway, a ListenerSet, a route or a Service.
    pub(crate) object: Key,
    /// A listener or a rule of it.
    pub(crate) section: Option<Name>,
}

/// What a refused policy closes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Closing {
    /// The policy.
    pub(crate) policy: Key,
    /// Its targets; `None`: every route, Gateway, ListenerSet and Service of its namespace, since
    /// they cannot be told.
    pub(crate) targets: Option<Vec<Place>>,
}

impl Closing {
    /// Of a policy without a good form: if one of its targets cannot be read, none is trusted.
    pub(crate) fn of(policy: &Key, raw: Option<&Value>) -> Self {
        let targets = targets(policy, raw);
        let targets = targets.into_iter().collect::<Option<Vec<_>>>();
        Closing { policy: policy.clone(), targets: targets.filter(|all| !all.is_empty()) }
    }

    /// Of a policy whose good form is attached to the places `good`: those of its targets that can be read
    /// and are not among them, if there are any.
    pub(crate) fn beyond(policy: &Key, raw: Option<&Value>, good: &[Place]) -> Option<Self> {
        let is_new = |place: &Place| !good.iter().any(|good| good.covers(place));
        let targets: Vec<_> = targets(policy, raw).into_iter().flatten().filter(is_new).collect();
        (!targets.is_empty()).then(|| Closing { policy: policy.clone(), targets: Some(targets) })
    }
}

impl Place {
    /// What a policy in `namespace` is attached to.
    pub(crate) fn of(namespace: &Name, target: &PolicyTargetRef) -> Self {
        let object = Key::new(target.kind.kind(), namespace.clone(), target.name.clone());
        Place { object, section: target.section_name.clone() }
    }

    /// What a policy of these targets is attached to.
    pub(crate) fn all_of(namespace: &Name, targets: &[PolicyTargetRef]) -> Vec<Self> {
        targets.iter().map(|target| Place::of(namespace, target)).collect()
    }

    /// The same of one that says how Services are reached by TLS.
    pub(crate) fn all_of_tls(policy: &BackendTlsPolicy) -> Vec<Self> {
        let sections = policy.spec.target_refs.iter().map(|target| target.section_name.clone());
        let places = policy.targets().zip(sections);
        places.map(|(object, section)| Place { object, section }).collect()
    }

    /// Whether what is attached here is attached to `other`, too.
    pub(crate) fn covers(&self, other: &Place) -> bool {
        self.object == other.object && (self.section.is_none() || self.section == other.section)
    }
}

/// The targets that a text names, each as far as it can be read.
fn targets(policy: &Key, raw: Option<&Value>) -> Vec<Option<Place>> {
    let written = raw.and_then(|raw| raw.get("spec")?.get("targetRefs")?.as_array());
    let written = written.into_iter().flatten();
    written.map(|target| place(&policy.namespace, target)).collect()
}

/// One target. A section that cannot be read widens it to the whole object.
fn place(namespace: &Name, target: &Value) -> Option<Place> {
    let word = |field| target.get(field).and_then(Value::as_str);
    let kind = match word("kind")? {
        "Gateway" => Kind::Gateway,
        "ListenerSet" => Kind::ListenerSet,
        "HTTPRoute" => Kind::HttpRoute,
        "GRPCRoute" => Kind::GrpcRoute,
        "TLSRoute" => Kind::TlsRoute,
        "TCPRoute" => Kind::TcpRoute,
        "UDPRoute" => Kind::UdpRoute,
        "Service" => Kind::Service,
        _ => return None,
    };
    let name = Name::parse(word("name")?).ok()?;
    let section = word("sectionName").and_then(|section| Name::parse(section).ok());
    Some(Place { object: Key::new(kind, namespace.clone(), name), section })
}
