//! Certificates, and what becomes of a listener without.

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
