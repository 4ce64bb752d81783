//! Rules about tests that are named: every field of the schema has one, and each is there.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Fault;
use super::workspace::Workspace;
use crate::fields::{self, Field, LIST, Line};

const SCHEMA: &str = "model/schema/heddle.schema.json";

/// What users are told of documents with faults; fields that are refused stand there.
const TOLD: &str = "model/src/read/tests/invalid.txt";

/// Each field of the schema has a line in the list, and each line a field and tests that are there.
pub(super) fn held(workspace: &Workspace) -> Vec<Fault> {
    let text = |path: &str| workspace.files.get(path).map(String::as_str);
    let schema: Value = match serde_json::from_str(text(SCHEMA).unwrap_or("{}")) {
        Ok(schema) => schema,
        Err(error) => {
            return vec![Fault::new(SCHEMA, format!("is no JSON: {error}"), "write it anew")];
        }
    };
    let fields = fields::of_schema(&schema);
    let (lines, odd) = fields::lines(text(LIST).unwrap_or_default());
    let mut faults = Vec::new();
    for number in odd {
        let right = "write kind, field and test, parted by tabs";
        faults.push(Fault::new(format!("{LIST}:{number}"), "has not three columns", right));
    }
    for field in &fields {
        if !lines.iter().any(|line| is_of(line, field)) {
            let wrong = format!("has no line for {} {}", field.kind, field.path);
            let right = "name a test that fails if the field is ignored, or write one";
            faults.push(Fault::new(LIST, wrong, right));
        }
    }
    let mut seen = BTreeSet::new();
    for line in &lines {
        let mut tell = |wrong: String, right: &str| {
            let wrong = format!("{} {}: {wrong}", line.kind, line.path);
            faults.push(Fault::new(format!("{LIST}:{}", line.number), wrong, right));
        };
        if !seen.insert((line.kind, line.path)) {
            tell("stands twice".to_owned(), "name all tests on one line, parted by '; '");
        }
        match fields.iter().find(|field| is_of(line, field)) {
            None => tell("is no field of the schema".to_owned(), "remove the line, or correct it"),
            Some(field) => judge(workspace, field, line, &mut tell),
        }
    }
    faults
}

fn is_of(line: &Line<'_>, field: &Field) -> bool {
    line.kind == field.kind && line.path == field.path
}

/// What is wrong with the line of a field that there is.
fn judge(
    workspace: &Workspace,
    field: &Field,
    line: &Line<'_>,
    tell: &mut impl FnMut(String, &str),
) {
    for test in line.tests.iter().filter(|test| !is_there(workspace, test)) {
        tell(format!("`{test}` is no test"), "name one as path/to/file.rs: function");
    }
    if field.takes_anything && !line.is_refused {
        tell("nothing reads it".to_owned(), "write 'refused: ' before the test that shows it");
    }
    if field.takes_anything && !is_told(workspace, field) {
        let right = format!("add it to the .yaml beside {TOLD}");
        tell("no document of the tests has it".to_owned(), &right);
    }
}

/// Somebody who writes the field is told that it is not enforced.
fn is_told(workspace: &Workspace, field: &Field) -> bool {
    let told = workspace.files.get(TOLD).map(String::as_str).unwrap_or_default();
    told.lines().filter(|line| line.contains(": this version does not enforce")).any(|line| {
        let mut parts = line.split(": ").skip(1);
        let object = parts.next().and_then(|object| object.split(' ').next());
        let path = parts.next().map(without_numbers).unwrap_or_default();
        object == Some(field.kind) && path == field.path.trim_end_matches("[]")
    })
}

/// `spec.rules[].name` of `spec.rules[3].name`.
fn without_numbers(path: &str) -> String {
    path.chars().filter(|letter| !letter.is_ascii_digit()).collect()
}

/// The tests that documents name as `path/to/file.rs: function`, in code, are there.
pub(super) fn named(workspace: &Workspace) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (path, text) in workspace.files_ending(".md") {
        for (index, line) in text.lines().enumerate() {
            let code = line.split('`').skip(1).step_by(2);
            for test in code.filter(|code| is_a_name(code) && !is_there(workspace, code)) {
                let right = "name what shows it now, or say that nothing does";
                let place = format!("{path}:{}", index + 1);
                faults.push(Fault::new(
                    place,
                    format!("names the test {test}, which is not"),
                    right,
                ));
            }
        }
    }
    faults
}

/// It has the form of a test's name.
fn is_a_name(code: &str) -> bool {
    code.split_once(".rs: ").is_some_and(|(path, name)| {
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        path.contains('/') && !name.is_empty() && name.chars().all(is_word)
    })
}

/// `path/to/file.rs: function` is a function of that file that is run as a test.
fn is_there(workspace: &Workspace, test: &str) -> bool {
    let Some((path, name)) = test.split_once(": ") else { return false };
    let Some(text) = workspace.files.get(path) else { return false };
    let lines: Vec<_> = text.lines().map(str::trim).collect();
    let (plain, waits) = (format!("fn {name}("), format!("async fn {name}("));
    let is_head = |line: &str| line.starts_with(&plain) || line.starts_with(&waits);
    lines.iter().enumerate().filter(|(_, line)| is_head(line)).any(|(at, _)| {
        let above = lines[..at].iter().rev();
        let mut above = above.take_while(|line| line.starts_with("#[") || line.starts_with("//"));
        above.any(|line| line.starts_with("#[test]") || line.starts_with("#[tokio::test"))
    })
}
