//! Attachment: the rules that listeners lead to, each under its policies and within its borders.
//!
//! Where a policy or a border protects a stray, the hosts and paths that it was meant for are closed
//! to the other routes of its namespace; where those cannot be told, all these routes are closed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::api::LABEL;
use model::{Hostname, Invalid, Key, Name};
use policy::{Border, Level, Stage};

use crate::Rule;
use crate::assemble::borders::Borders;
use crate::assemble::parents::Parents;
use crate::assemble::policies::Policies;
use crate::assemble::rules::{Draft, drafts};
use crate::claimed::{Claimed, Refused};
use crate::isolate::Settled;
use crate::isolate::stray::Stray;
use crate::listener::Listener;
use crate::route::{Compiled, Match};
use crate::service::Catalog;

/// Attaches routes to listeners, and makes the rules that listeners lead to.
pub(crate) struct Attacher<'a> {
    around: Around<'a>,
    catalog: &'a Catalog<'a>,
    listeners: &'a mut [Listener],
    rules: Vec<Rule>,
    /// For each listener, the namespaces whose routes are all closed there.
    sealed: Vec<BTreeMap<Name, Arc<Level>>>,
}

/// The routes, and what decides over their requests.
#[derive(Clone, Copy)]
pub(crate) struct Around<'a> {
    pub(crate) settled: &'a Settled,
    pub(crate) policies: &'a Policies,
    pub(crate) borders: &'a Borders,
    pub(crate) claimed: &'a Claimed,
}

/// A route on its way to its listeners.
struct Bound<'a> {
    route: &'a Compiled,
    listeners: Vec<usize>,
    /// Its border where no policy speaks.
    border: Border,
    /// What is on another's ground.
    refused: Refused,
}

/// Matches under a host name of their route.
type Reach<'a> = Vec<(Option<&'a Hostname>, Vec<Arc<Match>>)>;

impl<'a> Attacher<'a> {
    pub(crate) fn new(
        around: Around<'a>,
        catalog: &'a Catalog<'a>,
        listeners: &'a mut [Listener],
    ) -> Self {
        let sealed = vec![BTreeMap::new(); listeners.len()];
        Attacher { around, catalog, listeners, rules: Vec::new(), sealed }
    }

    /// Attaches every route to those of its parents that serve; the rules that came of it.
    pub(crate) fn run(mut self, parents: &Parents, faults: &mut Vec<Invalid>) -> Vec<Rule> {
        let Around { settled, borders, claimed, .. } = self.around;
        for (stray, listeners) in settled.strays.iter().zip(&parents.strays) {
            // Where nothing was protected, nothing need be closed.
            if let Some((level, listeners)) = self.guard(stray, self.serving(listeners)) {
                self.close(stray, &listeners, &level);
            }
        }
        for (key, route) in &settled.routes {
            let label = route.source.metadata.labels.get(LABEL);
            let stage = borders.stage(key, label, faults);
            let border = Border { stage, denied: borders.denial(key) };
            let (listeners, refused) =
                (self.serving(parents.of(key)), claimed.of_route(key, route, faults));
            let bound = Bound { route, listeners, border, refused };
            for draft in drafts(key, &route.source, self.catalog, faults) {
                self.attach(&bound, &draft, faults);
            }
        }
        self.rules
    }

    /// What kept requests from a stray, and at which of its listeners.
    fn guard(&self, stray: &Stray, listeners: Vec<usize>) -> Option<(Arc<Level>, Vec<usize>)> {
        let Around { policies, borders, .. } = self.around;
        if let Some(level) = policies.level(&stray.key, None) {
            return Some((Arc::clone(level), listeners));
        }
        let closed = Arc::new(Level::Closed { key: stray.key.clone() });
        // What is wrong with the stray has been told.
        match borders.stage(&stray.key, stray.api.as_ref(), &mut Vec::new()) {
            Stage::Unpublished(_) | Stage::Retired { .. } => return Some((closed, listeners)),
            Stage::Published | Stage::Deprecated(_) => {}
        }
        borders.denial(&stray.key)?;
        let is_own = |gateway: &Key| borders.are_one(&gateway.namespace, &stray.key.namespace);
        let is_opened = |at: &usize| {
            let gateway = &self.listeners[*at].gateway;
            is_own(gateway) && self.inward(*at).into_iter().flatten().next().is_some()
        };
        Some((closed, listeners.into_iter().filter(|at| !is_opened(at)).collect()))
    }

    fn serving(&self, listeners: &BTreeSet<usize>) -> Vec<usize> {
        let all = listeners.iter().copied();
        all.filter(|&at| self.listeners[at].is_serving()).collect()
    }

    /// Closes what a stray was meant for at these listeners to the routes of its namespace.
    fn close(&mut self, stray: &'a Stray, listeners: &[usize], level: &Arc<Level>) {
        let namespace = &stray.key.namespace;
        let Some(reach) = &stray.reach else {
            for &at in listeners {
                self.sealed[at].insert(namespace.clone(), Arc::clone(level));
            }
            return;
        };
        if listeners.is_empty() {
            return;
        }
        // What is wrong with the stray has been told: nobody misses its backends here.
        let mut told = Vec::new();
        for draft in drafts(&stray.key, &reach.source, self.catalog, &mut told) {
            let levels = vec![Arc::clone(level)];
            let (id, border) = (self.rules.len(), Border::default());
            let Some(rule) = draft.rule(id, levels, border, &mut told) else { continue };
            for &at in listeners {
                let matches = &reach.rules[draft.index];
                self.listeners[at].routes.shut(namespace, reach.hosts(), matches, rule.id);
            }
            self.rules.push(rule);
        }
    }

    /// Makes one rule reachable through listeners; those that see the same policies share it.
    fn attach(&mut self, bound: &Bound<'_>, draft: &Draft<'_>, faults: &mut Vec<Invalid>) {
        let reach = bound.reach(draft.index);
        if reach.is_empty() {
            return;
        }
        let mut made: Vec<(Above, usize)> = Vec::new();
        for &at in &bound.listeners {
            let above = self.above(at, draft);
            let known = made.iter().find(|(other, _)| other.is_same(&above));
            let rule = match known {
                Some(&(_, rule)) => rule,
                None => {
                    let mut border = bound.border.clone();
                    border.denied = border.denied.filter(|_| !above.speaks);
                    let levels = above.levels.clone();
                    let Some(rule) = draft.rule(self.rules.len(), levels, border, faults) else {
                        continue;
                    };
                    self.rules.push(rule);
                    made.push((above, self.rules.len() - 1));
                    self.rules.len() - 1
                }
            };
            for (host, matches) in &reach {
                self.listeners[at].routes.add(*host, matches, rule);
            }
        }
    }

    /// The levels of a listener's Gateway and its own.
    fn inward(&self, at: usize) -> [Option<&'a Arc<Level>>; 2] {
        let listener = &self.listeners[at];
        let sections = [None, Some(&listener.name)];
        sections.map(|section| self.around.policies.level(&listener.gateway, section))
    }

    /// The policies that a request of this rule passes.
    fn above(&self, at: usize, draft: &Draft<'_>) -> Above {
        let Around { policies, borders, .. } = self.around;
        let name = draft.written.name.as_ref();
        let inward = self.inward(at).into_iter().flatten();
        let own = [
            self.sealed[at].get(&draft.route.namespace),
            policies.level(draft.route, None),
            name.and_then(|name| policies.level(draft.route, Some(name))),
        ];
        let mut levels: Vec<_> = inward.cloned().collect();
        // A Gateway of somebody else may narrow what passes, and opens nothing.
        let gateway = &self.listeners[at].gateway;
        let mut speaks =
            !levels.is_empty() && borders.are_one(&gateway.namespace, &draft.route.namespace);
        speaks |= own.iter().any(Option::is_some);
        levels.extend(own.into_iter().flatten().cloned());
        Above { levels, speaks }
    }
}

impl Bound<'_> {
    /// The matches of a rule under each host name, but for those on another's ground.
    fn reach(&self, rule: usize) -> Reach<'_> {
        let matches = &self.route.rules[rule];
        let own = |at: usize| {
            let all = matches.iter().enumerate();
            let own = all.filter(|(index, _)| !self.refused.contains(&(at, rule, *index)));
            own.map(|(_, one)| Arc::clone(one)).collect::<Vec<_>>()
        };
        let reach = self.route.hosts().enumerate().map(|(at, host)| (host, own(at)));
        reach.filter(|(_, matches)| !matches.is_empty()).collect()
    }
}

/// What a request of a rule passes before it.
struct Above {
    /// The levels, broadest first.
    levels: Vec<Arc<Level>>,
    /// Whether one of them is of the route's own workspace.
    speaks: bool,
}

impl Above {
    fn is_same(&self, other: &Above) -> bool {
        let (one, two) = (&self.levels, &other.levels);
        self.speaks == other.speaks
            && one.len() == two.len()
            && one.iter().zip(two).all(|(a, b)| Arc::ptr_eq(a, b))
    }
}
