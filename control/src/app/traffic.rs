//! What was requested in the last minutes, as far as who asks may see it.
//!
//! ```text
//! may read the route               everything of it
//! may read what was called         who called, but no route, no rule, and no user by name
//! may read the workload that calls that it called, and whose that was
//! ```
//!
//! What looks alike once all else is taken away is one row, so nobody can count what they may not
//! tell apart.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use foldhash::{HashMap, HashSet};
use model::workload::Workload;
use model::{Kind, Name, Scope};
use store::decision::Teller;
use wire::{Caller, Key, Side};

use super::node::{Reader, reads_any};
use super::sight::{Reach, Reaches, Sight};
use super::{App, Op};
use crate::moment::micros;
use crate::refusal::Refusal;
use crate::traffic::{COARSE, Cell, FINE, Grain, Label, total};

/// Rows of one answer at most.
const ROWS: usize = 1_000;
/// Steps of one answer at most, over all its rows.
const STEPS: i64 = 3_000;

/// What is asked for.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Of what belongs there.
    pub scope: Option<Scope>,
    /// Of what lies there.
    pub namespace: Option<Name>,
    /// Of routes of this Api.
    pub api: Option<Name>,
    /// Of this route, by namespace and name.
    pub route: Option<(Name, Name)>,
    /// Sent there, by namespace and name, perhaps with a port.
    pub backend: Option<(Name, Name, Option<u16>)>,
    /// Of this caller, in words.
    pub caller: Option<String>,
    /// Counted by this node.
    pub node: Option<String>,
    /// Counted in this cluster.
    pub cluster: Option<String>,
    /// Counted on this side.
    pub side: Option<Side>,
    /// Of the last so long.
    pub window: Duration,
    /// In steps of so long too.
    pub step: Option<Duration>,
    /// What tells rows apart, besides the side.
    pub by: BTreeSet<Part>,
}

/// What may tell rows apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// What it led to.
    Route,
    /// The rule of that.
    Rule,
    /// What it was sent to.
    Backend,
    /// Who asked.
    Caller,
    /// Who counted.
    Node,
    /// Where that is.
    Cluster,
}

/// The requests of one kind; what is none may not be seen, or was not asked for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Row {
    /// On which side.
    pub side: Side,
    /// Whose it is.
    pub scope: Scope,
    /// What it led to.
    pub route: Option<Key>,
    /// The rule of that.
    pub rule: Option<String>,
    /// What it was sent to.
    pub backend: Option<String>,
    /// Who asked, such as `workload shop/front of east`.
    pub caller: Option<String>,
    /// Who counted.
    pub node: Option<String>,
    /// Where that is.
    pub cluster: Option<String>,
}

/// A row with what was counted.
#[derive(Debug, Clone, PartialEq)]
pub struct Sum {
    /// Of what.
    pub row: Row,
    /// All of it.
    pub sum: Cell,
    /// The steps, if they are asked for, in which there was any: when each begins, in microseconds
    /// since 1970, and what it has.
    pub steps: Vec<(i64, Cell)>,
}

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Rows {
    /// From when on, in microseconds since 1970.
    pub from: i64,
    /// Until when.
    pub to: i64,
    /// Most requests first.
    pub rows: Vec<Sum>,
    /// How many more there are, with fewer requests.
    pub more: usize,
    /// Nodes that you may see and that are connected, but tell this server nothing.
    pub unheard: Vec<String>,
}

impl Wanted {
    /// How time is cut for the window.
    pub(crate) fn grain(&self) -> Grain {
        if self.window <= Duration::from_secs(60) { FINE } else { COARSE }
    }
}

impl App {
    /// The requests that are asked for.
    ///
    /// # Errors
    /// [`Refusal::None`] where something is asked for by a name of which who asks may not know.
    pub async fn traffic_show(&self, op: &Op, wanted: Wanted) -> Result<Rows, Refusal> {
        let sight = Sight::new(op, self.world().await?);
        known(&sight, &wanted)?;
        let now = micros(op.now);
        let unheard = self.unheard(op, &sight, now).await?;
        let traffic = Arc::clone(&self.traffic);
        let (from, (rows, more)) = self
            .aside(move || {
                let (grain, window) = (wanted.grain(), micros_of(wanted.window));
                let room = match wanted.step {
                    Some(step) => rows_of((window / micros_of(step).max(1)).max(1)),
                    None => ROWS,
                };
                let mut eyes = Eyes::new(sight);
                let of = |label: &Label| eyes.row(label, &wanted);
                let (rows, more) = match wanted.step {
                    Some(step) => {
                        let count = micros_of(step) / grain.step;
                        // Steps are many, so only those of the rows that are told are put together.
                        let all = traffic.outcomes(grain, (window, now), of).into_iter();
                        let all = all.map(|(row, sum)| (row, total(&sum))).collect();
                        let (told, more) = most(all, room, |(row, sum)| (*sum, row));
                        let told: HashSet<_> = told.into_iter().map(|(row, _)| row).collect();
                        let of = |label: &Label| {
                            eyes.row(label, &wanted).filter(|row| told.contains(row))
                        };
                        let sums = traffic.sums(grain, (window, now), of).into_iter();
                        let rows = sums.map(|(row, cells)| summed(row, &cells, (grain, count)));
                        (rows.collect::<Vec<_>>(), more)
                    }
                    None => {
                        let sums = traffic.totals(grain, (window, now), of).into_iter();
                        (sums.map(|(row, sum)| Sum { row, sum, steps: Vec::new() }).collect(), 0)
                    }
                };
                let (rows, besides) = most(rows, room, |one| (one.sum.requests(), &one.row));
                (grain.begins(grain.first(window, now)), (rows, more + besides))
            })
            .await?;
        Ok(Rows { from, to: now, rows, more, unheard })
    }

    /// Nodes that are there and tell nothing, as a node does that tells another server.
    async fn unheard(&self, op: &Op, sight: &Sight, now: i64) -> Result<Vec<String>, Refusal> {
        let mut reader = Reader::new(sight.rights.clone());
        let nodes = self.nodes_seen(&mut reader, op.now).await?.into_iter();
        let unheard = nodes.filter(|(node, live)| {
            live.state != crate::NodeState::Away && !self.traffic.hears(&node.id, now)
        });
        Ok(unheard.map(|(node, _)| format!("{} of {}", node.name, node.cluster)).collect())
    }
}

/// Whether what is asked for by name may be known.
fn known(sight: &Sight, wanted: &Wanted) -> Result<(), Refusal> {
    let none = |what: &str| Err(Refusal::None(format!("such {what}")));
    let reads = |scope: &Scope| reads_any(&sight.rights, scope);
    if wanted.scope.as_ref().is_some_and(|scope| !is_there(sight, scope) || !reads(scope)) {
        return none("workspace");
    }
    let namespace = wanted.namespace.as_ref();
    if namespace.is_some_and(|namespace| !reads(&sight.world.directory.scope(namespace))) {
        return none("namespace");
    }
    let is_seen = |kinds: &[Kind], namespace: &Name, name: &Name| {
        let key = |kind: &Kind| model::Key::new(*kind, namespace.clone(), name.clone());
        kinds.iter().any(|kind| sight.object(&key(kind)).is_some())
    };
    let called = [Kind::Service, Kind::Workload];
    let routes = [&Kind::ROUTES[..], &called].concat();
    if wanted.route.as_ref().is_some_and(|(namespace, name)| !is_seen(&routes, namespace, name)) {
        return none("route");
    }
    let backend = wanted.backend.as_ref();
    if backend.is_some_and(|(namespace, name, _)| !is_seen(&called, namespace, name)) {
        return none("backend");
    }
    let is_api = |api: &Name| {
        let apis = sight.world.of_kind(Kind::Api);
        apis.filter(|(key, _)| key.name == *api).any(|(key, object)| sight.sees(key, object))
    };
    if wanted.api.as_ref().is_some_and(|api| !is_api(api)) {
        return none("Api");
    }
    Ok(())
}

fn is_there(sight: &Sight, scope: &Scope) -> bool {
    match scope {
        Scope::Platform => true,
        Scope::Workspace(name) => sight.world.directory.workspaces().any(|one| one == name),
    }
}

/// What may be seen of a label.
pub(super) struct Seen<'l> {
    side: Side,
    scope: &'l Scope,
    route: Option<&'l Key>,
    pub(super) rule: Option<&'l str>,
    pub(super) backend: Option<&'l str>,
    caller: Option<&'l Caller>,
    node: Option<&'l Teller>,
}

impl Seen<'_> {
    /// Whether it is asked for, as far as it says that itself: of its Api it knows nothing.
    fn is_wanted(&self, wanted: &Wanted) -> bool {
        let is = |wanted: &Option<String>, own: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| own == Some(wanted))
        };
        wanted.side.is_none_or(|side| side == self.side)
            && wanted.scope.as_ref().is_none_or(|scope| scope == self.scope)
            && wanted.namespace.as_ref().is_none_or(|namespace| self.is_in(namespace))
            && wanted.route.as_ref().is_none_or(|(namespace, name)| {
                self.route.is_some_and(|route| {
                    route.namespace == namespace.as_str() && route.name == name.as_str()
                })
            })
            && wanted.backend.as_ref().is_none_or(|wanted| self.goes_to(wanted))
            && (wanted.caller.is_none() || is(&wanted.caller, self.caller().as_deref()))
            && is(&wanted.node, self.node.map(|node| node.name.as_str()))
            && is(&wanted.cluster, self.node.map(|node| node.cluster.as_str()))
    }

    fn is_in(&self, namespace: &Name) -> bool {
        let of_backend = self.backend.and_then(|backend| backend.split_once('/'));
        let of_route = self.route.map(|route| route.namespace.as_str());
        of_route.or(of_backend.map(|(namespace, _)| namespace)) == Some(namespace.as_str())
    }

    fn goes_to(&self, (namespace, name, port): &(Name, Name, Option<u16>)) -> bool {
        let Some((whole, own)) = self.backend.and_then(|backend| backend.rsplit_once(':')) else {
            return false;
        };
        whole.split_once('/') == Some((namespace.as_str(), name.as_str()))
            && port.is_none_or(|port| own.parse().is_ok_and(|own: u16| own == port))
    }

    /// Who asked, in words.
    pub(super) fn caller(&self) -> Option<String> {
        self.caller.map(words)
    }

    /// The parts that are asked for.
    fn row(&self, by: &BTreeSet<Part>) -> Row {
        let has = |part| by.contains(&part);
        let node = |part| self.node.filter(|_| has(part));
        Row {
            side: self.side,
            scope: self.scope.clone(),
            route: self.route.filter(|_| has(Part::Route)).cloned(),
            rule: self.rule.filter(|_| has(Part::Rule)).map(str::to_owned),
            backend: self.backend.filter(|_| has(Part::Backend)).map(str::to_owned),
            caller: self.caller.filter(|_| has(Part::Caller)).map(words),
            node: node(Part::Node).map(|node| node.name.clone()),
            cluster: node(Part::Cluster).map(|node| node.cluster.clone()),
        }
    }
}

/// What one actor sees of labels.
pub(super) struct Eyes {
    pub(super) sight: Sight,
    /// Whether what a label leads to may be read while it belongs there, as was found before.
    seen: HashMap<Key, Vec<(Scope, i64, bool)>>,
    /// The same of what it was sent to, by the words for that.
    backends: HashMap<String, [Option<bool>; 2]>,
    reaches: Reaches,
}

impl Eyes {
    pub(super) fn new(sight: Sight) -> Self {
        // Found out here, and not while nodes wait to tell what they count.
        sight.world.belongings();
        let (seen, backends) = (HashMap::default(), HashMap::default());
        Eyes { sight, seen, backends, reaches: Reaches::default() }
    }

    /// The row that a label belongs to, if it may be seen and is asked for.
    fn row(&mut self, label: &Label, wanted: &Wanted) -> Option<Row> {
        if wanted.api.as_ref().is_some_and(|api| !self.is_of(label, api)) {
            return None;
        }
        let seen = self.seen(label)?;
        seen.is_wanted(wanted).then(|| seen.row(&wanted.by))
    }

    /// All that may be seen of a label.
    pub(super) fn seen<'l>(&mut self, label: &'l Label) -> Option<Seen<'l>> {
        let sees_route = match &label.route {
            Some(_) => self.sees_route(label),
            None if label.backend.is_none() => reads_any(&self.sight.rights, &label.scope),
            None => false,
        };
        // What may be read as a route needs no other reason.
        let sees_backend = !sees_route && self.sees_backend(label);
        let sees_caller = !sees_route && label.side == Side::Outbound && self.sees_own(label);
        if !(sees_route || sees_backend || sees_caller) {
            return None;
        }
        let is_user = matches!(
            label.caller,
            Some(Caller::Consumer { .. } | Caller::ApiKey(_) | Caller::Issuer(_))
        );
        Some(Seen {
            side: label.side,
            scope: &label.scope,
            route: label.route.as_ref().filter(|_| sees_route),
            rule: label.rule.as_deref().filter(|_| sees_route),
            backend: label.backend.as_deref().filter(|_| sees_route || sees_backend),
            caller: label.caller.as_ref().filter(|_| sees_route || !is_user),
            node: label.node.as_deref().filter(|_| sees_route || sees_caller),
        })
    }

    /// Whether what was called may be read.
    fn sees_backend(&mut self, label: &Label) -> bool {
        let Some(words) = label.backend.as_deref() else { return false };
        let is_inbound = label.side == Side::Inbound;
        let place = usize::from(is_inbound);
        if let Some(sees) = self.backends.get(words).and_then(|found| found[place]) {
            return sees;
        }
        let kind = if is_inbound { Kind::Workload } else { Kind::Service };
        let sees = object(kind, words).is_some_and(|backend| {
            let namespace = Name::parse(&backend.namespace);
            namespace.is_ok_and(|name| {
                let scope = self.sight.world.directory.scope(&name);
                self.sees(&backend, &scope, i64::MAX)
            })
        });
        self.backends.entry(words.to_owned()).or_default()[place] = Some(sees);
        sees
    }

    /// Whether the workload may be read whose proxy counted.
    fn sees_own(&mut self, label: &Label) -> bool {
        let node = label.node.as_ref().and_then(|node| Name::parse(&node.name).ok());
        node.and_then(|node| Workload::of_node(&node)).is_some_and(|workload| {
            let scope = self.sight.world.directory.scope(&workload.namespace);
            self.sees(&Key::from(&workload), &scope, i64::MAX)
        })
    }

    /// Whether an object may be read that stood at a time, and what it did then.
    fn sees(&mut self, key: &Key, scope: &Scope, at: i64) -> bool {
        let Some(kind) = Kind::parse(&key.kind) else { return false };
        match self.reaches.of(&self.sight.rights, kind, scope) {
            Reach::Nothing => return false,
            Reach::All if self.sight.world.directory.is_in(&key.namespace, scope) => return true,
            Reach::All | Reach::Some => {}
        }
        let mut before = self.seen.get(key).into_iter().flatten();
        if let Some((.., sees)) = before.find(|(one, then, _)| *then == at && one == scope) {
            return *sees;
        }
        let sees = key.known().is_some_and(|key| self.sight.decided(&key, scope, at));
        self.seen.entry(key.clone()).or_default().push((scope.clone(), at, sees));
        sees
    }

    /// The Api whose requests a label has; whether the route may be read is another question.
    pub(super) fn api_of(&self, label: &Label) -> Option<&Name> {
        self.sight.world.belongings().api(label.route.as_ref()?)
    }

    /// Whether what a label led to may be read.
    pub(super) fn sees_route(&mut self, label: &Label) -> bool {
        label.route.as_ref().is_some_and(|route| self.sees(route, &label.scope, label.made))
    }

    /// Whether a label has requests of this Api, by a route that may be read.
    pub(super) fn is_of(&mut self, label: &Label, api: &Name) -> bool {
        self.api_of(label) == Some(api) && self.sees_route(label)
    }
}

/// The object that a backend's words name.
fn object(kind: Kind, backend: &str) -> Option<Key> {
    let (namespace, rest) = backend.split_once('/')?;
    let (name, _) = rest.rsplit_once(':')?;
    let kind = kind.as_str().to_owned();
    Some(Key { kind, namespace: namespace.to_owned(), name: name.to_owned() })
}

/// A caller in words, as decisions name it.
fn words(caller: &Caller) -> String {
    match caller {
        Caller::Peer(peer) => peer.to_string(),
        Caller::Consumer { namespace, name } => format!("consumer:{namespace}/{name}"),
        Caller::ApiKey(name) => format!("apikey:{name}"),
        Caller::Issuer(issuer) => format!("jwt:{issuer}"),
        Caller::Others => "others".to_owned(),
    }
}

/// A row with its sum and its steps, of so many of the grain each.
fn summed(row: Row, cells: &BTreeMap<i64, Cell>, (grain, count): (Grain, i64)) -> Sum {
    let (mut sum, mut steps) = (Cell::default(), BTreeMap::<i64, Cell>::new());
    for (at, cell) in cells {
        sum.merge(cell);
        let begins = grain.begins(at - at.rem_euclid(count.max(1)));
        steps.entry(begins).or_default().merge(cell);
    }
    Sum { row, sum, steps: steps.into_iter().collect() }
}

/// How many rows of so many steps each have room in one answer.
fn rows_of(steps: i64) -> usize {
    usize::try_from((STEPS / steps).max(1)).unwrap_or(ROWS).min(ROWS)
}

/// Those with the most requests, at most so many, and how many there are besides.
fn most<T>(mut rows: Vec<T>, room: usize, of: impl Fn(&T) -> (u64, &Row)) -> (Vec<T>, usize) {
    let order = |one: &T, other: &T| {
        let ((few, one), (many, other)) = (of(one), of(other));
        many.cmp(&few).then_with(|| one.cmp(other))
    };
    let more = rows.len().saturating_sub(room);
    if more > 0 {
        rows.select_nth_unstable_by(room, order);
        rows.truncate(room);
    }
    rows.sort_unstable_by(order);
    (rows, more)
}

fn micros_of(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}
