//! `apply` and `delete`: one change, all of it or nothing.

use std::collections::{HashMap, HashSet};

use model::Key;
use serde_json::{Value, json};

use super::receipt;
use crate::app::Context;
use crate::args::{Apply, Delete, Output};
use crate::client::Ask;
use crate::failure::{Done, Failure};
use crate::manifest::{Manifest, Placed};
use crate::show::{self, object};

/// What is said of files without an object.
const EMPTY: &str = "the files describe no object";

/// Makes files so.
///
/// # Errors
/// All that the server has against it, each with the place in the files.
pub(crate) async fn apply(context: &Context, args: &Apply) -> Result<Done, Failure> {
    let manifest = Manifest::read(&args.files.paths)?;
    let documents = manifest.documents();
    if documents.is_empty() {
        return Err(Failure::Failed(EMPTY.to_owned()));
    }
    let ask = asked("changes", &manifest, &documents)
        .query_if("dryRun", args.dry_run.then_some("true"))
        .query_if("message", args.message.as_deref())
        .keyed();
    let answer = placed(context.client.json(&ask).await, &manifest)?;
    let keys: Vec<Key> = documents.into_iter().filter_map(|placed| placed.document.key).collect();
    if args.show.output == Output::Table {
        let new = if args.dry_run { HashSet::new() } else { new(context, &answer).await };
        show::result(&applied(&keys, &new, &answer, args.dry_run))?;
    }
    receipt::finish(context, answer, args.wait, args.show.output).await
}

/// What `manifest`, whose `documents` these are, asks of `operation`. An object of which it says a
/// generation must be of that one, so that an old file takes back nothing of what others did since.
pub(crate) fn asked(operation: &str, manifest: &Manifest, documents: &[Placed]) -> Ask {
    // What is not understood here may say one, too.
    let says = |placed: &Placed| match &placed.document.result {
        Ok(resource) => resource.meta().generation.is_some(),
        Err(_) => true,
    };
    Ask::post(&[operation])
        .query_if("expectGeneration", documents.iter().any(says).then_some("true"))
        .with_yaml(manifest.text())
}

/// A refusal with the places of `manifest`.
pub(crate) fn placed<T>(result: Result<T, Failure>, manifest: &Manifest) -> Result<T, Failure> {
    result.map_err(|failure| match failure {
        Failure::Refused(problem) => problem.placed(manifest).into(),
        other => other,
    })
}

/// Which objects of a change were not there before. One that was deleted long ago goes on counting
/// its generations where it ended, so the change itself is asked.
async fn new(context: &Context, answer: &Value) -> HashSet<String> {
    let again = |changed: &Value| changed["generation"].as_i64().is_some_and(|g| g > 1);
    if !show::items(answer, "/changed").iter().any(again) {
        return HashSet::new();
    }
    let ask = Ask::get(&["changes", &answer["revision"].to_string()]);
    // The change is made; a word about it is not worth a failure.
    let change = context.client.json(&ask).await.unwrap_or_default();
    let objects = show::items(&change, "/objects").iter();
    let is_new = |changed: &&Value| changed.get("before").is_some_and(Value::is_null);
    objects.filter(is_new).map(object).collect()
}

/// A line for each object, in the order of the files; `new` were not there before.
fn applied(keys: &[Key], new: &HashSet<String>, answer: &Value, is_dry: bool) -> String {
    let would = if is_dry { " (dry run)" } else { "" };
    let changed = show::items(answer, "/changed").iter();
    let changed: HashMap<String, &Value> = changed.map(|one| (object(one), one)).collect();
    let mut text = String::new();
    for key in keys {
        let name = key.to_string();
        let done = match changed.get(&name).map(|changed| changed["generation"].as_i64()) {
            None => format!("{name} unchanged"),
            Some(Some(1)) => format!("{name} created"),
            Some(_) if new.contains(&name) => format!("{name} created"),
            Some(Some(generation)) => format!("{name} configured (generation {generation})"),
            Some(None) => format!("{name} configured"),
        };
        text.push_str(&format!("{done}{would}\n"));
    }
    if !is_dry {
        text.push_str(&revision(answer));
    }
    text
}

/// `revision 13`, where there is one.
pub(crate) fn revision(answer: &Value) -> String {
    match answer["revision"].as_i64() {
        Some(revision) => format!("revision {revision}\n"),
        None => String::new(),
    }
}

/// Deletes objects.
///
/// # Errors
/// All that the server has against it.
pub(crate) async fn delete(context: &Context, args: &Delete) -> Result<Done, Failure> {
    let manifest = Manifest::read(&args.paths)?;
    let mut keys = in_files(&manifest)?;
    for named in &args.objects {
        keys.push(named.key(args.namespace.namespace.as_ref()).map_err(Failure::Usage)?);
    }
    keys.sort();
    keys.dedup();
    if keys.is_empty() {
        return Err(Failure::Failed(EMPTY.to_owned()));
    }
    let edits: Vec<_> = keys.iter().map(|key| json!({ "delete": key })).collect();
    let mut body = json!({ "edits": edits });
    if let Some(message) = &args.message {
        body["message"] = message.as_str().into();
    }
    let ask = Ask::post(&["changes"]).with_json(&body).keyed();
    let answer = placed(context.client.json(&ask).await, &manifest)?;
    if args.show.output == Output::Table {
        let lines: String = keys.iter().map(|key| format!("{key} deleted\n")).collect();
        show::result(&(lines + &revision(&answer)))?;
    }
    receipt::finish(context, answer, args.wait, args.show.output).await
}

/// Which objects the files mean, whatever else is wrong with them.
fn in_files(manifest: &Manifest) -> Result<Vec<Key>, Failure> {
    let mut keys = Vec::new();
    let mut faults = Vec::new();
    for placed in manifest.documents() {
        match &placed.document.key {
            Some(key) => keys.push(key.clone()),
            None => faults.extend(placed.faults()),
        }
    }
    if faults.is_empty() { Ok(keys) } else { Err(crate::problem::local(&faults, manifest)) }
}

#[cfg(test)]
mod tests {
    use model::{Kind, Name};

    use super::*;

    #[test]
    fn each_object_has_a_line_in_the_order_of_the_files() {
        let key = |name| {
            let [namespace, name] = ["shop", name].map(|word| Name::parse(word).unwrap());
            Key::new(Kind::HttpRoute, namespace, name)
        };
        let changed = |name: &str, generation: u64| {
            json!({ "kind": "HTTPRoute", "namespace": "shop", "name": name,
                    "generation": generation })
        };
        let answer = json!({ "revision": 13, "changed":
            [changed("b", 2), changed("a", 1), changed("d", 5)] });
        let keys = ["a", "b", "c", "d"].map(key);
        let new = HashSet::from(["HTTPRoute shop/d".to_owned()]);
        assert_eq!(
            applied(&keys, &new, &answer, false),
            "HTTPRoute shop/a created\nHTTPRoute shop/b configured (generation 2)\n\
             HTTPRoute shop/c unchanged\nHTTPRoute shop/d created\nrevision 13\n"
        );
        let dry = applied(&keys, &HashSet::new(), &answer, true);
        assert!(dry.ends_with("HTTPRoute shop/d configured (generation 5) (dry run)\n"), "{dry}");
    }
}
