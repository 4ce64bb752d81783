//! Which endpoints are told in which zones they are.

use model::{Kind, Resource};
use serde_json::{Value, json};

use super::fixture::{faults, made, object, plain, route};

/// A route to `shop/web`, a Service that wishes this, under a policy that says that, where something is.
fn zones(wish: Option<&str>, policy: Option<&str>) -> Vec<Vec<String>> {
    let mut service = json!({ "ports": [{ "port": 80 }] });
    if let Some(wish) = wish {
        service["trafficDistribution"] = json!(wish);
    }
    let labels = json!({ "kubernetes.io/service-name": "web" });
    let endpoints = json!([
        { "addresses": ["10.0.0.1"], "zone": "a" },
        { "addresses": ["10.0.0.2"], "zone": "b", "hints": { "forZones": [{ "name": "a" },
            { "name": "c" }], "forNodes": [{ "name": "n1" }] } },
        { "addresses": ["10.0.0.3"] },
        { "addresses": ["10.0.0.4"], "zone": "d", "hints": {} },
    ]);
    let slice = json!({ "metadata": { "labels": labels }, "addressType": "IPv4",
        "endpoints": endpoints, "ports": [{ "port": 8080 }] });
    let mut all = vec![
        plain(),
        object(Kind::Service, "shop", "web", service),
        object(Kind::EndpointSlice, "shop", "one", slice),
        route("r", &[], json!([{ "backendRefs": [{ "name": "web", "port": 80 }] }])),
    ];
    all.extend(policy.map(under));
    let assembly = made(all);
    assert_eq!(faults(&assembly), [""; 0]);
    let endpoints = assembly.table.services[0].endpoints.iter();
    let told = endpoints.map(|one| one.zones.iter().map(ToString::to_string).collect());
    told.collect()
}

fn under(word: &str) -> Resource {
    let spec: Value = json!({
        "targetRefs": [{ "group": "", "kind": "Service", "name": "web" }],
        "balance": { "zones": word },
    });
    object(Kind::TrafficPolicy, "shop", "web", spec)
}

#[test]
fn endpoints_are_in_zones_where_a_policy_or_else_their_service_prefers_near_ones() {
    let told = ["a", "a c", "", "d"]
        .map(|zones| zones.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
    let nothing = [const { Vec::<String>::new() }; 4];
    for (wish, policy, is_preferred) in [
        (None, None, false),
        (None, Some("Prefer"), true),
        (Some("PreferClose"), None, true),
        (Some("PreferSameZone"), None, true),
        (Some("PreferSameNode"), None, true),
        (Some("Whatever"), None, false),
        (Some("PreferClose"), Some("Ignore"), false),
        (Some("Whatever"), Some("Prefer"), true),
    ] {
        let wanted = if is_preferred { &told } else { &nothing };
        assert_eq!(zones(wish, policy), *wanted, "{wish:?} {policy:?}");
    }
}

#[test]
fn a_workload_is_in_the_zone_of_its_label() {
    let workload = json!({ "cluster": "east", "address": "10.0.0.9",
        "ports": [{ "name": "http", "port": 8080 }] });
    let at = |name: &str, app: &str, zone: &str| {
        let labels = json!({ "app": app, "topology.kubernetes.io/zone": zone });
        let metadata = json!({ "namespace": "shop", "name": name, "labels": labels });
        let one = json!({ "metadata": metadata, "spec": workload });
        Resource::from_json(Kind::Workload, one).unwrap()
    };
    let service = json!({ "ports": [{ "port": 80, "targetPort": 8080 }],
        "selector": { "app": "web" }, "trafficDistribution": "PreferClose" });
    let assembly = made(vec![
        plain(),
        object(Kind::Service, "shop", "web", service),
        at("web-1", "web", "a"),
        // Another at the same address, which the Service does not mean, says nothing of it.
        at("other-1", "other", "b"),
        route("r", &[], json!([{ "backendRefs": [{ "name": "web", "port": 80 }] }])),
    ]);
    let [endpoint] = &assembly.table.services[0].endpoints[..] else { panic!("there is one") };
    assert_eq!(endpoint.zones, ["a".into()]);
}
