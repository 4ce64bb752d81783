//! A decision as JSON, read by the names and types that the docs of `wire` list: an object that says each
//! of them once at most, of which those that nobody knows are passed over.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::{Map, Value, json};

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    Text,
    /// A whole number from the one to the other.
    Number(i128, i128),
    Side,
    Vector,
    Key,
    /// Any JSON.
    Story,
}

const UNSIGNED: Sort = Sort::Number(0, u64::MAX as i128);
const PORT: Sort = Sort::Number(0, 65_535);

/// Those that are always there: said to be null is said wrongly, not said is as if empty or zero.
const PLAIN: [(&str, Sort); 15] = [
    ("span", Sort::Text),
    ("trace", Sort::Text),
    ("request", Sort::Text),
    ("side", Sort::Side),
    ("at", Sort::Number(i64::MIN as i128, i64::MAX as i128)),
    ("took", UNSIGNED),
    ("table", Sort::Text),
    ("vector", Sort::Vector),
    ("source", Sort::Text),
    ("method", Sort::Text),
    ("host", Sort::Text),
    ("path", Sort::Text),
    ("port", PORT),
    ("attempts", Sort::Number(0, u32::MAX as i128)),
    ("reason", Sort::Text),
];

/// Those that may be missing or null.
const OPTIONAL: [(&str, Sort); 15] = [
    ("parent", Sort::Text),
    ("link", Sort::Text),
    ("backendTook", UNSIGNED),
    ("peer", Sort::Text),
    ("caller", Sort::Text),
    ("passport", Sort::Text),
    ("route", Sort::Key),
    ("rule", Sort::Text),
    ("backend", Sort::Text),
    ("endpoint", Sort::Text),
    ("status", PORT),
    ("detail", Sort::Text),
    ("policy", Sort::Key),
    ("policyRule", Sort::Text),
    ("story", Sort::Story),
];

/// All of a key is there.
const KEY: [(&str, Sort); 3] =
    [("kind", Sort::Text), ("namespace", Sort::Text), ("name", Sort::Text)];

/// What a decision says: all plain fields, and of the others those that are not null.
pub(super) fn read(text: &[u8]) -> Option<Value> {
    let mut from = serde_json::Deserializer::from_slice(text);
    let all = [&PLAIN[..], &OPTIONAL[..]].concat();
    let Value::Object(mut said) = Fields(&all).deserialize(&mut from).ok()? else { return None };
    from.end().ok()?;
    for (name, sort) in PLAIN {
        said.entry(name).or_insert_with(|| sort.nothing());
    }
    said.retain(|name, value| !value.is_null() || PLAIN.iter().any(|(plain, _)| plain == name));
    let are_right = all.iter().all(|(name, sort)| said.get(*name).is_none_or(|one| sort.is(one)));
    are_right.then_some(Value::Object(said))
}

impl Sort {
    fn is(self, value: &Value) -> bool {
        match self {
            Sort::Text => value.is_string(),
            Sort::Number(least, most) => {
                let number = value.as_u64().map(i128::from).or(value.as_i64().map(i128::from));
                number.is_some_and(|number| (least..=most).contains(&number))
            }
            Sort::Side => ["edge", "outbound", "inbound"].iter().any(|side| value == side),
            Sort::Key => KEY.iter().all(|(word, _)| value[word].is_string()),
            // Read as what it is, or not at all.
            Sort::Vector | Sort::Story => true,
        }
    }

    /// What a plain field says that is not there.
    fn nothing(self) -> Value {
        match self {
            Sort::Text => json!(""),
            Sort::Number(..) => json!(0),
            Sort::Side => json!("edge"),
            Sort::Vector => json!({}),
            Sort::Key | Sort::Story => Value::Null,
        }
    }
}

/// Reads an object of these fields, or null.
struct Fields<'f>(&'f [(&'f str, Sort)]);

impl<'de> DeserializeSeed<'de> for Fields<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Fields<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        let mut said = Map::new();
        while let Some(name) = from.next_key::<String>()? {
            let known = self.0.iter().find(|(known, _)| *known == name);
            let value = match known.map(|(_, sort)| sort) {
                None => {
                    from.next_value::<IgnoredAny>()?;
                    continue;
                }
                Some(Sort::Key) => from.next_value_seed(Fields(&KEY))?,
                Some(Sort::Vector) => json!(from.next_value::<BTreeMap<String, i64>>()?),
                Some(Sort::Text | Sort::Number(..) | Sort::Side | Sort::Story) => {
                    from.next_value()?
                }
            };
            if said.insert(name, value).is_some() {
                return Err(Error::custom("it is said twice"));
            }
        }
        Ok(Value::Object(said))
    }
}

#[test]
fn decisions_are_read_by_name_and_type() {
    let is_read = |text: &str| read(text.as_bytes()).is_some();
    let said = br#"{"span":"a","mood":[1e999],"at":0,"status":null,"took":7,"side":"edge"}"#;
    let read_of = read(said).unwrap();
    assert_eq!((&read_of["span"], &read_of["took"]), (&json!("a"), &json!(7)));
    assert!(read_of.get("status").is_none() && read_of.get("mood").is_none());
    let key = r#"{"kind":"","namespace":"","name":"","more":1}"#;
    assert!(is_read("{}") && is_read(&format!(r#"{{"route":{key}}}"#)));
    for wrong in [
        "null",
        "[]",
        "{} ,",
        r#"{"span":null}"#,
        r#"{"port":65536}"#,
        r#"{"at":1.0}"#,
        r#"{"at":1,"at":1}"#,
        r#"{"side":{"edge":null}}"#,
        r#"{"route":["a","b","c"]}"#,
        r#"{"vector":{"a":""}}"#,
    ] {
        assert!(!is_read(wrong), "{wrong}");
    }
}
