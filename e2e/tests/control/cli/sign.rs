//! Who one is, what one may, and the tokens in between.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread;

use serde_json::Value;

use super::{Desk, done, ended, refused, route};

#[tokio::test]
async fn a_login_keeps_a_token_and_a_wrong_password_keeps_nothing() {
    let desk = Desk::new().await;
    refused(&desk.sign_in("admin", "wrong"), 1, &["password"]);
    refused(&desk.sign_in("nobody", &desk.hub.password), 1, &["password"]);
    refused(&desk.heddle(&["whoami", "--server", &desk.url]), 1, &["sign in: heddle login"]);
    assert!(!desk.folder.path().join("config").exists());

    assert!(done(&desk.admin()).contains("as admin"));
    assert!(done(&desk.heddle(&["whoami"])).contains("admin     of the platform"));
    let first = desk.token();
    done(&desk.admin());
    assert_ne!(desk.token(), first);
    let own = ended(desk.command(&["whoami"]).env("HEDDLE_TOKEN", &first));
    refused(&own, 1, &["HEDDLE_TOKEN"]);

    let last = desk.token();
    done(&desk.heddle(&["logout"]));
    let url = desk.url.clone();
    let own = ended(desk.command(&["whoami", "--server", &url]).env("HEDDLE_TOKEN", &last));
    refused(&own, 1, &["HEDDLE_TOKEN"]);
    refused(&desk.heddle(&["logout"]), 1, &["nobody is signed in"]);
}

#[tokio::test]
async fn a_kept_token_goes_to_no_other_server() {
    let desk = Desk::new().await;
    done(&desk.admin());
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://127.0.0.1:{}", other.local_addr().unwrap().port());
    let heard = thread::spawn(move || {
        let (mut stream, _) = other.accept().unwrap();
        let mut bytes = [0; 4096];
        let read = stream.read(&mut bytes).unwrap();
        let body = r#"{"type":"https://heddle.dev/problems/unauthenticated","detail":"who?"}"#;
        let head = "HTTP/1.1 401 U\r\ncontent-type: application/problem+json\r\n";
        write!(stream, "{head}content-length: {}\r\n\r\n{body}", body.len()).unwrap();
        String::from_utf8_lossy(&bytes[..read]).to_lowercase()
    });
    let ended = desk.heddle(&["whoami", "--server", &url]);
    refused(&ended, 1, &["who?", "you are signed in to", "heddle login --server http://127.0.0.1"]);
    let heard = heard.join().unwrap();
    assert!(heard.starts_with("get /api/v1/session ") && !heard.contains("bearer"), "{heard}");
}

#[tokio::test]
async fn rights_are_told_as_yes_or_no() {
    let desk = Desk::furnished().await;
    let ask = |verb, object, who| desk.heddle(&["auth", "can-i", verb, object, "--as", who]);
    let made = desk.told(&["user", "create", "bert", "--password-stdin"], "a password of bert\n");
    assert_eq!(done(&made), "user bert created\n");
    let yes = ask("update", "route/bank/r", "bert");
    assert!(done(&yes).starts_with("yes"), "{yes:?}");
    let no = ask("update", "route/shop/r", "bert");
    assert_eq!((no.code, no.stdout.starts_with("no")), (1, true), "{no:?}");

    let api = "\
apiVersion: heddle.dev/v1alpha1
kind: Api
metadata: { name: orders, namespace: shop }
spec: { owner: bankers, lifecycle: Published }
";
    done(&desk.told(&["apply", "-f", "-"], api));
    let no = ask("create", "route/shop/new", "bert");
    assert_eq!((no.code, no.stdout.as_str()), (1, "no: there is none\n"), "{no:?}");
    let line = ["auth", "can-i", "create", "route/shop/new", "--api", "orders", "--as", "bert"];
    assert_eq!(done(&desk.heddle(&line)), "yes: allowed by Api shop/orders\n");

    done(&desk.sign_in("bert", "a password of bert"));
    assert!(done(&desk.heddle(&["auth", "can-i", "get", "route/bank/r"])).starts_with("yes"));
    desk.file("route.yaml", &route("shop", "r", "shop.test", "/x"));
    refused(&desk.heddle(&["apply", "-f", "route.yaml"]), 1, &["route.yaml:1: HTTPRoute shop/r"]);
    for people in [&["user", "list"][..], &["audit"], &["join-token", "list"]] {
        assert_eq!(desk.heddle(people).code, 1, "{people:?}");
    }
}

#[tokio::test]
async fn a_token_is_shown_once_and_ends_when_it_is_revoked() {
    let desk = Desk::new().await;
    done(&desk.admin());
    let made = desk.heddle(&["token", "create", "ci", "--role", "viewer", "--expires", "2h"]);
    let token = done(&made).trim().to_owned();
    assert!(token.starts_with("hdl_") && token.len() == 47, "{made:?}");
    let whoami = || ended(desk.command(&["whoami"]).env("HEDDLE_TOKEN", &token));
    done(&whoami());
    let list = desk.heddle(&["token", "list", "-o", "json"]);
    assert!(!done(&list).contains(&token) && !list.stdout.contains("hdl_"), "{list:?}");
    let list: Value = serde_json::from_str(&list.stdout).unwrap();
    let items = list["items"].as_array().unwrap();
    let id = items.iter().find(|token| token["name"] == "ci").unwrap()["id"].as_str().unwrap();
    done(&desk.heddle(&["token", "revoke", id]));
    refused(&whoami(), 1, &["HEDDLE_TOKEN"]);
    let intact = desk.heddle(&["audit", "verify"]);
    assert!(done(&intact).starts_with("intact: "), "{intact:?}");
}

#[tokio::test]
async fn a_damaged_login_is_mended_by_a_new_one() {
    let desk = Desk::new().await;
    done(&desk.admin());
    fs::write(desk.config(), "{ \"token\": hdl_").unwrap();
    refused(&desk.heddle(&["whoami"]), 1, &["is damaged", "heddle login"]);
    done(&desk.admin());
    done(&desk.heddle(&["whoami"]));
}

#[tokio::test]
async fn a_password_is_changed_by_whoever_knows_it() {
    let desk = Desk::new().await;
    done(&desk.admin());
    let line = ["user", "password", "--password-stdin"];
    let new = "another horse, another battery";
    let wrong = desk.told(&line, &format!("not it\n{new}\n"));
    assert_eq!((wrong.code, wrong.stdout.as_str()), (1, ""), "{wrong:?}");
    let right = desk.told(&line, &format!("{}\n{new}\n", desk.hub.password));
    assert_eq!(done(&right), "password of admin set\n");
    assert_eq!(desk.admin().code, 1);
    done(&desk.sign_in("admin", new));
}
