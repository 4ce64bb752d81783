//! Attachment: the rules that listeners lead to, each under its policies.

use std::sync::Arc;

use model::Invalid;
use policy::Level;

use crate::Rule;
use crate::assemble::parents::Parents;
use crate::assemble::policies::Policies;
use crate::assemble::rules::{Draft, drafts};
use crate::isolate::Settled;
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
}

impl<'a> Attacher<'a> {
    pub(crate) fn new(
        settled: &'a Settled,
        policies: &'a Policies,
        catalog: &'a Catalog<'a>,
        listeners: &'a mut [Listener],
    ) -> Self {
        Attacher { settled, policies, catalog, listeners, rules: Vec::new() }
    }

    /// Attaches every route to those of its parents that serve; the rules that came of it.
    pub(crate) fn run(mut self, parents: &Parents, faults: &mut Vec<Invalid>) -> Vec<Rule> {
        for (key, route) in &self.settled.routes {
            let all = parents.of(key).iter().copied();
            let listeners: Vec<_> = all.filter(|&at| self.listeners[at].is_serving()).collect();
            for draft in drafts(key, &route.source, self.catalog, faults) {
                self.attach(route, &draft, &listeners, faults);
            }
        }
        self.rules
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
            let levels = self.levels(&self.listeners[at], draft);
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
    fn levels(&self, listener: &Listener, draft: &Draft<'_>) -> Vec<Arc<Level>> {
        let name = draft.written.name.as_ref();
        let levels = [
            self.policies.level(&listener.gateway, None),
            self.policies.level(&listener.gateway, Some(&listener.name)),
            self.policies.level(draft.route, None),
            name.and_then(|name| self.policies.level(draft.route, Some(name))),
        ];
        levels.into_iter().flatten().cloned().collect()
    }
}

fn same_levels(one: &[Arc<Level>], other: &[Arc<Level>]) -> bool {
    one.len() == other.len() && one.iter().zip(other).all(|(a, b)| Arc::ptr_eq(a, b))
}
