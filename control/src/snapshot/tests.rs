//! What nodes see, and that no more is sent than it takes.

use super::*;
use crate::test::{Bed, TRAFFIC, slice};

fn class(cluster: &str) -> Class {
    Class { cluster: Name::parse(cluster).unwrap(), kind: NodeKind::Gateway }
}

fn names(snapshot: &Snapshot) -> Vec<String> {
    snapshot.objects.iter().map(|one| one.key.to_string()).collect()
}

async fn advanced(bed: &Bed, catalogue: &mut Catalogue) {
    catalogue.advance(&bed.app.world().await.unwrap(), None);
}

fn put_names(difference: &Difference) -> Vec<String> {
    difference.puts.iter().map(|one| one.key.to_string()).collect()
}

#[tokio::test]
async fn a_class_sees_its_own_gateways_and_what_hangs_on_them() {
    let bed = Bed::new().await;
    bed.put(TRAFFIC).await;
    let mut catalogue = Catalogue::default();
    advanced(&bed, &mut catalogue).await;
    let east = catalogue.snapshot(&class("east"));
    let seen = ["Gateway platform/edge", "HTTPRoute platform/orders", "Service platform/orders"];
    assert_eq!(names(&east), seen);
    let west = catalogue.snapshot(&class("west"));
    let seen = [
        "AccessPolicy platform/west",
        "Gateway platform/edge",
        "Gateway platform/west",
        "HTTPRoute platform/orders",
        "HTTPRoute platform/west",
        "Secret platform/keys",
        "Service platform/orders",
    ];
    assert_eq!(names(&west), seen);
    let body = |snapshot: &Snapshot| -> Vec<u8> {
        snapshot.objects.iter().flat_map(|one| one.body.to_vec()).collect()
    };
    let marker = |bytes: &[u8]| {
        use base64::Engine as _;
        let word = "marker-that-west-alone-may-see";
        let coded = base64::engine::general_purpose::STANDARD.encode(word);
        let has = |word: &str| bytes.windows(word.len()).any(|part| part == word.as_bytes());
        has(word) || has(&coded)
    };
    assert!(marker(&body(&west)), "who needs a Secret gets its values");
    assert!(!marker(&body(&east)));
    let policy = &west.objects[0];
    assert!(policy.policy && policy.is_whole());
    assert_eq!(policy.targets, [west.objects[4].key.clone()]);
    assert!(west.objects[1..].iter().all(|one| !one.policy && one.targets.is_empty()));
    assert_eq!(east.vector, bed.app.world().await.unwrap().scopes);
    assert_ne!(east.digest, west.digest);
}

#[tokio::test]
async fn an_object_is_encoded_once_a_generation_for_all() {
    let bed = Bed::new().await;
    bed.put(TRAFFIC).await;
    let mut catalogue = Catalogue::default();
    advanced(&bed, &mut catalogue).await;
    let (east, west) = (catalogue.snapshot(&class("east")), catalogue.snapshot(&class("west")));
    assert!(Arc::ptr_eq(&east.objects[0], &west.objects[1]), "the same Gateway");
    assert!(Arc::ptr_eq(&east, &catalogue.snapshot(&class("east"))));
    bed.put(&slice("10.0.0.1")).await;
    advanced(&bed, &mut catalogue).await;
    let later = catalogue.snapshot(&class("east"));
    assert!(Arc::ptr_eq(&east.objects[0], &later.objects[1]));
    let first = catalogue.difference(&east, &later);
    assert!(Arc::ptr_eq(&first, &catalogue.difference(&east, &later)));
    assert_eq!(put_names(&first), ["EndpointSlice platform/orders-1"]);
    assert_eq!((first.lane(), later.whole().lane()), (Lane::Endpoint, Lane::Config));
}

#[tokio::test]
async fn differences_lead_from_any_state_to_any_other() {
    let bed = Bed::new().await;
    let mut catalogue = Catalogue::default();
    let mut states = Vec::new();
    for step in 0..6 {
        match step {
            0 => bed.put(TRAFFIC).await,
            1 => bed.put(&slice("10.0.0.1")).await,
            2 => bed.put(&slice("10.0.0.2")).await,
            3 => bed.delete((Kind::AccessPolicy, "platform", "west")).await,
            4 => bed.delete((Kind::EndpointSlice, "platform", "orders-1")).await,
            _ => bed.put(&slice("10.0.0.3")).await,
        };
        advanced(&bed, &mut catalogue).await;
        states.push(catalogue.snapshot(&class("west")));
    }
    for from in &states {
        for to in &states {
            let held: Vec<_> = from
                .objects
                .iter()
                .map(|one| Held {
                    key: one.key.clone(),
                    generation: one.generation,
                    digest: one.digest,
                })
                .collect();
            for difference in [to.since(from), to.since_held(&held)] {
                let mut objects: BTreeMap<_, _> =
                    from.objects.iter().map(|one| (one.key.clone(), Arc::clone(one))).collect();
                for key in &difference.drops {
                    assert!(objects.remove(key).is_some(), "{key} was not there");
                }
                objects
                    .extend(difference.puts.iter().map(|one| (one.key.clone(), Arc::clone(one))));
                let objects: Vec<_> = objects.into_values().collect();
                assert_eq!(digest_of(&objects), to.digest);
                assert!(from.number != to.number || difference.puts.is_empty());
            }
        }
    }
    let gone = put_names(&states[3].since(&states[2]));
    assert_eq!(gone, Vec::<String>::new());
    let drops: Vec<_> = states[3].since(&states[2]).drops.iter().map(ToString::to_string).collect();
    assert_eq!(drops, ["AccessPolicy platform/west", "Secret platform/keys"]);
}

/// Writes an object as a newer program would, past the door.
async fn newer(bed: &Bed, kind: &str, name: &str, spec: &str) {
    let key = store::Key {
        cluster: crate::world::HUB.to_owned(),
        kind: kind.to_owned(),
        namespace: "platform".to_owned(),
        name: name.to_owned(),
    };
    let body = format!(
        r#"{{"kind":"{kind}","metadata":{{"name":"{name}","namespace":"platform"}},"spec":{{"fromTheFuture":true{spec}}}}}"#
    );
    let put = store::Put {
        key,
        expected: None,
        body,
        scope: store::Scope::Platform,
        owner_team: String::new(),
        source: "newer".to_owned(),
        labels: BTreeMap::new(),
        references: Vec::new(),
        claims: Vec::new(),
        grants: Vec::new(),
        secret: None,
    };
    let writes = vec![store::Write::Put(Box::new(put))];
    bed.store.commit(&store::Commit { writes, ..store::Commit::default() }).await.unwrap();
}

#[tokio::test]
async fn an_object_whose_targets_alone_changed_is_sent_again() {
    let bed = Bed::new().await;
    bed.put(TRAFFIC).await;
    let mut catalogue = Catalogue::default();
    advanced(&bed, &mut catalogue).await;
    let from = catalogue.snapshot(&class("west"));
    let mut objects = from.objects.clone();
    let wider = Envelope { targets: Vec::new(), ..Envelope::clone(&objects[0]) }.digested();
    objects[0] = Arc::new(wider);
    let digest = digest_of(&objects);
    let (number, revision, vector) = (from.number + 1, from.revision, from.vector.clone());
    let to = Snapshot { number, revision, committed: None, vector, digest, objects };
    assert_ne!(from.digest, to.digest);
    let held = |one: &Arc<Envelope>| {
        let (key, generation, digest) = (one.key.clone(), one.generation, one.digest);
        Held { key, generation, digest }
    };
    let held: Vec<_> = from.objects.iter().map(held).collect();
    for difference in [to.since(&from), to.since_held(&held)] {
        assert_eq!(put_names(&difference), ["AccessPolicy platform/west"]);
    }
}

#[tokio::test]
async fn a_policy_that_control_cannot_read_still_reaches_what_it_protects() {
    let bed = Bed::new().await;
    bed.put(TRAFFIC).await;
    let target = r#","targetRefs":[{"kind":"HTTPRoute","name":"orders"}]"#;
    newer(&bed, "AccessPolicy", "sealed", target).await;
    newer(&bed, "AccessPolicy", "vague", "").await;
    newer(&bed, "Quota", "calls", target).await;
    let torn = r#","targetRefs":[{"kind":"HTTPRoute","name":"orders"},{"kind":"HTTPRoute"}]"#;
    newer(&bed, "AccessPolicy", "torn", torn).await;
    newer(&bed, "Recipe", "cake", "").await;
    newer(&bed, "Secret", "odd", "").await;
    let mut catalogue = Catalogue::default();
    advanced(&bed, &mut catalogue).await;
    let east = catalogue.snapshot(&class("east"));
    let targets = |name: &str| -> Vec<String> {
        let one = east.objects.iter().find(|one| one.key.name == name).expect(name);
        assert!(one.policy && one.is_whole());
        one.targets.iter().map(ToString::to_string).collect()
    };
    assert_eq!(targets("sealed"), ["HTTPRoute platform/orders"]);
    assert_eq!(targets("calls"), ["HTTPRoute platform/orders"]);
    for name in ["vague", "torn"] {
        assert_eq!(targets(name), ["Namespace platform/platform"], "all that it may mean");
    }
    assert!(!names(&east).iter().any(|name| name.contains("cake") || name.contains("odd")));
    assert!(east.objects.is_sorted_by(|one, other| one.key < other.key));
}
