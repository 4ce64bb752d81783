//! What is read can be written, and is read again as the same.

use super::*;

#[test]
fn every_kind_but_secret_survives_the_round_trip() {
    for document in read(VALID) {
        let resource = document.result.unwrap();
        if resource.kind() == Kind::Secret {
            continue;
        }
        let text = serde_json::to_string(&resource.to_json()).unwrap();
        let again = read(&text).remove(0).result;
        assert_eq!(again.as_ref(), Ok(&resource), "{text}");
    }
}
