//! Certificates, and what becomes of a listener without.

use std::sync::Arc;

use model::{Kind, Resource};
use serde_json::{Value, json};

use super::fixture::{faults, gateway, get, made, object, path, route};
use crate::{Assembly, State};

fn secret(namespace: &str, name: &str, kind: &str) -> Resource {
    let data = json!({ "tls.crt": format!("chain of {name}"), "tls.key": "key" });
    object(Kind::Secret, namespace, name, json!({ "type": kind, "stringData": data }))
}

fn https(name: &str, host: Option<&str>, refs: Value) -> Value {
    json!({ "name": name, "port": 443, "protocol": "HTTPS", "hostname": host,
        "tls": { "certificateRefs": refs } })
}

fn chain(assembly: &Assembly, name: &str) -> Option<String> {
    let listener = assembly.table.listener(443, name)?;
    let chain = listener.certificates.first()?.chain_pem.expose();
    Some(String::from_utf8(chain.to_vec()).unwrap())
}

#[test]
fn the_server_name_picks_the_certificate() {
    let listeners = json!([
        https("any", None, json!([{ "name": "one" }])),
        https("wild", Some("*.example.com"), json!([{ "name": "two" }])),
    ]);
    let tls = "kubernetes.io/tls";
    let resources =
        vec![gateway(listeners), secret("infra", "one", tls), secret("infra", "two", tls)];
    let assembly = made(resources);
    assert_eq!(faults(&assembly), [""; 0]);
    assert_eq!(chain(&assembly, "a.example.com").as_deref(), Some("chain of two"));
    assert_eq!(chain(&assembly, "elsewhere.org").as_deref(), Some("chain of one"));
    assert_eq!(chain(&assembly, "").as_deref(), Some("chain of one"));
}

#[test]
fn a_listener_without_a_usable_certificate_does_not_serve() {
    let cases = [
        (json!([{ "name": "nowhere" }]), "no Secret infra/nowhere"),
        (json!([{ "name": "opaque" }]), "Secret infra/opaque is not of type kubernetes.io/tls"),
        (json!([{ "name": "far", "namespace": "shop" }]), "lies in another namespace"),
    ];
    for (refs, wanted) in cases {
        let resources = vec![
            gateway(json!([https("web", None, refs)])),
            secret("infra", "opaque", "Opaque"),
            secret("shop", "far", "kubernetes.io/tls"),
        ];
        let assembly = made(resources);
        assert!(faults(&assembly)[0].contains(wanted), "{:?}", assembly.faults);
        assert!(matches!(assembly.table.listeners[0].state, State::Refused(_)));
        assert!(assembly.table.ports().is_empty());
    }
}

#[test]
fn hosts_of_a_refused_listener_do_not_fall_to_its_broader_sibling() {
    let listeners = json!([
        { "name": "any" },
        { "name": "safe", "port": 80, "protocol": "HTTPS", "hostname": "*.safe.test",
          "tls": { "certificateRefs": [{ "name": "nowhere" }] } },
    ]);
    let table = made(vec![gateway(listeners), route("r", &[], path("PathPrefix", "/"))]).table;
    assert_eq!(get("a.safe.test", "/").rule(&table), "no_listener");
    assert_eq!(get("safe.test", "/").rule(&table), "shop/r/0");
}

fn bundle(name: &str, pem: Option<&str>) -> Resource {
    let data = pem.map_or(json!({}), |pem| json!({ "ca.crt": pem }));
    object(Kind::ConfigMap, "infra", name, json!({ "data": data }))
}

/// A Gateway that asks callers for certificates on its port 443, and has a listener on 80.
fn asking(validation: Value) -> Vec<Resource> {
    let listeners = json!([
        https("web", None, json!([{ "name": "cert" }])),
        { "name": "plain", "port": 80, "protocol": "HTTP" },
    ]);
    let frontend = json!({ "default": {}, "perPort": [
        { "port": 443, "tls": { "validation": validation } },
    ] });
    let spec = json!({ "gatewayClassName": "heddle", "listeners": listeners,
        "tls": { "frontend": frontend } });
    vec![
        object(Kind::Gateway, "infra", "edge", spec),
        secret("infra", "cert", "kubernetes.io/tls"),
        bundle("partners", Some("one")),
        bundle("others", Some("two")),
        bundle("empty", None),
    ]
}

fn named(names: &[&str]) -> Value {
    let reference = |name| json!({ "group": "", "kind": "ConfigMap", "name": name });
    json!({ "caCertificateRefs": names.iter().map(reference).collect::<Vec<_>>() })
}

#[test]
fn callers_are_asked_for_certificates_where_that_is_written() {
    let assembly = made(asking(named(&["partners", "others", "partners"])));
    assert_eq!(faults(&assembly), [""; 0]);
    let asked =
        |port| assembly.table.listener(port, "a.example").unwrap().client_validation.clone();
    let pems: Vec<_> = asked(443).unwrap().authorities.iter().map(|one| one.pem.clone()).collect();
    assert_eq!(pems, ["one", "two"]);
    assert!(asked(80).is_none());
}

#[test]
fn a_port_asks_what_is_written_for_it_and_others_what_is_written_for_all() {
    let listener = |port: u16| {
        let mut one = https(&format!("tls-{port}"), None, json!([{ "name": "cert" }]));
        one["port"] = json!(port);
        one
    };
    let asks = |name: &str, mode: &str| {
        let mut one = named(&[name]);
        one["mode"] = json!(mode);
        json!({ "validation": one })
    };
    for [all, own] in
        [["AllowValidOnly", "AllowInsecureFallback"], ["AllowInsecureFallback", "AllowValidOnly"]]
    {
        let spec = json!({ "gatewayClassName": "heddle", "listeners": [listener(443), listener(8443)],
            "tls": { "frontend": { "default": asks("partners", all),
                "perPort": [{ "port": 8443, "tls": asks("others", own) }] } } });
        let mut resources = asking(named(&["partners"]));
        resources[0] = object(Kind::Gateway, "infra", "edge", spec);
        let assembly = made(resources);
        assert_eq!(faults(&assembly), [""; 0]);
        let asked = [443, 8443].map(|port| {
            let listener = assembly.table.listener(port, "a.example").unwrap();
            let asked = listener.client_validation.as_ref().unwrap();
            (asked.authorities[0].pem.clone(), json!(asked.mode))
        });
        assert_eq!(asked, [("one".to_owned(), json!(all)), ("two".to_owned(), json!(own))]);
    }
}

#[test]
fn only_a_listener_of_the_gateway_that_asks_may_make_it_optional() {
    let option = "heddle.dev/client-certificate";
    let optional = |asked: Option<(Value, &str)>| {
        let mut one = https("tls", None, json!([{ "name": "cert" }]));
        one["tls"]["options"] = json!({ option: "optional" });
        let mut spec = json!({ "gatewayClassName": "heddle", "listeners": [one] });
        if let Some((mut validation, mode)) = asked {
            validation["mode"] = json!(mode);
            spec["tls"] = json!({ "frontend": { "default": { "validation": validation } } });
        }
        let mut resources = asking(named(&["partners"]));
        resources[0] = object(Kind::Gateway, "infra", "edge", spec);
        made(resources)
    };
    let asked = |assembly: &Assembly| {
        assembly.table.listener(443, "a.example").unwrap().client_validation.clone()
    };
    let good = optional(Some((named(&["partners"]), "AllowValidOnly")));
    assert_eq!(faults(&good), [""; 0]);
    assert!(asked(&good).unwrap().is_optional);
    let at = format!("spec.listeners[0].tls.options['{option}']");
    for (asks, why) in [
        (None, "asks nothing of callers"),
        (Some((named(&["partners"]), "AllowInsecureFallback")), "nothing is required"),
    ] {
        let assembly = optional(asks);
        let faults = faults(&assembly);
        assert!(
            faults.len() == 1 && faults[0].contains(&at) && faults[0].contains(why),
            "{faults:?}"
        );
        assert!(asked(&assembly).is_none_or(|asked| !asked.is_optional));
    }
}

#[test]
fn what_is_asked_of_callers_stays_one_value_while_it_says_the_same() {
    let asked = |assembly: &Assembly| {
        assembly.table.listener(443, "a").unwrap().client_validation.clone().unwrap()
    };
    let first = made(asking(named(&["partners"])));
    let mut resources = asking(named(&["partners"]));
    resources.push(bundle("unrelated", Some("three")));
    let same = crate::assemble(crate::Input { resources, ..Default::default() }, Some(&first));
    assert!(Arc::ptr_eq(&asked(&first), &asked(&same)));
    let resources = asking(named(&["others"]));
    let other = crate::assemble(crate::Input { resources, ..Default::default() }, Some(&same));
    assert!(!Arc::ptr_eq(&asked(&first), &asked(&other)));
}

#[test]
fn listeners_that_ask_the_same_share_one_value() {
    let with = |name: &str, ports: &[u16], frontend: Value| {
        let listener = |port| {
            let host = format!("{name}.example");
            let mut one = https(&format!("tls-{port}"), Some(&host), json!([{ "name": "cert" }]));
            one["port"] = json!(port);
            one
        };
        let listeners: Vec<_> = ports.iter().map(listener).collect();
        let spec = json!({ "gatewayClassName": "heddle", "listeners": listeners,
            "tls": { "frontend": frontend } });
        object(Kind::Gateway, "infra", name, spec)
    };
    let alike = json!({ "validation": named(&["partners"]) });
    let resources = || {
        vec![
            with("a", &[443], json!({ "default": alike })),
            with(
                "b",
                &[443, 8443],
                json!({ "default": alike,
                "perPort": [{ "port": 8443, "tls": alike }] }),
            ),
            secret("infra", "cert", "kubernetes.io/tls"),
            bundle("partners", Some("one")),
        ]
    };
    let first = made(resources());
    let input = crate::Input { resources: resources(), ..Default::default() };
    let second = crate::assemble(input, Some(&first));
    let all = [&first, &second].into_iter().flat_map(|assembly| &assembly.table.listeners);
    let all: Vec<_> = all.map(|one| one.client_validation.clone().unwrap()).collect();
    assert_eq!(all.len(), 6);
    assert!(all.iter().all(|one| Arc::ptr_eq(one, &all[0])));
}

#[test]
fn whoever_asks_for_proof_and_believes_nobody_serves_nobody() {
    let far = json!({ "caCertificateRefs": [
        { "group": "", "kind": "ConfigMap", "name": "partners", "namespace": "shop" },
    ] });
    let cases = [
        (named(&["nowhere"]), "no ConfigMap infra/nowhere", false),
        (named(&["empty"]), "ConfigMap infra/empty has no 'ca.crt'", false),
        (far, "ConfigMap shop/partners lies in another namespace", false),
        (named(&["nowhere", "partners"]), "no ConfigMap infra/nowhere", true),
    ];
    for (validation, wanted, serves) in cases {
        let assembly = made(asking(validation));
        let told = faults(&assembly);
        assert!(told.len() == 1 && told[0].contains(wanted), "{told:?}");
        let at = "spec.tls.frontend.perPort[0].tls.validation.caCertificateRefs[0]";
        assert!(told[0].contains(at), "{told:?}");
        assert_eq!(assembly.table.listener(443, "a.example").is_some(), serves, "{wanted}");
        assert!(assembly.table.listener(80, "a.example").is_some());
    }
}
