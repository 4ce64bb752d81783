//! `heddle-server`: serves the console until it is told to stop.

#![forbid(unsafe_code)]

use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use axum::Router;
use clap::Parser;
use console::server::{Site, router};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing_subscriber::EnvFilter;

/// How long requests under way may take after the signal to stop.
const GRACE: Duration = Duration::from_secs(10);

/// Heddle's server: the console.
#[derive(Debug, Parser)]
#[command(name = "heddle-server", version)]
struct Args {
    /// Where to listen; port 0 picks a free one, which the log names.
    #[arg(long, default_value = "127.0.0.1:7080", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// The folder with the browser's half of the console.
    #[arg(long, default_value = "site", value_name = "DIR")]
    site: PathBuf,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    log_to_stderr();
    match run(&args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("heddle-server: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: &Args) -> Result<()> {
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

fn log_to_stderr() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
}
