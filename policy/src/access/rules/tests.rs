//! The index of rules answers as asking each rule in turn would.

use std::sync::Arc;

use model::policy::AccessRule;
use model::{Checker, Name};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::Layer;
use crate::authn::Known;
use crate::fixtures::Request;

fn rule(place: usize, when: &Value) -> Rule {
    let rule = json!({ "name": format!("r{place}"), "when": when });
    let rule: AccessRule = serde_json::from_value(rule).unwrap();
    let mut at = Checker::default();
    let rule = Rule::compile(&rule, (&Name::parse("shop").unwrap(), None), &mut at);
    assert!(at.faults().is_empty());
    rule
}

fn any_when() -> impl Strategy<Value = Value> {
    let some = |words: &[Value]| {
        let words = words.to_vec();
        prop::option::weighted(0.5, prop::sample::subsequence(words, 1..=2))
    };
    let hosts = some(&[json!("a.example"), json!("*.example"), json!("*.a.example")]);
    let sources =
        some(&[json!("10.1.1.1"), json!("10.0.0.0/8"), json!("::/0"), json!("0.0.0.0/0")]);
    let callers = some(&[
        json!({ "apiKey": "x" }),
        json!({ "subject": "y" }),
        json!({ "issuer": "i" }),
        json!({}),
    ]);
    let path = |kind: &str, value: &str| json!({ "type": kind, "value": value });
    let paths = some(&[
        path("PathPrefix", "/"),
        path("PathPrefix", "/a/"),
        path("Exact", "/a/b"),
        path("Exact", "/a/"),
        path("RegularExpression", "/a.*"),
    ]);
    (hosts, sources, callers, paths).prop_map(|(hosts, sources, callers, paths)| {
        let lists =
            [("hosts", hosts), ("sources", sources), ("callers", callers), ("paths", paths)];
        let lists =
            lists.into_iter().filter_map(|(name, list)| Some((name.to_owned(), json!(list?))));
        Value::Object(lists.collect())
    })
}

fn any_known() -> impl Strategy<Value = Known> {
    let jwt = |subject: Option<&str>| Principal::Jwt {
        issuer: "i".to_owned(),
        subject: subject.map(str::to_owned),
        claims: serde_json::Map::new(),
    };
    let key = Principal::ApiKey { name: "x".to_owned() };
    let all = vec![key, jwt(Some("y")), jwt(Some("z")), jwt(None)];
    let some = prop::sample::subsequence(all, 0..=2);
    some.prop_map(|some| some.into_iter().map(|one| (0, Arc::new(one))).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn what_hangs_on_hooks_is_found_as_one_by_one(
        whens in prop::collection::vec(any_when(), 0..12),
        host in prop::sample::select(vec!["", "a.example", "b.a.example", "example", "x.test"]),
        source in prop::sample::select(vec!["10.1.1.1", "10.2.2.2", "11.1.1.1", "::1", "::ffff:10.1.1.1"]),
        path in prop::sample::select(vec!["/", "/a", "/a/", "/a/b", "/a/b/", "/ab"]),
        known in any_known(),
        layer in prop::sample::select(vec![Layer::Request, Layer::Connection, Layer::Datagrams]),
    ) {
        let rules = || whens.iter().enumerate().map(|(place, when)| rule(place, when));
        let request = Request { layer, host: host.to_owned(), ..Request::get(path).from(source) };
        let facts = request.facts();
        let seen = Seen::new(&facts, &known);
        let wanted = rules().find(|rule| rule.matches(&seen)).map(|rule| rule.name);
        let hooked = Rules::indexed(rules().collect());
        let found = hooked.first_matching(&seen).map(|rule| Arc::clone(&rule.name));
        prop_assert_eq!(found, wanted);
    }
}

#[test]
fn of_many_rules_few_are_asked() {
    let count = 10_000;
    for dimension in ["callers", "hosts", "sources", "paths"] {
        let when = |place: usize| match dimension {
            "callers" => {
                json!({ "callers": [{ "apiKey": format!("c{place}") }], "hosts": ["a.example"] })
            }
            "hosts" => {
                json!({ "hosts": [format!("h{place}.example")], "paths": [{ "value": "/a" }] })
            }
            "sources" => json!({ "sources": [format!("10.{}.{}.0/24", place / 256, place % 256)] }),
            _ => json!({ "methods": ["GET"], "paths": [{ "value": format!("/a/{place}") }] }),
        };
        let rules = Rules::new((0..count).map(|place| rule(place, &when(place))).collect());
        let maps = [&rules.api_keys, &rules.subjects, &rules.hosts, &rules.paths];
        let words = maps.iter().flat_map(|map| map.values());
        let longest = words.chain(rules.nets.values()).map(Vec::len).max();
        assert_eq!((longest, rules.anywhere.len()), (Some(1), 0), "{dimension}");
    }
}
