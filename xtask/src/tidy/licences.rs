//! Every package that we build is under a licence that `deny.toml` allows.
//!
//! This is the part of `cargo deny` that needs nothing installed; the list is the same one.

use serde_json::Value;

use super::Fault;
use super::workspace::Workspace;

/// Where the allowed licences stand.
const LIST: &str = "deny.toml";

/// A package of the tree and what its manifest says of its licence.
#[derive(Debug, Clone)]
pub(super) struct Licensed {
    pub(super) name: String,
    pub(super) licence: String,
}

/// The foreign packages from what `cargo metadata` prints; ours have no source.
pub(super) fn parse(metadata: &Value) -> Vec<Licensed> {
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let foreign = packages.filter(|package| package["source"].is_string());
    foreign
        .map(|package| Licensed {
            name: package["name"].as_str().unwrap_or_default().to_owned(),
            licence: package["license"].as_str().unwrap_or_default().to_owned(),
        })
        .collect()
}

/// No package is under terms that nobody agreed to.
pub(super) fn allowed(workspace: &Workspace) -> Vec<Fault> {
    let list = workspace.files.get(LIST).map_or("", String::as_str);
    let list: Vec<&str> = allow_list(list).collect();
    let wrong = workspace.licences.iter().filter(|one| !satisfied(&one.licence, &list));
    wrong
        .map(|one| {
            let right = format!("take another, or argue for it in the allow list of {LIST}");
            Fault::new(&one.name, format!("is under '{}'", one.licence), right)
        })
        .collect()
}

/// The entries of `allow = [ ... ]` in the section on licences.
fn allow_list(text: &str) -> impl Iterator<Item = &str> {
    let list = text.split("[licenses]").nth(1).and_then(|rest| rest.split("allow = [").nth(1));
    let list = list.and_then(|rest| rest.split(']').next()).unwrap_or_default();
    list.split('"').skip(1).step_by(2)
}

/// An SPDX expression holds: one side of each OR, both of each AND; `/` is an old way to say OR.
pub(super) fn satisfied(expression: &str, list: &[&str]) -> bool {
    let expression = expression.trim();
    if let Some(sides) = split_outside(expression, &[" OR ", "/"]) {
        return sides.iter().any(|side| satisfied(side, list));
    }
    if let Some(sides) = split_outside(expression, &[" AND "]) {
        return sides.iter().all(|side| satisfied(side, list));
    }
    match expression.strip_prefix('(').and_then(|inner| inner.strip_suffix(')')) {
        Some(inner) => satisfied(inner, list),
        // `+`: or any later version, and so also this one.
        None => list.contains(&expression.strip_suffix('+').unwrap_or(expression)),
    }
}

/// The two sides of the first of `words` that stands outside parentheses.
fn split_outside<'a>(expression: &'a str, words: &[&str]) -> Option<[&'a str; 2]> {
    let mut depth = 0usize;
    for (at, letter) in expression.char_indices() {
        match letter {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ if depth > 0 => {}
            _ => {
                let rest = &expression[at..];
                if let Some(word) = words.iter().find(|word| rest.starts_with(**word)) {
                    return Some([&expression[..at], &rest[word.len()..]]);
                }
            }
        }
    }
    None
}
