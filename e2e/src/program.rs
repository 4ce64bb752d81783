//! The programs under test: where they lie, how they are run to their end, which ports they may have.

use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

/// Ports given out lie below those that the kernel gives to outgoing connections.
const FIRST_PORT: u16 = 20_000;
const PORTS: u16 = 12_000;

/// What a program said when it ended.
#[derive(Debug, Clone)]
pub struct Ended {
    /// The exit code; -1 where a signal ended it.
    pub code: i32,
    /// Its stdout.
    pub stdout: String,
    /// Its stderr.
    pub stderr: String,
}

/// The path of `heddle-gateway`: `HEDDLE_GATEWAY`, or beside this test in the target folder.
///
/// # Panics
/// Where it is not built: says how to build it.
pub fn gateway() -> PathBuf {
    built("heddle-gateway", "gateway", "HEDDLE_GATEWAY")
}

/// The path of `heddle-mesh`: `HEDDLE_MESH`, or beside this test in the target folder.
///
/// # Panics
/// Where it is not built: says how to build it.
pub fn mesh() -> PathBuf {
    built("heddle-mesh", "mesh", "HEDDLE_MESH")
}

/// The path of `heddle-server`: `HEDDLE_SERVER`, or beside this test in the target folder.
///
/// # Panics
/// Where it is not built: says how to build it.
pub fn server() -> PathBuf {
    built("heddle-server", "console", "HEDDLE_SERVER")
}

/// The path of `bookshop`: `BOOKSHOP`, or beside this test in the target folder.
///
/// # Panics
/// Where it is not built: says how to build it.
pub fn bookshop() -> PathBuf {
    built("bookshop", "bookshop", "BOOKSHOP")
}

/// The path of `heddle`: `HEDDLE_CLI`, or beside this test in the target folder.
///
/// # Panics
/// Where it is not built: says how to build it.
pub fn heddle() -> PathBuf {
    built("heddle", "cli", "HEDDLE_CLI")
}

fn built(name: &str, package: &str, variable: &str) -> PathBuf {
    if let Some(path) = std::env::var_os(variable) {
        return path.into();
    }
    let test = std::env::current_exe().expect("a test knows its own path");
    let mut folders = test.ancestors().skip(1).take(2);
    let found = folders.find_map(|folder| Some(folder.join(name)).filter(|path| path.is_file()));
    found.unwrap_or_else(|| {
        panic!("{name} is not built: run `cargo build -p {package}` (same profile), or name it by {variable}")
    })
}

/// Runs `heddle-gateway` with `arguments` to its end.
///
/// # Panics
/// Where it cannot be started.
pub fn run(arguments: &[&str]) -> Ended {
    ended(Command::new(gateway()).args(arguments))
}

/// Runs `command` to its end.
///
/// # Panics
/// Where it cannot be started.
pub fn ended(command: &mut Command) -> Ended {
    let output = command.stdin(Stdio::null()).output().expect("the program runs");
    Ended {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// A port that nobody listens on and that no other test of this process was given.
///
/// # Panics
/// Where all are taken.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Test programs that run at once begin at different places.
    let start = (std::process::id() % u32::from(PORTS)) as u16;
    let candidates = (0..PORTS).map(|_| {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        FIRST_PORT + (start + step % PORTS) % PORTS
    });
    let mut free =
        candidates.filter(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok());
    free.next().expect("one port of thousands is free")
}
