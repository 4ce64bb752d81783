//! Which keys are known, and which key sets are refused.

use serde_json::{Value, json};

use super::*;
use crate::fixtures::{CLERK, READER, Shop, compile_authn, key_of, keys_of};

fn faults(name: &str) -> Vec<(String, String)> {
    let method = json!({ "name": "m", "apiKey": { "secretRef": { "name": name } } });
    let faults = compile_authn("p", json!({ "methods": [method] })).unwrap_err();
    faults.into_iter().map(|fault| (fault.path, fault.reason)).collect()
}

#[test]
fn keys_are_found_by_digest_and_never_shown() {
    let from = json!([{ "header": "X-Api-Key" }]);
    let source = json!({ "from": from, "secretRef": { "name": "keys" } });
    let (keys, _) = compiled(&policy(&json!([{ "name": "keys", "apiKey": source }]), None));
    assert_eq!(keys.places()[0].to_string(), "the header 'x-api-key'");
    let caller = |key: &str| {
        let shown = Shown::read(&keys.places()[0], key.as_bytes())?;
        keys.find(&shown, 0).map(|caller| caller.to_string())
    };
    assert_eq!(caller(CLERK).unwrap(), "apikey:clerk");
    assert_eq!(caller(READER).unwrap(), "apikey:reader", "the line end of a file is no key");
    assert_eq!((caller("clerk"), caller("")), (Err(KeyError::Unknown), Err(KeyError::Unknown)));
    let shown = format!("{keys:?}");
    assert!(shown.contains("clerk") && !shown.contains("0123456789"));
}

#[test]
fn every_fault_is_reported_at_once_without_the_key() {
    let short = faults("short-keys");
    assert_eq!(short.len(), 2, "{short:?}");
    for (path, reason) in &short {
        assert_eq!(path, "spec.methods[0].apiKey.secretRef");
        assert!(!reason.contains("short'") && !reason.contains("0123456789"), "{reason}");
    }
    let missing = faults("none");
    assert!(missing[0].1.contains("no Secret 'none'"), "{missing:?}");
    let shared = faults("shared-keys");
    assert!(shared[0].1.contains("'reader' has the same key as apikey:clerk"), "{shared:?}");
}

#[test]
fn a_header_that_frames_the_message_carries_no_key() {
    for header in ["Host", "content-length", "transfer-encoding", "Keep-Alive", "a b"] {
        let keys = json!({ "from": [{ "header": header }], "secretRef": { "name": "keys" } });
        let methods = json!([{ "name": "m", "apiKey": keys }]);
        let faults = compile_authn("p", json!({ "methods": methods })).unwrap_err();
        assert_eq!(faults[0].path, "spec.methods[0].apiKey.from[0].header", "{header}");
    }
}

/// An AuthnPolicy `shop/p` of this Api, with these methods.
fn policy(methods: &Value, api: Option<&str>) -> AuthnPolicy {
    let labels = api.map_or_else(|| json!({}), |api| json!({ model::api::LABEL: api }));
    let metadata = json!({ "name": "p", "namespace": "shop", "labels": labels });
    let target = json!([{ "kind": "HTTPRoute", "name": "orders" }]);
    let spec = json!({ "targetRefs": target, "methods": methods });
    serde_json::from_value(json!({ "metadata": metadata, "spec": spec })).unwrap()
}

/// The keys of a policy with one method, and what is doubted.
fn compiled(policy: &AuthnPolicy) -> (ApiKeys, Vec<String>) {
    let source = policy.spec.methods[0].api_key.as_ref().unwrap();
    let (mut at, mut doubts) = (Checker::default(), Vec::new());
    let keys = ApiKeys::compile(source, policy, &Shop, &mut doubts, &mut at);
    assert!(at.faults().is_empty());
    (keys, doubts.iter().map(ToString::to_string).collect())
}

/// The keys of the Consumers that `picked` picks, of a policy of this Api.
fn of_consumers(picked: &Value, api: Option<&str>) -> (ApiKeys, Vec<String>) {
    compiled(&policy(&keys_of(picked), api))
}

fn found(keys: &ApiKeys, key: &str, now: i64) -> Result<String, KeyError> {
    let shown = Shown::read(&keys.places()[0], key_of(key).as_bytes())?;
    keys.find(&shown, now).map(ToString::to_string)
}

#[test]
fn a_key_of_a_consumer_holds_in_its_time() {
    let (keys, doubts) = of_consumers(&json!({ "matchLabels": { "plan": "gold" } }), None);
    assert_eq!(doubts, [""; 0]);
    let acme = || Ok("consumer:shop/acme".to_owned());
    let (until, from) = (1_000_000, 1_000_001);
    for (key, now, wanted) in [
        ("acme", 0, acme()),
        ("acme-old", until - 1, acme()),
        ("acme-old", until, Err(KeyError::Late { until })),
        ("acme-new", from - 1, Err(KeyError::Early { from })),
        ("acme-new", from, acme()),
        ("globex", 0, Ok("consumer:shop/globex".to_owned())),
        ("initech", 0, Err(KeyError::Unknown)),
    ] {
        assert_eq!(found(&keys, key, now), wanted, "{key} at {now}");
    }
    let late = KeyError::Late { until }.to_string();
    assert_eq!(late, "it held until 1970-01-12T13:46:40Z");
}

#[test]
fn a_key_that_two_consumers_have_proves_neither_and_spoils_nothing_else() {
    let (keys, doubts) = of_consumers(&json!({}), None);
    assert_eq!(found(&keys, "shared", 0), Err(KeyError::Shared));
    assert_eq!(found(&keys, "hooli", 0).unwrap(), "consumer:shop/hooli");
    let told = |name: &str| {
        format!(
            "Consumer shop/{name}: spec.keys[1].sha256: another Consumer has the same: it proves \
             nobody until each has its own"
        )
    };
    assert_eq!(doubts, [told("initech"), told("hooli")]);
}

#[test]
fn the_consumers_of_an_api_are_known_to_its_policies_alone() {
    let inner = Ok("consumer:shop/inner".to_owned());
    for (api, wanted) in [
        (Some("alpha"), inner),
        (Some("beta"), Err(KeyError::Unknown)),
        (None, Err(KeyError::Unknown)),
    ] {
        let (keys, _) = of_consumers(&json!({}), api);
        assert_eq!(found(&keys, "inner", 0), wanted, "{api:?}");
        assert_eq!(found(&keys, "globex", 0).unwrap(), "consumer:shop/globex");
    }
}

#[test]
fn what_two_have_whom_two_methods_take_proves_neither() {
    let mut methods = keys_of(&json!({ "matchLabels": { "plan": "silver" } }));
    let gold = keys_of(&json!({ "matchLabels": { "plan": "gold" } }))[0].clone();
    methods.as_array_mut().unwrap().push(gold);
    let mut all = Shop.consumers();
    let globex = all.iter_mut().find(|one| one.metadata.name.as_str() == "globex").unwrap();
    let hooli = Shop.consumers().into_iter().find(|one| one.metadata.name.as_str() == "hooli");
    Arc::make_mut(globex).spec.keys.push(hooli.unwrap().spec.keys[0].clone());
    let policy = policy(&methods, None);
    for (method, own) in policy.spec.methods.iter().zip(["initech", "globex"]) {
        let source = method.api_key.as_ref().unwrap();
        let (mut at, mut doubts) = (Checker::default(), Vec::new());
        let keys = ApiKeys::compile(source, &policy, &Beside(all.clone()), &mut doubts, &mut at);
        assert_eq!(found(&keys, "hooli", 0), Err(KeyError::Shared), "{own}");
        assert_eq!(found(&keys, own, 0).unwrap(), format!("consumer:shop/{own}"));
        let other = if own == "globex" { "initech" } else { "acme" };
        assert_eq!(found(&keys, other, 0), Err(KeyError::Unknown), "{own}");
        assert!(doubts.iter().any(|doubt| doubt.to_string().contains("shop/globex")));
    }
}

#[test]
fn a_short_key_is_nobodys_whatever_digest_is_written() {
    let mut all = Shop.consumers();
    let [empty, short] =
        ["", "fifteen-letters"].map(|key| model::consumer::Sha256Sum(digest(key.as_bytes())));
    let acme = Arc::make_mut(&mut all[0]);
    acme.spec.keys[0].sha256 = empty;
    acme.spec.keys[1].sha256 = short;
    let policy = policy(&keys_of(&json!({})), None);
    let source = policy.spec.methods[0].api_key.as_ref().unwrap();
    let (mut at, mut doubts) = (Checker::default(), Vec::new());
    let keys = ApiKeys::compile(source, &policy, &Beside(all), &mut doubts, &mut at);
    for (place, shown) in [(0, &b""[..]), (0, b"fifteen-letters"), (1, b"YWNtZTo=")] {
        let found =
            Shown::read(&keys.places()[place], shown).map(|shown| keys.find(&shown, 0).is_ok());
        assert_eq!(found, Err(KeyError::Unknown));
    }
}

/// These Consumers, and no Secret.
struct Beside(Vec<Arc<Consumer>>);

impl Declared for Beside {
    fn secret(&self, _: &Name) -> Option<Arc<Secret>> {
        None
    }

    fn consumers(&self) -> Vec<Arc<Consumer>> {
        self.0.clone()
    }
}
