//! `cargo xtask up`: the whole demo on this machine, until it is told to stop.
//!
//! So far: the bookshop's services and one gateway in front of them.
//! Everything it writes lies in `.heddle`, which git ignores.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use crate::shell;

mod config;
mod former;
mod process;

use process::{Process, Spec};

/// What `cargo xtask up` may be told.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The build profile of the programs that are started.
    #[arg(long, default_value = "dev")]
    profile: String,
}

/// How long the programs may take to be ready.
const READY: Duration = Duration::from_secs(20);
/// How long they may take to stop.
const STOP: Duration = Duration::from_secs(10);

/// Builds, starts, prints what to try, and stops everything on Ctrl-C or SIGTERM.
pub(crate) fn run(args: &Args) -> Result<()> {
    let stop = signals()?;
    let data = data()?;
    let _alone = alone(&data)?;
    former::stop(&data.join("up.json"), STOP)?;
    let built =
        shell::step("build the gateway and the bookshop", Duration::from_secs(150), || {
            let mut build = shell::cargo();
            build.args(["build", "--locked", "--profile", &args.profile]);
            shell::run_until(build.args(["--package", "gateway", "--package", "bookshop"]), &stop)
        })?;
    if !built {
        eprintln!("==> stopped before anything was started");
        return Ok(());
    }
    let folder = if args.profile == "dev" { "debug" } else { &args.profile };
    let programs = shell::target()?.join(folder);
    let gateway = config::write(&data.join("gateway"))?;
    let mut running = Vec::new();
    let served = start(&programs, &gateway, &data, &mut running).and_then(|()| {
        write_summary(&data, &running)?;
        print_ready(&data, &running)?;
        wait(&stop, &mut running)
    });
    eprintln!("==> stopping");
    process::stop_all(running, STOP);
    drop(fs::remove_file(data.join("up.json")));
    served
}

/// A channel that says when to stop.
fn signals() -> Result<mpsc::Receiver<()>> {
    let (say, stop) = mpsc::channel();
    // Once nobody listens any more, there is nothing left to stop.
    ctrlc::set_handler(move || say.send(()).unwrap_or(()))
        .context("listening for Ctrl-C and SIGTERM")?;
    Ok(stop)
}

/// The folder of everything that the demo writes.
fn data() -> Result<PathBuf> {
    let data = shell::root().join(".heddle");
    fs::create_dir_all(&data).with_context(|| format!("creating {}", data.display()))?;
    Ok(data)
}

/// Holds `.heddle` until it is dropped: a second demo would write over the files of the first.
fn alone(data: &Path) -> Result<fs::File> {
    let path = data.join("up.lock");
    let lock = fs::File::create(&path).with_context(|| format!("writing {}", path.display()))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(fs::TryLockError::WouldBlock) => {
            bail!("the demo is running from this folder; stop it first (Ctrl-C where it runs)")
        }
        Err(fs::TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("locking {}", path.display()))
        }
    }
}

/// The demo's programs, in the order in which one needs the other.
fn specs(gateway: &Path, data: &Path) -> Vec<Spec> {
    let service = |name: &str, port: u16, args: &[&str]| {
        let service = name.split('-').next().unwrap_or(name);
        let mut all = vec!["--service".to_owned(), service.to_owned()];
        all.extend(["--listen".to_owned(), format!("127.0.0.1:{port}")]);
        all.extend(args.iter().map(|arg| (*arg).to_owned()));
        Spec {
            name: name.to_owned(),
            kind: "service",
            program: "bookshop",
            args: all,
            ready: format!("127.0.0.1:{port}"),
            ready_path: "/healthz",
        }
    };
    let log = data.join("access.log");
    vec![
        service("catalog-v1", 9103, &["--version", "v1"]),
        service("catalog-v2", 9104, &["--version", "v2"]),
        service("orders", 9102, &[]),
        service("storefront", 9101, &[]),
        Spec {
            name: "gateway".to_owned(),
            kind: "gateway",
            program: "heddle-gateway",
            args: vec![
                "--config".to_owned(),
                gateway.display().to_string(),
                "--admin".to_owned(),
                "127.0.0.1:9901".to_owned(),
                "--access-log".to_owned(),
                log.display().to_string(),
            ],
            ready: "127.0.0.1:9901".to_owned(),
            ready_path: "/readyz",
        },
    ]
}

fn start(programs: &Path, gateway: &Path, data: &Path, running: &mut Vec<Process>) -> Result<()> {
    shell::step("start the bookshop and the gateway", Duration::from_secs(2), || {
        for spec in specs(gateway, data) {
            let log = data.join(format!("{}.log", spec.name));
            let process = Process::start(spec, programs, &log)?;
            running.push(process);
            if let Some(process) = running.last_mut() {
                process.wait_ready(READY)?;
            }
        }
        Ok(())
    })
}

/// Waits for the word to stop; a program that ends by itself is an error that names it.
fn wait(stop: &mpsc::Receiver<()>, running: &mut [Process]) -> Result<()> {
    while stop.recv_timeout(Duration::from_millis(500)).is_err() {
        for process in running.iter_mut() {
            if let Some(status) = process.ended()? {
                bail!(
                    "{} ended with {status}; its log is {}",
                    process.name(),
                    process.log().display()
                );
            }
        }
    }
    Ok(())
}

/// `.heddle/up.json`, for scripts: readable by its owner only.
fn write_summary(data: &Path, running: &[Process]) -> Result<()> {
    let processes: Vec<Value> = running.iter().map(Process::describe).collect();
    let summary = json!({
        "urls": {
            "http": "http://bookshop.localhost:8080",
            "https": "https://bookshop.localhost:8443",
            "admin": "http://127.0.0.1:9901",
        },
        "data": data,
        "processes": processes,
    });
    let path = data.join("up.json");
    drop(fs::remove_file(&path));
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .with_context(|| format!("writing {}", path.display()))?;
    file.write_all(serde_json::to_string_pretty(&summary)?.as_bytes())
        .with_context(|| format!("writing {}", path.display()))
}

/// A word as a shell takes it for one.
fn quoted(word: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-+@:".contains(letter);
    if word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

fn print_ready(data: &Path, running: &[Process]) -> Result<()> {
    let root = shell::root();
    let shown = |path: PathBuf| path.strip_prefix(&root).map(Path::to_path_buf).unwrap_or(path);
    let gateway = shown(data.join("gateway"));
    let gateway = gateway.display();
    let program = running.last().map(|process| quoted(&process.program().display().to_string()));
    let program = program.unwrap_or_default();
    let log = shown(data.join("access.log"));
    let log = log.display();
    let mut out = std::io::stdout().lock();
    write!(
        out,
        "\n\
The bookshop is open: http://bookshop.localhost:8080 and https://bookshop.localhost:8443\n\
The gateway's admin port: http://127.0.0.1:9901 (/healthz /readyz /metrics /config)\n\
\n\
Try, in another terminal, from this folder:\n\
\n\
  # the whole chain: storefront calls orders, orders calls the catalog\n\
  curl -s http://bookshop.localhost:8080/\n\
\n\
  # a canary: about one answer in ten comes from catalog v2\n\
  for i in $(seq 20); do curl -s http://bookshop.localhost:8080/catalog | grep -o '\"version\": *\"v.\"'; done | sort | uniq -c\n\
\n\
  # over TLS, by a certificate made for this run\n\
  curl -s --cacert {gateway}/ca.pem https://bookshop.localhost:8443/catalog/odyssey\n\
\n\
  # denied: no key, then a key that may not order\n\
  curl -si http://bookshop.localhost:8080/orders -d '{{\"book\":\"odyssey\",\"copies\":2}}'\n\
  curl -si http://bookshop.localhost:8080/orders -d '{{\"book\":\"odyssey\",\"copies\":2}}' -H 'x-api-key: bookshop-demo-key-of-the-auditor'\n\
\n\
  # allowed\n\
  curl -si http://bookshop.localhost:8080/orders -d '{{\"book\":\"odyssey\",\"copies\":2}}' -H 'x-api-key: bookshop-demo-key-of-the-clerk'\n\
\n\
  # why: which route, which rule, and why not the others\n\
  {program} explain --config {gateway}/config POST http://bookshop.localhost:8080/orders\n\
\n\
  # change traffic: edit a weight in {gateway}/config/bookshop.yaml, save, and run the canary again\n\
  # (each start of the demo writes it anew)\n\
  {program} check --config {gateway}/config\n\
\n\
  # what each request met\n\
  tail -n 3 {log}\n\
  curl -s http://127.0.0.1:9901/metrics | grep heddle_requests_total\n\
\n\
Ctrl-C stops everything.\n"
    )?;
    out.flush()?;
    Ok(())
}
