//! On whose behalf the application beside a proxy is at work, by the trace of what it was sent.
//!
//! Stock applications send on `traceparent` and nothing else, so a trace is what tells for whom they
//! ask.
//! It must tell it without a doubt: of two requests under one trace only those of the same people may
//! be under way together, and to whoever comes second for somebody else the application is shown
//! another trace.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::Carried;

/// For how long a trace still tells for whom once its last request is answered.
const TELLS: Duration = Duration::from_secs(10);
/// For how long it is nobody else's, since the application may be at work under it yet.
const LINGERS: Duration = Duration::from_secs(60);
/// Into how many parts the traces are split, so that workers seldom meet at one.
const PARTS: usize = 64;
/// Traces of one part; beyond it those that tell for nobody any more are forgotten, the oldest first.
const ROOM: usize = 4096;

type TraceId = [u8; 16];

/// The traces under way. A worker holds the lock of a part for a look and no longer.
#[derive(Debug)]
pub(crate) struct UnderWay(Arc<[Mutex<Part>]>);

#[derive(Debug, Default)]
struct Part {
    traces: HashMap<TraceId, Trace>,
    /// Those of which the last request was answered, the first one first.
    lingering: VecDeque<(Instant, TraceId)>,
}

#[derive(Debug)]
struct Trace {
    /// For whom; nobody who is known, where it is none.
    whose: Option<Arc<Carried>>,
    requests: usize,
    /// When the last one was answered.
    answered: Instant,
}

/// A request that is under way, for as long as this lives.
#[derive(Debug)]
pub(crate) struct Stay {
    parts: Arc<[Mutex<Part>]>,
    trace_id: TraceId,
}

/// Somebody else is under way under the same trace, or there is no room for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Taken;

impl Default for UnderWay {
    fn default() -> Self {
        UnderWay((0..PARTS).map(|_| Mutex::default()).collect())
    }
}

impl UnderWay {
    /// Takes in a request of a trace.
    ///
    /// # Errors
    /// [`Taken`]: then the trace does not tell for whom it is.
    pub(crate) fn enter(
        &self,
        trace_id: TraceId,
        whose: Option<Arc<Carried>>,
        now: Instant,
    ) -> Result<Stay, Taken> {
        let mut part = part(&self.0, trace_id);
        part.sweep(now);
        let is_full = part.traces.len() >= ROOM;
        match part.traces.entry(trace_id) {
            Entry::Occupied(mut held) => {
                let held = held.get_mut();
                let is_same = match (&held.whose, &whose) {
                    (Some(one), Some(other)) => one.is_of_whom(other),
                    (None, None) => true,
                    (Some(_), None) | (None, Some(_)) => false,
                };
                if !is_same {
                    return Err(Taken);
                }
                held.requests += 1;
                if let (Some(one), Some(other)) = (&held.whose, &whose)
                    && other.is_better_than(one)
                {
                    held.whose = whose;
                }
            }
            Entry::Vacant(_) if is_full => return Err(Taken),
            Entry::Vacant(free) => {
                free.insert(Trace { whose, requests: 1, answered: now });
            }
        }
        Ok(Stay { parts: Arc::clone(&self.0), trace_id })
    }

    /// For whom the application asks that sends this trace.
    pub(crate) fn whose(&self, trace_id: TraceId, now: Instant) -> Option<Arc<Carried>> {
        let part = part(&self.0, trace_id);
        let trace = part.traces.get(&trace_id)?;
        let is_told = trace.requests > 0 || now < trace.answered + TELLS;
        trace.whose.clone().filter(|_| is_told)
    }
}

impl Part {
    /// Forgets what lingered for long enough; where there is no room, sooner.
    fn sweep(&mut self, now: Instant) {
        while let Some((since, trace_id)) = self.lingering.front().copied() {
            let is_needed = self.traces.len() >= ROOM || self.lingering.len() >= 2 * ROOM;
            let lasts = if is_needed { TELLS } else { LINGERS };
            if now < since + lasts {
                return;
            }
            self.lingering.pop_front();
            // It may have come back since, or have left again later.
            if let Entry::Occupied(held) = self.traces.entry(trace_id)
                && held.get().requests == 0
                && held.get().answered == since
            {
                held.remove();
            }
        }
    }

    fn leave(&mut self, trace_id: TraceId, now: Instant) {
        if let Some(trace) = self.traces.get_mut(&trace_id) {
            trace.requests -= 1;
            if trace.requests == 0 {
                trace.answered = now;
                self.lingering.push_back((now, trace_id));
            }
        }
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        part(&self.parts, self.trace_id).leave(self.trace_id, Instant::now());
    }
}

fn part(parts: &[Mutex<Part>], trace_id: TraceId) -> MutexGuard<'_, Part> {
    // Whoever makes an id makes it at random. Who does not can fill a part, and then the traces of others
    // there are shown as fresh ones, which are of other parts.
    let place = usize::from(trace_id[15]) % PARTS;
    parts[place].lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
