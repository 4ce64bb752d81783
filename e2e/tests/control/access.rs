//! Asking for access: what is refused is asked for, granted in one step by who may, and then done.

use e2e::client::Reply;
use serde_json::{Value, json};

use super::bed::{Client, Hub, problem};

const ROUTE: &str = "/resources/HTTPRoute/shop/r";
const WEIGHT: &str = "spec.rules[0].backendRefs[0].weight";

/// The field of a rule that covers it.
const FIELD: &str = "spec.rules[].backendRefs[].weight";

/// A route of the shop, and its Service.
const SHOP: &str = "
apiVersion: v1
kind: Service
metadata: { name: app, namespace: shop }
spec: { ports: [{ port: 80 }] }
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: r, namespace: shop }
spec:
  parentRefs: [{ name: edge, namespace: platform }]
  hostnames: [r.example]
  rules: [{ backendRefs: [{ name: app, port: 80, weight: 1 }] }]
";

/// A hub in which `vera` was refused and asked, with what she asked for.
struct Asked {
    hub: Hub,
    vera: Client,
    sara: Client,
    /// The body of what she asked for.
    body: Value,
    id: String,
}

impl Asked {
    async fn new() -> Self {
        let hub = Hub::peopled().await;
        let made = hub.admin.apply(SHOP).await;
        assert_eq!(made.status, 201, "{}", made.text());
        let (vera, sara) = (hub.user("vera").await, hub.user("sara").await);
        let refused = weigh(&vera, 7).await;
        assert_eq!((refused.status, problem(&refused).as_str()), (403, "forbidden"));
        // The refusal itself says what to send where.
        let mut body = refused.json()["access"][0].clone();
        let path = body.as_object_mut().unwrap().remove("path").unwrap();
        assert_eq!((&path, &body["field"]), (&json!("/api/v1/access-requests"), &json!(WEIGHT)));
        let asked = vera.post("/access-requests", &body).await;
        assert_eq!(asked.status, 201, "{}", asked.text());
        assert_eq!(asked.json()["ask"], json!(["team 'sellers'"]));
        let id = asked.json()["id"].as_str().unwrap().to_owned();
        Asked { hub, vera, sara, body, id }
    }

    fn path(&self, deed: &str) -> String {
        format!("/access-requests/{}{deed}", self.id)
    }
}

/// Gives the route another weight.
async fn weigh(client: &Client, weight: u32) -> Reply {
    let mut route = client.get(ROUTE).await.json();
    route["spec"]["rules"][0]["backendRefs"][0]["weight"] = weight.into();
    client.put(ROUTE, &[], &route).await
}

async fn listed(client: &Client) -> Vec<Value> {
    let listed = client.get("/access-requests?state=open").await;
    assert_eq!(listed.status, 200, "{}", listed.text());
    listed.json()["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_refused_edit_is_asked_for_granted_and_made() {
    let asked = Asked::new().await;
    let again = asked.vera.post("/access-requests", &asked.body).await;
    assert_eq!((again.status, again.json()["id"].as_str()), (200, Some(asked.id.as_str())));

    let seen = listed(&asked.sara).await;
    assert_eq!((seen.len(), &seen[0]["user"], &seen[0]["own"]), (1, &json!("vera"), &json!(false)));
    let gives = json!([
        { "kinds": ["HTTPRoute"], "verbs": ["Read"] },
        { "kinds": ["HTTPRoute"], "verbs": ["Update"], "fields": [FIELD] },
    ]);
    assert_eq!(seen[0]["proposal"]["rules"], gives);
    let granted = asked.sara.send("POST", &asked.path("/grant"), &[], "").await;
    assert_eq!(granted.status, 201, "{}", granted.text());
    let grant = &granted.json()["changed"][0];
    assert_eq!((&grant["kind"], &grant["name"]), (&json!("Grant"), &seen[0]["proposal"]["grant"]));
    let made = weigh(&asked.vera, 7).await;
    assert_eq!(made.status, 200, "{}", made.text());

    assert_eq!(listed(&asked.sara).await, [] as [Value; 0]);
    let own = asked.vera.get("/access-requests").await.json();
    let own = &own["items"][0];
    assert_eq!((&own["state"], &own["decision"]["by"]), (&json!("granted"), &json!("sara")));
    assert_eq!(own["decision"]["revision"], granted.json()["revision"]);
    let audit = asked.hub.admin.get("/audit?limit=10").await.json();
    let object = format!("access request {}", asked.id);
    let rows: Vec<_> =
        audit["items"].as_array().unwrap().iter().filter(|row| row["object"] == object).collect();
    let told = |row: &Value| format!("{} {} {}", row["actor"], row["verb"], row["detail"]);
    let want = format!("Update of {WEIGHT} on HTTPRoute shop/r");
    let by = format!("Read HTTPRoute; Update HTTPRoute, only {FIELD}");
    assert_eq!(rows.len(), 2, "{audit}");
    assert_eq!(told(rows[0]), format!("\"sara\" \"grant\" \"vera: {want}, by {by}\""));
    assert_eq!(told(rows[1]), format!("\"vera\" \"create\" \"{want}\""));
    assert_eq!(asked.hub.admin.get("/audit/verify").await.json()["intact"], true);
}

#[tokio::test]
async fn others_learn_of_no_request_and_decide_on_none() {
    let asked = Asked::new().await;
    // Who owns another workspace, and who may nothing.
    let strangers = [asked.hub.user("bert").await, asked.hub.user("stan").await];
    for stranger in &strangers {
        assert_eq!(listed(stranger).await, [] as [Value; 0]);
        let replies = [
            stranger.post("/access-requests", &asked.body).await,
            stranger.send("POST", &asked.path("/grant"), &[], "").await,
            stranger.send("POST", &asked.path("/refuse"), &[], "").await,
            stranger.delete(&asked.path("")).await,
        ];
        for reply in replies {
            assert_eq!((reply.status, problem(&reply).as_str()), (404, "not-found"));
        }
        let real = stranger.delete(&asked.path("")).await.json();
        let unreal = stranger.delete("/access-requests/nothing").await.json();
        assert_eq!(real["detail"], unreal["detail"]);
    }
    // Who asks decides on nothing either, and takes back what is theirs alone.
    let own = asked.vera.send("POST", &asked.path("/grant"), &[], "").await;
    assert_eq!((own.status, problem(&own).as_str()), (403, "forbidden"));
    let not_hers = asked.sara.delete(&asked.path("")).await;
    assert_eq!((not_hers.status, problem(&not_hers).as_str()), (403, "forbidden"));
    assert_eq!(asked.vera.delete(&asked.path("")).await.status, 204);
    assert_eq!(listed(&asked.vera).await, [] as [Value; 0]);
    let late = asked.sara.send("POST", &asked.path("/grant"), &[], "").await;
    assert_eq!((late.status, problem(&late).as_str()), (409, "decided"));
    assert_eq!(weigh(&asked.vera, 7).await.status, 403);
}

#[tokio::test]
async fn of_two_who_decide_at_once_one_does() {
    let asked = Asked::new().await;
    let before = asked.sara.get("/changes?limit=1").await.json()["items"][0]["revision"].clone();
    let deciders =
        [(&asked.sara, "/grant"), (&asked.hub.admin, "/grant"), (&asked.sara, "/refuse")];
    let racing = deciders.map(|(who, deed)| {
        let (who, path) = (who.clone(), asked.path(deed));
        tokio::spawn(async move { who.send("POST", &path, &[], "").await })
    });
    let mut statuses = Vec::new();
    for one in racing {
        let reply = one.await.unwrap();
        if reply.status >= 400 {
            assert_eq!(problem(&reply), "decided", "{}", reply.text());
        }
        statuses.push(reply.status);
    }
    let won = statuses.iter().filter(|status| [201, 204].contains(*status)).count();
    assert_eq!((won, statuses.iter().filter(|status| **status == 409).count()), (1, 2));
    // The request and the rights say the same of who won.
    let state = asked.vera.get("/access-requests").await.json()["items"][0]["state"].clone();
    let is_granted = statuses.contains(&201);
    assert_eq!(state, if is_granted { "granted" } else { "refused" });
    assert_eq!(weigh(&asked.vera, 7).await.status, if is_granted { 200 } else { 403 });
    let after = asked.hub.admin.get("/changes?limit=500").await.json();
    let by_race = after["items"].as_array().unwrap().iter().filter(|change| {
        change["revision"].as_i64() > before.as_i64() && change["actor"] != "vera"
    });
    assert_eq!(by_race.count(), usize::from(is_granted));
}

#[tokio::test]
async fn nobody_grants_more_than_they_hold() {
    let asked = Asked::new().await;
    let narrow = [
        json!({ "name": "v", "role": "viewer" }),
        json!({ "name": "e", "role": "editor" }),
        json!({ "name": "b", "scope": "workspace/bank" }),
    ];
    for body in narrow {
        let token = asked.sara.narrowed(&body).await;
        assert_eq!(listed(&token).await, [] as [Value; 0], "{body}");
        let refused = token.send("POST", &asked.path("/grant"), &[], "").await;
        assert_eq!((refused.status, problem(&refused).as_str()), (404, "not-found"), "{body}");
    }
    let wider = asked.sara.post(&asked.path("/grant"), &json!({ "role": "admin" })).await;
    assert_eq!((wider.status, problem(&wider).as_str()), (422, "invalid"));
    assert!(wider.text().contains("which you do not hold here yourself"), "{}", wider.text());
    // Who makes Grants and holds less than an editor does not give that.
    let clerk = "apiVersion: heddle.dev/v1alpha1\nkind: Role\n\
        metadata: { name: clerk, namespace: shop }\n\
        spec: { rules: [{ verbs: [Read] }, { kinds: [Grant], verbs: [Create, Update] }] }\n---\n\
        apiVersion: heddle.dev/v1alpha1\nkind: Grant\n\
        metadata: { name: clerk, namespace: shop }\n\
        spec: { subjects: [{ user: cleo }], role: clerk }\n";
    assert_eq!(asked.hub.admin.apply(clerk).await.status, 201);
    let cleo = asked.hub.user("cleo").await;
    let refused = cleo.send("POST", &asked.path("/grant"), &[], "").await;
    assert_eq!((refused.status, problem(&refused).as_str()), (404, "not-found"));
    // A token that gives less asks for no more.
    let token = asked.vera.narrowed(&json!({ "name": "v", "role": "viewer" })).await;
    let more = token.post("/access-requests", &asked.body).await;
    assert_eq!((more.status, problem(&more).as_str()), (403, "forbidden"));
    assert_eq!(listed(&asked.sara).await.len(), 1, "it is still open");
    assert_eq!(weigh(&asked.vera, 7).await.status, 403);
}

#[tokio::test]
async fn what_is_asked_for_in_vain_is_told_why() {
    let asked = Asked::new().await;
    let mut wrong = asked.body.clone();
    for (field, value, words) in [
        ("message", "x".repeat(501), "at most 500 bytes"),
        ("verb", "Read".to_owned(), "only Update is of a field"),
        ("verb", "Dance".to_owned(), "unknown variant `Dance`"),
        ("name", "nothing".to_owned(), "HTTPRoute shop/nothing: there is none"),
    ] {
        let before = wrong[field].clone();
        wrong[field] = value.into();
        let refused = asked.vera.post("/access-requests", &wrong).await;
        assert!(refused.text().contains(words), "{}", refused.text());
        assert!([404, 422].contains(&refused.status), "{}", refused.text());
        match before {
            Value::Null => drop(wrong.as_object_mut().unwrap().remove(field)),
            before => wrong[field] = before,
        }
    }
    let held = asked.sara.post("/access-requests", &asked.body).await;
    assert!(held.text().contains("you may do this already"), "{}", held.text());
    let refused = asked.sara.get("/access-requests?state=opn").await;
    assert_eq!((refused.status, &refused.json()["faults"][0]["nearest"]), (422, &json!("open")));

    // Who is shut out asks for nothing any more.
    assert_eq!(asked.hub.admin.delete("/users/vera").await.status, 204);
    assert_eq!(listed(&asked.sara).await, [] as [Value; 0]);
    let late = asked.sara.send("POST", &asked.path("/grant"), &[], "").await;
    assert_eq!((late.status, problem(&late).as_str()), (409, "decided"));
}
