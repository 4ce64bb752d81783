//! A running control plane with people in it, and a small client that asks it over REST.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;

use e2e::Server;
use e2e::client::{Connection, Reply, bytes, request};
use serde_json::{Value, json};

/// Borders and people: `sara` owns the workspace `shop` by her team, `vera` views it, `bert` owns
/// the workspace `bank`, and `stan` is a user who may nothing.
pub(crate) const PEOPLE: &str = "
apiVersion: heddle.dev/v1alpha1
kind: Workspace
metadata: { name: shop }
---
apiVersion: heddle.dev/v1alpha1
kind: Workspace
metadata: { name: bank }
---
apiVersion: heddle.dev/v1alpha1
kind: Team
metadata: { name: sellers }
spec: { members: [sara] }
---
apiVersion: heddle.dev/v1alpha1
kind: Team
metadata: { name: bankers }
spec: { members: [bert] }
---
apiVersion: heddle.dev/v1alpha1
kind: Grant
metadata: { name: sellers, namespace: shop }
spec: { subjects: [{ team: sellers }], role: owner }
---
apiVersion: heddle.dev/v1alpha1
kind: Grant
metadata: { name: viewers, namespace: shop }
spec: { subjects: [{ user: vera }], role: viewer }
---
apiVersion: heddle.dev/v1alpha1
kind: Grant
metadata: { name: bankers, namespace: bank }
spec: { subjects: [{ team: bankers }], role: owner }
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: edge, namespace: platform }
spec:
  gatewayClassName: heddle
  listeners:
    - { name: http, protocol: HTTP, port: 8080, allowedRoutes: { namespaces: { from: All } } }
";

/// A ConfigMap, the plainest object there is.
pub(crate) fn note(namespace: &str, name: &str, text: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": { "namespace": namespace, "name": name },
        "data": { "text": text },
    })
}

/// A running server, and its first admin.
pub(crate) struct Hub {
    pub(crate) server: Server,
    /// A token of `admin`, who may do everything.
    pub(crate) admin: Client,
    /// The password of `admin`.
    pub(crate) password: String,
    _folder: tempfile::TempDir,
}

impl Hub {
    /// Over an empty store.
    pub(crate) async fn new() -> Self {
        Self::with(&[]).await
    }

    /// Over an empty store, with more arguments.
    pub(crate) async fn with(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let mut all = vec!["--data", data.to_str().unwrap()];
        let database = database();
        all.extend(database.iter().flat_map(|url| ["--database", url]));
        all.extend(arguments);
        let server = Server::start(&all).await;
        let password = std::fs::read_to_string(data.join("admin-password")).unwrap();
        let password = password.trim_end().to_owned();
        let nobody = Client { address: server.address, credential: Credential::None };
        let admin = nobody.sign_in("admin", &password).await.token("bed").await;
        Hub { server, admin, password, _folder: folder }
    }

    /// With [`PEOPLE`] in it.
    pub(crate) async fn peopled() -> Self {
        let hub = Self::new().await;
        let made = hub.admin.apply(PEOPLE).await;
        assert_eq!(made.status, 201, "{}", made.text());
        hub
    }

    /// Who comes without credentials.
    pub(crate) fn nobody(&self) -> Client {
        Client { address: self.server.address, credential: Credential::None }
    }

    /// A new user of this name, with a token.
    pub(crate) async fn user(&self, name: &str) -> Client {
        self.session(name).await.token("bed").await
    }

    /// A new user of this name, signed in.
    pub(crate) async fn session(&self, name: &str) -> Client {
        let made = self.admin.post("/users", &json!({ "name": name })).await;
        assert_eq!(made.status, 201, "{}", made.text());
        self.nobody().sign_in(name, made.json()["password"].as_str().unwrap()).await
    }
}

/// What somebody comes with.
#[derive(Debug, Clone)]
pub(crate) enum Credential {
    None,
    Token(String),
    Session { cookie: String, csrf: String },
}

/// Somebody who asks.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    pub(crate) address: SocketAddr,
    pub(crate) credential: Credential,
}

impl Client {
    /// Asks for `path` below the base, with more headers and a body.
    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Reply {
        let place = format!("/api/v1{path}");
        let mut asked = request(method, &self.address.to_string(), &place);
        match &self.credential {
            Credential::None => {}
            Credential::Token(token) => {
                asked = asked.header("authorization", format!("Bearer {token}"));
            }
            Credential::Session { cookie, csrf } => {
                asked = asked.header("cookie", cookie).header("x-heddle-csrf", csrf);
            }
        }
        for (name, value) in headers {
            asked = asked.header(*name, *value);
        }
        let asked = asked.body(bytes(body.to_owned())).unwrap();
        Connection::h1(self.address).await.unwrap().send(asked).await.unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.send("GET", path, &[], "").await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Reply {
        self.send("POST", path, &[("content-type", "application/json")], &body.to_string()).await
    }

    pub(crate) async fn put(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> Reply {
        self.send("PUT", path, headers, &body.to_string()).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Reply {
        self.send("DELETE", path, &[], "").await
    }

    /// Makes a change of these YAML documents.
    pub(crate) async fn apply(&self, yaml: &str) -> Reply {
        self.send("POST", "/changes", &[("content-type", "application/yaml")], yaml).await
    }

    /// Signs in as this user.
    pub(crate) async fn sign_in(&self, user: &str, password: &str) -> Client {
        let signed = json!({ "user": user, "password": password });
        let signed = self.post("/session", &signed).await;
        assert_eq!(signed.status, 201, "{}", signed.text());
        let (cookie, _) = signed.header("set-cookie").split_once(';').unwrap();
        let csrf = signed.json()["csrf"].as_str().unwrap().to_owned();
        let credential = Credential::Session { cookie: cookie.to_owned(), csrf };
        Client { address: self.address, credential }
    }

    /// A token of the same user.
    pub(crate) async fn token(&self, name: &str) -> Client {
        self.narrowed(&json!({ "name": name })).await
    }

    /// A token of the same user, made as `body` says.
    pub(crate) async fn narrowed(&self, body: &Value) -> Client {
        let made = self.post("/tokens", body).await;
        assert_eq!(made.status, 201, "{}", made.text());
        let token = made.json()["token"].as_str().unwrap().to_owned();
        Client { address: self.address, credential: Credential::Token(token) }
    }
}

/// The sort of problem that an answer is: the last word of its type.
pub(crate) fn problem(reply: &Reply) -> String {
    assert_eq!(reply.header("content-type"), "application/problem+json", "{}", reply.text());
    let problem = reply.json();
    assert_eq!(problem["status"], reply.status, "{problem}");
    assert_eq!(problem["requestId"], reply.header("x-request-id"), "{problem}");
    let sort = problem["type"].as_str().unwrap();
    sort.strip_prefix("https://heddle.dev/problems/").unwrap().to_owned()
}

/// A database of its own on the server that the suite lends, if it lends one.
fn database() -> Option<String> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let lent = std::env::var("HEDDLE_TEST_POSTGRES").ok()?;
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_micros();
    let name = format!("heddle_{since}_{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let mut psql = std::process::Command::new("psql");
    psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", &format!("CREATE DATABASE {name}")]);
    let ended = e2e::program::ended(psql.arg(&lent));
    assert_eq!(ended.code, 0, "{ended:?}");
    let (address, _) = lent.rsplit_once('/').unwrap();
    Some(format!("{address}/{name}"))
}
