//! AuthnPolicy (`heddle.dev/v1alpha1`): how callers prove who they are to what it is attached to.
//!
//! ```yaml
//! apiVersion: heddle.dev/v1alpha1
//! kind: AuthnPolicy
//! metadata: { name: orders, namespace: shop }
//! spec:
//!   targetRefs:
//!     - { kind: HTTPRoute, name: orders }
//!   methods:
//!     - name: partners
//!       apiKey:
//!         secretRef: { name: order-keys }     # each entry of the Secret: caller's name -> key
//!       toHeaders: [{ header: x-partner }]    # what the backend is told: the caller's name
//!     - name: customers
//!       apiKey:
//!         from: [{ header: x-api-key }, { basic: orders }]
//!         consumers: { matchLabels: { plan: gold } }    # the Consumers of the namespace that have these labels
//!     - name: staff
//!       jwt:
//!         issuer: https://login.example
//!         audiences: [orders]
//!         jwksUrl: https://login.example/keys    # fetched by the server; or the keys themselves, as `jwks`
//!       toHeaders: [{ header: x-team, claim: team }]
//!     - name: people
//!       oidc:                                 # browsers log in there, and bring a session from then on
//!         issuer: https://login.example
//!         clientId: orders
//!         clientSecretRef: { name: orders-login }
//!         authorizationUrl: https://login.example/authorize
//!         tokenUrl: https://login.example/token
//!         jwksUrl: https://login.example/keys
//!   require: Any
//! ```
//!
//! Whoever proves who they are counts for the rules of AccessPolicies at the same target and at narrower ones,
//! never for broader ones. A credential that is shown where a method reads it, and that none accepts, is always
//! refused.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use http::Uri;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::LABEL;
use crate::consumer::Consumer;
use crate::invalid::Checker;
use crate::login::is_loopback;
use crate::namespace::{key_fault, value_fault};
use crate::policy::{LocalRef, PolicyTargetRef, TargetKind};
use crate::{Key, Kind, Meta, Name, cookie, header};

mod oidc;

pub use oidc::{ClientAuth, OidcLogin};

/// How many bytes the keys behind one URL may have as they travel within their policy, and count for where its
/// workspace is bounded.
pub const FETCHED_BYTES: usize = 24 << 10;

/// Ways to prove who is calling.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuthnPolicy {
    /// Who it is.
    pub metadata: Meta,
    /// What is wanted.
    pub spec: AuthnPolicySpec,
}

/// `spec` of an AuthnPolicy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AuthnPolicySpec {
    /// What it is attached to, in its own namespace: Gateways, ListenerSets, HTTPRoutes and GRPCRoutes.
    #[schemars(length(min = 1, max = 16))]
    pub target_refs: Vec<PolicyTargetRef>,
    /// The ways. What is shown by several of them counts together.
    #[schemars(length(min = 1, max = 16))]
    pub methods: Vec<AuthnMethod>,
    /// Whom it lets pass at all; everybody where nothing is written, so that the rules of AccessPolicies say who
    /// has to have proved what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub require: Option<Require>,
}

/// Whom an AuthnPolicy lets pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Require {
    /// Who proved by one of its methods, at least, who they are.
    Any,
    /// Who did so by each of them.
    All,
}

/// One way to prove who is calling: what it is called, and one of the others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AuthnMethod {
    /// Its name within the policy, shown by explain and in logs.
    pub name: Name,
    /// Keys that only a caller and the gateway hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key: Option<ApiKeySource>,
    /// Tokens that an issuer signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwt: Option<JwtIssuer>,
    /// Certificates that callers show in the handshake, where the listener asks for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_certificate: Option<CertificateSource>,
    /// Sessions of browsers that log in at a provider of OpenID Connect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oidc: Option<OidcLogin>,
    /// Headers that tell the backend who is calling. What callers send in them is taken off, whether anybody
    /// proved who they are or not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub to_headers: Vec<ToHeader>,
}

/// A header that tells the backend who is calling.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ToHeader {
    /// Its name: not one that the gateway writes itself, nor one in which credentials stand.
    #[schemars(length(min = 1, max = 256))]
    pub header: String,
    /// The claim of the token that stands in it, with dots into objects (`realm.roles`); the caller's name
    /// (of a token its `sub`) where none is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub claim: Option<String>,
}

/// API keys: where callers put them, and which exist.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApiKeySource {
    /// Where the key may stand; in the header `x-api-key` where nothing is written. It is taken off before the
    /// backend.
    #[serde(default = "in_api_key_header")]
    #[schemars(length(min = 1, max = 8))]
    pub from: Vec<CredentialPlace>,
    /// The Secret whose entries are callers' names with their keys (16 bytes or longer).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalRef>,
    /// The Consumers that have keys, in the place of a Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consumers: Option<ConsumerSelector>,
}

/// Certificates of callers: whose they are. Which authorities sign them, `spec.tls.frontend` of the Gateway says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CertificateSource {
    /// The Consumers that have certificates.
    pub consumers: ConsumerSelector,
}

/// Which Consumers of the policy's namespace: those of the policy's own Api and of none, that have all of these
/// labels.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConsumerSelector {
    /// Labels with these values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub match_labels: BTreeMap<String, String>,
}

impl ConsumerSelector {
    /// Whether a policy of the Api `of` takes a Consumer of its namespace.
    pub fn picks(&self, of: Option<&str>, consumer: &Consumer) -> bool {
        let labels = &consumer.metadata.labels;
        let mut wanted = self.match_labels.iter();
        consumer.is_known_to(of) && wanted.all(|(key, value)| labels.get(key) == Some(value))
    }

    fn check(&self, at: &mut Checker) {
        at.within("matchLabels", |at| {
            for (key, value) in &self.match_labels {
                let wrong = key_fault(key).or_else(|| value_fault(value));
                wrong.into_iter().for_each(|wrong| at.fault_in(&format!("['{key}']"), wrong));
            }
        });
    }
}

fn in_api_key_header() -> Vec<CredentialPlace> {
    vec![CredentialPlace::header("x-api-key")]
}

/// Where a credential stands in a request: one of these.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CredentialPlace {
    /// A header. In `authorization` a token stands behind the word `Bearer` (RFC 6750).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub header: Option<String>,
    /// A parameter of the query, which others may log; better none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub query: Option<String>,
    /// A cookie.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub cookie: Option<String>,
    /// The password in `authorization` behind the word `Basic` (RFC 7617), where the user is the caller's name; this
    /// is the realm, which browsers show. Of a key alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub basic: Option<String>,
}

/// An issuer of JSON Web Tokens (RFC 7519).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JwtIssuer {
    /// The exact value of the claim `iss`.
    #[schemars(length(min = 1, max = 2048))]
    pub issuer: String,
    /// Accepted values of the claim `aud`, of which a token must carry one.
    #[schemars(length(min = 1, max = 16))]
    pub audiences: Vec<String>,
    /// The issuer's public keys, as the text of a JWK Set (RFC 7517). Symmetric keys are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 65536))]
    pub jwks: Option<String>,
    /// Where the issuer publishes them, in the place of `jwks`: an https URL. The server fetches them; a gateway
    /// that reads files does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    pub jwks_url: Option<String>,
    /// Where the token may stand; in `authorization` where nothing is written.
    #[serde(default = "in_authorization")]
    #[schemars(length(min = 1, max = 8))]
    pub from: Vec<CredentialPlace>,
    /// Whether the backend gets it; it does where nothing is written.
    #[serde(default = "forwarded")]
    pub forward: bool,
    /// Seconds by which clocks may differ; 30 where none is written.
    #[serde(default = "leeway")]
    #[schemars(range(min = 0, max = 300))]
    pub leeway_seconds: u32,
}

fn in_authorization() -> Vec<CredentialPlace> {
    vec![CredentialPlace::header("authorization")]
}

fn forwarded() -> bool {
    true
}

fn leeway() -> u32 {
    30
}

impl AuthnPolicy {
    /// The Secrets that hold keys of callers, or of clients of providers, each behind the place at which it is named.
    pub fn credentials(&self) -> impl Iterator<Item = (String, Key)> {
        self.spec.methods.iter().enumerate().filter_map(|(at, method)| {
            let keys = method.api_key.as_ref().and_then(|keys| keys.secret_ref.as_ref());
            let client = method.oidc.as_ref().and_then(|login| login.client_secret_ref.as_ref());
            let (field, secret) = match keys {
                Some(secret) => ("apiKey.secretRef", secret),
                None => ("oidc.clientSecretRef", client?),
            };
            let (own, name) = (self.metadata.namespace.clone(), secret.name.clone());
            Some((format!("spec.methods[{at}].{field}"), Key::new(Kind::Secret, own, name)))
        })
    }

    /// Where keys of its issuers are fetched, each behind the place at which it is named.
    pub fn key_urls(&self) -> impl Iterator<Item = (String, &str)> {
        self.spec.methods.iter().enumerate().filter_map(|(at, method)| {
            let (way, url) = match (&method.jwt, &method.oidc) {
                (Some(issuer), _) => ("jwt", issuer.jwks_url.as_deref()?),
                (None, login) => ("oidc", login.as_ref()?.jwks_url.as_deref()?),
            };
            Some((format!("spec.methods[{at}].{way}.jwksUrl"), url))
        })
    }

    /// The same with keys in the place of each URL of which some are known.
    pub fn with_keys<'k>(&self, known: impl Fn(&str) -> Option<&'k str>) -> AuthnPolicy {
        let mut whole = self.clone();
        for method in &mut whole.spec.methods {
            let issuer = method.jwt.as_mut().map(|one| (&mut one.jwks, &mut one.jwks_url));
            let login = method.oidc.as_mut().map(|one| (&mut one.jwks, &mut one.jwks_url));
            let Some((jwks, url)) = issuer.or(login) else { continue };
            if let Some(keys) = url.as_deref().and_then(&known) {
                (*jwks, *url) = (Some(keys.to_owned()), None);
            }
        }
        whole
    }

    /// Whether some method of it takes a Consumer.
    pub fn takes(&self, consumer: &Consumer) -> bool {
        let (mine, its) = (&self.metadata, &consumer.metadata);
        mine.namespace == its.namespace
            && self.selectors().any(|one| one.picks(self.api(), consumer))
    }

    /// Whether it takes Consumers at all.
    pub fn takes_consumers(&self) -> bool {
        self.selectors().next().is_some()
    }

    fn selectors(&self) -> impl Iterator<Item = &ConsumerSelector> {
        self.spec.methods.iter().filter_map(|method| {
            let keys = method.api_key.as_ref().and_then(|keys| keys.consumers.as_ref());
            keys.or_else(|| method.client_certificate.as_ref().map(|one| &one.consumers))
        })
    }

    /// The Api that it belongs to, by its label.
    pub fn api(&self) -> Option<&str> {
        self.metadata.labels.get(LABEL).map(String::as_str)
    }

    /// Reports what the schema cannot say.
    pub fn check(&self, at: &mut Checker) {
        at.within("spec", |at| {
            at.each("targetRefs", &self.spec.target_refs, |at, target| {
                target.check(at);
                if !shows_requests(target.kind) {
                    let text = "who is calling is proved by requests at the edge: it is attached to \
                                Gateways, ListenerSets, HTTPRoutes and GRPCRoutes";
                    at.fault_in("kind", text);
                }
            });
            let mut names = BTreeSet::new();
            at.each("methods", &self.spec.methods, |at, method| {
                if !names.insert(&method.name) {
                    at.fault_in("name", format!("a method '{}' stands above", method.name));
                }
                method.check(at);
                self.check_paths(method, at);
                at.each("toHeaders", &method.to_headers, |at, told| {
                    let name = header::spelling(&told.header);
                    let mut places = self.spec.methods.iter().flat_map(AuthnMethod::places);
                    if places.any(|place| place.is_header(&name)) {
                        at.fault_in("header", format!("a credential stands in '{}'", told.header));
                    }
                });
            });
        });
    }
}

impl AuthnPolicy {
    /// Reports paths of a login that are another's above it, which has them.
    fn check_paths(&self, method: &AuthnMethod, at: &mut Checker) {
        let Some(login) = &method.oidc else { return };
        let above = self.spec.methods.iter().take_while(|other| !std::ptr::eq(*other, method));
        let above: Vec<_> = above.filter_map(|other| other.oidc.as_ref()).collect();
        let is_back = |path: &String| above.iter().any(|other| other.callback_path == *path);
        let is_out = |path: &String| above.iter().any(|other| other.logout_path == *path);
        at.within("oidc", |at| {
            if is_back(&login.callback_path) || is_out(&login.callback_path) {
                let text = format!("'{}' is a path of a login above", login.callback_path);
                at.fault_in("callbackPath", text);
            }
            if is_back(&login.logout_path) {
                let text = format!("'{}' is where a login above comes back", login.logout_path);
                at.fault_in("logoutPath", text);
            }
        });
    }
}

/// Whether requests come through it at the edge, which alone bring credentials.
const fn shows_requests(kind: TargetKind) -> bool {
    match kind {
        TargetKind::Gateway
        | TargetKind::ListenerSet
        | TargetKind::HttpRoute
        | TargetKind::GrpcRoute => true,
        TargetKind::TlsRoute
        | TargetKind::TcpRoute
        | TargetKind::UdpRoute
        | TargetKind::Service => false,
    }
}

impl AuthnMethod {
    fn check(&self, at: &mut Checker) {
        let AuthnMethod { name: _, api_key, jwt, client_certificate, oidc, to_headers: _ } = self;
        api_key.iter().for_each(|keys| at.within("apiKey", |at| keys.check(at)));
        jwt.iter().for_each(|issuer| at.within("jwt", |at| issuer.check(at)));
        client_certificate.iter().for_each(|one| {
            at.within("clientCertificate", |at| {
                at.within("consumers", |at| one.consumers.check(at));
            });
        });
        oidc.iter().for_each(|login| at.within("oidc", |at| login.check(at)));
        let ways = [api_key.is_some(), jwt.is_some(), client_certificate.is_some(), oidc.is_some()];
        match ways.into_iter().filter(|is_there| *is_there).count() {
            0 => {
                at.fault(
                    "says no way to prove anything; one of apiKey, jwt, clientCertificate, oidc",
                );
            }
            1 => {}
            _ => at.fault("is one way: write another method for the other one"),
        }
        let mut names = BTreeSet::new();
        at.each("toHeaders", &self.to_headers, |at, told| {
            if !names.insert(header::spelling(&told.header)) {
                at.fault_in("header", format!("'{}' stands above", told.header));
            }
            told.check(self, at);
        });
    }

    /// Where its credentials stand.
    fn places(&self) -> impl Iterator<Item = &CredentialPlace> {
        let keys = self.api_key.iter().flat_map(|keys| &keys.from);
        keys.chain(self.jwt.iter().flat_map(|issuer| &issuer.from))
    }
}

impl ToHeader {
    fn check(&self, method: &AuthnMethod, at: &mut Checker) {
        let name = header::spelling(&self.header);
        if !is_token(&self.header) {
            at.fault_in("header", format!("'{}' is no header name", self.header));
        } else if let Some(why) = header::why_not_told(&name) {
            at.fault_in("header", format!("'{}' tells nobody who is calling: {why}", self.header));
        }
        if method.jwt.is_none() && method.oidc.is_none() && self.claim.is_some() {
            at.fault_in("claim", "a token alone has claims; leave it out for the caller's name");
        }
    }
}

impl ApiKeySource {
    fn check(&self, at: &mut Checker) {
        at.each("from", &self.from, |at, place| place.check(at));
        match (&self.secret_ref, &self.consumers) {
            (Some(_), None) => {}
            (None, Some(consumers)) => at.within("consumers", |at| consumers.check(at)),
            (None, None) => at.fault("says nobody's keys; one of secretRef, consumers"),
            (Some(_), Some(_)) => {
                at.fault("has keys of one kind: write another method for the other one");
            }
        }
    }
}

impl CredentialPlace {
    /// A header of this name.
    pub fn header(name: &str) -> Self {
        CredentialPlace { header: Some(name.to_owned()), ..CredentialPlace::default() }
    }

    /// Whether it is a header of this spelling.
    fn is_header(&self, spelling: &str) -> bool {
        self.header.as_ref().is_some_and(|header| header::spelling(header) == spelling)
    }

    fn check(&self, at: &mut Checker) {
        let CredentialPlace { header, query, cookie, basic } = self;
        if [header, query, cookie, basic].into_iter().flatten().count() != 1 {
            at.fault("is one place: one of header, query, cookie, basic");
        }
        let is_plain = |realm: &String| realm.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        if !basic.as_ref().is_none_or(is_plain) {
            at.fault_in("basic", "is a realm, of printable ASCII letters");
        }
        if let Some(name) = header.as_ref().filter(|name| !is_token(name)) {
            at.fault_in("header", format!("'{name}' is no header name"));
        }
        if let Some(name) = cookie {
            if !is_token(name) {
                at.fault_in("cookie", format!("'{name}' is no name of a cookie"));
            }
            if cookie::ALL.contains(&name.as_str()) {
                at.fault_in("cookie", format!("'{name}' is the console's"));
            }
            if cookie::is_of_login(name.as_bytes()) {
                at.fault_in("cookie", format!("'{name}' is of those who log in at a gateway"));
            }
        }
    }
}

/// In words, as `the header 'x-api-key'`.
impl fmt::Display for CredentialPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let CredentialPlace { header, query, cookie, basic } = self;
        let named = [("header", header), ("query parameter", query), ("cookie", cookie)];
        let mut named = named.into_iter().filter_map(|(what, name)| Some((what, name.as_ref()?)));
        named.try_for_each(|(what, name)| write!(f, "the {what} '{name}'"))?;
        basic.iter().try_for_each(|realm| write!(f, "the password of Basic for '{realm}'"))
    }
}

/// Whether it is a `token` (RFC 9110, section 5.6.2), as names of headers and of cookies are.
fn is_token(name: &str) -> bool {
    http::HeaderName::from_bytes(name.as_bytes()).is_ok()
}

impl JwtIssuer {
    fn check(&self, at: &mut Checker) {
        at.each("from", &self.from, |at, place| {
            place.check(at);
            if place.basic.is_some() {
                at.fault_in("basic", "is where a key stands; a token stands behind 'Bearer'");
            }
        });
        keys_fault(self.jwks.as_deref(), self.jwks_url.as_deref(), at);
    }
}

/// Reports what is wrong with where the keys of an issuer are.
fn keys_fault(keys: Option<&str>, url: Option<&str>, at: &mut Checker) {
    match (keys, url) {
        (Some(keys), None) => {
            wrong_keys(keys).into_iter().for_each(|wrong| at.fault_in("jwks", wrong));
        }
        (None, Some(url)) => {
            let wrong = wrong_url(url).into_iter();
            wrong.for_each(|wrong| at.fault_in("jwksUrl", format!("'{url}' {wrong}")));
        }
        (None, None) => at.fault("has no keys of the issuer; one of jwks, jwksUrl"),
        (Some(_), Some(_)) => at.fault("has its keys in one place: one of jwks, jwksUrl"),
    }
}

/// What is wrong with the text of a key set, as far as it is told without reading keys.
fn wrong_keys(text: &str) -> Option<&'static str> {
    let keys = serde_json::from_str::<serde_json::Value>(text).ok();
    match keys.as_ref().and_then(|set| set.get("keys")?.as_array()) {
        None => Some("is no JWK Set: an object with a list 'keys' (RFC 7517)"),
        Some(keys) if keys.is_empty() => Some("the JWK Set holds no key"),
        Some(keys) if keys.iter().any(|key| key["kty"] == "oct") => {
            Some("symmetric keys (kty 'oct') are refused: whoever checks could sign")
        }
        Some(_) => None,
    }
}

/// What is wrong with a URL of an issuer, from which keys are fetched or where people log in.
fn wrong_url(text: &str) -> Option<&'static str> {
    if !text.is_ascii() {
        return Some("is written in ASCII, and all else percent-encoded");
    }
    let uri = text.parse::<Uri>().ok();
    let host = uri.as_ref().and_then(Uri::host).filter(|host| !host.is_empty());
    let (Some(uri), Some(host)) = (&uri, host) else {
        return Some("is no URL with a host, such as https://login.example/keys");
    };
    let has_port = uri.authority().is_some_and(|one| one.as_str().len() > host.len());
    if has_port && uri.port_u16().is_none_or(|port| port == 0) && !text.contains('@') {
        return Some("has a port that is none");
    }
    if text.contains('#') || uri.authority().is_some_and(|one| one.as_str().contains('@')) {
        return Some("has a user or a fragment, which is not sent");
    }
    match uri.scheme_str() {
        Some("https") => None,
        Some("http") if is_loopback(host) => None,
        _ => Some(
            "must be https, so that nobody between can put keys of their own there, or read what is sent",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(given: &[(&str, &str)]) -> Vec<(String, String)> {
        let mut issuer =
            serde_json::json!({ "issuer": "https://a.example", "audiences": ["orders"] });
        for (field, text) in given {
            issuer[field] = (*text).into();
        }
        let issuer: JwtIssuer = serde_json::from_value(issuer).unwrap();
        let mut at = Checker::default();
        issuer.check(&mut at);
        at.faults()
    }

    #[test]
    fn a_login_has_no_path_of_one_above_it() {
        let method = |name: &str, paths: [&str; 2]| {
            let keys = r#"{"keys":[{"kty":"OKP"}]}"#;
            serde_json::json!({ "name": name, "oidc": {
                "issuer": "https://a.example", "clientId": "a", "jwks": keys,
                "authorizationUrl": "https://a.example/a", "tokenUrl": "https://a.example/t",
                "callbackPath": paths[0], "logoutPath": paths[1],
            } })
        };
        for (paths, wrong) in [
            (["/c", "/d"], &[][..]),
            (["/c", "/b"], &[]),
            (["/a", "/d"], &["spec.methods[1].oidc.callbackPath"]),
            (
                ["/b", "/a"],
                &["spec.methods[1].oidc.callbackPath", "spec.methods[1].oidc.logoutPath"],
            ),
        ] {
            let policy: AuthnPolicy = serde_json::from_value(serde_json::json!({
                "metadata": { "name": "p" },
                "spec": {
                    "targetRefs": [{ "kind": "HTTPRoute", "name": "a" }],
                    "methods": [method("one", ["/a", "/b"]), method("two", paths)],
                },
            }))
            .unwrap();
            let mut at = Checker::default();
            policy.check(&mut at);
            let places: Vec<_> = at.faults().into_iter().map(|(place, _)| place).collect();
            assert_eq!(places, wrong, "{paths:?}");
        }
    }

    #[test]
    fn keys_stand_there_or_lie_behind_a_url_that_nobody_between_can_change() {
        const KEYS: (&str, &str) = ("jwks", r#"{"keys":[{"kty":"OKP"}]}"#);
        assert_eq!(faults(&[KEYS]), []);
        for good in [
            "https://a.example/keys?of=orders",
            "https://a.example:8443",
            "https://[2001:db8::1]/keys",
            "https://[2001:db8::1]:8443/keys",
            "http://127.0.0.1:8080/keys",
            "http://login.localhost/keys",
        ] {
            assert_eq!(faults(&[("jwksUrl", good)]), [], "{good}");
        }
        let url = |text| vec![("jwksUrl", text)];
        for (wrong, place, told) in [
            (vec![], "", "has no keys of the issuer"),
            (vec![KEYS, ("jwksUrl", "https://a.example/keys")], "", "one of jwks, jwksUrl"),
            (url("http://a.example/keys"), "jwksUrl", "must be https"),
            (url("ftp://a.example/keys"), "jwksUrl", "must be https"),
            (url("/keys"), "jwksUrl", "is no URL with a host"),
            (url("https://me:you@a.example/keys"), "jwksUrl", "has a user"),
            (url("https://a.example/keys#1"), "jwksUrl", "a fragment"),
            (url("https://a.example:99999/keys"), "jwksUrl", "a port that is none"),
            (url("https://a.example:0/keys"), "jwksUrl", "a port that is none"),
            (url("https://a.example/schlüssel"), "jwksUrl", "in ASCII"),
            (vec![("jwks", r#"{"keys":[]}"#)], "jwks", "holds no key"),
        ] {
            let [(at, reason)] = &faults(&wrong)[..] else { panic!("{wrong:?}") };
            assert!(at == place && reason.contains(told), "{wrong:?}: {at}: {reason}");
        }
    }
}
