//! What a backend is told of who is calling, by headers.

use http::{HeaderMap, HeaderName, HeaderValue};
use model::Checker;
use model::authn::ToHeader;
use model::header::spelling;
use serde_json::Value;

use crate::claims;
use crate::principal::Principal;

/// No header that tells who is calling is longer, in bytes: many backends take no more than 8 KiB of all.
const LONGEST: usize = 4 << 10;

/// A header, and what stands in it.
#[derive(Debug, Clone)]
pub(crate) struct Tell {
    pub(crate) header: HeaderName,
    /// The claim; the caller's name where there is none.
    claim: Option<Box<str>>,
}

/// The headers that tell who is calling, whoever is: each by its [`spelling`], with the broadest level at which it
/// does.
#[derive(Debug, Clone, Default)]
pub struct Told(Vec<(Box<str>, usize)>);

impl Tell {
    /// Compiles those of a method; every fault is reported to `at`.
    pub(crate) fn all(from: &[ToHeader], at: &mut Checker) -> Vec<Self> {
        let mut all = Vec::new();
        at.each("toHeaders", from, |at, one| match HeaderName::from_bytes(one.header.as_bytes()) {
            Ok(header) => all.push(Tell { header, claim: one.claim.as_deref().map(Into::into) }),
            Err(_) => at.fault_in("header", format!("'{}' is no header name", one.header)),
        });
        all
    }

    /// What it says of somebody; nothing where they have no such claim, or it is none that a header says.
    pub(crate) fn of(&self, principal: &Principal) -> Option<HeaderValue> {
        let text = match (principal, &self.claim) {
            (Principal::Consumer { name, .. }, None) => plain(name.as_str()),
            (Principal::ApiKey { name }, None) => plain(name),
            (Principal::Jwt { subject, .. }, None) => plain(subject.as_ref()?),
            (Principal::Jwt { claims, .. }, Some(name)) => text(claims::first(claims, name)?)?,
            (Principal::Consumer { .. } | Principal::ApiKey { .. }, Some(_)) => return None,
        };
        let is_short = (1..=LONGEST).contains(&text.len());
        is_short.then(|| HeaderValue::try_from(text).ok()).flatten()
    }
}

impl Told {
    /// Adds those of a method at a level, which is no broader than any before.
    pub(crate) fn add(&mut self, tells: &[Tell], level: usize) {
        for Tell { header, .. } in tells {
            if !self.names(header) {
                self.0.push((spelling(header.as_str()).into(), level));
            }
        }
    }

    /// Puts these in the place of what callers sent in them.
    #[cold]
    pub(crate) fn replace(&self, by: &[(HeaderName, HeaderValue)], headers: &mut HeaderMap) {
        self.strip(headers);
        for (name, value) in by {
            // A map that is full takes nothing more: then nobody is told.
            let _full = headers.try_insert(name, value.clone());
        }
    }

    /// Takes off what callers sent in them, or in what a backend may read as one of them.
    // Few routes tell, and the way of the others is to be short.
    #[cold]
    pub fn strip(&self, headers: &mut HeaderMap) {
        let sent: Vec<_> = headers.keys().filter(|name| self.names(name)).cloned().collect();
        sent.iter().for_each(|name| drop(headers.remove(name)));
    }

    /// Whether a backend may read a header as one of them.
    pub(crate) fn names(&self, header: &HeaderName) -> bool {
        self.level(header).is_some()
    }

    /// The broadest level at which it is one of them.
    pub(crate) fn level(&self, header: &HeaderName) -> Option<usize> {
        let find =
            |read: &str| self.0.iter().find(|(one, _)| **one == *read).map(|(_, level)| *level);
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        match header.as_str() {
            name if name.bytes().all(is_plain) => find(name),
            name => find(&spelling(name)),
        }
    }

    /// Each of them.
    pub(crate) fn spellings(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(spelling, _)| &**spelling)
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A claim as text: what is written by itself, or a list of such.
fn text(claim: &Value) -> Option<String> {
    match claim {
        Value::Array(items) => {
            let items: Option<Vec<_>> = items.iter().map(single).collect();
            Some(items?.join(","))
        }
        one => single(one),
    }
}

fn single(claim: &Value) -> Option<String> {
    match claim {
        Value::String(text) => Some(plain(text)),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Text that no backend reads as anything else: percent-encoded (RFC 3986, section 2.1) where it is not ASCII, ends
/// lines, is a blank that would be trimmed, or parts the entries of a list.
fn plain(text: &str) -> String {
    let last = text.len().saturating_sub(1);
    let mut plain = String::with_capacity(text.len());
    for (at, byte) in text.bytes().enumerate() {
        let is_kept = match byte {
            b' ' => at != 0 && at != last,
            b'%' | b',' => false,
            byte => byte.is_ascii_graphic(),
        };
        if is_kept {
            plain.push(char::from(byte));
        } else {
            plain.push_str(&format!("%{byte:02X}"));
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn said(claim: Option<&str>, principal: &Principal) -> Option<String> {
        let header = HeaderName::from_static("x-told");
        let tell = Tell { header, claim: claim.map(Into::into) };
        Some(tell.of(principal)?.to_str().unwrap().to_owned())
    }

    #[test]
    fn claims_are_told_so_that_nobody_reads_them_as_anything_else() {
        let claims = json!({
            "mail": "ann+1@shop.example", "level": 3, "admin": true, "roles": ["clerk", 7, false],
            "realm": { "roles": ["reader"] }, "https://x.example/team": "lab", "gone": null, "empty": "",
            "evil": " a\r\nx-admin: 1,\0 ", "odd": ["a,b", "c%2Cd"], "name": "Ann M\u{fc}ller",
            "deep": [["a"]], "mixed": ["a", {}], "none": [], "long": "a".repeat(LONGEST),
            "longer": "\u{fc}".repeat(LONGEST / 6 + 1),
        });
        let Value::Object(claims) = claims else { panic!("an object") };
        let long = "a".repeat(LONGEST);
        let subject = Some("ann".to_owned());
        let ann = Principal::Jwt { issuer: "i".to_owned(), subject, claims };
        for (claim, wanted) in [
            (None, Some("ann")),
            (Some("mail"), Some("ann+1@shop.example")),
            (Some("level"), Some("3")),
            (Some("admin"), Some("true")),
            (Some("roles"), Some("clerk,7,false")),
            (Some("realm.roles"), Some("reader")),
            (Some("https://x.example/team"), Some("lab")),
            (Some("evil"), Some("%20a%0D%0Ax-admin: 1%2C%00%20")),
            (Some("odd"), Some("a%2Cb,c%252Cd")),
            (Some("name"), Some("Ann M%C3%BCller")),
            (Some("long"), Some(&*long)),
            (Some("longer"), None),
            (Some("gone"), None),
            (Some("empty"), None),
            (Some("realm"), None),
            (Some("deep"), None),
            (Some("mixed"), None),
            (Some("none"), None),
            (Some("nowhere"), None),
        ] {
            assert_eq!(said(claim, &ann).as_deref(), wanted, "{claim:?}");
        }
        let nameless =
            Principal::Jwt { issuer: "i".to_owned(), subject: None, claims: Default::default() };
        assert_eq!(said(None, &nameless), None);
        let clerk = Principal::ApiKey { name: "the clerk".to_owned() };
        assert_eq!(
            (said(None, &clerk).as_deref(), said(Some("sub"), &clerk)),
            (Some("the clerk"), None)
        );
    }
}
