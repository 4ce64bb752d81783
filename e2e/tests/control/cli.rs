//! `heddle`, as somebody at a terminal meets it: over a real server, with a home of its own.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;

use e2e::program::{self, Ended};
use serde_json::Value;
use tempfile::TempDir;

use crate::bed::Hub;

const SERVICE: &str = "\
apiVersion: v1
kind: Service
metadata: { name: app, namespace: shop }
spec: { ports: [{ port: 80 }] }
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: app
  namespace: shop
  labels: { kubernetes.io/service-name: app }
addressType: IPv4
ports: [{ port: 80 }]
endpoints: [{ addresses: [127.0.0.1] }]
";

fn route(namespace: &str, name: &str, host: &str, path: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{ name: {name}, namespace: {namespace} }}
spec:
  parentRefs: [{{ name: edge, namespace: platform }}]
  hostnames: ['{host}']
  rules:
    - matches: [{{ path: {{ value: {path} }} }}]
      backendRefs: [{{ name: app, port: 80 }}]
"
    )
}

/// A server with its first admin, and a place to sit before it.
struct Desk {
    hub: Hub,
    folder: TempDir,
}

impl Desk {
    async fn new() -> Self {
        Desk { hub: Hub::new().await, folder: tempfile::tempdir().unwrap() }
    }

    /// The same, with the admin signed in, people, and a Service.
    async fn furnished() -> Self {
        let desk = Desk { hub: Hub::peopled().await, folder: tempfile::tempdir().unwrap() };
        done(&desk.admin());
        desk.file("service.yaml", SERVICE);
        done(&desk.heddle(&["apply", "-f", "service.yaml"]));
        desk
    }

    fn url(&self) -> String {
        format!("http://localhost:{}", self.hub.server.address.port())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("desk").join(name)
    }

    /// Writes a file into the folder in which `heddle` runs.
    fn file(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        fs::create_dir_all(self.path("")).unwrap();
        let mut command = Command::new(program::heddle());
        command.args(arguments).current_dir(self.path("")).stdin(Stdio::null());
        for variable in ["HEDDLE_TOKEN", "HEDDLE_SERVER", "HEDDLE_CA", "NO_COLOR"] {
            command.env_remove(variable);
        }
        command.env("XDG_CONFIG_HOME", self.folder.path().join("config"));
        command
    }

    /// Runs `heddle` to its end.
    fn heddle(&self, arguments: &[&str]) -> Ended {
        ended(&mut self.command(arguments))
    }

    /// The same with something to read on standard input.
    fn told(&self, arguments: &[&str], input: &str) -> Ended {
        let file = self.folder.path().join("stdin");
        fs::write(&file, input).unwrap();
        ended(self.command(arguments).stdin(File::open(file).unwrap()))
    }

    fn sign_in(&self, user: &str, password: &str) -> Ended {
        let line = ["login", "--server", &self.url(), "--user", user, "--password-stdin"];
        self.told(&line, &format!("{password}\n"))
    }

    /// Signs the first admin in.
    fn admin(&self) -> Ended {
        self.sign_in("admin", &self.hub.password)
    }

    fn kept(&self) -> Value {
        let file = self.folder.path().join("config/heddle/config.json");
        serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap()
    }

    fn token(&self) -> String {
        self.kept()["token"].as_str().unwrap().to_owned()
    }

    async fn revisions(&self) -> usize {
        let changes = self.hub.admin.get("/changes?limit=500").await.json();
        changes["items"].as_array().unwrap().len()
    }
}

fn ended(command: &mut Command) -> Ended {
    let output = command.output().expect("the program runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ended {
        code: output.status.code().unwrap_or(-1),
        stdout: text(&output.stdout),
        stderr: text(&output.stderr),
    }
}

/// It did what was asked, and said this.
#[track_caller]
fn done(ended: &Ended) -> &str {
    assert_eq!(ended.code, 0, "{ended:?}");
    &ended.stdout
}

/// It ended with `code`, said nothing on stdout, and all of `words` on stderr.
#[track_caller]
fn refused(ended: &Ended, code: i32, words: &[&str]) {
    assert_eq!((ended.code, ended.stdout.as_str()), (code, ""), "{ended:?}");
    for word in words {
        assert!(ended.stderr.contains(word), "no '{word}' in: {}", ended.stderr);
    }
}

#[tokio::test]
async fn a_login_keeps_a_token_and_a_wrong_password_keeps_nothing() {
    let desk = Desk::new().await;
    refused(&desk.sign_in("admin", "wrong"), 1, &["password"]);
    refused(&desk.sign_in("nobody", &desk.hub.password), 1, &["password"]);
    refused(&desk.heddle(&["whoami", "--server", &desk.url()]), 1, &["sign in: heddle login"]);
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
    let url = desk.url();
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
async fn an_object_goes_its_whole_way() {
    let desk = Desk::furnished().await;
    desk.file("shop/route.yaml", &route("shop", "r", "shop.test", "/x"));
    let apply = ["apply", "-f", "shop", "--message", "first"];
    let dry = desk.heddle(&["apply", "-f", "shop", "--dry-run"]);
    assert_eq!(done(&dry), "HTTPRoute shop/r created (dry run)\n");
    refused(&desk.heddle(&["get", "route", "r", "-n", "shop"]), 1, &["HTTPRoute shop/r"]);
    assert_eq!(desk.heddle(&["diff", "-f", "shop"]).code, 1);
    let plan = desk.heddle(&["plan", "-f", "shop"]);
    assert!(done(&plan).contains("HTTPRoute shop/r"), "{plan:?}");

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
    assert_eq!(desk.heddle(&["diff", "-f", "yaml"]).code, 0);
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

    let lost = route("shop", "lost", "c.test", "/").replace("name: app", "name: nowhere");
    desk.file("lost.yaml", &("# a comment\n".to_owned() + &lost));
    let ended = desk.heddle(&["apply", "-f", "lost.yaml"]);
    refused(&ended, 1, &["lost.yaml:10: HTTPRoute shop/lost: spec.rules[0].backendRefs[0]"]);
    refused(&desk.heddle(&["apply", "-f", "nowhere.yaml"]), 1, &["reading nowhere.yaml"]);
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

#[test]
fn what_listens_nowhere_is_not_reachable() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.yaml");
    fs::write(&file, SERVICE).unwrap();
    let file = file.to_str().unwrap();
    let url = format!("http://gone.localhost:{}", program::free_port());
    for arguments in [&["whoami"][..], &["apply", "-f", file], &["get", "routes"]] {
        let mut command = Command::new(program::heddle());
        command.args(arguments).args(["--server", &url]).stdin(Stdio::null());
        command.env("XDG_CONFIG_HOME", folder.path()).env_remove("HEDDLE_TOKEN");
        refused(&ended(&mut command), 3, &["cannot reach http://gone.localhost"]);
    }
}

#[test]
fn what_needs_no_server_asks_none() {
    let run = |arguments: &[&str]| ended(Command::new(program::heddle()).args(arguments));
    for (shell, words) in
        [("bash", "complete -F"), ("zsh", "#compdef heddle"), ("fish", "complete -c")]
    {
        let ended = run(&["completion", shell]);
        assert!(done(&ended).contains(words), "{shell}");
        assert!(ended.stdout.contains("join-token"), "{shell}");
    }
    assert!(done(&run(&["version"])).starts_with("heddle "));
    assert!(done(&run(&["--help"])).contains("Exit codes: 0 done"));
    for wrong in [&["get"][..], &["get", "zebra"], &["apply"], &["whoami", "--token", "hdl_x"]] {
        refused(&run(wrong), 2, &["error: "]);
    }
}
