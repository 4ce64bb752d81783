//! What outlives the tables it was opened by: lines on which messages go on while everything is changed.
//!
//! A line ends once the process that has it has drained for as long as it was told, and is then opened anew
//! at the one that followed. Any other end is a fault, and so is one then by which a stream seems whole.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use e2e::soak;
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::asked::Wanted;
use crate::caller::Kind;
use crate::line::{End, Line, Sort};
use crate::plan::LASTING;
use crate::replacing::DRAIN;
use crate::tally::Wrong;
use crate::verdict::Judge;

/// All of them.
pub(crate) const LINES: [(Sort, Kind); 6] = [
    (Sort::Tunnel, Kind::H1),
    (Sort::Tunnel, Kind::H1),
    (Sort::Tunnel, Kind::HttpsH1),
    (Sort::Stream, Kind::H1),
    (Sort::Stream, Kind::H2c),
    (Sort::Stream, Kind::HttpsH2),
];
/// Between two messages of a line.
const EVERY: Duration = Duration::from_millis(50);

/// How lines began and ended.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    opened: AtomicU64,
    drained: AtomicU64,
    /// Of each drain the earliest and the latest moment at which it may have begun.
    drains: Mutex<Vec<[Instant; 2]>>,
}

impl Lines {
    /// Whether all are open that were ended by `drains` drains so far: a count of those that are open now
    /// would take one for open whose end its holder has yet to see.
    pub(crate) fn are_open_after(&self, drains: u64) -> bool {
        self.opened.load(SeqCst) == (drains + 1) * LINES.len() as u64
    }

    /// How often one was opened.
    pub(crate) fn opened(&self) -> u64 {
        self.opened.load(SeqCst)
    }

    /// How often one was ended by a drain.
    pub(crate) fn drained(&self) -> u64 {
        self.drained.load(SeqCst)
    }

    /// A process drains, which began some time between these.
    pub(crate) fn drain(&self, began: [Instant; 2]) {
        self.drains.lock().unwrap_or_else(PoisonError::into_inner).push(began);
    }

    /// Whether what was opened at `opened` may end at `now`: a drain that began since has had its time.
    fn may_end(&self, opened: Instant, now: Instant) -> bool {
        let drains = self.drains.lock().unwrap_or_else(PoisonError::into_inner);
        drains.iter().any(|[earliest, latest]| opened < *latest && now >= *earliest + DRAIN)
    }
}

/// Who holds a line.
struct Holder {
    sort: Sort,
    kind: Kind,
    places: (SocketAddr, SocketAddr),
    ticks: Interval,
    /// A message that is without an answer: its number, and when it was due.
    owed: Option<(u64, Instant)>,
    judge: Arc<Judge>,
}

/// Holds a line and talks on it, until the judge stops it.
pub(crate) async fn hold(
    (sort, kind): (Sort, Kind),
    places: (SocketAddr, SocketAddr),
    judge: Arc<Judge>,
) {
    let mut ticks = interval(EVERY);
    // As callers do: else each message would be later than the one before where a machine is too slow.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut holder = Holder { sort, kind, places, ticks, owed: None, judge };
    while holder.goes_on() {
        let opened = Instant::now();
        let ended = holder.talk().await;
        holder.take(opened, ended);
    }
}

impl Holder {
    fn goes_on(&self) -> bool {
        self.judge.is_clean() && (!self.judge.is_stopped() || self.owed.is_some())
    }

    /// Opens a line and talks on it, and closes it when all is said.
    async fn talk(&mut self) -> Result<(), End> {
        let mut line = self.open().await?;
        self.judge.lines.opened.fetch_add(1, SeqCst);
        while self.goes_on() {
            let (number, due) = match self.owed {
                Some(owed) => owed,
                None => (self.judge.tally.asked(self.sort.class()), self.ticks.tick().await.into()),
            };
            self.owed = Some((number, due));
            let length = 64 + soak::mix(number) % 4096;
            let message = soak::bytes(number, length as usize);
            let back = line.echo(message.clone()).await?;
            self.owed = None;
            self.judge.pace.waited(due);
            self.judge.message(self.sort.class(), number, back == message);
        }
        line.close().await
    }

    async fn open(&self) -> Result<Line, End> {
        let since = self.judge.in_force();
        let not_opened = |error| End::Strayed(format!("not opened: {error}"));
        let connected = self.kind.connect(self.places, &self.judge).await;
        let (connection, _) = connected.map_err(not_opened)?;
        let number = self.judge.tally.asked(self.sort.class());
        let opened = Line::open(self.sort, connection, number).await;
        let (line, head) = opened.map_err(not_opened)?;
        let told = self.sort.told(number);
        let wanted = Wanted { class: self.sort.class(), route: LASTING, told };
        if self.judge.led(&wanted, since, &head).is_some() {
            self.judge.tally.right(self.sort.class());
        }
        Ok(line)
    }

    /// Takes the end of a line that was opened at `opened`.
    fn take(&self, opened: Instant, ended: Result<(), End>) {
        let told = match ended {
            Ok(()) => return,
            Err(End::Broke(_)) if self.judge.lines.may_end(opened, Instant::now()) => {
                self.judge.lines.drained.fetch_add(1, SeqCst);
                return;
            }
            Err(End::Broke(error)) => format!("it broke off: {error:?}"),
            Err(End::Strayed(told)) => told,
        };
        let told = format!("{:?} after {:?}: {told}", self.kind, opened.elapsed());
        self.judge.wrong(self.sort.class(), Wrong::Failed, &told);
    }
}

#[test]
fn a_line_may_end_when_a_drain_has_had_its_time_and_not_otherwise() {
    let (lines, began) = (Lines::default(), Instant::now());
    let after = |millis| began + Duration::from_millis(millis);
    assert!(!lines.may_end(began, began + 2 * DRAIN), "nothing drains");
    lines.drain([after(10), after(20)]);
    assert!(!lines.may_end(began, after(9) + DRAIN), "too early");
    assert!(lines.may_end(began, after(10) + DRAIN));
    assert!(!lines.may_end(after(21), after(21) + DRAIN), "it is the next process's");
}
