//! LoginProvider (`heddle.dev/v1alpha1`): where people sign in who have no password here.
//!
//! ```yaml
//! apiVersion: heddle.dev/v1alpha1
//! kind: LoginProvider
//! metadata: { name: corp }
//! spec:
//!   title: Corp
//!   issuer: https://id.example.com/realms/corp
//!   clientId: heddle
//!   clientSecretRef: { name: corp-login }
//!   contact: platform@example.com
//! ```
//!
//! A provider says who somebody is and which groups they are in; what they may do, Teams and Grants
//! say. Names of its users begin with a prefix of its own, so that no provider can say the name of
//! somebody whom it does not know.

use std::collections::BTreeSet;
use std::net::IpAddr;

use http::Uri;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::invalid::Checker;
use crate::policy::LocalRef;
use crate::{Meta, Name};

/// The entry of the Secret that holds the client's secret.
pub const CLIENT_SECRET: &str = "client-secret";

/// Characters of a prefix, so that room is left for a name.
const PREFIX: usize = 100;

/// A provider of OpenID Connect.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LoginProvider {
    /// Who it is.
    pub metadata: Meta,
    /// What is wanted.
    pub spec: LoginProviderSpec,
}

/// `spec` of a LoginProvider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LoginProviderSpec {
    /// What stands on its button; its name where none is written.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 100))]
    pub title: String,
    /// The issuer, exactly as the provider writes it: an https URL, below which its discovery
    /// document lies. http is for loopback hosts alone.
    #[schemars(length(min = 1, max = 1024))]
    pub issuer: String,
    /// What the provider calls this server.
    #[schemars(length(min = 1, max = 256))]
    pub client_id: String,
    /// The Secret that holds `client-secret`; none for a public client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret_ref: Option<LocalRef>,
    /// What is asked for; `openid` must be among it.
    #[serde(default = "scopes", skip_serializing_if = "are_usual")]
    #[schemars(length(min = 1, max = 16))]
    pub scopes: Vec<String>,
    /// What the ID token calls what we look for.
    #[serde(default, skip_serializing_if = "Claims::are_usual")]
    pub claims: Claims,
    /// What names of its users begin with: the provider's name and `-` where nothing is written. An
    /// empty one lets the provider say any name that nobody has yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 100))]
    pub prefix: Option<String>,
    /// Whom people ask who may do nothing yet.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 256))]
    pub contact: String,
}

/// Claims of an ID token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Claims {
    /// From which the user's name is made when they sign in first.
    #[serde(default = "user_claim")]
    #[schemars(length(min = 1, max = 128))]
    pub user: String,
    /// Which lists the user's groups.
    #[serde(default = "groups_claim")]
    #[schemars(length(min = 1, max = 128))]
    pub groups: String,
}

fn scopes() -> Vec<String> {
    ["openid", "profile", "email"].map(str::to_owned).to_vec()
}

fn are_usual(given: &[String]) -> bool {
    given == scopes()
}

fn user_claim() -> String {
    "preferred_username".to_owned()
}

fn groups_claim() -> String {
    "groups".to_owned()
}

impl Default for Claims {
    fn default() -> Self {
        Claims { user: user_claim(), groups: groups_claim() }
    }
}

impl Claims {
    fn are_usual(&self) -> bool {
        *self == Claims::default()
    }
}

impl LoginProvider {
    /// What people read.
    pub fn title(&self) -> &str {
        match self.spec.title.as_str() {
            "" => self.metadata.name.as_str(),
            title => title,
        }
    }

    /// What names of its users begin with.
    pub fn prefix(&self) -> String {
        self.spec.prefix.clone().unwrap_or_else(|| format!("{}-", self.metadata.name))
    }

    /// The name of the user whom the provider calls `word`; none where nothing of it can stand in a
    /// name. Letters become small, what no name has becomes `-`.
    pub fn user(&self, word: &str) -> Option<Name> {
        let kept = |c: char| c.is_ascii_alphanumeric() || c == '.';
        let mapped: String =
            word.chars().map(|c| if kept(c) { c.to_ascii_lowercase() } else { '-' }).collect();
        let labels = mapped.split('.').map(|label| label.trim_matches('-'));
        let labels: Vec<_> = labels.filter(|label| !label.is_empty()).collect();
        if labels.is_empty() {
            return None;
        }
        Name::parse(&format!("{}{}", self.prefix(), labels.join("."))).ok()
    }

    /// Reports what the schema cannot say.
    pub fn check(&self, at: &mut Checker) {
        let prefix = self.prefix();
        at.within("spec", |at| {
            if let Some(wrong) = wrong_issuer(&self.spec.issuer) {
                at.fault_in("issuer", format!("'{}' {wrong}", self.spec.issuer));
            }
            if !self.spec.client_id.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
                at.fault_in("clientId", "is printable ASCII (RFC 6749, appendix A.1)");
            }
            wrong_scopes(&self.spec.scopes, at);
            if prefix.len() > PREFIX {
                at.fault_in("prefix", format!("has {} characters, of {PREFIX}", prefix.len()));
            } else if Name::parse(&format!("{prefix}x")).is_err() {
                let text = "no name begins so: lower-case letters, digits, '-' and '.', beginning \
                            with a letter or digit, such as 'corp-'";
                at.fault_in("prefix", format!("'{prefix}': {text}"));
            }
        });
    }
}

/// Reports what is wrong with scopes that a provider is asked for.
pub(crate) fn wrong_scopes(scopes: &[String], at: &mut Checker) {
    let mut seen = BTreeSet::new();
    at.each("scopes", scopes, |at, scope| {
        if !is_scope(scope) {
            at.fault(format!("'{scope}' is no scope: printable ASCII without spaces"));
        } else if !seen.insert(scope) {
            at.fault(format!("'{scope}' stands above"));
        }
    });
    if !scopes.iter().any(|scope| scope == "openid") {
        at.fault_in("scopes", "lack 'openid', without which no provider says who it is");
    }
}

fn is_scope(word: &str) -> bool {
    // RFC 6749, section 3.3.
    let is_in = |byte: u8| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
    (1..=128).contains(&word.len()) && word.bytes().all(is_in)
}

/// What is wrong with an issuer, if something is.
fn wrong_issuer(text: &str) -> Option<&'static str> {
    let Ok(uri) = text.parse::<Uri>() else { return Some("is no URL") };
    let Some(host) = uri.host().filter(|host| !host.is_empty()) else {
        return Some("is no URL with a host, such as https://id.example.com");
    };
    if uri.query().is_some() || text.contains('#') {
        return Some("has a query or a fragment, which no issuer has (OpenID Discovery, 3)");
    }
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Some("holds a user; the client's secret stands in a Secret");
    }
    match uri.scheme_str() {
        Some("https") => None,
        Some("http") if is_loopback(host) => None,
        _ => Some("must be https, so that nobody between can say who somebody is"),
    }
}

/// Whether a host of a URL means the machine itself, whoever resolves it (RFC 6761, section 6.3).
pub fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    match host.parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => host.rsplit('.').next().is_some_and(|top| top.eq_ignore_ascii_case("localhost")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn provider(spec: &str) -> LoginProvider {
        let text = format!(
            "apiVersion: heddle.dev/v1alpha1\nkind: LoginProvider\nmetadata: {{ name: corp }}\n\
             spec: {{ issuer: \"https://id.example.com\", clientId: heddle{spec} }}\n"
        );
        let read = crate::read(&text).remove(0).result.unwrap();
        let crate::Resource::LoginProvider(provider) = read else { panic!() };
        (*provider).clone()
    }

    #[test]
    fn names_of_users_begin_with_the_prefix_and_are_names() {
        let own = provider("");
        for (word, name) in [
            ("alice", Some("corp-alice")),
            ("Alice Smith", Some("corp-alice-smith")),
            ("alice@example.com", Some("corp-alice-example.com")),
            ("..alice__", Some("corp-alice")),
            ("a.-b", Some("corp-a.b")),
            ("", None),
            ("@@", None),
            ("\u{fc}", None),
        ] {
            assert_eq!(own.user(word).as_ref().map(Name::as_str), name, "{word}");
        }
        assert!(own.user(&"a".repeat(300)).is_none());
        let bare = provider(", prefix: \"\"");
        assert_eq!(bare.user("Alice").unwrap().as_str(), "alice");
    }

    #[test]
    fn a_provider_is_asked_over_tls_or_on_this_machine() {
        for good in [
            "https://id.example.com",
            "https://id.example.com:8443/realms/corp/",
            "http://127.0.0.1:9000",
            "http://[::1]:9000/a",
            "http://idp.localhost:9000",
        ] {
            assert_eq!(wrong_issuer(good), None, "{good}");
        }
        for bad in [
            "http://id.example.com",
            "http://localhost.example.com",
            "ftp://localhost",
            "id.example.com",
            "https://",
            "https://a@id.example.com",
            "https://id.example.com?x=1",
            "https://id.example.com#x",
            "http://10.0.0.1",
        ] {
            assert!(wrong_issuer(bad).is_some(), "{bad}");
        }
    }
}
