//! The program, followed by another process of it while everything is rewritten.

use std::sync::Arc;
use std::time::{Duration, Instant};

use e2e::{Gateway, wait};
use tokio::task::JoinHandle;

use crate::verdict::Judge;

/// What each process is told, and how long it drains by that.
pub(crate) const ARGUMENTS: [&str; 4] = ["--workers", "2", "--drain-timeout", "3s"];
pub(crate) const DRAIN: Duration = Duration::from_secs(3);
/// How much longer it may be until the process has ended: 3 s are for what is left to log.
const LATE: Duration = Duration::from_secs(6);

/// Processes that are followed by another while it is rewritten.
#[derive(Default)]
pub(crate) struct Replacing {
    under_way: Option<JoinHandle<()>>,
    pub(crate) times: u64,
    /// How many versions were written between the start of one process and the end of the one before.
    pub(crate) rewrites: usize,
}

impl Replacing {
    /// Starts the process that follows, once a former replacement is over.
    /// A version counts as in force once every caller has it on its connection, whose ever that is;
    /// so what is right does not depend on which of the two processes answers.
    pub(crate) async fn replace(&mut self, before: Gateway, judge: &Arc<Judge>) -> Gateway {
        self.end(judge).await;
        let next = before.next(&ARGUMENTS);
        self.under_way = Some(tokio::spawn(ends(before, Arc::clone(judge))));
        self.times += 1;
        next
    }

    /// A version is about to be written.
    pub(crate) fn is_rewritten(&mut self) {
        let is_under_way = self.under_way.as_ref().is_some_and(|one| !one.is_finished());
        self.rewrites += usize::from(is_under_way);
    }

    /// Waits until no process is on its way out, and all lines are open at the one that is left.
    pub(crate) async fn end(&mut self, judge: &Judge) {
        if let Some(under_way) = self.under_way.take() {
            wait::within("a process to end", under_way).await.expect("it ends well");
        }
        let are_open = || judge.lines.are_open_after(self.times) || !judge.is_clean();
        wait::until_true("all lines to be open", are_open).await;
    }
}

/// Waits until a process drains, and tells when that began, and then until it has ended.
async fn ends(mut gateway: Gateway, judge: Arc<Judge>) {
    let mut earliest = Instant::now();
    wait::until_true("a process to drain", || {
        let looked = Instant::now();
        let drains = gateway.stderr().contains("finishing what is under way");
        if !drains {
            earliest = looked;
        }
        drains
    })
    .await;
    let latest = Instant::now();
    judge.lines.drain([earliest, latest]);
    assert_eq!(gateway.exited().await, 0, "{}", gateway.stderr());
    let took = latest.elapsed();
    assert!(took < DRAIN + LATE, "a drain of {DRAIN:?} took {took:?}");
}
