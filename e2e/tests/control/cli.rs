//! `heddle`, as somebody at a terminal meets it: over a real server, with a home of its own.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use e2e::program::{self, Ended};
use serde_json::Value;
use tempfile::TempDir;

use crate::bed::Hub;

mod alone;
mod object;
mod sign;

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

    /// The file in which the login is kept.
    fn config(&self) -> PathBuf {
        self.folder.path().join("config/heddle/config.json")
    }

    fn kept(&self) -> Value {
        serde_json::from_str(&fs::read_to_string(self.config()).unwrap()).unwrap()
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
