//! Nothing that a stranger writes takes more than the bounds say.

use super::super::tree::{DEPTH, DOCUMENT_BYTES};
use super::faults;

const HEAD: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: a }\n";

#[test]
fn an_alias_bomb_is_refused() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let alias = format!("*a{}, ", level - 1);
        text.push_str(&format!("a{level}: &a{level} [{}]\n", alias.repeat(10)));
    }
    let faults = faults(&text);
    assert_eq!(faults.len(), 1);
    assert!(faults[0].contains("aliases spelled out"), "{faults:?}");
}

#[test]
fn long_text_is_not_multiplied_by_aliases() {
    let text = format!("a: &a {}\nb: [{}]\n", "x".repeat(1 << 20), "*a, ".repeat(1000));
    assert!(faults(&text)[0].contains("aliases spelled out"));
}

#[test]
fn anchors_inside_anchors_cost_what_they_copy() {
    let open: String = (0..60).map(|level| format!("&a{level} [")).collect();
    let text = format!("a: {open}{}{}", "x,".repeat(100_000), "]".repeat(60));
    assert!(faults(&text)[0].contains("aliases spelled out"));
}

#[test]
fn depth_is_bounded_also_through_aliases() {
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    let blocks = |levels: usize| "- ".repeat(levels);
    for text in [format!("a: {}", nested(DEPTH)), blocks(DEPTH + 1), blocks(100_000)] {
        assert!(faults(&text)[0].contains("nested deeper than 64 levels"));
    }
    // The parser looks ahead inside brackets, and has a bound of its own.
    assert!(faults(&nested(100_000))[0].contains("recursion limit exceeded"));
    let text = format!("a: &a {}\nb: [[[{}*a]]]", nested(40), "[".repeat(30));
    assert!(faults(&text)[0].contains("nested deeper than 64 levels"));
}

#[test]
fn a_long_document_is_refused_and_a_long_file_is_not() {
    let long = format!("{HEAD}data: {{ a: {} }}\n", "x".repeat(DOCUMENT_BYTES));
    assert!(faults(&long)[0].contains("at most 3145728 are read"));
    let half = format!("{HEAD}data: {{ a: {} }}\n---\n", "x".repeat(DOCUMENT_BYTES / 2));
    assert_eq!(faults(&half.repeat(4)), Vec::<String>::new());
}

#[test]
fn of_very_many_faults_some_are_told_and_all_are_counted() {
    let key = "k".repeat(100_000);
    let fields: String = (0..5_000).map(|number| format!("  f{number}: 1\n")).collect();
    let faults = faults(&format!("{HEAD}data:\n  ? {key}\n  : []\n{fields}"));
    assert_eq!(faults.len(), 101);
    let size: usize = faults.iter().map(String::len).sum();
    assert!(size < 20_000, "{size}");
    assert!(faults.iter().any(|one| one.ends_with("has 4901 faults beyond those told here")));
}

#[test]
fn nothing_behind_a_nul_is_dropped_in_silence() {
    let text = format!("{HEAD}data: {{ a: b }}\n\0immutable: 7\n");
    assert!(faults(&text)[0].contains("line 5: "), "{:?}", faults(&text));
    assert!(faults(&text)[0].contains("control character U+0000"));
}
