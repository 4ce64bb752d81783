//! Two values, field by field.
//!
//! Lists are compared by what they have in common at their beginning and end, so that an item put
//! between two others is one difference and not one of every item behind it.

use serde_json::Value;

/// One place where two values differ: what is there before and after, if anything is.
#[derive(Debug, PartialEq)]
pub struct Difference<'v> {
    /// As faults write it; empty for the whole.
    pub path: String,
    /// None where nothing was there.
    pub before: Option<&'v Value>,
    /// None where nothing is there any more.
    pub after: Option<&'v Value>,
}

impl Difference<'_> {
    /// The leaves of what was there, each with its path.
    pub fn leaves_before(&self) -> Vec<(String, String)> {
        leaves(&self.path, self.before)
    }

    /// The leaves of what is to be there.
    pub fn leaves_after(&self) -> Vec<(String, String)> {
        leaves(&self.path, self.after)
    }
}

/// All differences, in the order of the fields; `null` stands for what is not there.
pub fn differences<'v>(before: &'v Value, after: &'v Value) -> Vec<Difference<'v>> {
    let mut found = Vec::new();
    let [before, after] = [before, after].map(|value| Some(value).filter(|one| !one.is_null()));
    walk("", before, after, &mut found);
    found
}

fn walk<'v>(
    path: &str,
    before: Option<&'v Value>,
    after: Option<&'v Value>,
    to: &mut Vec<Difference<'v>>,
) {
    match (before, after) {
        (Some(one), Some(other)) if one == other => {}
        (Some(Value::Object(one)), Some(Value::Object(other))) => {
            let mut names: Vec<_> = one.keys().chain(other.keys()).collect();
            names.sort();
            names.dedup();
            for name in names {
                walk(&below(path, name), one.get(name), other.get(name), to);
            }
        }
        (Some(Value::Array(one)), Some(Value::Array(other))) => lists(path, one, other, to),
        (before, after) => to.push(Difference { path: path.to_owned(), before, after }),
    }
}

fn lists<'v>(path: &str, one: &'v [Value], other: &'v [Value], to: &mut Vec<Difference<'v>>) {
    let both = one.len().min(other.len());
    let first = one.iter().zip(other).take_while(|(a, b)| a == b).count();
    let last = one.iter().rev().zip(other.iter().rev()).take_while(|(a, b)| a == b).count();
    let last = last.min(both - first);
    let (gone, new) = (&one[first..one.len() - last], &other[first..other.len() - last]);
    for index in 0..gone.len().max(new.len()) {
        walk(&format!("{path}[{}]", first + index), gone.get(index), new.get(index), to);
    }
}

/// Each leaf of `value` with its path; an empty list or mapping is a leaf.
fn leaves(path: &str, value: Option<&Value>) -> Vec<(String, String)> {
    match value {
        None => Vec::new(),
        Some(Value::Object(fields)) if !fields.is_empty() => fields
            .iter()
            .flat_map(|(name, value)| leaves(&below(path, name), Some(value)))
            .collect(),
        Some(Value::Array(items)) if !items.is_empty() => {
            let items = items.iter().enumerate();
            items.flat_map(|(i, item)| leaves(&format!("{path}[{i}]"), Some(item))).collect()
        }
        Some(Value::String(text)) if !text.is_empty() => vec![(path.to_owned(), text.clone())],
        Some(leaf) => vec![(path.to_owned(), leaf.to_string())],
    }
}

/// The path of the field `name` below `path`, as faults write it.
fn below(path: &str, name: &str) -> String {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    match (name.is_empty() || !name.bytes().all(is_plain), path.is_empty()) {
        (true, _) => format!("{path}['{name}']"),
        (false, true) => name.to_owned(),
        (false, false) => format!("{path}.{name}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn lines(before: &Value, after: &Value) -> Vec<String> {
        let mut lines = Vec::new();
        for difference in differences(before, after) {
            let [before, after] = [difference.leaves_before(), difference.leaves_after()];
            lines.extend(before.iter().map(|(path, value)| format!("-{path}={value}")));
            lines.extend(after.iter().map(|(path, value)| format!("+{path}={value}")));
        }
        lines
    }

    #[test]
    fn each_field_that_differs_is_told_once() {
        let before = json!({"spec": {"port": 80, "host": "a", "gone": true}, "same": [1]});
        let after =
            json!({"spec": {"port": 81, "host": "a", "new": {"x": 1, "a.b": ""}}, "same": [1]});
        assert_eq!(
            lines(&before, &after),
            [
                "-spec.gone=true",
                "+spec.new['a.b']=\"\"",
                "+spec.new.x=1",
                "-spec.port=80",
                "+spec.port=81",
            ]
        );
        assert_eq!(lines(&before, &before), [""; 0]);
    }

    #[test]
    fn an_item_put_in_between_is_one_difference() {
        let list = |items: &[&str]| json!({ "l": items });
        assert_eq!(lines(&list(&["a", "c"]), &list(&["a", "b", "c"])), ["+l[1]=b"]);
        assert_eq!(lines(&list(&["a", "b", "c"]), &list(&["a", "c"])), ["-l[1]=b"]);
        assert_eq!(lines(&list(&["a", "a"]), &list(&["a"])), ["-l[1]=a"]);
        assert_eq!(lines(&list(&["x", "c"]), &list(&["y", "c"])), ["-l[0]=x", "+l[0]=y"]);
        assert_eq!(lines(&list(&["x"]), &list(&[])), ["-l[0]=x"]);
    }

    #[test]
    fn what_is_not_there_is_told_leaf_by_leaf() {
        let told = lines(&Value::Null, &json!({"kind": "Team", "spec": {"members": ["a"]}}));
        assert_eq!(told, ["+kind=Team", "+spec.members[0]=a"]);
        assert_eq!(lines(&json!({"kind": "Team"}), &Value::Null), ["-kind=Team"]);
    }
}
