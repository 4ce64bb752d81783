//! Rules about every text: links that lead somewhere, and nothing of one machine or its mirrors.

use super::Fault;
use super::workspace::Workspace;

/// Homes and checkouts of somebody's machine. Put together here, so that this file passes.
const MACHINE_PATHS: &[&str] =
    &[concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("/wo", "rk/"), concat!("/Us", "ers/")];

/// The public sources that lock files may name.
const LOCK_SOURCES: &[(&str, &str, &str)] = &[
    (
        "Cargo.lock",
        "source = \"",
        concat!("registry+", "https://github.com/rust-lang/crates.io-index"),
    ),
    ("package-lock.json", "\"resolved\": \"", concat!("https://registry", ".npmjs.org/")),
];

/// Settings that point a package manager at somebody's mirror.
const MIRRORS: &[&str] = &[
    concat!("replace", "-with"),
    concat!("sparse", "+http"),
    concat!("extra-index", "-url"),
    concat!("index", "-url"),
    concat!("registry", "=http"),
];

/// A link within the repository leads to a file that is there.
pub(super) fn links(workspace: &Workspace) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (path, text) in workspace.files_ending(".md") {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for (number, target) in link_targets(text) {
            let file = target.split('#').next().unwrap_or(target);
            if file.is_empty() || file.contains("://") || file.starts_with("mailto:") {
                continue;
            }
            let Some(wanted) = join(folder, file) else {
                let right = "link within the repository";
                faults.push(Fault::new(path, format!("links outside: {target}"), right));
                continue;
            };
            if !exists(workspace, &wanted) {
                let place = format!("{path}:{number}");
                let right = format!("write {wanted}, or link to what is there");
                faults.push(Fault::new(place, format!("links to {target}, which is not"), right));
            }
        }
    }
    faults
}

/// No path of somebody's machine.
pub(super) fn machine_paths(workspace: &Workspace) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (path, text) in &workspace.files {
        for (index, line) in text.lines().enumerate() {
            for pattern in MACHINE_PATHS.iter().filter(|pattern| begins_a_path(line, pattern)) {
                let place = format!("{path}:{}", index + 1);
                let right = "a path from the root of the clone, or a variable such as $HOME";
                faults.push(Fault::new(place, format!("names {pattern}"), right));
            }
        }
    }
    faults
}

/// Lock files name the public registries, and nothing names a mirror.
pub(super) fn registries(workspace: &Workspace) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (path, text) in &workspace.files {
        for (index, line) in text.lines().enumerate() {
            let place = || format!("{path}:{}", index + 1);
            for pattern in MIRRORS.iter().filter(|pattern| line.contains(**pattern)) {
                let right = "mirrors are set up outside the clone";
                faults.push(Fault::new(place(), format!("says {pattern}"), right));
            }
            for (file, before, public) in LOCK_SOURCES.iter().filter(|(f, ..)| path.ends_with(f)) {
                let source = line.trim_start().strip_prefix(before);
                if source.is_some_and(|source| !source.starts_with(public)) {
                    let wrong = "takes a package from somewhere else";
                    faults.push(Fault::new(place(), wrong, format!("{file} names {public}")));
                }
            }
        }
    }
    faults
}

/// The pattern stands where a path begins: not within a longer path or a URL.
fn begins_a_path(line: &str, pattern: &str) -> bool {
    line.match_indices(pattern).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || "._-*}/$)".contains(c))
    })
}

/// Targets of `[text](target)` outside code, with their line.
fn link_targets(text: &str) -> Vec<(usize, &str)> {
    let mut targets = Vec::new();
    let mut in_code = false;
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        // Every second piece between backquotes is code; after a link whose text is code, the
        // next piece begins with `](`.
        for prose in line.split('`').step_by(2) {
            let found = prose.split("](").skip(1).filter_map(|rest| rest.split(')').next());
            targets.extend(found.map(|target| (index + 1, target.trim())));
        }
    }
    targets
}

/// `target` as seen from `folder`, from the root; none if it leaves the repository.
fn join(folder: &str, target: &str) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in folder.split('/').chain(target.split('/')) {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

/// It is a file, or a folder with files.
fn exists(workspace: &Workspace, path: &str) -> bool {
    let folder = format!("{path}/");
    path.is_empty()
        || workspace.files.contains_key(path)
        || workspace.data.contains(path)
        || workspace.files.keys().any(|file| file.starts_with(&folder))
}
