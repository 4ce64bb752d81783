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
