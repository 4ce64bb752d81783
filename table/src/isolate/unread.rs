//! Workspaces without a good form, read as leniently as is safe: what they hold stays within a
//! border.

use model::key::platform_namespace;
use model::workspace::{DefaultAccess, Workspace, WorkspaceSpec};
use model::{Key, Meta, Name};
use serde_json::Value;

/// A refused workspace, with nothing but the namespaces that its text names; where it names none, or
/// they cannot be told, the one of its own name.
pub(crate) fn workspace(key: &Key, raw: Option<&Value>) -> Workspace {
    let written = raw.and_then(|raw| raw.get("spec")?.get("namespaces")?.as_array());
    let words = written.into_iter().flatten().filter_map(Value::as_str);
    let names = words.filter_map(|word| Name::parse(word).ok());
    let namespaces = names.filter(|name| *name != platform_namespace()).collect();
    let spec =
        WorkspaceSpec { namespaces, access: DefaultAccess::Deny, ..WorkspaceSpec::default() };
    Workspace { metadata: Meta::new(key.namespace.clone(), key.name.clone()), spec }
}
