//! Objects and changes: made once, in one piece, by whoever read what is there.

use e2e::client::Reply;
use e2e::raw::Raw;
use serde_json::{Value, json};

use super::bed::{Hub, note, problem};

const NOTE: &str = "/resources/ConfigMap/shop/n";

fn put(object: &Value) -> Value {
    json!({ "edits": [{ "put": object }] })
}

fn words(reply: &Reply) -> (u16, String) {
    (reply.status, problem(reply))
}

#[tokio::test]
async fn an_object_is_changed_from_what_was_read() {
    let hub = Hub::peopled().await;
    let sara = hub.user("sara").await;
    let absent = [("if-none-match", "*")];
    let made = sara.put(NOTE, &absent, &note("shop", "n", "one")).await;
    assert_eq!((made.status, made.header("etag")), (201, "\"1\""), "{}", made.text());
    assert_eq!(
        words(&sara.put(NOTE, &absent, &note("shop", "n", "x")).await),
        (412, "conflict".into())
    );

    let read = sara.get(NOTE).await;
    assert_eq!((read.status, read.header("etag")), (200, "\"1\""));
    assert_eq!(read.json()["metadata"]["generation"], 1);
    let known = sara.send("GET", NOTE, &[("if-none-match", "\"1\"")], "").await;
    assert_eq!((known.status, known.body.len()), (304, 0));

    let first = sara.put(NOTE, &[("if-match", "\"1\"")], &note("shop", "n", "two")).await;
    assert_eq!((first.status, first.header("etag")), (200, "\"2\""));
    let second = sara.put(NOTE, &[("if-match", "\"1\"")], &note("shop", "n", "three")).await;
    assert_eq!(words(&second), (412, "conflict".into()));
    let conflict = &second.json()["conflicts"][0];
    assert_eq!((&conflict["expected"], &conflict["found"]), (&json!(1), &json!(2)));

    let was = sara.get(&format!("{NOTE}?revision=3")).await.json();
    assert_eq!(was["data"]["text"], "one");
    let gone = sara.send("DELETE", NOTE, &[("if-match", "\"2\"")], "").await;
    assert_eq!(gone.status, 200, "{}", gone.text());
    assert_eq!(gone.json()["changed"][0]["generation"], Value::Null);
    let history = sara.get("/history/ConfigMap/shop/n").await.json();
    let verbs: Vec<_> =
        history["items"].as_array().unwrap().iter().map(|one| &one["verb"]).collect();
    assert_eq!(verbs, ["delete", "put", "put"]);
}

#[tokio::test]
async fn the_generation_that_is_sent_of_an_object_is_expected_where_that_is_asked() {
    let hub = Hub::peopled().await;
    let sara = hub.user("sara").await;
    for text in ["one", "two"] {
        sara.put(NOTE, &[], &note("shop", "n", text)).await;
    }
    let of = |generation: i64, text: &str| {
        let mut object = note("shop", "n", text);
        object["metadata"]["generation"] = generation.into();
        object
    };
    let old = put(&of(1, "three"));
    for path in ["/changes?expectGeneration=true", "/plan?expectGeneration=true"] {
        let reply = sara.post(path, &old).await;
        assert_eq!(words(&reply), (409, "conflict".into()), "{path}");
    }
    let mut said = put(&of(1, "three"));
    said["edits"][0]["expected"] = json!({ "generation": 2 });
    let made = sara.post("/changes?expectGeneration=true", &said).await;
    assert_eq!(made.status, 201, "what an edit says itself counts: {}", made.text());
    for (object, generation) in [(of(3, "four"), 4), (note("shop", "n", "five"), 5)] {
        let made = sara.post("/changes?expectGeneration=true", &put(&object)).await;
        assert_eq!(made.json()["changed"][0]["generation"], generation, "{}", made.text());
    }
    assert_eq!(sara.post("/changes", &old).await.status, 201, "nobody asked");
    let wrong = sara.post("/changes?expectGeneration=1", &old).await;
    assert_eq!(words(&wrong), (422, "invalid".into()));
}

#[tokio::test]
async fn of_a_race_for_one_generation_one_wins() {
    let hub = Hub::peopled().await;
    let sara = hub.user("sara").await;
    assert_eq!(sara.put(NOTE, &[], &note("shop", "n", "zero")).await.status, 201);
    let racers = (0..8).map(|racer| {
        let sara = sara.clone();
        tokio::spawn(async move {
            let body = note("shop", "n", &format!("racer {racer}"));
            sara.put(NOTE, &[("if-match", "\"1\"")], &body).await.status
        })
    });
    let mut statuses = Vec::new();
    for racer in racers.collect::<Vec<_>>() {
        statuses.push(racer.await.unwrap());
    }
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    let lost = statuses.iter().filter(|status| [412, 409].contains(*status)).count();
    assert_eq!(lost, 7, "{statuses:?}");
    assert_eq!(sara.get(NOTE).await.header("etag"), "\"2\"");
}

#[tokio::test]
async fn all_faults_of_a_change_are_told_at_once_with_their_lines() {
    let hub = Hub::peopled().await;
    let yaml = "apiVersion: v1\nkind: Service\nmetadata: { name: a, namespace: shop }\n\
        spec: { ports: [{ prot: 80 }] }\n---\napiVersion: v1\nkind: Servic\n\
        metadata: { name: b, namespace: shop }\n";
    let refused = hub.admin.apply(yaml).await;
    assert_eq!(words(&refused), (422, "invalid".into()));
    let refused = refused.json();
    let faults = refused["faults"].as_array().unwrap();
    let lines: Vec<_> = faults.iter().map(|fault| fault["line"].as_u64().unwrap()).collect();
    assert!(lines.contains(&4) && lines.contains(&7), "{faults:?}");
    assert_eq!(refused["detail"].as_str().unwrap().lines().count(), faults.len());

    let json = "{ \"edits\": [\n  { \"delete\": { \"kind\": \"Service\", \"namespace\": \"shop\", \
        \"name\": \"c\" } },\n  { \"put\": { \"apiVersion\": \"v1\", \"kind\": \"Service\",\n\
        \"metadata\": { \"name\": \"a\", \"namespace\": \"shop\" },\n\
        \"spec\": { \"ports\": [{ \"prot\": 80 }] } } },\n  { }\n] }";
    let refused = hub.admin.send("POST", "/changes", &[], json).await.json();
    let faults = refused["faults"].as_array().unwrap();
    assert!(faults.iter().any(|one| one["line"] == 5 && one["nearest"] == "port"), "{faults:?}");
    assert!(faults.iter().any(|one| one["path"] == "edits[2]"), "{faults:?}");
}

#[tokio::test]
async fn a_request_with_a_key_happens_once() {
    let hub = Hub::peopled().await;
    let send = async |key: &str, text: &str| {
        let body = put(&note("shop", "n", text)).to_string();
        hub.admin.send("POST", "/changes", &[("idempotency-key", key)], &body).await
    };
    let first = send("k1", "one").await;
    assert_eq!((first.status, first.header("idempotency-replayed")), (201, ""));
    assert_eq!(send("k2", "two").await.status, 201);
    let again = send("k1", "one").await;
    assert_eq!((again.status, again.header("idempotency-replayed")), (201, "true"));
    assert_eq!(again.json(), first.json());
    assert_eq!(hub.admin.get(NOTE).await.json()["data"]["text"], "two");
    assert_eq!(words(&send("k1", "other").await), (422, "idempotency-mismatch".into()));
    assert_eq!(words(&send("not visible", "one").await), (422, "invalid".into()));
}

#[tokio::test]
async fn a_change_is_tried_made_shown_and_taken_back() {
    let hub = Hub::peopled().await;
    let sara = hub.user("sara").await;
    let change = put(&note("shop", "n", "one"));
    let dry = sara.post("/changes?dryRun=true&message=try", &change).await;
    assert_eq!((dry.status, dry.json()["changed"][0]["generation"].clone()), (200, json!(1)));
    assert_eq!(sara.get(NOTE).await.status, 404);
    let plan = sara.post("/plan", &change).await;
    assert_eq!(plan.status, 200, "{}", plan.text());
    assert_eq!(plan.json()["wouldChange"][0]["name"], "n");

    let made = sara.post("/changes?message=for%20the%20sale", &change).await;
    let revision = made.json()["revision"].as_i64().unwrap();
    assert_eq!(made.header("location"), format!("/api/v1/changes/{revision}"));
    assert_eq!(sara.post("/changes", &change).await.status, 200, "nothing changed");
    let shown = sara.get(&format!("/changes/{revision}")).await.json();
    assert_eq!((&shown["actor"], &shown["message"]), (&json!("sara"), &json!("for the sale")));
    assert_eq!(shown["objects"][0]["before"], Value::Null);
    assert_eq!(shown["objects"][0]["after"]["data"]["text"], "one");
    let listed = sara.get("/changes?scope=workspace/shop&limit=1").await.json();
    assert_eq!(listed["items"][0]["revision"], revision);
    let receipt = sara.get(&format!("/changes/{revision}/receipt?wait=1s")).await.json();
    assert_eq!((&receipt["complete"], &receipt["nodes"]), (&json!(true), &json!([])));

    let reverted = sara.send("POST", &format!("/changes/{revision}/revert"), &[], "").await;
    assert_eq!(reverted.status, 201, "{}", reverted.text());
    assert_eq!(sara.get(NOTE).await.status, 404);
    assert_eq!(sara.get("/changes?limit=1").await.json()["items"][0]["reverts"], revision);
}

#[tokio::test]
async fn pages_follow_each_other_without_gap_or_double() {
    let hub = Hub::peopled().await;
    let edits: Vec<_> =
        (0..7).map(|n| json!({ "put": note("shop", &format!("n{n}"), "x") })).collect();
    assert_eq!(hub.admin.post("/changes", &json!({ "edits": edits })).await.status, 201);
    let (mut names, mut cursor) = (Vec::new(), String::new());
    loop {
        let page =
            hub.admin.get(&format!("/resources?kind=ConfigMap&limit=3{cursor}")).await.json();
        let items = page["items"].as_array().unwrap();
        names.extend(items.iter().map(|one| one["metadata"]["name"].as_str().unwrap().to_owned()));
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(names, ["n0", "n1", "n2", "n3", "n4", "n5", "n6"]);
}

#[tokio::test]
async fn secret_values_are_never_shown() {
    let hub = Hub::peopled().await;
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: { name: s, namespace: shop }\n\
        stringData: { password: marker-that-must-not-show }\n";
    assert_eq!(hub.admin.apply(secret).await.status, 201);
    let paths = ["/resources/Secret/shop/s", "/resources?kind=Secret", "/changes/3", "/audit"];
    for path in paths {
        let shown = hub.admin.get(path).await;
        assert_eq!(shown.status, 200, "{path}");
        for value in ["marker-that-must-not-show", "bWFya2VyLXRoYXQtbXVzdC1ub3Qtc2hvdw=="] {
            assert!(!shown.text().contains(value), "{path}: {}", shown.text());
        }
    }
}

#[tokio::test]
async fn a_stream_tells_of_revisions_and_ends_with_its_token() {
    let hub = Hub::peopled().await;
    let made = hub.admin.post("/tokens", &json!({ "name": "watch" })).await.json();
    let token = made["token"].as_str().unwrap();
    let ask = format!(
        "GET /api/v1/watch HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {token}\r\n\
         connection: close\r\n\r\n",
        hub.server.address
    );
    let mut stream = Raw::connect(hub.server.address).await;
    stream.write(&ask).await;
    until(&mut stream, "data: {\"revision\":2}").await;
    assert_eq!(hub.admin.put(NOTE, &[], &note("shop", "n", "one")).await.status, 201);
    until(&mut stream, "data: {\"revision\":3}").await;
    let gone = hub.admin.delete(&format!("/tokens/{}", made["id"].as_str().unwrap())).await;
    assert_eq!(gone.status, 204);
    stream.rest().await;
}

/// Reads on until these words.
async fn until(stream: &mut Raw, words: &str) {
    let mut read = Vec::new();
    while !read.ends_with(words.as_bytes()) {
        read.extend(stream.exactly(1).await);
    }
}
