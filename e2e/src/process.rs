//! A running `heddle-gateway`: written its configuration, started, waited for, asked, ended.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;

use http::Request;
use serde_json::Value;
use tempfile::TempDir;

use crate::client::{Connection, Fault, Payload, Reply, nothing, request};
use crate::program::{self, free_port};
use crate::wait;
use crate::yaml;

/// What a gateway shall be started with.
#[derive(Debug, Clone)]
pub struct Setup {
    listeners: Vec<String>,
    asked: Option<String>,
    shown: Option<String>,
    open: Option<u32>,
    ports: BTreeMap<String, u16>,
    documents: Vec<String>,
    files: BTreeMap<String, String>,
    arguments: Vec<String>,
    debug: bool,
    folder: bool,
    joined: bool,
    replaceable: bool,
}

impl Default for Setup {
    fn default() -> Self {
        Self::new()
    }
}

impl Setup {
    /// One listener, `web`, of plain HTTP for every host.
    pub fn new() -> Self {
        let port = free_port();
        let mut setup = Self::bare();
        setup.listeners.push(yaml::http("web", port));
        setup.ports.insert("web".to_owned(), port);
        setup
    }

    /// No listener yet.
    pub fn bare() -> Self {
        Setup {
            listeners: Vec::new(),
            asked: None,
            shown: None,
            open: None,
            ports: BTreeMap::new(),
            documents: Vec::new(),
            files: BTreeMap::new(),
            arguments: Vec::new(),
            debug: true,
            folder: true,
            joined: false,
            replaceable: false,
        }
    }

    /// Follows a server, which arguments name, instead of the configuration folder.
    #[must_use]
    pub fn joined(mut self) -> Self {
        self.joined = true;
        self
    }

    /// One more listener on `port`.
    #[must_use]
    pub fn listener(mut self, name: &str, port: u16, text: String) -> Self {
        self.listeners.push(text);
        self.ports.insert(name.to_owned(), port);
        self
    }

    /// Where TLS ends, callers are asked for certificates as this says.
    #[must_use]
    pub fn asking(mut self, validation: Option<&str>) -> Self {
        self.asked = validation.map(str::to_owned);
        self
    }

    /// Backends are shown the certificate in this Secret.
    #[must_use]
    pub fn showing(mut self, secret: Option<&str>) -> Self {
        self.shown = secret.map(str::to_owned);
        self
    }

    /// Another process can follow it: [`Gateway::next`].
    #[must_use]
    pub fn replaceable(mut self) -> Self {
        self.replaceable = true;
        self
    }

    /// It may have so many files open.
    #[must_use]
    pub fn with_files(mut self, most: u32) -> Self {
        self.open = Some(most);
        self
    }

    /// One more document.
    #[must_use]
    pub fn with(mut self, document: impl Into<String>) -> Self {
        self.documents.push(document.into());
        self
    }

    /// One more file in the configuration folder, beside `gateway.yaml`.
    #[must_use]
    pub fn file(mut self, name: &str, text: impl Into<String>) -> Self {
        self.files.insert(name.to_owned(), text.into());
        self
    }

    /// Names the file `gateway.yaml` by `--config` instead of the folder.
    #[must_use]
    pub fn single_file(mut self) -> Self {
        self.folder = false;
        self
    }

    /// More arguments.
    #[must_use]
    pub fn arguments(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(|&argument| argument.to_owned()));
        self
    }

    /// Without `--debug-header`, as by default.
    #[must_use]
    pub fn without_debug_header(mut self) -> Self {
        self.debug = false;
        self
    }

    /// The whole configuration as one text.
    pub fn text(&self) -> String {
        let (asked, shown) = (self.asked.as_deref(), self.shown.as_deref());
        let mut all = vec![yaml::proving_gateway(&self.listeners, asked, shown)];
        all.extend(self.documents.iter().cloned());
        yaml::join(&all)
    }

    /// Starts it and waits until it is ready.
    ///
    /// # Panics
    /// Where it does not become ready: says what it wrote to stderr.
    pub async fn start(self) -> Gateway {
        let mut gateway = self.spawn();
        gateway.until_ready().await;
        gateway
    }

    /// Starts it and waits for nothing.
    ///
    /// # Panics
    /// Where the program is not built.
    pub fn spawn(self) -> Gateway {
        let folder = TempDir::new().expect("a folder for the test");
        let config = folder.path().join("config");
        std::fs::create_dir(&config).expect("a folder for the configuration");
        std::fs::write(config.join("gateway.yaml"), self.text()).expect("the configuration");
        for (name, text) in &self.files {
            std::fs::write(config.join(name), text).expect("the configuration");
        }
        let admin = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let named = if self.folder { config } else { config.join("gateway.yaml") };
        let mut command: Vec<OsString> = Vec::new();
        if let Some(most) = self.open {
            command.extend(["prlimit".into(), format!("--nofile={most}:{most}").into()]);
        }
        // Ended by the kernel if the test is killed before it can.
        command.extend(["setpriv", "--pdeathsig", "KILL"].map(OsString::from));
        command.push(program::gateway().into());
        if !self.joined {
            command.extend(["--config".into(), named.into()]);
        }
        command.extend(["--admin".into(), admin.to_string().into()]);
        command.extend(["--access-log".into(), folder.path().join("access.log").into()]);
        if self.debug {
            command.push("--debug-header".into());
        }
        if self.replaceable {
            command.extend(["--handover".into(), folder.path().join("handover").into()]);
        }
        let said = folder.path().join("stderr");
        let child = spawned(&command, &self.arguments, &said);
        let folder = Arc::new(folder);
        Gateway { child, command, said, folder, admin, ports: self.ports, ended: None }
    }
}

fn spawned(command: &[OsString], arguments: &[String], said: &Path) -> Child {
    let said = File::create(said).expect("a file for stderr");
    let (program, first) = command.split_first().expect("a program");
    let mut command = Command::new(program);
    command.args(first).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(said);
    command.spawn().expect("setpriv (of util-linux) starts")
}

/// A running gateway, which ends when this is dropped.
#[derive(Debug)]
pub struct Gateway {
    child: Child,
    /// What started it, but for the arguments of the setup.
    command: Vec<OsString>,
    said: PathBuf,
    folder: Arc<TempDir>,
    /// Its admin address.
    pub admin: SocketAddr,
    ports: BTreeMap<String, u16>,
    ended: Option<ExitStatus>,
}

impl Gateway {
    /// The address of the listener `name`.
    ///
    /// # Panics
    /// Where the setup named none so.
    pub fn listener(&self, name: &str) -> SocketAddr {
        let port = self.ports.get(name).unwrap_or_else(|| panic!("no listener '{name}'"));
        SocketAddr::from((Ipv4Addr::LOCALHOST, *port))
    }

    /// The address of the listener `web`.
    pub fn web(&self) -> SocketAddr {
        self.listener("web")
    }

    /// A file of the configuration folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join("config").join(name)
    }

    /// Replaces a file of the configuration at once, as an editor or a volume mount does.
    ///
    /// # Panics
    /// Where the folder cannot be written.
    pub fn write(&self, name: &str, text: &str) {
        let aside = self.folder.path().join("aside");
        std::fs::write(&aside, text).expect("the folder can be written");
        std::fs::rename(&aside, self.file(name)).expect("the file can be replaced");
    }

    /// Sends `request` on an HTTP/1.1 connection of its own.
    ///
    /// # Panics
    /// Where no whole answer comes.
    pub async fn send(&self, request: Request<Payload>) -> Reply {
        let what = format!("{} {}", request.method(), request.uri());
        let sent = wait::within(&what, self.try_send(request)).await;
        sent.unwrap_or_else(|error| panic!("{what}: {error}\n{}", self.stderr()))
    }

    /// The same where it may fail.
    ///
    /// # Errors
    /// Where no whole answer comes.
    pub async fn try_send(&self, request: Request<Payload>) -> Result<Reply, Fault> {
        Connection::h1(self.web()).await?.send(request).await
    }

    /// `GET http://HOST/PATH`.
    ///
    /// # Panics
    /// Where no whole answer comes.
    pub async fn get(&self, host: &str, path: &str) -> Reply {
        self.get_with(host, path, &[]).await
    }

    /// The same with headers.
    ///
    /// # Panics
    /// Where no whole answer comes.
    pub async fn get_with(&self, host: &str, path: &str, headers: &[(&str, &str)]) -> Reply {
        let mut builder = request("GET", host, path);
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        self.send(builder.body(nothing()).expect("a well-formed request")).await
    }

    /// What the admin address answers.
    ///
    /// # Errors
    /// Where it does not.
    pub async fn admin(&self, path: &str) -> Result<Reply, Fault> {
        let asked = request("GET", &self.admin.to_string(), path).body(nothing())?;
        Connection::h1(self.admin).await?.send(asked).await
    }

    /// The sum of all samples of the metric `name` whose labels contain all of `labels`.
    ///
    /// # Panics
    /// Where `/metrics` does not answer.
    pub async fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let page = self.admin("/metrics").await.expect("/metrics answers").text();
        let samples = page.lines().filter(|line| {
            let (sample, _) = line.split_once([' ', '{']).unwrap_or((line, ""));
            sample == name && labels.iter().all(|label| line.contains(label))
        });
        let value = |line: &str| line.rsplit(' ').next().and_then(|word| word.parse::<f64>().ok());
        samples.filter_map(value).sum()
    }

    /// What it wrote to stderr so far.
    pub fn stderr(&self) -> String {
        std::fs::read_to_string(&self.said).unwrap_or_default()
    }

    /// The access log so far.
    pub fn access_log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("access.log")).unwrap_or_default()
    }

    /// The access log's line of `reply`.
    ///
    /// # Panics
    /// Where none comes.
    pub async fn logged(&self, reply: &Reply) -> Value {
        self.logged_as(reply.header("x-request-id")).await
    }

    /// The access log's line of the request `id`.
    ///
    /// # Panics
    /// Where none comes.
    pub async fn logged_as(&self, id: &str) -> Value {
        assert!(!id.is_empty(), "the answer carries no x-request-id");
        wait::until(&format!("a log line of request {id}"), || {
            let log = self.access_log();
            let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            let found = lines.into_iter().find(|line| line["request_id"] == id);
            std::future::ready(found)
        })
        .await
    }

    /// Waits until stderr holds `text`.
    ///
    /// # Panics
    /// Where it does not come: says what is there.
    pub async fn until_said(&self, text: &str) {
        let what = format!("'{text}' on stderr of\n{}", self.folder.path().display());
        let began = tokio::time::Instant::now();
        while !self.stderr().contains(text) {
            assert!(began.elapsed() < wait::DEADLINE, "no {what}; it says:\n{}", self.stderr());
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }

    /// Waits until `/readyz` says yes.
    ///
    /// # Panics
    /// Where it ends or does not become ready: says what it wrote to stderr.
    pub async fn until_ready(&mut self) {
        let began = tokio::time::Instant::now();
        loop {
            if let Ok(reply) = self.admin("/readyz").await
                && reply.status == 200
            {
                return;
            }
            if let Some(status) = self.try_exit() {
                panic!("ended with {status} instead of becoming ready:\n{}", self.stderr());
            }
            assert!(began.elapsed() < wait::DEADLINE, "not ready:\n{}", self.stderr());
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }

    /// Starts another process on the same files and addresses, with these arguments in place of the setup's,
    /// and waits for nothing.
    ///
    /// # Panics
    /// Where the program is not built.
    pub fn next(&self, arguments: &[&str]) -> Gateway {
        let arguments: Vec<_> = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let said = self.said.with_added_extension("next");
        let (command, folder) = (self.command.clone(), Arc::clone(&self.folder));
        let child = spawned(&command, &arguments, &said);
        let ports = self.ports.clone();
        Gateway { child, command, said, folder, admin: self.admin, ports, ended: None }
    }

    /// Asks it to end, by SIGTERM.
    pub fn terminate(&self) {
        self.signal("-TERM");
    }

    /// Lets it do nothing until [`Self::resume`].
    pub fn halt(&self) {
        self.signal("-STOP");
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let mut kill = Command::new("kill");
        let _gone_already = kill.args([signal, &self.child.id().to_string()]).status();
    }

    /// The id of its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its exit code, once it has ended; -1 where a signal ended it.
    ///
    /// # Panics
    /// Where it does not end.
    pub async fn exited(&mut self) -> i32 {
        let status = wait::until("the gateway to end", || {
            let status = self.try_exit();
            std::future::ready(status)
        })
        .await;
        status.code().unwrap_or(-1)
    }

    /// Whether it has ended.
    pub fn try_exit(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().ok().flatten();
        }
        self.ended
    }

    /// The folder of this gateway's files.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the gateway said ---\n{}", self.stderr());
        }
        if self.try_exit().is_none() {
            let _killed = self.child.kill();
            let _reaped = self.child.wait();
        }
    }
}
