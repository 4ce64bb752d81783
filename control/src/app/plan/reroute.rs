//! The requests and connections that two worlds answer differently: one for each match is asked of both. Of what
//! applications call it tells nothing: that goes by no Gateway.

use std::collections::{BTreeMap, BTreeSet};

use model::access::{Asked, Rights};
use model::role::Verb;
use model::{Hostname, Key, Kind};
use policy::Scheme;
use table::Table;

use super::Rerouted;
use super::answer::Answer;
use super::sample::Sample;
use crate::draft::api_of;
use crate::world::World;

/// Requests that are named.
const NAMED: usize = 1000;

/// What is said in place of what may not be read.
pub(super) const ANOTHERS: &str = "another workspace's";

/// The sockets of both tables, each with the host names that listeners have there.
pub(super) type Ports = BTreeMap<(u16, Scheme), BTreeSet<Option<Hostname>>>;

/// Requests that go elsewhere in the second world, and how many more there are.
pub(super) fn reroutes(rights: &Rights, worlds: [&World; 2], now: i64) -> (Vec<Rerouted>, usize) {
    let tables = worlds.map(|world| &*world.assembly().table);
    let asked = Questions { rights, worlds, tables, now };
    let ports = ports(tables);
    let (mut named, mut told, mut more) = (Vec::new(), BTreeSet::new(), 0);
    for (world, key) in asked.routes() {
        let route = world.objects.get(key).and_then(|one| one.resource.as_route());
        let Some(route) = route else { continue };
        if route.is_of_services() {
            continue;
        }
        let mut last = None;
        for sample in Sample::all(key.kind, &route, &ports) {
            let Some(rerouted) = asked.ask(key, &sample) else { continue };
            // What is below a prefix is told where it goes elsewhere than the prefix itself.
            let beside = Rerouted { path: String::new(), ..rerouted.clone() };
            if last.replace(beside.clone()) == Some(beside) {
                continue;
            }
            // The same request may stand for matches of several routes, or of one before and after.
            let same = (rerouted.host.clone(), rerouted.port, rerouted.path.clone());
            if !told.insert((same, rerouted.method.clone(), sample.conditions())) {
                continue;
            }
            match named.len() < NAMED {
                true => named.push(rerouted),
                false => more += 1,
            }
        }
    }
    (named, more)
}

struct Questions<'a> {
    rights: &'a Rights,
    worlds: [&'a World; 2],
    tables: [&'a Table; 2],
    now: i64,
}

impl<'a> Questions<'a> {
    /// Every route of either world; one that differs, as it is in both.
    fn routes(&self) -> impl Iterator<Item = (&'a World, &'a Key)> {
        let [before, after] = self.worlds;
        let old = Kind::ROUTES.into_iter().flat_map(|kind| before.of_kind(kind));
        let old = old.map(move |(key, _)| (before, key));
        let new = Kind::ROUTES.into_iter().flat_map(|kind| after.of_kind(kind));
        let new = new.filter(|(key, object)| before.objects.get(*key) != Some(*object));
        old.chain(new.map(move |(key, _)| (after, key)))
    }

    /// The request, if it is answered differently.
    fn ask(&self, route: &Key, sample: &Sample<'_>) -> Option<Rerouted> {
        let answers =
            self.tables.map(|table| sample.ask(self.now, |facts| Answer::of(table, facts)));
        let [before, after] = &answers;
        if before == after {
            return None;
        }
        let words = |answer: &Option<Answer>| {
            let answer = answer.as_ref()?;
            Some(if self.reads(&answer.route) { answer.to_string() } else { ANOTHERS.to_owned() })
        };
        let (before, after) = (words(before), words(after));
        let port = sample.port;
        Some(match self.reads(route) {
            true => Rerouted {
                host: sample.host.clone(),
                port,
                path: sample.target(),
                method: sample.method.to_string(),
                matched: format!("{route}: {}", sample.matched()),
                before,
                after,
            },
            false => {
                let [host, path, method, matched] = [ANOTHERS; 4].map(str::to_owned);
                Rerouted { host, port, path, method, matched, before, after }
            }
        })
    }

    /// Whether an object may be read, as it is or as it would be.
    fn reads(&self, key: &Key) -> bool {
        self.worlds.iter().any(|world| {
            let Some(object) = world.objects.get(key) else { return false };
            let (scope, api) = (world.directory.scope(&key.namespace), api_of(&object.resource));
            let (verb, scope, api) = (Verb::Read, &scope, api.as_ref());
            let asked = Asked { verb, key, scope, api, changed: &[] };
            world.directory.permit(self.rights, &asked).is_ok()
        })
    }
}

fn ports(tables: [&Table; 2]) -> Ports {
    let mut ports = Ports::new();
    for table in tables {
        for listener in table.listeners.iter().filter(|listener| listener.is_serving()) {
            let hosts = ports.entry((listener.port, listener.scheme())).or_default();
            hosts.insert(listener.hostname.clone());
        }
    }
    ports
}
