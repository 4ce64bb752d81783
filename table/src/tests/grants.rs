//! What ReferenceGrants open across namespaces, and that nothing else does.

use model::{Invalid, Key, Kind, Name, Resource};
use serde_json::{Value, json};

use super::fixture::{faults, gateway, get, made, object, plain, route};
use super::{of_services, outbound};
use crate::{Assembly, Input, Mirror, Refused, State, Target, assemble};

const NOT_ALLOWED: &str = "1 x backend_not_allowed";
const LED: &str = "1 x bank/books:80 []";

fn name(word: &str) -> Name {
    Name::parse(word).unwrap()
}

/// A grant in `bank`.
fn grant(from: &[(Kind, &str)], to: Value) -> Resource {
    grant_in("bank", from, to)
}

fn grant_in(namespace: &str, from: &[(Kind, &str)], to: Value) -> Resource {
    let one = |(kind, namespace): &(Kind, &str)| json!({ "group": kind.group(), "kind": kind.as_str(), "namespace": namespace });
    let from: Vec<_> = from.iter().map(one).collect();
    object(Kind::ReferenceGrant, namespace, "g", json!({ "from": from, "to": to }))
}

fn every(kind: Kind) -> Value {
    json!([{ "group": "", "kind": kind.as_str() }])
}

fn only(kind: Kind, called: &str) -> Value {
    json!([{ "group": "", "kind": kind.as_str(), "name": called }])
}

fn service(namespace: &str, called: &str) -> Resource {
    object(Kind::Service, namespace, called, json!({ "ports": [{ "port": 80 }] }))
}

fn books() -> Value {
    json!({ "name": "books", "namespace": "bank", "port": 80 })
}

/// A route of `shop` to a Service of `bank`.
fn world(more: Vec<Resource>) -> Vec<Resource> {
    let led = route("r", &[], json!([{ "backendRefs": [books()] }]));
    [plain(), service("bank", "books"), led].into_iter().chain(more).collect()
}

/// Where the route leads.
fn leads(assembly: &Assembly) -> String {
    get("h", "/").backends(&assembly.table).remove(0)
}

#[test]
fn a_route_leads_into_another_namespace_by_a_grant_that_lies_there_and_means_both() {
    let from = [(Kind::HttpRoute, "shop")];
    let both = [(Kind::GrpcRoute, "shop"), (Kind::HttpRoute, "shop")];
    let cases = [
        (vec![], NOT_ALLOWED),
        (vec![grant(&from, every(Kind::Service))], LED),
        (vec![grant(&both, every(Kind::Service))], LED),
        (vec![grant(&from, only(Kind::Service, "books"))], LED),
        (vec![grant(&from, only(Kind::Service, "other"))], NOT_ALLOWED),
        (vec![grant(&from, only(Kind::Secret, "books"))], NOT_ALLOWED),
        (vec![grant(&from, every(Kind::ConfigMap))], NOT_ALLOWED),
        (vec![grant(&[(Kind::GrpcRoute, "shop")], every(Kind::Service))], NOT_ALLOWED),
        (vec![grant(&[(Kind::Gateway, "infra")], every(Kind::Service))], NOT_ALLOWED),
        (vec![grant(&[(Kind::HttpRoute, "bank")], every(Kind::Service))], NOT_ALLOWED),
        (vec![grant_in("shop", &from, every(Kind::Service))], NOT_ALLOWED),
        (vec![grant_in("infra", &from, every(Kind::Service))], NOT_ALLOWED),
    ];
    for (grants, wanted) in cases {
        let what = format!("{grants:?}");
        assert_eq!(leads(&made(world(grants))), wanted, "{what}");
    }
}

#[test]
fn what_may_not_be_referred_to_is_told_in_the_same_words_whether_it_is_there_or_not() {
    let there = faults(&made(world(vec![])));
    let wanted = "HTTPRoute shop/r: spec.rules[0].backendRefs[0]: Service bank/books lies in another \
                  namespace, and no ReferenceGrant in 'bank' lets HTTPRoutes of 'shop' refer to it";
    assert_eq!(there, [wanted]);
    let mut without = world(vec![]);
    without.retain(|one| one.kind() != Kind::Service);
    assert_eq!(faults(&made(without.clone())), there);
    // Who is let may know.
    without.push(grant(&[(Kind::HttpRoute, "shop")], every(Kind::Service)));
    let told = faults(&made(without));
    assert!(told[0].ends_with("no Service bank/books with port 80"), "{told:?}");
}

#[test]
fn a_grant_that_comes_and_goes_takes_effect_with_the_next_table() {
    let granted = || world(vec![grant(&[(Kind::HttpRoute, "shop")], every(Kind::Service))]);
    let next = |resources, before: &Assembly| {
        assemble(Input { resources, ..Input::default() }, Some(before))
    };
    let first = made(world(vec![]));
    let second = next(granted(), &first);
    assert_eq!((leads(&first).as_str(), leads(&second).as_str()), (NOT_ALLOWED, LED));
    let third = next(world(vec![]), &second);
    assert_eq!(leads(&third), NOT_ALLOWED);
    assert_eq!(leads(&next(granted(), &third)), LED);
}

#[test]
fn a_refused_grant_keeps_its_last_good_form_and_without_one_opens_nothing() {
    let good = grant(&[(Kind::HttpRoute, "shop")], every(Kind::Service));
    let fault = Invalid {
        key: Some(good.key()),
        path: "spec".to_owned(),
        line: None,
        reason: "is wrong".to_owned(),
        nearest: None,
    };
    // It would open more, could it be read.
    let raw = Some(json!({ "spec": { "from": [], "to": [{ "group": "", "kind": "Service" }] } }));
    let refused = Refused { key: Some(good.key()), raw, faults: vec![fault] };
    let bad =
        || Input { resources: world(vec![]), refused: vec![refused.clone()], ..Input::default() };
    let before = made(world(vec![good]));
    let kept = assemble(bad(), Some(&before));
    assert_eq!((leads(&kept).as_str(), kept.kept.len()), (LED, 1));
    let fresh = assemble(bad(), None);
    assert_eq!((leads(&fresh).as_str(), fresh.lost.len()), (NOT_ALLOWED, 1));
}

#[test]
fn mirrors_are_led_as_backends_are() {
    let mirror = json!({ "type": "RequestMirror", "requestMirror": { "backendRef": books() } });
    let to = json!([{ "name": "own", "port": 80 }]);
    let rules = json!([{ "filters": [mirror], "backendRefs": to }]);
    let all = |grants: Vec<Resource>| {
        let mut all = vec![plain(), service("bank", "books"), service("shop", "own")];
        all.push(route("r", &[], rules.clone()));
        all.into_iter().chain(grants).collect::<Vec<_>>()
    };
    let mirrored = |assembly: &Assembly| {
        let ask = get("h", "/");
        let found = assembly.table.find(&ask.facts()).unwrap();
        let label = |mirror: &Mirror| match mirror.target {
            Target::Service(id) => assembly.table.services[id].label.to_string(),
            Target::Broken(reason) => reason.to_string(),
        };
        found.rule.mirrors.iter().map(label).collect::<Vec<_>>()
    };
    let ungranted = made(all(vec![]));
    assert_eq!(mirrored(&ungranted), ["backend_not_allowed"]);
    assert!(faults(&ungranted)[0].contains("requestMirror"), "{:?}", ungranted.faults);
    let granted = made(all(vec![grant(&[(Kind::HttpRoute, "shop")], every(Kind::Service))]));
    assert_eq!(mirrored(&granted), ["bank/books:80"]);
    assert_eq!(faults(&granted), [""; 0]);
}

#[test]
fn routes_for_calls_and_connections_need_a_grant_of_their_own_kind() {
    let listeners = json!([
        { "name": "web" },
        { "name": "tcp", "port": 5432, "protocol": "TCP" },
        { "name": "raw", "port": 443, "protocol": "TLS", "tls": { "mode": "Passthrough" } },
    ]);
    for kind in [Kind::GrpcRoute, Kind::TlsRoute, Kind::TcpRoute] {
        let mut spec = json!({ "rules": [{ "backendRefs": [books()] }],
            "parentRefs": [{ "namespace": "infra", "name": "edge" }] });
        if kind == Kind::TlsRoute {
            spec["hostnames"] = json!(["db.test"]);
        }
        let all = |of: Kind| {
            let granted = grant(&[(of, "shop")], every(Kind::Service));
            let led = object(kind, "shop", "r", spec.clone());
            made(vec![gateway(listeners.clone()), service("bank", "books"), led, granted])
        };
        assert_eq!(faults(&all(kind)), [""; 0], "{kind}");
        let told = faults(&all(Kind::HttpRoute));
        assert!(told[0].contains(&format!("lets {kind}s of 'shop' refer to it")), "{told:?}");
    }
}

/// A Gateway that ends TLS by a certificate of `bank`, and believes authorities of `bank`.
fn door() -> Vec<Resource> {
    let asked = json!({ "caCertificateRefs": [
        { "group": "", "kind": "ConfigMap", "name": "partners", "namespace": "bank" },
    ] });
    let spec = json!({ "gatewayClassName": "heddle",
        "listeners": [
            { "name": "safe", "port": 443, "protocol": "HTTPS",
              "tls": { "certificateRefs": [{ "name": "cert", "namespace": "bank" }] } },
        ],
        "tls": { "frontend": { "default": { "validation": asked } } },
    });
    let data = json!({ "tls.crt": "chain", "tls.key": "key" });
    let secret = json!({ "type": "kubernetes.io/tls", "stringData": data });
    vec![
        object(Kind::Gateway, "infra", "edge", spec),
        object(Kind::Secret, "bank", "cert", secret),
        object(Kind::ConfigMap, "bank", "partners", json!({ "data": { "ca.crt": "one" } })),
    ]
}

#[test]
fn a_listener_serves_with_certificates_and_authorities_that_it_may_refer_to() {
    let from = [(Kind::Gateway, "infra")];
    let both = || {
        json!([{ "group": "", "kind": "Secret", "name": "cert" },
        { "group": "", "kind": "ConfigMap" }])
    };
    let with = |grants: Vec<Resource>| door().into_iter().chain(grants).collect::<Vec<_>>();
    let granted = made(with(vec![grant(&from, both())]));
    assert_eq!(faults(&granted), [""; 0]);
    let listener = granted.table.listener(443, "a.test").unwrap();
    assert_eq!(listener.certificates[0].secret.to_string(), "Secret bank/cert");
    assert_eq!(listener.client_validation.as_ref().unwrap().authorities.len(), 1);
    let cases = [
        (vec![], 2),
        (vec![grant(&from, every(Kind::Secret))], 1),
        (vec![grant(&from, every(Kind::ConfigMap))], 1),
        (vec![grant(&from, every(Kind::Service))], 2),
        (vec![grant(&[(Kind::HttpRoute, "infra")], both())], 2),
        (vec![grant(&[(Kind::Gateway, "shop")], both())], 2),
        (vec![grant_in("infra", &from, both())], 2),
    ];
    for (grants, count) in cases {
        let what = format!("{grants:?}");
        let resources = with(grants);
        // Also where it served before: what is taken back is not shown any longer.
        for before in [None, Some(&granted)] {
            let resources = resources.clone();
            let made = assemble(Input { resources, ..Input::default() }, before);
            assert_eq!(made.faults.len(), count, "{what}: {:?}", made.faults);
            let told = "lets Gateways of 'infra' refer to it";
            assert!(made.faults.iter().all(|fault| fault.reason.ends_with(told)), "{what}");
            assert!(matches!(made.table.listeners[0].state, State::Refused(_)), "{what}");
            assert!(made.table.ports().is_empty(), "{what}");
        }
    }
}

#[test]
fn a_secret_that_may_not_be_referred_to_is_told_in_the_same_words_where_there_is_none() {
    let there = faults(&made(door()));
    let without = door().into_iter().filter(|one| one.kind() == Kind::Gateway).collect();
    assert_eq!(faults(&made(without)), there);
    assert_eq!(there.len(), 2);
}

#[test]
fn grants_add_up_and_open_nothing_in_other_namespaces() {
    let from = [(Kind::HttpRoute, "shop")];
    let mut spare = grant(&from, only(Kind::Service, "spare"));
    if let Resource::ReferenceGrant(grant) = &mut spare {
        let mut other = (**grant).clone();
        other.metadata.name = name("another");
        *grant = other.into();
    }
    let spare_ref = json!({ "name": "spare", "namespace": "bank", "port": 80 });
    let far = json!({ "name": "books", "namespace": "far", "port": 80 });
    let rules = json!([{ "backendRefs": [books(), spare_ref, far] }]);
    let all = vec![
        plain(),
        service("bank", "books"),
        service("bank", "spare"),
        service("far", "books"),
        grant(&from, only(Kind::Service, "books")),
        spare,
        route("r", &[], rules),
    ];
    let wanted = [LED, "1 x bank/spare:80 []", NOT_ALLOWED];
    assert_eq!(get("h", "/").backends(&made(all).table), wanted);
}

#[test]
fn what_applications_call_is_led_into_another_namespace_by_a_grant_too() {
    let rules = json!([{ "backendRefs": [books()] }]);
    let parents = json!([of_services::parent("orders")]);
    let led = of_services::route("shop", "r", parents, rules);
    let call = |more: Vec<Resource>| {
        let all = of_services::with([vec![led.clone()], more].concat());
        let assembly = assemble(outbound::input(all), None);
        let ask = get("orders", "/");
        let found = assembly.table.called(&ask.facts(), None).unwrap();
        match found.rule.backends.target(0) {
            Some(Target::Service(id)) => assembly.table.services[*id].label.to_string(),
            Some(Target::Broken(reason)) => reason.to_string(),
            None => "nowhere".to_owned(),
        }
    };
    assert_eq!(call(vec![]), "backend_not_allowed");
    let granted = grant(&[(Kind::HttpRoute, "shop")], every(Kind::Service));
    assert_eq!(call(vec![granted]), "bank/books:80");
}

#[test]
fn a_grant_of_a_namespace_is_known_by_its_place_alone() {
    let own = grant(&[(Kind::HttpRoute, "shop")], only(Kind::Service, "books"));
    let Resource::ReferenceGrant(grant) = &own else { panic!("a grant") };
    let from = Key::new(Kind::HttpRoute, name("shop"), name("any"));
    let to = |namespace: &str| Key::new(Kind::Service, name(namespace), name("books"));
    assert!(grant.permits(&from, &to("bank")));
    assert!(!grant.permits(&from, &to("far")));
    assert!(!grant.permits(&to("bank"), &from));
}
