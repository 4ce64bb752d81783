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
    for step in steps(path) {
        let next = match (&node.content, step) {
            (Content::Map(map), Step::Field(name)) => {
                map.entries.get(name).map(|entry| (&entry.value, entry.line))
            }
            (Content::List(items), Step::Item(index)) => {
                items.get(index).map(|item| (item, item.line))
            }
            _ => None,
        };
        let Some(next) = next else { break };
        (node, line) = next;
    }
    line
}

/// The steps of a path as it is written out; what is no path ends it.
fn steps(path: &str) -> impl Iterator<Item = Step<'_>> {
    let mut rest = path;
    std::iter::from_fn(move || {
        rest = rest.strip_prefix('.').unwrap_or(rest);
        let (step, after) = if let Some(quoted) = rest.strip_prefix("['") {
            let (name, after) = quoted.split_once("']")?;
            (Step::Field(name), after)
        } else if let Some(item) = rest.strip_prefix('[') {
            let (index, after) = item.split_once(']')?;
            (Step::Item(index.parse().ok()?), after)
        } else {
            let (name, after) = rest.split_at(rest.find(['.', '[']).unwrap_or(rest.len()));
            (Step::Field(Some(name).filter(|name| !name.is_empty())?), after)
        };
        rest = after;
        Some(step)
    })
}

/// Whether a fault at `fault` may only follow from what was left out of the mapping at `gap`: it
/// stands there, at a field of it, or above it.
pub(crate) fn follows(gap: &str, fault: &str) -> bool {
    below(gap, fault).is_some_and(|steps| steps <= 1) || is_below(fault, gap)
}

/// Whether `inner` is the place `outer`, or below it.
pub(crate) fn is_below(outer: &str, inner: &str) -> bool {
    below(outer, inner).is_some()
}

/// How many steps `inner` is below `outer`.
fn below(outer: &str, inner: &str) -> Option<usize> {
    let rest = inner.strip_prefix(outer)?;
    let is_step = outer.is_empty() || rest.is_empty() || rest.starts_with(['.', '[']);
    is_step.then(|| rest.split(['.', '[']).filter(|word| !word.is_empty()).count())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read::tree;

    #[test]
    fn a_path_leads_to_its_line_or_as_near_as_can_be() {
        let text = "a:\n  b:\n  - c: 1\n  - d.e/f:\n      g: 2\n";
        let root = tree::parse(text, 1).unwrap().unwrap();
        let cases = [
            ("", 1),
            ("a", 1),
            ("a.b", 2),
            ("a.b[0].c", 3),
            ("a.b[1]['d.e/f']", 4),
            ("a.b[1]['d.e/f'].g", 5),
            ("a.b[1]['d.e/f'].h", 4),
            ("a.b[7].c", 2),
            ("a.b[x].c", 2),
            ("a.z.b", 1),
        ];
        for (path, line) in cases {
            assert_eq!(locate(&root, path), line, "{path}");
        }
    }
}
