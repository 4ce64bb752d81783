//! The matches of one host name, by path.

use std::sync::Arc;

use policy::Facts;

use crate::hosts::{self, Map};
use crate::precedence::PathRank;
use crate::route::Entry;

#[cfg(test)]
thread_local! {
    /// How many entries lookups of this thread have looked at.
    pub(crate) static VISITED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// Matches by path.
#[derive(Debug, Default)]
pub(crate) struct Paths {
    exact: Map<Vec<Entry>>,
    expressions: Vec<Entry>,
    prefixes: Prefixes,
}

/// A tree of path elements; the first node is the root, `/`.
#[derive(Debug)]
struct Prefixes {
    nodes: Vec<Node>,
}

#[derive(Debug, Default)]
struct Node {
    parent: usize,
    children: Map<usize>,
    entries: Vec<Entry>,
}

impl Default for Prefixes {
    fn default() -> Self {
        Prefixes { nodes: vec![Node::default()] }
    }
}

impl Paths {
    pub(crate) fn add(&mut self, entry: Entry) {
        match entry.of.rank.path {
            PathRank::Exact => {
                let of = Arc::clone(&entry.of);
                let path = of.path.exact().unwrap_or_default();
                hosts::entry(&mut self.exact, path, Vec::new).push(entry);
            }
            PathRank::Expression(_) => self.expressions.push(entry),
            PathRank::Prefix(..) => self.prefixes.add(entry),
        }
    }

    pub(crate) fn sort(&mut self) {
        self.exact.values_mut().for_each(sort);
        sort(&mut self.expressions);
        self.prefixes.nodes.shrink_to_fit();
        self.prefixes.nodes.iter_mut().for_each(|node| sort(&mut node.entries));
    }

    /// Matches of one path each, and all expressions.
    pub(crate) fn lists(&self) -> impl Iterator<Item = &[Entry]> {
        let prefixes = self.prefixes.nodes.iter().map(|node| &node.entries);
        let all = self.exact.values().chain([&self.expressions]).chain(prefixes);
        all.map(Vec::as_slice)
    }

    pub(crate) fn find(&self, facts: &Facts<'_>) -> Option<&Entry> {
        let exact = self.exact.get(facts.path).and_then(|entries| first(entries, facts));
        exact
            .or_else(|| {
                let mut fitting = self.expressions.iter();
                fitting.find(|entry| visit(entry).path.matches(facts.path) && entry.of.holds(facts))
            })
            .or_else(|| self.prefixes.find(facts))
    }
}

impl Prefixes {
    fn add(&mut self, entry: Entry) {
        let mut at = 0;
        let elements = entry.of.prefix().unwrap_or_default().split('/');
        for element in elements.filter(|element| !element.is_empty()) {
            at = match self.nodes[at].children.get(element) {
                Some(&next) => next,
                None => self.grow(at, element),
            };
        }
        self.nodes[at].entries.push(entry);
    }

    fn grow(&mut self, parent: usize, element: &str) -> usize {
        let next = self.nodes.len();
        self.nodes[parent].children.insert(element.into(), next);
        self.nodes.push(Node { parent, ..Node::default() });
        next
    }

    /// Down as far as the path's elements lead, then up until a match holds.
    fn find(&self, facts: &Facts<'_>) -> Option<&Entry> {
        let mut at = 0;
        for element in elements(facts.path) {
            match self.nodes[at].children.get(element) {
                Some(&next) => at = next,
                None => break,
            }
        }
        loop {
            let node = &self.nodes[at];
            if let Some(entry) = first(&node.entries, facts) {
                return Some(entry);
            }
            if at == 0 {
                return None;
            }
            at = node.parent;
        }
    }
}

/// The elements of a path. Most are shorter than what it takes to set up a search for the slash.
fn elements(path: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(path.strip_prefix('/').unwrap_or_default());
    std::iter::from_fn(move || {
        let path = rest?;
        let end = path.bytes().position(|byte| byte == b'/');
        rest = end.map(|end| &path[end + 1..]);
        Some(&path[..end.unwrap_or(path.len())])
    })
}

/// The last that is done to them: nothing is added after that.
fn sort(entries: &mut Vec<Entry>) {
    entries.shrink_to_fit();
    entries.sort_by(|a, b| a.of.rank.cmp(&b.of.rank));
}

fn first<'a>(entries: &'a [Entry], facts: &Facts<'_>) -> Option<&'a Entry> {
    entries.iter().find(|entry| visit(entry).path.confirms(facts.path) && entry.of.holds(facts))
}

/// The match of an entry; tests count how many are looked at.
fn visit(entry: &Entry) -> &crate::route::Match {
    #[cfg(test)]
    VISITED.with(|visited| visited.set(visited.get() + 1));
    &entry.of
}
