//! What people write, and what they are told.

use std::fmt::Write as _;
use std::path::PathBuf;

use super::*;

mod bounds;
mod fuzz;
mod round;

/// Every kind once, with as many fields as can stand together.
const VALID: &str = include_str!("tests/valid.yaml");

fn faults(text: &str) -> Vec<String> {
    let documents = read(text).into_iter();
    let faults = documents.flat_map(|document| document.result.err().unwrap_or_default());
    faults.map(|fault| fault.to_string()).collect()
}

/// Compares with a file beside this one; `UPDATE=1` rewrites it.
fn golden(file: &str, text: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(file);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let wanted = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(text == wanted, "{file} differs; UPDATE=1 rewrites it, then read the difference");
}

#[test]
fn every_fault_says_where_what_and_what_would_be_right() {
    let cases = include_str!("tests/invalid.yaml");
    let mut told = String::new();
    for case in cases.split("# case: ").skip(1) {
        let (title, text) = case.split_once('\n').unwrap();
        let faults = faults(text);
        assert!(!faults.is_empty(), "{title}: no fault");
        writeln!(told, "{title}").unwrap();
        for fault in faults {
            writeln!(told, "    {fault}").unwrap();
        }
    }
    golden("src/read/tests/invalid.txt", &told);
}

#[test]
fn the_checked_in_schema_is_what_the_types_say() {
    let text = serde_json::to_string_pretty(&crate::schema::document()).unwrap() + "\n";
    golden("schema/heddle.schema.json", &text);
}

#[test]
fn the_schema_of_one_kind_holds_all_it_refers_to_and_no_other_kind() {
    for kind in Kind::ALL {
        let schema = crate::schema::of(kind);
        let text = schema.to_string();
        for part in text.split("\"#/$defs/").skip(1) {
            let name = part.split('"').next().unwrap();
            assert!(schema["$defs"].get(name).is_some(), "{kind}: {name}");
        }
        let others = Kind::ALL.into_iter().filter(|other| *other != kind);
        assert!(others.into_iter().all(|other| schema["$defs"].get(other.as_str()).is_none()));
    }
}

#[test]
fn all_kinds_are_read() {
    let documents = read(VALID);
    let resource = |one: &Document| one.result.clone().unwrap_or_else(|e| panic!("{e:?}"));
    let kinds: Vec<_> = documents.iter().map(|one| resource(one).kind()).collect();
    for kind in Kind::ALL {
        assert!(kinds.contains(&kind), "{kind}");
    }
    assert!(documents.iter().all(|one| one.raw.is_none() && one.key.is_some()));
}

#[test]
fn what_stands_in_for_something_required_is_not_judged() {
    let route = |spec: &str| {
        let head =
            "apiVersion: gateway.networking.k8s.io/v1\nkind: TLSRoute\nmetadata: { name: r }\n";
        faults(&format!("{head}{spec}\n"))
    };
    for (spec, wanted) in [
        ("", "line 1: TLSRoute default/r: spec: is missing"),
        ("spec: { hostnames: [a.b] }", "line 4: TLSRoute default/r: spec.rules: is missing"),
        (
            "spec: { hostnames: [a.b], rules: [x] }",
            "line 4: TLSRoute default/r: spec.rules[0]: wants",
        ),
    ] {
        let faults = route(spec);
        assert!(matches!(&faults[..], [one] if one.starts_with(wanted)), "{spec}: {faults:?}");
    }
}

#[test]
fn one_bad_document_leaves_the_others_alone() {
    let good = "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: NAME }\n";
    for bad in ["a: [1\n", "\"open\n", "{ kind: Nope }\n", "- 1\n", "a: b: c\n", "*no\n", "\u{1}\n"]
    {
        let text = [good.replace("NAME", "one"), bad.to_owned(), good.replace("NAME", "two")];
        let documents = read(&text.join("---\n"));
        let read: Vec<_> = documents.iter().map(|document| document.result.is_ok()).collect();
        assert_eq!(read, [true, false, true], "{bad:?}");
        assert_eq!(documents[2].line, 1 + 3 + 1 + bad.lines().count() + 1, "{bad:?}");
    }
}

#[test]
fn an_unreadable_document_still_says_which_object_it_is() {
    let text =
        "apiVersion: v1\nkind: Service\nmetadata: { name: a, namespace: b }\nspec: { ports\n";
    let [document] = &read(text)[..] else { panic!("one document") };
    assert_eq!(document.key.as_ref().unwrap().to_string(), "Service b/a");
    // The name may not have been all of it.
    let text = "apiVersion: v1\nkind: Service\nmetadata: { name: a, namespace: \"b\n";
    assert_eq!(read(text)[0].key, None);
}

#[test]
fn somebody_elses_kind_of_the_same_name_is_not_ours() {
    let text = "{apiVersion: serving.knative.dev/v1, kind: Service, metadata: {name: a}, spec: {}}";
    let [document] = &read(text)[..] else { panic!("one document") };
    assert_eq!(document.key, None);
    assert_eq!(faults(text), ["line 1: apiVersion: Service is 'v1', not 'serving.knative.dev/v1'"]);
}

#[test]
fn secrets_are_in_no_message_and_no_dump() {
    let text = "
apiVersion: v1
kind: Secret
metadata:
  name: keys
  annotations:
    kubectl.kubernetes.io/last-applied-configuration: marker-1
data: { a: marker-2, b: 4711, c: [marker-3], d: .inf }
stringData: { a: 4711, b: true, c: marker-4 }
";
    let cases = [
        text.to_owned(),
        text.replace("{ a: marker-2, b: 4711, c: [marker-3], d: .inf }", "marker-5"),
        text.replace("kind: Secret", "kind: Secrets"),
        text.replace("data: { a: marker-2, b: 4711, c: [marker-3], d: .inf }\n", "")
            .replace("a: 4711, b: true, ", ""),
    ];
    for text in cases {
        let documents = read(&text);
        let shown = format!("{documents:?} {:?}", faults(&text));
        assert!(!shown.contains("marker") && !shown.contains("4711"), "{shown}");
    }
}

#[test]
fn a_list_as_kubectl_prints_it_stands_for_its_items() {
    let text = "
apiVersion: v1
kind: List
metadata: { resourceVersion: '' }
items:
- { apiVersion: v1, kind: ConfigMap, metadata: { name: a, creationTimestamp: null } }
- { apiVersion: v1, kind: ConfigMap, metadata: { nme: b } }
";
    let documents = read(text);
    assert_eq!(documents.iter().map(|one| one.line).collect::<Vec<_>>(), [6, 7]);
    assert!(documents[0].result.is_ok() && documents[1].result.is_err());
}

#[test]
fn json_marks_breaks_and_tabs_do_not_matter() {
    let json = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"b":"1"}}"#;
    let yaml = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata: {\"b\":\t'1'}\n";
    let wanted = read(json).remove(0).result.unwrap();
    let crlf = yaml.replace('\n', "\r\n");
    let cr = yaml.replace('\n', "\r");
    for text in [yaml, &crlf, &cr, &format!("\u{feff}{yaml}"), &json.replace(':', ":\n\t")] {
        assert_eq!(read(text).remove(0).result.as_ref(), Ok(&wanted), "{text:?}");
    }
    let line = |text: &str| read(text).remove(0).result.unwrap_err()[0].line;
    assert_eq!(line(&crlf.replace("name", "nam")), Some(3));
}
