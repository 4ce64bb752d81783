//! `cargo xtask up`: the whole demo on this machine, until it is told to stop.
//!
//! One server; two clusters, each with a gateway, the bookshop's services, and a proxy of the mesh beside
//! each service.
//! Everything it writes lies in `.heddle`, which git ignores; what was changed in the demo is there
//! again at the next start, and to begin anew that folder is removed.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::{shell, wasm};

mod again;
mod cluster;
mod config;
mod former;
mod founding;
mod process;
mod summary;

use cluster::{CLUSTERS, words};
use founding::Founder;
use process::{Process, Spec};

/// What `cargo xtask up` may be told.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The build profile of the programs that are started.
    #[arg(long, default_value = "dev")]
    profile: String,
    /// Nobody looks in at the bookshop but you. Else ten visitors a second do in each cluster, so that
    /// the console has something to show.
    #[arg(long)]
    no_visitors: bool,
    #[command(subcommand)]
    act: Option<Act>,
}

#[derive(Debug, clap::Subcommand)]
enum Act {
    /// Starts a program again that ended, in the demo that runs from this folder.
    Again {
        /// Its name, as the demo told it, like `catalog-v1-east`.
        name: String,
    },
    /// Makes pictures of each page of the console, in the demo that runs from this folder: in both
    /// themes, wide and on a phone, into `e2e/browser/shots`.
    Pictures,
}

/// How long the programs may take to be ready.
const READY: Duration = Duration::from_secs(20);
/// How long they may take to stop.
const STOP: Duration = Duration::from_secs(10);

/// Builds, starts, prints what to try, and stops everything on Ctrl-C or SIGTERM.
pub(crate) fn run(args: &Args) -> Result<()> {
    match &args.act {
        Some(Act::Again { name }) => return again::ask(&data()?, name, 2 * READY),
        Some(Act::Pictures) => return wasm::pictures(&data()?.join("up.json")),
        None => {}
    }
    let stop = signals()?;
    let data = data()?;
    let _alone = alone(&data)?;
    former::stop(&data.join("up.json"), STOP)?;
    let site = wasm::build(wasm::PROFILE)?;
    // Behind the console, which does not look whether it is told to stop.
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
    let has_visitors = !args.no_visitors;
    let demo = Demo { programs: &programs, data: &data, site: &site, has_visitors };
    let served = start(&demo, &mut running).and_then(|()| {
        summary::write(&data, &running)?;
        summary::print(&data, &programs, has_visitors)?;
        wait(&stop, &data, &mut running)
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

/// Where things lie.
#[derive(Debug, Clone, Copy)]
struct Demo<'d> {
    programs: &'d Path,
    /// What the demo writes.
    data: &'d Path,
    /// The browser's half of the console.
    site: &'d Path,
    /// Whether somebody looks in at the bookshops.
    has_visitors: bool,
}

/// The server, which tells gateways and proxies what they serve, and has the console.
fn server(demo: &Demo<'_>) -> Spec {
    let folder = |name: &str| demo.data.join(name).display().to_string();
    let site = ["--site".to_owned(), demo.site.display().to_string()];
    let store = ["--data", &folder("server"), "--admin-password-file", &folder("admin-password")];
    Spec {
        name: "server".to_owned(),
        cluster: None,
        kind: "server",
        program: "heddle-server",
        args: words(&store).into_iter().chain(site).collect(),
        env: Vec::new(),
        ready: "127.0.0.1:7080".to_owned(),
        ready_path: "/readyz",
    }
}

/// Starts everything, in the order in which one needs the other.
fn start(demo: &Demo<'_>, running: &mut Vec<Process>) -> Result<()> {
    let &Demo { programs, data, .. } = demo;
    let password = Founder::password(data)?;
    shell::step("start two bookshops and the server", Duration::from_secs(2), || {
        let services = CLUSTERS.iter().flat_map(|cluster| cluster.services());
        launch(services.chain([server(demo)]).collect(), demo, running)
    })?;
    let founder = Founder::new(programs, data);
    shell::step("apply the bookshop", Duration::from_secs(2), || {
        founder.sign_in(&password)?;
        let bookshop = data.join("bookshop");
        // Its certificate is made once, since the server remembers it.
        let is_whole = bookshop.join("west.yaml").exists();
        let bookshop = if is_whole { bookshop } else { config::write(data)? };
        founder.apply(&bookshop)
    })?;
    shell::step(
        "let a gateway join each cluster, and a proxy each service",
        Duration::from_secs(5),
        || {
            let nodes = CLUSTERS.iter().flat_map(|cluster| cluster.nodes(data));
            let specs = nodes.map(|node| {
                let token = founder.join_token(&node)?;
                let env = token.into_iter().map(|token| ("HEDDLE_JOIN_TOKEN", token)).collect();
                Ok(Spec { env, ..node.spec })
            });
            launch(specs.collect::<Result<_>>()?, demo, running)
        },
    )?;
    let visitors = CLUSTERS.iter().filter(|_| demo.has_visitors).map(|cluster| cluster.visitors());
    launch(visitors.collect(), demo, running)
}

/// Starts them all, and waits until all are ready.
fn launch(specs: Vec<Spec>, demo: &Demo<'_>, running: &mut Vec<Process>) -> Result<()> {
    let first = running.len();
    for spec in specs {
        let log = demo.data.join(format!("{}.log", spec.name));
        running.push(Process::start(spec, demo.programs, &log)?);
    }
    running[first..].iter_mut().try_for_each(|process| process.wait_ready(READY))
}

/// Waits for the word to stop. A program that ends is told of, and how to start it again: somebody may
/// have wanted to see what that does.
fn wait(stop: &mpsc::Receiver<()>, data: &Path, running: &mut [Process]) -> Result<()> {
    while stop.recv_timeout(Duration::from_millis(500)).is_err() {
        let has_ended = tell_ended(running)?;
        let asked = again::asked(data);
        for name in &asked {
            start_again(name, running);
        }
        if has_ended || !asked.is_empty() {
            summary::write(data, running)?;
        }
        asked.iter().try_for_each(|name| again::done(data, name))?;
        if running.iter().all(Process::has_ended) {
            bail!("nothing of the demo is left");
        }
    }
    Ok(())
}

/// Tells of programs that ended since; whether there are any.
fn tell_ended(running: &mut [Process]) -> Result<bool> {
    let mut any = false;
    for process in running.iter_mut().filter(|process| !process.has_ended()) {
        let Some(status) = process.ended()? else { continue };
        let (name, log) = (process.name(), process.log().display());
        eprintln!("==> {name} ended with {status}; its log is {log}");
        eprintln!("    to start it again, in another terminal: cargo xtask up again {name}");
        any = true;
    }
    Ok(any)
}

/// Starts a program again, if it ended.
fn start_again(name: &str, running: &mut [Process]) {
    let mut ended = running.iter_mut().filter(|one| one.has_ended());
    let Some(process) = ended.find(|process| process.name() == name) else { return };
    match process.again().and_then(|()| process.wait_ready(READY)) {
        Ok(()) => eprintln!("==> {name} runs again"),
        Err(error) => eprintln!("==> {name} did not start again: {error:#}"),
    }
}
