//! What came past the door: objects of one workspace on the ground that another one claims.

use model::{Kind, Name, Resource};
use serde_json::json;

use super::naive::Reading;
use crate::dice::Dice;
use crate::isolation::valid::{SHARED, object};

/// What stands on another's ground.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Sort {
    Route,
    RouteOfWildcard,
    Listener,
    Claim,
}

impl Sort {
    pub(crate) const ALL: [Sort; 4] =
        [Sort::Route, Sort::RouteOfWildcard, Sort::Listener, Sort::Claim];
}

/// An intruder, and the namespace of the Claim that holds the ground.
pub(crate) fn intruder(
    dice: &mut Dice,
    sort: Sort,
    world: &[Resource],
) -> Option<(Resource, Name)> {
    let reading = Reading::new(world);
    let claims: Vec<_> = world.iter().filter(|one| one.kind() == Kind::Claim).collect();
    if claims.is_empty() {
        return None;
    }
    let holder = &dice.pick(&claims).meta().namespace;
    let workspace = |namespace: &Name| reading.workspace(namespace).map(|one| &one.metadata.name);
    let others = world
        .iter()
        .map(|one| &one.meta().namespace)
        .filter(|other| workspace(other).is_some() && workspace(other) != workspace(holder));
    let others: Vec<_> = others.collect();
    if others.is_empty() {
        return None;
    }
    let own = dice.pick(&others).as_str();
    let host = format!("x.{holder}.test");
    let route = |hosts: &[String]| {
        let spec = json!({
            "parentRefs": [{ "namespace": SHARED, "name": "edge" }],
            "hostnames": hosts,
            "rules": [{ "matches": [{ "path": { "type": "Exact", "value": "/a" } }],
                "backendRefs": [{ "name": "web", "port": 80 }] }],
        });
        object(Kind::HttpRoute, own, "intruder", json!({ "spec": spec }))
    };
    let intruder = match sort {
        Sort::Route => route(&[format!("{holder}.test"), host]),
        Sort::RouteOfWildcard => route(&["*.test".to_owned()]),
        Sort::Listener => {
            let listener = json!({ "name": "x", "port": 80, "protocol": "HTTP", "hostname": host });
            let spec = json!({ "gatewayClassName": "heddle", "listeners": [listener] });
            object(Kind::Gateway, own, "intruder", json!({ "spec": spec }))
        }
        Sort::Claim => {
            let hosts = json!([{ "host": format!("*.{holder}.test") }]);
            let created = json!("2026-06-01T00:00:00Z");
            let meta = json!({ "namespace": own, "name": "x", "creationTimestamp": created });
            let claim = json!({ "metadata": meta, "spec": { "hosts": hosts } });
            Resource::from_json(Kind::Claim, claim).unwrap()
        }
    };
    Some((intruder, holder.clone()))
}
