//! Values that stand where something required has a fault, so that the rest can be checked.
//!
//! Nothing is ever served with them: an object with a fault is refused.

use serde_json::{Map, Value};

use super::format::Format;
use super::shape::{Bounds, Form, Shape, Shapes};

/// No schema of ours wants more levels.
const DEEPEST: usize = 16;

/// A value of `shape` that nobody would write, as far as that can be; `number` tells it from others.
pub(super) fn stand_in(shapes: &Shapes, shape: &Shape, number: usize) -> Option<Value> {
    below(shapes, shape, number, 0)
}

fn below(shapes: &Shapes, shape: &Shape, number: usize, depth: usize) -> Option<Value> {
    if depth > DEEPEST {
        return None;
    }
    let inner = |shape: &Shape| below(shapes, shape, number, depth + 1);
    Some(match &shapes.follow(shape).form {
        Form::Anything | Form::Named(_) => Value::Null,
        Form::Truth => Value::Bool(false),
        Form::Whole(bounds) => whole(*bounds)?.into(),
        Form::Text(_, Some(format)) => text(*format, number).into(),
        Form::Text(bounds, None) => "x".repeat(usize::try_from(bounds.least.max(1)).ok()?).into(),
        Form::Words(words) => words.first()?.clone().into(),
        Form::List(bounds, item) => {
            (0..bounds.least).map(|_| inner(item)).collect::<Option<_>>()?
        }
        Form::Map(fields) => {
            let field = |name: &String| Some((name.clone(), inner(fields.known.get(name)?)?));
            Value::Object(fields.required.iter().map(field).collect::<Option<Map<_, _>>>()?)
        }
        Form::Either(branches) => branches.iter().find_map(inner)?,
    })
}

fn whole(bounds: Bounds) -> Option<i64> {
    i64::try_from(if bounds.hold(0) { 0 } else { bounds.least }).ok()
}

fn text(format: Format, number: usize) -> String {
    match format {
        Format::Name => format!("stand-in-{number}"),
        Format::Hostname => format!("stand-in-{number}.invalid"),
        Format::Duration => "1s".to_owned(),
        Format::AddressRange => "192.0.2.0/24".to_owned(),
        Format::Sha256 => format!("{number:064x}"),
        Format::DateTime => "2000-01-01T00:00:00Z".to_owned(),
        Format::Base64 => String::new(),
        Format::FieldPath => "standIn".to_owned(),
    }
}
