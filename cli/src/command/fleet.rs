//! `status`: the nodes, what each has, and what each lacks.

use serde_json::Value;

use super::receipt::rejection;
use crate::app::Context;
use crate::args::Show;
use crate::client::Ask;
use crate::failure::{Done, Failure};
use crate::show::table::Table;
use crate::show::when::when;
use crate::show::{self, items, word};

/// Shows the nodes.
///
/// # Errors
/// If the server does not tell.
pub(crate) async fn status(context: &Context, show: Show) -> Result<Done, Failure> {
    let answer = context.client.list(&Ask::get(&["nodes"])).await?;
    let nodes = items(&answer, "/items");
    show::answer(show.output, &answer, || told(nodes))?;
    if nodes.is_empty() {
        show::note(
            "there is no node that you may see; a token lets one join: heddle join-token create --cluster C",
        );
    }
    Ok(Done::Yes)
}

fn told(nodes: &[Value]) -> String {
    let heads =
        ["NODE", "CLUSTER", "KIND", "VERSION", "STATE", "BEHIND", "SEEN", "CERTIFICATE ENDS"];
    let mut table = Table::new(&heads);
    let mut vectors = Table::new(&["NODE", "CLUSTER", "SCOPE", "REVISION", "APPLIED"]);
    let (mut rejected, mut silent) = (String::new(), String::new());
    for node in nodes {
        let name = word(node, "/name");
        let [cluster, kind, version, state, behind] =
            ["/cluster", "/kind", "/version", "/state", "/behind"].map(|at| word(node, at));
        let [seen, ends] = ["/lastSeen", "/certificateExpires"].map(|at| when(node, at));
        table.row([name.clone(), cluster.clone(), kind, version, state, behind, seen, ends]);
        for scope in items(node, "/vector") {
            let [scope_name, revision] = ["/scope", "/revision"].map(|at| word(scope, at));
            let applied = when(scope, "/applied");
            vectors.row([name.clone(), cluster.clone(), scope_name, revision, applied]);
        }
        for object in items(node, "/rejected") {
            let name = show::printable(&name);
            rejected.push_str(&format!("node {name} rejected {}\n", rejection(object)));
        }
        for port in items(node, "/silentPorts") {
            let (name, port) = (show::printable(&name), word(port, ""));
            silent.push_str(&format!(
                "the application beside {name} does not answer on port {port}\n"
            ));
        }
    }
    let parts = [table.text(), vectors.text(), rejected, silent];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nodes_their_vectors_and_what_they_rejected_are_told() {
        let node = json!({ "name": "edge-1", "cluster": "here", "kind": "gateway",
            "version": "0.1.0", "state": "stale", "behind": 2, "lastSeen": null,
            "certificateExpires": null,
            "vector": [{ "scope": "workspace/shop", "revision": 11, "applied": null }],
            "rejected": [{ "object": "Secret shop/s", "path": "", "reason": "no key" }], "silentPorts": [8080] });
        let text = told(&[node]);
        let wanted = "\
NODE     CLUSTER   KIND      VERSION   STATE   BEHIND   SEEN   CERTIFICATE ENDS
edge-1   here      gateway   0.1.0     stale   2        -      -

NODE     CLUSTER   SCOPE            REVISION   APPLIED
edge-1   here      workspace/shop   11         -

node edge-1 rejected Secret shop/s: no key

the application beside edge-1 does not answer on port 8080
";
        assert_eq!(text, wanted);
    }
}
