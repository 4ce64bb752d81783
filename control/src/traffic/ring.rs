//! The counts of one series by time: a cell for each step in which anything was counted.

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

/// The steps of one grain, by number, rising.
#[derive(Debug, Default)]
pub(super) struct Ring(VecDeque<(i64, Cell)>);

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
                self.at(step).merge(cell);
            } else if let Some(part) = cell.part(number as u64, steps as u64) {
                self.at(step).merge(&part);
            }
        }
        self.trim(grain, now);
    }

    /// Lets go of what is over.
    pub(super) fn trim(&mut self, grain: Grain, now: i64) {
        let oldest = grain.oldest(now);
        while self.0.front().is_some_and(|(step, _)| *step < oldest) {
            self.0.pop_front();
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The steps from this one on.
    pub(super) fn since(&self, first: i64) -> impl Iterator<Item = (i64, &Cell)> {
        self.0.iter().filter(move |(step, _)| *step >= first).map(|(step, cell)| (*step, cell))
    }

    fn at(&mut self, step: i64) -> &mut Cell {
        let place = self.0.partition_point(|(one, _)| *one < step);
        if self.0.get(place).is_none_or(|(one, _)| *one != step) {
            self.0.insert(place, (step, Cell::default()));
        }
        &mut self.0[place].1
    }
}

impl Cell {
    /// How many ended so.
    pub fn count(&self, outcome: Outcome) -> u64 {
        self.outcomes[outcome as usize]
    }

    /// How many there were.
    pub fn requests(&self) -> u64 {
        self.outcomes.iter().fold(0, |sum, count| sum.saturating_add(*count))
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
