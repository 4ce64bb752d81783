//! A form that the schema of a kind draws, and the object that comes of it.
//!
//! A field of the form has the path of the field of the object as its name (`spec.rules[0].name`), so
//! that a fault finds it. What nothing is typed into is not written. Entries of lists are marked by
//! fields named [`ITEM`], since one with nothing in it means something, too.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use leptos::prelude::*;
use model::{Kind, schema};
use serde_json::{Map, Value, json};

use crate::form::{Fields, Form};

mod draw;

#[cfg(test)]
mod tests;

/// The name of the fields whose values are the paths of the entries of lists.
const ITEM: &str = "item";

/// Where labels stand.
const LABELS: &str = "metadata.labels";

/// Entries of all lists together that a form shows.
const ENTRIES: usize = 200;

/// A text that may be longer than this is typed into several lines.
const LONG: u64 = 4_096;

/// What stands in an object, field by field, as its schema has them.
#[derive(Debug)]
pub(crate) struct Shape {
    labels: Field,
    spec: Field,
}

/// A field of an object.
#[derive(Debug)]
struct Field {
    name: String,
    /// What it is for.
    about: String,
    is_required: bool,
    /// What counts where nothing is written, in words.
    default: Option<String>,
    sort: Sort,
}

/// What may stand in a field.
#[derive(Debug)]
enum Sort {
    /// One of these words.
    Word(Vec<String>),
    /// Some of these words.
    Words(Vec<String>),
    Number,
    Flag,
    Text {
        is_long: bool,
    },
    /// Texts, one on each line.
    Lines,
    Record(Vec<Field>),
    /// Entries that each have these fields.
    List(Vec<Field>),
    /// Names with texts, one on each line.
    Labels,
    /// What has no form of its own, as JSON.
    Json,
}

impl Shape {
    /// That of the `spec` of a kind.
    pub(crate) fn of(kind: Kind) -> &'static Shape {
        static ALL: LazyLock<BTreeMap<Kind, Shape>> = LazyLock::new(|| {
            Kind::ALL.into_iter().map(|kind| (kind, Shape::read(&schema::of(kind)))).collect()
        });
        &ALL[&kind]
    }

    fn read(schema: &Value) -> Shape {
        let fields = &resolved(schema, schema)["properties"];
        let labels = &resolved(&fields["metadata"], schema)["properties"]["labels"];
        Shape {
            labels: Field::read("labels", labels, false, schema),
            spec: Field::read("spec", &fields["spec"], true, schema),
        }
    }

    /// Whether a form of an object is one that somebody could read: each entry is some kilobytes of a
    /// page, and an object may have ten thousand.
    pub(crate) fn fits(&self, object: &Value) -> bool {
        self.spec.entries(&object["spec"]) <= ENTRIES
    }

    /// The fields of an object that fits.
    pub(crate) fn draw(&self, object: &Value, form: &Form) -> AnyView {
        let labels = draw::one(&self.labels, LABELS, &object["metadata"]["labels"], form);
        (draw::whole(&self.spec, &object["spec"], form), labels).into_any()
    }

    /// Puts what was typed into an object.
    pub(crate) fn put(&self, typed: &Typed<'_>, object: &mut Value) {
        object["spec"] = self.spec.typed(&self.spec.name, typed).unwrap_or_else(|| json!({}));
        let labels = self.labels.typed(LABELS, typed);
        let Some(metadata) = object["metadata"].as_object_mut() else { return };
        match labels {
            Some(labels) => drop(metadata.insert("labels".to_owned(), labels)),
            None => drop(metadata.remove("labels")),
        }
    }
}

/// What a schema says, behind what it refers to.
fn resolved<'s>(schema: &'s Value, document: &'s Value) -> &'s Value {
    let mut found = schema;
    while let Some(to) = found["$ref"].as_str().and_then(|to| to.strip_prefix('#')) {
        found = document.pointer(to).unwrap_or(&Value::Null);
    }
    found
}

impl Field {
    fn read(name: &str, schema: &Value, is_required: bool, document: &Value) -> Field {
        let found = resolved(schema, document);
        let about = schema["description"].as_str().or(found["description"].as_str());
        let default = match &schema["default"] {
            Value::String(text) => Some(text.clone()),
            default @ (Value::Number(_) | Value::Bool(_)) => Some(default.to_string()),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        };
        Field {
            name: name.to_owned(),
            about: about.unwrap_or_default().replace(['`', '*'], "").replace('\n', " "),
            is_required,
            default,
            sort: Sort::read(found, document),
        }
    }

    /// The fields of a record, those that must be there first.
    fn all(record: &Value, document: &Value) -> Vec<Field> {
        let required = |name: &str| {
            let required = record["required"].as_array();
            required.is_some_and(|all| all.iter().any(|one| one == name))
        };
        let fields = record["properties"].as_object().into_iter().flatten();
        let fields = fields.filter(|(_, schema)| schema["writeOnly"] != true);
        let mut fields: Vec<_> = fields
            .map(|(name, schema)| Field::read(name, schema, required(name), document))
            .collect();
        fields.sort_by_key(|field| !field.is_required);
        fields
    }

    /// How many entries lists have, here and below.
    fn entries(&self, value: &Value) -> usize {
        let below = |fields: &[Field], value: &Value| -> usize {
            fields.iter().map(|field| field.entries(&value[field.name.as_str()])).sum()
        };
        match &self.sort {
            Sort::Record(fields) => below(fields, value),
            Sort::List(fields) => {
                let entries = value.as_array().into_iter().flatten();
                entries.map(|entry| 1 + below(fields, entry)).sum()
            }
            Sort::Word(_)
            | Sort::Words(_)
            | Sort::Number
            | Sort::Flag
            | Sort::Text { .. }
            | Sort::Lines
            | Sort::Labels
            | Sort::Json => 0,
        }
    }

    /// What was typed at a path; none where nothing was.
    fn typed(&self, path: &str, typed: &Typed<'_>) -> Option<Value> {
        let text = || typed.text(path).filter(|text| !text.is_empty());
        match &self.sort {
            Sort::Word(_) | Sort::Text { .. } => text().map(Value::from),
            Sort::Number => text().map(|text| match text.trim().parse::<i64>() {
                Ok(number) => number.into(),
                // Whoever reads the object says what would be right.
                Err(_) => text.into(),
            }),
            Sort::Flag => text().map(|text| text.parse::<bool>().map_or(text.into(), Value::from)),
            Sort::Words(_) => list(typed.texts(path).map(str::to_owned)),
            Sort::Lines => list(text()?.lines().map(str::to_owned).filter(|line| !line.is_empty())),
            Sort::Labels => {
                let lines = text();
                let lines = lines.iter().flat_map(|text| text.lines());
                let pairs = lines.filter(|line| !line.trim().is_empty()).map(|line| {
                    let (name, value) = line.split_once(':').unwrap_or((line, ""));
                    (name.trim().to_owned(), Value::from(value.trim()))
                });
                some(pairs.collect())
            }
            Sort::Json => text().map(|text| {
                serde_json::from_str(&text).unwrap_or_else(|_| Value::from(text.clone()))
            }),
            Sort::Record(fields) => some(record(fields, path, typed))
                .or_else(|| text().filter(|text| text == EMPTY).map(|_| Map::new().into())),
            Sort::List(fields) => {
                list(typed.items(path).map(|at| record(fields, &format!("{path}[{at}]"), typed)))
            }
        }
    }
}

impl Sort {
    fn read(schema: &Value, document: &Value) -> Sort {
        if let Some(words) = words(schema) {
            return Sort::Word(words);
        }
        match schema["type"].as_str() {
            Some("string") => {
                Sort::Text { is_long: schema["maxLength"].as_u64().is_some_and(|most| most > LONG) }
            }
            Some("integer" | "number") => Sort::Number,
            Some("boolean") => Sort::Flag,
            Some("array") => {
                let item = resolved(&schema["items"], document);
                match Sort::read(item, document) {
                    Sort::Word(words) => Sort::Words(words),
                    Sort::Text { .. } => Sort::Lines,
                    Sort::Record(fields) => Sort::List(fields),
                    _ => Sort::Json,
                }
            }
            Some("object") if schema["properties"].is_object() => {
                Sort::Record(Field::all(schema, document))
            }
            Some("object") if schema["additionalProperties"]["type"] == "string" => Sort::Labels,
            _ => Sort::Json,
        }
    }
}

/// The words of a schema that has no more than these.
fn words(schema: &Value) -> Option<Vec<String>> {
    let text = |word: &Value| word.as_str().map(str::to_owned);
    if let Some(words) = schema["enum"].as_array() {
        return words.iter().map(text).collect();
    }
    schema["oneOf"].as_array()?.iter().map(|one| text(&one["const"])).collect()
}

fn record(fields: &[Field], path: &str, typed: &Typed<'_>) -> Map<String, Value> {
    let fields = fields.iter().filter_map(|field| {
        let value = field.typed(&format!("{path}.{}", field.name), typed)?;
        Some((field.name.clone(), value))
    });
    fields.collect()
}

fn list<T: Into<Value>>(items: impl Iterator<Item = T>) -> Option<Value> {
    let items: Vec<Value> = items.map(Into::into).collect();
    (!items.is_empty()).then(|| items.into())
}

/// What a form sends of a record that is there without any field.
const EMPTY: &str = "{}";

fn some(fields: Map<String, Value>) -> Option<Value> {
    (!fields.is_empty()).then(|| fields.into())
}

/// What was typed into a form that a [`Shape`] drew.
#[derive(Debug)]
pub(crate) struct Typed<'f> {
    values: BTreeMap<&'f str, Vec<&'f str>>,
    /// The entries of each list, in their order.
    items: BTreeMap<&'f str, Vec<usize>>,
}

impl<'f> Typed<'f> {
    pub(crate) fn new(fields: &'f Fields) -> Self {
        let mut typed = Typed { values: BTreeMap::new(), items: BTreeMap::new() };
        for (name, value) in fields.all() {
            match item(value).filter(|_| name == ITEM) {
                Some((list, at)) => typed.items.entry(list).or_default().push(at),
                None => typed.values.entry(name).or_default().push(value),
            }
        }
        typed
    }

    /// Gives the list at this path one entry more.
    pub(crate) fn add(&mut self, list: &'f str) {
        let items = self.items.entry(list).or_default();
        let next = items.iter().max().map_or(0, |last| last.saturating_add(1));
        items.push(next);
    }

    /// Takes the entry at this path away.
    pub(crate) fn drop(&mut self, path: &str) {
        let Some((list, at)) = item(path) else { return };
        if let Some(items) = self.items.get_mut(list) {
            items.retain(|one| *one != at);
        }
    }

    fn texts(&self, path: &str) -> impl Iterator<Item = &'f str> {
        self.values.get(path).into_iter().flatten().copied()
    }

    /// What was typed, with the ends of lines that objects have.
    fn text(&self, path: &str) -> Option<String> {
        self.texts(path).next().map(|text| text.replace("\r\n", "\n"))
    }

    fn items(&self, list: &str) -> impl Iterator<Item = usize> {
        self.items.get(list).into_iter().flatten().copied()
    }
}

/// The list and the number of an entry, of `spec.rules[0]`.
fn item(path: &str) -> Option<(&str, usize)> {
    let (list, at) = path.strip_suffix(']')?.rsplit_once('[')?;
    Some((list, at.parse().ok()?))
}
