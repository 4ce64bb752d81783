//! The origins: one that no version in force has ready is gone, and comes back elsewhere.

use e2e::Origin;

use crate::plan::{COPIES, ORIGINS, Places, Plan, STAYS};

/// Those that run.
#[derive(Debug)]
pub(crate) struct Endpoints {
    running: Vec<[Option<Origin>; 2]>,
    /// How often one went.
    pub(crate) gone: u64,
    /// How many requests came to those.
    heard: u64,
}

impl Endpoints {
    /// All of them.
    pub(crate) async fn start() -> Self {
        let mut running = Vec::new();
        for name in ORIGINS {
            let [one, other] = COPIES.map(|copy| format!("{name}{copy}"));
            running.push([Some(Origin::start(&one).await), Some(Origin::start(&other).await)]);
        }
        Endpoints { running, gone: 0, heard: 0 }
    }

    /// How many requests came to all of them, to those that are gone, too.
    pub(crate) fn heard(&self) -> u64 {
        let running = self.running.iter().flatten().flatten();
        self.heard + running.map(|origin| origin.count() as u64).sum::<u64>()
    }

    /// Where all of them are.
    pub(crate) fn places(&self, moving: [u16; 2]) -> Places {
        let all = self.running.iter().flatten().flatten();
        Places::new(all.map(|origin| origin.address), moving)
    }

    /// Starts what `version` has ready and is gone, before the version is written.
    pub(crate) async fn come_for(&mut self, plan: Plan, version: u64, places: &Places) {
        for (origin, copies) in self.running.iter_mut().enumerate() {
            let ready = plan.ready(version, origin as u64);
            for copy in (0..COPIES.len()).filter(|copy| ready[*copy]) {
                if copies[copy].is_none() {
                    let name = format!("{}{}", ORIGINS[origin], COPIES[copy]);
                    let started = Origin::start(&name).await;
                    places.put([origin, copy], started.address);
                    copies[copy] = Some(started);
                }
            }
        }
    }

    /// Ends what neither `version` nor the one before has ready, once no worker may have an older one:
    /// none of its connections is of use to anybody.
    pub(crate) fn go_after(&mut self, plan: Plan, version: u64) {
        for (origin, copies) in self.running[..STAYS].iter_mut().enumerate() {
            let before = plan.ready(version.saturating_sub(1), origin as u64);
            let ready = plan.ready(version, origin as u64);
            for copy in (0..COPIES.len()).filter(|copy| !ready[*copy] && !before[*copy]) {
                let gone = copies[copy].take();
                self.gone += u64::from(gone.is_some());
                self.heard += gone.map_or(0, |origin| origin.count() as u64);
            }
        }
    }
}
