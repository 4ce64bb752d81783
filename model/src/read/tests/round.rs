//! What is read can be written, and is read again as the same.

use super::*;

/// Of a Secret only digests are written, so that it cannot.
pub(super) fn survives_round_trip(resource: &Resource) {
    if resource.kind() != Kind::Secret {
        let text = serde_json::to_string(&resource.to_json()).unwrap();
        assert_eq!(read(&text).remove(0).result.as_ref(), Ok(resource), "{text}");
    }
}

#[test]
fn every_kind_but_secret_survives_the_round_trip() {
    for document in read(VALID) {
        survives_round_trip(&document.result.unwrap());
    }
}
