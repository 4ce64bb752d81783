//! The schemas, compiled for walking: references resolved, words and bounds at hand.
//!
//! A keyword that is not compiled is refused here rather than passed over, so that the checked-in
//! schema never promises what the walker does not hold.

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

use serde_json::{Map, Value};

use super::format::Format;
use crate::{Kind, schema};

/// What a value must be.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    pub(crate) form: Form,
    /// Whether nothing may be written, as Kubernetes itself does in some places.
    pub(crate) nullable: bool,
    /// Whether the value is a secret, which no message may quote.
    pub(crate) hidden: bool,
}

/// What sort of value, within which bounds.
#[derive(Debug, Clone)]
pub(crate) enum Form {
    Anything,
    Truth,
    Whole(Bounds),
    Text(Bounds, Option<Format>),
    Words(Vec<String>),
    List(Bounds, Box<Shape>),
    Map(Fields),
    Either(Vec<Shape>),
    /// A definition, by its place in [`Shapes`].
    Named(usize),
}

/// Of a number, or of a length.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) least: i128,
    pub(crate) most: i128,
}

/// The fields of a mapping.
#[derive(Debug, Clone)]
pub(crate) struct Fields {
    pub(crate) known: BTreeMap<String, Shape>,
    pub(crate) required: Vec<String>,
    /// What a field of any other name must be, where such may stand.
    pub(crate) rest: Option<Box<Shape>>,
}

/// Every kind's shape.
#[derive(Debug)]
pub(crate) struct Shapes {
    named: Vec<Shape>,
    roots: HashMap<Kind, Fields>,
}

/// Compiled once per process: it is made from the types alone and never changes, so that sharing
/// it cannot be observed, while compiling it for each read would cost more than a small file.
pub(crate) static SHAPES: LazyLock<Shapes> = LazyLock::new(|| {
    Shapes::compile(&schema::document()).expect("the schemas of our own types compile: see tests")
});

impl Shapes {
    fn compile(document: &Value) -> Result<Self, String> {
        let none = Map::new();
        let defs = document["$defs"].as_object().unwrap_or(&none);
        let names = defs.keys().zip(0..).map(|(name, place)| (name.as_str(), place)).collect();
        let compiler = Compiler { names };
        let named = defs.iter().map(|(name, schema)| {
            compiler.shape(schema).map_err(|reason| format!("{name}: {reason}"))
        });
        let named = named.collect::<Result<Vec<_>, _>>()?;
        let roots = Kind::ALL.into_iter().map(|kind| {
            let place = compiler.names.get(kind.as_str());
            match place.map(|&place| &named[place].form) {
                Some(Form::Map(fields)) => Ok((kind, beside_identity(fields))),
                _ => Err(format!("no schema of {kind}")),
            }
        });
        let roots = roots.collect::<Result<_, _>>()?;
        Ok(Shapes { named, roots })
    }

    /// The outermost fields of a `kind`.
    pub(crate) fn of(&self, kind: Kind) -> &Fields {
        &self.roots[&kind]
    }

    /// `shape` itself, or the definition that it names.
    pub(crate) fn follow<'s>(&'s self, mut shape: &'s Shape) -> &'s Shape {
        while let Form::Named(place) = shape.form {
            shape = &self.named[place];
        }
        shape
    }

    /// Whether `shape`, or any value of a mapping of it, is a secret.
    pub(crate) fn hides(&self, shape: &Shape) -> bool {
        let shape = self.follow(shape);
        let rest_hides =
            |fields: &Fields| fields.rest.as_ref().is_some_and(|rest| self.follow(rest).hidden);
        shape.hidden || matches!(&shape.form, Form::Map(fields) if rest_hides(fields))
    }
}

/// `apiVersion` and `kind` have been judged before anything is walked: they chose the shape.
fn beside_identity(fields: &Fields) -> Fields {
    let mut fields = fields.clone();
    for word in ["apiVersion", "kind"] {
        fields.known.insert(word.to_owned(), Shape::anything());
        fields.required.retain(|name| name != word);
    }
    fields
}

impl Shape {
    fn new(form: Form) -> Self {
        Shape { form, nullable: false, hidden: false }
    }

    fn anything() -> Self {
        Shape { nullable: true, ..Shape::new(Form::Anything) }
    }
}

/// Keywords that say something to people or to other tools only.
const SPEAKING: [&str; 5] = ["description", "title", "default", "pattern", "nullable"];

struct Compiler<'s> {
    names: HashMap<&'s str, usize>,
}

impl Compiler<'_> {
    fn shape(&self, schema: &Value) -> Result<Shape, String> {
        let Some(schema) = schema.as_object() else {
            return match schema {
                Value::Bool(true) => Ok(Shape::anything()),
                other => Err(format!("{other} is no schema that is compiled")),
            };
        };
        let mut left: Map<String, Value> = schema.clone();
        left.retain(|word, _| !SPEAKING.contains(&word.as_str()));
        let hidden = left.remove("writeOnly") == Some(Value::Bool(true));
        let (form, null) = self.form(&mut left)?;
        if let Some(word) = left.keys().next() {
            return Err(format!("the keyword '{word}' is not compiled"));
        }
        if schema.contains_key("pattern") && !matches!(form, Form::Text(_, Some(_))) {
            return Err("a pattern without a known format, which would give no reason".to_owned());
        }
        let nullable = null || matches!(form, Form::Anything);
        Ok(Shape { form, nullable, hidden })
    }

    /// The form, and whether null is one of the alternatives.
    fn form(&self, left: &mut Map<String, Value>) -> Result<(Form, bool), String> {
        if let Some(reference) = left.remove("$ref") {
            let name = reference.as_str().and_then(|text| text.strip_prefix("#/$defs/"));
            let place = name.and_then(|name| self.names.get(name));
            return place.map(|&place| (Form::Named(place), false)).ok_or("dangling $ref".into());
        }
        if let Some(branches) = left.remove("anyOf") {
            return self.either(&branches);
        }
        if let Some(branches) = left.remove("oneOf") {
            let words = branches.as_array().into_iter().flatten().map(words);
            let words: Option<Vec<_>> = words.collect();
            let words = words.ok_or("a oneOf of more than words")?;
            return Ok((Form::Words(words.concat()), false));
        }
        if left.contains_key("enum") || left.contains_key("const") {
            let words = words(&Value::Object(std::mem::take(left)));
            return Ok((Form::Words(words.ok_or("an enum of more than texts")?), false));
        }
        let Some(sort) = left.remove("type") else { return Ok((Form::Anything, true)) };
        let (sort, null) = match &sort {
            Value::String(word) => (word.as_str(), false),
            Value::Array(pair) => match pair.as_slice() {
                [Value::String(word), Value::String(null)] if null == "null" => {
                    (word.as_str(), true)
                }
                _ => return Err("a type of several sorts".to_owned()),
            },
            _ => return Err("no type".to_owned()),
        };
        Ok((self.typed(sort, left)?, null))
    }

    fn either(&self, branches: &Value) -> Result<(Form, bool), String> {
        let branches = branches.as_array().ok_or("anyOf is no list")?;
        let is_null = |branch: &&Value| branch["type"] == "null";
        let null = branches.iter().any(|branch| is_null(&branch));
        let others = branches.iter().filter(|branch| !is_null(branch));
        let mut shapes = others.map(|one| self.shape(one)).collect::<Result<Vec<_>, _>>()?;
        match shapes.len() {
            1 => Ok((shapes.remove(0).form, null)),
            _ => Ok((Form::Either(shapes), null)),
        }
    }

    fn typed(&self, sort: &str, left: &mut Map<String, Value>) -> Result<Form, String> {
        let form = match sort {
            "boolean" => Form::Truth,
            "integer" => {
                let (least, most) = match left.remove("format").as_ref().and_then(Value::as_str) {
                    Some("uint8") => (0, u8::MAX.into()),
                    Some("uint16") => (0, u16::MAX.into()),
                    Some("uint32") => (0, u32::MAX.into()),
                    Some("int64") => (i64::MIN.into(), i64::MAX.into()),
                    other => return Err(format!("an integer of format {other:?}")),
                };
                let bounds = Bounds::take(left, "minimum", "maximum");
                Form::Whole(Bounds { least: bounds.least.max(least), most: bounds.most.min(most) })
            }
            "string" => {
                let format = left.remove("format");
                let format = format.as_ref().and_then(Value::as_str);
                let known = format.map(|word| Format::named(word).ok_or(word.to_owned()));
                Form::Text(Bounds::take(left, "minLength", "maxLength"), known.transpose()?)
            }
            "array" => {
                let item = self.shape(&left.remove("items").unwrap_or(Value::Bool(true)))?;
                Form::List(Bounds::take(left, "minItems", "maxItems"), Box::new(item))
            }
            "object" => Form::Map(self.fields(left)?),
            other => return Err(format!("the type '{other}' is not compiled")),
        };
        Ok(form)
    }

    fn fields(&self, left: &mut Map<String, Value>) -> Result<Fields, String> {
        let mut known = BTreeMap::new();
        if let Some(Value::Object(properties)) = left.remove("properties") {
            for (name, schema) in &properties {
                let shape = self.shape(schema).map_err(|reason| format!("{name}: {reason}"))?;
                known.insert(name.clone(), shape);
            }
        }
        let rest = match left.remove("additionalProperties") {
            Some(Value::Bool(false)) => None,
            Some(schema) => Some(Box::new(self.shape(&schema)?)),
            None => Some(Box::new(Shape::anything())),
        };
        let required = left.remove("required");
        let required = required.as_ref().and_then(Value::as_array).into_iter().flatten();
        let required = required.filter_map(Value::as_str).map(str::to_owned).collect();
        Ok(Fields { known, required, rest })
    }
}

impl Bounds {
    fn take(left: &mut Map<String, Value>, least: &str, most: &str) -> Self {
        let mut bound = |word| left.remove(word).as_ref().and_then(Value::as_i64).map(i128::from);
        Bounds { least: bound(least).unwrap_or(i128::MIN), most: bound(most).unwrap_or(i128::MAX) }
    }

    pub(crate) fn hold(self, number: i128) -> bool {
        (self.least..=self.most).contains(&number)
    }
}

/// The words of `enum` or `const`.
fn words(schema: &Value) -> Option<Vec<String>> {
    let word = |value: &Value| value.as_str().map(str::to_owned);
    match (schema.get("const"), schema.get("enum").and_then(Value::as_array)) {
        (Some(one), _) => Some(vec![word(one)?]),
        (None, Some(several)) => several.iter().map(word).collect(),
        (None, None) => None,
    }
}
