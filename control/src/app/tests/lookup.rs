//! What stands beside objects for looking them up is true.

use store::commit::Sort;

use super::*;
use crate::world::HUB;

impl Bed {
    async fn names(&self, kind: Kind, namespace: &str, word: &str) -> Vec<String> {
        let to = store::Key::new(HUB, &key(kind, namespace, word));
        let found = self.app.store.referring_to(&to).await.unwrap();
        let words = |(key, path): &(store::Key, String)| {
            format!("{} {}/{} {path}", key.kind, key.namespace, key.name)
        };
        found.iter().map(words).collect()
    }

    async fn hosts(&self) -> Vec<String> {
        let held = self.app.store.claims(Sort::Host).await.unwrap();
        held.iter().map(|(_, one)| format!("{}{} {}", one.host, one.path, one.workspace)).collect()
    }
}

#[tokio::test]
async fn who_names_an_object_is_found_for_as_long_as_it_does() {
    let bed = Bed::shop().await;
    let mirror = "filters: [{ type: RequestMirror, requestMirror: { backendRef: { name: app, port: 80 } } }]";
    let labelled = route("shop", "r", "[shop.example.com]", "/")
        .replace("name: r,", "name: r, labels: { heddle.dev/api: orders },")
        + &format!("      {mirror}\n");
    let more = "---\napiVersion: heddle.dev/v1alpha1\nkind: AccessPolicy\n\
                metadata: { name: p, namespace: shop }\n\
                spec: { targetRefs: [{ kind: HTTPRoute, name: r }], rules: [{ name: any }] }\n\
                ---\napiVersion: heddle.dev/v1alpha1\nkind: AuthnPolicy\n\
                metadata: { name: p, namespace: shop }\n\
                spec: { targetRefs: [{ kind: HTTPRoute, name: r }], methods: [{ name: keys, apiKey: { secretRef: { name: keys } } }] }\n\
                ---\napiVersion: heddle.dev/v1alpha1\nkind: RateLimitPolicy\n\
                metadata: { name: p, namespace: shop }\n\
                spec: { targetRefs: [{ kind: HTTPRoute, name: r }], limits: [{ name: all, requests: 9, window: 1s }] }\n\
                ---\napiVersion: v1\nkind: Secret\nmetadata: { name: keys, namespace: shop }\n\
                stringData: { clerk: a-key-of-sixteen-bytes }\n\
                ---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
                metadata: { name: s, namespace: shop, labels: { kubernetes.io/service-name: app } }\n\
                addressType: IPv4\nendpoints: []\nports: []\n\
                ---\napiVersion: heddle.dev/v1alpha1\nkind: Role\nmetadata: { name: clerk, namespace: heddle }\n\
                spec: { rules: [{ verbs: [Read] }] }\n\
                ---\napiVersion: heddle.dev/v1alpha1\nkind: Grant\nmetadata: { name: g, namespace: shop }\n\
                spec: { subjects: [{ team: sellers }, { user: eve }], role: clerk, apis: [orders] }\n";
    bed.put("root", &(api("sellers") + &service("shop") + &labelled + more)).await.unwrap();
    let route = "HTTPRoute shop/r";
    let cases: [(Kind, &str, &str, &[&str]); 8] = [
        (Kind::Gateway, "platform", "edge", &["HTTPRoute shop/r spec.parentRefs[0]"]),
        (
            Kind::Service,
            "shop",
            "app",
            &[
                "EndpointSlice shop/s metadata.labels['kubernetes.io/service-name']",
                &format!("{route} spec.rules[0].backendRefs[0]"),
                &format!("{route} spec.rules[0].filters[0].requestMirror.backendRef"),
            ],
        ),
        (
            Kind::HttpRoute,
            "shop",
            "r",
            &[
                "AccessPolicy shop/p spec.targetRefs[0]",
                "AuthnPolicy shop/p spec.targetRefs[0]",
                "RateLimitPolicy shop/p spec.targetRefs[0]",
            ],
        ),
        (Kind::Secret, "shop", "keys", &["AuthnPolicy shop/p spec.methods[0].apiKey.secretRef"]),
        (
            Kind::Api,
            "shop",
            "orders",
            &["Grant shop/g spec.apis[0]", "HTTPRoute shop/r metadata.labels['heddle.dev/api']"],
        ),
        (Kind::Role, "heddle", "clerk", &["Grant shop/g spec.role"]),
        (
            Kind::Team,
            "heddle",
            "sellers",
            &[
                "Api shop/orders spec.owner",
                "Grant shop/g spec.subjects[0].team",
                "Grant shop/sellers spec.subjects[0].team",
            ],
        ),
        (Kind::Team, "heddle", "bankers", &["Grant bank/bankers spec.subjects[0].team"]),
    ];
    for (kind, namespace, word, wanted) in cases {
        assert_eq!(bed.names(kind, namespace, word).await, wanted, "{kind} {namespace}/{word}");
    }
    let held = bed.app.store.grants_of("user:eve").await.unwrap();
    assert_eq!((held.len(), held[0].1.role.as_str()), (1, "clerk"));
    assert_eq!(held[0].1.scope, Scope::Workspace(name("shop")));
    bed.delete("root", key(Kind::HttpRoute, "shop", "r")).await.unwrap_err();
    for kind in Kind::GUARDS {
        bed.delete("root", key(kind, "shop", "p")).await.unwrap();
    }
    bed.delete("root", key(Kind::HttpRoute, "shop", "r")).await.unwrap();
    assert_eq!(bed.names(Kind::Gateway, "platform", "edge").await, [""; 0]);
}

#[tokio::test]
async fn a_listener_set_names_its_gateway_and_its_certificates() {
    let bed = Bed::shop().await;
    let text = "apiVersion: gateway.networking.k8s.io/v1\nkind: ListenerSet\n\
                metadata: { name: s, namespace: platform }\nspec:\n  parentRef: { name: edge }\n  \
                listeners: [{ name: a, port: 443, protocol: HTTPS, hostname: a.example.com, \
                tls: { certificateRefs: [{ name: cert }] } }]\n\
                ---\napiVersion: v1\nkind: Secret\nmetadata: { name: cert, namespace: platform }\n\
                type: kubernetes.io/tls\nstringData: { tls.crt: chain, tls.key: key }\n\
                ---\napiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\n\
                metadata: { name: edge, namespace: platform }\nspec:\n  gatewayClassName: heddle\n  \
                allowedListeners: { namespaces: { from: Same } }\n  \
                listeners: [{ name: http, protocol: HTTP, port: 8080 }]\n";
    bed.put("root", text).await.unwrap();
    let to = async |kind, word| bed.names(kind, "platform", word).await;
    assert_eq!(to(Kind::Gateway, "edge").await, ["ListenerSet platform/s spec.parentRef"]);
    let place = "ListenerSet platform/s spec.listeners[0].tls.certificateRefs[0]";
    assert_eq!(to(Kind::Secret, "cert").await, [place]);
}

#[tokio::test]
async fn what_is_claimed_stands_in_a_table_and_by_one_claim() {
    let bed = Bed::shop().await;
    let held =
        claim("shop", "{ host: shop.example.com, paths: [/Cart/, /pay] }, { host: '*.s.test' }");
    bed.put("sara", &held).await.unwrap();
    let wanted = [
        "*.s.test/ workspace/shop",
        "shop.example.com/cart workspace/shop",
        "shop.example.com/pay workspace/shop",
    ];
    assert_eq!(bed.hosts().await, wanted);
    let more = |host: &str| {
        claim("shop", &format!("{{ host: {host} }}")).replace("name: hosts", "name: more")
    };
    let twice = said(bed.put("sara", &more("'*.s.test'")).await);
    assert_eq!(
        twice,
        "Claim shop/more: spec.hosts: '*.s.test/' is held by Claim shop/hosts already"
    );
    bed.put("sara", &more("a.s.test")).await.unwrap();
    // From one Claim to another in one change.
    let moved = claim("shop", "{ host: a.s.test }") + &more("'*.s.test'");
    bed.put("sara", &moved).await.unwrap();
    assert_eq!(bed.hosts().await, ["*.s.test/ workspace/shop", "a.s.test/ workspace/shop"]);
    bed.delete("sara", key(Kind::Claim, "shop", "more")).await.unwrap();
    assert_eq!(bed.hosts().await, ["a.s.test/ workspace/shop"]);
}
