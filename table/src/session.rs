//! Sessions: by what the requests of one caller are known, so that all of them go to one endpoint.

use std::time::Duration;

use http::HeaderName;
use model::Key;
use model::route::{CookieLifetime, HttpRule, PathMatchType, SessionPersistence, SessionType};
use sha2::{Digest as _, Sha256};

/// How a rule keeps sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The name of the cookie or header.
    pub name: Box<str>,
    /// By what callers carry it.
    pub carrier: Carrier,
    /// How long a session lasts at most.
    pub absolute: Option<Duration>,
    /// How long it lasts without a request.
    pub idle: Option<Duration>,
    /// Whose sessions they are: the route, and the rule by its name, or by its index where it has none.
    pub of: Box<str>,
}

/// By what callers carry a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Carrier {
    /// A cookie.
    Cookie {
        /// The path of the rule's matches where they have one in common, else the root.
        path: Box<str>,
        /// For how long a browser keeps it.
        lifetime: CookieLifetime,
    },
    /// A header, which the caller repeats.
    Header(HeaderName),
}

impl Session {
    /// As a rule of a route writes it.
    pub(crate) fn of(route: &Key, index: usize, rule: &HttpRule) -> Option<Session> {
        let written = rule.session_persistence.as_ref()?;
        let Key { kind, namespace, name, .. } = route;
        let rule_name = rule.name.as_ref().map_or_else(|| index.to_string(), ToString::to_string);
        let of = format!("{kind}/{namespace}/{name}/{rule_name}").into_boxed_str();
        let name = written.session_name.clone().unwrap_or_else(|| own_name(&of)).into_boxed_str();
        Some(Session {
            carrier: carrier(written, &name, rule)?,
            name,
            absolute: written.absolute_timeout.map(Duration::from),
            idle: written.idle_timeout.map(Duration::from),
            of,
        })
    }
}

/// A name of the rule's own, so that rules that write none do not overwrite each other's.
fn own_name(of: &str) -> String {
    let hash = Sha256::digest(of);
    let tail: String = hash.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("heddle-stay-{tail}")
}

fn carrier(written: &SessionPersistence, name: &str, rule: &HttpRule) -> Option<Carrier> {
    match written.kind {
        SessionType::Cookie => {
            Some(Carrier::Cookie { path: path(rule), lifetime: written.lifetime() })
        }
        // A check has refused what is no name.
        SessionType::Header => HeaderName::from_bytes(name.as_bytes()).ok().map(Carrier::Header),
    }
}

/// The path that all matches of a rule have in common, as browsers compare it (RFC 6265, section 5.1.4).
fn path(rule: &HttpRule) -> Box<str> {
    let root = || Box::from("/");
    let mut paths = rule.matches.iter().map(|one| match one.path.kind {
        PathMatchType::Exact => Some(&*one.path.value),
        PathMatchType::PathPrefix => Some(one.path.value.trim_end_matches('/')),
        PathMatchType::RegularExpression => None,
    });
    let Some(Some(first)) = paths.next() else { return root() };
    let is_plain = |byte: u8| byte.is_ascii_graphic() && byte != b';';
    let is_fit = first.starts_with('/') && first.bytes().all(is_plain);
    if is_fit && paths.all(|other| other == Some(first)) { first.into() } else { root() }
}

#[cfg(test)]
mod tests {
    use model::{Kind, Name};
    use serde_json::{Value, json};

    use super::*;

    fn session(kind: Kind, rule: Value) -> Session {
        let name = |text: &str| Name::parse(text).unwrap();
        let rule: HttpRule = serde_json::from_value(rule).unwrap();
        Session::of(&Key::new(kind, name("shop"), name("r")), 2, &rule).unwrap()
    }

    #[test]
    fn the_cookie_is_for_the_path_that_all_matches_share() {
        let one = |kind: &str, value: &str| json!({ "path": { "type": kind, "value": value } });
        for (matches, wanted) in [
            (json!([]), "/"),
            (json!([one("PathPrefix", "/")]), "/"),
            (json!([one("PathPrefix", "/cart/")]), "/cart"),
            (json!([one("Exact", "/cart/")]), "/cart/"),
            (json!([one("Exact", "/cart"), one("PathPrefix", "/cart")]), "/cart"),
            (json!([one("Exact", "/cart"), one("PathPrefix", "/pay")]), "/"),
            (json!([one("PathPrefix", "/cart"), {}]), "/"),
            (json!([one("RegularExpression", "/ca.*")]), "/"),
            (json!([one("PathPrefix", "/cart"), one("RegularExpression", "/ca.*")]), "/"),
            (json!([one("PathPrefix", "/a;Domain=b")]), "/"),
            (json!([one("PathPrefix", "/b\u{fc}cher")]), "/"),
        ] {
            let rule = json!({ "matches": matches, "sessionPersistence": {} });
            let Carrier::Cookie { path, .. } = session(Kind::HttpRoute, rule).carrier else {
                panic!("a cookie is usual");
            };
            assert_eq!(&*path, wanted, "{matches}");
        }
    }

    #[test]
    fn rules_that_name_no_session_have_names_of_their_own() {
        let plain = || json!({ "sessionPersistence": {} });
        let named = || json!({ "name": "cart", "sessionPersistence": {} });
        let [one, other, calls] =
            [(Kind::HttpRoute, plain()), (Kind::HttpRoute, named()), (Kind::GrpcRoute, plain())]
                .map(|(kind, rule)| session(kind, rule));
        assert_eq!(&*one.of, "HTTPRoute/shop/r/2");
        assert_eq!(&*other.of, "HTTPRoute/shop/r/cart");
        assert!(one.name != other.name && one.name != calls.name, "{one:?} {other:?} {calls:?}");
        assert!(one.name.starts_with("heddle-stay-") && one.name.len() == 20);
    }
}
