//! Serving, from opening the store to closing it.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use axum::Router;
use console::server::{Site, router, without_console};
use control::App;
use control::app::First;
use control::keep::{self, Location, Store};
use control::rest::{Rest, Settings};
use time::OffsetDateTime;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::args::Serve;
use crate::{nodes, people};

/// How long requests under way may take after the signal to stop, and then the store to close.
const GRACE: Duration = Duration::from_secs(10);

/// Opens the store, serves until told to stop, and closes the store however that ended.
pub(crate) async fn run(args: &Serve, place: &Location, folder: &Path) -> Result<()> {
    // Before anybody is told that we are there: who hears it may tell us to stop at once.
    let stop = Stop::listen().context("listening for signals")?;
    let store = keep::open(place).await?;
    tracing::info!("the store is open in {place}");
    let app = Arc::new(App::new(store));
    let served = listen(args, &app, folder, stop).await;
    close(app.store()).await;
    served
}

async fn listen(args: &Serve, app: &Arc<App>, folder: &Path, stop: Stop) -> Result<()> {
    let site = args.site.as_deref().map(Site::open).transpose()?;
    found(args, app, folder).await?;
    let settings = Settings { behind_tls: args.behind_tls, hosts: args.hosts.clone() };
    let (stopping, stopped) = watch::channel(false);
    let nodes = nodes::open(&args.nodes, app).await?;
    let rest = Rest::new(Arc::clone(app), settings, stopped.clone());
    let console =
        site.as_ref().map_or_else(without_console, |site| router(site, &rest, nodes.address()));
    let router = rest.router().merge(console);
    let listener = TcpListener::bind(args.listen)
        .await
        .with_context(|| format!("listening on {}", args.listen))?;
    tracing::info!("listening on http://{}", listener.local_addr()?);
    let nodes = nodes.serve(stopped.clone());
    let people = serve(listener, router, stop, (stopping, stopped));
    // Nodes are let go when people are; until then nothing ends either.
    tokio::join!(people, nodes).0
}

/// Where nobody may sign in yet, makes who may, and tells where their password lies.
async fn found(args: &Serve, app: &App, folder: &Path) -> Result<()> {
    let given = args.admin_password_file.as_ref().map(|file| {
        let text = std::fs::read_to_string(file);
        let text = text.with_context(|| format!("reading the password in {}", file.display()))?;
        anyhow::Ok(text.trim_end_matches(['\r', '\n']).to_owned())
    });
    let file = folder.join("admin-password");
    let first = app.user_found(given.transpose()?, &file, OffsetDateTime::now_utc()).await;
    match first.context("making the first user")? {
        First::Nobody => {}
        First::Given => tracing::info!("made the user 'admin' with the password that was given"),
        First::Made => tracing::info!(
            "made the user 'admin'; the password lies in {} until it is used",
            file.display()
        ),
    }
    Ok(())
}

/// The signals that end serving, kept from the moment on that they are listened for.
struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    fn listen() -> io::Result<Self> {
        let terminate = signal(SignalKind::terminate())?;
        Ok(Stop { terminate, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn told(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Serves until SIGTERM or SIGINT, then lets requests under way end, for a while.
async fn serve(
    listener: TcpListener,
    router: Router,
    mut signals: Stop,
    (stop, stopped): (watch::Sender<bool>, watch::Receiver<bool>),
) -> Result<()> {
    let serving = people::serve(listener, router, stopped);
    let late = async {
        signals.told().await;
        tracing::info!("stopping");
        stop.send_replace(true);
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        () = serving => Ok(()),
        () = late => bail!("requests were still under way {} s after the signal", GRACE.as_secs()),
    }
}

/// What was committed lasts without it; it spares the next start the reading of the log.
async fn close(store: &Store) {
    if tokio::time::timeout(GRACE, store.close()).await.is_err() {
        tracing::warn!("the store was still in use {} s after serving ended", GRACE.as_secs());
    }
}
