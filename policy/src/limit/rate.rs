//! How one count goes on: arithmetic over 64 bits, so that a count can be kept in one atomic word.
//!
//! A state of 0 is that of a count into which nothing has come yet. Time is nanoseconds from any moment on, the
//! same for all who share a count; one that still lies in a window before the one that is counted already is
//! taken as the beginning of that. A state is of one algorithm and one window; [`Rate::form`] tells those apart.
//!
//! What proxies count together is counted elsewhere, by the same arithmetic: a state says here what that does.

use std::time::Duration;

use model::limit::{Algorithm, Period, RateLimit};
use time::{Date, Month, OffsetDateTime};

/// How much may come, and how that is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rate {
    /// Those of this window, and of the last one as many as reach into the window that ends now, were they
    /// spread evenly.
    Window {
        /// The most at any time.
        most: u64,
        /// Microseconds.
        window: u64,
    },
    /// The generic cell rate algorithm: the state is the moment at which the bucket will be full again.
    Bucket {
        /// Nanoseconds from one token to the next.
        interval: u64,
        /// How many the bucket holds.
        burst: u64,
    },
    /// Those of this part of the calendar: time is nanoseconds since 1970 here, and nothing else.
    Period {
        /// The most in one of them.
        most: u64,
        /// What.
        period: Period,
    },
}

/// What came of counting one more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Take {
    /// Whether there was room for it; where there was none it does not count.
    pub granted: bool,
    /// How many more there is room for.
    pub left: u64,
    /// For how long there is room for as many at least, if nothing more comes; where there is none, when there is
    /// room for one.
    pub reset: Duration,
    /// When there is room for one more; nothing where there is now.
    pub wait: Duration,
    /// Whether it could be counted at all.
    pub count: Count,
}

/// Whether something could be counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// It was looked up, and counts if it was granted.
    Kept,
    /// There is no room for one more count.
    NoRoom,
    /// Nobody asked: whoever counts for all proxies together cannot be, or it is refused whatever they would say.
    Unasked,
}

impl Take {
    /// Of what there is no room to count. When there will be some nobody knows.
    pub const NO_ROOM: Take = Take::refused(Count::NoRoom, Duration::from_secs(30));

    /// Of what cannot be counted together, and is refused for that.
    pub const CLOSED: Take = Take::refused(Count::Unasked, Duration::from_secs(1));

    /// Of what is let pass without being counted: nothing is told of it.
    pub const UNTOLD: Take =
        Take { granted: true, ..Take::refused(Count::Unasked, Duration::ZERO) };

    /// Of what was looked up, and has no room before so long.
    pub const fn used_up(wait: Duration) -> Take {
        Take::refused(Count::Kept, wait)
    }

    const fn refused(count: Count, wait: Duration) -> Self {
        Take { granted: false, left: 0, reset: wait, wait, count }
    }
}

/// A count after one more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Next {
    /// What came of it.
    pub take: Take,
    /// The state that follows.
    pub state: u64,
    /// From this nanosecond on it says no more than 0 does.
    pub idle_at: u64,
}

/// Bits of a count within a window's state; above both stands the number of the window.
const BITS: u32 = 20;
const COUNT: u64 = (1 << BITS) - 1;
const NUMBER: u64 = (1 << (64 - 2 * BITS)) - 1;
/// Bits of a count within a period's state; above it stands the number of the period.
const PERIOD_BITS: u32 = 40;
const PERIOD_COUNT: u64 = (1 << PERIOD_BITS) - 1;
/// A second, in nanoseconds.
const SECOND: u64 = 1_000_000_000;
/// So many windows later a request is at most counted that has begun in one.
const LATE: u64 = 16;
/// So many nanoseconds behind others may somebody be who counts in a bucket.
const BEHIND: u64 = 1_000_000_000;

/// What is counted where a window's state is read: its number from 1 on, and the counts of the window before it
/// and of its own.
struct Counts {
    number: u64,
    last: u64,
    this: u64,
}

impl Rate {
    /// That of a limit.
    pub fn of(limit: &RateLimit) -> Self {
        let most = u64::from(limit.requests.max(1));
        if let Some(period) = limit.period {
            return Rate::Period { most, period };
        }
        let window = limit.window.map(Duration::from).unwrap_or_default();
        match limit.algorithm {
            Algorithm::SlidingWindow => {
                let window = u64::try_from(window.as_micros()).unwrap_or(u64::MAX).max(1);
                Rate::Window { most: most.min(COUNT), window }
            }
            Algorithm::TokenBucket => {
                let window = u64::try_from(window.as_nanos()).unwrap_or(u64::MAX);
                let burst = limit.burst.map_or(most, u64::from).max(1);
                Rate::Bucket { interval: (window / most).max(1), burst }
            }
        }
    }

    /// What two rates have in common that go on with each other's states.
    pub fn form(self) -> [u8; 9] {
        let (algorithm, window) = match self {
            Rate::Window { window, .. } => (1, window),
            // The moment at which a bucket is full is one whatever drops into it.
            Rate::Bucket { .. } => (2, 0),
            Rate::Period { period: Period::Day, .. } => (3, 1),
            Rate::Period { period: Period::Month, .. } => (3, 2),
        };
        let mut form = [algorithm; 9];
        form[1..].copy_from_slice(&window.to_be_bytes());
        form
    }

    /// The state of a count whose window, by number from 1 on, is `number`, and into which `this` came there, `last`
    /// in the one before.
    pub fn in_window(number: u64, last: u64, this: u64) -> u64 {
        Counts { number, last: last.min(COUNT), this: this.min(COUNT) }.state()
    }

    /// The state of a count into which `count` came in a period, by its number from 1 on.
    pub fn in_period(number: u64, count: u64) -> u64 {
        (number & NUMBER) << PERIOD_BITS | count.min(PERIOD_COUNT)
    }

    /// Counts one more at `now`, if there is room for it.
    pub fn take(self, state: u64, now: u64) -> Next {
        match self {
            Rate::Window { most, window } => in_window(most, window, state, now),
            Rate::Bucket { interval, burst } => in_bucket(interval, burst, state, now),
            Rate::Period { most, period } => in_period(most, period, state, now),
        }
    }

    /// How many came in the period that a state is of.
    pub fn count_in_period(state: u64) -> u64 {
        state & PERIOD_COUNT
    }

    /// Takes one back that was counted at `now` and is not to count.
    pub fn give_back(self, state: u64, now: u64) -> u64 {
        match self {
            Rate::Window { .. } if state & COUNT == 0 => state,
            Rate::Window { .. } => state - 1,
            Rate::Bucket { interval, .. } => state.saturating_sub(interval),
            Rate::Period { period, .. } => {
                // As it was counted: also in the next one, if that had begun for others.
                let number = number_at(period, now / SECOND);
                let is_its_own = (number..=number + 1).contains(&(state >> PERIOD_BITS));
                state - u64::from(is_its_own && state & PERIOD_COUNT > 0)
            }
        }
    }
}

/// The number of the period, from 1 on, that a second since 1970 lies in.
fn number_at(period: Period, second: u64) -> u64 {
    match period {
        Period::Day => second / DAY + 1,
        Period::Month => {
            let second = i64::try_from(second).unwrap_or(i64::MAX);
            // Nanoseconds of 64 bits end long before what a date can say does.
            let date =
                OffsetDateTime::from_unix_timestamp(second).unwrap_or(OffsetDateTime::UNIX_EPOCH);
            let years = u64::try_from(date.year()).unwrap_or(0);
            years * 12 + u64::from(u8::from(date.month()))
        }
    }
}

/// The second since 1970 at which the period of this number is over.
fn end_of(period: Period, number: u64) -> u64 {
    match period {
        Period::Day => number * DAY,
        Period::Month => {
            let year = i32::try_from(number / 12).unwrap_or(i32::MAX);
            let month = u8::try_from(number % 12 + 1).map(Month::try_from);
            let month = month.ok().and_then(Result::ok).unwrap_or(Month::January);
            let first = Date::from_calendar_date(year, month, 1).unwrap_or(Date::MAX);
            u64::try_from(first.midnight().assume_utc().unix_timestamp()).unwrap_or(0)
        }
    }
}

/// Seconds of a day.
const DAY: u64 = 24 * 60 * 60;

impl Counts {
    /// What `state` says in the window `number`; of one that has gone on since, what it says there.
    fn at(state: u64, number: u64) -> Self {
        let (was, last, this) = (state >> (2 * BITS), state >> BITS & COUNT, state & COUNT);
        let behind = number.wrapping_sub(was) & NUMBER;
        match behind {
            _ if state == 0 => Counts { number, last: 0, this: 0 },
            0 => Counts { number, last, this },
            1 => Counts { number, last: this, this: 0 },
            _ if behind > NUMBER - LATE => Counts { number: was, last, this },
            _ => Counts { number, last: 0, this: 0 },
        }
    }

    fn state(&self) -> u64 {
        (self.number & NUMBER) << (2 * BITS) | self.last << BITS | self.this
    }
}

fn in_window(most: u64, window: u64, state: u64, now: u64) -> Next {
    let micros = now / 1_000;
    let number = (micros / window + 1) & NUMBER;
    let mut counts = Counts::at(state, number);
    // Of a window that has begun for others nothing is over.
    let into = if counts.number == number { micros % window } else { 0 };
    let rest = window - into;
    let used = counts.this + (counts.last * rest).div_ceil(window);
    let granted = used < most;
    counts.this += u64::from(granted);
    let left = most.saturating_sub(used + u64::from(granted));
    let next = if left == 0 { until_room(&counts, most, window, into) } else { rest };
    let wait = if granted { 0 } else { next };
    let take = Take {
        granted,
        left,
        reset: Duration::from_micros(next),
        wait: Duration::from_micros(wait),
        count: Count::Kept,
    };
    // What came in this window weighs in the next one, too.
    let idle = if counts.this > 0 { rest + window } else { rest };
    let idle_at = now.saturating_add(idle.saturating_mul(1_000));
    Next { take, state: counts.state(), idle_at }
}

/// Microseconds until one more has room, where none has now.
fn until_room(counts: &Counts, most: u64, window: u64, into: u64) -> u64 {
    match most.checked_sub(counts.this + 1) {
        // What is left of the last window has to shrink to that.
        Some(room) => {
            let shrunk = window.saturating_sub(room * window / counts.last.max(1));
            shrunk.saturating_sub(into).max(1)
        }
        // This window alone is too full: the next has to be so far that no more of it is left than one less.
        None => 2 * window - into - (most - 1) * window / counts.this.max(1),
    }
}

fn in_bucket(interval: u64, burst: u64, state: u64, now: u64) -> Next {
    let room = interval.saturating_mul(burst);
    // No bucket is emptier than empty, also where it filled more slowly before. Somebody whose time lies a little
    // behind sees one that others have emptied since: that is no such bucket.
    let empty = now.saturating_add(room);
    let state = if state > empty.saturating_add(BEHIND) { empty } else { state };
    let full_at = state.max(now).saturating_add(interval);
    let over = (full_at - now).saturating_sub(room);
    let granted = over == 0;
    let state = if granted { full_at } else { state };
    let until_full = state.saturating_sub(now);
    let left = room.saturating_sub(until_full) / interval;
    // What there has to be for one more than that.
    let more = interval.saturating_mul(left + 1);
    let next = until_full.saturating_add(more).saturating_sub(room);
    let take = Take {
        granted,
        left,
        reset: Duration::from_nanos(next),
        wait: Duration::from_nanos(over),
        count: Count::Kept,
    };
    Next { take, state, idle_at: state }
}

fn in_period(most: u64, period: Period, state: u64, now: u64) -> Next {
    let (was, count) = (state >> PERIOD_BITS, state & PERIOD_COUNT);
    let number = number_at(period, now / SECOND);
    // Of one that has begun for others whose time lies a little ahead, that goes on.
    let (number, count) = match was {
        _ if was == number || was == number + 1 => (was, count),
        _ => (number, 0),
    };
    let granted = count < most;
    let count = count + u64::from(granted);
    let until = end_of(period, number).saturating_mul(SECOND).max(now);
    let reset = Duration::from_nanos(until - now);
    let take = Take {
        granted,
        left: most.saturating_sub(count),
        reset,
        wait: if granted { Duration::ZERO } else { reset },
        count: Count::Kept,
    };
    Next { take, state: Rate::in_period(number, count), idle_at: until }
}

#[cfg(test)]
mod tests;
