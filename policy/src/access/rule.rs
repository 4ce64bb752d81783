//! One rule: its conditions, cheapest first, and the first that does not hold.

use std::fmt::Display;
use std::net::IpAddr;
use std::sync::Arc;

use http::Method;
use model::identity::Peer;
use model::policy::{AccessRule, Action, WorkloadMatch};
use model::{Checker, Hostname, Name};

use super::caller::Caller;
use super::rules::Hook;
use super::sources::Sources;
use crate::authn::{Known, Someone};
use crate::facts::{Facts, Scheme};
use crate::headers::{is_credential, is_nominated};
use crate::pattern::{HeaderPattern, PathPattern};
use crate::principal::Principal;
use crate::span::{Moment, Span};

/// What an allow rule sees in a header by which we tell who is calling.
pub(crate) const OURS: &str = "none that goes on, since it tells who is calling";

/// A rule, ready to judge. What is empty asks nothing.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) name: Arc<Name>,
    action: Action,
    methods: MethodSet,
    sources: Sources,
    hosts: Vec<Hostname>,
    paths: Vec<PathPattern>,
    callers: Vec<Caller>,
    headers: Vec<HeaderPattern>,
    peers: Vec<PeerPattern>,
    times: Vec<Span>,
}

/// Who may be at the other end in the mesh.
#[derive(Debug)]
struct PeerPattern {
    /// Any where its workspace is, where there is none.
    cluster: Option<Name>,
    of: Of,
}

#[derive(Debug)]
enum Of {
    Gateway(Name),
    /// Of a namespace; any service account of it where there is none.
    Workload(Name, Option<Name>),
}

impl PeerPattern {
    /// Of a policy in `namespace`.
    fn compile(from: &WorkloadMatch, namespace: &Name) -> Self {
        let of = match &from.gateway {
            Some(name) => Of::Gateway(name.clone()),
            None => {
                let namespace = from.namespace.as_ref().unwrap_or(namespace);
                Of::Workload(namespace.clone(), from.service_account.clone())
            }
        };
        PeerPattern { cluster: from.cluster.clone(), of }
    }

    fn matches(&self, peer: &Peer) -> bool {
        let is_of = match (&self.of, peer) {
            (Of::Gateway(wanted), Peer::Gateway { name, .. }) => wanted == name,
            (Of::Workload(wanted, account), Peer::Workload { namespace, service_account, .. }) => {
                wanted == namespace
                    && account.as_ref().is_none_or(|account| account == service_account)
            }
            (Of::Gateway(_), Peer::Workload { .. }) | (Of::Workload(..), Peer::Gateway { .. }) => {
                false
            }
        };
        is_of && self.cluster.as_ref().is_none_or(|cluster| cluster == peer.cluster())
    }
}

impl Display for PeerPattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.of {
            Of::Gateway(name) => write!(f, "gateway {name}")?,
            Of::Workload(namespace, Some(account)) => write!(f, "workload {namespace}/{account}")?,
            Of::Workload(namespace, None) => write!(f, "any workload of {namespace}")?,
        }
        match &self.cluster {
            Some(cluster) => write!(f, " of {cluster}"),
            None => Ok(()),
        }
    }
}

/// What a rule may ask, in the order in which it is asked: cheapest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Condition {
    Methods,
    Times,
    Sources,
    Workloads,
    Hosts,
    Callers,
    Paths,
    Headers,
}

impl Condition {
    /// In the order in which they are asked.
    const ALL: [Condition; 8] = [
        Condition::Methods,
        Condition::Times,
        Condition::Sources,
        Condition::Workloads,
        Condition::Hosts,
        Condition::Callers,
        Condition::Paths,
        Condition::Headers,
    ];

    /// Whether it asks for what a connection tells; else a request is needed to tell whether it holds.
    /// Its host is the server name that TLS asks for, if it asks for one.
    fn is_told_by(self, connection: &Facts<'_>) -> bool {
        match self {
            Condition::Times | Condition::Sources | Condition::Workloads => true,
            Condition::Hosts => connection.scheme == Scheme::Https && !connection.host.is_empty(),
            Condition::Methods | Condition::Callers | Condition::Paths | Condition::Headers => {
                false
            }
        }
    }

    /// The field of `when`.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Condition::Methods => "methods",
            Condition::Times => "times",
            Condition::Sources => "sources",
            Condition::Workloads => "workloads",
            Condition::Hosts => "hosts",
            Condition::Callers => "callers",
            Condition::Paths => "paths",
            Condition::Headers => "headers",
        }
    }
}

/// The facts as the rules of one level see them, with what each would else work out again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen<'a> {
    pub(crate) facts: &'a Facts<'a>,
    pub(crate) known: &'a Known,
    /// Principals of this level and broader ones count.
    pub(crate) level: usize,
    method: MethodSet,
    source: IpAddr,
}

impl<'a> Seen<'a> {
    pub(crate) fn new(facts: &'a Facts<'a>, known: &'a Known) -> Self {
        let method = MethodSet::of(facts.method);
        Seen { facts, known, level: 0, method, source: facts.source.to_canonical() }
    }

    pub(crate) fn at(self, level: usize) -> Self {
        Seen { level, ..self }
    }

    pub(crate) fn source(&self) -> IpAddr {
        self.source
    }
}

impl Rule {
    /// Compiles `from`. A rule that is incomplete since a fault was reported to `at` is never
    /// judged: a fault refuses the whole policy.
    /// What names no namespace or Api means that of its policy.
    pub(crate) fn compile(
        from: &AccessRule,
        (namespace, api): (&Name, Option<&Name>),
        at: &mut Checker,
    ) -> Self {
        let when = &from.when;
        let peer = |one| PeerPattern::compile(one, namespace);
        let mut rule = Rule {
            name: Arc::new(from.name.clone()),
            action: from.action,
            methods: when.methods.iter().fold(MethodSet(0), |set, method| {
                MethodSet(set.0 | MethodSet::named(method.as_str()).0)
            }),
            sources: Sources::new(&when.sources),
            hosts: when.hosts.clone(),
            paths: Vec::new(),
            callers: Vec::new(),
            headers: Vec::new(),
            peers: when.workloads.iter().map(peer).collect(),
            times: when.times.iter().map(Span::compile).collect(),
        };
        at.within("when", |at| {
            at.each("paths", &when.paths, |at, path| match PathPattern::compile(path) {
                Ok(path) => rule.paths.push(path),
                Err(fault) => at.fault(fault.to_string()),
            });
            at.each("callers", &when.callers, |at, caller| {
                rule.callers.push(Caller::compile(caller, (namespace, api), at));
            });
            at.each("headers", &when.headers, |at, header| match HeaderPattern::compile(header) {
                Ok(header) => rule.headers.push(header),
                Err(fault) => at.fault(fault.to_string()),
            });
        });
        rule
    }

    /// What it hangs on, one list for each dimension in which every entry names something:
    /// a request that it means brings one hook of every list.
    pub(super) fn hooks(&self) -> Vec<Vec<Hook<'_>>> {
        let callers = self.callers.iter().map(Caller::hook).collect::<Option<Vec<_>>>();
        let hosts = self.hosts.iter();
        let hosts = hosts.map(|host| Hook::Host(host.suffix().unwrap_or(host.as_str()))).collect();
        let paths = self.paths.iter();
        let paths = paths.map(|path| path.exact().or(path.prefix()).map(Hook::Path));
        let paths = paths.collect::<Option<Vec<_>>>();
        let dimensions = [callers, Some(hosts), Some(self.sources.hooks()), paths];
        dimensions.into_iter().flatten().filter(|hooks| !hooks.is_empty()).collect()
    }

    /// Whether the rule means what is seen.
    pub(crate) fn matches(&self, seen: &Seen<'_>) -> bool {
        self.first_failing(seen).is_none()
    }

    /// The first condition that does not hold.
    pub(crate) fn first_failing(&self, seen: &Seen<'_>) -> Option<Condition> {
        if !seen.facts.layer.is_read() {
            return self.failing(seen).first().copied();
        }
        // One by one, since this runs for each rule that is asked: each is known when it is compiled.
        macro_rules! first {
            ($($condition:ident),+) => {
                $(if self.fails(Condition::$condition, seen) {
                    return Some(Condition::$condition);
                })+
            };
        }
        first!(Methods, Times, Sources, Workloads, Hosts, Callers, Paths, Headers);
        None
    }

    /// How many conditions it sets: of two that mean a request, the one with more means less besides.
    pub(crate) fn conditions(&self) -> usize {
        Condition::ALL.into_iter().filter(|condition| self.sets(*condition)).count()
    }

    fn sets(&self, condition: Condition) -> bool {
        match condition {
            Condition::Methods => self.methods.0 != 0,
            Condition::Times => !self.times.is_empty(),
            Condition::Sources => !self.sources.is_empty(),
            Condition::Workloads => !self.peers.is_empty(),
            Condition::Hosts => !self.hosts.is_empty(),
            Condition::Callers => !self.callers.is_empty(),
            Condition::Paths => !self.paths.is_empty(),
            Condition::Headers => !self.headers.is_empty(),
        }
    }

    /// Every condition that does not hold.
    pub(crate) fn failing(&self, seen: &Seen<'_>) -> Vec<Condition> {
        let fails = |condition: &Condition| match self.is_untold(*condition, seen) {
            true => self.action == Action::Allow,
            false => self.fails(*condition, seen),
        };
        Condition::ALL.into_iter().filter(fails).collect()
    }

    /// What it asks for and nobody can tell of what is seen. Of such a condition a rule that allows takes
    /// the worse, and one that denies the better.
    pub(crate) fn untold(&self, seen: &Seen<'_>) -> Vec<Condition> {
        let is_untold = |condition: &Condition| self.is_untold(*condition, seen);
        Condition::ALL.into_iter().filter(is_untold).collect()
    }

    fn is_untold(&self, condition: Condition, seen: &Seen<'_>) -> bool {
        !seen.facts.layer.is_read() && !condition.is_told_by(seen.facts) && self.sets(condition)
    }

    #[inline(always)]
    fn fails(&self, condition: Condition, seen: &Seen<'_>) -> bool {
        let facts = seen.facts;
        match condition {
            Condition::Methods => self.methods.0 != 0 && self.methods.0 & seen.method.0 == 0,
            Condition::Times => {
                !self.times.is_empty() && !self.times.iter().any(|span| span.holds(facts.now))
            }
            Condition::Sources => !self.sources.is_empty() && !self.sources.contains(seen.source),
            Condition::Workloads => {
                let is_peer = |peer: &Peer| self.peers.iter().any(|wanted| wanted.matches(peer));
                !self.peers.is_empty() && !facts.peer.is_some_and(is_peer)
            }
            Condition::Hosts => {
                !self.hosts.is_empty() && !self.hosts.iter().any(|host| host.matches(facts.host))
            }
            Condition::Callers => !self.callers.is_empty() && self.caller(seen).is_none(),
            Condition::Paths => {
                !self.paths.is_empty() && !self.paths.iter().any(|path| path.matches(facts.path))
            }
            Condition::Headers => !self.headers.iter().all(|header| self.holds(header, seen)),
        }
    }

    /// Whether the header has the value, and goes on with it: one that `Connection` names counts as absent, since
    /// the backend does not get it. For a rule that allows so does one by which only we tell who is calling; what
    /// denies by it goes by what came.
    fn holds(&self, header: &HeaderPattern, seen: &Seen<'_>) -> bool {
        let (name, headers) = (header.name(), seen.facts.headers);
        header.matches(headers)
            && !is_nominated(name, headers)
            && !(self.action == Action::Allow && seen.known.is_told_by(name, seen.level))
    }

    /// The caller that the rule's `callers` name, if they name one that is known.
    pub(crate) fn caller<'k>(&self, seen: &Seen<'k>) -> Option<&'k Arc<Principal>> {
        let fits = |one: &&Someone| self.callers.iter().any(|caller| caller.means(one));
        seen.known.at(seen.level).find(fits).map(|one| &one.principal)
    }

    /// What `condition` would have needed, and what it saw instead.
    pub(crate) fn describe(&self, condition: Condition, seen: &Seen<'_>) -> (String, String) {
        let (wanted, saw) = self.wanted_and_seen(condition, seen);
        match self.is_untold(condition, seen) {
            true => (wanted, "a TCP connection, which does not tell".to_owned()),
            false => (wanted, saw),
        }
    }

    fn wanted_and_seen(&self, condition: Condition, seen: &Seen<'_>) -> (String, String) {
        let facts = seen.facts;
        match condition {
            Condition::Methods => (self.methods.to_string(), facts.method.to_string()),
            Condition::Times => (some_of(self.times.iter()), Moment(facts.now).to_string()),
            Condition::Sources => (self.sources.to_string(), seen.source().to_string()),
            Condition::Workloads => {
                let peer = facts.peer.map(ToString::to_string);
                (some_of(self.peers.iter()), shown(&peer.unwrap_or_default()))
            }
            Condition::Hosts => (some_of(self.hosts.iter()), shown(facts.host)),
            Condition::Callers => {
                let callers = some_of(seen.known.at(seen.level));
                let known = if callers.is_empty() { "nobody".to_owned() } else { callers };
                (some_of(self.callers.iter()), known)
            }
            Condition::Paths => (some_of(self.paths.iter()), facts.path.to_owned()),
            Condition::Headers => {
                let failing = self.headers.iter().find(|header| !self.holds(header, seen));
                failing
                    .map(|header| (header.to_string(), seen_header(header, seen)))
                    .unwrap_or_default()
            }
        }
    }
}

fn shown(text: &str) -> String {
    if text.is_empty() { "none".to_owned() } else { text.to_owned() }
}

/// The header's value, unless it may prove who somebody is.
fn seen_header(header: &HeaderPattern, seen: &Seen<'_>) -> String {
    let name = header.name();
    let headers = seen.facts.headers;
    let is_secret = |name: &http::HeaderName| {
        is_credential(name)
            || seen.known.is_credential(name)
            || headers.get_all(name).iter().any(http::HeaderValue::is_sensitive)
    };
    if !headers.contains_key(name) {
        "none".to_owned()
    } else if is_nominated(name, headers) {
        "none that goes on, since 'connection' names it".to_owned()
    } else if seen.known.is_told_by(name, seen.level) {
        OURS.to_owned()
    } else if is_secret(name) {
        "a value that is not shown".to_owned()
    } else {
        String::from_utf8_lossy(&crate::pattern::joined(headers, name)).into_owned()
    }
}

/// The first three, and how many more.
pub(super) fn some_of<T: Display>(items: impl Iterator<Item = T>) -> String {
    let (mut words, mut more) = (Vec::new(), 0);
    for item in items {
        if words.len() < 3 { words.push(item.to_string()) } else { more += 1 }
    }
    let text = words.join(", ");
    if more > 0 { format!("{text} and {more} more") } else { text }
}

/// Methods as bits, one for each that a rule may name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct MethodSet(u16);

impl MethodSet {
    const NAMES: [&'static str; 9] =
        ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];

    /// The bit of `method`; none for a method that no rule can name.
    fn of(method: &Method) -> Self {
        Self::named(method.as_str())
    }

    fn named(name: &str) -> Self {
        MethodSet(Self::NAMES.iter().position(|one| *one == name).map_or(0, |bit| 1 << bit))
    }
}

impl Display for MethodSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let is_in = |bit: &usize| self.0 & (1 << bit) != 0;
        let names: Vec<_> =
            (0..Self::NAMES.len()).filter(is_in).map(|bit| Self::NAMES[bit]).collect();
        f.write_str(&names.join(", "))
    }
}
