//! Claim (`heddle.dev/v1alpha1`): hosts and paths that a workspace holds.
//!
//! ```yaml
//! apiVersion: heddle.dev/v1alpha1
//! kind: Claim
//! metadata: { name: shop, namespace: shop }
//! spec:
//!   hosts:
//!     - { host: shop.example.com }                     # all of it
//!     - { host: www.example.com, paths: [/shop] }      # /shop and everything below
//!     - { host: "*.shop.example.com" }
//! ```
//!
//! What one workspace holds no other may claim or route, nor anything that overlaps with it: a host
//! that a wildcard covers, a path below or above one that is held.
//! Paths are compared whatever the case of their ASCII letters: a backend may not tell them apart.

use std::borrow::Cow;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::invalid::Checker;
use crate::path;
use crate::route::check_path;
use crate::{Hostname, Meta};

/// A claim.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// Who it is.
    pub metadata: Meta,
    /// What is wanted.
    pub spec: ClaimSpec,
}

/// `spec` of a Claim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClaimSpec {
    /// What is held.
    #[schemars(length(min = 1, max = 64))]
    pub hosts: Vec<HostClaim>,
}

/// A host, or some paths of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HostClaim {
    /// A host name, or a wildcard for every host below.
    pub host: Hostname,
    /// Path prefixes, by whole segments; the whole host where none is written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 16))]
    pub paths: Vec<String>,
}

/// A host and a path prefix: what claims and routes are compared by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ground<'a> {
    /// The host, or every host.
    pub host: Option<&'a Hostname>,
    /// The path prefix in its one form: as [`path::normalise`] has it, in which it is also matched,
    /// but in lower case, and with no `/` at its end but for the root.
    pub path: Cow<'a, str>,
}

impl<'a> Ground<'a> {
    /// The ground of a host (every host where there is none) below a path.
    pub fn new(host: Option<&'a Hostname>, path: impl Into<Cow<'a, str>>) -> Self {
        let path = match path.into() {
            Cow::Borrowed(path) => normal(path),
            Cow::Owned(path) => Cow::Owned(normal(&path).into_owned()),
        };
        Ground { host, path }
    }

    /// Whether some request would fall on both.
    pub fn overlaps(&self, other: &Ground<'_>) -> bool {
        let hosts = match (self.host, other.host) {
            (Some(one), Some(other)) => one.intersect(other).is_some(),
            (None, _) | (_, None) => true,
        };
        hosts && (self.is_below(other) || other.is_below(self))
    }

    /// Whether its path is that of the other one, or below it; whatever their hosts are.
    pub fn is_below(&self, other: &Ground<'_>) -> bool {
        is_below(&self.path, &other.path)
    }
}

impl fmt::Display for Ground<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host {
            Some(host) => write!(f, "{host}{}", self.path),
            None => write!(f, "every host, {}", self.path),
        }
    }
}

/// A path in its one form. What has no normal form is refused by its own check, and matches nothing.
fn normal(path: &str) -> Cow<'_, str> {
    match path::normalise(path).unwrap_or(Cow::Borrowed(path)) {
        Cow::Borrowed(path) => trimmed(path),
        Cow::Owned(path) => Cow::Owned(trimmed(&path).into_owned()),
    }
}

/// Without slashes at its end, in lower case.
fn trimmed(path: &str) -> Cow<'_, str> {
    let path = match path.trim_end_matches('/') {
        "" => "/",
        path => path,
    };
    match path.bytes().any(|byte| byte.is_ascii_uppercase()) {
        true => Cow::Owned(path.to_ascii_lowercase()),
        false => Cow::Borrowed(path),
    }
}

/// Whether `path` is `prefix` or below it, by whole segments.
fn is_below(path: &str, prefix: &str) -> bool {
    prefix == "/"
        || path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl Claim {
    /// All that it holds.
    pub fn grounds(&self) -> impl Iterator<Item = Ground<'_>> {
        self.spec.hosts.iter().flat_map(HostClaim::grounds)
    }

    /// Reports what the schema cannot say.
    pub fn check(&self, at: &mut Checker) {
        let mut seen: Vec<Ground<'_>> = Vec::new();
        at.within("spec", |at| {
            at.each("hosts", &self.spec.hosts, |at, claim| {
                at.each("paths", &claim.paths, |at, path| check_path(at, path));
                for ground in claim.grounds() {
                    match seen.iter().find(|before| before.overlaps(&ground)) {
                        Some(before) => {
                            at.fault(format!("'{ground}' overlaps with '{before}' above"));
                        }
                        None => seen.push(ground),
                    }
                }
            });
        });
    }
}

impl HostClaim {
    /// All that it holds.
    pub fn grounds(&self) -> impl Iterator<Item = Ground<'_>> {
        let whole = self.paths.is_empty().then_some("/");
        let paths = self.paths.iter().map(String::as_str).chain(whole);
        paths.map(|path| Ground::new(Some(&self.host), path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grounds_overlap_where_a_request_falls_on_both() {
        let cases = [
            ("a.example.com/", "a.example.com/", true),
            ("a.example.com/", "b.example.com/", false),
            ("a.example.com/shop", "a.example.com/shop/", true),
            ("a.example.com/shop", "a.example.com/shop/cart", true),
            ("a.example.com/shop", "a.example.com/SHOP/cart", true),
            ("a.example.com/shop", "a.example.com/shopping", false),
            ("a.example.com/shop", "a.example.com/%73hop/cart", true),
            ("a.example.com/%73hop", "a.example.com/shop", true),
            ("a.example.com/shop", "a.example.com/%53hop", true),
            ("a.example.com/shop", "a.example.com/x/%2e%2e/shop/cart", true),
            ("a.example.com/shop", "a.example.com/%2E/shop", true),
            ("a.example.com/%C3%BC", "a.example.com/\u{fc}", true),
            ("a.example.com/a%c3", "a.example.com/a%C3/b", true),
            ("a.example.com/shop", "a.example.com/", true),
            ("a.example.com/shop", "a.example.com/orders", false),
            ("*.example.com/", "a.example.com/x", true),
            ("*.example.com/", "example.com/", false),
            ("*.example.com/", "*.b.example.com/", true),
            ("*.a.example.com/", "*.b.example.com/", false),
            ("/shop", "a.example.com/shop", true),
            ("/orders", "a.example.com/shop", false),
        ];
        for (one, other, wanted) in cases {
            let hosts = [one, other].map(|text| {
                let host = &text[..text.find('/').unwrap()];
                (!host.is_empty()).then(|| Hostname::parse(host).unwrap())
            });
            let ground = |index: usize, text| {
                let text: &str = text;
                Ground::new(hosts[index].as_ref(), &text[text.find('/').unwrap()..])
            };
            let (one, other) = (ground(0, one), ground(1, other));
            assert_eq!(one.overlaps(&other), wanted, "{one} and {other}");
            assert_eq!(other.overlaps(&one), wanted, "{other} and {one}");
        }
    }
}
