//! A tree as plain JSON, for those who look at an object that could not be read.

use serde_json::Value;

use super::scalar::Meaning;
use super::tree::{Content, Node};
use crate::Kind;

/// The annotation in which kubectl keeps a copy of the whole object: noise for all kinds, and for
/// a Secret its values in the clear.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// What was written, without what may be secret: only of a ConfigMap is it certain that `data` may
/// be shown.
pub(super) fn json(root: &Node, kind: Option<Kind>) -> Value {
    let mut value = plain(root);
    drop_bookkeeping(&mut value);
    if kind != Some(Kind::ConfigMap)
        && let Value::Object(fields) = &mut value
    {
        fields.retain(|name, _| name != "data" && name != "stringData");
    }
    value
}

/// Metadata in which Kubernetes keeps books; kept here, it would make an unchanged object look
/// changed.
const BOOKKEEPING: [&str; 6] =
    ["uid", "resourceVersion", "managedFields", "ownerReferences", "generateName", "finalizers"];

/// Takes off what Kubernetes and kubectl note for themselves.
pub(super) fn drop_bookkeeping(value: &mut Value) {
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        BOOKKEEPING.iter().for_each(|field| drop(metadata.remove(*field)));
    }
    let annotations = value.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut);
    if let Some(annotations) = annotations {
        annotations.remove(LAST_APPLIED);
    }
}

fn plain(node: &Node) -> Value {
    match &node.content {
        Content::List(items) => items.iter().map(plain).collect(),
        Content::Map(map) => {
            let fields = map.entries.iter();
            fields.map(|(name, entry)| (name.clone(), plain(&entry.value))).collect()
        }
        Content::Scalar(scalar) => match &scalar.meaning {
            Meaning::Null => Value::Null,
            Meaning::Truth(truth) => Value::Bool(*truth),
            Meaning::Number(number) => Value::Number(number.clone()),
            Meaning::Text | Meaning::Nothing(_) => Value::String(scalar.text.clone()),
        },
    }
}
