//! Where in an object: built while walking, written out only for a fault, found again by line.

use std::fmt;

use super::wording::short;
use crate::read::tree::{Content, Node};

/// One step down.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Step<'t> {
    Field(&'t str),
    Item(usize),
}

/// The steps from an object to a place in it, each with its line.
#[derive(Debug)]
pub(crate) struct Path<'t> {
    first: usize,
    steps: Vec<(Step<'t>, usize)>,
}

impl<'t> Path<'t> {
    /// The object itself, which begins on line `first`.
    pub(crate) fn new(first: usize) -> Self {
        Path { first, steps: Vec::new() }
    }

    pub(crate) fn push(&mut self, step: Step<'t>, line: usize) {
        self.steps.push((step, line));
    }

    pub(crate) fn pop(&mut self) {
        self.steps.pop();
    }

    /// The line of the place: of a field its key's, of an item its first.
    pub(crate) fn line(&self) -> usize {
        self.steps.last().map_or(self.first, |&(_, line)| line)
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (step, _)) in self.steps.iter().enumerate() {
            match step {
                Step::Item(index) => write!(f, "[{index}]")?,
                Step::Field(name) if is_plain(name) => {
                    let dot = if place == 0 { "" } else { "." };
                    write!(f, "{dot}{}", short(name))?;
                }
                Step::Field(name) => write!(f, "['{}']", short(name))?,
            }
        }
        Ok(())
    }
}

/// Whether a field's name can stand in a path without quotes.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// The line of the place that `path` names in `root`, or of the deepest place above it that was
/// written.
pub(crate) fn locate(root: &Node, path: &str) -> usize {
    let (mut node, mut line) = (root, root.line);
    for word in path.split(['.', '[']).filter(|word| !word.is_empty()) {
        let next = match (&node.content, word.strip_suffix(']')) {
            (Content::Map(map), None) => {
                map.entries.get(word).map(|entry| (&entry.value, entry.line))
            }
            (Content::List(items), Some(index)) => {
                let item = index.parse().ok().and_then(|index: usize| items.get(index));
                item.map(|item| (item, item.line))
            }
            _ => None,
        };
        let Some(next) = next else { break };
        (node, line) = next;
    }
    line
}

/// Whether a fault at `fault` may only follow from what was left out of the mapping at `gap`: it
/// stands there, at a field of it, or above it.
pub(crate) fn follows(gap: &str, fault: &str) -> bool {
    let below = |outer: &str, inner: &str| -> Option<usize> {
        let rest = inner.strip_prefix(outer)?;
        let is_step = outer.is_empty() || rest.is_empty() || rest.starts_with(['.', '[']);
        is_step.then(|| rest.split(['.', '[']).filter(|word| !word.is_empty()).count())
    };
    below(gap, fault).is_some_and(|steps| steps <= 1) || below(fault, gap).is_some()
}
