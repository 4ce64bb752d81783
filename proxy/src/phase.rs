//! From when on a process takes connections, and how it ends.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// At the end of a process, or of a listener, an HTTP/1.1 connection is kept for one more request for so long, or
/// half of the drain: its client may be sending it already, and cannot be told before it has.
pub(crate) const GRACE: Duration = Duration::from_secs(5);

/// Whether connections are taken, and whether the process is ending.
#[derive(Debug)]
pub(crate) struct Phase {
    /// False while the process before takes them at the same sockets.
    accepts: watch::Sender<bool>,
    ends: OnceLock<End>,
    drains: CancellationToken,
    /// Whether what is still under way is broken off.
    is_over: AtomicBool,
}

/// How a process ends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct End {
    pub(crate) bound: Duration,
    /// Another process has its sockets and takes what waits at them.
    pub(crate) is_followed: bool,
}

impl Default for Phase {
    fn default() -> Self {
        Phase {
            accepts: watch::channel(true).0,
            ends: OnceLock::new(),
            drains: CancellationToken::new(),
            is_over: AtomicBool::new(false),
        }
    }
}

impl Phase {
    /// Has connections taken, or not.
    pub(crate) fn accept(&self, accepts: bool) {
        self.accepts.send_replace(accepts);
    }

    /// Ends when they are taken.
    pub(crate) async fn accepting(&self) {
        // It fails only if nobody is left to say so, and we are.
        let _ = self.accepts.subscribe().wait_for(|accepts| *accepts).await;
    }

    /// Ends when draining begins.
    pub(crate) async fn draining(&self) {
        self.drains.cancelled().await;
    }

    /// Whether it began; and then how long a connection without a request is kept for one more.
    pub(crate) fn grace(&self) -> Option<Duration> {
        self.ends.get().map(|end| GRACE.min(end.bound / 2))
    }

    /// Has draining begin.
    pub(crate) fn end(&self, end: End) {
        // A process ends once.
        let _first = self.ends.set(end);
        self.drains.cancel();
    }

    /// What is still under way is about to be broken off.
    pub(crate) fn break_off(&self) {
        self.is_over.store(true, Relaxed);
    }

    /// Whether what ends now does so since the process does.
    pub(crate) fn is_over(&self) -> bool {
        self.is_over.load(Relaxed)
    }

    /// Whether another process takes who waits at the sockets.
    pub(crate) fn is_followed(&self) -> bool {
        self.ends.get().is_some_and(|end| end.is_followed)
    }
}
