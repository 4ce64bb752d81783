//! RateLimitPolicy: which counts a request goes into, and what is answered where one is used up.
//!
//! - Each limit that means a request names one count for it; whoever keeps the counts says whether there is
//!   room. Nothing here keeps any.
//! - A limit by address that asks nothing about who is calling comes before credentials are looked at. All others
//!   come once the request may pass, so that what is denied uses up nobody's share.
//! - Like a rule, a limit knows those callers only that count at its level, and of its Api.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{HeaderName, HeaderValue};
use ipnet::IpNet;
use model::limit::{CountedBy, CountedByType, RateLimit, RateLimitPolicy, Scope};
use model::policy::{AccessRule, Action, Conditions};
use model::{Checker, Invalid, Key, Kind, Name};

use crate::access::{Rule, RuleRef, Seen};
use crate::authn::{Known, Someone};
use crate::chain::Answer;
use crate::facts::{Facts, Layer};
use crate::level::{self, Level};
use crate::pattern::joined;
use crate::principal::Principal;
use crate::reason::Reason;
use crate::{claims, headers};

mod rate;

pub use model::limit::{FailureMode, Period};
pub use rate::{Count, Next, Rate, Take};

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// One policy, ready to count by.
#[derive(Debug)]
pub struct CompiledLimits {
    pub(crate) key: Arc<Key>,
    pub(crate) limits: Vec<Arc<Limit>>,
}

impl CompiledLimits {
    /// The policy it was made from.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// Its limits, as written.
    pub fn limits(&self) -> &[Arc<Limit>] {
        &self.limits
    }
}

/// One limit.
#[derive(Debug)]
pub struct Limit {
    policy: Arc<Key>,
    /// The Api whose callers it knows, beside those of none.
    api: Option<Name>,
    pub(crate) rule: Rule,
    by: Vec<By>,
    /// What the names of all its counts begin with: what it is called, how it counts and by what.
    counts: CountName,
    rate: Rate,
    /// What it says of itself, as such an item.
    quota: Box<str>,
    /// The same for people.
    words: Box<str>,
    pub(crate) dry_run: bool,
    is_early: bool,
    shared: Option<FailureMode>,
}

/// By what requests are counted apart.
#[derive(Debug)]
enum By {
    /// The leading bits of an address, of IPv4 and of IPv6.
    Address(u8, u8),
    Caller,
    Claim(String),
    Header(HeaderName),
    Workload,
    Host,
    Method,
    Path,
}

/// Limits whose counts may take room from each other: what strangers make up is to leave room to limits that are
/// asked later, and what is only tried to all. Their order stands in files of quotas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pool {
    /// Those that count all together, each in one count.
    Whole,
    /// Those that come before credentials are looked at.
    Early,
    /// Those that come once the request may pass.
    Late,
    /// Those that are only tried.
    Tried,
}

impl Pool {
    /// How many there are.
    pub const COUNT: usize = Pool::Tried as usize + 1;
}

/// One count into which a request goes.
#[derive(Debug, Clone)]
pub struct Charge {
    /// By what limit.
    pub limit: Arc<Limit>,
    /// What the count is called: the limit, and each value by which it counts apart. Of two counts it is never
    /// the same.
    pub name: Vec<u8>,
}

/// Compiles `policy`.
///
/// # Errors
/// Every fault at once: patterns that match nothing, callers that contradict themselves.
pub fn compile(policy: &RateLimitPolicy) -> Result<CompiledLimits, Vec<Invalid>> {
    let meta = &policy.metadata;
    let key = Key::new(Kind::RateLimitPolicy, meta.namespace.clone(), meta.name.clone());
    let key = Arc::new(key);
    let api = meta.labels.get(model::api::LABEL).and_then(|api| Name::parse(api).ok());
    let own = (&meta.namespace, api.as_ref());
    let (mut at, mut limits) = (Checker::default(), Vec::new());
    at.within("spec", |at| {
        at.each("limits", &policy.spec.limits, |at, limit| {
            limits.push(Arc::new(Limit::compile(limit, &key, own, at)));
        });
    });
    let faults = at.faults();
    if !faults.is_empty() {
        return Err(level::invalid(&key, faults));
    }
    Ok(CompiledLimits { key, limits })
}

impl Limit {
    fn compile(
        from: &RateLimit,
        policy: &Arc<Key>,
        own: (&Name, Option<&Name>),
        at: &mut Checker,
    ) -> Self {
        // What is not known of a request is not as asked for: so a rule that allows reads it.
        let rule =
            AccessRule { name: from.name.clone(), action: Action::Allow, when: from.when.clone() };
        let mut by = Vec::new();
        at.each("by", &from.by, |at, one| match By::compile(one) {
            Some(one) => by.push(one),
            None => at.fault_in("name", "has to say which"),
        });
        let rate = Rate::of(from);
        let mut counts = CountName(Vec::with_capacity(64));
        counts.add_all([policy.namespace.as_str(), policy.name.as_str(), from.name.as_str()]);
        counts.add(&rate.form());
        by.iter().for_each(|by| counts.add_way(by));
        let is_early = is_early(&from.when, &by);
        counts.add(&[u8::from(from.dry_run), u8::from(is_early)]);
        Limit {
            policy: Arc::clone(policy),
            api: own.1.cloned(),
            rule: Rule::compile(&rule, own, at),
            is_early,
            by,
            counts,
            rate,
            quota: quota(from, policy).into(),
            words: from.to_string().into(),
            dry_run: from.dry_run,
            shared: match from.scope {
                Scope::Local => None,
                Scope::Shared => Some(from.failure_mode.unwrap_or_default()),
            },
        }
    }

    /// How much may come.
    pub fn rate(&self) -> Rate {
        self.rate
    }

    /// Whether all proxies count together, and what becomes of a request when that cannot be.
    pub fn shared(&self) -> Option<FailureMode> {
        self.shared
    }

    /// Whether it holds in parts of the calendar, so that its counts are to outlive the process.
    pub fn is_quota(&self) -> bool {
        matches!(self.rate, Rate::Period { .. })
    }

    /// Whose counts its own may take room from, in its namespace.
    pub fn pool(&self) -> Pool {
        if self.by.is_empty() {
            Pool::Whole
        } else if self.dry_run {
            Pool::Tried
        } else if self.is_early {
            Pool::Early
        } else {
            Pool::Late
        }
    }

    /// The namespace of its policy.
    pub fn namespace(&self) -> &Name {
        &self.policy.namespace
    }

    /// Whether it lets pass what it would refuse.
    pub fn is_dry_run(&self) -> bool {
        self.dry_run
    }

    /// Where it stands.
    pub fn reference(&self) -> RuleRef {
        RuleRef { policy: Arc::clone(&self.policy), rule: Arc::clone(&self.rule.name) }
    }

    /// Those whom it may count as calling, the likeliest first: whom its own conditions name, whom `chosen` is,
    /// and the others.
    fn callers<'k>(
        &self,
        seen: &Seen<'k>,
        chosen: Option<&'k Arc<Principal>>,
    ) -> impl Iterator<Item = &'k Principal> {
        let own = |one: &&Someone| one.api.is_none() || one.api == self.api;
        let known = move || seen.known.at(seen.level).filter(own).map(|one| &one.principal);
        let is_known = |chosen: &&Arc<Principal>| known().any(|one| Arc::ptr_eq(one, chosen));
        let chosen = chosen.filter(is_known);
        self.rule.caller(seen).into_iter().chain(chosen).chain(known()).map(|one| &**one)
    }

    fn charge<'k>(self: &Arc<Self>, seen: &Seen<'k>, chosen: Option<&'k Arc<Principal>>) -> Charge {
        let mut name = CountName(Vec::with_capacity(self.counts.0.len() + 64));
        name.0.extend_from_slice(&self.counts.0);
        for by in &self.by {
            by.add_to(&mut name, seen, self.callers(seen, chosen));
        }
        Charge { limit: Arc::clone(self), name: name.0 }
    }

    /// What is left of it, as an item of a list of structured fields (RFC 9651).
    fn state(&self, Take { left, reset, .. }: Take) -> String {
        let item = item(&self.policy, &self.rule.name);
        format!("{item};r={left};t={}", seconds(reset))
    }
}

/// As explain and logs tell it.
impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

/// What a limit says of itself: how many may come in how many seconds; where a bucket counts, how many it holds and
/// how long it takes to fill.
fn quota(limit: &RateLimit, policy: &Key) -> String {
    let (item, requests) = (item(policy, &limit.name), u64::from(limit.requests));
    let window = match limit.period {
        Some(Period::Day) => 24 * 60 * 60,
        // Months differ, and nothing has to be said.
        Some(Period::Month) => return format!("{item};q={requests}"),
        None => limit.window.map(Duration::from).unwrap_or_default().as_secs(),
    };
    let (quota, window) = match limit.burst.map(u64::from) {
        Some(burst) => (burst, (burst * window).div_ceil(requests)),
        None => (requests, window),
    };
    format!("{item};q={quota};w={window}")
}

/// A limit as an item of a list of structured fields, which is of one name wherever it is told.
fn item(policy: &Key, limit: &Name) -> String {
    format!("\"{}/{}/{limit}\"", policy.namespace, policy.name)
}

/// Whether a limit bounds each address by itself and asks nothing that credentials, or what they tell, decide.
fn is_early(when: &Conditions, by: &[By]) -> bool {
    let asks_nobody = |by: &By| match by {
        By::Caller | By::Claim(_) | By::Header(_) => false,
        By::Address(..) | By::Workload | By::Host | By::Method | By::Path => true,
    };
    when.callers.is_empty()
        && when.headers.is_empty()
        && by.iter().any(|by| matches!(by, By::Address(..)))
        && by.iter().all(asks_nobody)
}

/// The name of a count, each part behind its length. By it counts are found in Redis and in files: another name is
/// another count.
#[derive(Debug)]
struct CountName(Vec<u8>);

impl CountName {
    fn add(&mut self, part: &[u8]) {
        // No part is as long as that: a head has an end.
        let length = u32::try_from(part.len()).unwrap_or(u32::MAX - 1);
        self.0.extend_from_slice(&length.to_be_bytes());
        self.0.extend_from_slice(part);
    }

    fn add_all<const N: usize>(&mut self, parts: [&str; N]) {
        parts.into_iter().for_each(|part| self.add(part.as_bytes()));
    }

    /// By what is counted, which is not by the same where it is called otherwise.
    fn add_way(&mut self, by: &By) {
        match by {
            By::Address(v4, v6) => {
                self.add(b"address");
                self.add(&[*v4, *v6]);
            }
            By::Claim(claim) => self.add_all(["claim", claim]),
            By::Header(header) => self.add_all(["header", header.as_str()]),
            By::Caller => self.add(b"caller"),
            By::Workload => self.add(b"workload"),
            By::Host => self.add(b"host"),
            By::Method => self.add(b"method"),
            By::Path => self.add(b"path"),
        }
    }

    fn add_caller(&mut self, caller: Option<&Principal>) {
        match caller {
            Some(Principal::Consumer { namespace, name }) => {
                self.add_all(["consumer", namespace.as_str(), name.as_str()]);
            }
            Some(Principal::ApiKey { name }) => self.add_all(["apikey", name]),
            Some(Principal::Jwt { issuer, subject, .. }) => {
                self.add_all(["jwt", issuer]);
                match subject {
                    Some(subject) => self.add(subject.as_bytes()),
                    None => self.add_none(),
                }
            }
            None => self.add_none(),
        }
    }

    /// What is not there, which is no value that could be there.
    fn add_none(&mut self) {
        self.0.extend_from_slice(&u32::MAX.to_be_bytes());
    }
}

impl By {
    /// `None` where its name is missing, or is none.
    fn compile(from: &CountedBy) -> Option<Self> {
        Some(match from.kind {
            CountedByType::Address => By::Address(
                from.ipv4_prefix_length.unwrap_or(32),
                from.ipv6_prefix_length.unwrap_or(64),
            ),
            CountedByType::Caller => By::Caller,
            CountedByType::Claim => By::Claim(from.name.clone()?),
            CountedByType::Header => {
                By::Header(HeaderName::from_bytes(from.name.as_ref()?.as_bytes()).ok()?)
            }
            CountedByType::Workload => By::Workload,
            CountedByType::Host => By::Host,
            CountedByType::Method => By::Method,
            CountedByType::Path => By::Path,
        })
    }

    /// Adds what is seen of it, where the first of these is calling.
    fn add_to<'k>(
        &self,
        name: &mut CountName,
        seen: &Seen<'_>,
        mut callers: impl Iterator<Item = &'k Principal>,
    ) {
        let facts = seen.facts;
        match self {
            By::Address(v4, v6) => name.add(&leading(seen.source(), *v4, *v6)),
            By::Caller => name.add_caller(callers.next()),
            By::Claim(claim) => {
                let claimed = callers.find_map(|caller| match caller {
                    Principal::Jwt { issuer, claims, .. } => {
                        Some((issuer, claims::first(claims, claim)?))
                    }
                    Principal::Consumer { .. } | Principal::ApiKey { .. } => None,
                });
                match claimed {
                    Some((issuer, value)) => {
                        name.add(issuer.as_bytes());
                        name.add(value.to_string().as_bytes());
                    }
                    None => name.add_none(),
                }
            }
            By::Header(header) => {
                let is_seen = facts.headers.contains_key(header)
                    && !headers::is_nominated(header, facts.headers)
                    && !seen.known.is_told_by(header, seen.level);
                match is_seen {
                    true => name.add(&joined(facts.headers, header)),
                    false => name.add_none(),
                }
            }
            By::Workload => match facts.peer {
                Some(peer) => name.add(peer.to_string().as_bytes()),
                None => name.add_none(),
            },
            By::Host => name.add(facts.host.as_bytes()),
            By::Method => name.add(facts.method.as_str().as_bytes()),
            By::Path => name.add(facts.path.as_bytes()),
        }
    }
}

/// The network of an address, in bytes.
fn leading(address: IpAddr, v4: u8, v6: u8) -> Vec<u8> {
    let length = if address.is_ipv4() { v4 } else { v6 };
    let net = IpNet::new(address, length).map_or(address, |net| net.network());
    match net {
        IpAddr::V4(net) => net.octets().to_vec(),
        IpAddr::V6(net) => net.octets().to_vec(),
    }
}

/// The limits of all levels, each with its level, gathered once: a policy that stands at several levels counts
/// at the narrowest alone, where most callers are known.
#[derive(Debug, Default)]
pub(crate) struct Limits {
    /// Those that come before credentials are looked at; those that are shared behind the others.
    pub(crate) early: Vec<(usize, Arc<Limit>)>,
    /// Those that come once the request may pass, in the same order.
    pub(crate) late: Vec<(usize, Arc<Limit>)>,
}

impl Limits {
    /// Those of `levels`, broadest first, if there are any.
    pub(crate) fn gather(levels: &[Arc<Level>]) -> Option<Box<Self>> {
        let mut limits = Limits::default();
        for (index, level) in levels.iter().enumerate() {
            for policy in level.limits() {
                if stands_in(&levels[index + 1..], policy) {
                    continue;
                }
                for limit in &policy.limits {
                    let list = if limit.is_early { &mut limits.early } else { &mut limits.late };
                    list.push((index, Arc::clone(limit)));
                }
            }
        }
        // What a proxy can refuse by itself is nothing to ask others about.
        for list in [&mut limits.early, &mut limits.late] {
            list.sort_by_key(|(_, limit)| limit.shared.is_some());
        }
        (!limits.early.is_empty() || !limits.late.is_empty()).then(|| Box::new(limits))
    }
}

/// Whether the policy stands at one of these levels, too.
pub(crate) fn stands_in(levels: &[Arc<Level>], policy: &CompiledLimits) -> bool {
    levels.iter().flat_map(|level| level.limits()).any(|other| other.key == policy.key)
}

/// The counts that a request goes into, of these limits; `chosen` is whom the rule named that lets it pass.
/// Datagrams go into none: whoever sends one may have written any address.
pub(crate) fn charges(
    limits: &[(usize, Arc<Limit>)],
    facts: &Facts<'_>,
    known: &Known,
    chosen: Option<&Arc<Principal>>,
) -> Vec<Charge> {
    if facts.layer == Layer::Datagrams {
        return Vec::new();
    }
    let seen = Seen::new(facts, known);
    let meant = limits.iter().filter_map(|(level, limit)| {
        let seen = seen.at(*level);
        limit.rule.matches(&seen).then(|| limit.charge(&seen, chosen))
    });
    meant.collect()
}

/// What follows from what was counted.
#[derive(Debug, Default)]
pub(crate) struct Counted {
    /// What callers are told of their limits.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    /// The limits that would refuse it, and are only tried.
    pub(crate) tried: Vec<RuleRef>,
    /// What is answered, where one is used up.
    pub(crate) refused: Option<Answer>,
}

impl Counted {
    /// Of `charges`, with what came of each up to the first that is used up. What is missing counts as that.
    pub(crate) fn new(charges: &[Charge], takes: &[Take]) -> Self {
        let mut counted = Counted::default();
        let mut told: Vec<(&Limit, Take)> = Vec::with_capacity(charges.len());
        for (index, Charge { limit, .. }) in charges.iter().enumerate() {
            let take = takes.get(index).copied().unwrap_or(Take::NO_ROOM);
            if limit.dry_run {
                counted.tried.extend((!take.granted).then(|| limit.reference()));
                continue;
            }
            // Of what could not be asked nobody knows what is left.
            if take.count != Count::Unasked {
                told.push((limit, take));
            }
            if !take.granted {
                // What was counted before it was given back.
                told.iter_mut().for_each(|(_, take)| take.left += u64::from(take.granted));
                counted.refused = Some(refusal(limit, take));
                break;
            }
        }
        if told.is_empty() {
            return counted;
        }
        let policies: Vec<_> = told.iter().map(|(limit, _)| &*limit.quota).collect();
        let states: Vec<_> = told.iter().map(|(limit, take)| limit.state(*take)).collect();
        let lists = [(RATE_LIMIT_POLICY, policies.join(", ")), (RATE_LIMIT, states.join(", "))];
        let said = lists.into_iter();
        let said = said.filter_map(|(name, list)| Some((name, HeaderValue::try_from(list).ok()?)));
        counted.headers = said.collect();
        counted
    }
}

fn refusal(limit: &Limit, take: Take) -> Answer {
    let wait = seconds(take.wait).max(1);
    let (reason, why) = match take.count {
        Count::Kept => (Reason::RateLimited, format!("there is room again in {wait} s")),
        Count::NoRoom => {
            let why = "more is counted here at once than there is room to count";
            (Reason::RateLimited, why.to_owned())
        }
        Count::Unasked => {
            let why = "what they have counted cannot be asked";
            (Reason::LimitUnreached, why.to_owned())
        }
    };
    let headers = vec![(RETRY_AFTER, HeaderValue::from(wait))];
    let (rule, detail) = (Some(limit.reference()), Some(format!("at most {limit}; {why}").into()));
    Answer { headers, rule, detail, ..Answer::new(reason) }
}

/// Whole seconds, so that what is said to be over by then is.
fn seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests;
