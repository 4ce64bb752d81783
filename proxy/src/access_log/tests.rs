//! Lines reach their file, whole and in bounds.

use std::fs;
use std::io::{self, Write};
use std::sync::atomic::AtomicUsize;

use tokio::time::Instant;

use super::*;
use crate::telemetry::tests::{Folder, sample};
use crate::telemetry::{Settings, Telemetry, wait_for};

const SOON: Duration = Duration::from_secs(10);

/// A sink that fails or stands still as told.
#[derive(Debug, Clone, Default)]
pub(super) struct Gate {
    shut: Arc<AtomicBool>,
    broken: Arc<AtomicBool>,
    lines: Arc<AtomicUsize>,
}

impl Write for Gate {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        assert!(wait_for(SOON, || !self.shut.load(Ordering::Acquire)), "the gate stayed shut");
        if self.broken.load(Ordering::Acquire) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.lines.fetch_add(lines(bytes), Ordering::AcqRel);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn lines(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte == b'\n').count()
}

fn log_to(gate: &Gate, workers: usize) -> AccessLog {
    AccessLog::start(Output::gate(gate.clone()), workers).unwrap()
}

fn quiet() -> Arc<Telemetry> {
    Telemetry::start(&Settings::default()).unwrap()
}

#[test]
fn a_single_line_is_written_though_no_other_follows() {
    let (gate, telemetry) = (Gate::default(), quiet());
    let log = log_to(&gate, 1);
    log.log(&sample(&telemetry), Duration::ZERO);
    assert!(wait_for(SOON, || gate.lines.load(Ordering::Acquire) == 1));
}

#[test]
fn workers_that_log_at_once_lose_nothing() {
    let (gate, telemetry) = (Gate::default(), quiet());
    let log = log_to(&gate, 2);
    thread::scope(|scope| {
        // Three threads under two numbers: a multi-thread runtime may do that.
        for worker in [0, 1, 1] {
            let (log, telemetry) = (&log, &telemetry);
            scope.spawn(move || {
                let mut record = sample(telemetry);
                record.worker = worker;
                for _ in 0..2_000 {
                    log.log(&record, Duration::ZERO);
                    // Far from what fills the queue, whatever the writer does.
                    assert!(wait_for(SOON, || log.shared.full.len() < QUEUE / 2));
                }
            });
        }
    });
    assert!(log.stop(SOON));
    assert_eq!(gate.lines.load(Ordering::Acquire), 6_000);
    assert_eq!(log.dropped(), 0);
}

#[test]
fn a_writer_that_stands_still_costs_lines_and_never_time() {
    let (gate, telemetry) = (Gate::default(), quiet());
    gate.shut.store(true, Ordering::Release);
    let log = log_to(&gate, 1);
    let record = sample(&telemetry);
    let mut logged = 0;
    let began = Instant::now();
    while log.dropped() == 0 {
        log.log(&record, Duration::ZERO);
        logged += 1;
        assert!(began.elapsed() < SOON, "nothing was dropped");
    }
    gate.shut.store(false, Ordering::Release);
    assert!(log.stop(SOON));
    let written = gate.lines.load(Ordering::Acquire) as u64;
    assert_eq!(written + log.dropped(), logged);
    assert!(written as usize > QUEUE, "what had room was kept");
}

#[test]
fn a_full_disk_costs_lines_and_the_log_goes_on_after() {
    let (gate, telemetry) = (Gate::default(), quiet());
    gate.broken.store(true, Ordering::Release);
    let log = log_to(&gate, 1);
    let record = sample(&telemetry);
    log.log(&record, Duration::ZERO);
    assert!(wait_for(SOON, || log.dropped() == 1));
    gate.broken.store(false, Ordering::Release);
    log.log(&record, Duration::ZERO);
    // The line that broke off is ended before the next one begins.
    assert!(wait_for(SOON, || gate.lines.load(Ordering::Acquire) == 2));
    assert_eq!(log.dropped(), 1);
}

#[test]
fn a_stop_that_cannot_be_waited_for_says_so() {
    let (gate, telemetry) = (Gate::default(), quiet());
    gate.shut.store(true, Ordering::Release);
    let log = log_to(&gate, 1);
    log.log(&sample(&telemetry), Duration::ZERO);
    assert!(!log.stop(Duration::from_millis(5)));
    gate.shut.store(false, Ordering::Release);
    assert!(log.stop(SOON));
    assert_eq!(gate.lines.load(Ordering::Acquire), 1);
}

#[test]
fn a_file_is_appended_to_and_opened_anew_when_it_was_moved() {
    let (folder, telemetry) = (Folder::new(), quiet());
    let (file, moved) = (folder.0.join("access.log"), folder.0.join("access.log.1"));
    fs::write(&file, "{}\n").unwrap();
    let log = AccessLog::open(&Sink::File(file.clone()), 1).unwrap().unwrap();
    let record = sample(&telemetry);
    let lines = |path| lines(&fs::read(path).unwrap_or_default());

    log.log(&record, Duration::ZERO);
    assert!(wait_for(SOON, || lines(&file) == 2));
    fs::rename(&file, &moved).unwrap();
    log.log(&record, Duration::ZERO);
    assert!(wait_for(SOON, || lines(&moved) == 3), "until told, the old file is written");
    log.reopen();
    assert!(wait_for(SOON, || file.exists()));
    log.log(&record, Duration::ZERO);
    assert!(log.stop(SOON));
    assert_eq!((lines(&file), lines(&moved)), (1, 3));
}

#[test]
fn a_log_that_is_off_has_no_writer() {
    assert!(AccessLog::open(&Sink::Off, 1).unwrap().is_none());
}
