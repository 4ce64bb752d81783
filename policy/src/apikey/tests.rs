//! Which keys are known, and which key sets are refused.

use serde_json::json;

use super::*;
use crate::fixtures::{CLERK, READER, compile_authn, secret};

fn faults(name: &str) -> Vec<(String, String)> {
    let method = json!({ "name": "m", "apiKey": { "secretRef": { "name": name } } });
    let faults = compile_authn("p", json!({ "methods": [method] })).unwrap_err();
    faults.into_iter().map(|fault| (fault.path, fault.reason)).collect()
}

#[test]
fn keys_are_found_by_digest_and_never_shown() {
    let source = ApiKeySource {
        from: vec![model::authn::CredentialPlace::header("X-Api-Key")],
        secret_ref: model::policy::LocalRef { name: Name::parse("keys").unwrap() },
    };
    let mut at = Checker::default();
    let keys = ApiKeys::compile(&source, &secret, &mut at);
    assert!(at.faults().is_empty());
    assert_eq!(keys.places()[0].to_string(), "the header 'x-api-key'");
    let caller = |key: &str| keys.find(&digest(key.as_bytes())).map(|caller| caller.to_string());
    assert_eq!(caller(CLERK).unwrap(), "apikey:clerk");
    assert_eq!(caller(READER).unwrap(), "apikey:reader", "the line end of a file is no key");
    assert!(caller("clerk").is_none() && caller("").is_none());
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
