//! What this process has counted by itself: a fixed number of places, each of two words, in which every worker
//! counts without a lock.
//!
//! ```text
//! namespace, name of a count --hash--> two sets of 8 places in one group --tag--> place: (tag, when it is idle), state
//! ```
//!
//! - The counts lie beside the table and survive its swaps. A sliding window whose length changes begins anew.
//! - Each namespace has places of its own, so that what callers make up for the limits of one shuts nobody out of
//!   those of another; within it each [`Pool`] has. Those of a namespace in which nothing counts any more go when
//!   another one comes.
//! - Quotas have places of their own, by a hash and a time that outlive the process.
//! - A place is free once what it counts says no more than that nothing came. So memory is bounded, and what is
//!   never touched costs none.
//! - Where all places of both sets are in use, a new count has no room, and what it was for is refused: whoever
//!   makes up names shuts out names that nobody has used yet, and opens nothing. A new quota takes the place of the
//!   one of which least is used, since nobody could wait for the end of a month.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU64, fence};
use std::sync::{Arc, OnceLock};
use std::thread::Thread;

use arc_swap::ArcSwap;
use aws_lc_rs::digest;
use model::Name;
use policy::limit::{Charge, Pool, Rate, Take};

/// How many counts each pool of a namespace has at most.
const PLACES: usize = 1 << 17;

/// Places of one set: two lines of the processor's cache.
const WAYS: usize = 8;

/// What this process has counted, by the namespaces of the limits' policies: none of them takes places of another.
#[derive(Debug, Default)]
pub(super) struct Own {
    hash: Hash,
    /// Each from when a first limit of it counts.
    of: ArcSwap<BTreeMap<Name, Arc<Pools>>>,
    /// Whether something was counted since it was last looked, and who is woken then.
    has_changed: AtomicBool,
    keeper: OnceLock<Thread>,
}

/// By what places are found, so that nobody can choose names that share a set.
#[derive(Debug)]
enum Hash {
    /// Drawn by each process.
    Drawn(RandomState),
    /// Drawn once, and known to those that go on with the counts.
    Kept([u8; 16]),
}

impl Default for Hash {
    fn default() -> Self {
        Hash::Drawn(RandomState::new())
    }
}

/// What becomes of a new count where all places that it may have are in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WhenFull {
    /// It is not counted.
    Refuse,
    /// It takes the place of the smallest there, all being of periods: those end so late that nobody could wait.
    Replace,
}

impl Hash {
    fn when_full(&self) -> WhenFull {
        match self {
            Hash::Drawn(_) => WhenFull::Refuse,
            Hash::Kept(_) => WhenFull::Replace,
        }
    }

    fn of(&self, name: &[u8]) -> u64 {
        match self {
            Hash::Drawn(state) => state.hash_one(name),
            Hash::Kept(key) => {
                let mut hash = digest::Context::new(&digest::SHA256);
                hash.update(key);
                hash.update(name);
                let first = hash.finish().as_ref().first_chunk().copied();
                u64::from_be_bytes(first.unwrap_or_default())
            }
        }
    }
}

/// The counts of one namespace, each pool from when it first counts.
#[derive(Debug, Default)]
struct Pools([OnceLock<Places>; Pool::COUNT]);

/// The counts of one pool.
#[derive(Debug)]
struct Places(Box<[Group]>);

/// Sets that come into being together, when a first count falls into one of them.
type Group = OnceLock<Box<[Set; GROUP]>>;

/// How many: a thousand bytes of them.
const GROUP: usize = 8;

#[repr(align(128))]
#[derive(Debug, Default)]
struct Set([Place; WAYS]);

#[derive(Debug, Default)]
struct Place {
    /// A tag of 31 bits above the second since the epoch from which on it is free.
    owner: AtomicU64,
    /// Of [`Rate`].
    state: AtomicU64,
}

/// A second, in nanoseconds.
const SECOND: u64 = 1_000_000_000;

/// What stands as the owner of a place while that is being taken.
const TAKING: u64 = u64::MAX;

impl Own {
    /// What goes on with counts that were found by this key.
    pub(super) fn keyed(key: [u8; 16]) -> Self {
        Own { hash: Hash::Kept(key), ..Own::default() }
    }

    /// Counts one more at `now`, nanoseconds since an epoch that all share who count here, if there is room.
    pub(super) fn take(&self, Charge { limit, name }: &Charge, now: u64) -> Take {
        let hash = self.hash.of(name);
        let full = self.hash.when_full();
        let take = |pools: &Pools| pools.of(limit.pool()).take(hash, limit.rate(), now, full);
        let take = match self.of.load().get(limit.namespace()) {
            Some(pools) => take(pools),
            None => take(&self.add(limit.namespace(), now)),
        };
        if take.is_some_and(|take| take.granted) {
            self.change();
        }
        take.unwrap_or(Take::NO_ROOM)
    }

    /// Takes one back that was counted.
    pub(super) fn give_back(&self, Charge { limit, name }: &Charge, now: u64) {
        let of = self.of.load();
        let places = of.get(limit.namespace()).map(|pools| pools.of(limit.pool()));
        let place =
            places.and_then(|places| places.place(self.hash.of(name), now, WhenFull::Refuse));
        place.into_iter().for_each(|place| place.give_back(limit.rate(), now));
        self.change();
    }

    /// The pools of a namespace that has none yet, in the place of those in which nothing counts any more.
    #[cold]
    fn add(&self, namespace: &Name, now: u64) -> Arc<Pools> {
        let fresh = Arc::<Pools>::default();
        self.of.rcu(|of| {
            // Where somebody else has just added this one, they are about to count there.
            let is_used = |name: &Name, pools: &Pools| name == namespace || !pools.are_idle(now);
            let used = of.iter().filter(|(name, pools)| is_used(name, pools));
            let mut more: BTreeMap<_, _> =
                used.map(|(name, pools)| (name.clone(), Arc::clone(pools))).collect();
            more.entry(namespace.clone()).or_insert_with(|| Arc::clone(&fresh));
            more
        });
        self.of.load().get(namespace).map_or(fresh, Arc::clone)
    }

    /// Wakes this thread when something is counted.
    pub(super) fn wakes(&self, keeper: Thread) {
        // It is the first, and there is no other.
        let _first = self.keeper.set(keeper);
    }

    /// Notes that what is kept is no more what is counted.
    pub(super) fn change(&self) {
        if !self.has_changed.load(SeqCst) && !self.has_changed.swap(true, SeqCst) {
            self.keeper.get().into_iter().for_each(Thread::unpark);
        }
    }

    /// Whether there is a change to be taken.
    pub(super) fn has_changed(&self) -> bool {
        self.has_changed.load(SeqCst)
    }

    /// Takes the change, if there is one: what is counted from now on is another.
    pub(super) fn take_change(&self) -> bool {
        self.has_changed.swap(false, SeqCst)
    }

    /// What every pool counts at `now`, to be put back by [`Own::put`].
    pub(super) fn all(&self, now: u64) -> Vec<KeptPool> {
        let of = self.of.load();
        let pools = of.iter().flat_map(|(name, pools)| {
            let pools = pools.0.iter().enumerate();
            pools.filter_map(move |(index, pool)| Some((name, index, pool.get()?)))
        });
        let all = pools.map(|(name, index, places)| KeptPool {
            namespace: name.clone(),
            pool: index,
            places: places.all(now),
        });
        all.filter(|pool| !pool.places.is_empty()).collect()
    }

    /// Puts back what a pool counted; of what is counted here, too, it is the more. What is over by `now`, or whose
    /// place is another's here, is left out.
    pub(super) fn put(&self, KeptPool { namespace, pool, places: kept }: &KeptPool, now: u64) {
        let pools = self.add(namespace, now);
        let Some(places) = pools.0.get(*pool) else { return };
        let places = places.get_or_init(|| Places::of(PLACES));
        kept.iter().for_each(|one| places.put(*one, now));
    }
}

/// What a pool counts, as it outlives the process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KeptPool {
    pub(super) namespace: Name,
    /// By the number of its [`Pool`].
    pub(super) pool: usize,
    pub(super) places: Vec<Kept>,
}

/// A place and what it counts, as it outlives the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) at: u32,
    pub(super) owner: u64,
    pub(super) state: u64,
}

impl Pools {
    fn of(&self, pool: Pool) -> &Places {
        self.0[pool as usize].get_or_init(|| Places::of(PLACES))
    }

    /// Whether all places are free.
    fn are_idle(&self, now: u64) -> bool {
        let second = now / SECOND;
        let groups = self.0.iter().filter_map(OnceLock::get).flat_map(|Places(groups)| groups);
        let sets = groups.filter_map(OnceLock::get).flat_map(|group| &**group);
        let mut owners = sets.flat_map(|set| &set.0).map(|place| place.owner.load(Relaxed));
        // One that is just being taken bears the largest second there is.
        owners.all(|owner| is_idle(owner, second))
    }
}

impl Places {
    /// So many, a power of two and a whole group at least, none of which is there yet.
    fn of(places: usize) -> Self {
        Places(std::iter::repeat_with(Group::new).take(places / WAYS / GROUP).collect())
    }

    /// Counts one more; `None` where there is no room to count.
    fn take(&self, hash: u64, rate: Rate, now: u64, full: WhenFull) -> Option<Take> {
        loop {
            let take = self.place(hash, now, full)?.take(tag(hash), rate, now);
            // Else the place became another's just then.
            if take.is_some() {
                return take;
            }
        }
    }

    fn all(&self, now: u64) -> Vec<Kept> {
        let Places(groups) = self;
        let groups = groups.iter().enumerate().filter_map(|(at, group)| Some((at, group.get()?)));
        let places = groups.flat_map(|(group, sets)| {
            let places = sets.iter().flat_map(|Set(places)| places).enumerate();
            places.map(move |(at, place)| (group * GROUP * WAYS + at, place))
        });
        let kept = places.filter_map(|(at, place)| {
            let owner = place.owner.load(Acquire);
            let state = place.state.load(Acquire);
            fence(Acquire);
            // Else it is another's by now, or about to be.
            let is_its_own = place.owner.load(Relaxed) >> 32 == owner >> 32 && owner != TAKING;
            let at = u32::try_from(at).ok()?;
            (is_its_own && is_kept(owner, now / SECOND)).then_some(Kept { at, owner, state })
        });
        kept.collect()
    }

    fn put(&self, Kept { at, owner, state }: Kept, now: u64) {
        let (Places(groups), at) = (self, at as usize);
        let Some(group) = groups.get(at / (GROUP * WAYS)) else { return };
        if owner == TAKING || !is_kept(owner, now / SECOND) {
            return;
        }
        let Set(places) = &group.get_or_init(Box::default)[at / WAYS % GROUP];
        let place = &places[at % WAYS];
        let now_there = place.owner.load(Acquire);
        if now_there >> 32 == owner >> 32 && now_there != TAKING {
            // Of the same count the more, which is of the later period or counted further.
            let _before = place.state.fetch_max(state, AcqRel);
        } else if is_idle(now_there, now / SECOND)
            && place.owner.compare_exchange(now_there, TAKING, Acquire, Relaxed).is_ok()
        {
            fence(Release);
            place.state.store(state, Relaxed);
            place.owner.store(owner, Release);
        }
    }

    /// The place of a count, taken for it if it has none; `None` where there is no room.
    fn place(&self, hash: u64, now: u64, full: WhenFull) -> Option<&Place> {
        let Places(groups) = self;
        let (tag, at) = (tag(hash), hash as usize);
        let second = now / SECOND;
        let group = groups[(at / GROUP) & (groups.len() - 1)].get_or_init(Box::default);
        // Another one of the same group, so that a name touches one piece of memory.
        let other = at ^ (1 + tag as usize % (GROUP - 1));
        let sets = [at, other].map(|at| &group[at % GROUP].0);
        'look: loop {
            let (mut free, mut least) = (None, (u64::MAX, None));
            for place in sets.into_iter().flatten() {
                let owner = place.owner.load(Acquire);
                if owner == TAKING {
                    // For as long as it takes to write a word; it may be for this very count.
                    std::thread::yield_now();
                    continue 'look;
                }
                match is_idle(owner, second) {
                    false if owner >> 32 == tag => return Some(place),
                    true if free.is_none() => free = Some((place, owner)),
                    true => {}
                    false => {
                        let count = Rate::count_in_period(place.state.load(Relaxed));
                        if full == WhenFull::Replace && count < least.0 {
                            least = (count, Some((place, owner)));
                        }
                    }
                }
            }
            let (free, seen) = free.or(least.1)?;
            if free.owner.compare_exchange(seen, TAKING, Acquire, Relaxed).is_ok() {
                // Whoever sees what follows sees that it is being taken.
                fence(Release);
                free.state.store(0, Relaxed);
                // Held for a second at least, in which whoever got it counts.
                let until = (second + 2).min(u64::from(u32::MAX) - 1);
                free.owner.store(tag << 32 | until, Release);
                return Some(free);
            }
        }
    }
}

/// Bits that do not choose the set.
fn tag(hash: u64) -> u64 {
    hash >> 33
}

/// Whether what `owner` counts is worth keeping: not what is over, nor what was counted while the clock was far ahead.
fn is_kept(owner: u64, second: u64) -> bool {
    !is_idle(owner, second) && owner & u64::from(u32::MAX) <= second + LONGEST
}

/// Seconds after which each period is over, and the one after it.
const LONGEST: u64 = 63 * 24 * 60 * 60;

/// Whether what `owner` counts says no more than nothing.
fn is_idle(owner: u64, second: u64) -> bool {
    owner & u64::from(u32::MAX) <= second
}

impl Place {
    /// `None` where it is no more the place of `tag`.
    fn take(&self, tag: u64, rate: Rate, now: u64) -> Option<Take> {
        let is_its_own = || self.owner.load(Acquire) >> 32 == tag;
        let mut state = self.state.load(Relaxed);
        loop {
            let next = rate.take(state, now);
            if next.state == state {
                return is_its_own().then_some(next.take);
            }
            match self.state.compare_exchange_weak(state, next.state, AcqRel, Relaxed) {
                Ok(_) if is_its_own() => {
                    self.keep(next.idle_at);
                    return Some(next.take);
                }
                Ok(_) => {
                    // As it was, unless whose it is now has counted on.
                    let _counted_on =
                        self.state.compare_exchange(next.state, state, Relaxed, Relaxed);
                    return None;
                }
                Err(other) => state = other,
            }
        }
    }

    /// Keeps it for its count until the second after `idle_at`.
    fn keep(&self, idle_at: u64) {
        let until = (idle_at / SECOND + 1).min(u64::from(u32::MAX) - 1);
        let later = |owner: u64| {
            let second = owner & u64::from(u32::MAX);
            (owner != TAKING && second < until).then_some(owner - second + until)
        };
        let _kept_already = self.owner.fetch_update(Relaxed, Relaxed, later);
    }

    fn give_back(&self, rate: Rate, now: u64) {
        let less = |state| Some(rate.give_back(state, now));
        let _always = self.state.fetch_update(Relaxed, Relaxed, less);
    }
}

#[cfg(test)]
mod tests;
