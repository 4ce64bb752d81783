//! Whom a policy that cannot be read was meant for, read as leniently as is safe.

use model::{Key, Kind, Name};
use serde_json::Value;

/// An object, or a part of it, that policies attach to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// A Gateway or an HTTPRoute.
    pub(crate) object: Key,
    /// A listener or a rule of it.
    pub(crate) section: Option<Name>,
}

/// What a refused policy closes, but for what its good form, where it has one, is attached to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Closing {
    /// The policy.
    pub(crate) policy: Key,
    /// Its targets; `None`: every HTTPRoute and Gateway of its namespace, since they cannot be
    /// told.
    pub(crate) targets: Option<Vec<Place>>,
}

impl Closing {
    /// Reads the targets of a refused policy. If one of them cannot be read, none is trusted.
    pub(crate) fn of(policy: &Key, raw: Option<&Value>) -> Self {
        let written = raw.and_then(|raw| raw.get("spec")?.get("targetRefs")?.as_array());
        let targets = written.filter(|targets| !targets.is_empty()).and_then(|targets| {
            targets.iter().map(|target| place(&policy.namespace, target)).collect()
        });
        Closing { policy: policy.clone(), targets }
    }
}

/// One target. A section that cannot be read widens it to the whole object.
fn place(namespace: &Name, target: &Value) -> Option<Place> {
    let word = |field| target.get(field).and_then(Value::as_str);
    let kind = match word("kind")? {
        "Gateway" => Kind::Gateway,
        "HTTPRoute" => Kind::HttpRoute,
        _ => return None,
    };
    let name = Name::parse(word("name")?).ok()?;
    let section = word("sectionName").and_then(|section| Name::parse(section).ok());
    Some(Place { object: Key::new(kind, namespace.clone(), name), section })
}
