//! What bounds connections, from table to table: one room for each port of a Service, whatever is spoken
//! behind it. A Service that comes back finds its own, as long as connections of before are open.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Weak};
use std::time::Duration;

use model::Kind;

use super::{Endpoint, Live, Service};
use crate::room::{Level, Member, Room};

/// Rooms by the ports that they are of.
#[derive(Debug, Default)]
pub(super) struct Rooms(HashMap<(Kind, Arc<str>), Weak<Room>>);

impl Rooms {
    /// Those of the services of a table that was in force, and of others that left before it while what was
    /// open to them still is: should one come back, its bound is to hold for all.
    pub(super) fn of(before: Option<&Live>) -> Self {
        let Some(before) = before else { return Self::default() };
        let known = before.rooms.0.iter().filter(|(_, room)| room.strong_count() > 0);
        Rooms(known.map(|(name, room)| (name.clone(), Weak::clone(room))).collect())
    }

    pub(super) fn of_service(&mut self, service: &table::Service) -> Arc<Room> {
        let known = self.0.entry(named(service)).or_default();
        known.upgrade().unwrap_or_else(|| {
            let room = Arc::default();
            *known = Arc::downgrade(&room);
            room
        })
    }
}

/// By what a port of a Service, or of a workload, is the same in another table.
fn named(service: &table::Service) -> (Kind, Arc<str>) {
    (service.key.kind, Arc::clone(&service.label))
}

/// Has rooms lead to the endpoints of these services, and hold to what is said of them; takes leave of
/// endpoints of before that are not among them.
pub(super) fn swap(before: Option<&Live>, services: &[Arc<Service>]) {
    let mut all: HashMap<*const Room, (&Arc<Service>, Vec<Member>)> = HashMap::new();
    for service in services {
        let (_, known) =
            all.entry(Arc::as_ptr(&service.room)).or_insert_with(|| (service, Vec::new()));
        // Routes of two kinds that lead to one port by one protocol have its endpoints in common.
        let is_new = |one: &Member| !known.iter().any(|other| other.endpoint.ptr_eq(&one.endpoint));
        let new: Vec<_> = members(service).filter(is_new).collect();
        known.extend(new);
    }
    let before = before.map(|live| &live.services[..]).unwrap_or_default();
    let is_left = |one: &&Arc<Service>| !all.contains_key(&Arc::as_ptr(&one.room));
    let left: Vec<_> = before.iter().filter(is_left).collect();
    // At first, so that whoever finds an endpoint gone finds the others.
    left.iter().for_each(|service| service.room.know(Vec::new()));
    let now = all.into_values().map(|(service, members)| {
        service.room.know(members);
        service
    });
    let now: Vec<_> = now.collect();
    let kept: HashSet<_> = endpoints(services).map(Arc::as_ptr).collect();
    let gone = endpoints(before).filter(|one| !kept.contains(&Arc::as_ptr(one)));
    gone.for_each(|one| one.leave());
    left.iter().for_each(|service| service.room.lead());
    for service in now {
        let connect = service.timeouts().and_then(|timeouts| timeouts.connect);
        service.room.open_within(connect.map(Duration::from));
        service.room.set(service.traffic.as_ref().map(|policy| &policy.spec.bounds));
    }
}

fn endpoints(services: &[Arc<Service>]) -> impl Iterator<Item = &Arc<Endpoint>> {
    services.iter().flat_map(|service| &service.endpoints)
}

fn members(service: &Service) -> impl Iterator<Item = Member> {
    service.endpoints.iter().enumerate().map(|(index, endpoint)| {
        let level = match index {
            index if index < service.own => Level::Own,
            index if index < service.near => Level::Near,
            _ => Level::Far,
        };
        Member { level, endpoint: Arc::downgrade(endpoint) }
    })
}
