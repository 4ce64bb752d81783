//! Whoever has no rights: every operation of the document, asked by everybody who should get nothing.

use e2e::client::Reply;
use serde_json::{Value, json};

use super::bed::{Client, Hub, note, problem};

/// An operation of the document.
struct Operation {
    id: String,
    method: String,
    path: String,
    open: bool,
    takes: bool,
}

/// What there is to be found, all of it of the workspace `shop` or of other people.
struct Found {
    session: String,
    token: String,
    access: String,
    revision: i64,
}

const MARKER: &str = "marker";

#[tokio::test]
async fn a_stranger_finds_nothing_at_any_operation() {
    let hub = Hub::peopled().await;
    let found = found(&hub).await;
    let operations = operations(&hub).await;
    assert!(operations.len() > 30, "{} operations", operations.len());
    let grant = "apiVersion: heddle.dev/v1alpha1\nkind: Grant\n\
        metadata: { name: vito, namespace: bank }\n\
        spec: { subjects: [{ user: vito }], role: viewer }\n";
    assert_eq!(hub.admin.apply(grant).await.status, 201);
    let strangers =
        [hub.user("stan").await, hub.user("vito").await, hub.user("bert").await, hub.nobody()];
    let mut wrong = Vec::new();
    for operation in &operations {
        for (who, stranger) in ["stan", "vito", "bert", "nobody"].iter().zip(&strangers) {
            let expected = expected(operation, who);
            // A stream has no end to wait for.
            if matches!(&*operation.id, "watch" | "traffic_live") && *who != "nobody" {
                continue;
            }
            let reply = ask(stranger, operation, &found).await;
            if reply.status >= 400 {
                problem(&reply);
            } else if reply.text().contains(MARKER) {
                wrong.push(format!("{} told {who}: {}", operation.id, reply.text()));
            }
            if reply.status != expected {
                let (id, status, text) = (&operation.id, reply.status, reply.text());
                wrong.push(format!("{id} answered {who} {status}, not {expected}: {text}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let kept = hub.admin.get("/resources/ConfigMap/shop/marker-n").await;
    assert_eq!(kept.header("etag"), "\"1\"");
    let users = hub.admin.get("/users").await.json();
    assert!(users["items"].as_array().unwrap().iter().all(|user| user["disabled"] == false));
}

#[tokio::test]
async fn what_is_hidden_and_what_is_not_there_are_told_alike() {
    let hub = Hub::peopled().await;
    found(&hub).await;
    let stan = hub.user("stan").await;
    let told = async |name: &str| {
        let read = stan.get(&format!("/resources/ConfigMap/shop/{name}")).await;
        let path = format!("/resources/ConfigMap/shop/{name}");
        let gone = stan.delete(&path).await;
        let made = stan.put(&path, &[], &note("shop", name, "x")).await;
        [read, gone, made].map(|reply| {
            let detail = reply.json()["detail"].as_str().unwrap().replace(name, "NAME");
            (reply.status, detail)
        })
    };
    assert_eq!(told("marker-n").await, told("nothing").await);
}

#[tokio::test]
async fn labels_of_a_namespace_are_the_platforms_to_write_and_its_workspaces_to_read() {
    let hub = Hub::peopled().await;
    let labels = |name: &str, team: &str| {
        json!({ "apiVersion": "v1", "kind": "Namespace",
            "metadata": { "name": name, "namespace": "heddle", "labels": { "team": team } } })
    };
    let path = |name: &str| format!("/resources/Namespace/heddle/{name}");
    let made = hub.admin.put(&path("shop"), &[], &labels("shop", MARKER)).await;
    assert_eq!(made.status, 201, "{}", made.text());
    // Whoever edits in the workspace reads them, and writes none.
    let sara = hub.user("sara").await;
    assert!(sara.get(&path("shop")).await.text().contains(MARKER));
    for reply in [
        sara.put(&path("shop"), &[], &labels("shop", "bank")).await,
        sara.put(&path("shop"), &[], &labels("shop", MARKER)).await,
        sara.delete(&path("shop")).await,
    ] {
        assert_eq!((reply.status, &*problem(&reply)), (403, "forbidden"), "{}", reply.text());
        assert!(reply.text().contains("no grant of yours allows"), "{}", reply.text());
    }
    // Whoever is of another workspace cannot tell whether there are any.
    let bert = hub.user("bert").await;
    let told = async |name: &str| {
        let write = labels(name, "bank");
        let asked = [
            bert.get(&path(name)).await,
            bert.delete(&path(name)).await,
            bert.put(&path(name), &[], &write).await,
        ];
        asked.map(|reply| {
            let detail = reply.json()["detail"].as_str().unwrap().replace(name, "NAME");
            (reply.status, detail)
        })
    };
    assert_eq!(told("shop").await, told("nothing").await);
    assert!(!bert.get("/resources?kind=Namespace").await.text().contains(MARKER));
    assert_eq!(hub.admin.delete(&path("shop")).await.status, 200);
}

#[tokio::test]
async fn who_may_read_is_told_what_they_may_not_do() {
    let hub = Hub::peopled().await;
    let found = found(&hub).await;
    let vera = hub.user("vera").await;
    let path = "/resources/ConfigMap/shop/marker-n";
    assert_eq!(vera.get(path).await.status, 200);
    let revert = format!("/changes/{}/revert", found.revision);
    let refused = [
        vera.put(path, &[], &note("shop", "marker-n", "x")).await,
        // What is there already, word for word.
        vera.put(path, &[], &note("shop", "marker-n", MARKER)).await,
        vera.delete(path).await,
        vera.post("/plan", &json!({ "edits": [{ "put": note("shop", "new", "x") }] })).await,
        vera.post(&revert, &json!({})).await,
    ];
    for reply in refused {
        let sort = problem(&reply);
        assert_eq!((reply.status, sort.as_str()), (403, "forbidden"), "{}", reply.text());
    }
}

/// Makes what must not be found.
async fn found(hub: &Hub) -> Found {
    let change =
        json!({ "message": MARKER, "edits": [{ "put": note("shop", "marker-n", MARKER) }] });
    let made = hub.admin.post("/changes", &change).await;
    let revision = made.json()["revision"].as_i64().unwrap();
    let session = hub.session("sara").await;
    let sessions = session.get("/sessions").await.json();
    let token = session.post("/tokens", &json!({ "name": MARKER })).await.json();
    let id = |value: &Value| value["id"].as_str().unwrap().to_owned();
    let access = id(&asked(hub).await);
    Found { session: id(&sessions["items"][0]), token: id(&token), access, revision }
}

/// A request for access that somebody made who views the shop.
async fn asked(hub: &Hub) -> Value {
    let views = "apiVersion: heddle.dev/v1alpha1\nkind: Grant\n\
        metadata: { name: views, namespace: shop }\n\
        spec: { subjects: [{ user: vida }], role: viewer }\n";
    assert_eq!(hub.admin.apply(views).await.status, 201);
    let mut body = body("access_request_create");
    body["message"] = MARKER.into();
    let asked = hub.user("vida").await.post("/access-requests", &body).await;
    assert_eq!(asked.status, 201, "{}", asked.text());
    asked.json()
}

async fn operations(hub: &Hub) -> Vec<Operation> {
    let document = hub.nobody().get("/openapi.json").await.json();
    let mut operations = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            operations.push(Operation {
                id: operation["operationId"].as_str().unwrap().to_owned(),
                method: method.to_uppercase(),
                path: path.clone(),
                open: operation["security"] == json!([]),
                takes: operation["requestBody"].is_object(),
            });
        }
    }
    operations
}

async fn ask(client: &Client, operation: &Operation, found: &Found) -> Reply {
    let id = match operation.id.as_str() {
        "session_end_one" => &found.session,
        "access_request_grant" | "access_request_refuse" | "access_request_withdraw" => {
            &found.access
        }
        _ => &found.token,
    };
    let name = if operation.path.starts_with("/users") { "sara" } else { "marker-n" };
    let path = operation.path.replace("{id}", id).replace("{name}", name);
    let path = path.replace("{kind}", "ConfigMap").replace("{namespace}", "shop");
    let path = path.replace("{revision}", &found.revision.to_string());
    let body = if operation.takes { body(&operation.id).to_string() } else { String::new() };
    client.send(&operation.method, &path, &[], &body).await
}

/// A body that would be good, if it were sent by somebody else.
fn body(id: &str) -> Value {
    let change = json!({ "edits": [{ "put": note("shop", "marker-n", "changed") }] });
    match id {
        "session_create" => json!({ "user": "sara", "password": "not her password" }),
        "user_create" => json!({ "name": "eve" }),
        "user_password" => json!({ "password": "another password" }),
        "token_create" => json!({ "name": "own" }),
        "join_token_create" => json!({ "cluster": "east", "kind": "gateway" }),
        "resource_put" => note("shop", "marker-n", "changed"),
        "change_commit" | "change_plan" => change,
        "change_revert" | "authority_advance" | "session_secret_rotate" => json!({}),
        "access_request_create" => json!({
            "verb": "Delete", "kind": "ConfigMap", "namespace": "shop", "name": "marker-n",
        }),
        "access_request_grant" | "access_request_refuse" => json!({}),
        "revocation_create" => json!({
            "consumer": { "namespace": "shop", "name": "marker-n" },
        }),
        "key_set_fetch" => json!({ "url": "https://login.example/keys" }),
        "api_transfer" => json!({ "api": { "namespace": "shop", "name": "a" }, "to": "bankers" }),
        "access_review" => json!({
            "verb": "Read", "kind": "ConfigMap", "namespace": "shop", "name": "marker-n",
        }),
        other => {
            panic!("'{other}' takes a body that this test does not know; say what a good one is")
        }
    }
}

/// The status that whoever has no rights gets.
fn expected(operation: &Operation, who: &str) -> u16 {
    match (operation.id.as_str(), who) {
        ("openapi" | "login_provider_list", _) => 200,
        ("session_create", _) => 401,
        (_, "nobody") => {
            assert!(!operation.open, "{} is open to nobody we know", operation.id);
            401
        }
        // What is one's own, and lists without what is not; that of nodes is tried where there are
        // some, in the suite of fleets.
        ("session_show" | "session_list" | "token_list" | "resource_list" | "change_list", _)
        // Where keys lie for policies of others is tried there, too.
        | ("key_set_list" | "revocation_list", _)
        // What nodes tell of requests, and count, is tried where there are some, too.
        | ("node_list" | "request_list" | "traffic_show" | "access_review", _)
        | ("access_request_list" | "api_list" | "workspace_list" | "team_roles", _)
        | ("whom_to_ask", _) => 200,
        ("token_create", _) => 201,
        // They came with a token.
        ("session_end", _) => 403,
        (_, _) => 404,
    }
}
