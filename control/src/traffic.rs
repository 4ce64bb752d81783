//! What nodes count of requests: the last quarter of an hour, in memory.
//!
//! ```text
//! Counts ── counted before? ── its stretch of time ──> fine:   2 s each, the last minute
//!             (start, number)                     └──> coarse: 30 s each, the last 15 minutes
//! ```
//!
//! There are so many series in all, and each scope has its share of them: who has more than that
//! gets no new ones, and none is taken away for another's sake. What finds no room counts among the
//! others of its scope, so sums stay true.
//! A restart forgets it all; and each server knows of those nodes that tell it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::HashMap;
use model::Scope;
use slab::Slab;
use store::decision::Teller;
use wire::{Caller, Counts, Key, OUTCOMES, Series, Side};

mod ring;

pub use ring::{COARSE, Cell, FINE, Grain, total};

use ring::Ring;

/// How far back it goes, in microseconds.
pub const WINDOW: i64 = 15 * 60 * 1_000_000;
/// Series in all, each of which may take up to some ten kilobytes.
const SERIES: usize = 10_000;
/// Series of one scope at most, however few others there are.
const OF_A_SCOPE: usize = 4_000;
/// How often it is looked what is over, in microseconds.
const SWEEP: i64 = 10_000_000;
/// Series that are looked at in one go.
const PIECE: usize = 128;
/// A node that told nothing for so long is not heard, in microseconds.
const SILENT: i64 = 15_000_000;

/// What tells series apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Label {
    /// Whose it is: that of the route, or of what was called where there is none.
    pub scope: Scope,
    /// Who counted; all of them where there was no room.
    pub node: Option<Arc<Teller>>,
    /// On which side of an application.
    pub side: Side,
    /// What it led to.
    pub route: Option<Key>,
    /// When that was made, in microseconds since 1970: another one of its name has series of its own.
    pub made: i64,
    /// The rule of it.
    pub rule: Option<String>,
    /// What it was sent to.
    pub backend: Option<String>,
    /// Who asked.
    pub caller: Option<Caller>,
}

/// What was counted since the start, and what there is now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// Series that are held.
    pub series: usize,
    /// Requests that were counted.
    pub requests: u64,
    /// Of those, the ones among the others of their scope, for want of room.
    pub folded: u64,
    /// Requests that were told when their time was over.
    pub late: u64,
}

/// The counts of all nodes that tell us.
#[derive(Debug, Default)]
pub struct Traffic(Mutex<Window>);

#[derive(Debug, Default)]
struct Window {
    series: Slab<(Arc<Label>, Counted)>,
    /// Where each label is among them.
    places: HashMap<Arc<Label>, usize>,
    /// How many series each scope has.
    of_scope: BTreeMap<Scope, usize>,
    nodes: HashMap<String, Heard>,
    figures: Figures,
    swept: i64,
}

#[derive(Debug, Default)]
struct Counted {
    fine: Ring,
    coarse: Ring,
}

/// What was last heard of a node.
#[derive(Debug)]
struct Heard {
    start: u64,
    number: u64,
    at: i64,
}

impl Traffic {
    /// Keeps what a node tells; `whose` says whose a series is, and when what it led to was made. Times in
    /// microseconds since 1970.
    pub(crate) fn keep(
        &self,
        node: &Arc<Teller>,
        counts: Counts,
        whose: impl Fn(&Series) -> (Scope, i64),
        now: i64,
    ) {
        let mut window = self.window();
        window.sweep(now);
        let (start, number) = (counts.start, counts.number);
        // What comes late on an older stream takes nothing back.
        if let Some(before) = window.nodes.get_mut(&node.id)
            && before.start == start
            && before.number >= number
        {
            before.at = now;
            return;
        }
        window.nodes.insert(node.id.clone(), Heard { start, number, at: now });
        let back = |micros| (now - i64::try_from(micros).unwrap_or(now)).max(0);
        let to = back(counts.ago);
        let from = back(counts.ago.saturating_add(counts.lasted));
        for series in counts.series {
            let (scope, made) = whose(&series);
            let label = Label {
                scope,
                made,
                node: Some(Arc::clone(node)),
                side: series.side,
                route: series.route,
                rule: series.rule,
                backend: series.backend,
                caller: series.caller,
            };
            let cell = Cell { outcomes: series.outcomes, latency: series.latency };
            window.add(label, &cell, (from, to), now);
        }
    }

    /// The sums of all series that `wanted` makes something of, by what it makes; those of one step
    /// apart if `step` is told, in microseconds. From the first step that lies in the last `window`.
    pub fn sums<K: Eq + std::hash::Hash>(
        &self,
        grain: Grain,
        (window, now): (i64, i64),
        mut wanted: impl FnMut(&Label) -> Option<K>,
    ) -> HashMap<K, BTreeMap<i64, Cell>> {
        let first = grain.first(window, now);
        let mut sums: HashMap<K, BTreeMap<i64, Cell>> = HashMap::default();
        self.each(&mut wanted, |key, counted| {
            let mut cells = counted.ring(grain).since(first).peekable();
            if cells.peek().is_some() {
                let sum = sums.entry(key).or_default();
                cells.for_each(|(at, cell)| sum.entry(at).or_default().merge(cell));
            }
        });
        sums
    }

    /// The same with all steps together.
    pub fn totals<K: Eq + std::hash::Hash>(
        &self,
        grain: Grain,
        (window, now): (i64, i64),
        mut wanted: impl FnMut(&Label) -> Option<K>,
    ) -> HashMap<K, Cell> {
        let first = grain.first(window, now);
        let mut sums: HashMap<K, Cell> = HashMap::default();
        // Rows are large, and not moved while there come to be more of them.
        sums.reserve(self.window().series.len());
        self.each(&mut wanted, |key, counted| {
            if let Some(sum) = counted.ring(grain).sum_since(first) {
                sums.entry(key).or_default().merge(&sum);
            }
        });
        sums
    }

    /// The same without how long requests took: enough to compare many.
    pub fn outcomes<K: Eq + std::hash::Hash>(
        &self,
        grain: Grain,
        (window, now): (i64, i64),
        mut wanted: impl FnMut(&Label) -> Option<K>,
    ) -> HashMap<K, [u64; OUTCOMES]> {
        let first = grain.first(window, now);
        let mut sums: HashMap<K, [u64; OUTCOMES]> = HashMap::default();
        self.each(&mut wanted, |key, counted| {
            if let Some(sum) = counted.ring(grain).outcomes_since(first) {
                ring::add(sums.entry(key).or_default(), &sum);
            }
        });
        sums
    }

    /// Gives every series that `wanted` makes something of.
    fn each<K>(
        &self,
        wanted: &mut dyn FnMut(&Label) -> Option<K>,
        mut give: impl FnMut(K, &Counted),
    ) {
        let mut from = 0;
        loop {
            // Between two pieces nodes go on telling.
            let held = self.window();
            let until = held.series.capacity().min(from + PIECE);
            let some = (from..until).filter_map(|place| held.series.get(place));
            for (label, counted) in some {
                if let Some(key) = wanted(label) {
                    give(key, counted);
                }
            }
            if until == held.series.capacity() {
                break;
            }
            from = until;
            drop(held);
            std::thread::yield_now();
        }
    }

    /// Whether a node was heard of just now.
    pub fn hears(&self, node: &str, now: i64) -> bool {
        self.window().nodes.get(node).is_some_and(|heard| now - heard.at < SILENT)
    }

    /// What was counted.
    pub fn figures(&self) -> Figures {
        let window = self.window();
        Figures { series: window.series.len(), ..window.figures }
    }

    fn window(&self) -> MutexGuard<'_, Window> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Window {
    fn add(&mut self, label: Label, cell: &Cell, (from, to): (i64, i64), now: i64) {
        let requests = cell.requests();
        if to <= now - WINDOW {
            self.figures.late = self.figures.late.saturating_add(requests);
            return;
        }
        self.figures.requests = self.figures.requests.saturating_add(requests);
        let label = if self.has_room(&label) {
            label
        } else {
            self.figures.folded = self.figures.folded.saturating_add(requests);
            label.others()
        };
        let place = match self.places.get(&label) {
            Some(place) => *place,
            None => {
                *self.of_scope.entry(label.scope.clone()).or_default() += 1;
                let label = Arc::new(label);
                let place = self.series.insert((Arc::clone(&label), Counted::default()));
                self.places.insert(label, place);
                place
            }
        };
        let (_, counted) = &mut self.series[place];
        counted.fine.add(FINE, cell, (from, to), now);
        counted.coarse.add(COARSE, cell, (from, to), now);
    }

    /// Whether a series is there, or its scope may have one more: half of what the others leave, so
    /// that something is left for whoever comes next.
    fn has_room(&self, label: &Label) -> bool {
        let own = self.of_scope.get(&label.scope).copied().unwrap_or_default();
        let left = SERIES.saturating_sub(self.series.len() - own);
        own < OF_A_SCOPE.min(left / 2) || self.places.contains_key(label)
    }

    /// Lets go of what is over, once in a while.
    fn sweep(&mut self, now: i64) {
        if now.abs_diff(self.swept) < SWEEP.unsigned_abs() {
            return;
        }
        self.swept = now;
        self.series.retain(|_, (label, counted)| {
            counted.fine.trim(FINE, now);
            counted.coarse.trim(COARSE, now);
            let is_over = counted.coarse.is_empty();
            if is_over {
                self.places.remove(label);
            }
            !is_over
        });
        self.of_scope.clear();
        for label in self.places.keys() {
            *self.of_scope.entry(label.scope.clone()).or_default() += 1;
        }
        self.nodes.retain(|_, heard| now - heard.at < WINDOW);
    }
}

impl Counted {
    fn ring(&self, grain: Grain) -> &Ring {
        if grain == FINE { &self.fine } else { &self.coarse }
    }
}

impl Label {
    /// All of a scope and side for which there is no room.
    fn others(self) -> Self {
        let caller = Some(Caller::Others);
        Label { node: None, route: None, made: 0, rule: None, backend: None, caller, ..self }
    }
}

impl Figures {
    /// As lines of the OpenMetrics text.
    pub fn exposition(&self) -> String {
        let name = "heddle_server_traffic";
        let mut text = format!(
            "# HELP {name}_series Series of requests that are held.\n\
             # TYPE {name}_series gauge\n{name}_series {}\n",
            self.series
        );
        for (word, about, count) in [
            ("requests", "Requests that nodes counted", self.requests),
            ("folded", "Requests that count among the others of their scope", self.folded),
            ("late", "Requests that were told when their time was over", self.late),
        ] {
            text.push_str(&format!(
                "# HELP {name}_{word} {about}.\n# TYPE {name}_{word} counter\n\
                 {name}_{word}_total {count}\n"
            ));
        }
        text
    }
}

#[cfg(test)]
mod tests;
