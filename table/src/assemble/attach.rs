//! Attachment: the rules that listeners lead to, each under its policies and within its borders; and
//! those that callers of Services meet, which no policy opens or narrows, since they are asked where
//! a call arrives.
//!
//! Where a policy or a border protects a stray, the hosts and paths that it was meant for are closed
//! to the other routes of its namespace; where those cannot be told, all these routes are closed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::api::LABEL;
use model::{Invalid, Key, Name};
use policy::{Border, Level, Stage};

use crate::Rule;
use crate::assemble::borders::Borders;
use crate::assemble::parents::Parents;
use crate::assemble::policies::Policies;
use crate::assemble::rivals::Rivals;
use crate::assemble::rules::{Draft, drafts};
use crate::assemble::walk::Walk;
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
    rules: Vec<Arc<Rule>>,
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

/// What came of each route, which the next assembly may take over.
pub(crate) type Attached = BTreeMap<Key, Arc<Attachment>>;

/// What came of one route.
#[derive(Debug)]
pub(crate) struct Attachment {
    of: Arc<Compiled>,
    /// The listeners at which it yields to another route.
    yielded: BTreeSet<usize>,
    rules: Vec<Arc<Rule>>,
    reached: Vec<Reached>,
    /// Those of a route of Services, which no listener reaches.
    called: Vec<Arc<Rule>>,
    faults: Vec<Invalid>,
}

/// Where a listener leads to a rule.
#[derive(Debug)]
struct Reached {
    listener: usize,
    /// Which of the route's host names.
    host: usize,
    matches: Arc<[Arc<Match>]>,
    /// Which of the attachment's rules.
    rule: usize,
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

/// Matches under a host name of their route, by its place.
type Reach = Vec<(usize, Arc<[Arc<Match>]>)>;

impl<'a> Attacher<'a> {
    pub(crate) fn new(
        around: Around<'a>,
        catalog: &'a Catalog<'a>,
        listeners: &'a mut [Listener],
    ) -> Self {
        let sealed = vec![BTreeMap::new(); listeners.len()];
        Attacher { around, catalog, listeners, rules: Vec::new(), sealed }
    }

    /// Attaches every route to those of its parents that serve; the rules that came of it. A route
    /// that did not change is attached as `before`, when all else must have been as it is now.
    pub(crate) fn run(
        mut self,
        (parents, rivals): (&Parents, &Rivals),
        before: Option<&Attached>,
        faults: &mut Vec<Invalid>,
    ) -> (Vec<Arc<Rule>>, Attached) {
        let settled = self.around.settled;
        for (stray, listeners) in settled.strays.iter().zip(&parents.strays) {
            // Where nothing was protected, nothing need be closed.
            if let Some((level, listeners)) = self.guard(stray, self.serving(listeners)) {
                self.close(stray, &listeners, &level);
            }
        }
        let mut before = Walk::over(before);
        let attached = settled.routes().map(|(key, route)| {
            let yielded = rivals.of(key);
            let same = before.at(key).filter(|before| Arc::ptr_eq(&before.of, route));
            let same = same.filter(|before| before.yielded == *yielded);
            // Faults may name what there is in the place of what is missing, which may be another by now.
            let same = same.filter(|before| before.faults.is_empty());
            let admitting = || parents.of(key).difference(yielded).copied().collect();
            let made = || Arc::new(self.attachment(key, route, &admitting(), yielded));
            let attachment = same.cloned().unwrap_or_else(made);
            self.attach(&attachment);
            faults.extend_from_slice(&attachment.faults);
            (key.clone(), attachment)
        });
        let attached = attached.collect();
        (self.rules, attached)
    }

    /// What comes of a route.
    fn attachment(
        &self,
        key: &Key,
        of: &Arc<Compiled>,
        admitting: &BTreeSet<usize>,
        yielded: &BTreeSet<usize>,
    ) -> Attachment {
        let Around { borders, claimed, .. } = self.around;
        let mut made = Attachment {
            of: Arc::clone(of),
            yielded: yielded.clone(),
            rules: Vec::new(),
            reached: Vec::new(),
            called: Vec::new(),
            faults: Vec::new(),
        };
        let faults = &mut made.faults;
        let label = of.source.metadata.labels.get(LABEL);
        let stage = borders.stage(key, label, faults);
        if of.source.is_of_services() {
            made.called = self.called(key, of, stage, faults);
            return made;
        }
        let border = Border { stage, denied: borders.denial(key) };
        let refused = claimed.of_route(key, of, faults);
        let listeners = self.serving(admitting);
        let bound = Bound { route: of, listeners, border, refused };
        for draft in drafts(key, &of.source, self.catalog, faults) {
            self.bind(&bound, &draft, &mut made);
        }
        // They stay, and most routes have one of each.
        made.rules.shrink_to_fit();
        made.reached.shrink_to_fit();
        made
    }

    /// The rules that callers meet, and what closes them: whether somebody may call is asked elsewhere.
    fn called(
        &self,
        key: &Key,
        of: &Compiled,
        stage: Stage,
        faults: &mut Vec<Invalid>,
    ) -> Vec<Arc<Rule>> {
        let border = Border { stage, denied: None };
        let drafts = drafts(key, &of.source, self.catalog, faults);
        let rules = drafts.iter().filter_map(|draft| {
            let levels = self.own(draft).into_iter().flatten().cloned().collect();
            draft.rule(levels, border.clone(), faults).map(Arc::new)
        });
        rules.collect()
    }

    /// What kept requests from a stray, and at which of its listeners.
    fn guard(&self, stray: &Stray, listeners: Vec<usize>) -> Option<(Arc<Level>, Vec<usize>)> {
        let Around { policies, borders, .. } = self.around;
        if let Some(level) = policies.level(&stray.key, None) {
            return Some((Arc::clone(level), listeners));
        }
        let closed = Arc::new(Level::Closed { key: stray.key.clone() });
        if borders.is_lifeless(stray) {
            return Some((closed, listeners));
        }
        borders.denial(&stray.key)?;
        let is_own = |of: &Key| borders.are_one(&of.namespace, &stray.key.namespace);
        let is_opened = |at: &usize| {
            policies.inward(&self.listeners[*at]).any(|(of, level)| level.speaks() && is_own(of))
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
            let Some(rule) = draft.rule(levels, Border::default(), &mut told) else { continue };
            for &at in listeners {
                let (matches, rule) = (&reach.rules[draft.index], self.rules.len());
                self.listeners[at].routes.shut(namespace, reach.hosts(), matches, rule);
            }
            self.rules.push(Arc::new(rule));
        }
    }

    /// Makes one rule to be reached through listeners; those that see the same policies share it.
    fn bind(&self, bound: &Bound<'_>, draft: &Draft<'_>, to: &mut Attachment) {
        let reach = bound.reach(draft.index);
        if reach.is_empty() {
            return;
        }
        let mut made: Vec<(Above, usize)> = Vec::new();
        for &listener in &bound.listeners {
            let above = self.above(listener, draft);
            let known = made.iter().find(|(other, _)| other.is_same(&above));
            let rule = match known {
                Some(&(_, rule)) => rule,
                None => {
                    let mut border = bound.border.clone();
                    border.denied = border.denied.filter(|_| !above.speaks);
                    let levels = above.levels.clone();
                    let Some(rule) = draft.rule(levels, border, &mut to.faults) else { continue };
                    to.rules.push(Arc::new(rule));
                    made.push((above, to.rules.len() - 1));
                    to.rules.len() - 1
                }
            };
            to.reached.extend(reach.iter().map(|(host, matches)| Reached {
                listener,
                host: *host,
                matches: Arc::clone(matches),
                rule,
            }));
        }
    }

    /// Makes the rules of a route reachable through its listeners.
    fn attach(&mut self, attachment: &Attachment) {
        let first = self.rules.len();
        self.rules.extend(attachment.rules.iter().cloned());
        for Reached { listener, host, matches, rule } in &attachment.reached {
            let host = attachment.of.source.spec.hostnames.get(*host);
            self.listeners[*listener].routes.add(host, matches, first + rule);
        }
    }

    /// The levels of a rule's route and its own.
    fn own(&self, draft: &Draft<'_>) -> [Option<&'a Arc<Level>>; 2] {
        let (policies, name) = (self.around.policies, draft.written.name.as_ref());
        let rule = name.and_then(|name| policies.level(draft.route, Some(name)));
        [policies.level(draft.route, None), rule]
    }

    /// The policies that a request of this rule passes.
    fn above(&self, at: usize, draft: &Draft<'_>) -> Above {
        let Around { borders, policies, .. } = self.around;
        let [route, rule] = self.own(draft);
        let own = [self.sealed[at].get(&draft.route.namespace), route, rule];
        let mut speaks = own.iter().flatten().any(|level| level.speaks());
        let mut levels = Vec::new();
        for (of, level) in policies.inward(&self.listeners[at]) {
            // A Gateway of somebody else may narrow what passes, and opens nothing.
            speaks |= level.speaks() && borders.are_one(&of.namespace, &draft.route.namespace);
            levels.push(Arc::clone(level));
        }
        levels.extend(own.into_iter().flatten().cloned());
        Above { levels, speaks }
    }
}

impl Attachment {
    /// The route.
    pub(crate) fn route(&self) -> &Compiled {
        &self.of
    }

    /// The rules that callers of its Services meet.
    pub(crate) fn called(&self) -> &[Arc<Rule>] {
        &self.called
    }
}

impl Bound<'_> {
    /// The matches of a rule under each host name, but for those on another's ground.
    fn reach(&self, rule: usize) -> Reach {
        let matches = &self.route.rules[rule];
        let own = |at: usize| -> Arc<[Arc<Match>]> {
            let all = matches.iter().enumerate();
            let own = all.filter(|(index, _)| !self.refused.contains(&(at, rule, *index)));
            own.map(|(_, one)| Arc::clone(one)).collect()
        };
        let reach = self.route.hosts().enumerate().map(|(at, _)| (at, own(at)));
        reach.filter(|(_, matches)| !matches.is_empty()).collect()
    }
}

/// What a request of a rule passes before it.
struct Above {
    /// The levels, broadest first.
    levels: Vec<Arc<Level>>,
    /// Whether one of them says who may do what, and is of the route's own workspace.
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
