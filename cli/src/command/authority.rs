//! `authority`: the roots that nodes trust, and how one follows another.

use serde_json::{Value, json};

use crate::app::Context;
use crate::args::people::{Advance, Authority};
use crate::args::{Output, Show};
use crate::client::Ask;
use crate::failure::{Done, Failure};
use crate::show::table::Table;
use crate::show::when::when;
use crate::show::{self, count, items, printable, word};

/// Shows the authorities, or takes a step of a rotation.
///
/// # Errors
/// What the server refuses, with the nodes that hold a step back; to whoever is no admin of the
/// platform there are no authorities.
pub(crate) async fn run(context: &Context, args: &Authority) -> Result<Done, Failure> {
    let rotation = ["authority", "rotation"];
    match args {
        Authority::Show(Show { output }) => {
            let answer = context.client.json(&Ask::get(&["authority"])).await?;
            show::answer(*output, &answer, || text(&answer))?;
        }
        Authority::Rotate(show) => step(context, Ask::post(&rotation), show.output).await?,
        Authority::Advance(Advance { force, show }) => {
            // Out of the phase that it is in now: should the answer be lost, no step is taken twice.
            let now = context.client.json(&Ask::get(&["authority"])).await?;
            let ask = Ask::post(&["authority", "rotation", "advance"]);
            let ask = ask.with_json(&json!({ "force": force, "from": now["phase"] }));
            step(context, ask, show.output).await?;
        }
        Authority::Abandon(show) => step(context, Ask::delete(&rotation), show.output).await?,
    }
    Ok(Done::Yes)
}

async fn step(context: &Context, ask: Ask, output: Output) -> Result<(), Failure> {
    let done = context.client.json(&ask).await?;
    for node in items(&done, "/left") {
        let [name, cluster, why] = ["/name", "/cluster", "/why"].map(|at| word(node, at));
        show::note(printable(&format!("left behind: node {name} ({cluster}): {why}")));
    }
    show::answer(output, &done, || text(&done["authority"]))
}

/// The authorities for people: roots, intermediates, who holds a rotation back, and what comes next.
fn text(all: &Value) -> String {
    let mut roots = Table::new(&["ROOT", "STATE", "SINCE", "EXPIRES"]);
    for root in items(all, "/roots") {
        let [print, state] = ["/fingerprint", "/state"].map(|at| word(root, at));
        roots.row([print, state, when(root, "/since"), when(root, "/expires")]);
    }
    let mut issuers = Table::new(&["CLUSTER", "STATE", "UNDER ROOT", "EXPIRES"]);
    let alive = items(all, "/intermediates").iter().filter(|one| one["state"] != "gone");
    for one in alive {
        let [cluster, state, root] = ["/cluster", "/state", "/root"].map(|at| word(one, at));
        let root = root.get(..12).unwrap_or(&root).to_owned();
        issuers.row([cluster, state, root, when(one, "/expires")]);
    }
    let holding = items(all, "/holding");
    let mut nodes = Table::new(&["NODE", "CLUSTER", "HOLDS BACK SINCE", "LAST HEARD", "WHY"]);
    for node in holding {
        let [name, cluster, why] = ["/name", "/cluster", "/why"].map(|at| word(node, at));
        nodes.row([name, cluster, when(node, "/since"), when(node, "/lastSeen"), why]);
    }
    let parts = [roots.text(), issuers.text(), nodes.text(), next(all, holding.len())];
    let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.join("\n")
}

/// How far it has come, and what can be done.
fn next(all: &Value, holding: usize) -> String {
    let nodes = count(all["nodes"].as_u64().unwrap_or_default() as usize, "node");
    let goes_on = match holding {
        0 => "nothing holds it back: heddle authority advance".to_owned(),
        _ => format!("{holding} of {nodes} hold it back"),
    };
    match all["phase"].as_str() {
        Some("trusting") => format!("nodes learn to trust the new root; {goes_on}\n"),
        Some("moving") => format!("nodes get certificates under the new root; {goes_on}\n"),
        _ => "no rotation of the root is under way\n".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_next_is_said_with_who_holds_it_back() {
        let all = |phase: &str, holding: Value| {
            text(&json!({
                "phase": phase,
                "roots": [{ "fingerprint": "ab12", "state": "active" }],
                "intermediates": [
                    { "cluster": "hub", "state": "active", "root": "0123456789abcdef" },
                    { "cluster": "old", "state": "gone", "root": "0123456789abcdef" },
                ],
                "holding": holding,
                "nodes": 3,
            }))
        };
        let resting = all("resting", json!([]));
        assert!(resting.contains("ab12") && resting.contains("0123456789ab "), "{resting}");
        assert!(!resting.contains("old") && resting.ends_with("under way\n"), "{resting}");
        let ready = all("trusting", json!([]));
        assert!(ready.ends_with("heddle authority advance\n"), "{ready}");
        let one = json!({ "name": "edge-1", "cluster": "east", "why": "it is away" });
        let held = all("moving", json!([one]));
        assert!(held.contains("edge-1") && held.contains("it is away"), "{held}");
        assert!(held.ends_with("1 of 3 nodes hold it back\n"), "{held}");
    }
}
