//! A running `heddle-server`: started on a free port over some data, waited for, ended.

use std::fs::File;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use tempfile::TempDir;

use crate::client::{Connection, Fault, Reply, nothing, request};
use crate::program;
use crate::wait;

/// A running server, which ends when this is dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    folder: TempDir,
    ended: Option<ExitStatus>,
    /// Where it listens.
    pub address: SocketAddr,
}

/// `heddle-server`, without what the environment of the tests says of a store.
pub fn command() -> Command {
    let mut command = Command::new(program::server());
    for variable in ["HEDDLE_DATA", "HEDDLE_DATABASE", "HEDDLE_COPY_TO"] {
        command.env_remove(variable);
    }
    command
}

/// What stands for the browser's half where no browser comes: `folder`, filled.
///
/// # Panics
/// Where it cannot be written.
pub fn site(folder: &Path) {
    std::fs::create_dir_all(folder.join("pkg")).expect("a folder for the site");
    for file in ["console.js", "console_bg.wasm", "table.js", "table_bg.wasm", "console.css"] {
        std::fs::write(folder.join("pkg").join(file), "").expect("a file of the site");
    }
}

impl Server {
    /// Starts it with `arguments`, which say where the store is, and waits until it is ready.
    ///
    /// # Panics
    /// Where it does not become ready: says what it wrote to stderr.
    pub async fn start(arguments: &[&str]) -> Self {
        let nodes = ["--config-listen", "127.0.0.1:0"];
        Self::start_at("127.0.0.1:0", &[], &[&nodes[..], arguments].concat()).await
    }

    /// The same at a certain address, by a program that becomes the server: `wrapper`, which gets
    /// the server's whole command line behind its own. A `--site` among `arguments` stands in the
    /// place of one that no browser could use.
    ///
    /// # Panics
    /// Where it does not become ready: says what it wrote to stderr.
    pub async fn start_at(listen: &str, wrapper: &[&str], arguments: &[&str]) -> Self {
        let folder = TempDir::new().expect("a folder for the test");
        site(&folder.path().join("site"));
        let said = File::create(folder.path().join("stderr")).expect("a file for stderr");
        // Ended by the kernel if the test is killed before it can.
        let mut guarded = Command::new("setpriv");
        guarded.args(["--pdeathsig", "KILL"]).args(wrapper).arg(program::server());
        guarded.env_remove("HEDDLE_DATA").env_remove("HEDDLE_DATABASE");
        guarded.args(["--listen", listen]);
        if !arguments.contains(&"--site") {
            guarded.arg("--site").arg(folder.path().join("site"));
        }
        guarded.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(said);
        let child = guarded.spawn().expect("setpriv (of util-linux) starts");
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut server = Server { child, folder, ended: None, address: nowhere };
        server.address = wait::until("the server to listen", || {
            let heard = server.listening();
            if let (None, Some(status)) = (heard, server.try_exit()) {
                panic!("ended with {status} instead of listening:\n{}", server.stderr());
            }
            std::future::ready(heard)
        })
        .await;
        server
    }

    /// The address that the log names.
    fn listening(&self) -> Option<SocketAddr> {
        let said = self.stderr();
        let (_, behind) = said.split_once("listening on http://")?;
        // A line without its end may be half an address.
        behind.split_once('\n')?.0.trim().parse().ok()
    }

    /// `GET /PATH`.
    ///
    /// # Errors
    /// Where no whole answer comes.
    pub async fn get(&self, path: &str) -> Result<Reply, Fault> {
        let asked = request("GET", &self.address.to_string(), path).body(nothing())?;
        Connection::h1(self.address).await?.send(asked).await
    }

    /// What it wrote to stderr so far.
    pub fn stderr(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("stderr")).unwrap_or_default()
    }

    /// Asks it to end, by SIGTERM, and waits until it has; its exit code, -1 for a signal.
    ///
    /// # Panics
    /// Where it does not end.
    pub async fn terminate(&mut self) -> i32 {
        self.signal("-TERM").await
    }

    /// Ends it by SIGKILL, which it does not see coming.
    ///
    /// # Panics
    /// Where it does not end.
    pub async fn kill(&mut self) -> i32 {
        self.signal("-KILL").await
    }

    async fn signal(&mut self, signal: &str) -> i32 {
        let mut kill = Command::new("kill");
        let _gone_already = kill.args([signal, &self.child.id().to_string()]).status();
        let status = wait::until("the server to end", || std::future::ready(self.try_exit())).await;
        status.code().unwrap_or(-1)
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    fn try_exit(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().ok().flatten();
        }
        self.ended
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the server said ---\n{}", self.stderr());
        }
        if self.try_exit().is_none() {
            let _killed = self.child.kill();
            let _reaped = self.child.wait();
        }
    }
}
