//! A server with gateways that joined it, and somebody signed in who may do everything.
//!
//! Ports are chosen before the start and kept, so that whoever was connected finds the server again
//! after it was killed.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Method, Request};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::{Connection, Fault, Payload, Reply, bytes, nothing};
use crate::program::{self, free_port};
use crate::server::Server;
use crate::trust::Papers;
use crate::wait;

/// The password of the first admin.
const PASSWORD: &str = "the-password-of-a-test";

/// What a fleet is started with.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// The address of a PostgreSQL database; SQLite in a folder without it.
    pub database: Option<String>,
    /// More arguments of the server.
    pub arguments: Vec<String>,
    /// A program that becomes the server; it gets the data folder and the server's command line
    /// behind its own words.
    pub wrapper: Vec<String>,
    /// More arguments of each node.
    pub node_arguments: Vec<String>,
}

/// A server and whoever is signed in to it.
#[derive(Debug)]
pub struct Fleet {
    folder: TempDir,
    data: PathBuf,
    plan: Plan,
    /// Where REST answers.
    pub rest: SocketAddr,
    /// Where nodes are served.
    pub nodes: SocketAddr,
    server: Option<Server>,
    token: String,
}

impl Fleet {
    /// Starts a server over an empty store and signs in.
    ///
    /// # Panics
    /// Where it does not start.
    pub async fn start(plan: Plan) -> Self {
        let folder = TempDir::new().expect("a folder for the test");
        let loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let data = folder.path().join("server");
        std::fs::write(folder.path().join("password"), PASSWORD).expect("a file for the password");
        let mut fleet = Fleet {
            folder,
            data,
            plan,
            rest: loopback(free_port()),
            nodes: loopback(free_port()),
            server: None,
            token: String::new(),
        };
        fleet.serve().await;
        fleet.token = fleet.sign_in().await;
        fleet
    }

    /// Starts the server anew over the same store and the same ports, and waits until it answers.
    ///
    /// # Panics
    /// Where it does not.
    pub async fn serve(&mut self) {
        self.try_serve().await;
        let me = &*self;
        wait::until("the server to be ready", || async move {
            let reply = me.ask(Method::GET, "/readyz", None).await.ok()?;
            (reply.status == 200).then_some(())
        })
        .await;
    }

    /// The same without waiting until it is ready.
    ///
    /// # Panics
    /// Where it does not listen.
    pub async fn try_serve(&mut self) {
        let listen = self.rest.to_string();
        let password = self.folder.path().join("password").display().to_string();
        let mut arguments = vec!["--config-listen".to_owned(), self.nodes.to_string()];
        arguments.extend(["--data".to_owned(), self.data.display().to_string()]);
        arguments.extend(["--admin-password-file".to_owned(), password]);
        if let Some(url) = &self.plan.database {
            arguments.extend(["--database".to_owned(), url.clone()]);
        }
        arguments.extend(self.plan.arguments.iter().cloned());
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        let data = self.data.display().to_string();
        let mut wrapper: Vec<_> = self.plan.wrapper.iter().map(String::as_str).collect();
        if !wrapper.is_empty() {
            std::fs::create_dir_all(&self.data).expect("a folder for the data");
            wrapper.push(&data);
        }
        self.server = Some(Server::start_at(&listen, &wrapper, &arguments).await);
    }

    /// The running server.
    ///
    /// # Panics
    /// Where it was ended.
    pub fn server(&mut self) -> &mut Server {
        self.server.as_mut().expect("the server runs")
    }

    /// The running server's process.
    ///
    /// # Panics
    /// Where it was ended.
    pub fn pid(&self) -> u32 {
        self.server.as_ref().expect("the server runs").pid()
    }

    /// Ends it by SIGKILL.
    pub async fn kill(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.kill().await;
        }
    }

    /// Ends it as one is asked to.
    pub async fn stop(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.terminate().await;
        }
    }

    /// The server's data folder.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Goes on over another store, once it is served again.
    pub fn move_to(&mut self, data: PathBuf, database: Option<String>) {
        (self.data, self.plan.database) = (data, database);
    }

    /// A folder or file of the test's own.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    async fn sign_in(&self) -> String {
        self.session("admin", PASSWORD).await.token(self).await
    }

    /// Signs somebody in as a browser does.
    ///
    /// # Panics
    /// Where they are not let in.
    pub async fn session(&self, user: &str, password: &str) -> Session {
        let session = json!({ "user": user, "password": password });
        let said = self.ask(Method::POST, "/api/v1/session", Some(session)).await;
        let said = said.expect("the server answers");
        assert_eq!(said.status, 201, "{}", said.text());
        let cookie = said.header("set-cookie").split(';').next().unwrap_or_default().to_owned();
        Session { cookie, csrf: said.json()["csrf"].as_str().unwrap_or_default().to_owned() }
    }

    /// A session of the admin.
    ///
    /// # Panics
    /// Where they are not let in.
    pub async fn admin(&self) -> Session {
        self.session("admin", PASSWORD).await
    }

    /// What signs the test in.
    pub fn token(&self) -> &str {
        &self.token
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.rest)
    }

    async fn send(&self, request: Request<Payload>) -> Result<Reply, Fault> {
        tokio::time::timeout(wait::DEADLINE, async {
            Connection::h1(self.rest).await?.send(request).await
        })
        .await?
    }

    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Result<Reply, Fault> {
        let mut asked = Request::builder().method(method).uri(self.url(path));
        if !self.token.is_empty() {
            asked = asked.header("authorization", format!("Bearer {}", self.token));
        }
        let body = match body {
            Some(body) => {
                asked = asked.header("content-type", "application/json");
                bytes(body.to_string())
            }
            None => nothing(),
        };
        self.send(asked.body(body)?).await
    }

    /// `GET /api/v1PATH`, which must answer 200.
    ///
    /// # Panics
    /// Where it does not.
    pub async fn get(&self, path: &str) -> Value {
        let reply = self.ask(Method::GET, &format!("/api/v1{path}"), None).await;
        let reply = reply.unwrap_or_else(|error| panic!("GET {path}: {error}"));
        assert_eq!(reply.status, 200, "GET {path}: {}", reply.text());
        reply.json()
    }

    /// `POST /api/v1PATH`, whatever comes.
    ///
    /// # Errors
    /// Where no answer comes.
    pub async fn post(&self, path: &str, body: Value) -> Result<Reply, Fault> {
        self.ask(Method::POST, &format!("/api/v1{path}"), Some(body)).await
    }

    /// `DELETE /api/v1PATH`, whatever comes.
    ///
    /// # Errors
    /// Where no answer comes.
    pub async fn delete(&self, path: &str) -> Result<Reply, Fault> {
        self.ask(Method::DELETE, &format!("/api/v1{path}"), None).await
    }

    /// Makes one change of these documents; its revision.
    ///
    /// # Panics
    /// Where it is refused.
    pub async fn change(&self, text: &str) -> i64 {
        let reply = self.try_change(text, None).await;
        let reply = reply.unwrap_or_else(|error| panic!("the change had no answer: {error}"));
        assert!(matches!(reply.status, 200 | 201), "{}\n{text}", reply.text());
        reply.json()["revision"].as_i64().expect("a revision")
    }

    /// The same, whatever comes; with an Idempotency-Key, where there is one.
    ///
    /// # Errors
    /// Where no answer comes.
    pub async fn try_change(&self, text: &str, once: Option<&str>) -> Result<Reply, Fault> {
        let mut asked = Request::post(self.url("/api/v1/changes"))
            .header("authorization", format!("Bearer {}", self.token))
            .header("content-type", "application/yaml");
        if let Some(key) = once {
            asked = asked.header("idempotency-key", key);
        }
        self.send(asked.body(bytes(text.to_owned()))?).await
    }

    /// `GET /api/v1PATH` by whoever has `token`, whatever comes.
    ///
    /// # Errors
    /// Where no answer comes.
    pub async fn get_as(&self, token: &str, path: &str) -> Result<Reply, Fault> {
        let asked = Request::get(self.url(&format!("/api/v1{path}")))
            .header("authorization", format!("Bearer {token}"));
        self.send(asked.body(nothing())?).await
    }

    /// A change by whoever has `token`, whatever comes.
    ///
    /// # Errors
    /// Where no answer comes.
    pub async fn change_as(&self, token: &str, text: &str) -> Result<Reply, Fault> {
        let asked = Request::post(self.url("/api/v1/changes"))
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/yaml");
        self.send(asked.body(bytes(text.to_owned()))?).await
    }

    /// The receipt of a revision once every node has it, or after `bound`.
    pub async fn receipt(&self, revision: i64, bound: Duration) -> Value {
        self.get(&format!("/changes/{revision}/receipt?wait={}s", bound.as_secs())).await
    }

    /// Waits until every node has a revision.
    ///
    /// # Panics
    /// Where one lacks it: says what the receipt says.
    pub async fn until_everywhere(&self, revision: i64) {
        let receipt = self.receipt(revision, Duration::from_secs(15)).await;
        assert_eq!(receipt["complete"], true, "{receipt:#}");
    }

    /// Makes a token by which `uses` gateways of `cluster` may join.
    ///
    /// # Panics
    /// Where it is refused.
    pub async fn join_token(&self, cluster: &str, uses: u32) -> String {
        self.join_token_of(Kind::Gateway, cluster, uses).await
    }

    /// The same for nodes of a kind.
    ///
    /// # Panics
    /// Where it is refused.
    pub async fn join_token_of(&self, kind: Kind, cluster: &str, uses: u32) -> String {
        let asked = json!({ "cluster": cluster, "kind": kind.as_str(), "uses": uses });
        let said = self.post("/join-tokens", asked).await.expect("the server answers");
        assert_eq!(said.status, 201, "{}", said.text());
        said.json()["token"].as_str().expect("a token").to_owned()
    }

    /// Starts a gateway called `name` that joins, and waits until it serves.
    ///
    /// # Panics
    /// Where it does not.
    pub async fn join(&self, name: &str) -> Joined {
        self.join_in("local", Kind::Gateway, name).await
    }

    /// Starts a node of a cluster that joins, and waits until it serves: a gateway by its name, or
    /// the proxy of a workload, `NAMESPACE/NAME`.
    ///
    /// # Panics
    /// Where it does not.
    pub async fn join_in(&self, cluster: &str, kind: Kind, name: &str) -> Joined {
        self.join_so(cluster, kind, name, &[]).await
    }

    /// Starts a gateway with more arguments than others have, and waits until it serves.
    ///
    /// # Panics
    /// Where it does not.
    pub async fn join_with(&self, name: &str, arguments: &[&str]) -> Joined {
        self.join_so("local", Kind::Gateway, name, arguments).await
    }

    async fn join_so(&self, cluster: &str, kind: Kind, name: &str, words: &[&str]) -> Joined {
        let token = self.join_token_of(kind, cluster, 1).await;
        let state = self.path(&format!("state-{cluster}-{}", name.replace('/', "-")));
        let mut more = self.plan.node_arguments.clone();
        more.extend(words.iter().map(|word| (*word).to_owned()));
        let node = Node { kind, name: name.to_owned(), state, nodes: self.nodes, more };
        let mut joined = Joined::start(node, Some(&token));
        joined.until_ready().await;
        joined
    }
}

/// What a browser holds of somebody who is signed in.
#[derive(Debug, Clone)]
pub struct Session {
    /// The cookie, as `name=value`.
    pub cookie: String,
    /// What goes with each change.
    pub csrf: String,
}

impl Session {
    /// A token of who is signed in.
    ///
    /// # Panics
    /// Where none is made.
    pub async fn token(&self, fleet: &Fleet) -> String {
        let said = self.post(fleet, "/tokens", json!({ "name": "test" })).await;
        said.json()["token"].as_str().expect("a token").to_owned()
    }

    /// `POST /api/v1PATH`, which must make something.
    ///
    /// # Panics
    /// Where it does not.
    pub async fn post(&self, fleet: &Fleet, path: &str, body: Value) -> Reply {
        let asked = Request::post(fleet.url(&format!("/api/v1{path}")))
            .header("cookie", &self.cookie)
            .header("x-heddle-csrf", &self.csrf)
            .header("content-type", "application/json")
            .body(bytes(body.to_string()));
        let said = fleet.send(asked.expect("a well-formed request")).await;
        let said = said.expect("the server answers");
        assert_eq!(said.status, 201, "POST {path}: {}", said.text());
        said
    }
}

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `heddle-gateway`.
    Gateway,
    /// `heddle-mesh`.
    Mesh,
}

impl Kind {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::Gateway => "gateway",
            Kind::Mesh => "mesh",
        }
    }
}

/// A node that serves what a server tells it; it ends when this is dropped.
#[derive(Debug)]
pub struct Joined {
    child: Child,
    node: Node,
    /// Its admin address.
    pub admin: SocketAddr,
}

/// How a node is started.
#[derive(Debug, Clone)]
struct Node {
    kind: Kind,
    /// A gateway's, or `NAMESPACE/NAME` of the workload that a proxy stands for.
    name: String,
    state: PathBuf,
    /// Where the server takes nodes.
    nodes: SocketAddr,
    more: Vec<String>,
}

impl Joined {
    /// Starts it, with a token where it has no identity yet, and waits for nothing.
    ///
    /// # Panics
    /// Where the program is not built.
    pub fn spawn(name: &str, nodes: SocketAddr, state: &Path, token: Option<&str>) -> Self {
        let (kind, name, state) = (Kind::Gateway, name.to_owned(), state.to_owned());
        Self::start(Node { kind, name, state, nodes, more: Vec::new() }, token)
    }

    fn start(node: Node, token: Option<&str>) -> Self {
        let Node { kind, name, state, nodes, more } = &node;
        let admin = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        std::fs::create_dir_all(state.parent().unwrap_or(state)).expect("a folder for the state");
        let said = File::options().create(true).append(true).open(state.with_extension("stderr"));
        // Ended by the kernel if the test is killed before it can.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]);
        match kind {
            Kind::Gateway => {
                command.arg(program::gateway()).args(["--name", name]);
                command.args(["--access-log", "off", "--debug-header"]);
            }
            Kind::Mesh => {
                command.arg(program::mesh()).args(["--workload", name]);
                command.arg("--access-log").arg(state.with_extension("log"));
            }
        }
        command.args(["--server", &nodes.to_string()]).arg("--state").arg(state);
        command.args(["--admin", &admin.to_string()]).args(more);
        command.env_remove("HEDDLE_JOIN_TOKEN");
        command.envs(token.map(|token| ("HEDDLE_JOIN_TOKEN", token)));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(said.expect("a file for stderr"));
        let child = command.spawn().expect("setpriv (of util-linux) starts");
        Joined { child, node, admin }
    }

    /// Starts it again, without a token, and waits for nothing.
    pub fn respawn(&mut self) {
        *self = Joined::start(self.node.clone(), None);
    }

    /// Waits until it was let in. One beside another on one machine cannot have the same ports, and
    /// so is never ready.
    ///
    /// # Panics
    /// Where it is not: says what the gateway said.
    pub async fn until_joined(&self) {
        let what = format!("{} to join; it says:\n{}", self.node.name, self.stderr());
        wait::until_true(&what, || self.node.state.join("identity.json").exists()).await;
    }

    /// Waits until `/readyz` says yes.
    ///
    /// # Panics
    /// Where it does not: says what the gateway said.
    pub async fn until_ready(&mut self) {
        let began = tokio::time::Instant::now();
        loop {
            if self.admin("/readyz").await.is_ok_and(|reply| reply.status == 200) {
                return;
            }
            if let Ok(Some(status)) = self.child.try_wait() {
                panic!("ended with {status} instead of becoming ready:\n{}", self.stderr());
            }
            assert!(began.elapsed() < wait::DEADLINE, "not ready:\n{}", self.stderr());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// What the admin address answers.
    ///
    /// # Errors
    /// Where it does not.
    pub async fn admin(&self, path: &str) -> Result<Reply, Fault> {
        let asked = Request::get(format!("http://{}{path}", self.admin)).body(nothing())?;
        Connection::h1(self.admin).await?.send(asked).await
    }

    /// What it wrote to stderr so far, earlier starts included.
    pub fn stderr(&self) -> String {
        std::fs::read_to_string(self.node.state.with_extension("stderr")).unwrap_or_default()
    }

    /// Its access log so far, where it writes one.
    pub fn access_log(&self) -> String {
        std::fs::read_to_string(self.node.state.with_extension("log")).unwrap_or_default()
    }

    /// Its name as a node: that of a proxy is made of its workload's.
    pub fn name(&self) -> String {
        self.node.name.replace('/', ".")
    }

    /// The folder of its identity and last good state.
    pub fn state(&self) -> &Path {
        &self.node.state
    }

    /// Its certificate with its key, as it keeps them.
    ///
    /// # Panics
    /// Where it has none.
    pub fn papers(&self) -> Papers {
        let identity = std::fs::read(self.node.state.join("identity.json")).expect("an identity");
        let identity: Value = serde_json::from_slice(&identity).expect("JSON");
        let chain = identity["chain"].as_array().expect("a list").iter();
        let der = |text: &Value| STANDARD.decode(text.as_str().expect("text")).expect("base64");
        let key = PrivateKeyDer::from_pem_file(self.node.state.join("key.pem")).expect("a key");
        (chain.map(|text| CertificateDer::from(der(text))).collect(), key)
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it by SIGKILL.
    ///
    /// # Panics
    /// Where it has ended before.
    pub fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it has ended");
    }

    /// Ends it by SIGTERM and waits until it has.
    ///
    /// # Panics
    /// Where it does not end.
    pub async fn stop(&mut self) {
        let mut kill = Command::new("kill");
        let _gone_already = kill.args(["-TERM", &self.child.id().to_string()]).status();
        wait::until_true("the gateway to end", || matches!(self.child.try_wait(), Ok(Some(_))))
            .await;
    }
}

impl Drop for Joined {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- gateway {} said ---\n{}", self.node.name, self.stderr());
        }
        if matches!(self.child.try_wait(), Ok(None)) {
            let _killed = self.child.kill();
            let _reaped = self.child.wait();
        }
    }
}
