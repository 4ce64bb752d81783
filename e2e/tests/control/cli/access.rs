//! Asking for access from a terminal: a refusal says the command, and whoever may grants it.

use serde_json::Value;

use super::{Desk, done, refused, route};

#[tokio::test]
async fn a_refusal_says_how_to_ask_and_the_owner_grants_it() {
    let desk = Desk::furnished().await;
    desk.file("route.yaml", &route("shop", "r", "shop.test", "/x"));
    done(&desk.heddle(&["apply", "-f", "route.yaml"]));
    for user in ["vera", "sara"] {
        let password = format!("a password of {user}\n");
        done(&desk.told(&["user", "create", user, "--password-stdin"], &password));
    }
    done(&desk.sign_in("vera", "a password of vera"));
    desk.file("route.yaml", &route("shop", "r", "shop.test", "/y"));
    let no = desk.heddle(&["apply", "-f", "route.yaml"]);
    let field = "spec.rules[0].matches[0].path.value";
    let command = format!("heddle access request update HTTPRoute/shop/r --field '{field}'");
    refused(&no, 1, &["HTTPRoute shop/r", &format!("\nask for it: {command}\n")]);

    let ask =
        ["access", "request", "update", "route/r", "-n", "shop", "--field", field, "-m", "sale"];
    let asked = desk.heddle(&ask);
    let id = done(&asked).split_whitespace().nth(2).unwrap().to_owned();
    let open = format!("access request {id} is open; team 'sellers' may grant it\n");
    assert_eq!(asked.stdout, open);
    assert_eq!(done(&desk.heddle(&ask)), open, "the same");
    let not_hers = desk.heddle(&["access", "grant", &id]);
    refused(&not_hers, 1, &["it is not for you to decide on what you ask for"]);

    done(&desk.sign_in("sara", "a password of sara"));
    let list = desk.heddle(&["access", "list"]);
    for word in [
        "ID",
        "MESSAGE",
        &id,
        "vera",
        "Update",
        "HTTPRoute shop/r",
        field,
        "Update HTTPRoute spec",
        "sale",
    ] {
        assert!(done(&list).contains(word), "no '{word}' in\n{}", list.stdout);
    }
    let json = desk.heddle(&["access", "list", "--state", "all", "-o", "json"]);
    let json: Value = serde_json::from_str(done(&json)).unwrap();
    let rest = desk.hub.admin.get("/access-requests").await.json();
    assert_eq!(json["items"], rest["items"]);
    let granted = desk.heddle(&["access", "grant", &id, "--message", "until the sale ends"]);
    let words = format!("access request {id} granted by Grant shop/asked-");
    assert!(done(&granted).starts_with(&words), "{granted:?}");
    assert!(granted.stdout.lines().last().unwrap().starts_with("revision "), "{granted:?}");
    let again = desk.heddle(&["access", "grant", &id]);
    refused(&again, 1, &[&format!("the access request {id} was granted by sara")]);
    assert!(!done(&desk.heddle(&["access", "list"])).contains(&id));

    done(&desk.sign_in("vera", "a password of vera"));
    done(&desk.heddle(&["apply", "-f", "route.yaml"]));
    let other = ["access", "request", "create", "claim/shop/hosts", "-o", "json"];
    let other: Value = serde_json::from_str(done(&desk.heddle(&other))).unwrap();
    let other = other["id"].as_str().unwrap();
    let withdrawn = desk.heddle(&["access", "withdraw", other]);
    assert_eq!(done(&withdrawn), format!("access request {other} withdrawn\n"));
    done(&desk.heddle(&["access", "request", "create", "claim/shop/hosts"]));
    let list = desk.heddle(&["access", "list", "-o", "json"]);
    let list: Value = serde_json::from_str(done(&list)).unwrap();
    let third = list["items"][0]["id"].as_str().unwrap();
    done(&desk.sign_in("sara", "a password of sara"));
    let no = desk.heddle(&["access", "refuse", third, "--message", "it is the platform's host"]);
    assert_eq!(done(&no), format!("access request {third} refused\n"));
    let told = desk.heddle(&["access", "list", "--state", "refused", "-o", "json"]);
    let told: Value = serde_json::from_str(done(&told)).unwrap();
    assert_eq!(told["items"][0]["decision"]["answer"], "it is the platform's host");
}
