//! Serving, from opening the store to closing it.

use std::io;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use axum::Router;
use console::server::{Site, router};
use control::keep::{self, Location, Store};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::args::Serve;

/// How long requests under way may take after the signal to stop, and then the store to close.
const GRACE: Duration = Duration::from_secs(10);

/// Opens the store, serves until told to stop, and closes the store however that ended.
pub(crate) async fn run(args: &Serve, place: &Location) -> Result<()> {
    // Before anybody is told that we are there: who hears it may tell us to stop at once.
    let stop = Stop::listen().context("listening for signals")?;
    let store = keep::open(place).await?;
    tracing::info!("the store is open in {place}");
    let served = listen(args, stop).await;
    close(&store).await;
    served
}

async fn listen(args: &Serve, stop: Stop) -> Result<()> {
    let site = Site::open(&args.site)?;
    let listener = TcpListener::bind(args.listen)
        .await
        .with_context(|| format!("listening on {}", args.listen))?;
    tracing::info!("listening on http://{}", listener.local_addr()?);
    serve(listener, router(&site), stop).await
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
async fn serve(listener: TcpListener, router: Router, mut signals: Stop) -> Result<()> {
    let (stop, mut stopped) = watch::channel(false);
    let serving = axum::serve(listener, router).with_graceful_shutdown(async move {
        // An error means that nobody can ask any more, which is as good as being asked.
        let _ = stopped.wait_for(|stop| *stop).await;
    });
    let late = async {
        signals.told().await;
        tracing::info!("stopping");
        stop.send_replace(true);
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        done = serving => Ok(done?),
        () = late => bail!("requests were still under way {} s after the signal", GRACE.as_secs()),
    }
}

/// What was committed lasts without it; it spares the next start the reading of the log.
async fn close(store: &Store) {
    if tokio::time::timeout(GRACE, store.close()).await.is_err() {
        tracing::warn!("the store was still in use {} s after serving ended", GRACE.as_secs());
    }
}
