//! Certificates that lie in files of their own.

use std::path::PathBuf;

use super::changing::MOMENT;
use super::*;

/// A Gateway whose listener shows `shop/site`.
pub(super) const GATEWAY: &str = "\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: edge, namespace: shop }
spec:
  gatewayClassName: heddle
  listeners:
    - name: https
      port: 8443
      protocol: HTTPS
      hostname: shop.test
      tls: { certificateRefs: [{ name: site }] }
";

/// Two files and what is made of them.
pub(super) struct Pair {
    pub(super) folder: tempfile::TempDir,
    pub(super) config: Config,
    now: Instant,
}

impl Pair {
    pub(super) fn new() -> Self {
        let folder = folder(&[("edge.yaml", GATEWAY.to_owned())]);
        let [chain, key] = ["a.crt", "b.key"].map(|name| folder.path().join(name));
        let given = format!("shop/site={},{}", chain.display(), key.display());
        let config = Config::at(&folder.path().join("edge.yaml")).with(&[given.parse().unwrap()]);
        Pair { folder, config, now: Instant::now() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn write(&self, chain: &str, key: &str) {
        fs::write(self.path("a.crt"), chain).unwrap();
        fs::write(self.path("b.key"), key).unwrap();
    }

    /// What is made of the files once they lay still.
    pub(super) fn pass(&mut self) -> Loaded {
        self.config.look(self.now).unwrap();
        self.now += MOMENT;
        self.config.look(self.now).unwrap()
    }

    /// What is told of them then.
    fn told(&mut self) -> Vec<String> {
        let loaded = self.pass();
        assert!(loaded.renewed.is_empty(), "{:?}", loaded.renewed);
        shown(&loaded, self.folder.path())
    }
}

/// A certificate and its key in PEM.
pub(super) fn made() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(["shop.test".to_owned()]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

#[test]
fn a_pair_that_is_of_no_use_is_an_error_at_the_start_that_names_its_files() {
    let ((chain, key), (_, other)) = (made(), made());
    let cases = [
        (chain.as_str(), other.as_str(), "b.key does not belong to the first certificate of a.crt"),
        ("no", &key, "a.crt holds no PEM certificate"),
        ("no", "no", "a.crt holds no PEM certificate; b.key holds no PEM private key"),
    ];
    for (chain, key, why) in cases {
        let mut pair = Pair::new();
        pair.write(chain, key);
        let wanted = format!("--tls-secret shop/site: {why} (nothing of this file is in force)");
        let error = format!("{:#}", pair.config.first(|_| ()).unwrap_err());
        let folder = format!("{}/", pair.folder.path().display());
        assert_eq!(error.replace(&folder, ""), wanted);
    }
}

#[test]
fn who_names_a_secret_of_such_files_is_led_to_them() {
    let ((chain, _), (_, key)) = (made(), made());
    let mut pair = Pair::new();
    pair.write(&chain, &key);
    let told = shown(&pair.config.load().unwrap(), pair.folder.path());
    assert!(told[0].starts_with("--tls-secret shop/site: b.key does not belong"), "{told:?}");
    let wanted = "tls.certificateRefs[0]: Secret shop/site is refused, see its own faults";
    assert!(told[1].ends_with(wanted), "{told:?}");
}

#[test]
fn while_it_serves_a_pair_of_no_use_changes_nothing_and_is_told_once() {
    let ((chain, key), (_, other)) = (made(), made());
    let mut pair = Pair::new();
    pair.write(&chain, &key);
    pair.config.first(|_| ()).unwrap();
    let digest = pair.config.table().unwrap().digest.clone();
    pair.write(&chain, &other);
    let wanted = "--tls-secret shop/site: b.key does not belong to the first certificate of a.crt \
                  (what the file held before stays in force)";
    assert_eq!(pair.told(), [wanted]);
    assert_eq!(pair.config.table().unwrap().digest, digest);
    assert!(!pair.config.look(pair.now).unwrap().changed);
    pair.write(&chain, &key);
    assert_eq!(pair.told(), [""; 0]);
}

#[test]
fn a_renewed_pair_is_named_with_the_end_of_its_certificate() {
    let (chain, key) = made();
    let mut pair = Pair::new();
    pair.write(&chain, &key);
    assert!(pair.config.first(|_| ()).unwrap().renewed.is_empty());
    let (chain, key) = made();
    pair.write(&chain, &key);
    let renewed = pair.pass().renewed;
    let [Renewed { secret, ends }] = &renewed[..] else { panic!("{renewed:?}") };
    // As it is made where no other end is said.
    assert_eq!(
        (secret.to_string(), ends.as_str()),
        ("Secret shop/site".into(), "4096-01-01T00:00:00Z")
    );
    assert!(pair.pass().renewed.is_empty());
}
