//! Invalid objects of every sort, each owned by one namespace.

use model::{Invalid, Key, Kind, Name, Resource};
use serde_json::{Value, json};
use table::{Input, Refused};

use super::valid::{SHARED, consumer, key_of, object};
use crate::dice::Dice;

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Sort {
    NoKey,
    Unread(Kind),
    UnreadTwin,
    TwinOfGood,
    PolicyWithTargets,
    PolicyWithoutTargets,
    PolicyOnNothing,
    PolicyOnNoPart,
    PolicyWithoutSecret,
    PolicyWithShortKey,
    PolicyAgainstNobody,
    ProtectedRouteUnread,
    RouteWithoutGateway,
    RouteWithoutService,
    RouteToOthers,
    RouteWithBadPattern,
    GatewayWithoutSecret,
    GatewayWithOthersSecret,
    GatewayOnTakenPort,
    GatewayOnTakenHost,
    ConsumerWithTakenKey,
}

impl Sort {
    pub(crate) const ALL: [Sort; 33] = [
        Sort::NoKey,
        Sort::Unread(Kind::Gateway),
        Sort::Unread(Kind::HttpRoute),
        Sort::Unread(Kind::GrpcRoute),
        Sort::Unread(Kind::ReferenceGrant),
        Sort::Unread(Kind::Service),
        Sort::Unread(Kind::EndpointSlice),
        Sort::Unread(Kind::Secret),
        Sort::Unread(Kind::ConfigMap),
        Sort::Unread(Kind::Consumer),
        Sort::Unread(Kind::AccessPolicy),
        Sort::Unread(Kind::Api),
        Sort::Unread(Kind::Claim),
        Sort::Unread(Kind::Workspace),
        Sort::UnreadTwin,
        Sort::TwinOfGood,
        Sort::PolicyWithTargets,
        Sort::PolicyWithoutTargets,
        Sort::PolicyOnNothing,
        Sort::PolicyOnNoPart,
        Sort::PolicyWithoutSecret,
        Sort::PolicyWithShortKey,
        Sort::PolicyAgainstNobody,
        Sort::ProtectedRouteUnread,
        Sort::RouteWithoutGateway,
        Sort::RouteWithoutService,
        Sort::RouteToOthers,
        Sort::RouteWithBadPattern,
        Sort::GatewayWithoutSecret,
        Sort::GatewayWithOthersSecret,
        Sort::GatewayOnTakenPort,
        Sort::GatewayOnTakenHost,
        Sort::ConsumerWithTakenKey,
    ];

    /// Whether its own namespace must feel it: a policy closes, a broken route answers 500.
    pub(crate) fn is_felt(self) -> bool {
        matches!(
            self,
            Sort::Unread(Kind::AccessPolicy)
                | Sort::PolicyWithTargets
                | Sort::PolicyWithoutTargets
                | Sort::PolicyOnNoPart
                | Sort::PolicyWithoutSecret
                | Sort::PolicyWithShortKey
                | Sort::PolicyAgainstNobody
                | Sort::ProtectedRouteUnread
                | Sort::RouteWithoutService
                | Sort::RouteToOthers
        )
    }
}

/// One invalid object.
#[derive(Debug)]
pub(crate) struct Bad {
    pub(crate) namespace: String,
    resources: Vec<Resource>,
    refused: Vec<Refused>,
}

fn name(word: &str) -> Name {
    Name::parse(word).unwrap()
}

fn refusal(key: Option<Key>, raw: Option<Value>) -> Refused {
    let fault = Invalid {
        key: key.clone(),
        path: "spec".to_owned(),
        line: Some(1),
        reason: "is wrong".to_owned(),
        nearest: None,
    };
    Refused { key, raw, faults: vec![fault] }
}

impl Bad {
    /// A refused form of `key`, nothing of which can be read.
    pub(crate) fn refused(key: &Key) -> Self {
        Bad {
            namespace: key.namespace.to_string(),
            resources: Vec::new(),
            refused: vec![refusal(Some(key.clone()), None)],
        }
    }

    /// An object of this sort, owned by somebody in `world`.
    pub(crate) fn new(dice: &mut Dice, sort: Sort, world: &[Resource]) -> Self {
        let is_shared = |one: &&Resource| one.meta().namespace.as_str() == SHARED;
        let theirs: Vec<_> = world.iter().filter(|one| !is_shared(one)).collect();
        let victim = dice.pick(&theirs).key();
        let owner = victim.namespace.to_string();
        let policy = Key::new(*dice.pick(&Kind::GUARDS), victim.namespace.clone(), name("x"));
        let mut bad = Bad { namespace: owner.clone(), resources: Vec::new(), refused: Vec::new() };
        let target = json!([{ "kind": "HTTPRoute", "name": "r0" }]);
        let mut typed = |kind, fields| bad.resources.push(object(kind, &owner, "x", fields));
        match sort {
            Sort::NoKey => bad.refused.push(refusal(None, None)),
            Sort::Unread(kind) => {
                let key = Key::new(kind, victim.namespace, name("x"));
                bad.refused.push(refusal(Some(key), Some(json!({ "spec": 7 }))));
            }
            Sort::UnreadTwin => bad.refused.push(refusal(Some(victim), None)),
            Sort::TwinOfGood => bad.resources.push(twin(world, &victim)),
            Sort::PolicyWithTargets => {
                let raw = json!({ "spec": { "targetRefs": target, "rulez": [] } });
                bad.refused.push(refusal(Some(policy), Some(raw)));
            }
            Sort::PolicyWithoutTargets => {
                let raw = json!({ "spec": { "targetRefs": [{ "kind": "Route", "name": "r0" }] } });
                bad.refused.push(refusal(Some(policy), Some(raw)));
            }
            Sort::PolicyOnNothing => {
                let nothing = json!([{ "kind": "HTTPRoute", "name": "nobody" }]);
                typed(Kind::AccessPolicy, json!({ "spec": { "targetRefs": nothing } }));
            }
            Sort::PolicyOnNoPart => {
                let part = json!([{ "kind": "HTTPRoute", "name": "r0", "sectionName": "nobody" }]);
                typed(Kind::AccessPolicy, json!({ "spec": { "targetRefs": part } }));
            }
            Sort::ProtectedRouteUnread => {
                let mut raw = route(&owner, "edge", "web", None);
                // It wants what is others', too, and says so or leaves it open.
                raw["spec"]["hostnames"] =
                    dice.pick(&[json!([]), json!(["t0.test", "t1.test"]), json!(7)]).clone();
                raw["spec"]["rules"][0]["matches"] = json!([{}]);
                raw["spec"]["rules"][0]["backendRef"] = json!([]);
                let key = Key::new(Kind::HttpRoute, victim.namespace, name("x"));
                bad.refused.push(refusal(Some(key), Some(raw)));
                let target = json!([{ "kind": "HTTPRoute", "name": "x" }]);
                let policy = json!({ "spec": { "targetRefs": target } });
                bad.resources.push(object(Kind::AccessPolicy, &owner, "x", policy));
            }
            Sort::PolicyWithoutSecret => typed(Kind::AuthnPolicy, keyed(&target, "nowhere")),
            Sort::PolicyWithShortKey => {
                let short = json!({ "stringData": { "me": "short" } });
                let policy = object(Kind::AuthnPolicy, &owner, "x", keyed(&target, "x"));
                bad.resources = vec![object(Kind::Secret, &owner, "x", short), policy];
            }
            Sort::PolicyAgainstNobody => {
                let denies = json!({ "name": "not", "action": "Deny",
                    "when": { "callers": [{ "apiKey": "mee" }] } });
                let spec = json!({ "targetRefs": target, "rules": [denies] });
                typed(Kind::AuthnPolicy, keyed(&target, "keys"));
                typed(Kind::AccessPolicy, json!({ "spec": spec }));
            }
            Sort::RouteWithoutGateway => {
                typed(Kind::HttpRoute, route(&owner, "nobody", "web", None))
            }
            Sort::RouteWithoutService => {
                typed(Kind::HttpRoute, route(&owner, "edge", "nobody", None))
            }
            Sort::RouteToOthers => {
                typed(Kind::HttpRoute, route(&owner, "edge", "web", Some("infra")))
            }
            Sort::RouteWithBadPattern => {
                let mut fields = route(&owner, "edge", "web", None);
                fields["spec"]["rules"][0]["matches"][0]["path"] =
                    json!({ "type": "RegularExpression", "value": "/(" });
                typed(Kind::HttpRoute, fields);
            }
            Sort::GatewayWithoutSecret => {
                typed(Kind::Gateway, gateway(443, Some((None, "nowhere"))))
            }
            Sort::GatewayWithOthersSecret => {
                let other = world.iter().map(Resource::key).find(|key| key.name.as_str() == "tls");
                let other = other.map_or("infra".to_owned(), |key| key.namespace.to_string());
                let other = if other == owner { "infra".to_owned() } else { other };
                typed(Kind::Gateway, gateway(444, Some((Some(&other), "tls"))));
            }
            Sort::GatewayOnTakenPort => {
                bad.resources = vec![younger(&owner, gateway(80, Some((None, "x"))))];
                let pem = json!({ "type": "kubernetes.io/tls",
                    "stringData": { "tls.crt": "chain", "tls.key": "key" } });
                bad.resources.push(object(Kind::Secret, &owner, "x", pem));
            }
            Sort::GatewayOnTakenHost => bad.resources.push(younger(&owner, gateway(80, None))),
            Sort::ConsumerWithTakenKey => {
                // By a policy that takes both it is told.
                let spec = json!({ "targetRefs": target,
                    "methods": [{ "name": "keys", "apiKey": { "consumers": {} } }] });
                typed(Kind::AuthnPolicy, json!({ "spec": spec }));
                bad.resources.push(consumer(&owner, "x", &key_of(&owner)));
            }
        }
        bad
    }

    /// All that is good, and this in the midst of it.
    pub(crate) fn beside(&self, world: &[Resource]) -> Input {
        let resources = world.iter().chain(&self.resources).cloned().collect();
        Input { resources, refused: self.refused.clone(), ..Input::default() }
    }

    /// All that is good but for `victim`, and this.
    pub(crate) fn instead(&self, world: &[Resource], victim: &Key) -> Input {
        let rest = world.iter().filter(|resource| resource.key() != *victim);
        let resources = rest.chain(&self.resources).cloned().collect();
        Input { resources, refused: self.refused.clone(), ..Input::default() }
    }
}

/// Another object with the key of a good one; for a route, one that would take all traffic.
fn twin(world: &[Resource], key: &Key) -> Resource {
    let good = world.iter().find(|resource| resource.key() == *key).unwrap();
    match good {
        Resource::HttpRoute(_) => {
            let fields = route("elsewhere.org", "edge", "web", None);
            object(Kind::HttpRoute, key.namespace.as_str(), key.name.as_str(), fields)
        }
        other => other.clone(),
    }
}

fn keyed(target: &Value, secret: &str) -> Value {
    json!({ "spec": {
        "targetRefs": target,
        "methods": [{ "name": "keys", "apiKey": { "secretRef": { "name": secret } } }],
    } })
}

fn route(owner: &str, gateway: &str, service: &str, namespace: Option<&str>) -> Value {
    let host = if owner.contains('.') { owner.to_owned() } else { format!("x.{owner}.test") };
    json!({ "spec": {
        "parentRefs": [{ "name": gateway, "namespace": "infra" }],
        "hostnames": [host],
        "rules": [{
            "matches": [{ "path": { "type": "Exact", "value": "/a" } }],
            "backendRefs": [{ "name": service, "namespace": namespace, "port": 80 }],
        }],
    } })
}

/// A Gateway for every host, with a certificate of `(namespace, name)` where one is given.
fn gateway(port: u16, certificate: Option<(Option<&str>, &str)>) -> Value {
    let mut listener = json!({ "name": "x", "port": port, "protocol": "HTTP" });
    if let Some((namespace, name)) = certificate {
        listener["protocol"] = json!("HTTPS");
        listener["tls"] = json!({ "certificateRefs": [{ "namespace": namespace, "name": name }] });
    }
    json!({ "spec": { "gatewayClassName": "heddle", "listeners": [listener] } })
}

/// The Gateway `x`, written after all others.
fn younger(owner: &str, mut fields: Value) -> Resource {
    let created = json!("2026-06-01T00:00:00Z");
    fields["metadata"] = json!({ "namespace": owner, "name": "x", "creationTimestamp": created });
    Resource::from_json(Kind::Gateway, fields).unwrap()
}
