//! Serving, from opening the store to closing it.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use axum::Router;
use console::server::{Site, router};
use control::keep::{self, Location, Store};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::args::Serve;

/// How long requests under way may take after the signal to stop, and then the store to close.
const GRACE: Duration = Duration::from_secs(10);

/// Opens the store, serves until told to stop, and closes the store however that ended.
pub(crate) async fn run(args: &Serve, place: &Location) -> Result<()> {
    let store = keep::open(place).await?;
    tracing::info!("the store is open in {place}");
    let served = listen(args).await;
    close(&store).await;
    served
}

async fn listen(args: &Serve) -> Result<()> {
    let site = Site::open(&args.site)?;
    let listener = TcpListener::bind(args.listen)
        .await
        .with_context(|| format!("listening on {}", args.listen))?;
    tracing::info!("listening on http://{}", listener.local_addr()?);
    serve(listener, router(&site)).await
}

/// Serves until SIGTERM or SIGINT, then lets requests under way end, for a while.
async fn serve(listener: TcpListener, router: Router) -> Result<()> {
    let (stop, mut stopped) = watch::channel(false);
    let serving = axum::serve(listener, router).with_graceful_shutdown(async move {
        // An error means that nobody can ask any more, which is as good as being asked.
        let _ = stopped.wait_for(|stop| *stop).await;
    });
    let signals = async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping");
        stop.send_replace(true);
        tokio::time::sleep(GRACE).await;
        std::io::Result::Ok(())
    };
    tokio::select! {
        done = serving => Ok(done?),
        late = signals => {
            late?;
            bail!("requests were still under way {} s after the signal", GRACE.as_secs())
        }
    }
}

/// What was committed lasts without it; it spares the next start the reading of the log.
async fn close(store: &Store) {
    if tokio::time::timeout(GRACE, store.close()).await.is_err() {
        tracing::warn!("the store was still in use {} s after serving ended", GRACE.as_secs());
    }
}
