//! The walker: a document's tree beside the shape of its kind, and every fault on the way.
//!
//! It never stops at the first fault.
//! What it makes of a document is the JSON that serde will read; an optional field with a fault is
//! left out of it, and a value stands in for a required one, so that the checks of the typed
//! resource can still run over the rest and the author learns of everything in one go.
//! Checks that look at such places would tell of consequences, not of causes: they are dropped.

use serde_json::Value;

use crate::read::scalar::{Meaning, Scalar};
use crate::read::tree::{Content, Map, Node};

use path::{Path, Step};
use shape::{Bounds, Fields, Form, Shape, Shapes};
use wording::{advice, found, listed, nearest, short, wanted};

pub(crate) mod format;
pub(crate) mod path;
pub(crate) mod shape;
mod stand_in;
pub(crate) mod wording;

/// Most faults that are told of one object; of the others only how many.
const TOLD: usize = 100;

/// A fault, not yet tied to a key.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) path: String,
    pub(crate) line: usize,
    pub(crate) reason: String,
    pub(crate) nearest: Option<String>,
}

/// What came of walking one object.
#[derive(Debug)]
pub(crate) struct Walked {
    /// What serde may read; `None` where nothing can stand in for what has a fault.
    pub(crate) value: Option<Value>,
    pub(crate) faults: Vec<Fault>,
    /// How many faults were found beyond those.
    pub(crate) untold: usize,
    /// Where something was left out, or something else stands in for it.
    pub(crate) gaps: Vec<String>,
    /// What stands in, with all that is below.
    pub(crate) made_up: Vec<String>,
}

/// Walks `map`, the fields of the object `root`, beside the outermost `fields` of its kind.
pub(crate) fn walk(root: &Node, map: &Map, fields: &Fields, shapes: &Shapes) -> Walked {
    let mut walker = Walker {
        shapes,
        path: Path::new(root.line),
        faults: Vec::new(),
        told: 0,
        gaps: Vec::new(),
        made_up: Vec::new(),
    };
    let value = walker.map(map, fields);
    let untold = walker.told - walker.faults.len();
    let Walker { faults, gaps, made_up, .. } = walker;
    Walked { value, faults, untold, gaps, made_up }
}

struct Walker<'t> {
    shapes: &'t Shapes,
    path: Path<'t>,
    faults: Vec<Fault>,
    told: usize,
    gaps: Vec<String>,
    made_up: Vec<String>,
}

impl<'t> Walker<'t> {
    fn fault<T>(&mut self, reason: impl Into<String>) -> Option<T> {
        self.fault_near(reason, None)
    }

    fn fault_near<T>(&mut self, reason: impl Into<String>, nearest: Option<String>) -> Option<T> {
        self.told += 1;
        if self.faults.len() < TOLD {
            let (path, line) = (self.path.to_string(), self.path.line());
            self.faults.push(Fault { path, line, reason: reason.into(), nearest });
        }
        None
    }

    /// Runs `walk` one step further down.
    fn within<T>(&mut self, step: Step<'t>, line: usize, walk: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(step, line);
        let result = walk(self);
        self.path.pop();
        result
    }

    fn value(&mut self, node: &'t Node, shape: &'t Shape) -> Option<Value> {
        let shape = self.shapes.follow(shape);
        match (&shape.form, &node.content) {
            (Form::Anything, _) => self.anything(node),
            (Form::Either(branches), _) => self.either(node, shape, branches),
            (_, Content::Scalar(Scalar { meaning: Meaning::Nothing(why), .. })) => self.fault(*why),
            (Form::Map(fields), Content::Map(map)) => self.map(map, fields),
            (Form::List(bounds, item), Content::List(items)) => self.list(items, *bounds, item),
            (_, Content::Scalar(scalar)) => match self.scalar(scalar, shape) {
                Some(result) => result,
                None => self.wrong_sort(node, shape),
            },
            (_, Content::List(_) | Content::Map(_)) => self.wrong_sort(node, shape),
        }
    }

    fn wrong_sort(&mut self, node: &'t Node, shape: &'t Shape) -> Option<Value> {
        let hidden = self.shapes.hides(shape);
        let (wanted, found) = (wanted(self.shapes, shape), found(node, hidden));
        self.fault(format!("wants {wanted}, not {found}{}", advice(shape, node)))
    }

    /// `None` where the scalar is not of the wanted sort at all.
    fn scalar(&mut self, scalar: &'t Scalar, shape: &'t Shape) -> Option<Option<Value>> {
        Some(match (&shape.form, &scalar.meaning) {
            (Form::Truth, Meaning::Truth(truth)) => Some(Value::Bool(*truth)),
            (Form::Whole(bounds), Meaning::Number(number)) => {
                let whole = number.as_i64().map(i128::from).or(number.as_u64().map(i128::from));
                if !bounds.hold(whole?) {
                    return None;
                }
                Some(Value::Number(number.clone()))
            }
            (Form::Text(bounds, format), Meaning::Text) => {
                let length = scalar.text.chars().count();
                if !bounds.hold(length as i128) {
                    return Some(self.wrong_length(length, *bounds));
                }
                match format.and_then(|format| format.fault(&scalar.text)) {
                    Some(reason) => self.fault(reason),
                    None => Some(Value::String(scalar.text.clone())),
                }
            }
            (Form::Words(words), Meaning::Text) => {
                if words.contains(&scalar.text) {
                    return Some(Some(Value::String(scalar.text.clone())));
                }
                let near = nearest(&scalar.text, words.iter().map(String::as_str));
                let text = short(&scalar.text);
                self.fault_near(format!("'{text}' is none of {}", words.join(", ")), near)
            }
            _ => return None,
        })
    }

    fn wrong_length(&mut self, length: usize, bounds: Bounds) -> Option<Value> {
        match (length, bounds.least) {
            (0, 1) => self.fault("is empty; write something"),
            (_, least) if (length as i128) < least => {
                self.fault(format!("is {length} characters long; at least {least} are wanted"))
            }
            _ => self.fault(format!("is {length} characters long; at most {} may be", bounds.most)),
        }
    }

    fn list(&mut self, items: &'t [Node], bounds: Bounds, shape: &'t Shape) -> Option<Value> {
        let fits = bounds.hold(items.len() as i128);
        if !fits && items.is_empty() {
            self.fault::<()>("is an empty list; write at least one item, or remove the field");
        } else if !fits {
            let (count, most) = (items.len(), bounds.most);
            self.fault::<()>(format!("holds {count} items; at most {most} may stand here"));
        }
        let mut values = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let value = self.within(Step::Item(index), item.line, |walk| {
                let value = walk.value(item, shape);
                value.or_else(|| {
                    walk.gaps.push(walk.path.to_string());
                    walk.stand_in(shape)
                })
            });
            values.push(value?);
        }
        if !fits {
            self.gaps.push(self.path.to_string());
        }
        Some(Value::Array(values))
    }

    /// What stands where a value of `shape` has a fault.
    fn stand_in(&mut self, shape: &'t Shape) -> Option<Value> {
        self.made_up.push(self.path.to_string());
        stand_in::stand_in(self.shapes, shape, self.made_up.len())
    }

    /// The same for a field of the mapping where the walker stands.
    fn stand_in_for(&mut self, name: &'t str, shape: &'t Shape) -> Option<Value> {
        self.gaps.push(self.path.to_string());
        let line = self.path.line();
        self.within(Step::Field(name), line, |walk| walk.stand_in(shape))
    }

    fn map(&mut self, map: &'t Map, fields: &'t Fields) -> Option<Value> {
        self.repeated(map);
        let mut object = serde_json::Map::new();
        for (key, entry) in &map.entries {
            let shape = fields.known.get(key).or(fields.rest.as_deref());
            let told = self.told;
            let value = self.within(Step::Field(key), entry.line, |walk| match shape {
                Some(shape) => walk.field(&entry.value, shape),
                None => walk.unknown_field(key, fields),
            });
            match value {
                Some(value) => drop(object.insert(key.clone(), value)),
                None if told == self.told => {}
                None if fields.required.contains(key) => {
                    object.insert(key.clone(), self.stand_in_for(key, shape?)?);
                }
                None => self.gaps.push(self.path.to_string()),
            }
        }
        for name in fields.required.iter().filter(|name| !map.entries.contains_key(*name)) {
            let line = self.path.line();
            let shape = fields.known.get(name);
            self.within(Step::Field(name), line, |walk| {
                let wanted = shape.map(|shape| wanted(walk.shapes, shape)).unwrap_or_default();
                walk.fault::<()>(format!("is missing; wants {wanted}"));
            });
            object.insert(name.clone(), self.stand_in_for(name, shape?)?);
        }
        Some(Value::Object(object))
    }

    /// A field's value; `None` without a fault where nothing is written and that is right.
    fn field(&mut self, node: &'t Node, shape: &'t Shape) -> Option<Value> {
        let is_null = matches!(&node.content, Content::Scalar(scalar) if scalar.is_null());
        match (is_null, shape.nullable || self.shapes.follow(shape).nullable) {
            (false, _) => self.value(node, shape),
            (true, true) => None,
            (true, false) => {
                let wanted = wanted(self.shapes, shape);
                self.fault(format!("has no value; write {wanted}, or remove the field"))
            }
        }
    }

    fn unknown_field(&mut self, key: &str, fields: &Fields) -> Option<Value> {
        if key == "<<" {
            return self.fault("merge keys are not read (YAML 1.2 has none); write the fields out");
        }
        let known = || fields.known.keys().map(String::as_str);
        match nearest(key, known()) {
            Some(near) => self.fault_near("unknown field", Some(near)),
            None => self.fault(format!("unknown field{}", listed(known()))),
        }
    }

    fn repeated(&mut self, map: &'t Map) {
        for (key, line) in &map.repeated {
            let first = map.entries.get(key).map_or(0, |entry| entry.line);
            self.within(Step::Field(key), *line, |walk| {
                let remedy = match key.as_str() {
                    "apiVersion" | "kind" => "remove one, or put '---' between two objects",
                    _ => "remove one",
                };
                walk.fault::<()>(format!("stands twice, first on line {first}; {remedy}"));
            });
        }
    }

    /// The first branch that holds; else the faults of the first that is of the same sort.
    fn either(&mut self, node: &'t Node, shape: &'t Shape, all: &'t [Shape]) -> Option<Value> {
        let (faults, told) = (self.faults.len(), self.told);
        let (gaps, made_up) = (self.gaps.len(), self.made_up.len());
        for branch in all {
            let value = self.value(node, branch);
            if self.told == told {
                return value;
            }
            self.faults.truncate(faults);
            self.gaps.truncate(gaps);
            self.made_up.truncate(made_up);
            self.told = told;
        }
        match all.iter().find(|branch| same_sort(node, self.shapes.follow(branch))) {
            Some(branch) => self.value(node, branch),
            None => self.wrong_sort(node, shape),
        }
    }

    /// Whatever it is; only what is broken in itself is told.
    fn anything(&mut self, node: &'t Node) -> Option<Value> {
        match &node.content {
            Content::Scalar(scalar) => match &scalar.meaning {
                Meaning::Nothing(why) => self.fault(*why),
                Meaning::Null => Some(Value::Null),
                Meaning::Truth(truth) => Some(Value::Bool(*truth)),
                Meaning::Number(number) => Some(Value::Number(number.clone())),
                Meaning::Text => Some(Value::String(scalar.text.clone())),
            },
            Content::List(items) => {
                let values = items.iter().enumerate().filter_map(|(index, item)| {
                    self.within(Step::Item(index), item.line, |walk| walk.anything(item))
                });
                Some(Value::Array(values.collect()))
            }
            Content::Map(map) => {
                self.repeated(map);
                let values = map.entries.iter().filter_map(|(key, entry)| {
                    let step = Step::Field(key);
                    let value = self.within(step, entry.line, |walk| walk.anything(&entry.value));
                    value.map(|value| (key.clone(), value))
                });
                Some(Value::Object(values.collect()))
            }
        }
    }
}

/// Whether `node` is of the sort that `shape` bounds further.
fn same_sort(node: &Node, shape: &Shape) -> bool {
    match (&shape.form, &node.content) {
        (Form::Map(_), Content::Map(_)) | (Form::List(..), Content::List(_)) => true,
        (form, Content::Scalar(scalar)) => matches!(
            (form, &scalar.meaning),
            (Form::Text(..) | Form::Words(_), Meaning::Text)
                | (Form::Whole(_), Meaning::Number(_))
                | (Form::Truth, Meaning::Truth(_))
        ),
        _ => false,
    }
}
