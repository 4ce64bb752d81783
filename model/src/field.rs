//! Places in an object: which changed, and which a role may change.
//!
//! ```
//! use model::field::{FieldPath, changed};
//! use serde_json::json;
//!
//! let before = json!({ "spec": { "rules": [{ "name": "a", "weight": 1 }] } });
//! let after = json!({ "spec": { "rules": [{ "name": "a", "weight": 2 }] } });
//! let changed = changed(&before, &after);
//! assert_eq!(changed, ["spec.rules[0].weight"]);
//! let may: FieldPath = "spec.rules[].weight".parse().unwrap();
//! assert!(may.covers(&changed[0]));
//! ```

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A field and all that is below it; `[]` stands for every place in a list.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FieldPath(Box<str>);

const WANTED: &str = "a field such as spec.rules[].backendRefs[].weight: names parted by '.', '[]' \
                      for every place in a list";

/// Why a text is no [`FieldPath`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not {WANTED}")]
pub struct FieldPathError(String);

impl FieldPath {
    /// Whether `other` is this field or below it.
    pub fn holds(&self, other: &FieldPath) -> bool {
        self.covers(&other.0)
    }

    /// Whether `place`, as [`changed`] writes places, is this field or below it.
    pub fn covers(&self, place: &str) -> bool {
        let mut place = steps(place);
        steps(&self.0).all(|mine| match (mine, place.next()) {
            (Step::Item(None), Some(Step::Item(_))) => true,
            (mine, theirs) => theirs == Some(mine),
        })
    }
}

/// One step down from an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step<'a> {
    Field(&'a str),
    /// A place in a list, or every place.
    Item(Option<&'a str>),
}

/// The steps of a path; the empty path has none.
fn steps(path: &str) -> impl Iterator<Item = Step<'_>> {
    let parts = path.split(['.', '[']).filter(|part| !part.is_empty());
    parts.map(|part| match part.strip_suffix(']') {
        Some("") => Step::Item(None),
        Some(index) => Step::Item(Some(index)),
        None => Step::Field(part),
    })
}

impl FromStr for FieldPath {
    type Err = FieldPathError;

    fn from_str(text: &str) -> Result<Self, FieldPathError> {
        let is_name = |name: &str| {
            let mut bytes = name.bytes();
            bytes.next().is_some_and(|first| first.is_ascii_alphabetic())
                && bytes.all(|byte| byte.is_ascii_alphanumeric())
        };
        let holds = text.split('.').all(|part| is_name(part.trim_end_matches("[]")));
        if holds { Ok(FieldPath(text.into())) } else { Err(FieldPathError(text.to_owned())) }
    }
}

impl TryFrom<String> for FieldPath {
    type Error = FieldPathError;

    fn try_from(text: String) -> Result<Self, FieldPathError> {
        text.parse()
    }
}

impl From<FieldPath> for String {
    fn from(path: FieldPath) -> String {
        path.0.into()
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl JsonSchema for FieldPath {
    fn schema_name() -> Cow<'static, str> {
        "FieldPath".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": WANTED,
            "type": "string",
            "format": "field-path",
            "minLength": 1,
            "maxLength": 256,
            "pattern": r"^[A-Za-z][A-Za-z0-9]*(\[\])*(\.[A-Za-z][A-Za-z0-9]*(\[\])*)*$",
        })
    }
}

/// The places at which two objects differ, the deepest that can be told, in their order: a field
/// that is on one side only is named itself, and so is a list that has another length.
pub fn changed(before: &Value, after: &Value) -> Vec<String> {
    let mut places = Vec::new();
    compare(before, after, &mut String::new(), &mut places);
    places
}

fn compare(before: &Value, after: &Value, place: &mut String, places: &mut Vec<String>) {
    let back = place.len();
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            let names: std::collections::BTreeSet<_> = before.keys().chain(after.keys()).collect();
            for name in names {
                place.push_str(if back == 0 { "" } else { "." });
                place.push_str(name);
                match (before.get(name), after.get(name)) {
                    (Some(before), Some(after)) => compare(before, after, place, places),
                    (Some(_), None) | (None, Some(_)) => places.push(place.clone()),
                    (None, None) => {}
                }
                place.truncate(back);
            }
        }
        (Value::Array(before), Value::Array(after)) if before.len() == after.len() => {
            for (index, (before, after)) in before.iter().zip(after).enumerate() {
                place.push_str(&format!("[{index}]"));
                compare(before, after, place, places);
                place.truncate(back);
            }
        }
        (before, after) if before == after => {}
        _ => places.push(place.clone()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_path_covers_itself_and_what_is_below() {
        let cases = [
            ("spec", "spec", true),
            ("spec", "spec.rules[0].name", true),
            ("spec.rules", "spec.rules[3]", true),
            ("spec.rules[]", "spec.rules[3].name", true),
            ("spec.rules[].name", "spec.rules[3].name", true),
            ("spec.rules[].name", "spec.rules[3].names", false),
            ("spec.rules[].name", "spec.rules[3]", false),
            // The list as a whole is more than its items.
            ("spec.rules[]", "spec.rules", false),
            ("spec.rule", "spec.rules", false),
            ("metadata.labels", "spec", false),
            ("metadata.labels", "", false),
            ("metadata.labels", "metadata.labels.heddle.dev/api", true),
        ];
        for (path, place, wanted) in cases {
            let path: FieldPath = path.parse().unwrap();
            assert_eq!(path.covers(place), wanted, "{path} and '{place}'");
        }
    }

    #[test]
    fn what_is_no_field_is_refused() {
        for bad in ["", ".", "spec.", "spec..rules", "spec[0]", "[]", "spec.[]", "a b", "spec.a/b"]
        {
            assert!(bad.parse::<FieldPath>().is_err(), "{bad}");
        }
    }

    #[test]
    fn changes_are_named_as_deep_as_they_are() {
        let before = json!({
            "metadata": { "labels": { "a": "1", "b": "2" } },
            "spec": { "rules": [{ "w": 1 }, { "w": 2, "n": null }], "hosts": ["a"] },
        });
        let after = json!({
            "metadata": { "labels": { "a": "1", "c": "2" } },
            "spec": { "rules": [{ "w": 1 }, { "w": 3, "n": false }], "hosts": ["a", "b"] },
        });
        let wanted = [
            "metadata.labels.b",
            "metadata.labels.c",
            "spec.hosts",
            "spec.rules[1].n",
            "spec.rules[1].w",
        ];
        assert_eq!(changed(&before, &after), wanted);
        assert_eq!(changed(&before, &before), Vec::<String>::new());
        assert_eq!(changed(&json!(1), &json!({})), [""]);
    }
}
