//! Rules of one route: backends resolved, filters and policies compiled into a chain.

use std::sync::Arc;
use std::time::Duration;

use model::route::{HttpFilter, HttpRoute, HttpRule, RequestMirror, Timeouts};
use model::{Invalid, Key};
use policy::{Border, Chain, Level, Reason};

use crate::isolate::fault;
use crate::service::Catalog;
use crate::{Backend, Backends, Filters, Mirror, Retry, Rule, Session, Target};

/// A rule but for its policies, which depend on the listener.
pub(crate) struct Draft<'a> {
    pub(crate) route: &'a Key,
    pub(crate) index: usize,
    pub(crate) written: &'a HttpRule,
    label: Arc<str>,
    backends: Backends,
    mirrors: Vec<Mirror>,
}

/// The rules of a route with their backends; a broken one is a fault and stays in its place.
pub(crate) fn drafts<'a>(
    route: &'a Key,
    source: &'a HttpRoute,
    catalog: &Catalog<'_>,
    faults: &mut Vec<Invalid>,
) -> Vec<Draft<'a>> {
    let rules = source.spec.rules.iter().enumerate();
    rules
        .map(|(index, written)| Draft {
            route,
            index,
            written,
            label: label(route, index, written),
            backends: Backends::new(backends(route, index, written, catalog, faults)),
            mirrors: {
                let path = format!("spec.rules[{index}]");
                mirrors(route, &path, &written.filters, catalog, faults)
            },
        })
        .collect()
}

fn label(route: &Key, index: usize, rule: &HttpRule) -> Arc<str> {
    let Key { namespace, name, .. } = route;
    match &rule.name {
        Some(rule) => format!("{namespace}/{name}/{rule}").into(),
        None => format!("{namespace}/{name}/{index}").into(),
    }
}

fn backends(
    route: &Key,
    index: usize,
    rule: &HttpRule,
    catalog: &Catalog<'_>,
    faults: &mut Vec<Invalid>,
) -> Vec<Backend> {
    let redirects = rule.filters.iter().any(|filter| filter.request_redirect.is_some());
    if rule.backend_refs.is_empty() && !redirects {
        let reason = "neither backends nor a redirect: requests are answered 500";
        faults.push(fault(route, &format!("spec.rules[{index}]"), reason));
        return vec![Backend::whole(Target::Broken(Reason::NoBackend))];
    }
    let mut backends = Vec::with_capacity(rule.backend_refs.len());
    for (at, written) in rule.backend_refs.iter().enumerate() {
        let path = format!("spec.rules[{index}].backendRefs[{at}]");
        let target = catalog.target(route, &written.target());
        let mut target = target.unwrap_or_else(|(broken, reason)| {
            faults.push(fault(route, &path, reason));
            Target::Broken(broken)
        });
        let filters = match written.filters.as_slice() {
            [] => None,
            some => match Chain::compile(Vec::new(), some) {
                Ok(chain) => {
                    let mirrors = mirrors(route, &path, some, catalog, faults);
                    Some(Arc::new(Filters { chain, mirrors }))
                }
                Err(error) => {
                    faults.push(fault(route, &format!("{path}.filters"), error.to_string()));
                    target = Target::Broken(Reason::PolicyUnreadable);
                    None
                }
            },
        };
        backends.push(Backend { weight: written.weight, target, filters });
    }
    backends
}

/// Where the filters at `path` send copies.
fn mirrors(
    route: &Key,
    path: &str,
    filters: &[HttpFilter],
    catalog: &Catalog<'_>,
    faults: &mut Vec<Invalid>,
) -> Vec<Mirror> {
    let mut mirrors = Vec::new();
    for (at, filter) in filters.iter().enumerate() {
        let Some(written) = &filter.request_mirror else { continue };
        let target = catalog.target(route, &written.backend_ref);
        let target = target.unwrap_or_else(|(broken, reason)| {
            let path = format!("{path}.filters[{at}].requestMirror.backendRef");
            faults.push(fault(route, &path, reason));
            Target::Broken(broken)
        });
        let (numerator, denominator) = share(written);
        mirrors.push(Mirror { target, numerator, denominator });
    }
    mirrors
}

/// Of how many requests, how many are copied.
fn share(mirror: &RequestMirror) -> (u32, u32) {
    match (mirror.fraction, mirror.percent) {
        (Some(fraction), _) => (fraction.numerator, fraction.denominator.max(1)),
        (None, Some(percent)) => (u32::from(percent), 100),
        (None, None) => (1, 1),
    }
}

impl Draft<'_> {
    /// The rule under these policies, within this border. A chain that does not compile closes the rule.
    pub(crate) fn rule(
        &self,
        levels: Vec<Arc<Level>>,
        border: Border,
        faults: &mut Vec<Invalid>,
    ) -> Option<Rule> {
        let chain = Chain::compile(levels, &self.written.filters).or_else(|error| {
            let path = format!("spec.rules[{}].filters", self.index);
            let fault = fault(self.route, &path, error.to_string());
            if !faults.contains(&fault) {
                faults.push(fault);
            }
            let closed = Arc::new(Level::Closed { key: self.route.clone() });
            Chain::compile(vec![closed], &[])
        });
        let timeouts = self.written.timeouts.unwrap_or_default();
        Some(Rule {
            route: self.route.clone(),
            index: self.index,
            name: self.written.name.clone(),
            label: Arc::clone(&self.label),
            chain: chain.ok()?.within(border),
            backends: self.backends.clone(),
            mirrors: self.mirrors.clone(),
            request_timeout: timeouts.request_bound(),
            backend_timeout: backend_timeout(timeouts),
            retry: self.written.retry.as_ref().map(retry).map(Box::new),
            session: Session::of(self.route, self.index, self.written).map(Box::new),
        })
    }
}

fn retry(written: &model::route::Retry) -> Retry {
    let mut codes = written.codes.clone();
    codes.sort_unstable();
    codes.dedup();
    Retry { codes: codes.into(), attempts: written.attempts, backoff: written.backoff() }
}

/// The bound of each try. A rule that says `0s`, or only how long the whole may take, wants none of
/// the proxy's own.
fn backend_timeout(timeouts: Timeouts) -> Option<Duration> {
    let written = timeouts.request.is_some() || timeouts.backend_request.is_some();
    timeouts.backend_bound().or(written.then_some(Rule::UNBOUNDED))
}
