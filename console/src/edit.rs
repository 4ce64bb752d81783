//! Edits of one object: what is there, changed in place, and committed as REST would.

use control::app::Receipt;
use control::{Conflict, Edit, Expect, Refusal, read};
use model::{Invalid, Key, Kind};
use serde_json::{Value, json};

use crate::form::Sent;
use crate::pages::of_word;

/// Changes an object as it was when the page was drawn; where somebody changed it since, it is
/// refused and told.
///
/// # Errors
/// What a change can be refused for.
pub(crate) async fn change(
    sent: &Sent,
    key: &Key,
    change: impl FnOnce(&mut Value) -> Result<(), Refusal>,
) -> Result<Receipt, Refusal> {
    let app = &sent.asked.app;
    let op = sent.asked.visit.op(sent.fields.get("message").trim().to_owned())?;
    let found = app.resource_show(&op, key, None).await?;
    // A form that says no generation is none of ours, and matches none.
    let generation = sent.fields.get("generation").parse().unwrap_or(0);
    let (expected, is) = (Some(generation), Some(found.generation));
    let mut body = found.body;
    let changed = change(&mut body);
    if changed.is_err() && expected != is {
        return Err(Refusal::Conflict(vec![Conflict { key: key.clone(), expected, found: is }]));
    }
    changed?;
    // Whether somebody was quicker, only whoever may change it is told.
    put(sent, &body, Expect::Generation(generation)).await
}

/// Makes an object that is not there yet.
///
/// # Errors
/// What a change can be refused for.
pub(crate) async fn make(sent: &Sent, key: &Key, spec: Value) -> Result<Receipt, Refusal> {
    let body = json!({
        "apiVersion": key.kind.api_version(),
        "kind": key.kind.as_str(),
        "metadata": { "name": key.name, "namespace": key.namespace },
        "spec": spec,
    });
    put(sent, &body, Expect::Absent).await
}

/// Deletes an object that is as it was when the page was drawn.
///
/// # Errors
/// What a change can be refused for.
pub(crate) async fn remove(sent: &Sent, key: Key) -> Result<Receipt, Refusal> {
    let expected = Expect::Generation(sent.fields.get("generation").parse().unwrap_or(0));
    let op = sent.asked.visit.op(sent.fields.get("message").trim().to_owned())?;
    sent.asked.app.change_commit(&op, vec![Edit::Delete { key, expected }]).await
}

/// Deletes the object of this kind that a button stands for, which was drawn with [`take_away`](crate::form::take_away).
///
/// # Errors
/// What a change can be refused for.
pub(crate) async fn remove_named(sent: &Sent, kind: Kind) -> Result<Receipt, Refusal> {
    let key = of_word(sent.fields.get("object")).filter(|key| key.kind == kind);
    remove(sent, key.ok_or_else(|| Refusal::None(format!("such {kind}")))?).await
}

async fn put(sent: &Sent, body: &Value, expected: Expect) -> Result<Receipt, Refusal> {
    let op = sent.asked.visit.op(sent.fields.get("message").trim().to_owned())?;
    sent.asked.app.change_commit(&op, edits(body, expected)?).await
}

/// The change that makes an object so.
///
/// # Errors
/// All that is wrong with it by itself, without lines: nobody sees the text that they would be of.
pub(crate) fn edits(body: &Value, expected: Expect) -> Result<Vec<Edit>, Refusal> {
    let unlined = |faults: Vec<Invalid>| {
        let faults = faults.into_iter().map(|fault| Invalid { line: None, ..fault });
        Refusal::Invalid(faults.collect())
    };
    Ok(expecting(read(&body.to_string()).map_err(unlined)?, expected))
}

/// The same edits, of what must be there before.
pub(crate) fn expecting(edits: Vec<Edit>, expected: Expect) -> Vec<Edit> {
    let edits = edits.into_iter().map(|edit| match edit {
        Edit::Put { resource, .. } => Edit::Put { resource, expected },
        Edit::Delete { key, .. } => Edit::Delete { key, expected },
    });
    edits.collect()
}

/// What is wrong with fields of a form, before there is an object: at which paths, and why.
pub(crate) fn wrong(faults: impl IntoIterator<Item = (String, String)>) -> Refusal {
    let faults = faults.into_iter().map(|(path, reason)| {
        let (key, line, nearest) = (None, None, None);
        Invalid { key, path, line, reason, nearest }
    });
    Refusal::Invalid(faults.collect())
}

/// Sets a field where there is something to say, and takes it away where there is not.
pub(crate) fn set(body: &mut Value, field: &str, said: Option<&str>) {
    let spec = body.get_mut("spec").and_then(Value::as_object_mut);
    let Some(spec) = spec else { return };
    match said {
        Some(said) => drop(spec.insert(field.to_owned(), said.into())),
        None => drop(spec.remove(field)),
    }
}
