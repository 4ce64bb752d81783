//! Where a credential stands in a request: read there, and taken off there.

use std::borrow::Cow;
use std::fmt;

use http::header::{AUTHORIZATION, COOKIE};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use model::Checker;
use model::authn::CredentialPlace;
use model::header::is_of_connection;

use crate::facts::Facts;
use crate::pattern::decode;

/// A header, a query parameter, a cookie, or the password of Basic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    Header(HeaderName),
    Query(Box<str>),
    Cookie(Box<str>),
    Basic(Realm),
}

/// For what a user and a password are asked, as browsers show it. They stand at one place, whatever it says.
#[derive(Debug, Clone, Eq)]
pub(crate) struct Realm(pub(crate) Box<str>);

impl PartialEq for Realm {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// The scheme of a user and a password (RFC 7617).
const BASIC: &str = "Basic";

/// What stands behind the scheme of an `Authorization` header, if it is this one: whatever blank a backend may take
/// for the one behind the scheme (RFC 9110, section 11.4, allows spaces only).
pub(crate) fn behind<'l>(line: &'l [u8], scheme: &str) -> Option<&'l [u8]> {
    let blank = line.iter().position(u8::is_ascii_whitespace).unwrap_or(line.len());
    let (its, value) = line.split_at(blank);
    its.eq_ignore_ascii_case(scheme.as_bytes()).then(|| value.trim_ascii())
}

/// It stands there more than once, and another one may read another of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Several;

impl Place {
    /// Compiles `from`; `None` where it is none that a credential can stand at, which is reported.
    pub(crate) fn compile(from: &CredentialPlace, at: &mut Checker) -> Option<Self> {
        if let Some(name) = &from.header {
            let header = HeaderName::from_bytes(name.as_bytes()).ok();
            // It is taken off before the backend: one that frames or routes the message must stay.
            let header = header.filter(|header| !is_of_connection(header.as_str()));
            if header.is_none() {
                at.fault_in("header", format!("'{name}' is no header that carries a credential"));
            }
            return header.map(Place::Header);
        }
        let query = from.query.as_deref().map(|name| Place::Query(name.into()));
        let cookie = || from.cookie.as_deref().map(|name| Place::Cookie(name.into()));
        let basic = || from.basic.as_deref().map(|realm| Place::Basic(Realm(realm.into())));
        query.or_else(cookie).or_else(basic)
    }

    /// The places of a method, each once.
    pub(crate) fn all(from: &[CredentialPlace], at: &mut Checker) -> Vec<Self> {
        let mut all = Vec::new();
        at.each("from", from, |at, one| all.extend(Place::compile(one, at)));
        all
    }

    /// What stands there.
    pub(crate) fn find<'f>(&self, facts: &Facts<'f>) -> Result<Option<Cow<'f, [u8]>>, Several> {
        match self {
            Place::Header(name) => {
                let lines = facts.headers.get_all(name).iter();
                only(lines.map(|line| Cow::Borrowed(line.as_bytes())))
            }
            Place::Query(name) => only(parameters(facts.query, name).map(|value| {
                let is_plain = !value.contains(['%', '+']);
                match is_plain {
                    true => Cow::Borrowed(value.as_bytes()),
                    false => Cow::Owned(decode(value).collect()),
                }
            })),
            Place::Cookie(name) => only(cookies(facts.headers, name).map(Cow::Borrowed)),
            Place::Basic(_) => {
                let lines = facts.headers.get_all(AUTHORIZATION).iter();
                let line = only(lines.map(HeaderValue::as_bytes))?;
                Ok(line.and_then(|line| behind(line, BASIC)).map(Cow::Borrowed))
            }
        }
    }

    /// Takes it off.
    pub(crate) fn strip(&self, head: &mut Parts) {
        match self {
            Place::Header(name) => drop(head.headers.remove(name)),
            Place::Query(name) => {
                if parameters(head.uri.query(), name).next().is_some() {
                    strip_query(&mut head.uri, name);
                }
            }
            Place::Cookie(name) => {
                if cookies(&head.headers, name).next().is_some() {
                    strip_cookie(&mut head.headers, name);
                }
            }
            // What has another scheme is another method's, or the backend's.
            Place::Basic(_) => {
                let is_ours = |line: &HeaderValue| behind(line.as_bytes(), BASIC).is_some();
                let lines = || head.headers.get_all(AUTHORIZATION).iter();
                if lines().any(is_ours) {
                    let kept: Vec<_> = lines().filter(|line| !is_ours(line)).cloned().collect();
                    head.headers.remove(AUTHORIZATION);
                    for line in kept {
                        head.headers.append(AUTHORIZATION, line);
                    }
                }
            }
        }
    }

    /// A query without it.
    pub(crate) fn off<'q>(&self, query: Cow<'q, str>) -> Cow<'q, str> {
        match self {
            Place::Query(name) if parameters(Some(&query), name).next().is_some() => {
                Cow::Owned(without(&query, name))
            }
            Place::Header(_) | Place::Query(_) | Place::Cookie(_) | Place::Basic(_) => query,
        }
    }

    /// The header that it stands in, if it stands in one.
    pub(crate) fn header(&self) -> Option<HeaderName> {
        match self {
            Place::Header(name) => Some(name.clone()),
            Place::Cookie(_) => Some(COOKIE),
            Place::Basic(_) => Some(AUTHORIZATION),
            Place::Query(_) => None,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Header(name) => write!(f, "the header '{name}'"),
            Place::Query(name) => write!(f, "the query parameter '{name}'"),
            Place::Cookie(name) => write!(f, "the cookie '{name}'"),
            Place::Basic(Realm(realm)) => write!(f, "the password of Basic for '{realm}'"),
        }
    }
}

fn only<T>(mut all: impl Iterator<Item = T>) -> Result<Option<T>, Several> {
    let first = all.next();
    if all.next().is_some() { Err(Several) } else { Ok(first) }
}

/// The values of a parameter as they are written.
fn parameters<'q>(query: Option<&'q str>, name: &str) -> impl Iterator<Item = &'q str> {
    let pairs = query.into_iter().flat_map(|query| query.split('&'));
    pairs.filter(move |pair| is_of(pair, name)).map(|pair| {
        let (_, value) = pair.split_once('=').unwrap_or((pair, ""));
        value
    })
}

/// Whether a pair of a query is of this name, however that is escaped.
fn is_of(pair: &str, name: &str) -> bool {
    let (its, _) = pair.split_once('=').unwrap_or((pair, ""));
    decode(its).eq(name.bytes())
}

fn without(query: &str, name: &str) -> String {
    let kept: Vec<_> = query.split('&').filter(|pair| !is_of(pair, name)).collect();
    kept.join("&")
}

fn strip_query(uri: &mut Uri, name: &str) {
    let query = without(uri.query().unwrap_or_default(), name);
    let text = match query.as_str() {
        "" => uri.path().to_owned(),
        query => format!("{}?{query}", uri.path()),
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = PathAndQuery::try_from(text).ok();
    // What is shorter than one that could be sent can be sent.
    if let Ok(shorter) = Uri::from_parts(parts) {
        *uri = shorter;
    }
}

/// The values of the cookies of a name (RFC 6265, section 5.4).
fn cookies<'h>(headers: &'h HeaderMap, name: &str) -> impl Iterator<Item = &'h [u8]> {
    let lines = headers.get_all(COOKIE).iter();
    let pairs = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
    pairs.filter_map(move |pair| named(pair, name))
}

/// The value of a cookie of this name.
fn named<'c>(pair: &'c [u8], name: &str) -> Option<&'c [u8]> {
    let mut parts = pair.splitn(2, |byte| *byte == b'=').map(<[u8]>::trim_ascii);
    let (its, value) = (parts.next()?, parts.next()?);
    (its == name.as_bytes()).then_some(value)
}

fn strip_cookie(headers: &mut HeaderMap, name: &str) {
    let line = |line: &HeaderValue| {
        let pairs = line.as_bytes().split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        let kept: Vec<_> = pairs.filter(|pair| named(pair, name).is_none()).collect();
        // Part of a value is one, too.
        HeaderValue::from_bytes(&kept.join(&b"; "[..])).ok().filter(|line| !line.is_empty())
    };
    let lines: Vec<_> = headers.get_all(COOKIE).iter().filter_map(line).collect();
    headers.remove(COOKIE);
    for line in lines {
        headers.append(COOKIE, line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::Request;

    fn query(name: &str) -> Place {
        Place::Query(name.into())
    }

    fn cookie(name: &str) -> Place {
        Place::Cookie(name.into())
    }

    #[test]
    fn what_stands_there_is_found_once_and_taken_off_with_all_its_spellings() {
        let header = Place::Header(HeaderName::from_static("x-key"));
        for (place, target, cookies, wanted, target_after, cookies_after) in [
            (query("key"), "/a?key=1%2B2&b=3", "", Some("1+2"), "/a?b=3", ""),
            (query("key"), "/a?k%65y=1", "", Some("1"), "/a", ""),
            (query("key"), "/a?keys=1&b", "", None, "/a?keys=1&b", ""),
            (query("a b"), "/?c=%20&a+b=x%ZZ", "", Some("x%ZZ"), "/?c=%20", ""),
            (query("key"), "/a?key", "", Some(""), "/a", ""),
            (cookie("id"), "/a?id=1", "a=1; id=x=y ; b=2", Some("x=y"), "/a?id=1", "a=1; b=2"),
            (cookie("id"), "/", "id=x", Some("x"), "/", ""),
            (cookie("id"), "/", "ID=x; id2=y", None, "/", "ID=x; id2=y"),
            (header, "/?x-key=1", "x-key=2", None, "/?x-key=1", "x-key=2"),
        ] {
            let mut request = Request::get("/a");
            request.query = target.split_once('?').map(|(_, query)| query.to_owned());
            if !cookies.is_empty() {
                request = request.with("cookie", cookies);
            }
            let facts = request.facts();
            let found = place.find(&facts).unwrap();
            assert_eq!(found.as_deref(), wanted.map(str::as_bytes), "{place} {target} {cookies}");
            let mut asked = http::Request::get(target);
            if !cookies.is_empty() {
                asked = asked.header(COOKIE, cookies);
            }
            let mut head = asked.body(()).unwrap().into_parts().0;
            place.strip(&mut head);
            let after = head.headers.get(COOKIE).map_or("", |line| line.to_str().unwrap());
            assert_eq!((&*head.uri.to_string(), after), (target_after, cookies_after), "{place}");
        }
    }

    #[test]
    fn of_authorization_the_scheme_of_a_place_is_taken_off_and_no_other() {
        let basic = Place::Basic(Realm("shop".into()));
        for (lines, wanted, after) in [
            (&["Basic YTpi"][..], Ok(Some("YTpi")), &[][..]),
            (&["bAsIc\t YTpi "], Ok(Some("YTpi")), &[]),
            (&["Basic"], Ok(Some("")), &[]),
            (&["BasicYTpi"], Ok(None), &["BasicYTpi"]),
            (&["Bearer x"], Ok(None), &["Bearer x"]),
            (&["Bearer x", "Basic YTpi"], Err(Several), &["Bearer x"]),
        ] {
            let lined = |line: &&str| HeaderValue::from_str(line).unwrap();
            let mut request = Request::get("/");
            let mut head = http::Request::get("/").body(()).unwrap().into_parts().0;
            for line in lines {
                request.headers.append(AUTHORIZATION, lined(line));
                head.headers.append(AUTHORIZATION, lined(line));
            }
            let facts = request.facts();
            let found = basic.find(&facts);
            let found = found.as_ref().map(|found| found.as_deref());
            assert_eq!(found, wanted.as_ref().map(|wanted| wanted.map(str::as_bytes)), "{lines:?}");
            basic.strip(&mut head);
            let left: Vec<_> = head.headers.get_all(AUTHORIZATION).iter().collect();
            assert_eq!(left, after.iter().map(lined).collect::<Vec<_>>(), "{lines:?}");
        }
    }

    #[test]
    fn twice_is_nobodys_to_choose() {
        let mut request = Request::get("/").with("x-key", "a").with("x-key", "b");
        request.query = Some("key=a&k%65y=b".to_owned());
        let request = request.with("cookie", "id=a").with("cookie", "b=1; id=c");
        let header = Place::Header(HeaderName::from_static("x-key"));
        for place in [header, query("key"), cookie("id")] {
            assert_eq!(place.find(&request.facts()), Err(Several), "{place}");
        }
    }
}
