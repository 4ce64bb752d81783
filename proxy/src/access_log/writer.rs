//! The thread that writes batches: full ones at once, the others each 200 ms.

use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use tokio::time::Instant;
use tracing::warn;

use super::output::Output;
use super::{Batch, Shared};

const PAUSE: Duration = Duration::from_millis(200);
/// A sink that fails is spoken of this often.
const COMPLAINT: Duration = Duration::from_secs(60);

/// Writes until told to stop, then writes what is left.
pub(super) fn run(shared: &Shared, output: Output) {
    let mut writer = Writer { shared, output, complained: None };
    loop {
        // Read before the batches, so that what was logged before the stop is written.
        let stopping = shared.stopping.load(Ordering::Acquire);
        writer.round();
        if stopping {
            return;
        }
        thread::park_timeout(PAUSE);
    }
}

struct Writer<'s> {
    shared: &'s Shared,
    output: Output,
    complained: Option<Instant>,
}

impl Writer<'_> {
    fn round(&mut self) {
        if self.shared.reopen.swap(false, Ordering::AcqRel)
            && let Err(error) = self.output.reopen()
        {
            warn!(%error, "cannot reopen the access log; the old file is kept");
        }
        // Bounded, so that an endless flow of full batches leaves the slots their turn.
        for _ in 0..self.shared.full.capacity() {
            let Some(batch) = self.shared.full.pop() else { break };
            self.write(batch);
        }
        for slot in &self.shared.slots {
            if let Some(batch) = slot.pop() {
                self.write(batch);
            }
        }
    }

    fn write(&mut self, mut batch: Batch) {
        if let Err(error) = self.output.write(&batch.bytes) {
            self.shared.lose(batch.lines);
            self.complain(&error);
        }
        batch.clear();
        // Enough are spare already if this one does not fit.
        let _ = self.shared.spare.push(batch);
    }

    fn complain(&mut self, error: &std::io::Error) {
        if self.complained.is_none_or(|at| at.elapsed() > COMPLAINT) {
            self.complained = Some(Instant::now());
            warn!(%error, "cannot write the access log; lines are dropped and counted");
        }
    }
}
