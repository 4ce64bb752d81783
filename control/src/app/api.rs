//! The catalogue: every Api with whose it is, where in its life, and how its requests go.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use foldhash::HashMap;
use model::api::{Api, Lifecycle};
use model::{Key, Kind, Name, Resource, Scope};
use time::OffsetDateTime;
use wire::Side;

use super::resource::Page;
use super::sight::{Reach, Reaches, Sight};
use super::traffic::Eyes;
use super::{App, Op};
use crate::moment::{micros, time};
use crate::refusal::Refusal;
use crate::traffic::{COARSE, Cell, FINE, Grain, Label, Traffic};

mod one;

pub use one::{Access, ApiInFull, ApiRoute, May, Split};

/// The requests of a list are those of the last so long.
const MINUTE: Duration = Duration::from_secs(60);
/// Of a backend with fewer requests nobody can say that it is slow.
const TELLING: u64 = 5;

/// Which Apis a list shows: all that is given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ApiListing {
    /// Whose name, namespace, title or owner has this in it, whatever the case of its letters.
    pub text: Option<String>,
    /// That this Team owns.
    pub owner: Option<Name>,
    /// That a team owns in which who asks is.
    pub own: bool,
    /// That are there in their life.
    pub lifecycle: Option<Lifecycle>,
    /// In which order.
    pub order: ApiOrder,
    /// Those behind this one, in that order.
    pub after: Option<Key>,
    /// At most so many.
    pub limit: usize,
}

/// An order of Apis; what is alike in it is in the order of keys.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ApiOrder {
    /// By namespace and name.
    #[default]
    Name,
    /// By the team that owns them.
    Owner,
    /// Most requests first.
    Requests,
    /// The greatest share of errors first.
    Errors,
    /// The last changed first.
    Changed,
}

/// An Api in the catalogue.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiRow {
    /// Which.
    pub key: Key,
    /// What it says.
    pub api: Arc<Api>,
    /// Its generation.
    pub generation: i64,
    /// How many routes it has that may be seen.
    pub routes: usize,
    /// The requests of its routes, as far as they may be seen.
    pub requests: Flow,
    /// The last change of it, or of what belongs to it, that may be seen.
    pub changed: Option<Changed>,
}

/// Requests of a stretch of time.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Flow {
    /// All of them.
    pub sum: Cell,
    /// How long the stretch is, in seconds.
    pub seconds: f64,
    /// What they were sent to that took longest: the Service's port, as NAMESPACE/NAME:PORT, and the
    /// 99th percentile of what it took, in microseconds.
    pub slowest: Option<(String, u64)>,
}

/// A change in short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// Its revision.
    pub revision: i64,
    /// When.
    pub at: OffsetDateTime,
    /// Who.
    pub actor: String,
}

impl Flow {
    /// Requests a second.
    pub fn rate(&self) -> f64 {
        if self.seconds > 0.0 { self.sum.requests() as f64 / self.seconds } else { 0.0 }
    }

    /// The share of requests that got no good answer for no fault of who asked, from 0 to 1.
    pub fn error_ratio(&self) -> f64 {
        match self.sum.requests() {
            0 => 0.0,
            requests => self.sum.errors() as f64 / requests as f64,
        }
    }
}

impl App {
    /// The Apis that who asks may read.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub async fn api_list(
        &self,
        op: &Op,
        listing: ApiListing,
    ) -> Result<Page<ApiRow, Key>, Refusal> {
        let (sight, now) = (Sight::new(op, self.world().await?), micros(op.now));
        let revision = sight.world.revision;
        let (traffic, actor) = (Arc::clone(self.traffic()), op.actor.clone());
        let (mut items, next) = self
            .aside(move || {
                let own: Option<BTreeSet<Name>> = listing
                    .own
                    .then(|| sight.world.directory.teams(&actor).into_iter().cloned().collect());
                let mut rows = found(&sight, |_, api| listing.shows(api, own.as_ref()));
                // Of most orders only what the page shows has to be looked at.
                let sight = match listing.order {
                    ApiOrder::Name | ApiOrder::Owner => sight,
                    ApiOrder::Changed => {
                        belongings(&mut rows, &sight);
                        sight
                    }
                    ApiOrder::Requests | ApiOrder::Errors => weigh(&mut rows, &traffic, sight, now),
                };
                listing.order.sort(&mut rows);
                let (mut rows, next) = listing.cut(rows);
                if listing.order != ApiOrder::Changed {
                    belongings(&mut rows, &sight);
                }
                flow(&mut rows, &traffic, sight, now);
                (rows, next)
            })
            .await?;
        let made = items.iter().map(|found| found.revision).collect();
        let made = self.changes_of(&made).await?;
        for found in &mut items {
            found.row.changed = made.get(&found.revision).cloned();
        }
        let items = items.into_iter().map(|found| found.row).collect();
        Ok(Page { items, next, revision })
    }

    /// These revisions in short.
    async fn changes_of(&self, made: &BTreeSet<i64>) -> Result<BTreeMap<i64, Changed>, Refusal> {
        let all = self.store.revisions_of(made).await?.into_iter();
        let short = all.map(|one| {
            let (revision, at, actor) = (one.revision, time(one.at), one.actor);
            (revision, Changed { revision, at, actor })
        });
        Ok(short.collect())
    }
}

/// An Api that is found, on its way to a list.
struct Found {
    row: ApiRow,
    scope: Scope,
    /// That last changed something of it.
    revision: i64,
}

/// Every Api that is wanted and may be read, in the order of keys.
fn found(sight: &Sight, wanted: impl Fn(&Key, &Api) -> bool) -> Vec<Found> {
    let mut rows = Vec::new();
    for (key, object) in sight.world.of_kind(Kind::Api) {
        let Resource::Api(api) = &object.resource else { continue };
        if !wanted(key, api) || !sight.sees(key, object) {
            continue;
        }
        let scope = sight.world.directory.scope(&key.namespace);
        let row = ApiRow {
            key: key.clone(),
            api: Arc::clone(api),
            generation: object.generation,
            routes: 0,
            requests: Flow::default(),
            changed: None,
        };
        rows.push(Found { row, scope, revision: object.revision });
    }
    rows
}

/// Tells each Api what belongs to it and may be seen: how many routes, and what changed last.
fn belongings(rows: &mut [Found], sight: &Sight) {
    let (world, mut reaches) = (&sight.world, Reaches::default());
    for found in rows {
        for one in world.belongings().all(&found.row.key.name) {
            let key = &one.key;
            if !world.is_in(&key.namespace, &found.scope) {
                continue;
            }
            let is_seen = match reaches.of(&sight.rights, key.kind, &found.scope) {
                Reach::All => true,
                Reach::Some => sight.object(key).is_some(),
                Reach::Nothing => false,
            };
            if is_seen {
                found.row.routes += usize::from(key.kind.is_route());
                found.revision = found.revision.max(one.revision);
            }
        }
    }
}

/// The last minute, in microseconds.
fn minute() -> i64 {
    i64::try_from(MINUTE.as_micros()).unwrap_or(i64::MAX)
}

/// Tells each Api how many requests its routes had in the last minute, and nothing else of them.
fn weigh(rows: &mut [Found], traffic: &Traffic, sight: Sight, now: i64) -> Sight {
    let mut viewer = Viewer::new(rows, sight);
    let sums = traffic.outcomes(FINE, (minute(), now), |label| viewer.of(label));
    for (place, outcomes) in sums {
        rows[place].row.requests.sum.outcomes = outcomes;
    }
    viewer.eyes.sight
}

/// Tells each Api the requests of its routes in the last minute.
fn flow(rows: &mut [Found], traffic: &Traffic, sight: Sight, now: i64) -> Sight {
    let mut viewer = Viewer::new(rows, sight);
    let sums = traffic
        .totals(FINE, (minute(), now), |label| Some((viewer.of(label)?, label.backend.clone())));
    let seconds = seconds(FINE, minute(), now);
    for found in &mut *rows {
        found.row.requests = Flow { seconds, ..Flow::default() };
    }
    for ((place, backend), sum) in sums {
        rows[place].row.requests.add(backend, &sum);
    }
    viewer.eyes.sight
}

/// Who looks at what was counted of some Apis.
struct Viewer {
    eyes: Eyes,
    /// Where each of them is, by its scope and its name.
    places: HashMap<Scope, HashMap<Name, usize>>,
}

impl Viewer {
    fn new(rows: &[Found], sight: Sight) -> Self {
        let mut places = HashMap::<_, HashMap<_, _>>::default();
        for (place, found) in rows.iter().enumerate() {
            let within = places.entry(found.scope.clone()).or_default();
            within.insert(found.row.key.name.clone(), place);
        }
        Viewer { eyes: Eyes::new(sight), places }
    }

    /// Where the Api is whose requests a label has, if they may be seen.
    fn of(&mut self, label: &Label) -> Option<usize> {
        // What comes to an application went through a rule of the Api before.
        if label.side == Side::Inbound {
            return None;
        }
        let place = *self.places.get(&label.scope)?.get(self.eyes.api_of(label)?)?;
        self.eyes.sees_route(label).then_some(place)
    }
}

impl Flow {
    fn add(&mut self, backend: Option<String>, cell: &Cell) {
        self.sum.merge(cell);
        let p99 = cell.latency.permille(990).filter(|_| cell.requests() >= TELLING);
        let Some((backend, p99)) = backend.zip(p99) else { return };
        let is_slower = |(other, slowest): &(String, u64)| {
            // Of two that are alike always the same is told.
            p99 > *slowest || p99 == *slowest && backend < *other
        };
        if self.slowest.as_ref().is_none_or(is_slower) {
            self.slowest = Some((backend, p99));
        }
    }
}

impl ApiListing {
    fn shows(&self, api: &Api, own: Option<&BTreeSet<Name>>) -> bool {
        let (meta, spec) = (&api.metadata, &api.spec);
        let has = |text: &String| {
            let text = text.to_lowercase();
            let said = [meta.name.as_str(), meta.namespace.as_str(), spec.owner.as_str()];
            let title = spec.title.to_lowercase();
            said.into_iter().any(|said| said.contains(&text)) || title.contains(&text)
        };
        self.owner.as_ref().is_none_or(|owner| spec.owner == *owner)
            && own.is_none_or(|own| own.contains(&spec.owner))
            && self.lifecycle.is_none_or(|lifecycle| spec.lifecycle == lifecycle)
            && self.text.as_ref().is_none_or(has)
    }

    /// The page that is asked for, and where the next one begins. Where what it is to follow is gone,
    /// only the order of names still knows where that was; in any other it is the end.
    fn cut(&self, rows: Vec<Found>) -> (Vec<Found>, Option<Key>) {
        let begins = match (&self.after, self.order) {
            (None, _) => 0,
            (Some(after), ApiOrder::Name) => rows.partition_point(|found| found.row.key <= *after),
            (Some(after), _) => {
                let at = rows.iter().position(|found| found.row.key == *after);
                at.map_or(rows.len(), |at| at + 1)
            }
        };
        let mut rest = rows.into_iter().skip(begins);
        let items: Vec<_> = rest.by_ref().take(self.limit).collect();
        let next = rest.next().and(items.last()).map(|last| last.row.key.clone());
        (items, next)
    }
}

impl ApiOrder {
    /// Every order with the word for it.
    pub const ALL: [(ApiOrder, &'static str); 5] = [
        (ApiOrder::Name, "name"),
        (ApiOrder::Owner, "owner"),
        (ApiOrder::Requests, "requests"),
        (ApiOrder::Errors, "errors"),
        (ApiOrder::Changed, "changed"),
    ];

    /// The word for it.
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(order, _)| *order == self).map_or("name", |(_, word)| word)
    }

    /// The order of this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, one)| *one == word).map(|(order, _)| *order)
    }

    /// Rows that are in the order of keys, which a stable sort keeps among equals.
    fn sort(self, rows: &mut [Found]) {
        match self {
            ApiOrder::Name => {}
            ApiOrder::Owner => rows.sort_by(|a, b| a.row.api.spec.owner.cmp(&b.row.api.spec.owner)),
            ApiOrder::Requests => {
                rows.sort_by_key(|found| std::cmp::Reverse(found.row.requests.sum.requests()))
            }
            ApiOrder::Errors => rows.sort_by(|a, b| {
                b.row.requests.error_ratio().total_cmp(&a.row.requests.error_ratio())
            }),
            ApiOrder::Changed => rows.sort_by_key(|found| std::cmp::Reverse(found.revision)),
        }
    }
}

/// All that was counted in these steps.
fn summed(cells: &BTreeMap<i64, Cell>) -> Cell {
    let mut sum = Cell::default();
    cells.values().for_each(|cell| sum.merge(cell));
    sum
}

/// How long it is since the first step of a window began.
fn seconds(grain: Grain, window: i64, now: i64) -> f64 {
    (now - grain.begins(grain.first(window, now))).max(0) as f64 / 1e6
}
