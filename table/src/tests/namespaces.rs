//! Who attaches by the labels of namespaces, and who no longer does once they change.

use model::{Invalid, Key, Kind, Name, Resource};
use serde_json::{Value, json};

use super::fixture::{faults, get, made, object};
use crate::{Assembly, Closed, Input, Refused, assemble};

/// The labels of a namespace.
fn namespace(name: &str, labels: Value) -> Resource {
    let metadata = json!({ "name": name, "namespace": "heddle", "labels": labels });
    Resource::from_json(Kind::Namespace, json!({ "metadata": metadata })).unwrap()
}

/// The Gateway `edge` of a namespace, which takes routes and ListenerSets of those that `selector` picks.
fn edge(own: &str, selector: Value) -> Resource {
    let picked = json!({ "namespaces": { "from": "Selector", "selector": selector } });
    let web = json!({ "name": "web", "hostname": "web.test", "port": 80, "protocol": "HTTP",
        "allowedRoutes": picked });
    let spec = json!({ "gatewayClassName": "heddle", "listeners": [web],
        "allowedListeners": picked });
    object(Kind::Gateway, own, "edge", spec)
}

/// A route of `shop` at `infra/edge`, and a ListenerSet of it there with a route of its own.
fn attaching() -> [Resource; 3] {
    let edge = json!({ "namespace": "infra", "name": "edge" });
    let set = json!([{ "kind": "ListenerSet", "name": "set" }]);
    let own = json!([{ "name": "own", "hostname": "own.test", "port": 80, "protocol": "HTTP" }]);
    [
        object(Kind::HttpRoute, "shop", "web", json!({ "parentRefs": [edge] })),
        object(Kind::ListenerSet, "shop", "set", json!({ "parentRef": edge, "listeners": own })),
        object(Kind::HttpRoute, "shop", "own", json!({ "parentRefs": set })),
    ]
}

fn team(is: &str) -> Value {
    json!({ "matchLabels": { "team": is } })
}

fn by(operator: &str, values: Value) -> Value {
    json!({ "matchExpressions": [{ "key": "team", "operator": operator, "values": values }] })
}

/// Whether the route is attached, and the set; which go together here.
fn is_in(assembly: &Assembly) -> bool {
    let rules = ["web.test", "own.test"].map(|host| get(host, "/").rule(&assembly.table));
    let are_in = [rules[0] == "shop/web/0", rules[1] == "shop/own/0"];
    assert_eq!(are_in[0], are_in[1], "{rules:?} {:?}", faults(assembly));
    are_in[0]
}

fn with(selector: Value, labels: Option<Value>) -> Vec<Resource> {
    let labels = labels.map(|labels| namespace("shop", labels));
    attaching().into_iter().chain([edge("infra", selector)]).chain(labels).collect()
}

/// The same with a Namespace `shop` that cannot be read.
fn unread(selector: Value) -> Input {
    let name = |word: &str| Name::parse(word).unwrap();
    let key = Some(Key::new(Kind::Namespace, name("heddle"), name("shop")));
    let reason = "is odd".to_owned();
    let fault =
        Invalid { key: key.clone(), path: String::new(), line: None, reason, nearest: None };
    let refused = vec![Refused { key, raw: None, faults: vec![fault] }];
    Input { resources: with(selector, None), refused, ..Input::default() }
}

#[test]
fn labels_of_a_namespace_decide_who_attaches() {
    let ours = json!({ "team": "shop", "stage": "test" });
    let both = json!({ "matchLabels": { "team": "shop" },
        "matchExpressions": [{ "key": "stage", "operator": "NotIn", "values": ["test"] }] });
    for (selector, labels, wanted) in [
        (team("shop"), Some(ours.clone()), true),
        (team("bank"), Some(ours.clone()), false),
        (team("shop"), Some(json!({})), false),
        (team("shop"), None, false),
        (both, Some(ours.clone()), false),
        (by("In", json!(["bank", "shop"])), Some(ours.clone()), true),
        (by("NotIn", json!(["shop"])), Some(ours.clone()), false),
        (by("NotIn", json!(["shop"])), None, true),
        (by("Exists", json!([])), Some(ours.clone()), true),
        (by("DoesNotExist", json!([])), Some(ours.clone()), false),
        (by("DoesNotExist", json!([])), None, true),
        (json!({}), None, true),
        // What a namespace is called, no object says.
        (
            json!({ "matchLabels": { "kubernetes.io/metadata.name": "bank" } }),
            Some(json!({ "kubernetes.io/metadata.name": "bank" })),
            false,
        ),
    ] {
        let assembly = made(with(selector.clone(), labels.clone()));
        assert_eq!(is_in(&assembly), wanted, "{selector} {labels:?}");
        assert_eq!(faults(&assembly).is_empty(), wanted, "{selector} {labels:?}");
    }
    // Those of another namespace say nothing.
    let mut others = with(team("shop"), None);
    others.push(namespace("bank", ours));
    assert!(!is_in(&made(others)));
}

#[test]
fn routes_and_sets_come_and_go_with_the_labels_of_their_namespace() {
    let labelled = |labels: Option<Value>| with(team("shop"), labels);
    let input = |resources| Input { resources, ..Input::default() };
    let mut assembly = made(labelled(None));
    assert!(!is_in(&assembly));
    for (labels, wanted) in [
        (Some(json!({ "team": "shop" })), true),
        (Some(json!({ "team": "shop", "stage": "test" })), true),
        (Some(json!({ "team": "bank" })), false),
        (Some(json!({ "team": "shop" })), true),
        (None, false),
    ] {
        assembly = assemble(input(labelled(labels.clone())), Some(&assembly));
        assert_eq!(is_in(&assembly), wanted, "{labels:?}");
        // What is taken over from before is what would have been made anew.
        assert_eq!(faults(&assembly), faults(&made(labelled(labels))));
    }
}

#[test]
fn a_namespace_that_cannot_be_read_keeps_its_labels_and_has_none_to_judge_by_without_them() {
    let labels = json!({ "team": "shop" });
    for selector in [team("shop"), by("NotIn", json!(["bank"]))] {
        let before = made(with(selector.clone(), Some(labels.clone())));
        assert!(is_in(&before));
        assert!(is_in(&assemble(unread(selector), Some(&before))));
    }
    for selector in [
        team("shop"),
        by("In", json!(["shop"])),
        by("NotIn", json!(["shop"])),
        by("Exists", json!([])),
        by("DoesNotExist", json!([])),
    ] {
        let assembly = assemble(unread(selector.clone()), None);
        assert!(!is_in(&assembly), "{selector}");
        let told = faults(&assembly);
        let why = "and the labels of the namespace cannot be read";
        assert!(told.iter().filter(|one| one.ends_with(why)).count() == 2, "{told:?}");
        // Once it is mended it is judged by what it says.
        let mended = with(selector.clone(), Some(labels.clone()));
        let mended = Input { resources: mended, ..Input::default() };
        let anew = is_in(&made(with(selector.clone(), Some(labels.clone()))));
        assert_eq!(is_in(&assemble(mended, Some(&assembly))), anew, "{selector}");
    }
    // What asks for no label of theirs picks them still.
    for selector in [json!({}), json!({ "matchLabels": { "kubernetes.io/metadata.name": "shop" } })]
    {
        assert!(is_in(&assemble(unread(selector), None)));
    }
}

#[test]
fn a_fault_says_what_the_selector_wants_and_what_the_namespace_has() {
    let told = |selector: Value, labels: Option<Value>| {
        let told = faults(&made(with(selector, labels)));
        let is_first = |one: &String| !one.starts_with("HTTPRoute shop/own");
        told.into_iter().filter(is_first).collect::<Vec<_>>()
    };
    let wanted = |why: &str| {
        [
            format!(
                "HTTPRoute shop/web: spec.parentRefs[0]: Gateway infra/edge takes no routes of \
                 namespace 'shop': its selector {why}"
            ),
            format!(
                "ListenerSet shop/set: spec.parentRef: Gateway infra/edge takes no ListenerSets of \
                 namespace 'shop': its selector {why}"
            ),
        ]
    };
    for (selector, labels, why) in [
        (
            team("shop"),
            None,
            "wants the label 'team' to be 'shop', and the namespace has none of that name",
        ),
        (
            team("shop"),
            Some(json!({ "team": "bank" })),
            "wants the label 'team' to be 'shop', and the namespace has 'bank' there",
        ),
        (
            by("DoesNotExist", json!([])),
            Some(json!({ "team": "bank" })),
            "wants no label 'team', and the namespace has 'bank' there",
        ),
    ] {
        let mut told = told(selector, labels);
        told.sort();
        assert_eq!(told, wanted(why));
    }
}

#[test]
fn what_a_selector_wants_is_told_to_no_other_workspace() {
    let workspace = |name: &str, holds: &[&str]| {
        let text = json!({ "metadata": { "name": name, "namespace": "heddle" },
            "spec": { "namespaces": holds, "access": "open" } });
        Resource::from_json(Kind::Workspace, text).unwrap()
    };
    let told = |workspaces: Vec<Resource>, gateway: Option<Resource>| {
        let all = attaching().into_iter().chain(workspaces).chain(gateway);
        let told =
            faults(&made(all.chain([namespace("shop", json!({ "team": "bank" }))]).collect()));
        let is_parent = |one: &String| one.starts_with("HTTPRoute shop/web: spec.parentRefs");
        told.into_iter().find(is_parent).unwrap()
    };
    let gateway = || Some(edge("infra", team("secret")));
    // Of another workspace's Gateway, as if it were not there.
    let apart = || vec![workspace("shop", &["shop"]), workspace("infra", &["infra"])];
    let none = told(apart(), None);
    assert!(none.ends_with("no Gateway infra/edge takes routes of namespace 'shop'"), "{none}");
    assert_eq!(told(apart(), gateway()), none);
    // Of the platform's, by which label it judges.
    let platform = told(vec![workspace("shop", &["shop"])], gateway());
    let wanted = "its selector judges by the label 'team', and the namespace has 'bank' there";
    assert!(platform.ends_with(wanted) && !platform.contains("secret"), "{platform}");
    // Of their own, all of it.
    let own = told(vec![workspace("shop", &["shop", "infra"])], gateway());
    assert!(own.contains("wants the label 'team' to be 'secret'"), "{own}");
}

#[test]
fn what_an_unknown_policy_protects_of_a_whole_namespace_is_closed() {
    let name = |word: &str| Name::parse(word).unwrap();
    let closed = Closed {
        policy: "RegoPolicy shop/p".to_owned(),
        targets: vec![Key::new(Kind::Namespace, name("shop"), name("shop"))],
        fault: Invalid {
            key: None,
            path: String::new(),
            line: None,
            reason: "is of a kind that nobody knows".to_owned(),
            nearest: None,
        },
    };
    let input =
        Input { resources: with(json!({}), None), closed: vec![closed], ..Input::default() };
    let assembly = assemble(input, None);
    for host in ["web.test", "own.test"] {
        assert_eq!(get(host, "/").verdict(&assembly.table), "policy_unreadable", "{host}");
    }
}
