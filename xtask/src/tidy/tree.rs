//! What a build links in the end: `cargo tree` of one subject alone, and what may never be there.

use super::workspace::{Crate, Workspace};
use super::{Fault, layers};

/// A build that is resolved by itself, since features of one crate must not hide what another
/// alone would link.
pub(super) struct Subject {
    pub(super) name: &'static str,
    /// The crate that must exist for this subject to make sense; the whole workspace if empty.
    pub(super) package: &'static str,
    /// Arguments of `cargo tree`.
    pub(super) args: &'static [&'static str],
    /// Families that may not be in the tree: a name matches itself and `name-...`, `name_...`.
    pub(super) never: &'static [&'static str],
    pub(super) right: &'static str,
}

/// What we build for: servers of both kinds, and browsers.
pub(super) const TARGETS: [&str; 3] =
    ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu", "wasm32-unknown-unknown"];

/// A proxy parses strangers' bytes, so it holds no database and no cluster credential.
const NOT_IN_A_PROXY: &[&str] = &["sqlx", "kube", "k8s-openapi", "axum", "leptos"];
const PROXY_ALONE: &str = "a proxy holds no database handle, no cluster credential and no user \
                           interface; find the crate that brings it and drop it or its feature";

/// The crates that decide do so from their arguments alone, and build for the browser too.
const NOT_IN_A_DECIDER: &[&str] = &["tokio", "hyper", "mio", "socket2", "async-std", "reqwest"];
const DECIDER_ALONE: &str = "model, policy and table are pure: I/O belongs in proxy or control";

/// Ours that run on servers, and what they bring.
const NOT_IN_A_BROWSER: &[&str] = &[
    "control", "store", "wire", "proxy", "gateway", "mesh", "rego", "sqlx", "kube", "axum",
    "tokio", "hyper", "rustls",
];

pub(super) const SUBJECTS: &[Subject] = &[
    Subject {
        name: "proxy",
        package: "proxy",
        args: &["-p", "proxy", "-e", "normal"],
        never: NOT_IN_A_PROXY,
        right: PROXY_ALONE,
    },
    Subject {
        name: "gateway",
        package: "gateway",
        args: &["-p", "gateway", "-e", "normal"],
        never: NOT_IN_A_PROXY,
        right: PROXY_ALONE,
    },
    Subject {
        name: "mesh",
        package: "mesh",
        args: &["-p", "mesh", "-e", "normal"],
        never: NOT_IN_A_PROXY,
        right: PROXY_ALONE,
    },
    Subject {
        name: "model",
        package: "model",
        args: &["-p", "model", "-e", "normal"],
        never: NOT_IN_A_DECIDER,
        right: DECIDER_ALONE,
    },
    Subject {
        name: "policy",
        package: "policy",
        args: &["-p", "policy", "-e", "normal"],
        never: NOT_IN_A_DECIDER,
        right: DECIDER_ALONE,
    },
    Subject {
        name: "table",
        package: "table",
        args: &["-p", "table", "-e", "normal"],
        never: NOT_IN_A_DECIDER,
        right: DECIDER_ALONE,
    },
    Subject {
        name: "console in the browser",
        package: "console",
        args: &[
            "-p",
            "console",
            "-e",
            "normal",
            "--no-default-features",
            "--features",
            "hydrate",
            "--target",
            "wasm32-unknown-unknown",
        ],
        never: NOT_IN_A_BROWSER,
        right: "the browser's half sees model, policy and table only: put it behind feature ssr",
    },
    Subject {
        name: "workspace",
        package: "",
        args: &[
            "--workspace",
            "--all-features",
            "-e",
            "normal,build,dev",
            "--target",
            TARGETS[0],
            "--target",
            TARGETS[1],
            "--target",
            TARGETS[2],
        ],
        never: &["ring"],
        right: "one TLS provider, aws-lc-rs: take the dependency without its ring feature",
    },
];

impl Subject {
    /// There is something to resolve.
    pub(super) fn exists(&self, crates: &[Crate]) -> bool {
        self.package.is_empty() || crates.iter().any(|one| one.name == self.package)
    }
}

/// A resolved tree: each line's depth and package name, in `cargo tree`'s order.
#[derive(Debug, Clone, Default)]
pub(super) struct Tree(Vec<(usize, String)>);

impl Tree {
    /// Reads the output of `cargo tree --prefix depth --format " {p}"`: `2 name v1.0.0 (*)`.
    pub(super) fn parse(printed: &str) -> Self {
        let lines = printed.lines().filter_map(|line| {
            let mut words = line.split_whitespace();
            Some((words.next()?.parse().ok()?, words.next()?.to_owned()))
        });
        Self(lines.collect())
    }

    /// The way from the subject to the first package of each name that belongs to `family`.
    fn ways_to(&self, family: &str) -> Vec<String> {
        let mut way: Vec<&str> = Vec::new();
        let mut seen: Vec<&str> = Vec::new();
        let mut found = Vec::new();
        for (depth, name) in &self.0 {
            way.truncate(*depth);
            way.push(name);
            if layers::in_family(name, family) && !seen.contains(&name.as_str()) {
                seen.push(name);
                found.push(way.join(" -> "));
            }
        }
        found
    }
}

/// No subject links what its trust or its purity forbids.
pub(super) fn never_linked(workspace: &Workspace) -> Vec<Fault> {
    let mut faults = Vec::new();
    for subject in SUBJECTS {
        let Some(tree) = workspace.trees.get(subject.name) else { continue };
        for way in subject.never.iter().flat_map(|family| tree.ways_to(family)) {
            faults.push(Fault::new(subject.name, format!("links {way}"), subject.right));
        }
    }
    faults
}
