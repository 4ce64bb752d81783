//! A PostgreSQL server that a test may kill: in a folder of its own, on a free port.
//!
//! Its programs are found on the PATH, as the suites lend it.

use std::fs::File;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::program::{ended, free_port};
use crate::wait;

/// A running server, which ends when this is dropped.
#[derive(Debug)]
pub struct Postgres {
    folder: TempDir,
    port: u16,
    child: Child,
}

impl Postgres {
    /// Makes one and starts it.
    ///
    /// # Panics
    /// Where its programs are not on the PATH.
    pub async fn start() -> Self {
        let folder = TempDir::new().expect("a folder for the test");
        // It runs as another user where the test is root.
        let open = std::fs::Permissions::from_mode(0o777);
        std::fs::set_permissions(folder.path(), open).expect("the folder can be opened");
        let data = folder.path().join("data");
        let made = ended(user("initdb").arg("-D").arg(&data).args([
            "-U",
            "heddle",
            "-A",
            "trust",
            "--no-sync",
        ]));
        assert_eq!(made.code, 0, "{made:?}");
        let port = free_port();
        let child = spawn(&folder, port);
        let mut server = Postgres { folder, port, child };
        server.until_ready().await;
        server
    }

    /// Where a client finds it.
    pub fn url(&self) -> String {
        format!("postgres://heddle@127.0.0.1:{}/postgres", self.port)
    }

    /// Ends it and everything that it started, by SIGKILL, which none sees coming.
    ///
    /// # Panics
    /// Where it does not end.
    pub async fn kill(&mut self) {
        let pid = self.child.id().to_string();
        let listed = ended(Command::new("pgrep").args(["-P", &pid]));
        let children: Vec<_> = listed.stdout.split_whitespace().map(str::to_owned).collect();
        let _gone = Command::new("kill").args(["-KILL", &pid]).args(&children).status();
        wait::until_true("postgres to end", || matches!(self.child.try_wait(), Ok(Some(_)))).await;
    }

    /// Starts it again over what it had, and waits until it answers.
    ///
    /// # Panics
    /// Where it does not.
    pub async fn restart(&mut self) {
        self.child = spawn(&self.folder, self.port);
        self.until_ready().await;
    }

    async fn until_ready(&mut self) {
        let began = tokio::time::Instant::now();
        loop {
            let port = self.port.to_string();
            if ended(Command::new("pg_isready").args(["-h", "127.0.0.1", "-p", &port])).code == 0 {
                return;
            }
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                // Memory that it shared with those that were killed may not be free yet.
                self.child = spawn(&self.folder, self.port);
            }
            assert!(began.elapsed() < wait::DEADLINE, "postgres does not start:\n{}", self.log());
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

fn spawn(folder: &TempDir, port: u16) -> Child {
    let log = File::options().create(true).append(true).open(folder.path().join("log"));
    let mut serve = user("postgres");
    serve.arg("-D").arg(folder.path().join("data")).args(["-k", "", "-h", "127.0.0.1"]);
    // What a test writes need not outlive a power cut: no fsync.
    serve.args(["-F", "-p", &port.to_string(), "-c", "max_connections=100"]);
    serve.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log.expect("a file for the log"));
    serve.spawn().expect("postgres starts")
}

/// `program`, as the package's user where we are root: it refuses to run as root.
fn user(program: &str) -> Command {
    let is_root = ended(Command::new("id").arg("-u")).stdout.trim() == "0";
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]);
    if is_root {
        command.args(["--reuid", "postgres", "--regid", "postgres", "--init-groups"]);
    }
    command.arg(program).current_dir("/");
    command
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // An interrupt ends it without waiting for clients.
        let _gone = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status();
        let _reaped = self.child.wait();
    }
}
