//! What is written and never comes about: matches that no request meets, since the very same match of another rule
//! comes first wherever they are attached; and logins from which no browser comes back.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use model::route::{HttpMatch, Method, PathMatchType, ValueMatchType};
use model::{Invalid, Key, Kind};

use crate::Table;
use crate::isolate::fault;
use crate::precedence::By;
use crate::route::{Entry, Match};

/// What a match says of a request besides its host, and its path where that is known to be the same.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Said<'m> {
    expression: Option<&'m str>,
    method: Option<Method>,
    headers: Vec<(String, ValueMatchType, &'m str)>,
    queries: Vec<(&'m str, ValueMatchType, &'m str)>,
}

/// A match that another one comes before.
struct Second<'t> {
    entry: &'t Entry,
    /// The one that comes before it, in the place that was looked at first.
    first: &'t Entry,
    /// In how many places it comes second, and in how many it stands.
    places: (usize, usize),
}

impl Table {
    /// Matches of HTTPRoutes that can never win, each with the rule that always comes first. It names routes
    /// of whatever namespace, so it is for who may know of all.
    pub fn shadowed(&self) -> Vec<Invalid> {
        let mut seconds = self.seconds();
        if seconds.is_empty() {
            return Vec::new();
        }
        for entry in self.lists().flatten().filter(|entry| self.is_of_http(entry)) {
            if let Some(second) = seconds.get_mut(&order(&entry.of)) {
                second.places.1 += 1;
            }
        }
        let never = seconds.values().filter(|second| second.places.0 == second.places.1);
        never.map(|second| self.told(second)).collect()
    }

    /// Logins from which no browser comes back, or at which none logs out: no rule below the policy matches the path,
    /// or it is a broader login's.
    pub fn idle_logins(&self) -> Vec<Invalid> {
        let (mut met, mut idle) = (BTreeMap::new(), Vec::new());
        for rule in &self.rules {
            for login in rule.chain.logins() {
                met.entry(&*login.id).or_insert((login, [false; 2]));
            }
            idle.extend(rule.chain.idle_logins().map(|(login, owner)| {
                let path = format!("{}.callbackPath", login.path);
                let text = format!(
                    "'{}' is a path of the login '{}', which is attached more broadly: no browser is sent to log in \
                     here",
                    login.callback, owner.id
                );
                fault(&login.policy, &path, text)
            }));
        }
        if met.is_empty() {
            return idle;
        }
        for entry in self.lists().flatten() {
            for login in self.rules[entry.rule].chain.logins() {
                let Some((_, met)) = met.get_mut(&*login.id) else { continue };
                for (met, path) in met.iter_mut().zip([&login.callback, &login.logout]) {
                    *met |= entry.of.path.matches(path);
                }
            }
        }
        for (login, met) in met.into_values() {
            let fields = [("callbackPath", &login.callback), ("logoutPath", &login.logout)];
            let missed = fields.into_iter().zip(met).filter(|(_, met)| !met);
            idle.extend(missed.map(|((field, path), _)| {
                let text = format!(
                    "no rule below the policy matches '{path}': write a path that one does"
                );
                fault(&login.policy, &format!("{}.{field}", login.path), text)
            }));
        }
        idle.sort_by(|one, other| (&one.key, &one.path).cmp(&(&other.key, &other.path)));
        idle.dedup_by(|one, other| (&one.key, &one.path) == (&other.key, &other.path));
        idle
    }

    /// Matches that come second somewhere, by route, rule and place.
    fn seconds(&self) -> BTreeMap<(&str, usize, usize), Second<'_>> {
        let mut seconds = BTreeMap::new();
        for entries in self.lists().filter(|entries| entries.len() > 1) {
            let mut firsts: HashMap<Said<'_>, &Entry> = HashMap::new();
            for entry in entries.iter().filter(|entry| self.is_of_http(entry)) {
                let first = *firsts.entry(said(&entry.of)).or_insert(entry);
                if !Arc::ptr_eq(&first.of, &entry.of) {
                    let second = Second { entry, first, places: (0, 0) };
                    seconds.entry(order(&entry.of)).or_insert(second).places.0 += 1;
                }
            }
        }
        seconds
    }

    /// The matches that share listener, host and path, in the order of precedence.
    fn lists(&self) -> impl Iterator<Item = &[Entry]> {
        let serving = self.listeners.iter().filter(|listener| listener.is_serving());
        serving.flat_map(|listener| listener.routes.lists())
    }

    fn is_of_http(&self, entry: &Entry) -> bool {
        self.route(entry).kind == Kind::HttpRoute
    }

    /// Whose a match is.
    fn route(&self, entry: &Entry) -> &Key {
        &self.rules[entry.rule].route
    }

    fn told(&self, Second { entry, first, .. }: &Second<'_>) -> Invalid {
        let (route, other) = (self.route(entry), self.route(first));
        let why = match first.of.rank.compare(&entry.of.rank).1 {
            By::Age => format!("{other}, which is older,"),
            By::Name => format!("{other}, which comes earlier in the alphabet,"),
            By::Host | By::Path | By::Method | By::Headers | By::Queries | By::Order => {
                "this route itself, further up,".to_owned()
            }
        };
        let text = format!(
            "no request meets this match: {why} has the very same at {} for each listener and host",
            written_at(&first.of)
        );
        fault(route, &written_at(&entry.of), text)
    }
}

/// The order in which matches stand, by the names of their routes.
fn order(of: &Match) -> (&str, usize, usize) {
    (&of.rank.route, of.rank.rule, of.rank.index)
}

/// Where a match is written in its route; one that is not, and so means everything, is its rule's.
fn written_at(of: &Match) -> String {
    let (rule, index) = (of.rank.rule, of.rank.index);
    match of.written() {
        Some(_) => format!("spec.rules[{rule}].matches[{index}]"),
        None => format!("spec.rules[{rule}]"),
    }
}

fn said(of: &Match) -> Said<'_> {
    let Some(written) = of.written() else {
        return Said { expression: None, method: None, headers: Vec::new(), queries: Vec::new() };
    };
    let HttpMatch { path, headers, query_params, method } = written;
    let is_expression = path.kind == PathMatchType::RegularExpression;
    let headers = headers.iter();
    let headers = headers.map(|one| (one.name.to_ascii_lowercase(), one.kind, one.value.as_str()));
    let queries = query_params.iter().map(|one| (one.name.as_str(), one.kind, one.value.as_str()));
    let (mut headers, mut queries): (Vec<_>, Vec<_>) = (headers.collect(), queries.collect());
    headers.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    queries.sort_unstable_by_key(|one| one.0);
    let expression = is_expression.then_some(path.value.as_str());
    Said { expression, method: *method, headers, queries }
}
