//! How long requests took, in few numbers: counts in buckets that grow with what they hold.
//!
//! ```text
//! microseconds   0 1 2 .. 15 | 16 17 .. 31 | 32 34 36 .. 62 | 64 68 .. 124 | ...
//! ```
//!
//! Up to 15 each has its own bucket; above, each doubling is cut into 16. So a bucket is at most a
//! sixteenth as wide as what lies in it, and its middle is at most a thirty-second (3.2%) away.
//! Sketches add up without loss: of many proxies, workers or seconds, in whatever order.

/// How long requests took; only buckets in which something lies, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sketch {
    buckets: Vec<(u16, u32)>,
}

/// Each doubling is cut into so many.
const CUTS: usize = 16;

impl Sketch {
    /// How many buckets there are.
    pub const BUCKETS: usize = CUTS * 29;

    /// The bucket of a time in microseconds; what is longer than 71 minutes lies in the last one.
    pub const fn place(micros: u64) -> usize {
        let micros = if micros > u32::MAX as u64 { u32::MAX } else { micros as u32 };
        if micros < CUTS as u32 {
            return micros as usize;
        }
        let above = 31 - micros.leading_zeros() as usize - 4;
        (above + 1) * CUTS + ((micros >> above) as usize & (CUTS - 1))
    }

    /// The middle of a bucket, in microseconds.
    pub const fn middle(place: usize) -> u64 {
        if place < CUTS {
            return place as u64;
        }
        let (above, cut) = (place / CUTS - 1, place % CUTS);
        let low = ((CUTS + cut) as u64) << above;
        low + ((1 << above) - 1) / 2
    }

    /// Adds so many to a bucket.
    pub fn add(&mut self, place: usize, count: u32) {
        let place = place.min(Self::BUCKETS - 1) as u16;
        match self.buckets.binary_search_by_key(&place, |(place, _)| *place) {
            Ok(at) => self.buckets[at].1 = self.buckets[at].1.saturating_add(count),
            Err(_) if count == 0 => {}
            Err(at) => self.buckets.insert(at, (place, count)),
        }
    }

    /// Adds all of another one.
    pub fn merge(&mut self, other: &Sketch) {
        if self.buckets.is_empty() {
            return self.buckets.clone_from(&other.buckets);
        }
        // Both are in order, so what lies where something lies already is found on one walk.
        let mut at = 0;
        for (place, count) in &other.buckets {
            while self.buckets.get(at).is_some_and(|(own, _)| own < place) {
                at += 1;
            }
            match self.buckets.get_mut(at) {
                Some((own, sum)) if own == place => *sum = sum.saturating_add(*count),
                Some(_) | None => self.buckets.insert(at, (*place, *count)),
            }
        }
    }

    /// Whether a bucket holds as many as it can, so that more may have been added.
    pub fn is_clipped(&self) -> bool {
        self.buckets.iter().any(|(_, count)| *count == u32::MAX)
    }

    /// Takes away all of another one that was added before, unless that [was
    /// clipped](Self::is_clipped).
    pub fn take(&mut self, other: &Sketch) {
        let mut at = 0;
        for (place, count) in &other.buckets {
            while self.buckets.get(at).is_some_and(|(own, _)| own < place) {
                at += 1;
            }
            if let Some((own, sum)) = self.buckets.get_mut(at)
                && own == place
            {
                *sum = sum.saturating_sub(*count);
            }
        }
        self.buckets.retain(|(_, count)| *count > 0);
    }

    /// The buckets in which something lies, in order.
    pub fn buckets(&self) -> &[(u16, u32)] {
        &self.buckets
    }

    /// How many lie in it.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|(_, count)| u64::from(*count)).sum()
    }

    /// The time that so many of a thousand did not exceed, in microseconds; none of nothing.
    pub fn permille(&self, permille: u32) -> Option<u64> {
        let rank = (self.count() * u64::from(permille)).div_ceil(1_000).max(1);
        let mut below = 0;
        let found = self.buckets.iter().find(|(_, count)| {
            below += u64::from(*count);
            below >= rank
        });
        found.map(|(place, _)| Self::middle(usize::from(*place)))
    }
}

#[cfg(test)]
mod tests;
