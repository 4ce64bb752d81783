//! The counts of one series by time: a cell for each step in which anything was counted.

use std::borrow::Cow;
use std::collections::VecDeque;

use wire::{OUTCOMES, Outcome, Sketch};

/// How time is cut, and how many steps are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grain {
    /// The length of a step, in microseconds.
    pub step: i64,
    /// So many of them, the one that goes on included.
    pub kept: i64,
}

/// For the last minute.
pub const FINE: Grain = Grain { step: 2_000_000, kept: 31 };
/// For the last 15 minutes.
pub const COARSE: Grain = Grain { step: 30_000_000, kept: 31 };

/// What was counted in a step.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cell {
    /// By [`Outcome`].
    pub outcomes: [u64; OUTCOMES],
    /// How long those took that were sent to a backend.
    pub latency: Sketch,
}

/// The steps of one grain.
#[derive(Debug, Default)]
pub(super) struct Ring {
    /// By number, rising.
    steps: VecDeque<(i64, Cell)>,
    /// All of them together: most who look want all that is kept, or nearly.
    sum: Cell,
}

impl Grain {
    /// The first step of which something lies within `window` and at which it was not over before.
    pub fn first(self, window: i64, now: i64) -> i64 {
        (now - window).div_euclid(self.step) + 1
    }

    /// When a step begins, in microseconds since 1970.
    pub fn begins(self, step: i64) -> i64 {
        step * self.step
    }

    fn oldest(self, now: i64) -> i64 {
        now.div_euclid(self.step) - self.kept + 1
    }
}

impl Ring {
    /// Adds what was counted in a stretch of time: to the step in which it ended, and where it
    /// lasted for several, to each of them its part.
    pub(super) fn add(&mut self, grain: Grain, cell: &Cell, (from, to): (i64, i64), now: i64) {
        let last = to.div_euclid(grain.step);
        let steps = ((to - from + grain.step - 1) / grain.step).max(1);
        let oldest = grain.oldest(now);
        for step in (last - steps + 1).max(oldest)..=last {
            let number = step - (last - steps + 1);
            if steps == 1 {
                self.put(step, cell);
            } else if let Some(part) = cell.part(number as u64, steps as u64) {
                self.put(step, &part);
            }
        }
        self.trim(grain, now);
    }

    /// Lets go of what is over.
    pub(super) fn trim(&mut self, grain: Grain, now: i64) {
        let oldest = grain.oldest(now);
        let mut was_clipped = false;
        while let Some((_, over)) = self.steps.pop_front_if(|(step, _)| *step < oldest) {
            was_clipped |= self.sum.is_clipped();
            self.sum.take(&over);
        }
        if was_clipped {
            self.sum = self.added(0);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The steps from this one on.
    pub(super) fn since(&self, first: i64) -> impl Iterator<Item = (i64, &Cell)> {
        let from = self.steps.partition_point(|(step, _)| *step < first);
        self.steps.range(from..).map(|(step, cell)| (*step, cell))
    }

    /// Those steps together; none if there is none of them.
    pub(super) fn sum_since(&self, first: i64) -> Option<Cow<'_, Cell>> {
        let from = self.steps.partition_point(|(step, _)| *step < first);
        if from == self.steps.len() {
            return None;
        }
        if from > 0 && self.sum.is_clipped() {
            return Some(Cow::Owned(self.added(from)));
        }
        let mut sum = Cow::Borrowed(&self.sum);
        for (_, over) in self.steps.range(..from) {
            sum.to_mut().take(over);
        }
        Some(sum)
    }

    /// How they ended, of all those steps together.
    pub(super) fn outcomes_since(&self, first: i64) -> Option<[u64; OUTCOMES]> {
        let from = self.steps.partition_point(|(step, _)| *step < first);
        if from == self.steps.len() {
            return None;
        }
        if from > 0 && self.sum.is_clipped() {
            return Some(self.added(from).outcomes);
        }
        let mut sum = self.sum.outcomes;
        self.steps.range(..from).for_each(|(_, over)| take(&mut sum, &over.outcomes));
        Some(sum)
    }

    /// The steps from this place on, one by one.
    fn added(&self, from: usize) -> Cell {
        let mut sum = Cell::default();
        self.steps.range(from..).for_each(|(_, cell)| sum.merge(cell));
        sum
    }

    fn put(&mut self, step: i64, cell: &Cell) {
        let place = self.steps.partition_point(|(one, _)| *one < step);
        if self.steps.get(place).is_none_or(|(one, _)| *one != step) {
            self.steps.insert(place, (step, Cell::default()));
        }
        self.steps[place].1.merge(cell);
        self.sum.merge(cell);
    }
}

impl Cell {
    /// How many ended so.
    pub fn count(&self, outcome: Outcome) -> u64 {
        self.outcomes[outcome as usize]
    }

    /// How many there were.
    pub fn requests(&self) -> u64 {
        total(&self.outcomes)
    }

    /// How many got no good answer, for no fault of who asked.
    pub fn errors(&self) -> u64 {
        self.count(Outcome::BackendError).saturating_add(self.count(Outcome::Failed))
    }

    /// Adds another one.
    pub fn merge(&mut self, other: &Cell) {
        add(&mut self.outcomes, &other.outcomes);
        self.latency.merge(&other.latency);
    }

    /// Whether more was added than counts can hold, so that nothing can be taken away.
    fn is_clipped(&self) -> bool {
        self.outcomes.contains(&u64::MAX) || self.latency.is_clipped()
    }

    /// Takes away what was added before, unless that [was clipped](Self::is_clipped).
    fn take(&mut self, other: &Cell) {
        take(&mut self.outcomes, &other.outcomes);
        self.latency.take(&other.latency);
    }

    /// The part of this number, of so many that together are the whole; none if it is empty.
    fn part(&self, number: u64, of: u64) -> Option<Cell> {
        let share = |count: u64| {
            let until = |number| (u128::from(count) * u128::from(number) / u128::from(of)) as u64;
            until(number + 1) - until(number)
        };
        let mut part = Cell { outcomes: self.outcomes.map(share), latency: Sketch::default() };
        for (place, count) in self.latency.buckets() {
            part.latency.add(usize::from(*place), share(u64::from(*count)) as u32);
        }
        (part != Cell::default()).then_some(part)
    }
}

/// Adds counts to counts.
pub(super) fn add(sums: &mut [u64; OUTCOMES], counts: &[u64; OUTCOMES]) {
    for (sum, count) in sums.iter_mut().zip(counts) {
        *sum = sum.saturating_add(*count);
    }
}

/// All of them, however they ended.
pub fn total(outcomes: &[u64; OUTCOMES]) -> u64 {
    outcomes.iter().fold(0, |sum, count| sum.saturating_add(*count))
}

/// Takes counts from counts.
fn take(sums: &mut [u64; OUTCOMES], counts: &[u64; OUTCOMES]) {
    for (sum, count) in sums.iter_mut().zip(counts) {
        *sum = sum.saturating_sub(*count);
    }
}
