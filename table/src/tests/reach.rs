//! In which clusters a workspace is: elsewhere, what is called as its own is somebody else's.

use model::cluster::Reach;
use model::identity::Peer;
use model::{Invalid, Key, Kind, Name, Resource};
use policy::{Facts, Verdict};
use serde_json::{Value, json};

use super::fixture::{get, object};
use crate::{Assembly, Input, Refused, assemble};

fn name(word: &str) -> Name {
    Name::parse(word).unwrap()
}

fn cluster(called: &str, stage: &str) -> Resource {
    let metadata = json!({ "name": called, "namespace": "heddle", "labels": { "stage": stage } });
    Resource::from_json(Kind::Cluster, json!({ "metadata": metadata })).unwrap()
}

fn workspace(clusters: Value) -> Resource {
    let spec = json!({ "namespaces": ["shop"], "clusters": clusters });
    object(Kind::Workspace, "heddle", "shop", spec)
}

fn workload(called: &str, cluster: &str, address: &str) -> Resource {
    let written = json!({
        "metadata": { "namespace": "shop", "name": called, "labels": { "app": "orders" } },
        "spec": { "cluster": cluster, "address": address, "ports": [{ "port": 8080 }],
            "mesh": { "outbound": 15001 } },
    });
    Resource::from_json(Kind::Workload, written).unwrap()
}

/// Orders that any workload and any gateway of the workspace's clusters may ask.
fn shop() -> Vec<Resource> {
    let ports = json!([{ "port": 80, "targetPort": 8080 }]);
    let service = json!({ "selector": { "app": "orders" }, "ports": ports });
    let rules = json!([
        { "name": "own", "when": { "workloads": [{}] } },
        { "name": "edge", "when": { "workloads": [{ "gateway": "edge" }] } },
        { "name": "by-name", "when": { "workloads": [{ "cluster": "lab", "gateway": "other" }] } },
    ]);
    let targets = json!([{ "group": "", "kind": "Service", "name": "orders" }]);
    vec![
        object(Kind::Service, "shop", "orders", service),
        object(
            Kind::AccessPolicy,
            "shop",
            "orders",
            json!({ "targetRefs": targets, "rules": rules }),
        ),
        workload("orders-1", "east", "10.0.0.1"),
        workload("orders-2", "west", "10.0.0.2"),
        workload("orders-3", "lab", "10.0.0.3"),
        cluster("east", "production"),
        cluster("west", "production"),
        cluster("lab", "test"),
    ]
}

fn made(more: Vec<Resource>, of: (&str, &str), refused: Vec<Refused>) -> Assembly {
    let stands_for = Some(Key::new(Kind::Workload, name("shop"), name(of.0)));
    let resources = [shop(), more].concat();
    let cluster = Some(name(of.1));
    let input = Input { resources, refused, slice: true, stands_for, cluster, ..Input::default() };
    assemble(input, None)
}

fn account(cluster: &str) -> Peer {
    let (namespace, service_account) = (name("shop"), name("front"));
    Peer::Workload { cluster: name(cluster), namespace, service_account }
}

fn gateway(cluster: &str, called: &str) -> Peer {
    Peer::Gateway { cluster: name(cluster), name: name(called) }
}

fn meets(assembly: &Assembly, peer: &Peer) -> String {
    let ask = get("orders", "/");
    if !assembly.table.is_at_home(peer) {
        return "a stranger".to_owned();
    }
    let facts = Facts { peer: Some(peer), port: 8080, ..ask.facts() };
    match assembly.table.find(&facts) {
        Err(reason) => reason.to_string(),
        Ok(found) => match found.rule.chain.uncounted(&facts, found.prefix) {
            Verdict::Pass(_) => "ok".to_owned(),
            Verdict::Answer(answer) => answer.reason.to_string(),
        },
    }
}

/// Who is served by the proxy in the east: workloads and gateways of east, west and lab.
fn served(assembly: &Assembly) -> Vec<String> {
    let peers = ["east", "west", "lab"].into_iter();
    let peers = peers.flat_map(|cluster| [account(cluster), gateway(cluster, "edge")]);
    let served = peers.filter(|peer| meets(assembly, peer) == "ok");
    served.map(|peer| peer.to_string()).collect()
}

fn addresses(assembly: &Assembly) -> Vec<String> {
    let orders = assembly.table.services.iter().find(|one| one.key.kind == Kind::Service).unwrap();
    orders.endpoints.iter().map(|endpoint| endpoint.address.ip().to_string()).collect()
}

#[test]
fn the_same_name_where_the_workspace_is_not_is_somebody_else() {
    let everywhere = made(vec![workspace(json!({}))], ("orders-1", "east"), Vec::new());
    assert_eq!(served(&everywhere).len(), 6);
    assert_eq!(addresses(&everywhere).len(), 3);
    let selector = json!({ "stage": "production" });
    let made = made(vec![workspace(selector)], ("orders-1", "east"), Vec::new());
    assert_eq!(
        served(&made),
        [
            "workload shop/front of east",
            "gateway edge of east",
            "workload shop/front of west",
            "gateway edge of west",
        ]
    );
    // Also where a rule says the cluster.
    assert_eq!(meets(&everywhere, &gateway("lab", "other")), "ok");
    assert_eq!(meets(&made, &gateway("lab", "other")), "a stranger");
    // And nothing is sent there.
    assert_eq!(addresses(&made), ["10.0.0.1", "10.0.0.2"]);
}

#[test]
fn a_proxy_where_its_workspace_is_not_serves_nobody() {
    let selector = json!({ "stage": "production" });
    let lab = made(vec![workspace(selector)], ("orders-3", "lab"), Vec::new());
    assert!(lab.table.inbound.is_none() && lab.table.outbound.is_none());
    let lab = made(vec![workspace(json!({ "stage": "test" }))], ("orders-3", "lab"), Vec::new());
    assert!(lab.table.inbound.is_some());
}

#[test]
fn borders_are_read_as_far_as_they_can_be() {
    let unread = |kind: Kind, called: &str, raw: Value| {
        let key = Key::new(kind, name("heddle"), name(called));
        let fault = Invalid {
            key: Some(key.clone()),
            path: "spec.newer".to_owned(),
            line: None,
            reason: "is not known".to_owned(),
            nearest: None,
        };
        Refused { key: Some(key), raw: Some(raw), faults: vec![fault] }
    };
    let reach = |refused: Vec<Refused>, more: Vec<Resource>| {
        made(more, ("orders-1", "east"), refused).table.reaches.get(&name("shop")).cloned()
    };
    let of = |names: &[&str]| Some(Reach::In(names.iter().map(|word| name(word)).collect()).into());
    let newer = |clusters: Value| json!({ "spec": { "clusters": clusters, "newer": 1 } });
    for (clusters, wanted) in [
        (json!({ "stage": "test" }), of(&["lab"])),
        (json!({}), None),
        // What it selects by cannot be told, so it is nowhere.
        (json!({ "stage": { "in": ["test"] } }), of(&[])),
        (json!({ "stage": "test", "region": 5 }), of(&[])),
        (json!([{ "stage": "test" }]), of(&[])),
        (json!("everywhere"), of(&[])),
        (json!(null), of(&[])),
    ] {
        let refused = vec![unread(Kind::Workspace, "shop", newer(clusters.clone()))];
        assert_eq!(reach(refused, Vec::new()), wanted, "{clusters}");
    }
    let labels = json!({ "stage": "production", "region": 5, "": "" });
    let raw = json!({ "metadata": { "labels": labels }, "spec": { "newer": 1 } });
    let refused = vec![unread(Kind::Cluster, "north", raw)];
    let more = vec![workspace(json!({ "stage": "production" }))];
    assert_eq!(reach(refused, more), of(&["east", "north", "west"]));
}
