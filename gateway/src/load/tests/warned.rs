//! What is no fault, and told all the same.

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use serde_json::json;

use super::pairs::Pair;
use super::*;

/// A certificate and its key in PEM, for these hosts, from the first day of one year to that of another.
fn made(hosts: &[&str], (from, to): (i32, i32)) -> (String, String) {
    let hosts: Vec<_> = hosts.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(hosts).unwrap();
    params.not_before = date_time_ymd(from, 1, 1);
    params.not_after = date_time_ymd(to, 1, 1);
    let key = KeyPair::generate().unwrap();
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

/// What is told of a Gateway for `shop.test` that shows such a certificate, from its own Secret.
fn told(hosts: &[&str], years: (i32, i32)) -> Vec<String> {
    let (chain, key) = made(hosts, years);
    let secret = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": { "name": "site", "namespace": "shop" },
        "type": "kubernetes.io/tls",
        "stringData": { "tls.crt": chain, "tls.key": key },
    });
    let folder = folder(&[
        ("edge.yaml", super::pairs::GATEWAY.to_owned()),
        ("site.json", secret.to_string()),
    ]);
    let loaded = Config::at(folder.path()).load().unwrap();
    assert_eq!((loaded.faults.len(), loaded.good), (0, 2));
    warned(&loaded, folder.path())
}

fn warned(loaded: &Loaded, folder: &Path) -> Vec<String> {
    let prefix = format!("{}/", folder.display());
    loaded.warnings.iter().map(|one| one.to_string().replace(&prefix, "")).collect()
}

#[test]
fn a_certificate_that_nobody_believes_is_warned_of() {
    let secret = "site.json:1: warning: Secret shop/site: stringData['tls.crt']: the certificate";
    let listener = "edge.yaml:11: warning: Gateway shop/edge: spec.listeners[0].tls.certificateRefs[0]: \
                    the certificate of Secret shop/site";
    assert_eq!(told(&["shop.test"], (2000, 4000)), [""; 0]);
    assert_eq!(told(&["*.test"], (2000, 4000)), [""; 0]);
    let wanted = [format!("{secret} ended at 2001-01-01T00:00:00Z")];
    assert_eq!(told(&["shop.test"], (2000, 2001)), wanted);
    let wanted = [format!("{secret} holds only from 3999-01-01T00:00:00Z on")];
    assert_eq!(told(&["shop.test"], (3999, 4000)), wanted);
    let wanted = [format!("{listener} is for a.test, b.test, not for 'shop.test'")];
    assert_eq!(told(&["a.test", "b.test"], (2000, 4000)), wanted);
    let wanted = [format!("{listener} names no host, so it is not for 'shop.test'")];
    assert_eq!(told(&[], (2000, 4000)), wanted);
}

#[test]
fn of_files_the_one_with_the_certificate_is_named_and_once_for_each_change() {
    let mut pair = Pair::new();
    let (chain, key) = made(&["shop.test"], (2000, 2001));
    pair.write(&chain, &key);
    let loaded = pair.config.first(|_| ()).unwrap();
    let wanted =
        "--tls-secret shop/site: warning: a.crt: the certificate ended at 2001-01-01T00:00:00Z";
    assert_eq!(warned(&loaded, pair.folder.path()), [wanted]);
    assert!(pair.pass().warnings.is_empty());
    let (chain, key) = made(&["shop.test"], (2000, 4000));
    pair.write(&chain, &key);
    let loaded = pair.pass();
    assert!(loaded.changed && loaded.warnings.is_empty());
}

#[test]
fn a_port_that_no_endpoint_has_is_warned_of() {
    let slice = |port: &str| {
        format!(
            "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {{ name: app-1, \
             namespace: shop, labels: {{ kubernetes.io/service-name: app }} }}\naddressType: IPv4\n\
             endpoints: [{{ addresses: [10.0.0.1] }}]\nports: [{{ {port} }}]\n"
        )
    };
    let wanted = "a.yaml:4: warning: Service shop/app: spec.ports[0]: no EndpointSlice of this Service has a \
                  port without a name of TCP, so nothing that is sent to port 80 finds an endpoint; they \
                  have 'web' of TCP";
    for (slice, wanted) in [
        (slice("name: web, port: 8080"), &[wanted][..]),
        (slice("port: 8080"), &[]),
        (
            slice("name: web, port: 8080").replace("addresses: [10.0.0.1]", "").replace("{  }", ""),
            &[],
        ),
        (String::new(), &[]),
    ] {
        let folder = folder(&[("a.yaml", service("app") + &slice)]);
        let loaded = Config::at(folder.path()).load().unwrap();
        assert_eq!((warned(&loaded, folder.path()), loaded.faults.len()), (to_texts(wanted), 0));
    }
}

fn to_texts(words: &[&str]) -> Vec<String> {
    words.iter().map(ToString::to_string).collect()
}

#[test]
fn a_match_that_can_never_win_is_warned_of() {
    use super::changing::{SHOP, join, route};
    let b = route("a").replacen("name: a,", "name: b,", 1);
    let folder = folder(&[("a.yaml", join(&[SHOP.to_owned(), route("a")])), ("b.yaml", b)]);
    let loaded = Config::at(folder.path()).load().unwrap();
    let told = warned(&loaded, folder.path());
    assert_eq!(told.len(), 1, "{told:?}");
    let wanted = "b.yaml:7: warning: HTTPRoute shop/b: spec.rules[0].matches[0]: no request meets this match: \
                  HTTPRoute shop/a, which comes earlier in the alphabet, ";
    assert!(told[0].starts_with(wanted), "{told:?}");
}

#[test]
fn a_slice_of_a_service_that_is_not_there_is_warned_of() {
    let slice = "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: { name: app-1, namespace: \
                 shop, labels: { kubernetes.io/service-name: apq } }\naddressType: IPv4\nports: [{ port: 80 }]\n\
                 endpoints: [{ addresses: [10.0.0.1] }]\n";
    let folder = folder(&[("a.yaml", service("app") + slice)]);
    let loaded = Config::at(folder.path()).load().unwrap();
    let told = warned(&loaded, folder.path());
    let wanted = "warning: EndpointSlice shop/app-1: metadata.labels['kubernetes.io/service-name']: there is \
                  no Service shop/apq, so nothing is sent to its endpoints; did you mean 'app'?";
    assert!(told.len() == 1 && told[0].ends_with(wanted), "{told:?}");
}
