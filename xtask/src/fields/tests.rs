//! Fields are found wherever a schema hides them, and the page has one row for each.

use serde_json::json;

use super::*;

fn schema() -> Value {
    json!({ "$defs": {
        "TCPRoute": { "properties": {
            "kind": { "const": "TCPRoute" },
            "metadata": { "$ref": "#/$defs/Meta" },
            "spec": { "$ref": "#/$defs/Spec" },
            "status": {},
        } },
        "Meta": { "properties": { "name": { "type": "string" } } },
        "Spec": { "properties": {
            "later": { "description": "Not enforced yet." },
            "many": { "items": true, "type": "array" },
            "options": { "additionalProperties": { "type": "string" }, "type": "object" },
            "rules": { "items": { "$ref": "#/$defs/Rule" }, "type": "array" },
        } },
        "Rule": { "properties": {
            "name": { "type": "string" },
            "word": { "oneOf": [{ "const": "A" }, { "const": "B" }] },
        } },
    } })
}

fn list() -> String {
    let mut list = String::from("# The list.\n\n");
    for (path, tests) in [
        ("spec.later", "refused: a.rs: is_refused"),
        ("spec.many[]", "refused: a.rs: is_refused"),
        ("spec.options.*", "a.rs: one; b.rs: two"),
        ("spec.rules[].name", "a.rs: one"),
        ("spec.rules[].word", "a.rs: one"),
    ] {
        list.push_str(&format!("TCPRoute\t{path}\t{tests}\n"));
    }
    list
}

#[test]
fn references_lists_and_maps_are_followed_to_what_holds_no_other_field() {
    let found: Vec<_> =
        of_schema(&schema()).into_iter().map(|field| (field.path, field.takes_anything)).collect();
    let wanted = [
        ("spec.later", true),
        ("spec.many[]", true),
        ("spec.options.*", false),
        ("spec.rules[].name", false),
        ("spec.rules[].word", false),
    ];
    assert_eq!(found, wanted.map(|(path, anything)| (path.to_owned(), anything)));
}

#[test]
fn every_kind_of_the_real_schema_has_fields() {
    let fields = of_schema(&model::schema::document());
    for kind in KINDS {
        assert!(fields.iter().any(|field| field.kind == kind), "{kind}");
    }
    let has = |path: &str| fields.iter().any(|field| field.path == path);
    assert!(has("spec.rules[].matches[].headers[].value") && !has("spec.rules"));
    assert!(fields.iter().all(|field| field.path.starts_with("spec.")));
}

#[test]
fn the_page_has_a_row_for_each_field_in_the_order_of_the_schema() {
    let page = page_of(&schema(), &list()).unwrap();
    let rows: Vec<_> = page.lines().filter(|line| line.starts_with("| `")).collect();
    let wanted = [
        "| `spec.later` | refused: `a.rs: is_refused` |",
        "| `spec.many[]` | refused: `a.rs: is_refused` |",
        "| `spec.options.*` | `a.rs: one`; `b.rs: two` |",
        "| `spec.rules[].name` | `a.rs: one` |",
        "| `spec.rules[].word` | `a.rs: one` |",
    ];
    assert_eq!(rows, wanted);
    assert!(page.contains("\n## TCPRoute\n"), "{page}");
}

#[test]
fn there_is_no_page_with_a_field_that_nothing_holds() {
    let list = list().replace("TCPRoute\tspec.rules[].name\ta.rs: one\n", "");
    let fault = page_of(&schema(), &list).unwrap_err().to_string();
    assert!(fault.contains("has no line for TCPRoute spec.rules[].name"), "{fault}");
}

#[test]
fn what_is_not_three_columns_is_no_line() {
    let (lines, odd) = lines("TCPRoute spec.a b\nTCPRoute\tspec.a\tb\n\tc\n");
    assert_eq!((lines.len(), odd), (1, vec![1, 3]));
}
