//! What a workspace may take, and all of them together.

use super::*;
use crate::test::{Bed, op};

const SHOP: &str = "apiVersion: heddle.dev/v1alpha1\nkind: Workspace\nmetadata: { name: shop }\n";

/// The same with bounds.
fn shop(bounds: &str) -> String {
    format!("{SHOP}spec: {{ bounds: {{ {bounds} }} }}\n")
}

fn route(name: &str, path: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\n\
         metadata: {{ name: {name}, namespace: shop }}\nspec:\n  \
         parentRefs: [{{ name: web, namespace: platform }}]\n  rules:\n    \
         - matches: [{{ path: {{ type: RegularExpression, value: '{path}' }} }}]\n"
    )
}

fn slice(name: &str, count: usize) -> String {
    let all: Vec<_> = (0..count).map(|n| format!("{{ addresses: [10.0.0.{n}] }}")).collect();
    format!(
        "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
         metadata: {{ name: {name}, namespace: shop, \
         labels: {{ kubernetes.io/service-name: app }} }}\naddressType: IPv4\nendpoints: [{}]\n",
        all.join(", ")
    )
}

fn gateway(name: &str, ports: std::ops::Range<u16>) -> String {
    let all: Vec<_> =
        ports.map(|port| format!("{{ name: p{port}, protocol: HTTP, port: {port} }}")).collect();
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\n\
         metadata: {{ name: {name}, namespace: shop }}\n\
         spec: {{ gatewayClassName: heddle, listeners: [{}] }}\n",
        all.join(", ")
    )
}

fn claim(name: &str, paths: &str) -> String {
    format!(
        "apiVersion: heddle.dev/v1alpha1\nkind: Claim\n\
         metadata: {{ name: {name}, namespace: shop }}\n\
         spec: {{ hosts: [{{ host: {name}.example.com, paths: {paths} }}] }}\n"
    )
}

/// Why a change is refused.
async fn refused(bed: &Bed, text: &str) -> String {
    let edits = crate::read(text).unwrap();
    bed.app.change_commit(&op(), edits).await.unwrap_err().to_string()
}

#[tokio::test]
async fn a_workspace_takes_no_more_together_than_it_may() {
    let bed = Bed::new().await;
    bed.put(&shop("routes: 2, listeners: 3, endpoints: 5, rules: 9, claims: 2")).await;
    for (first, more, wanted) in [
        (
            claim("a", "[/a, /b]"),
            claim("b", "[/c]"),
            "3 hosts and paths of Claims; it may take 2, and Claims in",
        ),
        (gateway("a", 1..3), gateway("b", 3..5), "4 listeners; it may take 3, and Gateways in"),
        (slice("a", 3), slice("b", 3), "6 endpoints; it may take 5, and EndpointSlices in"),
    ] {
        bed.put(&first).await;
        let text = refused(&bed, &more).await;
        assert!(text.contains(&format!("workspace/shop would take {wanted}")), "{text}");
    }
    let text = refused(&bed, &gateway("b", 3..5)).await;
    assert!(text.contains("a platform admin may set 'spec.bounds.listeners' of its"), "{text}");
    // What takes less is let in, also where more is there than may be.
    bed.put(&shop("endpoints: 1")).await;
    bed.put(&slice("a", 2)).await;
    assert!(refused(&bed, &slice("a", 4)).await.contains("4 endpoints; it may take 1"));
    // With nothing written, what is usual holds.
    bed.put(SHOP).await;
    bed.put(&slice("a", 4)).await;
}

#[tokio::test]
async fn expressions_count_by_what_they_take_once_compiled_wherever_they_stand() {
    let bed = Bed::new().await;
    bed.put(SHOP).await;
    let one = crate::read(&route("one", "/[a-z]{40}")).unwrap();
    let size = Cost::of(one[0].after().unwrap()).expressions;
    assert!(size > model::expression::Expression::compile("/[a-z]{40}").unwrap().size());
    bed.put(&shop(&format!("expressionBytes: {}", 2 * size))).await;
    let routes = |count: usize| {
        let all = (0..count).map(|n| route(&format!("r{n}"), "/[a-z]{40}"));
        all.collect::<Vec<_>>().join("---\n")
    };
    let edits = |count| crate::read(&routes(count)).unwrap();
    let world = bed.app.world().await.unwrap();
    let key = |count: usize| edits(count).iter().map(crate::Edit::key).collect::<Vec<_>>();
    let judged = |count| {
        let draft = crate::draft::Draft::new(std::sync::Arc::clone(&world), edits(count)).unwrap();
        let keys = key(count);
        let keys: Vec<_> = keys.iter().collect();
        together(&world, draft.after(), &keys)
    };
    assert_eq!(judged(2), vec![]);
    let text = judged(3)[0].to_string();
    let wanted = format!("{} bytes of compiled regular expressions; it may take", 3 * size);
    assert!(text.contains(&wanted), "{text}");
}

#[test]
fn what_all_take_together_stays_below_what_a_node_takes() {
    let name = |word: &str| Name::parse(word).unwrap();
    let world = |bytes| {
        let cost = |bytes| Cost { objects: 1, bytes, ..Cost::default() };
        let taken = [("shop", Kind::Service, bytes), ("bank", Kind::HttpRoute, EVERYBODY / 2)];
        let taken = taken.map(|(of, kind, bytes)| ((name(of), kind), cost(bytes)));
        // No node is told of it.
        let note = ((name("shop"), Kind::Role), cost(EVERYBODY));
        let mut world = World::default();
        world.taken = taken.into_iter().chain([note]).collect();
        world
    };
    let key = Key::new(Kind::Service, name("shop"), name("orders"));
    let (fits, full, over) = (EVERYBODY / 2, EVERYBODY / 2 + 8, EVERYBODY / 2 + 9);
    assert_eq!(everybody(&world(0), &world(fits), &key), None);
    let text = everybody(&world(fits), &world(over), &key).unwrap().to_string();
    assert!(text.contains("platform takes most of it"), "{text}");
    assert_eq!(everybody(&world(over), &world(full), &key), None, "it takes less than before");
}

#[tokio::test]
async fn keys_that_nodes_are_told_count_before_they_are_fetched() {
    let bed = Bed::new().await;
    bed.put(&shop("bytes: 60000")).await;
    bed.put(&gateway("web", 8080..8081)).await;
    let policy = |urls: usize| {
        let method = |at| {
            format!(
                "    - name: m{at}\n      jwt: {{ issuer: 'https://a.example', audiences: [orders], \
                 jwksUrl: 'https://a.example/{at}' }}\n"
            )
        };
        let methods: String = (0..urls).map(method).collect();
        format!(
            "apiVersion: heddle.dev/v1alpha1\nkind: AuthnPolicy\nmetadata: {{ name: staff, namespace: shop }}\n\
             spec:\n  targetRefs: [{{ kind: Gateway, name: web }}]\n  methods:\n{methods}"
        )
    };
    let told = refused(&bed, &policy(3)).await;
    assert!(told.contains("bytes"), "{told}");
    bed.put(&policy(2)).await;
    // The largest that there may be fits into one object.
    bed.put(&shop("bytes: 600000")).await;
    bed.put(&policy(16)).await;
}
