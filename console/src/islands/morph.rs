//! Making one piece of a page into another without touching what stays, so that focus and selection do.
//!
//! Children with an id are known by it; the others by their place.

use std::collections::BTreeMap;

use wasm_bindgen::JsCast as _;
use web_sys::{Element, Node};

/// A form that somebody may be filling in: it is left alone. Its value says from what it was drawn.
const KEPT: &str = "data-kept";
/// What it was drawn from is not there any more.
const NEWER: &str = "data-newer";
/// An island is its own master.
const ISLAND: &str = "LEPTOS-ISLAND";

/// Makes `old` like `new`, which has the same name.
pub(super) fn morph(old: &Element, new: &Element) {
    if old.tag_name() == ISLAND {
        return;
    }
    if let Some(kept) = old.get_attribute(KEPT) {
        if new.get_attribute(KEPT).is_some_and(|now| now != kept) {
            drop(old.set_attribute(NEWER, ""));
        }
        return;
    }
    attributes(old, new);
    children(old, new);
}

/// The same of all that is in them, also where somebody fills it in: what was typed stays.
pub(super) fn fill(old: &Element, new: &Element) {
    children(old, new);
}

/// Takes all out of it but forms that somebody may be filling in.
pub(super) fn strip(of: &Element) {
    for node in list(of).collect::<Vec<_>>() {
        let form = format!("[{KEPT}]");
        match node.dyn_ref::<Element>() {
            Some(inner) if inner.has_attribute(KEPT) => {}
            Some(inner) if matches!(inner.query_selector(&form), Ok(Some(_))) => strip(inner),
            Some(_) | None => drop(of.remove_child(&node)),
        }
    }
}

fn attributes(old: &Element, new: &Element) {
    for name in names(old) {
        if !new.has_attribute(&name) {
            drop(old.remove_attribute(&name));
        }
    }
    for name in names(new) {
        let value = new.get_attribute(&name);
        if let Some(wanted) = value.filter(|value| old.get_attribute(&name).as_ref() != Some(value))
        {
            drop(old.set_attribute(&name, &wanted));
        }
    }
}

fn names(of: &Element) -> impl Iterator<Item = String> + use<> {
    of.get_attribute_names().into_iter().filter_map(|name| name.as_string())
}

fn children(old: &Element, new: &Element) {
    let mut known: BTreeMap<_, _> = list(old).filter_map(|node| Some((id(&node)?, node))).collect();
    let mut at = old.first_child();
    for wanted in list(new).collect::<Vec<_>>() {
        let named = id(&wanted).and_then(|id| known.remove(&id));
        let here = at.clone().filter(|node| id(node).is_none() && id(&wanted).is_none());
        match named.or(here).filter(|found| are_alike(found, &wanted)) {
            Some(found) => {
                if at.as_ref().is_some_and(|at| at.is_same_node(Some(&found))) {
                    at = found.next_sibling();
                } else {
                    drop(old.insert_before(&found, at.as_ref()));
                }
                alike(&found, &wanted);
            }
            None => {
                // It belongs to another document until it is put here.
                drop(old.insert_before(&wanted, at.as_ref()));
            }
        }
    }
    while let Some(rest) = at {
        at = rest.next_sibling();
        drop(old.remove_child(&rest));
    }
}

fn alike(old: &Node, new: &Node) {
    match (old.dyn_ref::<Element>(), new.dyn_ref::<Element>()) {
        (Some(old), Some(new)) => morph(old, new),
        (_, _) if old.node_value() != new.node_value() => {
            old.set_node_value(new.node_value().as_deref());
        }
        (_, _) => {}
    }
}

fn are_alike(old: &Node, new: &Node) -> bool {
    old.node_type() == new.node_type() && old.node_name() == new.node_name()
}

fn list(of: &Element) -> impl Iterator<Item = Node> + use<> {
    let nodes = of.child_nodes();
    (0..nodes.length()).filter_map(move |at| nodes.item(at))
}

/// The attribute, since the property of a form is its field of that name, where it has one.
fn id(node: &Node) -> Option<String> {
    node.dyn_ref::<Element>()?.get_attribute("id")
}
