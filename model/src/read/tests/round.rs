//! What is read can be written, and is read again as the same.

use std::collections::BTreeSet;

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

#[test]
fn every_kind_that_protects_says_what() {
    let told: BTreeSet<_> = read(VALID)
        .into_iter()
        .filter_map(|document| document.result.unwrap().guarded().and(document.key))
        .map(|key| key.kind)
        .collect();
    let guards: BTreeSet<_> = Kind::ALL.into_iter().filter(|kind| kind.is_guard()).collect();
    assert_eq!((&told, &BTreeSet::from(Kind::GUARDS)), (&guards, &guards));
}

#[test]
fn text_of_any_letters_survives_the_round_trip() {
    let letters = ('\0'..='\u{2ff}').chain('\u{2000}'..='\u{206f}').chain(['\u{feff}', '\u{ffff}']);
    for letter in letters {
        let mut written = serde_json::json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "a" },
        });
        written["data"] = serde_json::json!({ "a": format!("x{letter}y"), "b": letter });
        for text in [written.to_string(), crate::yaml::text(&written)] {
            let resource = read(&text).remove(0).result.unwrap();
            assert_eq!(resource.to_json()["data"], written["data"], "{text}");
            survives_round_trip(&resource);
        }
    }
}
