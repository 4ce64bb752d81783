//! The access log: one JSON line for each exchange, written by a thread of its own.
//!
//! ```text
//! worker --line--> its batch --when full--> queue --\
//!                  (a slot)                          writer thread --> file | stdout | stderr
//!                      \------- each 200 ms --------/
//! ```
//!
//! A worker never waits: where the writer cannot keep up, whole batches are dropped and their
//! lines counted.
//! Memory is bounded by the queue and one batch for each worker.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_queue::ArrayQueue;

use crate::record::Record;

mod line;
mod output;
mod writer;

pub(crate) use line::Batch;

use output::Output;

/// A batch of so many bytes is handed over. Each wakes the writer, which on a busy machine costs the
/// worker its core for a while; smaller ones do so more often.
const FULL: usize = 128 << 10;
/// So many full batches may wait: 4 MiB.
const QUEUE: usize = 32;

/// Where the access log goes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Sink {
    /// Nowhere.
    #[default]
    Off,
    /// To standard output.
    Stdout,
    /// To standard error.
    Stderr,
    /// To the end of a file, which is made if it is not there.
    File(PathBuf),
}

/// The door for the workers; the writer ends when it is dropped.
#[derive(Debug)]
pub(crate) struct AccessLog {
    shared: Arc<Shared>,
    writer: JoinHandle<()>,
}

/// What workers and writer share.
#[derive(Debug)]
struct Shared {
    /// The batch that each worker fills; whoever takes it out owns it until it is put back.
    slots: Box<[ArrayQueue<Batch>]>,
    full: ArrayQueue<Batch>,
    /// Written batches, to be filled again.
    spare: ArrayQueue<Batch>,
    dropped: AtomicU64,
    reopen: AtomicBool,
    stopping: AtomicBool,
}

impl AccessLog {
    /// Opens `sink` and starts its writer; `None` where the log is off.
    ///
    /// # Errors
    /// The file cannot be opened, or the thread not be started.
    pub(crate) fn open(sink: &Sink, workers: usize) -> std::io::Result<Option<Self>> {
        Output::open(sink)?.map(|output| Self::start(output, workers)).transpose()
    }

    fn start(output: Output, workers: usize) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            slots: (0..workers.max(1)).map(|_| ArrayQueue::new(1)).collect(),
            full: ArrayQueue::new(QUEUE),
            spare: ArrayQueue::new(QUEUE),
            dropped: AtomicU64::new(0),
            reopen: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
        });
        let theirs = Arc::clone(&shared);
        let writer = thread::Builder::new()
            .name("access-log".to_owned())
            .spawn(move || writer::run(&theirs, output))?;
        Ok(AccessLog { shared, writer })
    }

    /// Queues the line of `record`.
    pub(crate) fn log(&self, record: &Record, took: Duration) {
        let shared = &self.shared;
        let slot = &shared.slots[record.worker % shared.slots.len()];
        let mut batch = slot.pop().or_else(|| shared.spare.pop()).unwrap_or_default();
        batch.add(record, took);
        if batch.bytes.len() >= FULL {
            self.hand_over(batch);
        } else if let Err(batch) = slot.push(batch) {
            // Another thread works under the same number and was quicker to put its own back.
            self.hand_over(batch);
        }
    }

    fn hand_over(&self, batch: Batch) {
        match self.shared.full.push(batch) {
            Ok(()) => self.writer.thread().unpark(),
            Err(batch) => self.shared.lose(batch.lines),
        }
    }

    /// How many lines were dropped since the start.
    pub(crate) fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    /// Opens the file anew, since it was moved away.
    pub(crate) fn reopen(&self) {
        self.shared.reopen.store(true, Ordering::Release);
        self.writer.thread().unpark();
    }

    /// Writes what is there and ends the writer; `false` if that took longer than `within`.
    pub(crate) fn stop(&self, within: Duration) -> bool {
        self.shared.stopping.store(true, Ordering::Release);
        self.writer.thread().unpark();
        super::telemetry::wait_for(within, || self.writer.is_finished())
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::Release);
        self.writer.thread().unpark();
    }
}

impl Shared {
    fn lose(&self, lines: u64) {
        self.dropped.fetch_add(lines, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
