//! What nodes see, and that no more is sent than it takes.

use model::namespace::Namespace;

use super::*;
use crate::test::{Bed, TRAFFIC, slice};
use crate::world::Unreadable;

fn class(cluster: &str) -> Class {
    Class { cluster: Name::parse(cluster).unwrap(), kind: NodeKind::Gateway }
}

fn names(snapshot: &Snapshot) -> Vec<String> {
    snapshot.objects.keys().map(ToString::to_string).collect()
}

/// The object of this name, such as `Gateway platform/edge`.
fn at<'s>(snapshot: &'s Snapshot, name: &str) -> &'s Arc<Envelope> {
    let found = snapshot.objects.values().find(|one| one.key.to_string() == name);
    found.expect(name)
}

fn held(snapshot: &Snapshot) -> Vec<Held> {
    let held = |one: &Arc<Envelope>| {
        let (key, generation, digest) = (one.key.clone(), one.generation, one.digest);
        Held { key, generation, digest }
    };
    snapshot.objects.values().map(held).collect()
}

async fn advanced(bed: &Bed, catalogue: &mut Catalogue) {
    catalogue.advance(&bed.app.world().await.unwrap(), None);
}

fn put_names(difference: &Difference) -> Vec<String> {
    difference.puts.iter().map(|one| one.key.to_string()).collect()
}

#[tokio::test]
async fn a_snapshot_names_the_gateways_that_a_class_serves() {
    let bed = Bed::new().await;
    bed.put(TRAFFIC).await;
    let mut catalogue = Catalogue::default();
    advanced(&bed, &mut catalogue).await;
    let served = |catalogue: &mut Catalogue, cluster: &str| {
        let snapshot = catalogue.snapshot(&class(cluster));
        let one = |one: &Served| (one.key.name.clone(), one.created);
        snapshot.gateways.iter().map(one).collect::<Vec<_>>()
    };
    let (east, west) = (served(&mut catalogue, "east"), served(&mut catalogue, "west"));
    assert_eq!(east.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["edge"]);
    assert_eq!(west.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["edge", "west"]);
    assert_eq!(east[0], west[0]);
    let mesh = Class { kind: NodeKind::Mesh, ..class("east") };
    assert!(catalogue.snapshot(&mesh).gateways.is_empty());
    // One that was made anew under the same name is another one.
    for kind in [Kind::AuthnPolicy, Kind::HttpRoute, Kind::Gateway] {
        bed.delete((kind, "platform", "west")).await;
    }
    bed.put(TRAFFIC).await;
    advanced(&bed, &mut catalogue).await;
    assert_ne!(served(&mut catalogue, "west")[1].1, west[1].1);
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
        "AuthnPolicy platform/west",
        "Gateway platform/edge",
        "Gateway platform/west",
        "HTTPRoute platform/orders",
        "HTTPRoute platform/west",
        "Secret platform/keys",
        "Service platform/orders",
    ];
    assert_eq!(names(&west), seen);
    let body = |snapshot: &Snapshot| -> Vec<u8> {
        snapshot.objects.values().flat_map(|one| one.body.to_vec()).collect()
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
    let mut rest = west.objects.values();
    let policy = rest.next().unwrap();
    assert!(policy.policy && policy.is_whole());
    assert_eq!(policy.targets, [at(&west, "HTTPRoute platform/west").key.clone()]);
    assert!(rest.all(|one| !one.policy && one.targets.is_empty()));
    assert_eq!(east.vector, bed.app.world().await.unwrap().scopes);
    assert_ne!(east.digest, west.digest);
}

#[tokio::test]
async fn gateways_are_told_of_the_authorities_that_they_name_and_of_no_other_config_map() {
    let bed = Bed::new().await;
    bed.put(TRAFFIC).await;
    let map = |name: &str| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: {name}, namespace: platform }}\n\
             data: {{ ca.crt: pem }}\n"
        )
    };
    let asking = "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\n\
         metadata: { name: asking, namespace: platform }\nspec:\n  gatewayClassName: heddle\n  \
         listeners: [{ name: tls, port: 443, protocol: TLS, tls: { certificateRefs: [{ name: cert }] } }]\n  \
         tls: { frontend: { default: { validation: { caCertificateRefs: \
         [{ group: '', kind: ConfigMap, name: partners }] } } } }\n---\n\
         apiVersion: v1\nkind: Secret\nmetadata: { name: cert, namespace: platform }\n\
         type: kubernetes.io/tls\nstringData: { tls.crt: chain, tls.key: key }\n";
    let mesh = Class { cluster: Name::parse("east").unwrap(), kind: NodeKind::Mesh };
    let mut catalogue = Catalogue::default();
    for (text, is_told) in
        [(map("partners"), false), (map("others"), false), (asking.to_owned(), true)]
    {
        bed.put(&text).await;
        advanced(&bed, &mut catalogue).await;
        for (class, is_told) in [(&class("east"), is_told), (&mesh, false)] {
            let seen = names(&catalogue.snapshot(class));
            let maps: Vec<_> = seen.iter().filter(|name| name.starts_with("ConfigMap")).collect();
            let wanted = if is_told { vec!["ConfigMap platform/partners"] } else { vec![] };
            assert_eq!(maps, wanted, "{class:?}");
        }
    }
}

#[tokio::test]
async fn gateways_are_told_of_the_consumers_that_their_policies_take_and_of_no_others() {
    let bed = Bed::new().await;
    bed.put(TRAFFIC).await;
    let consumer = |name: &str, plan: &str| {
        format!(
            "apiVersion: heddle.dev/v1alpha1\nkind: Consumer\n\
             metadata: {{ name: {name}, namespace: platform, labels: {{ plan: {plan} }} }}\n\
             spec: {{}}\n---\n"
        )
    };
    let policy = |route: &str| {
        format!(
            "apiVersion: heddle.dev/v1alpha1\nkind: AuthnPolicy\n\
             metadata: {{ name: customers, namespace: platform }}\n\
             spec: {{ targetRefs: [{{ kind: HTTPRoute, name: {route} }}], methods: [{{ name: keys, \
             apiKey: {{ consumers: {{ matchLabels: {{ plan: gold }} }} }} }}] }}\n"
        )
    };
    let (gold, both) = (consumer("acme", "gold"), consumer("globex", "gold"));
    let all = [gold, consumer("globex", "silver")].concat();
    let (east, west) = (class("east"), class("west"));
    let mesh = Class { cluster: Name::parse("east").unwrap(), kind: NodeKind::Mesh };
    let mut catalogue = Catalogue::default();
    let acme = &["Consumer platform/acme"][..];
    let two = &["Consumer platform/acme", "Consumer platform/globex"];
    // The route `orders` is in both clusters, `west` in one.
    for (text, in_east, in_west) in [
        (all, &[][..], &[][..]),
        (policy("orders"), acme, acme),
        (policy("west"), &[], acme),
        (both, &[], two),
        (policy("orders"), two, two),
    ] {
        bed.put(&text).await;
        advanced(&bed, &mut catalogue).await;
        let mut fresh = Catalogue::default();
        advanced(&bed, &mut fresh).await;
        for (class, wanted) in [(&east, in_east), (&west, in_west), (&mesh, &[])] {
            let seen = names(&catalogue.snapshot(class));
            assert_eq!(seen, names(&fresh.snapshot(class)), "{text}");
            let told: Vec<_> = seen.iter().filter(|name| name.starts_with("Consumer")).collect();
            assert_eq!(told, wanted, "{class:?}, {text}");
        }
    }
}

#[tokio::test]
async fn a_gateway_gets_the_secret_of_another_namespace_while_a_grant_there_lets_it() {
    let bed = Bed::new().await;
    bed.put(TRAFFIC).await;
    let held = "apiVersion: heddle.dev/v1alpha1\nkind: Workspace\nmetadata: { name: bank }\n\
         spec: { access: open }\n---\n\
         apiVersion: v1\nkind: Secret\nmetadata: { name: cert, namespace: bank }\n\
         type: kubernetes.io/tls\nstringData: { tls.crt: chain, tls.key: key }\n---\n\
         apiVersion: v1\nkind: ConfigMap\nmetadata: { name: partners, namespace: bank }\n\
         data: { ca.crt: pem }\n";
    let secret_of = |name: &str| {
        format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{ name: {name}, namespace: bank }}\n\
             stringData: {{ word: unlent }}\n"
        )
    };
    let grant = |to: &str| {
        format!(
            "apiVersion: gateway.networking.k8s.io/v1\nkind: ReferenceGrant\n\
             metadata: {{ name: lends, namespace: bank }}\nspec:\n  \
             from: [{{ group: gateway.networking.k8s.io, kind: Gateway, namespace: platform }}]\n  \
             to: [{to}]\n"
        )
    };
    let both = grant("{ group: '', kind: Secret }, { group: '', kind: ConfigMap, name: partners }");
    let door = "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\n\
         metadata: { name: door, namespace: platform }\nspec:\n  gatewayClassName: heddle\n  \
         listeners: [{ name: tls, port: 443, protocol: TLS, \
         tls: { certificateRefs: [{ name: cert, namespace: bank }] } }]\n  \
         tls: { frontend: { default: { validation: { caCertificateRefs: \
         [{ group: '', kind: ConfigMap, name: partners, namespace: bank }] } } } }\n";
    let mesh = Class { cluster: Name::parse("east").unwrap(), kind: NodeKind::Mesh };
    let mut catalogue = Catalogue::default();
    let (cert, partners) = ("Secret bank/cert", "ConfigMap bank/partners");
    for step in 0..7 {
        match step {
            0 => bed.put(&format!("{held}---\n{}", secret_of("other"))).await,
            1 => bed.put(&both).await,
            2 => bed.put(door).await,
            // Of one kind no longer.
            3 => bed.put(&grant("{ group: '', kind: ConfigMap }")).await,
            4 => bed.put(&grant("{ group: '', kind: Secret, name: other }")).await,
            5 => bed.put(&both).await,
            _ => bed.delete((Kind::ReferenceGrant, "bank", "lends")).await,
        };
        let wanted = match step {
            2 | 5 => vec![partners, cert],
            3 => vec![partners],
            _ => vec![],
        };
        advanced(&bed, &mut catalogue).await;
        let mut fresh = Catalogue::default();
        advanced(&bed, &mut fresh).await;
        for (class, wanted) in [(&class("east"), wanted), (&mesh, vec![])] {
            let seen = catalogue.snapshot(class);
            assert_eq!(seen.digest, fresh.snapshot(class).digest, "step {step}");
            let seen = names(&seen);
            let lent: Vec<_> = seen
                .iter()
                .filter(|name| name.contains(" bank/") && !name.starts_with("ReferenceGrant"))
                .collect();
            assert_eq!(lent, wanted, "step {step}, {class:?}");
        }
    }
}

#[tokio::test]
async fn a_listener_set_goes_with_its_gateway_and_what_hangs_on_it_goes_with_the_set() {
    let bed = Bed::new().await;
    bed.put(TRAFFIC).await;
    let lets = "allowedListeners: { namespaces: { from: All } }";
    let all =
        TRAFFIC.replace("gatewayClassName: heddle", &format!("gatewayClassName: heddle\n  {lets}"));
    bed.put(&all).await;
    let added = |gateway: &str| {
        format!(
            "apiVersion: gateway.networking.k8s.io/v1\nkind: ListenerSet\n\
             metadata: {{ name: s, namespace: team }}\nspec:\n  \
             parentRef: {{ name: {gateway}, namespace: platform }}\n  \
             listeners: [{{ name: a, port: 8443, protocol: HTTPS, hostname: a.example.com, \
             tls: {{ certificateRefs: [{{ name: cert }}] }} }}]\n"
        )
    };
    let beside = "---\napiVersion: v1\nkind: Secret\nmetadata: { name: cert, namespace: team }\n\
         type: kubernetes.io/tls\nstringData: { tls.crt: chain, tls.key: key }\n\
         ---\napiVersion: v1\nkind: Secret\nmetadata: { name: other, namespace: team }\n\
         stringData: { word: unnamed }\n\
         ---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\n\
         metadata: { name: r, namespace: team }\n\
         spec: { parentRefs: [{ kind: ListenerSet, name: s }], rules: [{ filters: \
         [{ type: RequestRedirect, requestRedirect: { hostname: b.example.com } }] }] }\n\
         ---\napiVersion: heddle.dev/v1alpha1\nkind: AccessPolicy\n\
         metadata: { name: p, namespace: team }\n\
         spec: { targetRefs: [{ kind: ListenerSet, name: s }], rules: [{ name: any }] }\n";
    let mesh = Class { cluster: Name::parse("east").unwrap(), kind: NodeKind::Mesh };
    let (east, west) = (class("east"), class("west"));
    let told =
        ["AccessPolicy team/p", "HTTPRoute team/r", "ListenerSet team/s", "Secret team/cert"];
    let mut catalogue = Catalogue::default();
    bed.put(&(added("edge") + beside)).await;
    for (gateway, in_east) in [("edge", true), ("west", false), ("edge", true)] {
        bed.put(&added(gateway)).await;
        advanced(&bed, &mut catalogue).await;
        let mut fresh = Catalogue::default();
        advanced(&bed, &mut fresh).await;
        for (class, is_told) in [(&east, in_east), (&west, true), (&mesh, false)] {
            let seen = catalogue.snapshot(class);
            assert_eq!(seen.digest, fresh.snapshot(class).digest, "{gateway}");
            let mut seen = names(&seen);
            seen.retain(|name| name.contains(" team/"));
            seen.sort();
            let wanted = if is_told { &told[..] } else { &[] };
            assert_eq!(seen, wanted, "{gateway}, {class:?}");
        }
    }
}

#[test]
fn nodes_of_a_gateway_that_lets_no_set_are_told_nothing_of_it_nor_its_keys() {
    let object = |kind, namespace: &str, name: &str, more: serde_json::Value| {
        let mut body = serde_json::json!({ "metadata": { "namespace": namespace, "name": name } });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        Resource::from_json(kind, body).unwrap()
    };
    let listener = serde_json::json!({ "name": "a", "port": 443, "protocol": "HTTPS",
        "tls": { "certificateRefs": [{ "name": "cert" }] } });
    let parent = serde_json::json!({ "namespace": "platform", "name": "edge" });
    let spec = serde_json::json!({ "spec": { "parentRef": parent, "listeners": [listener] } });
    let set = object(Kind::ListenerSet, "team", "s", spec);
    let pair = serde_json::json!({ "tls.crt": "chain", "tls.key": "key" });
    let pair = serde_json::json!({ "type": "kubernetes.io/tls", "stringData": pair });
    let secret = object(Kind::Secret, "team", "cert", pair);
    let to =
        serde_json::json!({ "spec": { "parentRefs": [{ "kind": "ListenerSet", "name": "s" }] } });
    let route = object(Kind::HttpRoute, "team", "r", to);
    for (from, told) in [("All", 4), ("Same", 1), ("None", 1)] {
        let web = serde_json::json!({ "name": "web", "port": 80, "protocol": "HTTP" });
        let spec = serde_json::json!({ "spec": { "gatewayClassName": "heddle", "listeners": [web],
            "allowedListeners": { "namespaces": { "from": from } } } });
        let all = [
            object(Kind::Gateway, "platform", "edge", spec),
            set.clone(),
            secret.clone(),
            route.clone(),
        ];
        let all: Vec<_> = all.into_iter().map(|one| (one.key(), one)).collect();
        let all = all.iter().map(|(key, one)| (key, one));
        assert_eq!(sight::seen(&class("east"), &all, std::iter::empty()).len(), told, "{from}");
    }
}

#[tokio::test]
async fn proxies_of_the_mesh_are_told_of_routes_of_services_and_gateways_are_not() {
    let bed = Bed::new().await;
    bed.put(TRAFFIC).await;
    let mesh = Class { cluster: Name::parse("east").unwrap(), kind: NodeKind::Mesh };
    let route = |parent: &str| {
        format!(
            "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\n\
             metadata: {{ name: split, namespace: platform }}\n\
             spec: {{ parentRefs: [{{ {parent}, name: orders }}], \
             rules: [{{ backendRefs: [{{ name: orders, port: 80 }}] }}] }}\n"
        )
    };
    let service = route("group: '', kind: Service");
    let gateway = route("kind: Gateway").replace("name: orders }],", "name: edge }],");
    let mut catalogue = Catalogue::default();
    advanced(&bed, &mut catalogue).await;
    for class in [&mesh, &class("east")] {
        catalogue.snapshot(class);
    }
    for (text, by_mesh, by_gateway) in
        [(&service, true, false), (&gateway, false, true), (&service, true, false)]
    {
        bed.put(text).await;
        advanced(&bed, &mut catalogue).await;
        let mut fresh = Catalogue::default();
        advanced(&bed, &mut fresh).await;
        for (class, wanted) in [(&mesh, by_mesh), (&class("east"), by_gateway)] {
            let seen = names(&catalogue.snapshot(class));
            assert_eq!(seen.contains(&"HTTPRoute platform/split".to_owned()), wanted, "{class:?}");
            assert_eq!(seen, names(&fresh.snapshot(class)), "{class:?}");
            assert!(!seen.contains(&"Secret platform/keys".to_owned()));
        }
    }
}

#[tokio::test]
async fn an_object_is_encoded_once_a_generation_for_all() {
    let bed = Bed::new().await;
    bed.put(TRAFFIC).await;
    let mut catalogue = Catalogue::default();
    advanced(&bed, &mut catalogue).await;
    let (east, west) = (catalogue.snapshot(&class("east")), catalogue.snapshot(&class("west")));
    let edge = |snapshot: &Snapshot| Arc::clone(at(snapshot, "Gateway platform/edge"));
    assert!(Arc::ptr_eq(&edge(&east), &edge(&west)), "the same Gateway");
    assert!(Arc::ptr_eq(&east, &catalogue.snapshot(&class("east"))));
    bed.put(&slice("10.0.0.1")).await;
    advanced(&bed, &mut catalogue).await;
    let later = catalogue.snapshot(&class("east"));
    assert!(Arc::ptr_eq(&edge(&east), &edge(&later)));
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
            3 => bed.delete((Kind::AuthnPolicy, "platform", "west")).await,
            4 => bed.delete((Kind::EndpointSlice, "platform", "orders-1")).await,
            _ => bed.put(&slice("10.0.0.3")).await,
        };
        advanced(&bed, &mut catalogue).await;
        states.push(catalogue.snapshot(&class("west")));
    }
    for from in &states {
        for to in &states {
            for difference in [to.since(from), to.since_held(&held(from))] {
                let mut objects = from.objects.clone();
                for key in &difference.drops {
                    assert!(objects.remove(key).is_some(), "{key} was not there");
                }
                objects
                    .extend(difference.puts.iter().map(|one| (one.key.clone(), Arc::clone(one))));
                assert_eq!(digest_of(&objects), to.digest);
                assert!(from.number != to.number || difference.puts.is_empty());
            }
        }
    }
    let gone = put_names(&states[3].since(&states[2]));
    assert_eq!(gone, Vec::<String>::new());
    let drops: Vec<_> = states[3].since(&states[2]).drops.iter().map(ToString::to_string).collect();
    assert_eq!(drops, ["AuthnPolicy platform/west", "Secret platform/keys"]);
}

#[tokio::test]
async fn what_is_made_of_what_changed_is_as_if_made_from_nothing() {
    let bed = Bed::new().await;
    bed.put(TRAFFIC).await;
    let mut catalogue = Catalogue::default();
    advanced(&bed, &mut catalogue).await;
    let (east, west) = (class("east"), class("west"));
    catalogue.snapshot(&east);
    catalogue.snapshot(&west);
    let route = |name: &str, gateway: &str| {
        format!(
            "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\n\
             metadata: {{ name: {name}, namespace: platform }}\n\
             spec: {{ parentRefs: [{{ name: {gateway} }}], \
             rules: [{{ backendRefs: [{{ name: orders, port: 80 }}] }}] }}\n"
        )
    };
    let policy = |target: &str| {
        format!(
            "apiVersion: heddle.dev/v1alpha1\nkind: AccessPolicy\n\
             metadata: {{ name: more, namespace: platform }}\nspec:\n  \
             targetRefs: [{{ kind: HTTPRoute, name: {target} }}]\n  \
             rules: [{{ name: none, when: {{ methods: [TRACE] }} }}]\n"
        )
    };
    let workspace = "apiVersion: heddle.dev/v1alpha1\nkind: Workspace\n\
                     metadata: { name: shop }\nspec: {}\n";
    let there = |snapshot: &Snapshot, name: &str| names(snapshot).iter().any(|one| one == name);
    for step in 0..10 {
        match step {
            0 => bed.put(&route("more", "edge")).await,
            1 => bed.put(&policy("more")).await,
            // East no longer sees it, nor what stands on it.
            2 => bed.put(&route("more", "west")).await,
            3 => bed.put(&route("more", "edge")).await,
            4 => bed.delete((Kind::AccessPolicy, "platform", "more")).await,
            5 => bed.delete((Kind::HttpRoute, "platform", "more")).await,
            6 => bed.delete((Kind::AuthnPolicy, "platform", "west")).await,
            // Where there are no policies, nothing hangs on a route.
            7 => bed.put(&route("more", "west")).await,
            8 => bed.put(workspace).await,
            _ => bed.put(&slice("10.0.0.4")).await,
        };
        advanced(&bed, &mut catalogue).await;
        let mut fresh = Catalogue::default();
        advanced(&bed, &mut fresh).await;
        for class in [&east, &west] {
            let (got, wanted) = (catalogue.snapshot(class), fresh.snapshot(class));
            assert_eq!(names(&got), names(&wanted), "step {step}");
            assert_eq!(got.digest, wanted.digest, "step {step}");
        }
        let seen = catalogue.snapshot(&east);
        let is_seen = ["HTTPRoute platform/more", "AccessPolicy platform/more"];
        let is_seen = is_seen.map(|name| there(&seen, name));
        let wanted = match step {
            0 | 4 => [true, false],
            1 | 3 => [true, true],
            _ => [false, false],
        };
        assert_eq!(is_seen, wanted, "step {step}");
    }
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
    let policy = Envelope::clone(at(&from, "AuthnPolicy platform/west"));
    let wider = Envelope { targets: Vec::new(), ..policy }.digested();
    objects.insert(wider.key.clone(), Arc::new(wider));
    let digest = digest_of(&objects);
    let (number, revision, vector) = (from.number + 1, from.revision, from.vector.clone());
    let gateways = from.gateways.clone();
    let to = Snapshot { number, revision, committed: None, vector, gateways, digest, objects };
    assert_ne!(from.digest, to.digest);
    for difference in [to.since(&from), to.since_held(&held(&from))] {
        assert_eq!(put_names(&difference), ["AuthnPolicy platform/west"]);
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
        let one = east.objects.values().find(|one| one.key.name == name).expect(name);
        assert!(one.policy && one.is_whole());
        one.targets.iter().map(ToString::to_string).collect()
    };
    assert_eq!(targets("sealed"), ["HTTPRoute platform/orders"]);
    assert_eq!(targets("calls"), ["HTTPRoute platform/orders"]);
    for name in ["vague", "torn"] {
        assert_eq!(targets(name), ["Namespace platform/platform"], "all that it may mean");
    }
    assert!(!names(&east).iter().any(|name| name.contains("cake") || name.contains("odd")));
}

/// A Gateway `door` of the platform that takes the ListenerSets of namespaces of the team `shop`, one of `team`, and
/// the Secret that this shows.
const LABELLED: &str = "apiVersion: heddle.dev/v1alpha1
kind: Workspace
metadata: { name: team }
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: door, namespace: platform }
spec:
  gatewayClassName: heddle
  listeners: [{ name: own, port: 9080, protocol: HTTP }]
  allowedListeners: { namespaces: { from: Selector, selector: { matchLabels: { team: shop } } } }
---
apiVersion: v1
kind: Namespace
metadata: { name: team, labels: { team: shop } }
---
apiVersion: v1
kind: Secret
metadata: { name: cert, namespace: team }
type: kubernetes.io/tls
stringData: { tls.crt: chain, tls.key: key }
---
apiVersion: gateway.networking.k8s.io/v1
kind: ListenerSet
metadata: { name: s, namespace: team }
spec:
  parentRef: { name: door, namespace: platform }
  listeners: [{ name: l, port: 9443, protocol: HTTPS, hostname: team.test, tls: { certificateRefs: [{ name: cert }] } }]
";

#[tokio::test]
async fn gateways_are_told_of_labels_and_of_a_set_while_the_labels_of_its_namespace_let_it_attach()
{
    let bed = Bed::new().await;
    bed.put(LABELLED).await;
    let mut catalogue = Catalogue::default();
    let mesh = Class { cluster: Name::parse("east").unwrap(), kind: NodeKind::Mesh };
    let label = "Namespace heddle/team";
    let set = ["ListenerSet team/s", "Secret team/cert"];
    let labelled = |team: &str| {
        format!(
            "apiVersion: v1\nkind: Namespace\nmetadata: {{ name: team, labels: {{ team: {team} }} }}\n"
        )
    };
    for (team, is_told) in [("shop", true), ("bank", false), ("shop", true)] {
        bed.put(&labelled(team)).await;
        advanced(&bed, &mut catalogue).await;
        let seen = names(&catalogue.snapshot(&class("east")));
        assert!(seen.iter().any(|name| name == label), "{seen:?}");
        assert!(set.iter().all(|one| seen.iter().any(|name| name == one) == is_told), "{seen:?}");
        let seen = names(&catalogue.snapshot(&mesh));
        assert!(seen.iter().all(|name| name != label && !set.contains(&&**name)), "{seen:?}");
    }
    // A set that comes while the labels stay is told of by the same.
    let more = LABELLED.split("---\n").last().unwrap().replace("name: s,", "name: more,");
    let more = more.replace("team.test", "more.test");
    bed.put(&more).await;
    advanced(&bed, &mut catalogue).await;
    let seen = names(&catalogue.snapshot(&class("east")));
    assert!(seen.iter().any(|name| name == "ListenerSet team/more"), "{seen:?}");
    bed.delete((Kind::Namespace, "heddle", "team")).await;
    advanced(&bed, &mut catalogue).await;
    let seen = names(&catalogue.snapshot(&class("east")));
    assert_eq!(seen, ["Gateway platform/door", "Workspace heddle/team"]);
}

#[tokio::test]
async fn of_labels_that_cannot_be_read_what_can_be_made_out_says_which_sets_are_told() {
    let bed = Bed::new().await;
    bed.put(LABELLED).await;
    let key = Namespace::key(&Name::parse("team").unwrap());
    for (body, is_told) in [
        (r#"{"metadata":{"labels":{"team":"shop"}},"new":true}"#, true),
        (r#"{"metadata":{"labels":{"team":"bank"}},"new":true}"#, false),
        (r#"{"metadata":{"labels":"team=shop"}}"#, false),
        ("no object at all", false),
    ] {
        let mut world = World::clone(&*bed.app.world().await.unwrap());
        world.objects.remove(&key);
        let aside = Unreadable {
            key: store::Key::new("hub", &key),
            scope: model::Scope::Platform,
            generation: 2,
            reason: "is of a newer version".to_owned(),
            body: body.into(),
            stand_in: None,
        };
        world.unreadable.insert(aside.key.clone(), aside);
        let mut catalogue = Catalogue::default();
        catalogue.advance(&world, None);
        let seen = names(&catalogue.snapshot(&class("east")));
        assert!(seen.contains(&"Namespace heddle/team".to_owned()), "{seen:?}");
        assert_eq!(seen.contains(&"ListenerSet team/s".to_owned()), is_told, "{body}: {seen:?}");
        assert_eq!(seen.contains(&"Secret team/cert".to_owned()), is_told, "{body}: {seen:?}");
    }
}

#[tokio::test]
async fn a_policy_that_names_keys_by_url_is_told_with_the_keys_that_are_known() {
    let bed = Bed::new().await;
    bed.put(TRAFFIC).await;
    let text = "apiVersion: heddle.dev/v1alpha1\nkind: AuthnPolicy\n\
                metadata: { name: staff, namespace: platform }\nspec:\n  \
                targetRefs: [{ kind: HTTPRoute, name: orders }]\n  methods:\n    - name: staff\n      \
                jwt: { issuer: 'https://a.example', audiences: [orders], jwksUrl: 'https://a.example/keys' }\n";
    bed.put(text).await;
    let mut catalogue = Catalogue::default();
    advanced(&bed, &mut catalogue).await;
    let body = |catalogue: &mut Catalogue| {
        let snapshot = catalogue.snapshot(&class("east"));
        let policy = Arc::clone(at(&snapshot, "AuthnPolicy platform/staff"));
        let body: serde_json::Value = serde_json::from_slice(&policy.body).unwrap();
        (snapshot, policy.generation, body.pointer("/spec/methods/0/jwt").unwrap().clone())
    };
    let (before, generation, jwt) = body(&mut catalogue);
    assert_eq!((&jwt["jwksUrl"], &jwt["jwks"]), (&"https://a.example/keys".into(), &().into()));

    let known = |keys| Arc::new(crate::key_set::Known::one("https://a.example/keys", keys));
    assert!(catalogue.learn(known("KEYS")));
    let (after, same, jwt) = body(&mut catalogue);
    assert_eq!((&jwt["jwksUrl"], &jwt["jwks"]), (&().into(), &"KEYS".into()));
    assert_eq!((same, &after.vector), (generation, &before.vector), "nobody changed anything");
    assert_eq!(put_names(&after.since(&before)), ["AuthnPolicy platform/staff"]);
    assert_eq!(put_names(&after.since_held(&held(&before))), ["AuthnPolicy platform/staff"]);
    assert!(after.number > before.number);

    // What is known already is no news; a change of something else keeps it.
    assert!(!catalogue.learn(known("KEYS")));
    assert_eq!(body(&mut catalogue).0.number, after.number);
    bed.put(&slice("127.0.0.9")).await;
    advanced(&bed, &mut catalogue).await;
    assert_eq!(body(&mut catalogue).2["jwks"], "KEYS");
    bed.put(&text.replace("[orders]", "[orders, more]")).await;
    advanced(&bed, &mut catalogue).await;
    let (_, newer, jwt) = body(&mut catalogue);
    assert_eq!((newer > generation, &jwt["jwks"]), (true, &"KEYS".into()));
    assert!(catalogue.learn(Arc::default()));
    assert_eq!(body(&mut catalogue).2["jwks"], serde_json::Value::Null);
}
