//! `heddle`, as somebody at a terminal meets it: over a real server, with a home of its own.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::ops::Deref;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use e2e::program::{self, Ended};
use serde_json::Value;
use tempfile::TempDir;

use crate::bed::Hub;

mod access;
mod alone;
mod node;
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

/// A place to sit before a server.
struct Home {
    url: String,
    folder: TempDir,
}

impl Home {
    fn before(server: SocketAddr) -> Self {
        let url = format!("http://localhost:{}", server.port());
        Home { url, folder: tempfile::tempdir().unwrap() }
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
        let line = ["login", "--server", &self.url, "--user", user, "--password-stdin"];
        self.told(&line, &format!("{password}\n"))
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
}

/// The same with a server and its first admin.
struct Desk {
    hub: Hub,
    home: Home,
}

impl Deref for Desk {
    type Target = Home;

    fn deref(&self) -> &Home {
        &self.home
    }
}

impl Desk {
    async fn new() -> Self {
        Self::before(Hub::new().await)
    }

    fn before(hub: Hub) -> Self {
        Desk { home: Home::before(hub.server.address), hub }
    }

    /// With the admin signed in, people, and a Service.
    async fn furnished() -> Self {
        let desk = Self::before(Hub::peopled().await);
        done(&desk.admin());
        desk.file("service.yaml", SERVICE);
        done(&desk.heddle(&["apply", "-f", "service.yaml"]));
        desk
    }

    /// Signs the first admin in.
    fn admin(&self) -> Ended {
        self.sign_in("admin", &self.hub.password)
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
