//! Attachment: the rules that listeners lead to, each under its policies.
//!
//! Where a policy protects a stray, the hosts and paths that it was meant for are closed to the
//! other routes of its namespace; where those cannot be told, all these routes are closed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::{Invalid, Name};
use policy::Level;

use crate::Rule;
use crate::assemble::parents::Parents;
use crate::assemble::policies::Policies;
use crate::assemble::rules::{Draft, drafts};
use crate::isolate::Settled;
use crate::isolate::stray::Stray;
use crate::listener::Listener;
use crate::route::Compiled;
use crate::service::Catalog;

/// Attaches routes to listeners, and makes the rules that listeners lead to.
pub(crate) struct Attacher<'a> {
    settled: &'a Settled,
    policies: &'a Policies,
    catalog: &'a Catalog<'a>,
    listeners: &'a mut [Listener],
    rules: Vec<Rule>,
    /// For each listener, the namespaces whose routes are all closed there.
    sealed: Vec<BTreeMap<Name, Arc<Level>>>,
}

impl<'a> Attacher<'a> {
    pub(crate) fn new(
        settled: &'a Settled,
        policies: &'a Policies,
        catalog: &'a Catalog<'a>,
        listeners: &'a mut [Listener],
    ) -> Self {
        let sealed = vec![BTreeMap::new(); listeners.len()];
        Attacher { settled, policies, catalog, listeners, rules: Vec::new(), sealed }
    }

    /// Attaches every route to those of its parents that serve; the rules that came of it.
    pub(crate) fn run(mut self, parents: &Parents, faults: &mut Vec<Invalid>) -> Vec<Rule> {
        let settled = self.settled;
        for (stray, listeners) in settled.strays.iter().zip(&parents.strays) {
            // Without a policy on it nothing was protected, and nothing need be closed.
            if let Some(level) = self.policies.level(&stray.key, None) {
                self.close(stray, &self.serving(listeners), level);
            }
        }
        for (key, route) in &settled.routes {
            let listeners = self.serving(parents.of(key));
            for draft in drafts(key, &route.source, self.catalog, faults) {
                self.attach(route, &draft, &listeners, faults);
            }
        }
        self.rules
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
            let Some(rule) = draft.rule(self.rules.len(), levels, &mut told) else { continue };
            for &at in listeners {
                let matches = &reach.rules[draft.index];
                self.listeners[at].routes.shut(namespace, reach.hosts(), matches, rule.id);
            }
            self.rules.push(rule);
        }
    }

    /// Makes one rule reachable through listeners; those that see the same policies share it.
    fn attach(
        &mut self,
        route: &Compiled,
        draft: &Draft<'_>,
        listeners: &[usize],
        faults: &mut Vec<Invalid>,
    ) {
        let mut made: Vec<(Vec<Arc<Level>>, usize)> = Vec::new();
        for &at in listeners {
            let levels = self.levels(at, draft);
            let known = made.iter().find(|(other, _)| same_levels(other, &levels));
            let rule = match known {
                Some(&(_, rule)) => rule,
                None => {
                    let Some(rule) = draft.rule(self.rules.len(), levels.clone(), faults) else {
                        continue;
                    };
                    self.rules.push(rule);
                    made.push((levels, self.rules.len() - 1));
                    self.rules.len() - 1
                }
            };
            self.listeners[at].routes.add(route.hosts(), &route.rules[draft.index], rule);
        }
    }

    /// The policies that a request of this rule passes, broadest first.
    fn levels(&self, at: usize, draft: &Draft<'_>) -> Vec<Arc<Level>> {
        let name = draft.written.name.as_ref();
        let listener = &self.listeners[at];
        let levels = [
            self.policies.level(&listener.gateway, None),
            self.policies.level(&listener.gateway, Some(&listener.name)),
            self.sealed[at].get(&draft.route.namespace),
            self.policies.level(draft.route, None),
            name.and_then(|name| self.policies.level(draft.route, Some(name))),
        ];
        levels.into_iter().flatten().cloned().collect()
    }
}

fn same_levels(one: &[Arc<Level>], other: &[Arc<Level>]) -> bool {
    one.len() == other.len() && one.iter().zip(other).all(|(a, b)| Arc::ptr_eq(a, b))
}
