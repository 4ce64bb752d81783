//! Rules about a crate and its manifest.

use super::Fault;
use super::workspace::{Crate, Workspace};

/// Names that say nothing about what is inside, so that everything ends up there.
pub(super) const NAMELESS: &[&str] = &["common", "util", "utils", "helper", "helpers", "prelude"];

/// Crates whose work cannot be done without unsafe code, each with its reason.
const UNSAFE_ALLOWED: &[(&str, &str)] =
    &[("mesh", "socket options of transparent interception have no safe wrapper")];

/// The page that shows every crate.
pub(super) const MAP: &str = "docs/ARCHITECTURE.md";

/// No crate is called after nothing.
pub(super) fn named(workspace: &Workspace) -> Vec<Fault> {
    let right = "name it after what it holds";
    let nameless = workspace
        .crates
        .iter()
        .filter(|one| one.name.split(['-', '_']).any(|word| NAMELESS.contains(&word)));
    nameless.map(|one| Fault::new(&one.name, "is a name for anything", right)).collect()
}

/// Every root file forbids unsafe code.
pub(super) fn forbid_unsafe(workspace: &Workspace) -> Vec<Fault> {
    let bound = |one: &&Crate| UNSAFE_ALLOWED.iter().all(|(name, _)| *name != one.name);
    let roots = workspace.crates.iter().filter(bound).flat_map(|one| &one.roots);
    roots
        .filter(|root| {
            let text = workspace.files.get(*root).map_or("", String::as_str);
            !text.lines().any(|line| line.trim() == "#![forbid(unsafe_code)]")
        })
        .map(|root| {
            Fault::new(root, "allows unsafe code", "say #![forbid(unsafe_code)] below its docs")
        })
        .collect()
}

/// Every crate is under the workspace's lints.
pub(super) fn workspace_lints(workspace: &Workspace) -> Vec<Fault> {
    let says_so = |one: &&Crate| {
        lines_of(workspace, one).any(|(section, line)| {
            (section == "[lints]" && line.replace(' ', "") == "workspace=true")
                || (section.is_empty() && line.replace(' ', "") == "lints.workspace=true")
        })
    };
    let without = workspace.crates.iter().filter(|one| !says_so(one));
    without
        .map(|one| {
            let right = "add [lints] with workspace = true";
            Fault::new(&one.manifest, "is not under the workspace's lints", right)
        })
        .collect()
}

/// A dependency's version stands in the root manifest, and only there.
pub(super) fn versions_in_root(workspace: &Workspace) -> Vec<Fault> {
    let mut faults = Vec::new();
    for one in &workspace.crates {
        let mut open = 0usize;
        for (section, line) in lines_of(workspace, one) {
            let starts_entry = open == 0 && is_dependencies(section) && line.contains('=');
            open += line.matches(['[', '{']).count();
            open = open.saturating_sub(line.matches([']', '}']).count());
            let compact = line.replace(' ', "");
            if starts_entry && !compact.contains("workspace=true") {
                let right = "name = { workspace = true }, its version in the root Cargo.toml";
                faults.push(Fault::new(&one.manifest, format!("says `{line}`"), right));
            }
        }
    }
    faults
}

/// Every crate is on the map that a newcomer reads.
pub(super) fn on_the_map(workspace: &Workspace) -> Vec<Fault> {
    let map = workspace.files.get(MAP).map_or("", String::as_str);
    let folder = |one: &Crate| one.manifest.trim_end_matches("Cargo.toml").to_owned();
    let missing =
        workspace.crates.iter().filter(|one| !map.contains(&format!("`{}`", folder(one))));
    missing
        .map(|one| {
            let right = format!("add its folder to the crate map as `{}`", folder(one));
            Fault::new(MAP, format!("does not show {}", one.name), right)
        })
        .collect()
}

fn is_dependencies(section: &str) -> bool {
    let name = section.trim_matches(['[', ']']);
    let last_two = ["dependencies", "dev-dependencies", "build-dependencies"];
    last_two.iter().any(|end| name == *end || name.ends_with(&format!(".{end}")))
}

/// The lines of a crate's manifest without comments and blanks, each with its section.
fn lines_of<'a>(
    workspace: &'a Workspace,
    one: &Crate,
) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
    let text = workspace.files.get(&one.manifest).map_or("", String::as_str);
    let mut section = "";
    text.lines().map(str::trim).filter_map(move |line| {
        if is_header(line) {
            section = line;
        }
        (!line.is_empty() && !line.starts_with('#') && !is_header(line)).then_some((section, line))
    })
}

/// `[dependencies]` or `[target.'cfg(unix)'.dependencies]`, not a line of a list.
fn is_header(line: &str) -> bool {
    line.ends_with(']') && (line.starts_with("[target.") || is_plain_header(line))
}

fn is_plain_header(line: &str) -> bool {
    line.starts_with('[') && !line.contains(['=', '"', ','])
}
