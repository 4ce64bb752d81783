//! Names, parsed once at the border: what holds one of these types holds the proof.

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// Why a word is not a name of the wanted sort.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{word}' is not {wanted}")]
pub struct NameError {
    word: String,
    wanted: &'static str,
}

const SUBDOMAIN: &str = "a name: lower-case letters, digits, '-' and '.', beginning and ending \
                         with a letter or digit, 1 to 253 long (RFC 1123)";
const HOSTNAME: &str = "a host name: lower-case labels of letters, digits and '-' parted by '.', \
                        '*.' allowed as the first label, no address and no port, 1 to 253 long";

/// A Kubernetes object's name: an RFC 1123 subdomain. Copies of it share the text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(Arc<str>);

impl Name {
    /// Parses `word`.
    ///
    /// # Errors
    /// [`NameError`] if it is no RFC 1123 subdomain of 1 to 253 characters.
    pub fn parse(word: &str) -> Result<Self, NameError> {
        if word.len() <= 253 && word.split('.').all(is_label) {
            Ok(Name(word.into()))
        } else {
            Err(NameError { word: word.to_owned(), wanted: SUBDOMAIN })
        }
    }

    /// The name as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A letter or digit, then letters, digits and hyphens, not ending in a hyphen; 1 to 253 long.
fn is_label(label: &str) -> bool {
    let alnum = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = label.as_bytes();
    match (bytes.first(), bytes.last()) {
        (Some(&first), Some(&last)) => {
            alnum(first) && alnum(last) && bytes.iter().all(|&b| alnum(b) || b == b'-')
        }
        _ => false,
    }
}

/// A host name that a listener or route serves: exact, or a wildcard for the first labels.
///
/// `*.example.com` matches `a.example.com` and `a.b.example.com`, never `example.com`
/// (Gateway API, `Hostname`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hostname(Arc<str>);

impl Hostname {
    /// Parses `word`.
    ///
    /// # Errors
    /// [`NameError`] for an address, a port, upper case, or a star elsewhere than as first label.
    pub fn parse(word: &str) -> Result<Self, NameError> {
        let rest = word.strip_prefix("*.").unwrap_or(word);
        let labels_hold = rest.split('.').all(|label| label.len() <= 63 && is_label(label));
        if word.len() <= 253 && labels_hold && rest.parse::<std::net::IpAddr>().is_err() {
            Ok(Hostname(word.into()))
        } else {
            Err(NameError { word: word.to_owned(), wanted: HOSTNAME })
        }
    }

    /// The host name as written, `*.` included.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands after the star with its dot (`.example.com`), if this is a wildcard.
    pub fn suffix(&self) -> Option<&str> {
        self.0.strip_prefix('*')
    }

    /// Whether a request for `host` (lower case, no port) is meant.
    pub fn matches(&self, host: &str) -> bool {
        match self.suffix() {
            Some(suffix) => host.len() > suffix.len() && host.ends_with(suffix),
            None => host == &*self.0,
        }
    }

    /// The host names that both mean, as one host name: the more specific of the two, if they
    /// intersect at all.
    pub fn intersect<'a>(&'a self, other: &'a Hostname) -> Option<&'a Hostname> {
        match (self.suffix(), other.suffix()) {
            (None, None) => (self == other).then_some(self),
            (None, Some(_)) => other.matches(&self.0).then_some(self),
            (Some(_), None) => self.matches(&other.0).then_some(other),
            (Some(mine), Some(theirs)) if mine.ends_with(theirs) => Some(self),
            (Some(mine), Some(theirs)) if theirs.ends_with(mine) => Some(other),
            (Some(_), Some(_)) => None,
        }
    }
}

macro_rules! word_type {
    ($type:ident, $title:literal, $format:literal, $says:expr, $pattern:literal) => {
        impl TryFrom<String> for $type {
            type Error = NameError;
            fn try_from(word: String) -> Result<Self, NameError> {
                Self::parse(&word)
            }
        }

        impl std::str::FromStr for $type {
            type Err = NameError;
            fn from_str(word: &str) -> Result<Self, NameError> {
                Self::parse(word)
            }
        }

        impl From<$type> for String {
            fn from(word: $type) -> String {
                (*word.0).into()
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $type {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                $title.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({
                    "description": $says,
                    "type": "string",
                    "format": $format,
                    "minLength": 1,
                    "maxLength": 253,
                    "pattern": $pattern,
                })
            }
        }
    };
}

word_type!(
    Name,
    "Name",
    "object-name",
    SUBDOMAIN,
    r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
);
word_type!(
    Hostname,
    "Hostname",
    "host-pattern",
    HOSTNAME,
    r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
);

#[cfg(test)]
mod tests {
    use super::*;

    fn host(word: &str) -> Hostname {
        Hostname::parse(word).unwrap()
    }

    #[test]
    fn names_follow_rfc_1123() {
        for good in ["a", "a-b", "a.b-c.d", "0"] {
            assert!(Name::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a..b", "a_b", "a.", &"a".repeat(254)] {
            assert!(Name::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn host_names_are_no_addresses_ports_or_inner_stars() {
        for bad in ["1.2.3.4", "a.com:80", "a.*.com", "*", "*a.com", "::1", "EXAMPLE.com"] {
            assert!(Hostname::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_wildcard_means_one_label_or_more() {
        let star = host("*.example.com");
        assert!(star.matches("a.example.com") && star.matches("a.b.example.com"));
        assert!(!star.matches("example.com") && !star.matches("badexample.com"));
    }

    #[test]
    fn intersection_is_the_more_specific_name() {
        let cases = [
            ("a.com", "a.com", Some("a.com")),
            ("*.a.com", "x.a.com", Some("x.a.com")),
            ("*.a.com", "*.b.a.com", Some("*.b.a.com")),
            ("*.a.com", "a.com", None),
            ("*.a.com", "*.b.com", None),
        ];
        for (left, right, wanted) in cases {
            let (left, right) = (host(left), host(right));
            assert_eq!(left.intersect(&right).map(Hostname::as_str), wanted);
            assert_eq!(right.intersect(&left).map(Hostname::as_str), wanted);
        }
    }
}
