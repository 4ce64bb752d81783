//! A Redis that a test may end, halt and start again: on a free port, in a folder of its own, keeping nothing.
//!
//! Its program is found on the PATH, where the suites install it.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::program::free_port;
use crate::trust::Certificate;
use crate::wait;

/// A running server, which ends when this is dropped.
#[derive(Debug)]
pub struct Redis {
    folder: TempDir,
    /// Where it answers without TLS.
    pub address: SocketAddr,
    arguments: Vec<String>,
    child: Child,
}

impl Redis {
    /// Starts one.
    ///
    /// # Panics
    /// Where its program is not on the PATH.
    pub async fn start() -> Self {
        Self::start_with(TempDir::new().expect("a folder for the test"), Vec::new()).await
    }

    /// Starts one that shows a certificate at a port of its own, and lets in nobody but a user that may do so much,
    /// in its own words; and that port.
    ///
    /// # Panics
    /// Where its program is not on the PATH.
    pub async fn start_guarded(certificate: &Certificate, user: &str) -> (Self, u16) {
        let (folder, port) = (TempDir::new().expect("a folder for the test"), free_port());
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).expect("a file for the test");
            path.display().to_string()
        };
        let port_text = port.to_string();
        let (chain, key) = (file("chain", &certificate.chain), file("key", &certificate.key));
        let words = [
            ["--tls-port", &port_text],
            ["--tls-cert-file", &chain],
            ["--tls-key-file", &key],
            ["--tls-auth-clients", "no"],
        ];
        let mut arguments: Vec<_> = words.concat().into_iter().map(str::to_owned).collect();
        arguments.extend(["--user", "default", "off", "--user"].map(str::to_owned));
        arguments.extend(user.split(' ').map(str::to_owned));
        (Self::start_with(folder, arguments).await, port)
    }

    async fn start_with(folder: TempDir, arguments: Vec<String>) -> Self {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let child = spawn(&folder, address.port(), &arguments);
        let redis = Redis { folder, address, arguments, child };
        redis.until_ready().await;
        redis
    }

    /// What a proxy is told of it.
    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Ends it at once; what it counted is gone.
    ///
    /// # Panics
    /// Where it is not there.
    pub fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }

    /// Starts it again, and waits until it answers.
    ///
    /// # Panics
    /// Where it does not.
    pub async fn restart(&mut self) {
        self.child = spawn(&self.folder, self.address.port(), &self.arguments);
        self.until_ready().await;
    }

    /// Has it do nothing while its connections stay open.
    pub fn halt(&self) {
        self.signal("-STOP");
    }

    /// Has it go on.
    pub fn resume(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.child.id().to_string()]).status();
        assert!(sent.expect("kill starts").success());
    }

    async fn until_ready(&self) {
        wait::until_true("redis to answer", || {
            let ask = || {
                let mut stream = TcpStream::connect(self.address)?;
                stream.write_all(b"PING\r\n")?;
                let mut said = [0];
                stream.read_exact(&mut said)
            };
            ask().is_ok()
        })
        .await;
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn spawn(folder: &TempDir, port: u16, arguments: &[String]) -> Child {
    let log = File::options().create(true).append(true).open(folder.path().join("log"));
    let mut serve = Command::new("setpriv");
    serve.args(["--pdeathsig", "KILL", "redis-server", "--bind", "127.0.0.1"]);
    serve.args(["--port", &port.to_string(), "--save", "", "--appendonly", "no", "--dir"]);
    serve.arg(folder.path()).args(arguments);
    serve.stdin(Stdio::null()).stdout(log.expect("a file for the log"));
    serve.spawn().expect("redis-server, of the package of that name, starts")
}
