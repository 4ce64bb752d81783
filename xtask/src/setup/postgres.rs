//! A PostgreSQL server of one's own: in a temporary folder, on a free port of the loopback address,
//! gone when it is dropped.

use std::fs::File;
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::{apt, find, quiet};
use crate::shell::{output, run, step};

/// Where Debian and Ubuntu put each version's programs, which are not on the PATH.
const VERSIONS: &str = "/usr/lib/postgresql";

/// The user that the package makes. The server refuses to run as root.
const USER: &str = "postgres";

/// How long it may take to start or to stop.
const BOUND: Duration = Duration::from_secs(30);

/// A running server.
#[derive(Debug)]
pub(crate) struct Postgres {
    programs: PathBuf,
    folder: PathBuf,
    port: u16,
    child: Child,
}

impl Postgres {
    /// By which tests learn where it is.
    pub(crate) const VARIABLE: &'static str = "HEDDLE_TEST_POSTGRES";

    /// Installs PostgreSQL if it is missing, and starts a server.
    pub(crate) fn start() -> Result<Self> {
        let programs = programs()?;
        step("starting PostgreSQL", Duration::from_secs(3), || {
            let user = User::load()?;
            let folder =
                PathBuf::from(output(&mut user.command(Path::new("mktemp"), &["-d"]))?.trim());
            let server = Self::start_in(&programs, &user, &folder);
            if server.is_err() {
                drop(std::fs::remove_dir_all(&folder));
            }
            server
        })
    }

    fn start_in(programs: &Path, user: &User, folder: &Path) -> Result<Self> {
        let data = folder.join("data").display().to_string();
        let init = ["-D", &data, "-U", "heddle", "-A", "trust", "-E", "UTF8", "--no-sync"];
        let mut init = user.command(&programs.join("initdb"), &init);
        run(init.stdout(Stdio::null()))?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let log = File::create(folder.join("log")).context("writing the server's log")?;
        // What the tests write need not outlive a power cut, so `-F`: no fsync.
        let mut serve = user.command(&programs.join("postgres"), &["-D", &data, "-F", "-k", ""]);
        serve.args(["-h", "127.0.0.1", "-p", &port.to_string(), "-c", "max_connections=300"]);
        serve.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let child = serve.spawn().context("starting postgres")?;
        let (programs_of, folder) = (programs.to_owned(), folder.to_owned());
        let mut server = Postgres { programs: programs_of, folder, port, child };
        server.wait_ready(programs)?;
        Ok(server)
    }

    /// Where a client finds it.
    pub(crate) fn url(&self) -> String {
        format!("postgres://heddle@127.0.0.1:{}/postgres", self.port)
    }

    /// Tells `tests` of the server, and where its programs are: a client for what the store never
    /// would do, and servers that a test may kill.
    pub(crate) fn lend(&self, tests: &mut Command) -> Result<()> {
        let before = std::env::var_os("PATH").unwrap_or_default();
        let programs = std::iter::once(self.programs.clone());
        let path = std::env::join_paths(programs.chain(std::env::split_paths(&before)))?;
        tests.env("PATH", path).env(Self::VARIABLE, self.url());
        Ok(())
    }

    fn wait_ready(&mut self, programs: &Path) -> Result<()> {
        let began = Instant::now();
        let port = self.port.to_string();
        let ask = || {
            let mut ask = Command::new(programs.join("pg_isready"));
            quiet(ask.args(["-h", "127.0.0.1", "-p", &port]))
        };
        while !ask() {
            let ended = self.child.try_wait()?;
            if ended.is_some() || began.elapsed() > BOUND {
                let log = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
                bail!("postgres did not start:\n{log}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // An interrupt ends it without waiting for clients; killed, it would leave shared memory.
        let mut interrupt = Command::new("kill");
        quiet(interrupt.arg("-INT").arg(self.child.id().to_string()));
        let began = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) {
            if began.elapsed() > BOUND {
                eprintln!("    postgres did not stop; killing it");
                drop(self.child.kill());
                drop(self.child.wait());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

/// The folder of the newest version's programs.
fn programs() -> Result<PathBuf> {
    if let Some(found) = installed() {
        return Ok(found);
    }
    apt(&["postgresql"])?;
    installed().context("the package postgresql brought no server")
}

fn installed() -> Option<PathBuf> {
    let number = |path: &PathBuf| path.file_name()?.to_str()?.parse::<u32>().ok();
    let versions = std::fs::read_dir(VERSIONS).into_iter().flatten().flatten();
    let newest = versions
        .map(|entry| entry.path())
        .filter(|path| path.join("bin/postgres").is_file() && path.join("bin/initdb").is_file())
        .max_by_key(number);
    let on_path = || Some(find("initdb")?.parent()?.to_owned());
    newest.map(|version| version.join("bin")).or_else(on_path)
}

/// Who runs the server: we ourselves, or the package's user where we are root.
struct User(Option<(u32, u32)>);

impl User {
    fn load() -> Result<Self> {
        let number = |args: &[&str]| -> Result<u32> {
            let told = output(Command::new("id").args(args))?;
            told.trim().parse().with_context(|| format!("id {args:?} told no number"))
        };
        if number(&["-u"])? != 0 {
            return Ok(User(None));
        }
        Ok(User(Some((number(&["-u", USER])?, number(&["-g", USER])?))))
    }

    fn command(&self, program: &Path, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        // A folder of ours may be closed to that user.
        command.args(args).current_dir("/");
        if let Some((user, group)) = self.0 {
            command.uid(user).gid(group);
        }
        command
    }
}
