//! Valid sets: a shared Gateway that sometimes knows guests, and a few namespaces that each hold
//! routes, services, secrets, policies and sometimes a Gateway of their own.

use http::{HeaderMap, HeaderValue, Method};
use model::consumer::Sha256Sum;
use model::{Kind, Resource};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::observe::Request;
use crate::dice::Dice;

pub(crate) const TEAMS: [&str; 4] = ["t0", "t1", "t2", "t3"];
/// The owner of the shared Gateway.
pub(crate) const SHARED: &str = "infra";
/// The header in which the shared Gateway reads keys, and the key of the guest whom some teams shut
/// out.
pub(crate) const GUEST: (&str, &str) = ("x-guest-key", "key-of-the-guest-of-all");
const PATHS: [&str; 5] = ["/", "/a", "/a/b", "/b", "/c"];

/// An object of `namespace/name` with these fields beside its metadata.
pub(crate) fn object(kind: Kind, namespace: &str, name: &str, mut fields: Value) -> Resource {
    let created = if kind == Kind::Gateway { json!("2026-01-01T00:00:00Z") } else { json!(null) };
    fields["metadata"] = fields.get("metadata").cloned().unwrap_or(json!({}));
    fields["metadata"]["namespace"] = json!(namespace);
    fields["metadata"]["name"] = json!(name);
    fields["metadata"]["creationTimestamp"] = created;
    Resource::from_json(kind, fields).unwrap()
}

pub(crate) fn key_of(team: &str) -> String {
    format!("key-of-the-caller-of-{team}")
}

/// The shared Gateway and two to four namespaces.
pub(crate) fn world(dice: &mut Dice) -> Vec<Resource> {
    let shared = json!({ "spec": { "gatewayClassName": "heddle", "listeners": [
        { "name": "web", "port": 80, "protocol": "HTTP",
          "allowedRoutes": { "namespaces": { "from": "All" } } },
    ] } });
    let mut world = vec![object(Kind::Gateway, SHARED, "edge", shared)];
    let knows_guests = dice.once_in(2);
    if knows_guests {
        world.extend(guests());
    }
    let teams = &TEAMS[..2 + dice.roll(3)];
    for team in teams {
        namespace(dice, team, knows_guests, &mut world);
    }
    if dice.once_in(2) {
        across(dice, teams, &mut world);
    }
    world
}

/// A route of one team to the Service of another, which lets it.
fn across(dice: &mut Dice, teams: &[&str], world: &mut Vec<Resource>) {
    let owner = dice.roll(teams.len());
    let (owner, other) = (teams[owner], teams[(owner + 1) % teams.len()]);
    let from =
        json!([{ "group": Kind::HttpRoute.group(), "kind": "HTTPRoute", "namespace": other }]);
    let to = json!([{ "group": "", "kind": "Service", "name": "web" }]);
    let grant = json!({ "spec": { "from": from, "to": to } });
    world.push(object(Kind::ReferenceGrant, owner, "open", grant));
    let spec = json!({
        "parentRefs": [{ "namespace": SHARED, "name": "edge" }],
        "hostnames": [format!("{other}.test")],
        "rules": [{ "matches": [{ "path": { "value": "/c" } }],
            "backendRefs": [{ "name": "web", "namespace": owner, "port": 80 }] }],
    });
    world.push(object(Kind::HttpRoute, other, "across", json!({ "spec": spec })));
}

/// A Consumer with this key.
pub(crate) fn consumer(namespace: &str, name: &str, key: &str) -> Resource {
    let digest: [u8; 32] = Sha256::digest(key).into();
    let key = json!({ "name": "k", "sha256": String::from(Sha256Sum(digest)) });
    object(Kind::Consumer, namespace, name, json!({ "spec": { "keys": [key] } }))
}

/// Two guests whom the shared Gateway knows.
fn guests() -> [Resource; 2] {
    let entries = json!({ "guest": GUEST.1, "other": "key-of-another-guest-of-all" });
    let spec = json!({
        "targetRefs": [{ "kind": "Gateway", "name": "edge" }],
        "methods": [{ "name": "keys",
            "apiKey": { "from": [{ "header": GUEST.0 }], "secretRef": { "name": "guests" } } }],
    });
    [
        object(Kind::Secret, SHARED, "guests", json!({ "stringData": entries })),
        object(Kind::AuthnPolicy, SHARED, "guests", json!({ "spec": spec })),
    ]
}

fn namespace(dice: &mut Dice, team: &str, knows_guests: bool, world: &mut Vec<Resource>) {
    let ports = json!({ "spec": { "ports": [{ "port": 80, "name": "web" }] } });
    world.push(object(Kind::Service, team, "web", ports));
    let slice = json!({
        "metadata": { "labels": { "kubernetes.io/service-name": "web" } },
        "addressType": "IPv4",
        "endpoints": [{ "addresses": [format!("10.0.0.{}", 1 + dice.roll(9))] }],
        "ports": [{ "name": "web", "port": 8080 }],
    });
    world.push(object(Kind::EndpointSlice, team, "web-1", slice));
    world.push(object(Kind::Secret, team, "keys", json!({ "stringData": { "me": key_of(team) } })));
    world.push(consumer(team, "me", &key_of(team)));
    let own_gateway = dice.once_in(2);
    if own_gateway {
        gateway(team, world);
    }
    for index in 0..=dice.roll(3) {
        let name = format!("r{index}");
        world.push(route(dice, team, &name, own_gateway));
        if dice.once_in(2) {
            world.extend(policies(dice, team, &name));
        }
        if dice.once_in(4) {
            world.push(limit(team, &name));
        }
        if knows_guests && dice.once_in(2) {
            world.push(no_guests(team, &name));
        }
    }
}

fn gateway(team: &str, world: &mut Vec<Resource>) {
    let pem = json!({ "type": "kubernetes.io/tls",
        "stringData": { "tls.crt": format!("chain of {team}"), "tls.key": "key" } });
    world.push(object(Kind::Secret, team, "tls", pem));
    let listeners = json!({ "spec": { "gatewayClassName": "heddle", "listeners": [
        { "name": "web", "port": 80, "protocol": "HTTP", "hostname": format!("*.{team}.test") },
        { "name": "safe", "port": 443, "protocol": "HTTPS", "hostname": format!("*.{team}.test"),
          "tls": { "certificateRefs": [{ "name": "tls" }] } },
    ] } });
    world.push(object(Kind::Gateway, team, "own", listeners));
}

fn route(dice: &mut Dice, team: &str, name: &str, own_gateway: bool) -> Resource {
    let mut parents = vec![json!({ "namespace": "infra", "name": "edge" })];
    if own_gateway {
        parents.push(json!({ "name": "own" }));
    }
    // Some name no host, and so catch what nobody else wants at the shared Gateway.
    let own = [format!("{team}.test"), format!("www.{team}.test")];
    let hosts = if dice.once_in(5) { &[][..] } else { &own };
    let rules: Vec<_> = (0..=dice.roll(2))
        .map(|index| {
            let path = json!({ "path": { "value": dice.pick(&PATHS) } });
            json!({ "name": format!("rule{index}"), "matches": [path],
                "backendRefs": [{ "name": "web", "port": 80 }] })
        })
        .collect();
    let spec = json!({ "parentRefs": parents, "hostnames": hosts, "rules": rules });
    object(Kind::HttpRoute, team, name, json!({ "spec": spec }))
}

fn policies(dice: &mut Dice, team: &str, route: &str) -> [Resource; 2] {
    let mut target = json!({ "kind": "HTTPRoute", "name": route });
    if dice.once_in(2) {
        target["sectionName"] = json!("rule0");
    }
    let (keys, me) = match dice.once_in(2) {
        true => (json!({ "secretRef": { "name": "keys" } }), json!({ "apiKey": "me" })),
        false => (json!({ "consumers": {} }), json!({ "consumer": { "name": "me" } })),
    };
    let mut authn = json!({
        "targetRefs": [target],
        "methods": [{ "name": "keys", "apiKey": keys }],
    });
    if dice.once_in(3) {
        authn["require"] = json!("Any");
    }
    let access = json!({
        "targetRefs": [target],
        "rules": [{ "name": "known", "when": { "callers": [me] } }],
    });
    [(Kind::AuthnPolicy, authn), (Kind::AccessPolicy, access)]
        .map(|(kind, spec)| object(kind, team, &format!("for-{route}"), json!({ "spec": spec })))
}

/// A limit, which whoever looks finds used up.
fn limit(team: &str, route: &str) -> Resource {
    let spec = json!({
        "targetRefs": [{ "kind": "HTTPRoute", "name": route }],
        "limits": [{ "name": "all", "requests": 1, "window": "1m" }],
    });
    object(Kind::RateLimitPolicy, team, &format!("for-{route}"), json!({ "spec": spec }))
}

/// A policy that shuts the guest out.
fn no_guests(team: &str, route: &str) -> Resource {
    let deny = json!({ "name": "no-guests", "action": "Deny",
        "when": { "callers": [{ "apiKey": "guest" }] } });
    let targets = json!([{ "kind": "HTTPRoute", "name": route }]);
    let spec = json!({ "targetRefs": targets, "rules": [deny] });
    object(Kind::AccessPolicy, team, &format!("no-guests-{route}"), json!({ "spec": spec }))
}

/// A request to some host, with some keys or none.
pub(crate) fn request(dice: &mut Dice, world: &[Resource]) -> Request {
    let namespace = dice.pick(world).meta().namespace.to_string();
    let hosts = [
        format!("{namespace}.test"),
        format!("www.{namespace}.test"),
        format!("x.{namespace}.test"),
        "elsewhere.org".to_owned(),
    ];
    let mut headers = HeaderMap::new();
    if !dice.once_in(3) {
        let key = HeaderValue::from_str(&key_of(&namespace)).unwrap();
        headers.insert("x-api-key", key);
    }
    if dice.once_in(4) {
        headers.insert(GUEST.0, HeaderValue::from_static(GUEST.1));
    }
    Request {
        port: *dice.pick(&[80, 80, 80, 443]),
        host: dice.pick(&hosts).clone(),
        path: dice.pick::<&str>(&PATHS).to_string(),
        method: Method::GET,
        headers,
    }
}
