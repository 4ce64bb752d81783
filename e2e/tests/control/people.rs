//! Signing in, and what people and their programs come with.

use std::os::unix::fs::PermissionsExt as _;

use e2e::wait;
use serde_json::json;

use super::bed::{Client, Credential, Hub, note, problem};

#[tokio::test]
async fn the_first_password_lies_in_a_file_that_goes_when_it_was_used() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let place = ["--data", data.to_str().unwrap()];
    let file = data.join("admin-password");
    let mut server = e2e::Server::start(&place).await;
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let password = std::fs::read_to_string(&file).unwrap().trim_end().to_owned();
    // The log keeps what it is told for longer than the file lives: it says where, not what.
    assert!(!server.stderr().contains(&password), "{}", server.stderr());
    assert!(server.stderr().contains("admin-password"), "{}", server.stderr());
    assert_eq!(server.terminate().await, 0);
    let mut again = e2e::Server::start(&place).await;
    assert!(!again.stderr().contains("made the user"), "{}", again.stderr());
    let nobody = Client { address: again.address, credential: Credential::None };
    let admin = nobody.sign_in("admin", &password).await;
    assert!(!file.exists());
    assert_eq!(admin.get("/session").await.json()["isPlatformAdmin"], true);
    assert_eq!(again.terminate().await, 0);
}

#[tokio::test]
async fn the_first_password_may_be_given() {
    let folder = tempfile::tempdir().unwrap();
    let (data, given) = (folder.path().join("data"), folder.path().join("given"));
    std::fs::write(&given, "a password of one's own\n").unwrap();
    let given = given.to_str().unwrap();
    let place = ["--data", data.to_str().unwrap(), "--admin-password-file", given];
    let server = e2e::Server::start(&place).await;
    assert!(!data.join("admin-password").exists());
    assert!(!server.stderr().contains("a password of one's own"));
    let nobody = Client { address: server.address, credential: Credential::None };
    nobody.sign_in("admin", "a password of one's own").await;
}

#[tokio::test]
async fn a_wrong_name_and_a_wrong_password_are_told_alike_and_few_times() {
    let hub = Hub::new().await;
    let nobody = hub.nobody();
    let mut said = Vec::new();
    for user in ["admin", "nobody"] {
        for _ in 0..5 {
            let tried = nobody.post("/session", &json!({ "user": user, "password": "x" })).await;
            assert_eq!((tried.status, problem(&tried).as_str()), (401, "unauthenticated"));
            said.push(tried.json()["detail"].clone());
        }
        let right = json!({ "user": user, "password": hub.password });
        let late = nobody.post("/session", &right).await;
        assert_eq!((late.status, problem(&late).as_str()), (429, "too-many-attempts"), "{user}");
        let wait: u64 = late.header("retry-after").parse().unwrap();
        assert!((1..=300).contains(&wait), "{wait}");
    }
    said.dedup();
    assert_eq!(said.len(), 1, "{said:?}");
    // The token of before is as good as it was.
    assert_eq!(hub.admin.get("/session").await.status, 200);
    let audit = hub.admin.get("/audit").await.json();
    let refused =
        audit["items"].as_array().unwrap().iter().filter(|row| row["outcome"] == "refused");
    assert_eq!(refused.count(), 10);
}

#[tokio::test]
async fn a_cookie_alone_changes_nothing() {
    let hub = Hub::new().await;
    let session = hub.nobody().sign_in("admin", &hub.password).await;
    let Credential::Session { cookie, .. } = &session.credential else { panic!("no session") };
    for csrf in ["", "made-up"] {
        let credential = Credential::Session { cookie: cookie.clone(), csrf: csrf.to_owned() };
        let forged = Client { credential, ..session.clone() };
        let refused = forged.post("/users", &json!({ "name": "eve" })).await;
        assert_eq!((refused.status, problem(&refused).as_str()), (403, "forbidden"));
        assert_eq!(forged.get("/users").await.status, 200, "reading is safe");
    }
    assert_eq!(session.post("/users", &json!({ "name": "eve" })).await.status, 201);
    assert_eq!(session.delete("/session").await.status, 204);
    assert_eq!(session.get("/session").await.status, 401);
}

#[tokio::test]
async fn cookies_stay_with_tls_where_it_stands_before() {
    let hub = Hub::with(&["--behind-tls"]).await;
    let body = json!({ "user": "admin", "password": hub.password });
    let signed = hub.nobody().post("/session", &body).await;
    let cookie = signed.header("set-cookie");
    assert!(cookie.starts_with("__Host-heddle-session="), "{cookie}");
    for word in ["; Secure", "; HttpOnly", "; SameSite=Lax", "; Path=/"] {
        assert!(cookie.contains(word), "{cookie}");
    }
}

#[tokio::test]
async fn a_token_is_over_when_its_time_is_or_when_it_is_revoked() {
    let hub = Hub::new().await;
    let short = hub.admin.narrowed(&json!({ "name": "short", "expiresIn": "500ms" })).await;
    assert_eq!(short.get("/session").await.status, 200);
    wait::until("the token to end", || async {
        Some(short.get("/session").await).filter(|reply| reply.status == 401)
    })
    .await;
    let made = hub.admin.post("/tokens", &json!({ "name": "ci" })).await.json();
    let credential = Credential::Token(made["token"].as_str().unwrap().to_owned());
    let ci = Client { credential, ..hub.admin.clone() };
    assert_eq!(ci.get("/session").await.status, 200);
    let gone = hub.admin.delete(&format!("/tokens/{}", made["id"].as_str().unwrap())).await;
    assert_eq!(gone.status, 204);
    assert_eq!(ci.get("/session").await.status, 401);
    let listed = hub.admin.get("/tokens").await;
    assert!(!listed.text().contains("hdl_"), "{}", listed.text());
    assert_eq!(listed.json()["items"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn a_narrowed_token_gives_no_more_than_it_says() {
    let hub = Hub::peopled().await;
    let sara = hub.user("sara").await;
    let views = sara.narrowed(&json!({ "name": "v", "role": "viewer" })).await;
    let elsewhere = sara.narrowed(&json!({ "name": "e", "scope": "workspace/bank" })).await;
    let here = sara.narrowed(&json!({ "name": "h", "scope": "workspace/shop" })).await;
    let path = "/resources/ConfigMap/shop/n";
    let body = note("shop", "n", "one");
    assert_eq!(here.put(path, &[], &body).await.status, 201);
    assert_eq!(views.get(path).await.status, 200);
    assert_eq!(views.put(path, &[], &note("shop", "n", "two")).await.status, 403);
    assert_eq!(elsewhere.get(path).await.status, 404);
    assert_eq!(elsewhere.put(path, &[], &note("shop", "n", "two")).await.status, 404);
    // Not even an admin's token is an admin where it is narrowed.
    let less = hub.admin.narrowed(&json!({ "name": "l", "role": "viewer" })).await;
    assert_eq!(less.get("/session").await.json()["isPlatformAdmin"], false);
    assert_eq!(less.get("/users").await.status, 404);
    let widened = less.post("/tokens", &json!({ "name": "w" })).await;
    assert_eq!((widened.status, problem(&widened).as_str()), (403, "forbidden"));
}

#[tokio::test]
async fn a_disabled_user_is_out_at_once_and_the_last_admin_stays() {
    let hub = Hub::peopled().await;
    let session = hub.session("sara").await;
    let token = session.token("t").await;
    assert_eq!(hub.admin.delete("/users/sara").await.status, 204);
    assert_eq!(session.get("/session").await.status, 401);
    assert_eq!(token.get("/session").await.status, 401);
    assert_eq!(hub.admin.delete("/users/unknown").await.status, 404);
    let last = hub.admin.delete("/users/admin").await;
    assert_eq!((last.status, problem(&last).as_str()), (403, "forbidden"));
    assert_eq!(hub.admin.get("/audit/verify").await.json()["intact"], true);
}

#[tokio::test]
async fn a_new_password_ends_the_sessions_of_the_old_one() {
    let hub = Hub::new().await;
    let made = hub.admin.post("/users", &json!({ "name": "sara" })).await.json();
    let old = made["password"].as_str().unwrap();
    let sara = hub.nobody().sign_in("sara", old).await;
    let change = async |body| sara.put("/users/sara/password", &[], &body).await;
    let new = "another password";
    assert_eq!(change(json!({ "password": new })).await.status, 422);
    assert_eq!(change(json!({ "password": new, "current": "wrong" })).await.status, 422);
    assert_eq!(change(json!({ "password": "short", "current": old })).await.status, 422);
    assert_eq!(change(json!({ "password": new, "current": old })).await.status, 204);
    assert_eq!(sara.get("/session").await.status, 401);
    let again = hub.nobody().sign_in("sara", new).await;
    let body = json!({ "password": "not hers to change" });
    let others = again.put("/users/admin/password", &[], &body).await;
    assert_eq!((others.status, problem(&others).as_str()), (404, "not-found"));
}

#[tokio::test]
async fn a_join_token_is_told_once_and_names_the_root() {
    let hub = Hub::new().await;
    let new = json!({ "cluster": "east", "kind": "gateway", "pattern": "edge-*", "uses": 3 });
    let made = hub.admin.post("/join-tokens", &new).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let made = made.json();
    let parts: Vec<_> = made["token"].as_str().unwrap().split('.').collect();
    assert_eq!((parts.len(), parts[0]), (3, made["id"].as_str().unwrap()));
    assert_eq!(parts[1].len(), 43);
    assert!(hub.server.stderr().contains(parts[2]), "the root that the log names");

    let path = format!("/join-tokens/{}", parts[0]);
    assert_eq!(hub.admin.delete(&path).await.status, 204);
    assert_eq!(hub.admin.delete("/join-tokens/unknown").await.status, 404);
    let listed = hub.admin.get("/join-tokens").await;
    assert!(!listed.text().contains(parts[1]), "{}", listed.text());
    assert!(listed.json()["items"][0]["revoked"].is_string());

    let wrong = json!({ "cluster": "a.b", "kind": "gatway", "pattern": "*-edge", "uses": 0,
        "expiresIn": "721h" });
    let refused = hub.admin.post("/join-tokens", &wrong).await;
    assert_eq!(refused.status, 422);
    let refused = refused.json();
    let faults = refused["faults"].as_array().unwrap();
    let paths: Vec<_> = faults.iter().map(|fault| fault["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["cluster", "kind", "pattern", "uses", "expiresIn"]);
    assert_eq!(faults[1]["nearest"], "gateway");
}

#[tokio::test]
async fn a_nul_is_told_as_one_whichever_database_is_below() {
    let hub = Hub::new().await;
    let invalid = |reply: &e2e::client::Reply| {
        assert_eq!((reply.status, problem(reply).as_str()), (422, "invalid"), "{}", reply.text());
        assert!(reply.text().contains("the character NUL"), "{}", reply.text());
    };
    let user = json!({ "user": "a\0b", "password": "x" });
    invalid(&hub.nobody().post("/session", &user).await);
    invalid(&hub.admin.post("/tokens", &json!({ "name": "a\0b" })).await);
    let put = json!({ "message": "m", "edits": [{ "put": note("platform", "n", "a\0b") }] });
    invalid(&hub.admin.post("/changes", &put).await);
    let labelled = "apiVersion: v1\nkind: ConfigMap\n\
        metadata: { name: n, namespace: platform, labels: { a: \"b\\0\" } }\n";
    invalid(&hub.admin.apply(labelled).await);
}
