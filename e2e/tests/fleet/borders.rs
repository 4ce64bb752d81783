//! What workspaces and Apis say reaches the gateway: default deny, and each stage of an Api's life.

use e2e::client::{nothing, request};
use e2e::people::token_of;
use e2e::{Connection, Reply, fleet};
use serde_json::json;

use crate::scene::{SHOP, Scene, route};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_is_led_through_its_life_and_requests_follow() {
    let scene = Scene::new(fleet::Plan::default()).await;
    let of_api = route("shop", SHOP, 1).replace(
        "name: all, namespace: shop",
        "name: all, namespace: shop, labels: { heddle.dev/api: books }",
    );
    let api = |lifecycle: &str| {
        let ends = ["Deprecated", "Retired"].contains(&lifecycle);
        let successor = if ends { ", successor: 'https://next.example.com/books'" } else { "" };
        format!(
            "apiVersion: heddle.dev/v1alpha1\nkind: Api\n\
             metadata: {{ name: books, namespace: shop }}\n\
             spec: {{ owner: shop-team, lifecycle: {lifecycle}{successor} }}\n---\n"
        )
    };
    let stages = [
        ("Draft", 404, "api_unpublished"),
        ("Published", 200, ""),
        ("Deprecated", 200, ""),
        ("Retired", 410, "api_retired"),
        ("Published", 200, ""),
    ];
    for (lifecycle, status, reason) in stages {
        let revision = scene.fleet.change(&(api(lifecycle) + &of_api)).await;
        scene.fleet.until_everywhere(revision).await;
        let reply = get(&scene).await;
        assert_eq!(reply.status, status, "{lifecycle}: {}", reply.text());
        assert_eq!(reply.json()["reason"].as_str().unwrap_or_default(), reason, "{lifecycle}");
        let says_so = !reply.header("deprecation").is_empty();
        assert_eq!(says_so, lifecycle == "Deprecated", "{:?}", reply.headers);
        let leads_on = reply.header("link").contains("https://next.example.com/books");
        assert_eq!(leads_on, lifecycle == "Deprecated" || lifecycle == "Retired");
    }
    // It goes to another team by a verb of its own.
    let transfer = json!({ "api": { "namespace": "shop", "name": "books" }, "to": "bank-team" });
    let said = scene.fleet.post("/transfers", transfer).await.expect("the server answers");
    assert_eq!(said.status, 201, "{}", said.text());
    let api = scene.fleet.get("/resources/Api/shop/books").await;
    assert_eq!(api["spec"]["owner"], "bank-team");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_workspace_that_denies_by_default_is_opened_by_a_rule_alone() {
    let scene = Scene::new(fleet::Plan::default()).await;
    let workspace = |access: &str| {
        format!(
            "apiVersion: heddle.dev/v1alpha1\nkind: Workspace\nmetadata: {{ name: shop }}\n\
             spec: {{ access: {access} }}\n---\n"
        )
    };
    let rule = "apiVersion: heddle.dev/v1alpha1\nkind: AccessPolicy\n\
                metadata: { name: all, namespace: shop }\nspec:\n  \
                targetRefs: [{ kind: HTTPRoute, name: all }]\n  \
                rules: [{ name: readers, when: { methods: [GET] } }]\n";
    for (text, status, reason) in [
        (workspace("deny"), 403, "default_denied"),
        (rule.to_owned(), 200, ""),
        (workspace("open"), 200, ""),
    ] {
        let revision = scene.fleet.change(&text).await;
        scene.fleet.until_everywhere(revision).await;
        let reply = get(&scene).await;
        assert_eq!(reply.status, status, "{text}: {}", reply.text());
        assert_eq!(reply.json()["reason"].as_str().unwrap_or_default(), reason);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_platform_says_by_labels_whose_routes_attach_and_gateways_follow() {
    let scene = Scene::new(fleet::Plan::default()).await;
    let gateway = scene.fleet.get("/resources/Gateway/platform/edge").await;
    let port = gateway["spec"]["listeners"][0]["port"].as_u64().expect("a port");
    let picking = format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\n\
         metadata: {{ name: edge, namespace: platform }}\nspec:\n  gatewayClassName: heddle\n  \
         listeners:\n    - name: http\n      protocol: HTTP\n      port: {port}\n      \
         allowedRoutes: {{ namespaces: {{ from: Selector, selector: {{ matchLabels: \
         {{ tier: gold }} }} }} }}\n"
    );
    let labels = |tier: &str| {
        format!(
            "apiVersion: v1\nkind: Namespace\nmetadata: {{ name: shop, labels: {{ tier: {tier} }} }}\n"
        )
    };
    for (text, status) in [(picking, 404), (labels("gold"), 200), (labels("silver"), 404)] {
        let revision = scene.fleet.change(&text).await;
        scene.fleet.until_everywhere(revision).await;
        assert_eq!(get(&scene).await.status, status, "{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_are_seen_by_who_may_read_something_of_what_they_run() {
    let scene = Scene::new(fleet::Plan::default()).await;
    let nodes = async |token: &str| {
        let reply = scene.fleet.get_as(token, "/nodes").await.expect("the server answers");
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()["items"].as_array().expect("items").clone()
    };
    let scopes = |node: &serde_json::Value| -> Vec<String> {
        let held = node["vector"].as_array().expect("a vector").iter();
        held.map(|held| held["scope"].as_str().expect("a scope").to_owned()).collect()
    };
    let all = nodes(scene.fleet.token()).await;
    assert_eq!(scopes(&all[0]), ["platform", "workspace/bank", "workspace/shop"]);
    let path = format!("/nodes/{}", all[0]["id"].as_str().expect("an id"));
    let (bert, stan) = (token_of(&scene.fleet, "bert").await, token_of(&scene.fleet, "stan").await);
    let his = nodes(&bert).await;
    assert_eq!((his.len(), scopes(&his[0])), (1, vec!["workspace/bank".to_owned()]));
    assert_eq!(nodes(&stan).await, Vec::<serde_json::Value>::new());
    for (token, status) in [(scene.fleet.token(), 200), (&bert, 200), (&stan, 404)] {
        let reply = scene.fleet.get_as(token, &path).await.expect("the server answers");
        assert_eq!(reply.status, status, "{}", reply.text());
    }
}

async fn get(scene: &Scene) -> Reply {
    let asked = request("GET", SHOP, "/").body(nothing()).expect("a well-formed request");
    let mut connection = Connection::h1(scene.web).await.expect("the gateway listens");
    connection.send(asked).await.expect("an answer")
}
