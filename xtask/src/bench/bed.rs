//! What all subjects stand on: a folder in memory, a certificate, and who answers.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use super::case::{Case, LARGE, SMALL};
use super::process::{OTHER_CORE, Process, pinned};
use crate::shell;

/// What the name of a run's folder begins with; the run's process id follows.
const FOLDER: &str = "heddle-bench-";

/// The shared ground of a run; the folder goes when this is dropped.
#[derive(Debug)]
pub(super) struct Bed {
    pub(super) dir: PathBuf,
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
    /// Who answers requests over HTTP/1.1.
    pub(super) upstream: u16,
    /// Who answers calls of gRPC, where somebody does.
    pub(super) callee: u16,
    /// What every call says.
    pub(super) message: PathBuf,
    running: Vec<Process>,
}

impl Bed {
    pub(super) fn lay() -> Result<Self> {
        let memory = Path::new("/dev/shm");
        let base = if memory.is_dir() { memory.to_path_buf() } else { std::env::temp_dir() };
        sweep(&base)?;
        let dir = base.join(format!("{FOLDER}{}", std::process::id()));
        std::fs::create_dir(&dir).with_context(|| format!("creating {}", dir.display()))?;
        let [upstream, callee] = free_ports()?;
        let mut bed = Self {
            certificate: dir.join("certificate.pem"),
            key: dir.join("key.pem"),
            message: dir.join("message"),
            upstream,
            callee,
            dir,
            running: Vec::new(),
        };
        bed.make_certificate()?;
        std::fs::write(&bed.message, message())?;
        bed.running.push(bed.start_upstream()?);
        Ok(bed)
    }

    /// An empty folder for one subject's files.
    pub(super) fn folder(&self, name: &str) -> Result<PathBuf> {
        let dir = self.dir.join(name);
        if dir.exists() {
            std::fs::remove_dir_all(&dir)?;
        }
        std::fs::create_dir(&dir)?;
        Ok(dir)
    }

    fn make_certificate(&self) -> Result<()> {
        let config = self.dir.join("openssl.cnf");
        std::fs::write(&config, OPENSSL)?;
        let mut openssl = Command::new("openssl");
        openssl.args(["req", "-x509", "-nodes", "-days", "2", "-newkey", "ec"]);
        openssl.args(["-pkeyopt", "ec_paramgen_curve:prime256v1", "-config"]).arg(config);
        openssl.arg("-keyout").arg(&self.key).arg("-out").arg(&self.certificate);
        shell::run(openssl.stderr(Stdio::null()))
    }

    fn start_upstream(&self) -> Result<Process> {
        let dir = self.folder("upstream")?;
        let large = dir.join("64k");
        std::fs::write(&large, orders(LARGE))?;
        let config = dir.join("nginx.conf");
        std::fs::write(&config, upstream_config(&dir, &large, self.upstream))?;
        let mut command = pinned(OTHER_CORE, "nginx");
        command.arg("-e").arg(dir.join("stderr")).arg("-c").arg(config);
        Process::start(&mut command, &dir).context("the upstream")
    }

    /// Has calls answered.
    pub(super) fn start_callee(&mut self, program: &Path) -> Result<()> {
        let dir = self.folder("callee")?;
        let mut command = pinned(OTHER_CORE, program);
        command.arg(format!("127.0.0.1:{}", self.callee));
        self.running.push(Process::start(&mut command, &dir).context("who answers calls")?);
        Ok(())
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        self.running.clear();
        if let Err(error) = std::fs::remove_dir_all(&self.dir) {
            eprintln!("could not remove {}: {error}", self.dir.display());
        }
    }
}

/// Removes the folders of runs that were killed: they lie in memory.
fn sweep(base: &Path) -> Result<()> {
    for entry in std::fs::read_dir(base)? {
        let entry = entry?;
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.strip_prefix(FOLDER)?.parse::<u32>().ok());
        if pid.is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists()) {
            std::fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

/// A message of gRPC as it is sent: not compressed, its length, and itself.
fn message() -> Vec<u8> {
    let length = (SMALL.len() as u32).to_be_bytes();
    [&[0], &length[..], SMALL.as_bytes()].concat()
}

/// So many bytes of text as a service would answer with.
fn orders(length: usize) -> Vec<u8> {
    let order = |number: usize| {
        let sum = number * 7919 % 10_007;
        format!("{{\"order\":{number},\"sum\":{sum},\"state\":\"sent\"}}\n")
    };
    (0..).flat_map(|number| order(number).into_bytes()).take(length).collect()
}

/// What openssl needs to make one certificate that is no authority.
const OPENSSL: &str = "\
[req]
distinguished_name = name
x509_extensions = extensions
prompt = no
[name]
CN = localhost
[extensions]
basicConstraints = critical,CA:FALSE
subjectAltName = DNS:localhost
";

/// Nginx as the upstream: one worker, both answers from memory.
fn upstream_config(dir: &Path, large: &Path, port: u16) -> String {
    let (large, temp) = (large.display(), nginx_temp(dir));
    let small = SMALL.escape_default();
    format!(
        "daemon off; worker_processes 1; pid {pid}; error_log stderr warn;
events {{ worker_connections 16384; }}
http {{
  {temp}
  access_log off; sendfile on; tcp_nodelay on; open_file_cache max=10;
  keepalive_requests 1000000000; keepalive_timeout 1h;
  server {{
    listen 127.0.0.1:{port};
    location = {path_small} {{ return 200 \"{small}\"; }}
    location = {path_large} {{ alias {large}; }}
  }}
}}
",
        pid = dir.join("pid").display(),
        path_small = Case::H1Small.path(),
        path_large = Case::H1Large.path(),
    )
}

/// Nginx' temporary folders, which else lie where only root may write.
pub(super) fn nginx_temp(dir: &Path) -> String {
    ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {}/{kind};", dir.display()))
        .join(" ")
}

/// Loopback ports that nothing listens on, no two of them the same.
pub(super) fn free_ports<const N: usize>() -> Result<[u16; N]> {
    // All are held until the last is found: a port that is let go may be found again at once.
    let mut held = Vec::new();
    let mut ports = [0; N];
    for port in &mut ports {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        *port = listener.local_addr()?.port();
        held.push(listener);
    }
    Ok(ports)
}
