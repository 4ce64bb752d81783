//! A limit on a Service: counted at the proxy beside it, for the user on whose behalf it is asked.

use e2e::fleet::Plan;
use e2e::{Redis, wait};

use crate::cloth::{CLERK, Cloth, READER, TRACE, orders, send};
use crate::scene::{Scene, policy, until_speaking};

/// For how long the orders get fewer requests of the storefront.
async fn gets_fewer(cloth: &Cloth) -> Option<u64> {
    let shown = cloth.nodes[1].admin("/config").await.expect("/config answers").json();
    shown["inForce"]["services"]["shop/orders:80"][0]["getsFewerMillis"].as_u64()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_counts_each_user_and_what_it_refuses_is_explained() {
    let cloth = Cloth::new().await;
    let limit = "apiVersion: heddle.dev/v1alpha1\nkind: RateLimitPolicy\n\
                 metadata: { name: orders, namespace: shop }\nspec:\n  \
                 targetRefs: [{ kind: Service, name: orders }]\n  limits:\n    \
                 - { name: each, by: [{ type: Caller }], requests: 2, window: 1h }\n---\n";
    let revision = cloth.fleet.change(&(limit.to_owned() + &orders("callers: [{}]"))).await;
    cloth.fleet.until_everywhere(revision).await;

    let (clerk, trace) = cloth.under_way(CLERK).await;
    let (reader, readers) = cloth.under_way(READER).await;
    let asks =
        async |trace: &str| send(cloth.front_sends, "orders", "/echo", &[(TRACE, trace)]).await;
    for left in [1, 0] {
        let reply = asks(&trace).await;
        assert_eq!(reply.status, 200);
        assert!(
            reply.header("ratelimit").starts_with(&format!("\"shop/orders/each\";r={left};t="))
        );
    }
    let refused = asks(&trace).await;
    assert_eq!((refused.status, &refused.json()["reason"]), (429, &"rate_limited".into()));
    assert!(refused.header("retry-after").parse::<u64>().is_ok_and(|seconds| seconds > 0));
    // It is said between proxies alone, and nothing to blame the endpoint for, from which others are not led away.
    assert_eq!(refused.header("heddle-limited"), "");
    assert_eq!(gets_fewer(&cloth).await, Some(0));
    // Somebody else has a share of their own.
    assert_eq!(asks(&readers).await.status, 200);
    assert_eq!(cloth.orders.count(), 3);
    cloth.front.open_gate();
    for sent in [clerk, reader] {
        assert_eq!(sent.await.expect("it was sent").status, 200);
    }
    let id = refused.header("x-request-id");
    let wanted = "denied it with 429 rate_limited: limit 'each' of RateLimitPolicy shop/orders: at most 2 \
                  requests in 3600 s by caller; there is room again in ";
    wait::until_true_of("the story of the refusal", async || {
        let path = format!("/requests/{id}");
        let told = cloth.fleet.get_as(cloth.fleet.token(), &path).await;
        told.is_ok_and(|told| told.text().contains("\"rate_limited\""))
    })
    .await;
    let text = cloth.explained(id);
    assert!(text.contains(wanted), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_application_cannot_say_that_it_was_a_limit() {
    let cloth = Cloth::new().await;
    let (sent, trace) = cloth.under_way(CLERK).await;
    let reply = send(cloth.front_sends, "orders", "/limited", &[(TRACE, &trace)]).await;
    assert_eq!((reply.status, reply.header("heddle-limited")), (429, ""));
    assert!(gets_fewer(&cloth).await > Some(0));
    cloth.front.open_gate();
    assert_eq!(sent.await.expect("it was sent").status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_edge_and_the_proxies_of_a_service_count_together() {
    let redis = Redis::start().await;
    // A machine that does much else is not to count as a Redis that hangs.
    let node_arguments =
        ["--redis", &redis.url(), "--redis-timeout", "10s"].map(str::to_owned).to_vec();
    let scene = Scene::with(Plan { node_arguments, ..Plan::default() }).await;
    let open = policy("{ name: all }");
    let limit = "apiVersion: heddle.dev/v1alpha1\nkind: RateLimitPolicy\n\
                 metadata: { name: orders, namespace: shop }\nspec:\n  \
                 targetRefs: [{ kind: HTTPRoute, name: orders }, { kind: Service, name: orders }]\n  \
                 limits: [{ name: all, requests: 5, window: 1h, scope: Shared }]\n---\n";
    scene.change(&(open + limit)).await;
    for node in [&scene.gateway, &scene.proxy] {
        wait::until_true_of("Redis to be asked", async || {
            let shown = node.admin("/config").await.expect("/config answers").json();
            let redis = &shown["inForce"]["redis"];
            redis["connections"].is_u64() && redis["connections"] == redis["workers"]
        })
        .await;
    }
    // Each comes through both, the third through the edge alone.
    for left in [3, 1] {
        let reply = scene.get("/").await;
        assert_eq!((reply.status, reply.origin()), (200, "orders"), "{reply:?}");
        assert!(reply.header("ratelimit").contains(&format!(";r={left};t=")), "{reply:?}");
    }
    let refused = scene.get("/").await;
    assert_eq!((refused.status, refused.json()["reason"].as_str()), (429, Some("rate_limited")));
    assert_eq!(scene.origin.count(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quotas_outlive_gateways_and_proxies_that_are_joined() {
    let mut scene = Scene::new().await;
    let limit = |kind: &str| {
        format!(
            "apiVersion: heddle.dev/v1alpha1\nkind: RateLimitPolicy\n\
             metadata: {{ name: of-{}, namespace: shop }}\nspec:\n  \
             targetRefs: [{{ kind: {kind}, name: orders }}]\n  \
             limits: [{{ name: plan, requests: 9, period: Month }}]\n---\n",
            kind.to_lowercase()
        )
    };
    scene.change(&(policy("{ name: all }") + &limit("HTTPRoute") + &limit("Service"))).await;
    for left in [8, 7, 6] {
        let reply = scene.get("/").await;
        assert_eq!(reply.status, 200, "{reply:?}");
        let mut told: Vec<_> =
            reply.headers.get_all("ratelimit").iter().map(|one| format!("{one:?}")).collect();
        told.sort();
        for (told, of) in told.iter().zip(["httproute", "service"]) {
            assert!(
                told.contains(&format!("shop/of-{of}/plan"))
                    && told.contains(&format!(";r={left};")),
                "{reply:?}"
            );
        }
        assert_eq!(told.len(), 2, "{reply:?}");
        for node in [&mut scene.gateway, &mut scene.proxy] {
            node.stop().await;
            node.respawn();
            node.until_ready().await;
        }
        until_speaking(&scene.gateway, "gateway edge of local").await;
        until_speaking(&scene.proxy, "workload shop/orders of local").await;
    }
}
