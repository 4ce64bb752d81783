//! Rules about Rust files.

use super::Fault;
use super::crates::NAMELESS;
use super::workspace::Workspace;

/// Crates that decide from their arguments alone.
const PURE: &[&str] = &["model/src/", "policy/src/", "table/src/"];

/// What gives a wait, a clock, chance or the outside away, with what to do instead.
const IMPURE: &[(&str, &str)] = &[
    ("async fn", "a decision is a plain function; proxy performs what it asks for"),
    ("async move", "a decision is a plain function; proxy performs what it asks for"),
    (".await", "a decision is a plain function; proxy performs what it asks for"),
    ("tokio::", "runtimes belong in proxy and control"),
    ("SystemTime::now", "take the time as an argument"),
    ("Instant::now", "take the time as an argument"),
    ("OffsetDateTime::now", "take the time as an argument"),
    ("UtcDateTime::now", "take the time as an argument"),
    ("TcpStream", "sockets belong in proxy and control"),
    ("TcpListener", "sockets belong in proxy and control"),
    ("UdpSocket", "sockets belong in proxy and control"),
    ("UnixStream", "sockets belong in proxy and control"),
    ("ToSocketAddrs", "names are resolved in proxy"),
    ("rand::", "take the chance as an argument"),
    ("getrandom::", "take the chance as an argument"),
    ("SystemRandom", "take the chance as an argument"),
    ("new_v4", "take the id as an argument"),
    ("now_v7", "take the id as an argument"),
    ("std::fs", "take the text as an argument"),
    ("std::process", "programs are started by binaries and the workshop"),
    ("std::thread", "threads belong in proxy and control"),
    ("env::var", "take the value as an argument"),
];

/// Pure crates neither wait nor look outside; their tests may.
pub(super) fn pure(workspace: &Workspace) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (path, text) in workspace.files_ending(".rs") {
        if !PURE.iter().any(|folder| path.starts_with(folder)) || is_test(path) {
            continue;
        }
        for (number, line) in code_lines(text) {
            for (word, right) in IMPURE.iter().filter(|(word, _)| says(line, word)) {
                let place = format!("{path}:{number}");
                faults.push(Fault::new(place, format!("says `{word}` in a pure crate"), *right));
            }
        }
    }
    faults
}

/// `foo.rs` beside `foo/`.
pub(super) fn no_mod_rs(workspace: &Workspace) -> Vec<Fault> {
    let files = workspace.files_ending(".rs").filter(|(path, _)| file_name(path) == "mod.rs");
    files
        .map(|(path, _)| {
            let right = format!("{}.rs beside the folder", path.trim_end_matches("/mod.rs"));
            Fault::new(path, "is a mod.rs", right)
        })
        .collect()
}

/// Every file says first what it is for.
pub(super) fn module_docs(workspace: &Workspace) -> Vec<Fault> {
    let without = workspace.files_ending(".rs").filter(|(_, text)| !text.starts_with("//! "));
    without
        .map(|(path, _)| {
            let right = "begin with a `//!` line that gives its idea";
            Fault::new(path, "does not say what it is for", right)
        })
        .collect()
}

/// A test that never runs proves nothing; long ones are soaks at a small count.
pub(super) fn no_ignored_tests(workspace: &Workspace) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (path, text) in workspace.files_ending(".rs") {
        for (number, line) in numbered(text) {
            if line.trim_start().starts_with("#[ignore") {
                let right = "run it at a small count, and at full count by cargo xtask soak";
                faults.push(Fault::new(format!("{path}:{number}"), "ignores a test", right));
            }
        }
    }
    faults
}

/// No module is called after nothing, neither as a file or folder nor inline.
pub(super) fn named_modules(workspace: &Workspace) -> Vec<Fault> {
    let right = "name it after what it holds";
    let mut faults = Vec::new();
    for (path, text) in workspace.files_ending(".rs") {
        let parts = path.trim_end_matches(".rs").split('/');
        for part in parts.filter(|part| NAMELESS.contains(part)) {
            faults.push(Fault::new(path, format!("{part} is a name for anything"), right));
        }
        for (number, line) in numbered(text) {
            if let Some(name) = inline_module(line).filter(|name| NAMELESS.contains(name)) {
                let place = format!("{path}:{number}");
                faults.push(Fault::new(place, format!("mod {name} is a name for anything"), right));
            }
        }
    }
    faults
}

/// The name in `mod name {` or `pub(crate) mod name {`.
fn inline_module(line: &str) -> Option<&str> {
    let (before, after) = line.trim().split_once("mod ")?;
    let before = before.trim();
    let opens = before.is_empty() || before == "pub" || before.starts_with("pub(");
    opens.then(|| after.strip_suffix('{').map(str::trim)).flatten()
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn is_test(path: &str) -> bool {
    file_name(path) == "tests.rs" || path.contains("/tests/")
}

fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(index, line)| (index + 1, line))
}

/// Lines before the inline tests, without those that are comments.
fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or(text);
    numbered(code).filter(|(_, line)| !line.trim_start().starts_with("//")).map(|(number, line)| {
        (number, line.split_once(" // ").map_or(line, |(before_comment, _)| before_comment))
    })
}

/// `word` stands in `line` by itself: `rand::` is not in `operand::`.
fn says(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        word.starts_with('.') || !before.is_some_and(|c| c.is_alphanumeric() || c == '_')
    })
}
