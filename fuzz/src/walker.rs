//! Reading resources: whatever is accepted fits the schema that editors check by, is written with all that
//! was said in it and read again as the same, and whatever is refused is told by at least one fault, of
//! which each stands at a place of the document.

use std::sync::LazyLock;

use jsonschema::Validator;
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

/// The schema of all kinds, as it is published.
static SCHEMA: LazyLock<Validator> = LazyLock::new(|| {
    let schema = include_str!("../../model/schema/heddle.schema.json");
    let schema = serde_json::from_str(schema).expect("the schema is JSON");
    jsonschema::validator_for(&schema).expect("the schema is one")
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

/// Text as it comes, unless a control character says that it is none, and an object of ours that it bends.
pub fn walker(data: &[u8]) {
    if !matches!(data, [0..=8, ..]) {
        let text = String::from_utf8_lossy(data);
        is_read(&text, &serde_json::from_str(&text).unwrap_or_default());
    }
    let (text, said) = bent(&mut Dice::new(data));
    is_read(&text, &said);
}

/// What becomes of a text, by which `said` is meant, where that is known.
fn is_read(text: &str, said: &Value) {
    let documents = read(text);
    if let [Document { result: Ok(resource), .. }] = &documents[..] {
        // Of YAML it is not known what was said.
        if !said.is_null() {
            fits_the_schema(said);
            nothing_is_passed_over(said, resource);
        }
    }
    for document in documents {
        match &document.result {
            Ok(resource) => accepted(&document, resource),
            Err(faults) => refused(text, &document, faults),
        }
    }
}

/// What was said and accepted is no more than the schema allows.
fn fits_the_schema(said: &Value) {
    let said = without_nulls(said);
    assert!(SCHEMA.is_valid(&said), "accepted, and no object of the schema: {said:#}");
}

/// The same without fields that say nothing.
fn without_nulls(said: &Value) -> Value {
    match said {
        Value::Object(fields) => {
            let said = fields.iter().filter(|(_, said)| !said.is_null());
            said.map(|(name, said)| (name.clone(), without_nulls(said))).collect()
        }
        Value::Array(items) => items.iter().map(without_nulls).collect(),
        said @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => said.clone(),
    }
}

/// Each leaf of what was said stands in what was made of it, which has no fault to tell.
fn nothing_is_passed_over(said: &Value, resource: &Resource) {
    // Of a Secret only digests are written.
    if resource.kind() != Kind::Secret {
        let written = resource.to_json();
        let mut lost = Vec::new();
        leaves(said, Some(&written), "", &mut lost);
        assert!(lost.is_empty(), "{lost:#?} of\n{said:#}\nin\n{written:#}");
    }
}

/// Texts for people, which say nothing where they are empty.
const TEXTS: [&str; 3] = ["title", "contact", "description"];

/// The leaves of `said` that do not stand in `written`.
fn leaves(said: &Value, written: Option<&Value>, path: &str, lost: &mut Vec<String>) {
    match said {
        Value::Object(fields) => {
            for (name, said) in fields {
                let written = written.and_then(|written| written.get(name));
                if written.is_none() && said == "" && TEXTS.contains(&name.as_str()) {
                    continue;
                }
                leaves(said, written, &format!("{path}.{name}"), lost);
            }
        }
        Value::Array(items) => {
            for (index, said) in items.iter().enumerate() {
                let written = written.and_then(|written| written.get(index));
                leaves(said, written, &format!("{path}[{index}]"), lost);
            }
        }
        // To say null is to say nothing.
        Value::Null => {}
        Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            if written != Some(said) {
                lost.push(format!("{path}: {said}, written {written:?}"));
            }
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
    match &next[..] {
        _ if path.is_empty() => true,
        [] => may_be_missing(node, path),
        next => next.iter().any(|(below, rest)| leads(below, rest)),
    }
}

/// Whether the rest of a path names one field that a mapping may have, and has not. An item that is not
/// there, or what is below a scalar, is nothing that anybody could mend.
fn may_be_missing(node: &Value, rest: &str) -> bool {
    let name = rest.strip_prefix('.').unwrap_or(rest);
    node.is_object() && !name.is_empty() && !name.contains(['.', '['])
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

/// An object with a few things changed, as JSON or as YAML, and the object itself.
fn bent(dice: &mut Dice) -> (String, Value) {
    let mut object = dice.pick(&OBJECTS).clone();
    for _ in 0..=dice.roll(3) {
        let way = dice.roll(6);
        if way == 0 {
            grow(dice, &mut object);
        } else if way < 3 {
            bend(dice, &mut object);
        } else {
            let any = dice.once_in(3);
            let others = OBJECTS.iter().filter(|one| any || one["kind"] == object["kind"]);
            // Its own kind is none of ours once that was bent.
            let others: Vec<_> = others.collect();
            let other = others.get(dice.roll(others.len())).copied().unwrap_or(&Value::Null);
            graft(dice, &mut object, other);
        }
    }
    let text = if dice.once_in(2) { object.to_string() } else { model::yaml::text(&object) };
    (text, object)
}

/// Goes some way down where two objects are alike, and takes over what stands there: much of it is accepted.
fn graft(dice: &mut Dice, node: &mut Value, other: &Value) {
    let goes_on = !dice.once_in(3);
    match (node, other) {
        (Value::Object(fields), Value::Object(others)) if !others.is_empty() => {
            let (name, other) = others.iter().nth(dice.roll(others.len())).expect("one of them");
            match fields.get_mut(name) {
                Some(below) if goes_on => graft(dice, below, other),
                Some(_) | None => drop(fields.insert(name.clone(), other.clone())),
            }
        }
        (Value::Array(items), Value::Array(others)) if !others.is_empty() => {
            let other = dice.pick(others);
            let place = dice.roll(items.len());
            match items.get_mut(place) {
                Some(below) if goes_on => graft(dice, below, other),
                Some(_) | None => items.push(other.clone()),
            }
        }
        (node, other) => *node = other.clone(),
    }
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

/// Has one of all lists and texts grow, often beyond what it may be.
fn grow(dice: &mut Dice, object: &mut Value) {
    let mut all = Vec::new();
    growing(object, "", &mut all);
    let Some(one) = all.get(dice.roll(all.len())).and_then(|one| object.pointer_mut(one)) else {
        return;
    };
    let times = 1 + dice.roll(300);
    match one {
        Value::Array(items) => {
            let copy = dice.pick(items).clone();
            items.extend(std::iter::repeat_n(copy, times));
        }
        Value::String(text) => {
            let more = char::from(*dice.pick(b"a0-. /")).to_string();
            text.push_str(&more.repeat(times * times / 8));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {}
    }
}

/// Pointers to what can grow.
fn growing(node: &Value, path: &str, all: &mut Vec<String>) {
    match node {
        Value::Array(items) if !items.is_empty() => {
            all.push(path.to_owned());
            for (index, item) in items.iter().enumerate() {
                growing(item, &format!("{path}/{index}"), all);
            }
        }
        Value::Object(fields) => {
            for (name, below) in fields {
                // As pointers write it, RFC 6901, section 3.
                let name = name.replace('~', "~0").replace('/', "~1");
                growing(below, &format!("{path}/{name}"), all);
            }
        }
        Value::String(_) => all.push(path.to_owned()),
        Value::Array(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
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

#[test]
fn what_is_passed_over_is_noticed() {
    let said = json!({ "a": { "b": 1, "c": null, "d": [] }, "e": ["x", "y"] });
    let lost = |written: Value| {
        let mut lost = Vec::new();
        leaves(&said, Some(&written), "", &mut lost);
        lost.len()
    };
    assert_eq!(lost(json!({ "a": { "b": 1 }, "e": ["x", "y"], "more": 1 })), 0);
    assert_eq!(lost(json!({ "a": {}, "e": ["x", "y"] })), 1);
    assert_eq!(lost(json!({ "a": { "b": 2 }, "e": ["y"] })), 3);
    for (name, is_lost) in [("title", false), ("group", true)] {
        let mut lost = Vec::new();
        leaves(&json!({ name: "" }), Some(&json!({})), "", &mut lost);
        assert_eq!(lost.is_empty(), !is_lost, "{name}");
    }
    for (path, wanted) in [("a.b", true), ("a.z", true), ("a.b.z", false), ("z.y", false)] {
        assert_eq!(leads(&said, path), wanted, "{path}");
    }
    assert!(leads(&said, "e[1]") && !leads(&said, "e[2]"));
}
