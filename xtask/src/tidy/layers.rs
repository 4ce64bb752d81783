//! Who may import whom, as a table; `docs/adr/001-crates-and-layers.md` has the reasons.
//!
//! The table holds for direct dependencies of every kind: normal, build and dev. A test that
//! reaches above its crate's layer is a test of the upper crate and belongs there, or in `e2e`.

use super::Fault;
use super::workspace::Workspace;

/// What of ours one crate may name in its manifest.
struct Layer {
    name: &'static str,
    sees: Sees,
}

enum Sees {
    Only(&'static [&'static str]),
    /// The black-box tests and the workshop; nobody imports them.
    Everything,
}

use Sees::{Everything, Only};

/// Lowest first. Crates that are not there yet are listed too: the plan is part of the rule.
const LAYERS: &[Layer] = &[
    Layer { name: "model", sees: Only(&[]) },
    Layer { name: "policy", sees: Only(&["model"]) },
    Layer { name: "wire", sees: Only(&["model"]) },
    Layer { name: "store", sees: Only(&["model"]) },
    Layer { name: "outward", sees: Only(&["model"]) },
    Layer { name: "table", sees: Only(&["policy", "model"]) },
    Layer { name: "rego", sees: Only(&["policy", "model"]) },
    Layer { name: "proxy", sees: Only(&["table", "policy", "rego", "wire", "outward", "model"]) },
    // It reads files and assembles them, as control will for proxies without files.
    Layer { name: "gateway", sees: Only(&["proxy", "table", "policy", "model"]) },
    Layer { name: "mesh", sees: Only(&["proxy", "model"]) },
    Layer {
        name: "control",
        sees: Only(&["table", "policy", "rego", "wire", "store", "outward", "model"]),
    },
    // The browser's half is held to the last three by the tree of its own build.
    Layer { name: "console", sees: Only(&["control", "table", "policy", "model"]) },
    Layer { name: "cli", sees: Only(&["table", "model"]) },
    // The demo's services stand for other people's: they know nothing of ours.
    Layer { name: "bookshop", sees: Only(&[]) },
    Layer { name: "e2e", sees: Everything },
    // Targets for each crate that reads what strangers send; nothing imports it.
    Layer { name: "fuzz", sees: Only(&["proxy", "table", "policy", "wire", "model"]) },
    Layer { name: "xtask", sees: Everything },
];

/// Libraries that one crate alone may name, so that what they stand for has one door.
struct Owner {
    family: &'static str,
    owner: &'static str,
    why: &'static str,
    /// Tests of other crates may have it, to read what a stranger's protocol carries.
    tests_may: bool,
}

const SQL: &str = "only store says SQL";
const PROTOBUF: &str = "only wire shows protobuf";
const KUBERNETES: &str = "only control speaks to Kubernetes";

const OWNERS: &[Owner] = &[
    Owner { family: "sqlx", owner: "store", why: SQL, tests_may: false },
    Owner { family: "prost", owner: "wire", why: PROTOBUF, tests_may: true },
    Owner { family: "tonic-prost", owner: "wire", why: PROTOBUF, tests_may: true },
    Owner { family: "protox", owner: "wire", why: PROTOBUF, tests_may: false },
    Owner { family: "kube", owner: "control", why: KUBERNETES, tests_may: false },
    Owner { family: "k8s-openapi", owner: "control", why: KUBERNETES, tests_may: false },
];

/// `axum` is the family of `axum`, `axum-core` and `axum_extra`.
pub(super) fn in_family(name: &str, family: &str) -> bool {
    match name.strip_prefix(family) {
        Some(rest) => rest.is_empty() || rest.starts_with(['-', '_']),
        None => false,
    }
}

/// Every edge between crates of ours is in the table.
pub(super) fn edges(workspace: &Workspace) -> Vec<Fault> {
    let mut faults = Vec::new();
    for one in &workspace.crates {
        let Some(layer) = LAYERS.iter().find(|layer| layer.name == one.name) else {
            let right = "give it a line in xtask/src/tidy/layers.rs and a reason in an ADR";
            faults.push(Fault::new(&one.name, "is in no layer", right));
            continue;
        };
        let Only(allowed) = layer.sees else { continue };
        for dependency in one.dependencies.iter().filter(|dependency| dependency.ours) {
            if !allowed.contains(&dependency.name.as_str()) {
                let wrong = format!("imports {}", dependency.name);
                faults.push(Fault::new(&one.name, wrong, may_import(allowed)));
            }
        }
    }
    faults
}

fn may_import(allowed: &[&str]) -> String {
    match allowed {
        [] => "of our crates it may import none".to_owned(),
        some => format!("of our crates it may import {}", some.join(", ")),
    }
}

/// A library with one owner is named by that owner alone.
pub(super) fn owners(workspace: &Workspace) -> Vec<Fault> {
    let mut faults = Vec::new();
    for one in &workspace.crates {
        for owner in OWNERS.iter().filter(|owner| owner.owner != one.name) {
            for dependency in &one.dependencies {
                let excused = dependency.ours || (dependency.dev && owner.tests_may);
                if in_family(&dependency.name, owner.family) && !excused {
                    let wrong = format!("depends on {}", dependency.name);
                    faults.push(Fault::new(&one.name, wrong, owner.why));
                }
            }
        }
    }
    faults
}
