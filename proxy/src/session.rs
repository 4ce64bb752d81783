//! Sessions of rules: all requests of one caller go to one endpoint.
//!
//! The first answer gives the caller a [token](token) to bring back, in a cookie or a header.
//! While what it says holds, its backend is drawn no more and its endpoint is not chosen anew; where it does
//! not, the request goes as one without would, and its answer gives another.
//! What it leads to is looked for among what the rule leads to now, so that no token opens a way.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderValue, Response};
use model::route::CookieLifetime;
use policy::Scheme;
use table::{Backend, Carrier, Rule, Session, Target};

use crate::live::{Live, Service};
use token::{Opened, Place};

mod token;

pub(crate) use token::{KeyName, Mark, Seals};

/// The most values of one name that are looked at: browsers send one for each path.
const MOST: usize = 4;
/// An answer gives a new token when such a part of the time without requests is over.
const PART: u32 = 8;

/// A request to a rule that keeps sessions.
#[derive(Debug)]
pub(crate) struct Visit<'l> {
    session: &'l Session,
    /// What it brought.
    opened: Option<Opened>,
    /// In milliseconds since 1970.
    now: u64,
}

impl<'l> Visit<'l> {
    /// Of what a request brings what holds.
    pub(crate) fn new(
        session: &'l Session,
        seals: &Seals,
        headers: &HeaderMap,
        now: SystemTime,
    ) -> Self {
        let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let good = |token: &[u8]| {
            seals.open(token, &session.of).filter(|opened| holds(session, &opened.place, now))
        };
        let opened = match &session.carrier {
            Carrier::Cookie { .. } => cookies(headers, &session.name).take(MOST).find_map(good),
            Carrier::Header(name) => {
                let values = headers.get_all(name).iter().take(MOST);
                values.map(HeaderValue::as_bytes).find_map(good)
            }
        };
        Visit { session, opened, now }
    }

    /// The backend that the session keeps: one that it was led to, and that new ones are led to, too; none
    /// while nobody there is well, and somebody is where another would lead.
    pub(crate) fn backend(&self, live: &Live, rule: &'l Rule) -> Option<&'l Backend> {
        let place = &self.opened?.place;
        let is_it = |backend: &&Backend| match backend.target {
            Target::Service(id) => {
                let service = &live.services[id];
                backend.weight > 0 && service.mark == place.service && !service.endpoints.is_empty()
            }
            Target::Broken(_) => false,
        };
        let same = rule.backends.iter().nth(usize::from(place.backend)).filter(is_it);
        let kept = same.or_else(|| rule.backends.iter().find(is_it))?;
        let serves = |backend: &&Backend| match backend.target {
            Target::Service(id) => backend.weight > 0 && live.services[id].is_anybody_well(),
            Target::Broken(_) => false,
        };
        let holds = serves(&kept) || !rule.backends.iter().any(|one| serves(&one));
        holds.then_some(kept)
    }

    /// The endpoint of a service that the session keeps, as long as it is well.
    pub(crate) fn endpoint(&self, service: &Service) -> Option<SocketAddr> {
        let place = self.opened?.place;
        (place.service == service.mark).then_some(place.address)
    }

    /// Whether a cookie of this name is its session's.
    pub(crate) fn is_cookie(&self, name: &[u8]) -> bool {
        matches!(self.session.carrier, Carrier::Cookie { .. })
            && name == self.session.name.as_bytes()
    }

    /// Takes the header off that carries it, where it is no cookie: it is not for the backend.
    pub(crate) fn strip(&self, headers: &mut HeaderMap) {
        match &self.session.carrier {
            Carrier::Cookie { .. } => {}
            Carrier::Header(name) => drop(headers.remove(name)),
        }
    }

    /// Has an answer from an endpoint give what is to be brought back, where that is not what was brought.
    /// What the backend says by the same name goes to nobody.
    pub(crate) fn mark<B>(
        &self,
        seals: &Seals,
        seat: Seat,
        scheme: Scheme,
        response: &mut Response<B>,
    ) {
        let headers = response.headers_mut();
        match &self.session.carrier {
            Carrier::Cookie { .. } => self.strip_answer(headers),
            Carrier::Header(name) => drop(headers.remove(name)),
        }
        let Some(place) = self.due(seat) else { return };
        let Some(token) = seals.seal(&place, &self.session.of) else { return };
        match &self.session.carrier {
            Carrier::Cookie { path, lifetime } => {
                let ends = self.ends(*lifetime, &place);
                let cookie = cookie(&self.session.name, &token, path, ends, scheme);
                // Names and paths were checked; what still is none is not given.
                let value = HeaderValue::try_from(cookie).ok();
                value.map(|value| headers.append(SET_COOKIE, value));
            }
            Carrier::Header(name) => {
                let value = HeaderValue::try_from(token).ok();
                value.map(|value| headers.insert(name, value));
            }
        }
    }

    /// What a new token is to say; none where the one that was brought says it well enough.
    fn due(&self, seat: Seat) -> Option<Place> {
        let fresh = seat.place(self.now);
        let Some(Opened { place, is_old_key }) = self.opened else { return Some(fresh) };
        let is_moved = !place.is_at(&fresh);
        let age = Duration::from_millis(self.now.saturating_sub(place.seen));
        let is_aged = self.session.idle.is_some_and(|idle| age >= idle / PART);
        match (is_moved, is_old_key || is_aged) {
            // Elsewhere another session begins.
            (true, _) => Some(fresh),
            (false, true) => Some(Place { began: place.began, ..fresh }),
            (false, false) => None,
        }
    }

    /// In how many seconds a browser forgets the cookie, where it keeps it for long.
    fn ends(&self, lifetime: CookieLifetime, place: &Place) -> Option<u64> {
        match lifetime {
            CookieLifetime::Session => None,
            CookieLifetime::Permanent => {
                let age = Duration::from_millis(self.now.saturating_sub(place.began));
                let left = self.session.absolute?.saturating_sub(age).as_millis();
                u64::try_from(left.div_ceil(1000)).ok()
            }
        }
    }

    /// Takes off what a backend gives by the name of the session.
    fn strip_answer(&self, headers: &mut HeaderMap) {
        let is_its = |line: &HeaderValue| {
            let name = line.as_bytes().split(|byte| matches!(byte, b'=' | b';')).next();
            name.is_some_and(|name| name.trim_ascii() == self.session.name.as_bytes())
        };
        if !headers.get_all(SET_COOKIE).iter().any(is_its) {
            return;
        }
        let kept: Vec<_> =
            headers.get_all(SET_COOKIE).iter().filter(|line| !is_its(line)).cloned().collect();
        headers.remove(SET_COOKIE);
        for line in kept {
            headers.append(SET_COOKIE, line);
        }
    }
}

/// Where a request went.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seat {
    service: Mark,
    /// Which of the rule's backends.
    backend: u8,
    endpoint: SocketAddr,
}

impl Seat {
    /// At an endpoint of a service, to which a backend of a rule leads.
    pub(crate) fn new(
        rule: &Rule,
        backend: &Backend,
        service: &Service,
        endpoint: SocketAddr,
    ) -> Self {
        let index = rule.backends.iter().position(|one| std::ptr::eq(one, backend));
        let backend = index.and_then(|index| u8::try_from(index).ok()).unwrap_or(u8::MAX);
        Seat { service: service.mark, backend, endpoint: canonical(endpoint) }
    }

    /// The place of a session that begins now.
    fn place(self, now: u64) -> Place {
        let Seat { service, backend, endpoint } = self;
        Place { service, backend, address: endpoint, began: now, seen: now }
    }
}

/// An address as tokens tell it, which know no other form of one of IPv4.
pub(crate) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Whether a session lasts yet. Clocks of gateways differ: one that began later than now began now.
fn holds(session: &Session, place: &Place, now: u64) -> bool {
    let is_over = |bound: Option<Duration>, since: u64| {
        bound.is_some_and(|bound| Duration::from_millis(now.saturating_sub(since)) >= bound)
    };
    !is_over(session.absolute, place.began) && !is_over(session.idle, place.seen)
}

/// The values of the cookies of a name.
fn cookies<'h>(headers: &'h HeaderMap, name: &'h str) -> impl Iterator<Item = &'h [u8]> {
    let lines = headers.get_all(COOKIE).iter();
    let pairs = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
    pairs.filter_map(move |pair| {
        let mut parts = pair.splitn(2, |byte| *byte == b'=').map(<[u8]>::trim_ascii);
        let (key, value) = (parts.next()?, parts.next()?);
        (key == name.as_bytes()).then_some(value)
    })
}

/// A cookie that no script reads and that pages of others do not have sent, but by a link (RFC 6265bis).
fn cookie(name: &str, token: &str, path: &str, ends: Option<u64>, scheme: Scheme) -> String {
    let ends = ends.map(|seconds| format!("; Max-Age={seconds}")).unwrap_or_default();
    let secure = match scheme {
        Scheme::Https => "; Secure",
        Scheme::Http => "",
    };
    format!("{name}={token}; Path={path}{ends}; HttpOnly{secure}; SameSite=Lax")
}

#[cfg(test)]
pub(crate) mod tests;
