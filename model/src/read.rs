//! From YAML or JSON text to resources, with every fault named.
//!
//! ```
//! let [document] = &model::read("
//! apiVersion: v1
//! kind: Service
//! metadata: { name: orders, namespace: shop }
//! spec: { ports: [{ prot: 80 }] }
//! ")[..] else { panic!("one document") };
//! let faults: Vec<String> =
//!     document.result.as_ref().unwrap_err().iter().map(ToString::to_string).collect();
//! assert_eq!(faults, [
//!     "line 5: Service shop/orders: spec.ports[0].prot: unknown field; did you mean 'port'?",
//!     "line 5: Service shop/orders: spec.ports[0].port: is missing; wants a whole number from 1 \
//!      to 65535",
//! ]);
//! ```
//!
//! Text is split into documents, each document parsed into a tree that knows its lines, told apart
//! by `apiVersion` and `kind`, walked beside the schema of its kind, read into its type, checked.
//! A fault in one document, be it of syntax, leaves the others of the same file alone.
//!
//! Bounds, per document: 3 MiB, 64 levels, 500,000 values after aliases are spelled out, and 100
//! faults told. A file may hold any number of documents; its size is its reader's matter.

use crate::walk::path::{follows, is_below, locate};
use crate::walk::shape::SHAPES;
use crate::walk::wording::{found, printable};
use crate::walk::{Fault, walk};
use crate::{Checker, Invalid, Key, Kind, Resource};

use identity::Identity;
use split::{split, split_most};
use tree::{Content, Map, Node, Unreadable};

mod identity;
mod raw;
pub(crate) mod scalar;
mod split;
pub(crate) mod tree;

#[cfg(test)]
mod tests;

/// One document of a file: what it is, if that could be told, and what became of it.
#[derive(Debug, Clone)]
pub struct Document {
    /// The line on which it begins, counted from 1.
    pub line: usize,
    /// The object it means, where kind and name could be read.
    pub key: Option<Key>,
    /// The resource, or all that is wrong with it.
    pub result: Result<Resource, Vec<Invalid>>,
    /// What was written, as JSON, where the text parsed and the object has faults: for those who
    /// must find out whom an unreadable object concerns, so that it can be closed. `None` for an
    /// accepted one. Values of a Secret are left out.
    pub raw: Option<serde_json::Value>,
}

impl Document {
    /// Whether the text itself could not be parsed, as of a file that is half written.
    pub fn is_torn(&self) -> bool {
        self.result.is_err() && self.raw.is_none()
    }
}

/// Reads a stream of YAML documents (JSON is YAML). Empty documents are passed over; a `List`, as
/// kubectl prints, stands for its items.
pub fn read(text: &str) -> Vec<Document> {
    read_for(text, &Kind::ALL)
}

/// The same for somebody who is to hear of these kinds where a document is of none.
pub fn read_for(text: &str, kinds: &[Kind]) -> Vec<Document> {
    read_most(text, None, kinds)
}

/// The same for what a stranger sent: at most `most` objects and documents are read, which have 500,000
/// values together; what is beyond is one fault.
pub fn read_bounded(text: &str, most: usize) -> Vec<Document> {
    read_most(text, Some(most), &Kind::ALL)
}

fn read_most(text: &str, bound: Option<usize>, kinds: &[Kind]) -> Vec<Document> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let most = bound.unwrap_or(usize::MAX);
    let mut documents: Vec<Document> = Vec::new();
    let (mut ordinal, mut nodes) = (1, 0);
    for (place, part) in split_most(text, most).into_iter().enumerate() {
        if place >= most || documents.len() >= most || nodes > tree::NODES {
            documents.push(beyond(part.line, most));
            break;
        }
        if bound.is_none() {
            nodes = 0;
        }
        match tree::parse_after(part.text, part.line, &mut nodes) {
            Ok(None) => continue,
            Ok(Some(root)) => match items(&root) {
                Some(items) if items.len() > most - documents.len() => {
                    documents.push(beyond(part.line, most));
                    break;
                }
                Some(items) => documents.extend(items.iter().map(|item| object(item, kinds))),
                None => documents.push(object(&root, kinds)),
            },
            Err(unreadable) => documents.push(no_yaml(&unreadable, part.line, ordinal)),
        }
        ordinal += 1;
    }
    documents
}

/// What is not read any more, since there is too much.
fn beyond(line: usize, most: usize) -> Document {
    let values = tree::NODES;
    let reason = format!(
        "what begins here is not read: a text has at most {most} documents and {values} values"
    );
    let fault = Fault { path: String::new(), line, reason, nearest: None };
    Document { line, key: None, result: Err(invalid(vec![fault], None)), raw: None }
}

/// The line of the place that `path` names in the object `key` of `text`, or of the deepest place
/// above it that was written; for faults that are found only when objects are put together.
pub fn line_of(text: &str, key: &Key, path: &str) -> Option<usize> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    split(text).into_iter().find_map(|part| {
        let root = tree::parse(part.text, part.line).ok()??;
        let is_meant = |node: &&Node| {
            node.as_map().is_some_and(|map| identity::key(map).as_ref() == Some(key))
        };
        let node = match items(&root) {
            Some(items) => items.iter().find(is_meant),
            None => Some(&root).filter(is_meant),
        };
        node.map(|node| locate(node, path))
    })
}

/// The items of a `v1` List.
fn items(root: &Node) -> Option<&[Node]> {
    let is_list = root.text_of("kind") == Some("List") && root.text_of("apiVersion") == Some("v1");
    match &root.as_map()?.value("items")?.content {
        Content::List(items) if is_list => Some(items),
        Content::List(_) | Content::Map(_) | Content::Scalar(_) => None,
    }
}

/// What could not be parsed. If what stands above the fault says which object it is, that is said,
/// so that the object can keep its last good form.
fn no_yaml(unreadable: &Unreadable, line: usize, ordinal: usize) -> Document {
    let above = unreadable.above.as_ref();
    let key = above.and_then(|above| identity::key(above.as_map()?));
    let reason = format!("document {ordinal} cannot be read as YAML: {}", unreadable.reason);
    let fault = Fault { path: String::new(), line: unreadable.line, reason, nearest: None };
    let result = Err(invalid(vec![fault], key.as_ref()));
    Document { line, key, result, raw: None }
}

/// Reads one object, and tells of these kinds if it is of none.
fn object(root: &Node, kinds: &[Kind]) -> Document {
    let line = root.line;
    let Some(map) = root.as_map() else {
        let found = found(root, false);
        let reason = format!("wants a mapping with apiVersion, kind and metadata, not {found}");
        let fault = Fault { path: String::new(), line, reason, nearest: None };
        return Document { line, key: None, result: Err(invalid(vec![fault], None)), raw: None };
    };
    let Identity { kind, key, mut faults } = identity::identify(map, kinds);
    let resource = kind.and_then(|kind| typed(root, map, kind, &mut faults));
    let result = match resource {
        Some(resource) if faults.is_empty() => Ok(resource),
        _ => Err(invalid(faults, key.as_ref())),
    };
    let raw = result.is_err().then(|| raw::json(root, kind));
    Document { line, key, result, raw }
}

/// Walks, reads and checks an object of `kind`; `None` where it could not be read at all.
fn typed(root: &Node, map: &Map, kind: Kind, faults: &mut Vec<Fault>) -> Option<Resource> {
    let walked = walk(root, map, SHAPES.of(kind), &SHAPES);
    faults.extend(walked.faults);
    let mut add = |path: String, reason: String| {
        let line = locate(root, &path);
        faults.push(Fault { path, line, reason, nearest: None });
    };
    if walked.untold > 0 {
        add(String::new(), format!("has {} faults beyond those told here", walked.untold));
    }
    let mut value = walked.value?;
    raw::drop_bookkeeping(&mut value);
    if let Some(fields) = value.as_object_mut() {
        // Looked at before, and what is wrong with them told.
        ["apiVersion", "kind"].iter().for_each(|field| drop(fields.remove(*field)));
    }
    place(kind, &mut value);
    let resource = match Resource::from_json(kind, value) {
        Ok(resource) => resource,
        // The walker is there so that this does not happen; serde's words may quote the value.
        Err(_) if kind == Kind::Secret => {
            add(String::new(), "does not fit the type Secret".to_owned());
            return None;
        }
        Err(error) => {
            add(String::new(), format!("does not fit the type {kind}: {error}"));
            return None;
        }
    };
    let mut checker = Checker::default();
    resource.check(&mut checker);
    let may_follow = |path: &str| {
        let is_made_up = walked.made_up.iter().any(|place| is_below(place, path));
        is_made_up || walked.gaps.iter().any(|gap| follows(gap, path))
    };
    for (path, reason) in checker.faults() {
        if !may_follow(&path) {
            add(path, reason);
        }
    }
    Some(resource)
}

/// Says the namespace of an object of the platform that names none, which is not everybody's default.
fn place(kind: Kind, value: &mut serde_json::Value) {
    if let Some(metadata) = value.get_mut("metadata").filter(|_| kind.is_of_platform())
        && metadata.get("namespace").is_none()
    {
        metadata["namespace"] = kind.default_namespace().to_string().into();
    }
}

/// Ties faults to their object, in the order of their lines.
fn invalid(mut faults: Vec<Fault>, key: Option<&Key>) -> Vec<Invalid> {
    faults.sort_by_key(|fault| fault.line);
    let tie = |fault: Fault| Invalid {
        key: key.cloned(),
        path: printable(fault.path),
        line: Some(fault.line),
        reason: printable(fault.reason),
        nearest: fault.nearest,
    };
    faults.into_iter().map(tie).collect()
}
