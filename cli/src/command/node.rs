//! `node`: having a node forgotten.

use serde_json::Value;

use crate::app::Context;
use crate::args::people::{Node, NodeDelete};
use crate::client::Ask;
use crate::failure::{Done, Failure};
use crate::show::{self, count, items, printable, word};

/// Has a node forgotten.
///
/// # Errors
/// If it is not clear which one is meant; and what the server refuses, to whoever is no admin of
/// the platform.
pub(crate) async fn run(context: &Context, args: &Node) -> Result<Done, Failure> {
    let Node::Delete(args) = args;
    let answer = context.client.list(&Ask::get(&["nodes"])).await?;
    let node = meant(items(&answer, "/items"), args)?;
    context.client.json(&Ask::delete(&["nodes", &word(node, "/id")])).await?;
    let [name, cluster] = ["/name", "/cluster"].map(|at| printable(&word(node, at)));
    show::result(&format!("node {name} ({cluster}) forgotten\n"))?;
    Ok(Done::Yes)
}

/// The one of `nodes` that has this id or name.
fn meant<'n>(nodes: &'n [Value], args: &NodeDelete) -> Result<&'n Value, Failure> {
    let is_there =
        |node: &&Value| args.cluster.as_ref().is_none_or(|cluster| node["cluster"] == **cluster);
    let is_called = |node: &&Value| [&node["id"], &node["name"]].iter().any(|it| **it == args.name);
    let found: Vec<_> = nodes.iter().filter(is_there).filter(is_called).collect();
    match found[..] {
        [node] => Ok(node),
        [] => {
            let place = args.cluster.as_ref().map(|cluster| format!(" in cluster '{cluster}'"));
            let (name, place) = (&args.name, place.unwrap_or_default());
            let words = format!("there is no node '{name}'{place}; see them all: heddle status");
            Err(Failure::Failed(printable(&words)))
        }
        _ => Err(Failure::Failed(printable(&several(&found, &args.name)))),
    }
}

/// That `name` is the name of all of `found`, and how to tell them apart.
fn several(found: &[&Value], name: &str) -> String {
    let told = found.iter().map(|node| {
        let [id, kind, cluster] = ["/id", "/kind", "/cluster"].map(|at| word(node, at));
        format!("{id} ({kind} in {cluster})")
    });
    let told: Vec<_> = told.collect();
    let nodes = count(found.len(), "node");
    format!("{nodes} are called '{name}': {}; say --cluster, or the id", told.join(", "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_node_is_meant_by_its_id_or_by_a_name_that_only_it_has() {
        let node = |id: &str, name: &str, cluster: &str, kind: &str| {
            json!({ "id": id, "name": name,
                    "cluster": cluster, "kind": kind })
        };
        let nodes = [
            node("n1", "edge-1", "eu", "gateway"),
            node("n2", "edge-1", "us", "gateway"),
            node("n3", "edge-1", "us", "mesh"),
            node("n4", "edge-2", "us", "gateway"),
        ];
        let id = |name: &str, cluster: Option<&str>| {
            let args = NodeDelete { name: name.to_owned(), cluster: cluster.map(str::to_owned) };
            meant(&nodes, &args).map(|node| word(node, "/id")).map_err(|why| why.to_string())
        };
        for (name, cluster, wanted) in [
            ("edge-2", None, "n4"),
            ("edge-1", Some("eu"), "n1"),
            ("n3", None, "n3"),
            ("n3", Some("us"), "n3"),
        ] {
            assert_eq!(id(name, cluster).as_deref(), Ok(wanted));
        }
        for (name, cluster, words) in [
            ("edge-3", None, "there is no node 'edge-3'; see them all: heddle status"),
            ("edge-2", Some("eu"), "there is no node 'edge-2' in cluster 'eu'; see"),
            ("edge-1", None, "3 nodes are called 'edge-1': n1 (gateway in eu), n2 (gateway in us)"),
            ("edge-1", Some("us"), "n3 (mesh in us); say --cluster, or the id"),
        ] {
            let told = id(name, cluster).unwrap_err();
            assert!(told.contains(words), "{told}");
        }
    }
}
