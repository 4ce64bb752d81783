//! The admin port: whether the process lives, serves, and what it knows.
//!
//! | path       | answer |
//! |------------|--------|
//! | `/healthz` | 200 as long as the process can answer |
//! | `/readyz`  | 200 while a table serves; 503 with the reason before that and while draining |
//! | `/metrics` | the counts, for Prometheus |
//! | `/config`  | JSON: table, listeners, routes, services, endpoints and faults; secrets as digests |
//!
//! On a thread and a runtime of its own, so that it answers however busy the workers are.
//! It only shows: GET and HEAD are all it takes, and nothing that came through a proxy: whoever may write
//! endpoints could lead themselves here, past whom the port is for.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread::{self, JoinHandle};

use serde_json::Value;
use tokio::runtime;
use tokio::sync::{oneshot, watch};

use crate::telemetry::Telemetry;

mod answer;
mod server;

/// What the admin port shows.
#[derive(Clone)]
pub struct State {
    /// Gives `/metrics`.
    pub telemetry: Arc<Telemetry>,
    /// Gives `/readyz`.
    pub readiness: Arc<Readiness>,
    /// Gives `/config`.
    pub config: Arc<dyn Fn() -> Value + Send + Sync>,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("readiness", &self.readiness).finish_non_exhaustive()
    }
}

/// Where a process is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// No table serves yet.
    Starting,
    /// A table serves.
    Serving,
    /// Nothing new is taken; what is under way is brought to its end.
    Draining,
}

/// The phase of this process: set by whoever starts and drains it, read by `/readyz`.
#[derive(Debug, Default)]
pub struct Readiness(AtomicU8);

impl Readiness {
    const PHASES: [Phase; 3] = [Phase::Starting, Phase::Serving, Phase::Draining];

    /// Enters `phase`. A process that drains does not come back.
    pub fn set(&self, phase: Phase) {
        self.0.fetch_max(phase as u8, Ordering::AcqRel);
    }

    /// The phase now.
    pub fn phase(&self) -> Phase {
        Self::PHASES[usize::from(self.0.load(Ordering::Acquire))]
    }
}

/// A running admin server; stopped when dropped.
#[derive(Debug)]
pub struct Handle {
    address: SocketAddr,
    /// A copy, for whoever takes the port over.
    listener: TcpListener,
    accepts: watch::Sender<bool>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Handle {
    /// Where it listens, the port chosen by the system included.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The socket, for whoever takes the port over.
    pub(crate) fn listener(&self) -> &TcpListener {
        &self.listener
    }

    /// Takes connections, where another process did at the same socket.
    pub(crate) fn accept(&self) {
        self.accepts.send_replace(true);
    }

    /// Closes the port and ends the thread.
    pub fn stop(self) {}
}

impl Drop for Handle {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic there was already told by the panic hook.
            let _ = thread.join();
        }
    }
}

/// Serves the admin port at `address`; port 0 lets the system choose.
///
/// # Errors
/// The address cannot be listened on, or the thread not be started; the message says which.
pub fn serve(address: SocketAddr, state: State) -> io::Result<Handle> {
    let handle = serve_given(bind(address).map_err(|error| explained(address, &error))?, state)?;
    handle.accept();
    Ok(handle)
}

/// The same at the socket of another process, once it is told to accept.
///
/// # Errors
/// If the socket is of no use, or the thread cannot be started.
pub(crate) fn serve_given(listener: TcpListener, state: State) -> io::Result<Handle> {
    let (address, copy) = (listener.local_addr()?, listener.try_clone()?);
    let (accepts, may_accept) = watch::channel(false);
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let (stop, stopped) = oneshot::channel();
    let thread = thread::Builder::new().name("admin".to_owned()).spawn(move || {
        if let Err(error) = runtime.block_on(server::run(listener, state, may_accept, stopped)) {
            tracing::error!(%error, "the admin port ended");
        }
    })?;
    Ok(Handle { address, listener: copy, accepts, stop: Some(stop), thread: Some(thread) })
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn explained(address: SocketAddr, error: &io::Error) -> io::Error {
    let why = match error.kind() {
        io::ErrorKind::AddrInUse => {
            "address in use: another process listens there; name another one with --admin, or off"
                .to_owned()
        }
        _ => error.to_string(),
    };
    io::Error::new(error.kind(), format!("cannot serve the admin port at {address}: {why}"))
}

#[cfg(test)]
mod tests;
