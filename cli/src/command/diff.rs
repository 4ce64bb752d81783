//! `diff`: field by field, what differs between files and what is there.

use model::difference::{Difference, differences};
use model::{Key, Resource};
use serde_json::{Value, json};

use super::look;
use crate::app::Context;
use crate::args::{Diff, Output};
use crate::client::Ask;
use crate::failure::{Done, Failure};
use crate::manifest::{Manifest, Placed};
use crate::show::{self, Paint, word};

/// Shows the differences; no is the answer where there is one.
///
/// # Errors
/// If a file cannot be read, or the server refuses to show something for another reason than that
/// it is not there.
pub(crate) async fn run(context: &Context, args: &Diff) -> Result<Done, Failure> {
    let manifest = Manifest::read(&args.files.paths)?;
    let documents = manifest.documents();
    let faults: Vec<String> = documents.iter().flat_map(|placed| placed.faults()).collect();
    if !faults.is_empty() {
        return Err(crate::problem::local(&faults, &manifest));
    }
    let mut items = Vec::new();
    let mut is_same = true;
    for placed in &documents {
        let Ok(resource) = &placed.document.result else { continue };
        let key = resource.key();
        let there = there(context, &key, look::of(&key)).await?;
        let wanted = comparable(shown(resource));
        let found = there.clone().map_or(Value::Null, comparable);
        let differences = differences(&found, &wanted);
        if differences.is_empty() {
            continue;
        }
        is_same = false;
        let differs = Differs { key: &key, there: there.as_ref(), placed, differences };
        match args.show.output {
            Output::Table => show::result(&differs.told(context.paint))?,
            Output::Json | Output::Yaml => items.push(differs.json()),
        }
    }
    if args.show.output != Output::Table {
        show::answer(args.show.output, &json!({ "items": items }), String::new)?;
    }
    Ok(Done::when(is_same))
}

/// The object that is there; none if there is none, or none that may be seen.
async fn there(context: &Context, key: &Key, ask: Ask) -> Result<Option<Value>, Failure> {
    match context.client.json(&ask).await {
        Ok(resource) => Ok(Some(match normal(key, &resource) {
            Some(normal) => normal,
            // Of another version: compared as it came.
            None => resource,
        })),
        Err(Failure::Refused(problem)) if problem.status == 404 => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// What the server shows, as this version writes it: defaults that one of the two leaves out are no
/// difference. Values of a Secret are digests on both sides.
fn normal(key: &Key, resource: &Value) -> Option<Value> {
    if key.kind == model::Kind::Secret {
        return None;
    }
    let generation = resource.pointer("/metadata/generation").cloned();
    let mut normal = Resource::from_json(key.kind, resource.clone()).ok()?.to_json();
    if let Some(generation) = generation {
        normal["metadata"]["generation"] = generation;
    }
    Some(normal)
}

/// What files say of an object, as the server would show it.
fn shown(resource: &Resource) -> Value {
    let mut value = resource.to_json();
    if let Resource::Secret(secret) = resource {
        let values = secret.values();
        let data = values.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.digest().into()));
        value["data"] = Value::Object(data.collect());
        if let Some(fields) = value.as_object_mut() {
            fields.remove("stringData");
        }
    }
    value
}

/// Without what the server counts.
fn comparable(mut value: Value) -> Value {
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("generation");
        metadata.remove("creationTimestamp");
    }
    value
}

/// An object that differs.
struct Differs<'d> {
    key: &'d Key,
    /// As it is there, if it is.
    there: Option<&'d Value>,
    /// Where the file says it.
    placed: &'d Placed,
    differences: Vec<Difference<'d>>,
}

impl Differs<'_> {
    /// For people.
    fn told(&self, paint: Paint) -> String {
        let key = self.key;
        let before = match self.there {
            Some(there) => format!("{key} (generation {})", word(there, "/metadata/generation")),
            None => format!("{key} (not there)"),
        };
        let mut text = paint.bold(&format!("--- {before}")) + "\n";
        let place = show::printable(&self.placed.place);
        text.push_str(&(paint.bold(&format!("+++ {key} ({place})")) + "\n"));
        for difference in &self.differences {
            for (path, value) in difference.leaves_before() {
                let line = show::printable(&format!("- {path}: {value}"));
                text.push_str(&(paint.red(&line) + "\n"));
            }
            for (path, value) in difference.leaves_after() {
                let line = show::printable(&format!("+ {path}: {value}"));
                text.push_str(&(paint.green(&line) + "\n"));
            }
        }
        text
    }

    /// For programs.
    fn json(&self) -> Value {
        let differences = self.differences.iter().map(|Difference { path, before, after }| {
            json!({ "path": path, "before": before, "after": after })
        });
        let mut told = json!(self.key);
        told["generation"] = json!(self.there.map(|there| &there["metadata"]["generation"]));
        told["place"] = self.placed.place.as_str().into();
        told["differences"] = differences.collect();
        told
    }
}
