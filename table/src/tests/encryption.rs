//! Which BackendTLSPolicy a Service's port has, what a Gateway shows there, and what is closed where either
//! cannot be used.

use model::{Key, Kind, Name, Resource};
use serde_json::{Value, json};

use super::fixture::{faults, gateway_at, get, made, object, route};
use crate::{Assembly, Encryption, Input, Refused, assemble};

fn policy(name: &str, targets: Value, more: Value) -> Resource {
    let mut validation = json!({ "hostname": "orders.example.com" });
    for (field, value) in more.as_object().unwrap() {
        validation[field] = value.clone();
    }
    let created = validation.as_object_mut().unwrap().remove("created").unwrap_or(Value::Null);
    let mut made = json!({ "spec": { "targetRefs": targets, "validation": validation } });
    made["metadata"] = json!({ "namespace": "shop", "name": name });
    if !created.is_null() {
        made["metadata"]["creationTimestamp"] = created;
    }
    Resource::from_json(Kind::BackendTlsPolicy, made).unwrap()
}

fn orders() -> Value {
    json!([{ "group": "", "kind": "Service", "name": "orders" }])
}

fn port(name: &str) -> Value {
    json!([{ "group": "", "kind": "Service", "name": "orders", "sectionName": name }])
}

fn system() -> Value {
    json!({ "wellKnownCACertificates": "System" })
}

fn signed(maps: &[&str]) -> Value {
    let refs = maps.iter().map(|name| json!({ "group": "", "kind": "ConfigMap", "name": name }));
    json!({ "caCertificateRefs": refs.collect::<Vec<_>>() })
}

fn map(name: &str, data: Value) -> Resource {
    object(Kind::ConfigMap, "shop", name, json!({ "data": data }))
}

/// A Gateway that shows `shown`, a route to the ports 80 and 81 of `shop/orders`, and what else there is.
fn seen_by(shown: Value, more: Vec<Resource>) -> Vec<Resource> {
    let mut gateway = gateway_at("infra", "edge", json!([{ "name": "web" }])).to_json();
    if !shown.is_null() {
        gateway["spec"]["tls"] = json!({ "backend": { "clientCertificateRef": shown } });
    }
    let gateway = Resource::from_json(Kind::Gateway, gateway).unwrap();
    let ports = json!([{ "port": 80, "name": "a" }, { "port": 81, "name": "b" }]);
    let to = |port: u16| json!({ "name": "orders", "port": port });
    let led = route("r", &[], json!([{ "backendRefs": [to(80), to(81)] }]));
    let service = object(Kind::Service, "shop", "orders", json!({ "ports": ports }));
    [gateway, service, led].into_iter().chain(more).collect()
}

fn world(more: Vec<Resource>) -> Vec<Resource> {
    seen_by(Value::Null, more)
}

/// How each port is reached through the Gateway, in words.
fn ways(assembly: &Assembly) -> Vec<String> {
    let table = &assembly.table;
    let onward = table.services.iter().map(|service| service.onward(&table.listeners[0]));
    let told = onward.map(|onward| match onward {
        Ok(None) => "clear".to_owned(),
        Ok(Some(onward)) => onward.to_string(),
        Err(why) => format!("closed: {why}"),
    });
    told.collect()
}

/// The name of the policy of each port; `-` without any.
fn held(assembly: &Assembly) -> Vec<String> {
    let services = assembly.table.services.iter();
    let name = |encryption: &Encryption| match encryption {
        Encryption::None => "-".to_owned(),
        Encryption::Tls(tls) => tls.policy.name.to_string(),
        Encryption::Closed(_) => "closed".to_owned(),
    };
    services.map(|service| name(&service.encryption)).collect()
}

#[test]
fn a_policy_holds_for_its_service_and_says_who_must_answer() {
    assert_eq!(ways(&made(world(vec![]))), ["clear", "clear"]);
    let names = json!([
        { "type": "URI", "uri": "spiffe://shop/orders" },
        { "type": "Hostname", "hostname": "orders" },
    ]);
    let ca = json!({ "ca.crt": "pem" });
    for (more, wanted) in [
        (system(), "TLS with orders.example.com, signed by an authority that everybody knows"),
        (
            signed(&["ca", "other"]),
            "TLS with orders.example.com, signed by ConfigMap shop/ca or ConfigMap shop/other",
        ),
        (
            json!({ "wellKnownCACertificates": "System", "subjectAltNames": names }),
            "TLS with spiffe://shop/orders or orders under the server name orders.example.com, \
             signed by an authority that everybody knows",
        ),
    ] {
        let maps = [map("ca", ca.clone()), map("other", ca.clone())];
        let all = [policy("p", orders(), more)].into_iter().chain(maps).collect();
        let assembly = made(world(all));
        let wanted = format!("{wanted} (BackendTLSPolicy shop/p)");
        assert_eq!(ways(&assembly), [wanted.clone(), wanted]);
        assert_eq!(faults(&assembly), Vec::<String>::new());
    }
}

#[test]
fn one_for_a_port_goes_before_one_for_its_service() {
    let all = vec![policy("a", orders(), system()), policy("z", port("b"), system())];
    let assembly = made(world(all));
    assert_eq!(held(&assembly), ["a", "z"]);
    assert_eq!(faults(&assembly), Vec::<String>::new());
    let alone = made(world(vec![policy("z", port("b"), system())]));
    assert_eq!(held(&alone), ["-", "z"]);
}

#[test]
fn of_several_for_one_place_the_oldest_holds_and_the_others_are_faults() {
    let [old, young] = ["2026-01-01T00:00:00Z", "2026-06-01T00:00:00Z"].map(|time| json!(time));
    for (created, holds, other) in [
        ([("a", young.clone()), ("b", old.clone())], "b", "a"),
        ([("a", old.clone()), ("b", young.clone())], "a", "b"),
        ([("b", Value::Null), ("a", Value::Null)], "a", "b"),
    ] {
        let made_of = |(name, created): (&str, Value)| {
            let mut more = system();
            more["created"] = created;
            policy(name, port("a"), more)
        };
        let assembly = made(world(created.map(made_of).into()));
        assert_eq!(held(&assembly), [holds, "-"]);
        let fault = format!(
            "BackendTLSPolicy shop/{other}: spec.targetRefs[0]: BackendTLSPolicy '{holds}' holds \
             for port 'a' of Service shop/orders already"
        );
        assert_eq!(faults(&assembly), [fault]);
    }
}

#[test]
fn without_an_authority_that_can_be_used_nothing_is_sent() {
    for (maps, fault) in [
        (vec![], "no ConfigMap shop/ca"),
        (vec![map("ca", json!({ "other": "pem" }))], "ConfigMap shop/ca has no 'ca.crt'"),
    ] {
        let all = maps.into_iter().chain([policy("p", orders(), signed(&["ca"]))]).collect();
        let assembly = made(world(all));
        assert_eq!(held(&assembly), ["closed", "closed"]);
        let at = "BackendTLSPolicy shop/p: spec.validation.caCertificateRefs[0]";
        assert_eq!(faults(&assembly), [format!("{at}: {fault}")]);
        let closed: Vec<_> = assembly.closed.iter().map(ToString::to_string).collect();
        assert_eq!(closed, ["BackendTLSPolicy shop/p"]);
        let story = assembly.table.why(&get("h", "/").facts()).to_string();
        let told = "no certificate of an authority that BackendTLSPolicy shop/p names can be used: \
                    answered 500 backend_tls";
        assert!(story.contains(told), "{story}");
    }
    let some =
        vec![map("ca", json!({ "ca.crt": "pem" })), policy("p", orders(), signed(&["lost", "ca"]))];
    let assembly = made(world(some));
    assert_eq!(held(&assembly), ["p", "p"], "what is left of them may sign");
    assert_eq!(faults(&assembly).len(), 1);
}

#[test]
fn what_is_not_there_is_a_fault_and_a_missing_port_closes_its_service() {
    let other = json!([{ "group": "", "kind": "Service", "name": "nobody" }]);
    let assembly = made(world(vec![policy("p", other, system())]));
    assert_eq!(held(&assembly), ["-", "-"]);
    let at = "BackendTLSPolicy shop/p: spec.targetRefs[0]";
    assert_eq!(faults(&assembly), [format!("{at}: no Service shop/nobody")]);
    let misspelt = || policy("p", port("c"), system());
    let assembly = made(world(vec![misspelt()]));
    assert_eq!(held(&assembly), ["closed", "closed"]);
    assert_eq!(faults(&assembly), [format!("{at}: Service shop/orders has no port 'c'")]);
    let beside = made(world(vec![misspelt(), policy("q", port("a"), system())]));
    assert_eq!(held(&beside), ["q", "closed"], "what another one holds for stays open");
}

#[test]
fn one_that_is_refused_keeps_its_last_good_form_and_without_one_closes() {
    let name = |word: &str| Name::parse(word).unwrap();
    let refused = |raw: Value| Input {
        resources: world(vec![]),
        refused: vec![Refused {
            key: Some(Key::new(Kind::BackendTlsPolicy, name("shop"), name("p"))),
            raw: Some(raw),
            faults: Vec::new(),
        }],
        ..Input::default()
    };
    let raw = |targets: Value| json!({ "spec": { "targetRefs": targets } });
    let before = made(world(vec![policy("p", port("a"), system())]));
    assert_eq!(held(&assemble(refused(raw(port("a"))), Some(&before))), ["p", "-"]);
    let beyond = assemble(refused(raw(orders())), Some(&before));
    assert_eq!(held(&beyond), ["p", "closed"], "what only the refused form names is closed");
    assert!(faults(&beyond)[0].contains("stays closed until the policy is mended"));
    for (targets, wanted) in [
        (port("b"), ["-", "closed"]),
        (port("c"), ["closed", "closed"]),
        (json!("?"), ["closed", "closed"]),
        (json!([{ "kind": "Service" }]), ["closed", "closed"]),
        (json!([{ "kind": "HTTPRoute", "name": "r" }]), ["closed", "closed"]),
    ] {
        assert_eq!(held(&assemble(refused(raw(targets.clone())), None)), wanted, "{targets}");
    }
}

#[test]
fn an_edit_that_lets_go_for_a_service_that_is_not_there_is_not_followed() {
    let before = made(world(vec![policy("p", orders(), system())]));
    let misspelt = json!([{ "group": "", "kind": "Service", "name": "order" }]);
    let resources = world(vec![policy("p", misspelt, system())]);
    let after = assemble(Input { resources, ..Input::default() }, Some(&before));
    assert_eq!(held(&after), ["p", "p"]);
    assert_eq!(
        faults(&after),
        [
            "BackendTLSPolicy shop/p: spec.targetRefs[0]: no Service shop/order; so the policy stays \
          as it was, on Service shop/orders; did you mean 'orders'?"
        ]
    );
}

#[test]
fn a_port_that_says_https_takes_nothing_in_the_clear() {
    let ports = json!([{ "port": 80, "appProtocol": "https" }]);
    let led = route("r", &[], json!([{ "backendRefs": [{ "name": "bank", "port": 80 }] }]));
    let bank = object(Kind::Service, "shop", "bank", json!({ "ports": ports }));
    let resources = |more: Option<Resource>| {
        let gateway = gateway_at("infra", "edge", json!([{ "name": "web" }]));
        [gateway, bank.clone(), led.clone()].into_iter().chain(more).collect()
    };
    let closed = "closed: port 80 of Service shop/bank says https, and no BackendTLSPolicy says \
                  who must answer there";
    assert_eq!(ways(&made(resources(None))), [closed]);
    let target = json!([{ "group": "", "kind": "Service", "name": "bank" }]);
    assert_eq!(held(&made(resources(Some(policy("p", target, system()))))), ["p"]);
}

#[test]
fn a_gateway_shows_its_certificate_to_such_backends_and_closes_them_where_it_cannot() {
    let secret = |namespace: &str, kind: &str| {
        let data = json!({ "tls.crt": "cert", "tls.key": "key" });
        object(Kind::Secret, namespace, "own", json!({ "type": kind, "stringData": data }))
    };
    let tls = || policy("p", port("a"), system());
    let own = json!({ "name": "own" });
    let good = made(seen_by(own.clone(), vec![tls(), secret("infra", "kubernetes.io/tls")]));
    let with = "TLS with orders.example.com, signed by an authority that everybody knows \
                (BackendTLSPolicy shop/p)";
    assert_eq!(ways(&good), [format!("{with}; shows Secret infra/own"), "clear".to_owned()]);
    let at = "Gateway infra/edge: spec.tls.backend.clientCertificateRef";
    let abroad = json!({ "namespace": "certs", "name": "own" });
    for (shown, secrets, fault) in [
        (own.clone(), vec![], "no Secret infra/own"),
        (own, vec![secret("infra", "Opaque")], "Secret infra/own is not of type kubernetes.io/tls"),
        (
            abroad,
            vec![secret("certs", "kubernetes.io/tls")],
            "Secret certs/own lies in another namespace, and no ReferenceGrant in 'certs' lets \
             Gateways of 'infra' refer to it",
        ),
    ] {
        let all = secrets.into_iter().chain([tls()]).collect();
        let assembly = made(seen_by(shown, all));
        assert_eq!(faults(&assembly), [format!("{at}: {fault}")]);
        let told = "closed: the certificate that Gateway infra/edge is to show cannot be used";
        assert_eq!(ways(&assembly), [format!("{told}: {fault}"), "clear".to_owned()]);
    }
}

#[test]
fn a_grant_lets_a_gateway_show_a_certificate_of_another_namespace() {
    let from =
        json!([{ "group": "gateway.networking.k8s.io", "kind": "Gateway", "namespace": "infra" }]);
    let to = json!([{ "group": "", "kind": "Secret" }]);
    let grant = object(Kind::ReferenceGrant, "certs", "g", json!({ "from": from, "to": to }));
    let data = json!({ "tls.crt": "cert", "tls.key": "key" });
    let secret = json!({ "type": "kubernetes.io/tls", "stringData": data });
    let secret = object(Kind::Secret, "certs", "own", secret);
    let shown = json!({ "namespace": "certs", "name": "own" });
    let assembly = made(seen_by(shown, vec![policy("p", orders(), system()), secret, grant]));
    assert!(ways(&assembly)[0].ends_with("; shows Secret certs/own"));
    assert_eq!(faults(&assembly), Vec::<String>::new());
}
