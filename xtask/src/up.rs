//! `cargo xtask up`: the whole demo on this machine, until it is told to stop.
//!
//! So far: the bookshop's services, the server, one gateway that joined it, and a proxy of the mesh
//! beside each service.
//! Everything it writes lies in `.heddle`, which git ignores; what was changed in the demo is there
//! again at the next start, and to begin anew that folder is removed.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::shell;

mod config;
mod former;
mod founding;
mod process;
mod summary;

use founding::{Founder, GATEWAY};
use process::{Process, Spec};

/// What `cargo xtask up` may be told.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The build profile of the programs that are started.
    #[arg(long, default_value = "dev")]
    profile: String,
}

/// The services that have a proxy, and where its admin port is.
const MESH: [(&str, u16); 4] =
    [("storefront", 9902), ("orders", 9903), ("catalog-v1", 9904), ("catalog-v2", 9905)];

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
    let built = shell::step("build the programs", Duration::from_secs(300), || {
        let mut build = shell::cargo();
        build.args(["build", "--locked", "--profile", &args.profile]);
        for package in ["gateway", "mesh", "bookshop", "console", "cli"] {
            build.args(["--package", package]);
        }
        shell::run_until(&mut build, &stop)
    })?;
    if !built {
        eprintln!("==> stopped before anything was started");
        return Ok(());
    }
    let folder = if args.profile == "dev" { "debug" } else { &args.profile };
    let programs = shell::target()?.join(folder);
    let mut running = Vec::new();
    let served = start(&programs, &data, &mut running).and_then(|()| {
        summary::write(&data, &running)?;
        summary::print(&data, &programs)?;
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

/// The bookshop's services, and the server that tells gateways of them.
fn specs(data: &Path) -> Vec<Spec> {
    let service = |name: &str, port: u16, args: &[&str]| {
        let service = name.split('-').next().unwrap_or(name);
        let mut all = words(&["--service", service, "--listen", &format!("127.0.0.1:{port}")]);
        all.extend(words(args));
        Spec {
            name: name.to_owned(),
            kind: "service",
            program: "bookshop",
            args: all,
            env: Vec::new(),
            ready: format!("127.0.0.1:{port}"),
            ready_path: "/healthz",
        }
    };
    let folder = |name: &str| data.join(name).display().to_string();
    let store = ["--data", &folder("server"), "--admin-password-file", &folder("admin-password")];
    vec![
        service("catalog-v1", 9103, &["--version", "v1"]),
        service("catalog-v2", 9104, &["--version", "v2"]),
        service("orders", 9102, &["--proxy", "127.0.0.1:15032", "--catalog", "http://catalog-v1"]),
        service("storefront", 9101, &["--proxy", "127.0.0.1:15031", "--orders", "http://orders"]),
        Spec {
            name: "server".to_owned(),
            kind: "server",
            program: "heddle-server",
            args: words(&store),
            env: Vec::new(),
            ready: "127.0.0.1:7080".to_owned(),
            ready_path: "/readyz",
        },
    ]
}

/// The gateway, which joins by the token unless it did so before.
fn gateway(data: &Path, state: &Path, token: Option<String>) -> Spec {
    let (state, log) = (state.display().to_string(), data.join("access.log").display().to_string());
    let joined = ["--server", "127.0.0.1:7081", "--state", &state, "--name", GATEWAY];
    let seen = ["--admin", "127.0.0.1:9901", "--access-log", &log, "--decision-ratio", "1"];
    Spec {
        name: "gateway".to_owned(),
        kind: "gateway",
        program: "heddle-gateway",
        args: [words(&joined), words(&seen)].concat(),
        env: token.into_iter().map(|token| ("HEDDLE_JOIN_TOKEN", token)).collect(),
        ready: "127.0.0.1:9901".to_owned(),
        ready_path: "/readyz",
    }
}

/// The proxy beside a service, which joins by the token unless it did so before.
fn beside(name: &str, admin: u16, data: &Path, state: &Path, token: Option<String>) -> Spec {
    let workload = format!("bookshop/{name}-1");
    let (state, admin) = (state.display().to_string(), format!("127.0.0.1:{admin}"));
    let log = data.join(format!("access-{name}.log")).display().to_string();
    let joined = ["--workload", &workload, "--server", "127.0.0.1:7081", "--state", &state];
    let seen = ["--admin", &admin, "--access-log", &log, "--decision-ratio", "1"];
    Spec {
        name: format!("mesh-{name}"),
        kind: "mesh",
        program: "heddle-mesh",
        args: [words(&joined), words(&seen)].concat(),
        env: token.into_iter().map(|token| ("HEDDLE_JOIN_TOKEN", token)).collect(),
        ready: admin,
        ready_path: "/readyz",
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// Starts everything, in the order in which one needs the other.
fn start(programs: &Path, data: &Path, running: &mut Vec<Process>) -> Result<()> {
    let password = Founder::password(data)?;
    shell::step("start the bookshop and the server", Duration::from_secs(2), || {
        specs(data).into_iter().try_for_each(|spec| launch(spec, programs, data, running))
    })?;
    let founder = Founder::new(programs, data);
    let state = data.join(format!("gateway-{GATEWAY}"));
    shell::step("apply the bookshop, and let the gateway join", Duration::from_secs(2), || {
        founder.sign_in(&password)?;
        let bookshop = data.join("bookshop");
        // Its certificate is made once, since the server remembers it.
        let is_whole = bookshop.join("mesh.yaml").exists();
        let bookshop = if is_whole { bookshop } else { config::write(data)? };
        founder.apply(&bookshop)?;
        let token = founder.join_token("gateway", GATEWAY, &state)?;
        launch(gateway(data, &state, token), programs, data, running)
    })?;
    shell::step("let a proxy join beside each service", Duration::from_secs(2), || {
        MESH.iter().try_for_each(|(name, admin)| {
            let state = data.join(format!("mesh-{name}"));
            let token = founder.join_token("mesh", &format!("bookshop.{name}-1"), &state)?;
            launch(beside(name, *admin, data, &state, token), programs, data, running)
        })
    })
}

fn launch(spec: Spec, programs: &Path, data: &Path, running: &mut Vec<Process>) -> Result<()> {
    let log = data.join(format!("{}.log", spec.name));
    running.push(Process::start(spec, programs, &log)?);
    running.last_mut().map_or(Ok(()), |process| process.wait_ready(READY))
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
