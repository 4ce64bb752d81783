//! Workspaces and Claims without a good form, read as leniently as is safe: what they hold stays
//! within a border, and with its owner.

use model::claim::{Claim, ClaimSpec, HostClaim};
use model::cluster::{self, Cluster, ClusterSpec};
use model::key::platform_namespace;
use model::path::normalise;
use model::workspace::{DefaultAccess, Workspace, WorkspaceSpec};
use model::{Hostname, Key, Meta, Name};
use serde_json::Value;

/// A refused workspace, with nothing but the namespaces and clusters that its text names; where it names
/// no namespace, or they cannot be told, the one of its own name, and no cluster where those cannot.
pub(crate) fn workspace(key: &Key, raw: Option<&Value>) -> Workspace {
    let written = raw.and_then(|raw| raw.get("spec")?.get("namespaces")?.as_array());
    let words = written.into_iter().flatten().filter_map(Value::as_str);
    let names = words.filter_map(|word| Name::parse(word).ok());
    let namespaces = names.filter(|name| *name != platform_namespace()).collect();
    let clusters = match raw {
        Some(raw) => cluster::selector(raw.pointer("/spec/clusters")),
        None => cluster::selector(Some(&Value::Null)),
    };
    let access = DefaultAccess::Deny;
    let spec = WorkspaceSpec { namespaces, clusters, access, ..WorkspaceSpec::default() };
    Workspace { metadata: Meta::new(key.namespace.clone(), key.name.clone()), spec }
}

/// A refused cluster, with its labels: without them, whole workspaces would be gone from it.
pub(crate) fn cluster(key: &Key, raw: Option<&Value>) -> Cluster {
    let labels = cluster::labels(raw.and_then(|raw| raw.get("metadata")?.get("labels")));
    let metadata = Meta { labels, ..Meta::new(key.namespace.clone(), key.name.clone()) };
    Cluster { metadata, spec: ClusterSpec::default() }
}

/// A refused claim, with the hosts that can be read; a host whose paths cannot is held whole.
pub(crate) fn claim(key: &Key, raw: Option<&Value>) -> Claim {
    let written = raw.and_then(|raw| raw.get("spec")?.get("hosts")?.as_array());
    let hosts = written.into_iter().flatten().filter_map(host).collect();
    let metadata = Meta::new(key.namespace.clone(), key.name.clone());
    Claim { metadata, spec: ClaimSpec { hosts } }
}

fn host(written: &Value) -> Option<HostClaim> {
    let host = Hostname::parse(written.get("host")?.as_str()?).ok()?;
    let paths = written.get("paths").and_then(Value::as_array);
    let path =
        |path: &Value| Some(path.as_str()?.to_owned()).filter(|path| normalise(path).is_ok());
    let paths = paths.map(|paths| paths.iter().map(path));
    let paths = paths.and_then(Iterator::collect::<Option<Vec<_>>>).unwrap_or_default();
    Some(HostClaim { host, paths })
}
