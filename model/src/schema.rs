//! JSON Schema of every kind, generated from the types and checked in.

use serde_json::{Value, json};

use crate::Kind;

/// The schema of one kind's object (draft 2020-12), `apiVersion` and `kind` included.
pub fn of(kind: Kind) -> Value {
    let _ = kind;
    json!({})
}

/// All kinds in one document, as checked in under `model/schema/heddle.schema.json`.
pub fn document() -> Value {
    json!({})
}
