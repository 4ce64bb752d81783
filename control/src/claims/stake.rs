//! Which of two routes comes first on a request that both would answer, as far as their text tells
//! (ADR 009). Where that leaves it open, such as between expressions, either does.

use std::borrow::Cow;
use std::cmp::Ordering;

use model::claim::Ground;
use model::route::{HttpMatch, ParentRef, PathMatchType};
use model::{Hostname, Kind, Name, Resource, path};

/// What a route would answer, and where.
#[derive(Debug)]
pub(crate) struct Stakes<'a> {
    kind: Kind,
    namespace: &'a Name,
    parents: &'a [ParentRef],
    all: Vec<Stake<'a>>,
}

/// The requests below a path of a host, or of every host.
#[derive(Debug)]
struct Stake<'a> {
    sort: PathMatchType,
    /// In the form in which requests are matched; of an expression, as it is written.
    path: String,
    /// What a request must have besides; empty where nothing is asked.
    conditions: String,
    ground: Ground<'a>,
}

/// How many pairs of matches are compared for one change, and how many matches are looked at, each for
/// as much as 40 pairs: some seconds and 100 MiB at most, whoever writes what.
#[derive(Debug)]
pub(crate) struct Budget(usize);

/// It is used up.
#[derive(Debug)]
pub(crate) struct Spent;

impl Budget {
    /// A whole one.
    pub(crate) const fn new() -> Self {
        Budget(20_000_000)
    }

    /// Takes so much of it.
    pub(crate) fn spend(&mut self, pairs: usize) -> Result<(), Spent> {
        self.0 = self.0.checked_sub(pairs).ok_or(Spent)?;
        Ok(())
    }
}

impl<'a> Stakes<'a> {
    /// Those of a route of requests or connections, at hosts that meet some of `near`, or at all of its
    /// hosts; none of anything else.
    ///
    /// # Errors
    /// Where there are more than there is left of `budget`.
    pub(crate) fn of(
        resource: &'a Resource,
        near: Option<&[&Hostname]>,
        budget: &mut Budget,
    ) -> Result<Option<Self>, Spent> {
        let route = resource.as_route().filter(|route| !route.is_of_services());
        let Some(route) = route else { return Ok(None) };
        let is_near = |host: &&Hostname| {
            near.is_none_or(|near| near.iter().any(|one| one.intersect(host).is_some()))
        };
        let hosts: Vec<Option<&Hostname>> = match resource.hostnames() {
            [] => vec![None],
            hosts => hosts.iter().filter(is_near).map(Some).collect(),
        };
        let matches = route.spec.rules.iter().map(|rule| rule.matches.len().max(1));
        budget.spend(40 * hosts.len().max(1) * matches.sum::<usize>())?;
        let whole = HttpMatch::default();
        let matches =
            route.spec.rules.iter().flat_map(|rule| {
                rule.matches.iter().chain(rule.matches.is_empty().then_some(&whole))
            });
        let stake = |of: &HttpMatch, host| {
            let (sort, written) = (of.path.kind, of.path.value.as_str());
            let (path, ground) = match sort {
                PathMatchType::Exact | PathMatchType::PathPrefix => {
                    // What has no normal form matches nothing.
                    let path = path::normalise(written).unwrap_or(Cow::Borrowed(written));
                    (path.clone().into_owned(), path.into_owned())
                }
                PathMatchType::RegularExpression => (written.to_owned(), "/".to_owned()),
            };
            let is_any = of.method.is_none() && of.headers.is_empty() && of.query_params.is_empty();
            let more = || format!("{:?} {:?} {:?}", of.method, of.headers, of.query_params);
            let conditions = if is_any { String::new() } else { more() };
            Stake { sort, path, conditions, ground: Ground::new(host, ground) }
        };
        let all = matches.flat_map(|of| hosts.iter().map(move |host| stake(of, *host)));
        let (kind, all) = (resource.kind(), all.collect());
        let namespace = &resource.meta().namespace;
        Ok(Some(Stakes { kind, namespace, parents: resource.parent_refs(), all }))
    }

    /// The first ground on which this route would take requests that the other one answers, or lies in
    /// wait for those that it leaves; and which neither it had as it was `before`, nor do `own`: others
    /// that stand already.
    ///
    /// # Errors
    /// Where there is more to compare than there is left of `budget`.
    pub(crate) fn taken_from(
        &self,
        other: &Self,
        before: Option<&Self>,
        own: &[&Self],
        budget: &mut Budget,
    ) -> Result<Option<&Ground<'a>>, Spent> {
        let sorts =
            [self.kind, other.kind].map(|kind| (kind.is_of_connections(), kind == Kind::UdpRoute));
        if sorts[0] != sorts[1] {
            // No listener leads both.
            return Ok(None);
        }
        let (is_of_connections, _) = sorts[0];
        let shared = self.parents.iter().filter(|parent| {
            let same = |one| share((parent, self.namespace), (one, other.namespace));
            other.parents.iter().any(same)
        });
        for parent in shared {
            let is_there = |one: &&&Self| {
                let has = |old| means_all_of((old, one.namespace), (parent, self.namespace));
                one.kind == self.kind && one.parents.iter().any(has)
            };
            let had = Had {
                before: before.iter().filter(is_there).flat_map(|one| &one.all).collect(),
                own: own.iter().filter(is_there).flat_map(|one| &one.all).collect(),
            };
            for stake in &self.all {
                let is_new = match self.kind == other.kind || is_of_connections {
                    true => had.lacks(stake, &other.all, budget)?,
                    // A host is there for routes of one kind: the older one has it, whatever the
                    // paths are.
                    false => {
                        budget.spend(other.all.len() + had.before.len())?;
                        let had = had.before.iter().any(|old| old.ground.host == stake.ground.host);
                        !had && other.all.iter().any(|theirs| stake.meets(theirs))
                    }
                };
                if is_new {
                    return Ok(Some(&stake.ground));
                }
            }
        }
        Ok(None)
    }
}

/// What stands already at a listener, of the route itself and of others of its Api.
struct Had<'s, 'a> {
    before: Vec<&'s Stake<'a>>,
    own: Vec<&'s Stake<'a>>,
}

impl Had<'_, '_> {
    /// Whether a stake is on ground of some of `theirs`, and nothing that stands was there before it.
    fn lacks(
        &self,
        stake: &Stake<'_>,
        theirs: &[Stake<'_>],
        budget: &mut Budget,
    ) -> Result<bool, Spent> {
        budget.spend(theirs.len())?;
        let mut met = theirs.iter().filter(|theirs| stake.overlaps(theirs)).peekable();
        if met.peek().is_none() {
            return Ok(false);
        }
        budget.spend(self.before.len() + self.own.len())?;
        if self.before.iter().any(|old| old.is_same(stake)) {
            return Ok(false);
        }
        let holders = self.before.iter().chain(&self.own).filter(|old| old.holds(stake));
        let holders: Vec<_> = holders.collect();
        for theirs in met {
            budget.spend(holders.len() + 1)?;
            let takes = stake.may_be_before(theirs);
            if !holders.iter().any(|old| !takes || old.is_before(theirs)) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Stake<'_> {
    /// Whether some host is of both.
    fn meets(&self, other: &Self) -> bool {
        match (self.ground.host, other.ground.host) {
            (Some(one), Some(other)) => one.intersect(other).is_some(),
            (None, _) | (_, None) => true,
        }
    }

    /// Whether some request may fall on both.
    fn overlaps(&self, other: &Self) -> bool {
        use PathMatchType::{Exact, PathPrefix, RegularExpression};
        let (own, theirs) = (&self.ground, &other.ground);
        self.meets(other)
            && match (self.sort, other.sort) {
                (RegularExpression, _) | (_, RegularExpression) => true,
                (Exact, Exact) => own.path == theirs.path,
                (Exact, PathPrefix) => own.is_below(theirs),
                (PathPrefix, Exact) => theirs.is_below(own),
                (PathPrefix, PathPrefix) => own.is_below(theirs) || theirs.is_below(own),
            }
    }

    /// Which of two hosts that meet goes first; none where they do not meet.
    fn host_order(&self, other: &Self) -> Option<Ordering> {
        Some(match (self.ground.host, other.ground.host) {
            (None, None) => Ordering::Equal,
            (None, Some(_)) => Ordering::Greater,
            (Some(_), None) => Ordering::Less,
            (Some(one), Some(other)) if one == other => Ordering::Equal,
            (Some(one), Some(other)) => match one.intersect(other)? == one {
                true => Ordering::Less,
                false => Ordering::Greater,
            },
        })
    }

    /// Whether some request that falls on both may go to this one.
    fn may_be_before(&self, other: &Self) -> bool {
        use PathMatchType::{Exact, PathPrefix, RegularExpression};
        match self.host_order(other) {
            None | Some(Ordering::Greater) => false,
            // The more specific host goes first, whatever the paths are.
            Some(Ordering::Less) => self.overlaps(other),
            Some(Ordering::Equal) => match (self.sort, other.sort) {
                (PathPrefix, Exact | RegularExpression) | (RegularExpression, Exact) => false,
                (Exact, RegularExpression)
                | (RegularExpression, RegularExpression | PathPrefix) => true,
                (Exact | PathPrefix, PathPrefix) => self.ground.is_below(&other.ground),
                (Exact, Exact) => self.ground.path == other.ground.path,
            },
        }
    }

    /// Whether each request that falls on both goes to this one.
    fn is_before(&self, other: &Self) -> bool {
        use PathMatchType::{Exact, PathPrefix, RegularExpression};
        match self.host_order(other) {
            None | Some(Ordering::Greater) => false,
            Some(Ordering::Less) => true,
            Some(Ordering::Equal) => match (self.sort, other.sort) {
                (Exact, RegularExpression | PathPrefix) | (RegularExpression, PathPrefix) => true,
                // Prefixes of other letters are none of a request that falls on both.
                (PathPrefix, PathPrefix) => {
                    self.ground.is_below(&other.ground) && !other.ground.is_below(&self.ground)
                }
                (Exact, Exact) | (RegularExpression, RegularExpression | Exact) => false,
                (PathPrefix, Exact | RegularExpression) => false,
            },
        }
    }

    /// Whether each request that falls on `other` falls on this one.
    fn holds(&self, other: &Self) -> bool {
        let is_all = self.sort == PathMatchType::PathPrefix && other.is_within(&self.path);
        let is_path = (self.sort, &self.path) == (other.sort, &other.path);
        let is_any = self.conditions.is_empty() || self.conditions == other.conditions;
        self.ground.host == other.ground.host && is_any && (is_all || is_path)
    }

    /// Whether it is below a prefix, in the letters in which both are matched.
    fn is_within(&self, prefix: &str) -> bool {
        let prefix = prefix.trim_end_matches('/');
        let rest = self.path.strip_prefix(prefix);
        self.sort != PathMatchType::RegularExpression
            && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Whether the same requests fall on both.
    fn is_same(&self, other: &Self) -> bool {
        self.sort == other.sort
            && self.path == other.path
            && self.ground.host == other.ground.host
            && self.conditions == other.conditions
    }
}

type At<'a> = (&'a ParentRef, &'a Name);

/// Whether two routes attach to a listener that both mean.
fn share((one, at): At<'_>, (other, there): At<'_>) -> bool {
    let (sections, ports) = ((&one.section_name, &other.section_name), (one.port, other.port));
    one.key(at) == other.key(there)
        && (sections.0.is_none() || sections.1.is_none() || sections.0 == sections.1)
        && (ports.0.is_none() || ports.1.is_none() || ports.0 == ports.1)
}

/// Whether the first means every listener that the second does.
fn means_all_of((one, at): At<'_>, (other, there): At<'_>) -> bool {
    one.key(at) == other.key(there)
        && (one.section_name.is_none() || one.section_name == other.section_name)
        && (one.port.is_none() || one.port == other.port)
}

#[cfg(test)]
mod tests;
