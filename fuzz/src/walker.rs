//! Reading resources: whatever is accepted is written and read again as the same, and whatever is
//! refused is told by at least one fault, of which each stands at a place of the document.

use std::sync::LazyLock;

use model::{Document, Invalid, Kind, Resource, read};
use serde_json::{Value, json};

use crate::dice::Dice;

/// Objects of each kind.
const VALID: &str = include_str!("../../model/src/read/tests/valid.yaml");

/// The same as JSON, with all defaults said.
static OBJECTS: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let objects = read(VALID).into_iter().filter_map(|one| one.result.ok());
    objects.map(|one| one.to_json()).collect()
});

/// What comes in where something else stood.
static WORDS: LazyLock<Vec<Value>> = LazyLock::new(|| {
    json!([
        null, true, 0, -1, 80, 65_536, 1.5, "", "a", "A_b", "80", "true", "/", "*", "*.a.b", "GET",
        "Exact", "PathPrefix", "RegularExpression", "10s", "1h1ms", "10.0.0.1", "::1", "10.0.0.0/8",
        "a b", "\u{85}", "\n", "- a", "a: b", "x\n y\n", "'", "#", "~", "0x10", "1e3", "2026-01-01",
        [], {}, [{}], ["a"], [null], { "a": "b" }, [["a"]], [1, 2]
    ])
    .as_array()
    .cloned()
    .unwrap_or_default()
});

/// Text as it comes or, behind a control character, an object of ours that the rest bends.
pub fn walker(data: &[u8]) {
    let text = match data {
        [0..=8, rest @ ..] => bent(&mut Dice::new(rest)),
        data => String::from_utf8_lossy(data).into_owned(),
    };
    for document in read(&text) {
        match &document.result {
            Ok(resource) => accepted(&document, resource),
            Err(faults) => refused(&text, &document, faults),
        }
    }
}

fn accepted(document: &Document, resource: &Resource) {
    assert_eq!(document.key, Some(resource.key()));
    assert_eq!(document.raw, None, "what is accepted is told once");
    // Of a Secret only digests are written.
    if resource.kind() == Kind::Secret {
        return;
    }
    let written = resource.to_json();
    for text in [written.to_string(), model::yaml::text(&written)] {
        let again = read(&text);
        let [again] = &again[..] else { panic!("{} documents in {text}", again.len()) };
        assert_eq!(again.result.as_ref(), Ok(resource), "{text}");
    }
}

fn refused(text: &str, document: &Document, faults: &[Invalid]) {
    assert!(!faults.is_empty(), "refused without a fault: {text}");
    let lines = text.split(['\n', '\r']).count() + 1;
    for fault in faults {
        assert_eq!(fault.key, document.key);
        let line = fault.line.expect("what is read from text has lines");
        assert!((1..=lines).contains(&line), "{fault}\n{text}");
        assert!(!fault.reason.is_empty(), "{fault:?}");
        assert!(!fault.to_string().contains(char::is_control), "{fault:?}");
        assert!(!fault.reason.starts_with("does not fit the type"), "{fault}\n{text}");
        if let Some(raw) = &document.raw {
            assert!(leads_somewhere(raw, &fault.path), "{fault} is nowhere in\n{text}");
        }
    }
}

/// Whether a path leads to what is there, or to a field that is missing where it could be.
fn leads_somewhere(root: &Value, path: &str) -> bool {
    // What is too long is cut, and what may be secret or is somebody's books is not told.
    let left_out = ["data", "stringData", "metadata.managedFields", "metadata.ownerReferences"];
    let is_unseen = path.contains("...") || left_out.iter().any(|one| path.starts_with(one));
    is_unseen || leads(root, path)
}

fn leads(node: &Value, path: &str) -> bool {
    let next: Vec<_> = match node {
        Value::Array(items) => item(items, path).into_iter().collect(),
        // A name may have a dot or a bracket, so that more than one may be meant.
        Value::Object(fields) => {
            fields.iter().filter_map(|(name, below)| Some((below, after(name, path)?))).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    };
    // An item that is not there is nothing that anybody could mend.
    let is_index = |word: &str| word.starts_with(|letter: char| letter.is_ascii_digit());
    match &next[..] {
        _ if path.is_empty() => true,
        [] => !path.split('[').skip(1).any(is_index),
        next => next.iter().any(|(below, rest)| leads(below, rest)),
    }
}

fn item<'v, 'p>(items: &'v [Value], path: &'p str) -> Option<(&'v Value, &'p str)> {
    let (index, rest) = path.strip_prefix('[')?.split_once(']')?;
    Some((items.get(index.parse::<usize>().ok()?)?, rest))
}

/// How a path goes on behind a field's name, of which controls are told as escapes.
fn after<'p>(name: &str, path: &'p str) -> Option<&'p str> {
    let printed = |letter: char| match letter.is_control() {
        true => letter.escape_default().to_string(),
        false => letter.to_string(),
    };
    let name: String = name.chars().map(printed).collect();
    let name = name.as_str();
    let bare = path.strip_prefix('.').unwrap_or(path);
    let quoted = || path.strip_prefix("['")?.strip_prefix(name)?.strip_prefix("']");
    let rest = quoted().or_else(|| bare.strip_prefix(name))?;
    (rest.is_empty() || rest.starts_with(['.', '['])).then_some(rest)
}

/// An object with a few things changed, as JSON or as YAML.
fn bent(dice: &mut Dice) -> String {
    let mut object = dice.pick(&OBJECTS).clone();
    for _ in 0..=dice.roll(3) {
        bend(dice, &mut object);
    }
    if dice.once_in(2) { object.to_string() } else { model::yaml::text(&object) }
}

/// Goes some way down, and changes what is there.
fn bend(dice: &mut Dice, node: &mut Value) {
    let many = match node {
        Value::Object(fields) => fields.len(),
        Value::Array(items) => items.len(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    };
    if many == 0 || dice.once_in(4) {
        return change(dice, node);
    }
    let place = dice.roll(many);
    let below = match node {
        Value::Object(fields) => fields.values_mut().nth(place),
        Value::Array(items) => items.get_mut(place),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    };
    if let Some(below) = below {
        bend(dice, below);
    }
}

fn change(dice: &mut Dice, node: &mut Value) {
    let word = match dice.roll(4) {
        0 => Value::String(dice.text(40)),
        1 => somewhere(dice),
        _ => dice.pick(&WORDS).clone(),
    };
    match (node, dice.roll(4)) {
        (Value::Object(fields), 0) => drop(fields.insert(name(dice), word)),
        (Value::Object(fields), 1) => {
            let name = fields.keys().nth(dice.roll(fields.len())).cloned();
            name.and_then(|name| fields.remove(&name));
        }
        (Value::Array(items), 0) => items.push(word),
        (Value::Array(items), 1) if !items.is_empty() => {
            let copy = items[dice.roll(items.len())].clone();
            items.push(copy);
        }
        (node, _) => *node = word,
    }
}

/// A part of some object.
fn somewhere(dice: &mut Dice) -> Value {
    let mut node = dice.pick(&OBJECTS);
    while !dice.once_in(4) {
        let below: Vec<_> = match node {
            Value::Object(fields) => fields.values().collect(),
            Value::Array(items) => items.iter().collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => break,
        };
        let Some(next) = below.get(dice.roll(below.len())) else { break };
        node = next;
    }
    node.clone()
}

/// The name of some field of some object, or any.
fn name(dice: &mut Dice) -> String {
    if dice.once_in(4) {
        return dice.text(20);
    }
    let mut node = dice.pick(&OBJECTS);
    loop {
        let Value::Object(fields) = node else { return "spec".to_owned() };
        let Some((name, below)) = fields.iter().nth(dice.roll(fields.len())) else {
            return "kind".to_owned();
        };
        if !below.is_object() || dice.once_in(3) {
            return name.clone();
        }
        node = below;
    }
}
