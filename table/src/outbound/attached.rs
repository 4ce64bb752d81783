//! The routes that are attached to Services: they lead calls in the place of a Service's own endpoints.
//!
//! A route leads calls of its own namespace's Services alone, so nobody leads another's callers.
//! A refused route without a good form is one that fits nothing: the Service's own endpoints answer no
//! call in its place, since it may have been there to keep some from them. Where its Api answers
//! nobody, or a policy closes it, no other route of the Service answers either.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::Key;

use crate::Rule;
use crate::assemble::attach::{Around, Attached, Attachment};
use crate::route::Routes;

/// The routes of all Services.
pub(crate) struct OfServices<'a> {
    around: Around<'a>,
    /// By Service.
    bound: BTreeMap<Key, Vec<Bound<'a>>>,
}

/// A route at one of its Services.
struct Bound<'a> {
    /// The port of the Service that is meant; all where none is.
    port: Option<u16>,
    attachment: &'a Attachment,
    /// The place of the first of its rules.
    first: usize,
}

impl<'a> OfServices<'a> {
    /// Those among all that are `attached`; their rules are added to `rules`.
    pub(crate) fn new(
        around: Around<'a>,
        attached: &'a Attached,
        rules: &mut Vec<Arc<Rule>>,
    ) -> Self {
        let mut bound = BTreeMap::<Key, Vec<Bound<'a>>>::new();
        for (route, attachment) in attached {
            let parents = attachment.route().source.spec.parent_refs.iter();
            let (own, first) = (&route.namespace, rules.len());
            for parent in parents.filter(|parent| parent.is_service()) {
                let (service, port) = (parent.key(own), parent.port);
                if service.namespace == *own {
                    bound.entry(service).or_default().push(Bound { port, attachment, first });
                }
            }
            rules.extend_from_slice(attachment.called());
        }
        OfServices { around, bound }
    }

    /// Those of a port of a Service, none where calls go to its own endpoints.
    pub(crate) fn of(&self, service: &Key, port: u16) -> Option<Routes> {
        let Around { settled, policies, borders, .. } = self.around;
        let bound = self.bound.get(service).into_iter().flatten();
        let mut bound = bound.filter(|one| one.port.is_none_or(|meant| meant == port)).peekable();
        let mut strays =
            settled.strays.iter().filter(|stray| stray.is_of(service, port)).peekable();
        if bound.peek().is_none() && strays.peek().is_none() {
            return None;
        }
        let mut routes = Routes::default();
        if strays.any(|one| policies.level(&one.key, None).is_some() || borders.is_lifeless(one)) {
            return Some(routes);
        }
        for Bound { attachment, first, .. } in bound {
            for (at, rule) in attachment.called().iter().enumerate() {
                routes.add(None, &attachment.route().rules[rule.index], first + at);
            }
        }
        routes.sort();
        Some(routes)
    }
}
