//! The cookies in which browsers keep trips and sessions.
//!
//! A session may have more bytes than one cookie: then its first cookie says how many there are.

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};
use model::cookie::{HOST, TRIP};
use policy::{Login, Scheme};

/// Bytes of a value: browsers keep 4,096 of a cookie with its name and attributes (RFC 6265, section 6.1).
const EACH: usize = 3_800;
/// How many cookies one session may have.
const COOKIES: usize = 4;
/// The most bytes of a session as text.
pub(super) const MOST: usize = EACH * COOKIES;
/// How many trips one browser may have under way: a tab each.
const TRIPS: usize = 8;
/// Letters of a state in the name of its cookie.
const TAG: usize = 8;
/// How long a browser keeps a trip, in seconds.
const TRIP_LASTS: i64 = 600;

/// The names of one login's cookies at one host.
#[derive(Debug)]
pub(super) struct Jar {
    session: String,
    trip: String,
    scheme: Scheme,
}

impl Jar {
    pub(super) fn new(login: &Login, scheme: Scheme) -> Self {
        let host = match scheme {
            Scheme::Https => HOST,
            Scheme::Http => "",
        };
        let session = format!("{host}{}", login.cookie());
        Jar { session, trip: format!("{host}{TRIP}{}-", login.mark), scheme }
    }

    /// The text of the session that a browser brought.
    pub(super) fn find(&self, headers: &HeaderMap) -> Option<Vec<u8>> {
        let (count, first) = split(find(headers, &self.session)?)?;
        let mut whole = first.to_vec();
        for index in 1..count {
            whole.extend_from_slice(find(headers, &self.part(index))?);
        }
        Some(whole)
    }

    /// Has a browser keep a session for so many seconds, and nothing that is left of the one that it brought; none
    /// where it is too large, or over.
    pub(super) fn session(
        &self,
        sealed: &str,
        lasts: i64,
        brought: &HeaderMap,
    ) -> Option<Vec<HeaderValue>> {
        let parts: Vec<_> = sealed.as_bytes().chunks(EACH).collect();
        if parts.len() > COOKIES || lasts <= 0 {
            return None;
        }
        let mut cookies = Vec::with_capacity(parts.len());
        for (index, part) in parts.iter().enumerate() {
            let part = std::str::from_utf8(part).ok()?;
            let value = match index {
                0 => format!("{}.{part}", parts.len()),
                _ => part.to_owned(),
            };
            cookies.push(self.cookie(&self.part(index), &value, lasts)?);
        }
        let rest = (parts.len()..COOKIES).map(|index| self.part(index));
        let rest = rest.filter(|name| find(brought, name).is_some());
        cookies.extend(rest.filter_map(|name| self.cookie(&name, "", 0)));
        Some(cookies)
    }

    /// Has a browser forget its session.
    pub(super) fn nothing(&self, brought: &HeaderMap) -> Vec<HeaderValue> {
        let names = (0..COOKIES).map(|index| self.part(index));
        let names = names.filter(|name| find(brought, name).is_some());
        names.filter_map(|name| self.cookie(&name, "", 0)).collect()
    }

    /// Has a browser keep a trip.
    pub(super) fn trip(&self, state: &str, sealed: &str) -> Option<HeaderValue> {
        self.cookie(&self.trip_name(state)?, sealed, TRIP_LASTS)
    }

    /// Has it forget one.
    pub(super) fn no_trip(&self, state: &str) -> Option<HeaderValue> {
        self.cookie(&self.trip_name(state)?, "", 0)
    }

    /// The trip that is known by a state.
    pub(super) fn find_trip<'h>(&self, headers: &'h HeaderMap, state: &str) -> Option<&'h [u8]> {
        find(headers, &self.trip_name(state)?)
    }

    /// Has a browser forget the trips that it brings, where they are too many.
    pub(super) fn trips_to_forget(&self, headers: &HeaderMap) -> Vec<HeaderValue> {
        let names = cookies(headers).map(|(name, _)| name);
        let trips: Vec<_> = names.filter(|name| name.starts_with(self.trip.as_bytes())).collect();
        if trips.len() < TRIPS {
            return Vec::new();
        }
        let names = trips.into_iter().filter_map(|name| std::str::from_utf8(name).ok());
        names.filter_map(|name| self.cookie(name, "", 0)).collect()
    }

    fn part(&self, index: usize) -> String {
        match index {
            0 => self.session.clone(),
            index => format!("{}-{index}", self.session),
        }
    }

    fn trip_name(&self, state: &str) -> Option<String> {
        let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let tag = state.get(..TAG).filter(|tag| tag.bytes().all(is_letter))?;
        Some(format!("{}{tag}", self.trip))
    }

    /// A cookie of this host that no script reads, and that other sites have sent by a link alone.
    fn cookie(&self, name: &str, value: &str, lasts: i64) -> Option<HeaderValue> {
        let secure = match self.scheme {
            Scheme::Https => "; Secure",
            Scheme::Http => "",
        };
        let text =
            format!("{name}={value}; Path=/; Max-Age={lasts}; HttpOnly{secure}; SameSite=Lax");
        let mut value = HeaderValue::try_from(text).ok()?;
        // For no log, and no table of HTTP/2 that requests of others share.
        value.set_sensitive(true);
        Some(value)
    }
}

/// How many cookies there are, and what stands in the first.
fn split(value: &[u8]) -> Option<(usize, &[u8])> {
    let [count @ b'1'..=b'9', b'.', rest @ ..] = value else { return None };
    let count = usize::from(count - b'0');
    (count <= COOKIES).then_some((count, rest))
}

fn find<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h [u8]> {
    cookies(headers).find(|(its, _)| *its == name.as_bytes()).map(|(_, value)| value)
}

fn cookies(headers: &HeaderMap) -> impl Iterator<Item = (&[u8], &[u8])> {
    let lines = headers.get_all(COOKIE).iter();
    let pairs = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
    pairs.filter_map(|pair| {
        let mut parts = pair.splitn(2, |byte| *byte == b'=').map(<[u8]>::trim_ascii);
        Some((parts.next()?, parts.next()?))
    })
}
