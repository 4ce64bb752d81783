//! Objects: their whole way, what stands in it, and changes whose answer is lost.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use serde_json::{Value, json};

use super::{Desk, SERVICE, done, ended, refused, route};

#[tokio::test]
async fn an_object_goes_its_whole_way() {
    let desk = Desk::furnished().await;
    desk.file("shop/route.yaml", &route("shop", "r", "shop.test", "/x"));
    let apply = ["apply", "-f", "shop", "--message", "first"];
    let dry = desk.heddle(&["apply", "-f", "shop", "--dry-run"]);
    assert_eq!(done(&dry), "HTTPRoute shop/r created (dry run)\n");
    refused(&desk.heddle(&["get", "route", "r", "-n", "shop"]), 1, &["HTTPRoute shop/r"]);
    assert_eq!(desk.heddle(&["diff", "-f", "shop"]).code, 1);
    let plan = desk.heddle(&["plan", "-f", "shop"]);
    for words in
        ["HTTPRoute shop/r   put", "\nGET shop.test:8080/x (", "\n- nothing is there for it\n"]
    {
        assert!(done(&plan).contains(words), "no '{words}' in {plan:?}");
    }

    let applied = desk.heddle(&apply);
    let said = done(&applied).strip_prefix("HTTPRoute shop/r created\nrevision ").unwrap();
    let revision: u64 = said.trim().parse().unwrap();
    let again = desk.heddle(&apply);
    assert!(done(&again).starts_with("HTTPRoute shop/r unchanged\n"), "{again:?}");
    let diff = desk.heddle(&["diff", "-f", "shop"]);
    assert_eq!((done(&diff), diff.stderr.as_str()), ("", ""));

    let table = desk.heddle(&["get", "routes", "-n", "shop"]);
    let lines: Vec<_> = done(&table).lines().collect();
    assert!(lines[0].starts_with("NAMESPACE   NAME   HOSTS"), "{table:?}");
    assert!(lines[1].starts_with("shop        r      shop.test"), "{table:?}");
    let name = desk.heddle(&["get", "HTTPRoute", "-A", "-o", "name"]);
    assert_eq!(done(&name), "HTTPRoute/shop/r\n");
    let json = desk.heddle(&["get", "HTTPRoute/shop/r", "-o", "json"]);
    let json: Value = serde_json::from_str(done(&json)).unwrap();
    let rest = desk.hub.admin.get("/resources/HTTPRoute/shop/r").await.json();
    assert_eq!(json, rest);
    let yaml = desk.heddle(&["get", "route/shop/r", "-o", "yaml"]);
    desk.file("yaml/again.yaml", done(&yaml));
    let list = desk.heddle(&["get", "routes", "-A", "-o", "yaml"]);
    desk.file("yaml/list.yaml", done(&list));
    assert_eq!(done(&desk.heddle(&["diff", "-f", "yaml", "-o", "yaml"])), "items: []\n");
    let again = desk.heddle(&["apply", "-f", "yaml/list.yaml"]);
    assert!(done(&again).starts_with("HTTPRoute shop/r unchanged\n"), "{again:?}");

    desk.file("shop/route.yaml", &route("shop", "r", "shop.test", "/y"));
    let diff = desk.heddle(&["diff", "-f", "shop"]);
    assert_eq!(diff.code, 1);
    assert_eq!(
        diff.stdout,
        "--- HTTPRoute shop/r (generation 1)\n+++ HTTPRoute shop/r (shop/route.yaml:1)\n\
         - spec.rules[0].matches[0].path.value: /x\n+ spec.rules[0].matches[0].path.value: /y\n"
    );
    let json = desk.heddle(&["diff", "-f", "shop", "-o", "json"]);
    assert_eq!((json.code, json.stderr.as_str()), (1, ""));
    let json: Value = serde_json::from_str(&json.stdout).unwrap();
    let path = "spec.rules[0].matches[0].path.value";
    let differs = json!({
        "kind": "HTTPRoute", "namespace": "shop", "name": "r",
        "generation": 1, "place": "shop/route.yaml:1",
        "differences": [{ "path": path, "before": "/x", "after": "/y" }],
    });
    assert_eq!(json, json!({ "items": [differs] }));
    let coloured = desk.heddle(&["diff", "-f", "shop", "--color", "always"]).stdout;
    assert!(coloured.contains("\u{1b}[31m- spec.rules"), "{coloured:?}");
    let applied = desk.heddle(&["apply", "-f", "shop", "-o", "json"]);
    let applied: Value = serde_json::from_str(done(&applied)).unwrap();
    assert_eq!(applied["changed"][0]["generation"], 2, "{applied}");
    let described = desk.heddle(&["describe", "route/r", "-n", "shop"]);
    for words in ["generation  2\n", "value: /y", "history\n", "first"] {
        assert!(done(&described).contains(words), "no '{words}' in\n{}", described.stdout);
    }

    let second = applied["revision"].to_string();
    let back = desk.heddle(&["rollback", &second, "--message", "too early"]);
    assert!(done(&back).starts_with("HTTPRoute shop/r restored (generation 3)\n"), "{back:?}");
    refused(&desk.heddle(&["rollback", &revision.to_string()]), 1, &["HTTPRoute shop/r"]);
    let history = desk.heddle(&["history", "--scope", "workspace/shop"]);
    let takes_back = format!("takes back {second}: too early");
    assert!(done(&history).contains(&takes_back), "{history:?}");

    let deleted = desk.heddle(&["delete", "route/r", "-n", "shop"]);
    assert!(done(&deleted).starts_with("HTTPRoute shop/r deleted\nrevision "), "{deleted:?}");
    let versions = desk.heddle(&["history", "route/shop/r"]);
    assert!(done(&versions).contains("delete"), "{versions:?}");
    let created = desk.heddle(&["apply", "-f", "shop"]);
    assert!(done(&created).starts_with("HTTPRoute shop/r created\n"), "{created:?}");
    let deleted = desk.heddle(&["delete", "-f", "shop", "-o", "json"]);
    let deleted: Value = serde_json::from_str(done(&deleted)).unwrap();
    assert_eq!(deleted["changed"][0]["generation"], Value::Null, "{deleted}");
    let none = desk.heddle(&["get", "routes", "-n", "shop"]);
    assert_eq!((done(&none), none.stderr.contains("no HTTPRoute in shop")), ("", true));
}

#[tokio::test]
async fn an_old_file_takes_back_nothing_that_others_did_since() {
    let desk = Desk::furnished().await;
    desk.file("route.yaml", &route("shop", "r", "shop.test", "/x"));
    done(&desk.heddle(&["apply", "-f", "route.yaml"]));
    let got = done(&desk.heddle(&["get", "route/shop/r", "-o", "yaml"])).to_owned();
    let edited = got.replace("value: /x", "value: /mine");
    desk.file("mine.yaml", &edited);
    done(&desk.heddle(&["apply", "-f", "mine.yaml"]));

    desk.file("old.yaml", &got.replace("value: /x", "value: /old"));
    let before = desk.revisions().await;
    let said = [
        "HTTPRoute shop/r was edited from generation 1, and has 2 now",
        "get it anew (heddle get HTTPRoute/shop/r -o yaml)",
        "remove the line metadata.generation",
    ];
    let line = got.lines().position(|line| line.starts_with("  generation: 1")).unwrap() + 1;
    let place = format!("old.yaml:{line}: ");
    for asked in [&["apply"][..], &["apply", "--dry-run"], &["plan"]] {
        let ended = desk.heddle(&[asked, &["-f", "old.yaml"]].concat());
        refused(&ended, 1, &said);
        refused(&ended, 1, &[&place]);
    }
    assert_eq!(desk.revisions().await, before);

    let lines = got.lines().filter(|line| !line.starts_with("  generation:"));
    let bare: String = lines.map(|line| format!("{line}\n")).collect();
    desk.file("bare.yaml", &bare);
    let over = desk.heddle(&["apply", "-f", "bare.yaml"]);
    assert!(done(&over).starts_with("HTTPRoute shop/r configured (generation 3)\n"), "{over:?}");
}

#[tokio::test]
async fn all_faults_of_all_files_are_told_with_file_and_line() {
    let desk = Desk::furnished().await;
    let before = desk.revisions().await;
    desk.file("bad/a.yaml", &(route("shop", "good", "a.test", "/") + "---\n" + SERVICE));
    desk.file(
        "bad/b.yml",
        &route("shop", "bad", "b.test", "no-slash").replace("port: 80", "prot: 80"),
    );
    desk.file(
        "bad/c.json",
        r#"{ "apiVersion": "v1", "kind": "Servise", "metadata": { "name": "x" } }"#,
    );
    let ended = desk.heddle(&["apply", "-f", "bad"]);
    refused(&ended, 1, &["bad/b.yml:8: HTTPRoute shop/bad: ", "bad/b.yml:9: HTTPRoute shop/bad: "]);
    refused(&ended, 1, &["did you mean 'port'?", "bad/c.json:1: ", "did you mean 'Service'?"]);
    assert!(!ended.stderr.contains("a.yaml"), "{}", ended.stderr);
    refused(&desk.heddle(&["diff", "-f", "bad"]), 1, &["bad/b.yml:9: ", "bad/c.json:1: "]);
    assert_eq!(desk.revisions().await, before, "all or nothing");
    let json = desk.heddle(&["apply", "-f", "bad", "-o", "json"]);
    refused(&json, 1, &["HTTPRoute shop/bad"]);
    let json: Value = serde_json::from_str(&json.stderr).unwrap();
    let (kind, status) = ("https://heddle.dev/problems/invalid", 422);
    assert_eq!((&json["type"], &json["status"]), (&kind.into(), &status.into()), "{json}");
    assert_eq!(json["faults"].as_array().map(Vec::len), Some(3), "{json}");
    let json = desk.heddle(&["diff", "-f", "bad", "-o", "json"]);
    let json: Value = serde_json::from_str(&json.stderr).unwrap();
    assert_eq!(json["type"], kind, "{json}");

    let lost = route("shop", "lost", "c.test", "/").replace("name: app", "name: nowhere");
    desk.file("lost.yaml", &("# a comment\n".to_owned() + &lost));
    let ended = desk.heddle(&["apply", "-f", "lost.yaml"]);
    refused(&ended, 1, &["lost.yaml:10: HTTPRoute shop/lost: spec.rules[0].backendRefs[0]"]);
    refused(&desk.heddle(&["apply", "-f", "nowhere.yaml"]), 1, &["reading nowhere.yaml"]);
}

#[tokio::test]
async fn a_secret_that_was_shown_is_not_applied_and_told_why() {
    let desk = Desk::furnished().await;
    let secret = "\
apiVersion: v1
kind: Secret
metadata: { name: s, namespace: shop }
stringData: { password: hunter2 }
";
    done(&desk.told(&["apply", "-f", "-"], secret));
    let shown = desk.heddle(&["get", "secret/shop/s", "-o", "yaml"]);
    assert!(done(&shown).contains("sha256:") && !shown.stdout.contains("hunter2"), "{shown:?}");
    desk.file("secret.yaml", &shown.stdout);
    let hint = ["never shown", "stringData", "base64 in data", "leave the Secret out"];
    for command in ["apply", "plan", "diff"] {
        let ended = desk.heddle(&[command, "-f", "secret.yaml"]);
        refused(&ended, 1, &["secret.yaml:3: Secret shop/s: data.password: is not"]);
        refused(&ended, 1, &hint);
    }
    let wrong = desk.told(&["apply", "-f", "-"], &secret.replace("stringData", "data"));
    assert!(!wrong.stderr.contains("never shown"), "{wrong:?}");
}

#[tokio::test]
async fn what_another_workspace_holds_is_told_in_the_words_of_the_server() {
    let desk = Desk::furnished().await;
    let claim = "\
apiVersion: heddle.dev/v1alpha1
kind: Claim
metadata: { name: hosts, namespace: bank }
spec: { hosts: [{ host: bank.test }] }
";
    done(&desk.told(&["apply", "-f", "-"], claim));
    let text = route("shop", "thief", "bank.test", "/");
    desk.file("thief.yaml", &text);
    let rest = desk.hub.admin.apply(&text).await;
    assert_eq!(rest.status, 409, "{}", rest.text());
    let problem = rest.json();
    let detail = problem["detail"].as_str().unwrap();
    let ended = desk.heddle(&["apply", "-f", "thief.yaml"]);
    refused(&ended, 1, &["bank.test", "bankers"]);
    for (line, told) in detail.lines().zip(ended.stderr.lines()) {
        let place = told.strip_suffix(line).unwrap_or_else(|| panic!("{told} is not {line}"));
        assert!(place.starts_with("thief.yaml:"), "{told}");
    }
}

/// Stands before the server, and cuts the first connection after the server has answered on it.
fn cutting(server: SocketAddr) -> (u16, thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let running = thread::spawn(move || {
        for is_cut in [true, false] {
            let (mut client, _) = listener.accept().unwrap();
            let mut behind = TcpStream::connect(server).unwrap();
            let (mut from, mut to) = (client.try_clone().unwrap(), behind.try_clone().unwrap());
            thread::spawn(move || drop(std::io::copy(&mut from, &mut to)));
            let mut answer = [0; 1 << 16];
            let read = behind.read(&mut answer).unwrap();
            assert!(answer.starts_with(b"HTTP/1.1 201"), "{:?}", &answer[..read.min(99)]);
            if !is_cut {
                client.write_all(&answer[..read]).unwrap();
            }
            client.shutdown(std::net::Shutdown::Both).ok();
        }
    });
    (port, running)
}

#[tokio::test]
async fn a_change_whose_answer_is_lost_is_made_once() {
    let desk = Desk::furnished().await;
    desk.file("route.yaml", &route("shop", "r", "shop.test", "/x"));
    let before = desk.revisions().await;
    let (port, running) = cutting(desk.hub.server.address);
    let url = format!("http://localhost:{port}");
    let token = desk.token();
    let apply = ["apply", "-f", "route.yaml", "--server", &url];
    let ended = ended(desk.command(&apply).env("HEDDLE_TOKEN", token));
    assert!(done(&ended).starts_with("HTTPRoute shop/r created\n"), "{ended:?}");
    running.join().unwrap();
    assert_eq!(desk.revisions().await, before + 1);
}

#[tokio::test]
async fn waiting_for_nodes_of_which_there_are_none_ends_at_once() {
    let desk = Desk::furnished().await;
    desk.file("route.yaml", &route("shop", "r", "shop.test", "/x"));
    let ended = desk.heddle(&["apply", "-f", "route.yaml", "--wait=30s"]);
    assert!(done(&ended).ends_with("no node is concerned\n"), "{ended:?}");
    let status = desk.heddle(&["status"]);
    assert_eq!((done(&status), status.stderr.contains("join-token")), ("", true));
}
