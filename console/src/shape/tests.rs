//! What comes of forms, field by field.

use model::{Kind, read};
use serde_json::{Value, json};

use super::{Field, Shape, Sort, Typed};
use crate::form::Fields;

/// What comes of fields that somebody typed into the form of an AccessPolicy.
fn typed(fields: &[(&str, &str)], act: impl FnOnce(&mut Typed<'_>)) -> Value {
    typed_as(Kind::AccessPolicy, fields, act)
}

fn typed_as(kind: Kind, fields: &[(&str, &str)], act: impl FnOnce(&mut Typed<'_>)) -> Value {
    let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let fields = Fields::new(fields.collect());
    let mut typed = Typed::new(&fields);
    act(&mut typed);
    let mut object = json!({ "metadata": { "name": "orders", "labels": { "old": "one" } } });
    Shape::of(kind).put(&typed, &mut object);
    object
}

const RULES: [(&str, &str); 13] = [
    ("item", "spec.targetRefs[0]"),
    ("spec.targetRefs[0].kind", "HTTPRoute"),
    ("spec.targetRefs[0].name", "orders"),
    ("spec.targetRefs[0].sectionName", ""),
    ("item", "spec.rules[0]"),
    ("spec.rules[0].name", "readers"),
    ("spec.rules[0].when.methods", "GET"),
    ("spec.rules[0].when.methods", "HEAD"),
    ("spec.rules[0].when.sources", "10.0.0.0/8\r\n\r\n192.0.2.7"),
    ("item", "spec.rules[0].when.callers[0]"),
    ("item", "spec.rules[1]"),
    ("spec.rules[1].name", "others"),
    ("spec.rules[1].action", "Deny"),
];

#[test]
fn what_is_typed_becomes_the_object_and_nothing_else() {
    let object = typed(&RULES, |_| {});
    assert_eq!(
        object,
        json!({
            "metadata": { "name": "orders" },
            "spec": {
                "targetRefs": [{ "kind": "HTTPRoute", "name": "orders" }],
                "rules": [
                    {
                        "name": "readers",
                        "when": {
                            "methods": ["GET", "HEAD"],
                            "sources": ["10.0.0.0/8", "192.0.2.7"],
                            "callers": [{}],
                        },
                    },
                    { "name": "others", "action": "Deny" },
                ],
            },
        })
    );
}

#[test]
fn entries_come_and_go_and_the_others_stay_as_they_are() {
    let names = |object: &Value| -> Vec<String> {
        let rules = object["spec"]["rules"].as_array().expect("a list").iter();
        rules.map(|rule| rule["name"].as_str().unwrap_or("none").to_owned()).collect()
    };
    assert_eq!(
        names(&typed(&RULES, |typed| typed.add("spec.rules"))),
        ["readers", "others", "none"]
    );
    assert_eq!(names(&typed(&RULES, |typed| typed.drop("spec.rules[0]"))), ["others"]);
    let object = typed(&RULES, |typed| typed.drop("spec.rules[0].when.callers[0]"));
    assert_eq!(object["spec"]["rules"][0]["when"].get("callers"), None);
    // What is no list, and what is no entry, is nothing.
    let same = typed(&RULES, |_| {});
    for act in ["spec.rules[7]", "spec", "", "spec.rules[99999999999999999999]"] {
        assert_eq!(typed(&RULES, |typed| typed.drop(act)), same, "{act}");
    }
    assert_eq!(typed(&RULES, |typed| typed.add("spec.rules[0].name")), same);
}

#[test]
fn what_is_no_number_and_no_word_is_told_by_whoever_reads_the_object() {
    let fields = [
        ("item", "spec.targetRefs[0]"),
        ("spec.targetRefs[0].kind", "Routes"),
        ("spec.targetRefs[0].name", "orders"),
        ("item", "spec.methods[0]"),
        ("spec.methods[0].name", "staff"),
        ("spec.methods[0].jwt.issuer", "https://login.example"),
        ("spec.methods[0].jwt.audiences", "orders"),
        ("spec.methods[0].jwt.jwks", "{\"keys\": [{\"kty\": \"OKP\"}]}"),
        ("spec.methods[0].jwt.leewaySeconds", "soon"),
        ("metadata.labels", "tier: web\nheddle.dev/api: orders"),
    ];
    let mut object = typed_as(Kind::AuthnPolicy, &fields, |_| {});
    assert_eq!(object["metadata"]["labels"], json!({ "tier": "web", "heddle.dev/api": "orders" }));
    object["apiVersion"] = Kind::AuthnPolicy.api_version().into();
    object["kind"] = Kind::AuthnPolicy.as_str().into();
    let read = read(&object.to_string());
    let faults = read[0].result.as_ref().expect_err("it is wrong");
    let paths: Vec<_> = faults.iter().map(|fault| fault.path.as_str()).collect();
    assert_eq!(paths, ["spec.methods[0].jwt.leewaySeconds", "spec.targetRefs[0].kind"]);
}

#[test]
fn each_field_of_a_policy_has_a_form_of_its_own() {
    fn as_json(field: &Field) -> Vec<&str> {
        match &field.sort {
            Sort::Record(fields) | Sort::List(fields) => fields.iter().flat_map(as_json).collect(),
            Sort::Json => vec![&field.name],
            _ => Vec::new(),
        }
    }
    for (kind, wanted) in [
        (Kind::AccessPolicy, &["targetRefs", "rules"][..]),
        (Kind::AuthnPolicy, &["methods", "targetRefs", "require"]),
        (Kind::RateLimitPolicy, &["limits", "targetRefs"]),
    ] {
        let spec = &Shape::of(kind).spec;
        assert_eq!(as_json(spec), [""; 0]);
        let Sort::Record(fields) = &spec.sort else { panic!("a record") };
        let names: Vec<_> = fields.iter().map(|field| field.name.as_str()).collect();
        assert_eq!(names, wanted);
    }
}

#[test]
fn an_object_of_very_many_entries_does_not_fit_a_form() {
    let rules = |count: usize| {
        let rule = json!({ "name": "one", "when": { "callers": [{}] } });
        json!({ "spec": { "targetRefs": [{}], "rules": vec![rule; count] } })
    };
    let shape = Shape::of(Kind::AccessPolicy);
    // A target, and of each rule itself and a caller.
    assert!(shape.fits(&rules(99)));
    assert!(!shape.fits(&rules(100)));
    assert!(shape.fits(&json!({ "spec": "nothing that was meant" })));
}
