//! What the demo does through the command line, as a person would: sign in, apply the bookshop, let
//! the gateway in.
//!
//! It is done once for a data folder: what people changed in the demo since is theirs.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::cluster::Joins;
use super::config::put;

/// Where the server of the demo answers.
pub(super) const SERVER: &str = "http://127.0.0.1:7080";

/// The command line `heddle`, signed in to the demo's server.
#[derive(Debug)]
pub(super) struct Founder {
    heddle: PathBuf,
    folder: PathBuf,
}

impl Founder {
    /// Over the programs in `programs` and the data folder.
    pub(super) fn new(programs: &Path, data: &Path) -> Self {
        Founder { heddle: programs.join("heddle"), folder: data.to_owned() }
    }

    /// The password of the first admin, made once.
    pub(super) fn password(folder: &Path) -> Result<String> {
        let path = folder.join("admin-password");
        if let Ok(password) = fs::read_to_string(&path) {
            return Ok(password.trim().to_owned());
        }
        let mut random = [0; 12];
        let source = fs::File::open("/dev/urandom").context("opening /dev/urandom")?;
        (&source).read_exact(&mut random).context("reading /dev/urandom")?;
        let password: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        put(&path, &password)?;
        Ok(password)
    }

    /// Signs in, unless a token of an earlier start is there.
    pub(super) fn sign_in(&self, password: &str) -> Result<()> {
        if self.run(&["whoami"], None).is_ok() {
            return Ok(());
        }
        let login = ["login", "--server", SERVER, "--user", "admin", "--password-stdin"];
        self.run(&login, Some(password)).map(drop)
    }

    /// Applies everything in `bookshop`, once. It waits for no node: none has joined yet.
    pub(super) fn apply(&self, bookshop: &Path) -> Result<()> {
        let done = self.folder.join("applied-in-two-clusters");
        if done.exists() {
            return Ok(());
        }
        let bookshop = bookshop.to_string_lossy();
        self.run(&["apply", "-f", &bookshop, "--message", "the bookshop"], None)?;
        put(&done, "")
    }

    /// A token by which a node joins; none if it joined before.
    pub(super) fn join_token(&self, node: &Joins) -> Result<Option<String>> {
        if node.state.join("identity.json").exists() {
            return Ok(None);
        }
        let create = ["join-token", "create", "--cluster", node.cluster, "--kind", node.kind];
        let more = ["--name", &node.name, "--uses", "1", "--expires", "10m", "-o", "json"];
        let said = self.run(&[&create[..], &more[..]].concat(), None)?;
        let said: Value = serde_json::from_slice(&said.stdout).context("reading the join token")?;
        let token = said["token"].as_str().context("the answer holds no join token")?;
        Ok(Some(token.to_owned()))
    }

    fn run(&self, words: &[&str], input: Option<&str>) -> Result<Output> {
        let mut command = Command::new(&self.heddle);
        command.args(words).env("HEDDLE_SERVER", SERVER);
        command.env("XDG_CONFIG_HOME", self.folder.join("cli")).env_remove("HEDDLE_TOKEN");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let shown = format!("heddle {}", words.join(" "));
        let mut child = command.spawn().with_context(|| format!("starting {shown}"))?;
        let mut stdin = child.stdin.take().context("a pipe was asked for")?;
        stdin.write_all(input.unwrap_or_default().as_bytes()).context("writing the password")?;
        drop(stdin);
        let output = child.wait_with_output().with_context(|| format!("waiting for {shown}"))?;
        if !output.status.success() {
            bail!("{shown} was refused:\n{}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(output)
    }
}
