//! One program of the demo: started, waited for, stopped.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use crate::shell;

/// How to start a program and know that it is ready.
#[derive(Debug)]
pub(super) struct Spec {
    pub(super) name: String,
    /// Where it runs; the server is in none.
    pub(super) cluster: Option<&'static str>,
    /// `service`, `server`, `gateway` or `mesh`.
    pub(super) kind: &'static str,
    /// Variables that it alone has; a secret is seen by no other user there.
    pub(super) env: Vec<(&'static str, String)>,
    /// The file name of the program.
    pub(super) program: &'static str,
    pub(super) args: Vec<String>,
    /// Where it says whether it is ready.
    pub(super) ready: String,
    pub(super) ready_path: &'static str,
}

/// A program that runs.
#[derive(Debug)]
pub(super) struct Process {
    spec: Spec,
    program: PathBuf,
    log: PathBuf,
    child: Child,
    has_ended: bool,
}

impl Spec {
    fn start(&self, program: &Path, log: File) -> Result<Child> {
        if TcpStream::connect(&self.ready).is_ok() {
            let (name, at) = (&self.name, &self.ready);
            bail!("{name}: something already answers at {at}; is a demo running elsewhere?");
        }
        Command::new(program)
            .args(&self.args)
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone().context("sharing the log file")?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("starting {}", program.display()))
    }
}

impl Process {
    /// Starts it with its output going to `log`, from its beginning.
    pub(super) fn start(spec: Spec, programs: &Path, log: &Path) -> Result<Self> {
        let program = programs.join(spec.program);
        let file = File::create(log).with_context(|| format!("writing {}", log.display()))?;
        let child = spec.start(&program, file)?;
        Ok(Process { spec, program, log: log.to_owned(), child, has_ended: false })
    }

    /// Starts it anew once it ended; its output goes on where it was.
    pub(super) fn again(&mut self) -> Result<()> {
        // Who it is, a node knows by now.
        self.spec.env.clear();
        let file = File::options().append(true).open(&self.log);
        let file = file.with_context(|| format!("writing {}", self.log.display()))?;
        self.child = self.spec.start(&self.program, file)?;
        self.has_ended = false;
        Ok(())
    }

    pub(super) fn name(&self) -> &str {
        &self.spec.name
    }

    pub(super) fn has_ended(&self) -> bool {
        self.has_ended
    }

    pub(super) fn log(&self) -> &Path {
        &self.log
    }

    /// Its exit status if it ended.
    pub(super) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        let ended = self.child.try_wait();
        let ended = ended.with_context(|| format!("looking after {}", self.spec.name))?;
        self.has_ended = ended.is_some();
        Ok(ended)
    }

    /// Waits until it answers 200 where it says whether it is ready.
    pub(super) fn wait_ready(&mut self, bound: Duration) -> Result<()> {
        let began = Instant::now();
        while !self.is_ready() {
            if let Some(status) = self.ended()? {
                let log = std::fs::read_to_string(&self.log).unwrap_or_default();
                bail!("{} ended with {status}:\n{log}", self.spec.name);
            }
            if began.elapsed() > bound {
                bail!("{} was not ready within {} s", self.spec.name, bound.as_secs());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn is_ready(&self) -> bool {
        let asked = || -> std::io::Result<String> {
            let mut stream = TcpStream::connect(&self.spec.ready)?;
            stream.set_read_timeout(Some(Duration::from_secs(1)))?;
            let (path, host) = (self.spec.ready_path, &self.spec.ready);
            write!(stream, "GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n")?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        };
        asked().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
    }

    /// For `up.json`; one that ended has no id.
    pub(super) fn describe(&self) -> Value {
        json!({
            "name": self.spec.name,
            "cluster": self.spec.cluster,
            "kind": self.spec.kind,
            "pid": (!self.has_ended).then(|| self.child.id()),
            "program": self.program,
            "admin": self.spec.ready,
        })
    }

    /// Asks it to end.
    fn terminate(&self) {
        if let Err(error) = shell::terminate(&self.child) {
            eprintln!("    {} could not be asked to stop: {error:#}", self.spec.name);
        }
    }
}

/// Asks all to end, last started first, waits within the bound, and kills what is left.
pub(super) fn stop_all(mut running: Vec<Process>, bound: Duration) {
    running.reverse();
    for process in &mut running {
        if matches!(process.child.try_wait(), Ok(None)) {
            process.terminate();
        }
    }
    let began = Instant::now();
    for mut process in running {
        while matches!(process.child.try_wait(), Ok(None)) {
            if began.elapsed() > bound {
                eprintln!("    {} did not stop; killing it", process.spec.name);
                drop(process.child.kill());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
