//! Teams that share a workspace: what one writes for its own Api takes nothing of the other's, over
//! the wire.

use serde_json::json;

use super::bed::{Hub, problem};

const GATEWAY: &str = include_str!("../../../examples/bookshop/gateway.yaml");
const PLATFORM: &str = include_str!("../../../examples/bookshop/platform.yaml");
const MESH: &str = include_str!("../../../examples/bookshop/mesh.yaml");

/// A third team, which sees nothing of what the others have.
const GUESTS: &str = "
apiVersion: heddle.dev/v1alpha1
kind: Team
metadata: { name: guests }
spec: { members: [dan] }
---
apiVersion: heddle.dev/v1alpha1
kind: Api
metadata: { name: games, namespace: bookshop }
spec: { owner: guests, lifecycle: Published }
";

fn route(api: &str, path: &str, to: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\n\
         metadata: {{ name: {api}-new, namespace: bookshop, labels: {{ heddle.dev/api: {api} }} }}\n\
         spec:\n  parentRefs: [{{ name: bookshop }}]\n  hostnames: [bookshop.localhost]\n  \
         rules: [{{ matches: [{{ path: {{ type: Exact, value: {path} }} }}], \
         backendRefs: [{{ name: {to}, port: 80 }}] }}]\n"
    )
}

fn service(api: &str, app: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Service\n\
         metadata: {{ name: {api}-new, namespace: bookshop, labels: {{ heddle.dev/api: {api} }} }}\n\
         spec: {{ selector: {{ app: {app} }}, ports: [{{ port: 80, targetPort: http }}] }}\n"
    )
}

#[tokio::test]
async fn what_one_team_writes_takes_nothing_of_anothers() {
    let hub = Hub::new().await;
    let shop = [PLATFORM, GATEWAY, MESH, GUESTS].join("\n---\n");
    let made = hub.admin.apply(&shop).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let (bob, carol, dan) = (hub.user("bob").await, hub.user("carol").await, hub.user("dan").await);

    // Bob sees what is Carol's: he is told, and may ask for it.
    for (evil, of) in [
        (route("orders", "/catalog", "orders"), "HTTPRoute bookshop/catalog"),
        (route("orders", "/orders/books", "catalog-v1"), "Service bookshop/catalog-v1"),
        (service("orders", "catalog-v1"), "Workload bookshop/catalog-v1-1"),
    ] {
        let refused = bob.apply(&evil).await;
        assert_eq!((refused.status, problem(&refused).as_str()), (403, "forbidden"), "{evil}");
        assert_eq!(refused.json()["faults"][0]["object"], of);
        assert_eq!(refused.json()["access"][0]["verb"], "Use");
    }
    // Dan sees nothing of it, and learns whose it is and nothing more.
    let own = service("games", "games");
    assert_eq!(dan.apply(&own).await.status, 201);
    for (path, api, team) in [
        ("/catalog", "catalog", "catalog"),
        ("/orders/1", "orders", "orders"),
        ("/games", "storefront", "orders"),
    ] {
        let refused = dan.apply(&route("games", path, "games-new")).await;
        assert_eq!((refused.status, problem(&refused).as_str()), (409, "claimed"), "{path}");
        let claim = &refused.json()["claims"][0];
        assert_eq!(claim["holder"], format!("api/{api}"));
        assert_eq!(claim["ask"], json!([format!("team '{team}'")]));
        assert!(claim.get("by").is_none(), "{claim}");
    }
    let refused = dan.apply(&service("games", "catalog-v1")).await;
    assert_eq!((refused.status, problem(&refused).as_str()), (409, "claimed"));
    // Once the shop's keepers led a path to it, he may send there what is his, and nothing else.
    assert_eq!(hub.admin.apply(&route("games", "/games", "games-new")).await.status, 201);
    let hidden = dan.apply(&route("games", "/games", "catalog-v1")).await;
    let nothing = dan.apply(&route("games", "/games", "nothing")).await;
    assert_eq!((hidden.status, nothing.status), (404, 404));
    let words = [hidden, nothing].map(|reply| {
        let mut told = reply.json();
        told.as_object_mut().unwrap().remove("requestId");
        told.to_string().replace("catalog-v1", "nothing")
    });
    assert_eq!(words[0], words[1]);

    // Carol's team lets Bob's send to her Services.
    let consent = "apiVersion: heddle.dev/v1alpha1\nkind: Grant\n\
        metadata: { name: orders-calls-catalog, namespace: bookshop, \
        labels: { heddle.dev/api: catalog } }\n\
        spec: { subjects: [{ team: orders }], apis: [catalog], \
        rules: [{ kinds: [Service], verbs: [Read, Use] }] }\n";
    let given = carol.apply(consent).await;
    assert_eq!(given.status, 201, "{}", given.text());
    let leads = bob.apply(&route("orders", "/orders/books", "catalog-v1")).await;
    assert_eq!(leads.status, 201, "{}", leads.text());
    assert_eq!(bob.apply(&route("orders", "/catalog", "orders")).await.status, 403);
}
