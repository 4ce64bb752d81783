//! JSON as YAML in the block form, which [`read()`](crate::read()) reads back as it was.

use serde_json::Value;

/// `value` as a document.
pub fn text(value: &Value) -> String {
    let mut text = String::new();
    node(value, 0, &mut text);
    text.trim_start_matches(['\n', ' ']).to_owned()
}

/// `value` as the lines of a document that stand `indent` deep.
pub fn indented(value: &Value, indent: usize) -> String {
    let mut text = String::new();
    node(value, indent, &mut text);
    text.trim_start_matches('\n').to_owned()
}

/// What stands after `key:` or `-`, with its line's end.
fn node(value: &Value, indent: usize, to: &mut String) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            to.push('\n');
            for (name, value) in fields {
                pad(indent, to);
                to.push_str(&scalar(name));
                to.push(':');
                // Lists stand below their key without a step, as kubectl prints them.
                let deeper = if value.is_array() { indent } else { indent + 2 };
                node(value, deeper, to);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            to.push('\n');
            for item in items {
                pad(indent, to);
                to.push('-');
                item_of(item, indent, to);
            }
        }
        Value::String(text) => {
            to.push(' ');
            match block(text, indent) {
                Some(block) => to.push_str(&block),
                None => {
                    to.push_str(&scalar(text));
                    to.push('\n');
                }
            }
        }
        // Empty lists and mappings too.
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            to.push(' ');
            to.push_str(&value.to_string());
            to.push('\n');
        }
    }
}

/// An item: a mapping or list in it begins on the line of its dash.
fn item_of(item: &Value, indent: usize, to: &mut String) {
    let mut inner = String::new();
    node(item, indent + 2, &mut inner);
    match inner.strip_prefix('\n') {
        Some(lines) => {
            to.push(' ');
            to.push_str(lines.trim_start_matches(' '));
        }
        None => to.push_str(&inner),
    }
}

fn pad(indent: usize, to: &mut String) {
    to.extend(std::iter::repeat_n(' ', indent));
}

/// A text of several lines as a literal block, where that says it exactly.
fn block(text: &str, indent: usize) -> Option<String> {
    let (body, mark) = match text.strip_suffix('\n') {
        Some(body) => (body, "|\n"),
        None => (text, "|-\n"),
    };
    let is_plain = body.contains('\n')
        && !body.starts_with([' ', '\n', '\t'])
        && !body.ends_with('\n')
        && body.chars().all(|c| c == '\n' || (!c.is_control() && !is_break(c)));
    is_plain.then(|| {
        let mut block = mark.to_owned();
        for line in body.split('\n') {
            if !line.is_empty() {
                pad(indent.max(2), &mut block);
                block.push_str(line);
            }
            block.push('\n');
        }
        block
    })
}

/// Further letters that some readers take for the end of a line, or for none.
fn is_break(letter: char) -> bool {
    matches!(letter, '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{feff}')
}

/// A text on one line: bare where nothing else could be meant, else as JSON, which YAML reads.
fn scalar(text: &str) -> String {
    if is_bare(text) {
        return text.to_owned();
    }
    let quoted = serde_json::Value::from(text).to_string();
    let mut safe = String::with_capacity(quoted.len());
    for letter in quoted.chars() {
        if is_break(letter) || letter.is_control() {
            safe.push_str(&format!("\\u{:04x}", u32::from(letter)));
        } else {
            safe.push(letter);
        }
    }
    safe
}

/// Letters that mean nothing in YAML, and no word that means something else than itself.
fn is_bare(text: &str) -> bool {
    const WORDS: [&str; 8] = ["true", "false", "null", "yes", "no", "on", "off", "y"];
    let begins = text.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'/');
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'/' | b'+');
    let lower = text.to_ascii_lowercase();
    begins && text.bytes().all(plain) && lower != "n" && !WORDS.contains(&lower.as_str())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_resource_reads_as_people_write_it() {
        let value = json!({
            "kind": "HTTPRoute",
            "spec": {
                "hostnames": ["*.shop.test"],
                "rules": [{"matches": [{"path": {"value": "/x"}}], "port": 80}, {}],
                "empty": [],
                "nested": [[1, 2], "true"],
            },
        });
        let wanted = "\
kind: HTTPRoute
spec:
  empty: []
  hostnames:
  - \"*.shop.test\"
  nested:
  - - 1
    - 2
  - \"true\"
  rules:
  - matches:
    - path:
        value: /x
    port: 80
  - {}
";
        assert_eq!(text(&value), wanted);
    }

    #[test]
    fn every_text_is_read_back_as_it_was() {
        let texts = [
            "plain",
            "",
            "true",
            "Null",
            "~",
            "1",
            "1e3",
            "-",
            "- a",
            "a: b",
            "a #b",
            "'",
            "\"",
            "\\",
            "*",
            "&x",
            "one\ntwo\n",
            "one\ntwo",
            "one\n\n  two\n",
            " one\ntwo",
            "one\ntwo\n\n",
            "\n",
            "---\n...\n",
            "tab\tin\nit",
            "a\u{85}b\u{2028}c",
            "\u{1}\u{7f}",
            "grün",
            "0x1f",
            "2001-01-01",
            ".inf",
            "<<",
        ];
        let data: serde_json::Map<_, _> =
            texts.iter().enumerate().map(|(n, text)| (format!("k{n}"), json!(text))).collect();
        let config = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "texts", "namespace": "shop"}, "data": data,
        });
        let written = text(&config);
        let read = crate::read(&written);
        let back = read[0].result.as_ref().unwrap_or_else(|e| panic!("{e:?}\n{written}"));
        for (name, value) in config["data"].as_object().unwrap() {
            assert_eq!(&back.to_json()["data"][name], value, "{name} in\n{written}");
        }
    }

    #[test]
    fn indented_lines_stand_below_each_other() {
        assert_eq!(indented(&json!({"a": {"b": 1}, "c": [1]}), 2), "  a:\n    b: 1\n  c:\n  - 1\n");
    }
}
