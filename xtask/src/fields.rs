//! Which test holds which field: the fields of the schema, the list that names a test for each of them,
//! and the page that shows both.
//!
//! A line of the list is a kind, a field and one test or more, parted by tabs:
//!
//! ```text
//! HTTPRoute   spec.hostnames[]            table/src/tests/lookup.rs: forty_thousand_hosts_are_not_scanned
//! HTTPRoute   spec.useDefaultGateways     refused: model/src/read/tests.rs: every_fault_says_…
//! ```
//!
//! Lines that begin with `#` and empty ones say nothing. `cargo xtask codegen` writes the page, and
//! `cargo xtask tidy` holds that each field has its line, each line its field, and each test is there.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::shell;

/// The list, from the workspace's root.
pub(crate) const LIST: &str = "docs/fields.tsv";

/// The page that is made of it.
pub(crate) const PAGE: &str = "docs/fields.md";

/// The kinds whose fields change what becomes of traffic, in the order of the page.
const KINDS: [&str; 11] = [
    "Gateway",
    "ListenerSet",
    "HTTPRoute",
    "GRPCRoute",
    "TLSRoute",
    "TCPRoute",
    "UDPRoute",
    "ReferenceGrant",
    "Namespace",
    "BackendTLSPolicy",
    "TrafficPolicy",
];

/// What every object has: who it is, and what is not read.
const OF_ALL_KINDS: [&str; 4] = ["apiVersion", "kind", "metadata", "status"];

const HEAD: &str = "\
# Which test holds which field

Each field has a test that fails if the field is ignored, or that shows how it is refused; this page is written by \
`cargo xtask codegen` from the schema and [the list](fields.tsv), where it is changed.
";

/// A field that holds no other: `spec.rules[].name`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) kind: &'static str,
    pub(crate) path: String,
    /// The schema takes any value, since nothing reads it but to refuse it.
    pub(crate) takes_anything: bool,
}

/// A line of the list.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    pub(crate) number: usize,
    pub(crate) kind: &'a str,
    pub(crate) path: &'a str,
    /// The field is not enforced, and whoever writes it is told so.
    pub(crate) is_refused: bool,
    /// Each as `path/to/file.rs: name`.
    pub(crate) tests: Vec<&'a str>,
}

/// The fields of all kinds that `schema` defines, in its order.
pub(crate) fn of_schema(schema: &Value) -> Vec<Field> {
    let mut fields = Vec::new();
    for kind in KINDS {
        let properties = schema["$defs"][kind]["properties"].as_object();
        let own = properties.into_iter().flatten();
        for (name, inner) in own.filter(|(name, _)| !OF_ALL_KINDS.contains(&name.as_str())) {
            walk(schema, inner, name.clone(), &mut |path, takes_anything| {
                let field = Field { kind, path, takes_anything };
                if !fields.contains(&field) {
                    fields.push(field);
                }
            });
        }
    }
    fields
}

/// Tells `found` of every field at or below `path` that holds no other.
fn walk(schema: &Value, at: &Value, path: String, found: &mut impl FnMut(String, bool)) {
    if let Some(name) = at["$ref"].as_str().and_then(|text| text.strip_prefix("#/$defs/")) {
        return walk(schema, &schema["$defs"][name], path, found);
    }
    if let Some(properties) = at["properties"].as_object() {
        for (name, inner) in properties {
            walk(schema, inner, format!("{path}.{name}"), found);
        }
    } else if !at["items"].is_null() {
        walk(schema, &at["items"], format!("{path}[]"), found);
    } else if at["additionalProperties"].is_object() {
        walk(schema, &at["additionalProperties"], format!("{path}.*"), found);
    } else if let Some(one) = at["anyOf"].as_array().or_else(|| at["oneOf"].as_array()) {
        one.iter().for_each(|one| walk(schema, one, path.clone(), found));
    } else {
        let is_typed = ["type", "enum", "const"].iter().any(|word| !at[*word].is_null());
        found(path, !is_typed);
    }
}

/// The lines of a list, and the numbers of those that are none.
pub(crate) fn lines(list: &str) -> (Vec<Line<'_>>, Vec<usize>) {
    let (mut lines, mut odd) = (Vec::new(), Vec::new());
    for (index, text) in list.lines().enumerate() {
        if text.trim().is_empty() || text.starts_with('#') {
            continue;
        }
        match line(index + 1, text) {
            Some(line) => lines.push(line),
            None => odd.push(index + 1),
        }
    }
    (lines, odd)
}

fn line(number: usize, text: &str) -> Option<Line<'_>> {
    let [kind, path, tests] = text.split('\t').collect::<Vec<_>>().try_into().ok()?;
    let refused = tests.strip_prefix("refused: ");
    let tests = refused.unwrap_or(tests).split("; ").map(str::trim).collect();
    Some(Line { number, kind, path, is_refused: refused.is_some(), tests })
}

/// The page of the checked-in list and the model's schema.
pub(crate) fn page() -> Result<String> {
    let path = shell::root().join(LIST);
    let list = std::fs::read_to_string(&path).with_context(|| format!("reading {LIST}"))?;
    page_of(&model::schema::document(), &list)
}

fn page_of(schema: &Value, list: &str) -> Result<String> {
    let lines = lines(list).0;
    let by_field: BTreeMap<_, _> =
        lines.iter().map(|line| ((line.kind, line.path), line)).collect();
    let mut page = HEAD.to_owned();
    let mut kind = "";
    for field in of_schema(schema) {
        if field.kind != kind {
            kind = field.kind;
            write!(page, "\n## {kind}\n\n| field | test |\n|---|---|\n")?;
        }
        let Some(line) = by_field.get(&(kind, field.path.as_str())) else {
            bail!("{LIST} has no line for {kind} {}: name a test that holds it", field.path);
        };
        let tests: Vec<_> = line.tests.iter().map(|test| format!("`{test}`")).collect();
        let word = if line.is_refused { "refused: " } else { "" };
        writeln!(page, "| `{}` | {word}{} |", field.path, tests.join("; "))?;
    }
    Ok(page)
}

#[cfg(test)]
mod tests;
