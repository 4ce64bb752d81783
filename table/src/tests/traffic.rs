//! Which TrafficPolicy a Service has, and what becomes of one that cannot be used.

use model::{Key, Kind, Name, Resource};
use serde_json::{Value, json};

use super::fixture::{faults, made, object, plain, route};
use crate::{Assembly, Input, Refused, assemble};

fn policy(name: &str, service: &str, created: Option<&str>) -> Resource {
    let targets = json!([{ "group": "", "kind": "Service", "name": service }]);
    let mut made = json!({ "spec": { "targetRefs": targets } });
    made["metadata"] = json!({ "namespace": "shop", "name": name });
    if let Some(created) = created {
        made["metadata"]["creationTimestamp"] = json!(created);
    }
    Resource::from_json(Kind::TrafficPolicy, made).unwrap()
}

/// A route to the ports 80 and 81 of `shop/orders`, and what else there is.
fn world(more: Vec<Resource>) -> Vec<Resource> {
    let ports = json!([{ "port": 80, "name": "a" }, { "port": 81, "name": "b" }]);
    let to = |port: u16| json!({ "name": "orders", "port": port });
    let led = route("r", &[], json!([{ "backendRefs": [to(80), to(81)] }]));
    let service = object(Kind::Service, "shop", "orders", json!({ "ports": ports }));
    [plain(), service, led].into_iter().chain(more).collect()
}

/// The policy of each port, by name.
fn held(assembly: &Assembly) -> Vec<Option<String>> {
    let services = assembly.table.services.iter();
    let name = |policy: &model::traffic::TrafficPolicy| policy.metadata.name.to_string();
    services.map(|service| service.traffic.as_deref().map(name)).collect()
}

#[test]
fn a_policy_holds_for_every_port_of_its_service_alone() {
    let assembly = made(world(vec![policy("calm", "orders", None)]));
    assert_eq!(held(&assembly), [Some("calm".to_owned()), Some("calm".to_owned())]);
    assert_eq!(faults(&assembly), Vec::<String>::new());
    assert_eq!(held(&made(world(vec![]))), [None, None]);
}

#[test]
fn of_several_the_oldest_holds_and_the_others_are_faults() {
    let [old, young] = ["2026-01-01T00:00:00Z", "2026-06-01T00:00:00Z"].map(Some);
    for (policies, holds, other) in [
        ([("a", young), ("b", old)], "b", "a"),
        ([("a", old), ("b", young)], "a", "b"),
        ([("b", None), ("a", None)], "a", "b"),
        ([("a", young), ("b", None)], "b", "a"),
    ] {
        let policies = policies.map(|(name, created)| policy(name, "orders", created));
        let assembly = made(world(policies.into()));
        assert_eq!(held(&assembly)[0].as_deref(), Some(holds));
        let fault = format!(
            "TrafficPolicy shop/{other}: spec.targetRefs[0]: TrafficPolicy '{holds}' holds for \
             Service shop/orders already"
        );
        assert_eq!(faults(&assembly), [fault]);
    }
}

#[test]
fn a_policy_for_a_service_that_is_not_there_is_a_fault_and_hurts_nobody() {
    let assembly = made(world(vec![policy("lost", "nobody", None)]));
    assert_eq!(held(&assembly), [None, None]);
    let fault = "TrafficPolicy shop/lost: spec.targetRefs[0]: no Service shop/nobody";
    assert_eq!(faults(&assembly), [fault]);
}

#[test]
fn one_that_is_refused_keeps_its_last_good_form_and_closes_nothing() {
    let before = made(world(vec![policy("calm", "orders", None)]));
    let name = |word: &str| Name::parse(word).unwrap();
    let refused = |raw: Value| Refused {
        key: Some(Key::new(Kind::TrafficPolicy, name("shop"), name("calm"))),
        raw: Some(raw),
        faults: Vec::new(),
    };
    let raw = json!({ "spec": { "targetRefs": "?" } });
    let input = || Input {
        resources: world(vec![]),
        refused: vec![refused(raw.clone())],
        ..Input::default()
    };
    assert_eq!(held(&assemble(input(), Some(&before)))[0].as_deref(), Some("calm"));
    let without = assemble(input(), None);
    assert_eq!(held(&without), [None, None]);
    let asked = super::fixture::get("h", "/");
    assert_eq!(asked.verdict(&without.table), "ok", "nothing is closed by it");
}
