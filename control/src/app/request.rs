//! What became of requests, as far as who asks may see it: the way of one, and the latest of all.
//!
//! ```text
//! x-request-id ── the first hop that has it ── those of its trace ── those that came under such a
//!                                              trace and opened another ── and so on, so far
//! ```
//!
//! Applications see the id and may send it again with what they like, so that a hop has it says nothing
//! yet: it belongs to the way if it follows from the first one, which is the edge's where there is one.
//!
//! A hop is seen by whoever may read what decided there; of any other there is only that it was,
//! how long it took and whose it is. Within a hop that is seen, a policy that may not be read is
//! told as somebody's and no more.

use std::collections::{BTreeMap, BTreeSet};

use model::Scope;
use policy::Reason;
use store::decision::{By, Place, Teller, Told};
use wire::Decision;

use super::node::{Reader, reads_any};
use super::resource::Page;
use super::sight::Sight;
use super::{App, Op};
use crate::refusal::Refusal;

mod tale;
mod words;

use tale::{Tale, Then};

/// Hops of one way at most.
const HOPS: i64 = 200;
/// Traces of one way at most.
const TRACES: usize = 32;
/// Decisions that one list looks at, seen or not.
const LOOKED_AT: usize = 1_000;
/// Decisions of which it is read at once where they belong.
const AT_ONCE: i64 = 500;

/// The way of one request through the proxies.
#[derive(Debug, Clone, PartialEq)]
pub struct Way {
    /// When it began, in microseconds since 1970.
    pub at: i64,
    /// Its hops: each behind the one that it follows, else by time.
    pub hops: Vec<Hop>,
}

/// What one proxy made of a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Hop {
    /// One that may be seen.
    Shown(Box<ShownHop>),
    /// One that may not.
    Hidden(HiddenHop),
}

/// A hop as far as it may be seen.
#[derive(Debug, Clone, PartialEq)]
pub struct ShownHop {
    /// When it began, in microseconds after the first one.
    pub began: u64,
    /// Who decided.
    pub by: Teller,
    /// What came of it, without what may not be read.
    pub decision: Decision,
    /// The smallest change that would allow it.
    pub change: Option<String>,
    /// All that in sentences.
    pub words: Vec<String>,
}

/// All that is told of a hop that may not be seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HiddenHop {
    /// When it began, in microseconds after the first one.
    pub began: u64,
    /// How long it took, in microseconds.
    pub took: u64,
    /// Whose it is.
    pub scope: Scope,
}

/// What is said where none is kept.
const NONE: &str = "such request; of those that passed only a share is kept";

/// Which decisions are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// All of them.
    Anyhow,
    /// Those that were denied.
    Denied,
    /// Those that no backend answered.
    Failed,
    /// Those of one reason.
    By(Reason),
}

impl App {
    /// The way of the request of this id.
    ///
    /// # Errors
    /// [`Refusal::None`], also where no hop of it may be seen.
    pub async fn request_show(&self, op: &Op, id: &str) -> Result<Way, Refusal> {
        let sight = Sight::new(op, self.world().await?);
        let told = self.joined(id).await?;
        let first = told.iter().map(|one| one.decision.at).min().unwrap_or_default();
        let hops: Vec<_> = told.into_iter().map(|one| hop(&sight, one, first)).collect();
        match hops.iter().any(|hop| matches!(hop, Hop::Shown(_))) {
            true => Ok(Way { at: first, hops }),
            false => Err(Refusal::None(NONE.to_owned())),
        }
    }

    /// The decisions before a place, newest first, that who asks may see. At most 1000 are looked
    /// at: a page may hold fewer than `limit`, or none, and still have a next one.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub async fn request_list(
        &self,
        op: &Op,
        ended: Ended,
        before: Option<Place>,
        limit: usize,
    ) -> Result<Page<(Teller, Decision), Place>, Refusal> {
        let sight = Sight::new(op, self.world().await?);
        let mut reader = Reader::new(sight.rights.clone());
        let revision = sight.world.revision;
        let reasons = ended.reasons();
        let (mut items, mut looked, mut next) = (Vec::new(), 0, before);
        while items.len() < limit && looked < LOOKED_AT {
            let page = self.store.decision_places(next.as_ref(), &reasons, AT_ONCE).await?;
            if page.is_empty() {
                return Ok(Page { items, next: None, revision });
            }
            let mut rest = page.into_iter();
            while items.len() < limit {
                let before = looked;
                let mut some = Vec::new();
                while some.len() < limit - items.len()
                    && let Some(one) = rest.next()
                {
                    looked += 1;
                    next = Some(one.place.clone());
                    // Of what nothing may be read nobody has to look what it says.
                    if reader.reads(&one.scope) {
                        some.push(one);
                    }
                }
                if looked == before {
                    break;
                }
                let told = self.store.decision_list(&some).await?.into_iter();
                items.extend(told.filter_map(|told| {
                    let decision = read(&told).filter(|one| is_seen(&sight, &told, one))?;
                    Some((told.by, decision))
                }));
            }
        }
        let more = self.store.decision_places(next.as_ref(), &reasons, 1).await?;
        Ok(Page { items, next: next.filter(|_| !more.is_empty()), revision })
    }

    /// All that proxies made of a request, in order.
    async fn joined(&self, id: &str) -> Result<Vec<Told>, Refusal> {
        let (mut hops, mut traces) = (BTreeMap::new(), BTreeSet::new());
        let found = self.store.decision_find(By::Request(id), HOPS).await?;
        let mut next = first(&found).map(|told| told.decision.trace.clone());
        while let Some(trace) = next.filter(|_| traces.len() < TRACES) {
            let mut found = self.store.decision_find(By::Trace(&trace), HOPS).await?;
            found.extend(self.store.decision_find(By::Link(&trace), HOPS).await?);
            let place = |told: Told| ((told.by.id.clone(), told.decision.span.clone()), told);
            hops.extend(found.into_iter().map(place));
            traces.insert(trace);
            let mut own = hops.values().map(|told| &told.decision.trace);
            next = own.find(|trace| !traces.contains(*trace)).cloned();
        }
        let mut hops: Vec<_> = hops.into_values().collect();
        hops.sort_by_key(|told| (told.decision.at, told.decision.span.clone()));
        hops.truncate(usize::try_from(HOPS).unwrap_or(usize::MAX));
        Ok(in_order(hops))
    }
}

impl Ended {
    /// The reasons that are meant; none where all are.
    fn reasons(self) -> Vec<&'static str> {
        match self {
            Ended::Anyhow => Vec::new(),
            Ended::Denied => words_of(Reason::is_denial),
            Ended::Failed => words_of(Reason::is_failure),
            Ended::By(reason) => vec![reason.as_str()],
        }
    }
}

/// Of hops that have one id, by time, the one by which the request came to be: at the edge every request
/// is given an id of its own, and no application is there.
fn first(hops: &[Told]) -> Option<&Told> {
    hops.iter().find(|told| told.by.kind == "gateway").or(hops.first())
}

/// The same, each behind the one that it follows, whatever the clocks of their machines say.
fn in_order(by_time: Vec<Told>) -> Vec<Told> {
    let parent = |told: &Told| read(told).and_then(|decision| decision.parent);
    let mut rest: Vec<_> = by_time.into_iter().map(|told| (parent(&told), told)).collect();
    let mut ordered = Vec::with_capacity(rest.len());
    while !rest.is_empty() {
        let spans: BTreeSet<_> = rest.iter().map(|(_, told)| &told.decision.span).collect();
        let is_next = |(parent, _): &(Option<String>, Told)| {
            parent.as_ref().is_none_or(|parent| !spans.contains(parent))
        };
        // Of those that follow each other in a circle, which nobody should tell, the first.
        let next = rest.iter().position(is_next).unwrap_or_default();
        ordered.push(rest.remove(next).1);
    }
    ordered
}

/// What was told; none if a program wrote it that says more than this one understands.
fn read(told: &Told) -> Option<Decision> {
    serde_json::from_str(&told.decision.body).ok()
}

/// Whether it may be seen what a proxy decided: by whoever may read what it was led to, as that was
/// and as it is; where it was led nowhere, by whoever may read something of the platform.
fn is_seen(sight: &Sight, told: &Told, decision: &Decision) -> bool {
    match &decision.route {
        Some(route) => {
            let (scope, at) = (&told.decision.scope, told.decision.at);
            route.known().is_some_and(|key| sight.decided(&key, scope, at))
        }
        None => reads_any(&sight.rights, &Scope::Platform),
    }
}

fn hop(sight: &Sight, told: Told, first: i64) -> Hop {
    let began = told.decision.at.abs_diff(first);
    let decision = read(&told);
    let took = decision.as_ref().map_or(0, |decision| decision.took);
    match decision.filter(|decision| is_seen(sight, &told, decision)) {
        Some(decision) => Hop::Shown(Box::new(shown(sight, told, decision, began))),
        None => Hop::Hidden(HiddenHop { began, took, scope: told.decision.scope }),
    }
}

/// A hop without what may not be read of it.
fn shown(sight: &Sight, told: Told, mut decision: Decision, began: u64) -> ShownHop {
    let by = told.by;
    let story = told.decision.story.and_then(|story| serde_json::from_str(&story).ok());
    let tale = Tale::of(&Then { sight, at: told.decision.at }, story, &decision);
    decision.vector.retain(|scope, _| {
        let scope = Scope::try_from(scope.clone());
        scope.is_ok_and(|scope| reads_any(&sight.rights, &scope))
    });
    if tale.is_others() {
        (decision.policy, decision.policy_rule) = (None, None);
    }
    if !tale.tells_cause() {
        decision.detail = None;
    }
    let words = words::words(&by, &decision, &tale);
    let Tale { story, change, .. } = tale;
    ShownHop { began, by, decision: Decision { story, ..decision }, change, words }
}

/// Whether a request that ended by a reason of this name was denied.
fn is_denial(reason: &str) -> bool {
    words_of(Reason::is_denial).contains(&reason)
}

/// Whether it was a limit that denied it.
fn is_limit(reason: &str) -> bool {
    words_of(Reason::is_limit).contains(&reason)
}

fn words_of(is_such: impl Fn(Reason) -> bool) -> Vec<&'static str> {
    let such = Reason::ALL.iter().filter(|reason| is_such(**reason));
    such.map(|reason| reason.as_str()).collect()
}
