//! `oidc` of an AuthnPolicy: browsers log in at a provider of OpenID Connect, by its authorization code flow with
//! PKCE, and bring a session of ours from then on.

use http::Uri;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{JwtIssuer, keys_fault, wrong_url};
use crate::invalid::Checker;
use crate::login::wrong_scopes;
use crate::path::{EscapedSlash, normalise_with};
use crate::policy::LocalRef;

/// A provider of OpenID Connect, and the session that begins once a browser has logged in there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OidcLogin {
    /// The exact value of the claim `iss` of its ID tokens; rules name callers by it.
    #[schemars(length(min = 1, max = 2048))]
    pub issuer: String,
    /// What the provider calls this client; its ID tokens are meant for it (`aud`).
    #[schemars(length(min = 1, max = 256))]
    pub client_id: String,
    /// The Secret that holds `client-secret`; none for a public client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret_ref: Option<LocalRef>,
    /// How the provider is shown that secret; by `Basic` where nothing is written.
    #[serde(default, skip_serializing_if = "ClientAuth::is_basic")]
    pub client_auth: ClientAuth,
    /// Where browsers log in (`authorization_endpoint`): an https URL.
    #[schemars(length(min = 1, max = 2048))]
    pub authorization_url: String,
    /// Where a gateway asks for tokens (`token_endpoint`): an https URL.
    #[schemars(length(min = 1, max = 2048))]
    pub token_url: String,
    /// Where browsers end their session at the provider (`end_session_endpoint`), once they logged out here; they
    /// stay here where none is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    pub end_session_url: Option<String>,
    /// The provider's public keys, as the text of a JWK Set (RFC 7517).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 65536))]
    pub jwks: Option<String>,
    /// Where the provider publishes them (`jwks_uri`), in the place of `jwks`: an https URL. The server fetches them;
    /// a gateway that reads files does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    pub jwks_url: Option<String>,
    /// What is asked for; `openid` must be among it. `openid`, `profile` and `email` where nothing is written; with
    /// `offline_access` many providers give what sessions are refreshed by.
    #[serde(default = "scopes")]
    #[schemars(length(min = 1, max = 16))]
    pub scopes: Vec<String>,
    /// The path to which the provider sends browsers back, at the host where they began; register it there. A rule
    /// below the policy has to match it.
    #[serde(default = "callback_path")]
    #[schemars(length(min = 2, max = 256))]
    pub callback_path: String,
    /// The path at which a browser logs out; a rule below the policy has to match it.
    #[serde(default = "logout_path")]
    #[schemars(length(min = 2, max = 256))]
    pub logout_path: String,
    /// Seconds until a browser has to log in again, whatever it does meanwhile; 8 h where none is written.
    #[serde(default = "session_seconds")]
    #[schemars(range(min = 60, max = 2_592_000))]
    pub session_seconds: u32,
    /// Seconds by which clocks may differ; 30 where none is written.
    #[serde(default = "super::leeway")]
    #[schemars(range(min = 0, max = 300))]
    pub leeway_seconds: u32,
}

/// How a client shows its secret where it asks for tokens (RFC 6749, section 2.3.1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ClientAuth {
    /// As user and password in a header (`client_secret_basic`).
    #[default]
    Basic,
    /// In the body of the request (`client_secret_post`).
    Post,
}

impl ClientAuth {
    fn is_basic(&self) -> bool {
        *self == ClientAuth::Basic
    }
}

fn scopes() -> Vec<String> {
    ["openid", "profile", "email"].map(str::to_owned).to_vec()
}

fn callback_path() -> String {
    "/oauth2/callback".to_owned()
}

fn logout_path() -> String {
    "/oauth2/logout".to_owned()
}

fn session_seconds() -> u32 {
    8 * 60 * 60
}

impl OidcLogin {
    /// What verifies its ID tokens.
    pub fn verifier(&self) -> JwtIssuer {
        JwtIssuer {
            issuer: self.issuer.clone(),
            audiences: vec![self.client_id.clone()],
            jwks: self.jwks.clone(),
            jwks_url: self.jwks_url.clone(),
            from: Vec::new(),
            forward: false,
            leeway_seconds: self.leeway_seconds,
        }
    }

    pub(super) fn check(&self, at: &mut Checker) {
        if !self.client_id.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
            at.fault_in("clientId", "is printable ASCII (RFC 6749, appendix A.1)");
        }
        let urls = [
            ("authorizationUrl", Some(&self.authorization_url)),
            ("tokenUrl", Some(&self.token_url)),
            ("endSessionUrl", self.end_session_url.as_ref()),
        ];
        for (field, url) in urls.into_iter().filter_map(|(field, url)| Some((field, url?))) {
            let wrong = wrong_url(url).into_iter();
            wrong.for_each(|wrong| at.fault_in(field, format!("'{url}' {wrong}")));
        }
        keys_fault(self.jwks.as_deref(), self.jwks_url.as_deref(), at);
        wrong_scopes(&self.scopes, at);
        for (field, path) in
            [("callbackPath", &self.callback_path), ("logoutPath", &self.logout_path)]
        {
            if !is_plain_path(path) {
                let text = "is no path as requests are compared with, such as /oauth2/callback: \
                            without query, fragment, '.' and '..', doubled slashes or escapes";
                at.fault_in(field, format!("'{path}' {text}"));
            }
        }
        if self.callback_path == self.logout_path {
            at.fault_in("logoutPath", "is another one than callbackPath");
        }
    }
}

/// Whether requests for it have it as it is written, whatever a gateway makes of escapes.
fn is_plain_path(path: &str) -> bool {
    let is_whole = path.parse::<Uri>().is_ok_and(|uri| uri.path() == path);
    let is_same = normalise_with(path, EscapedSlash::Keep).is_ok_and(|same| same == path);
    path.starts_with('/') && path.len() > 1 && is_whole && is_same && !path.contains('%')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(given: &[(&str, serde_json::Value)]) -> Vec<(String, String)> {
        let mut login = serde_json::json!({
            "issuer": "https://login.example",
            "clientId": "shop",
            "authorizationUrl": "https://login.example/authorize",
            "tokenUrl": "https://login.example/token",
            "jwksUrl": "https://login.example/keys",
        });
        for (field, value) in given {
            login[field] = value.clone();
        }
        let login: OidcLogin = serde_json::from_value(login).unwrap();
        let mut at = Checker::default();
        login.check(&mut at);
        at.faults()
    }

    #[test]
    fn what_is_no_login_is_told_with_its_place() {
        assert_eq!(faults(&[]), []);
        for (field, value, place, told) in [
            ("tokenUrl", "http://login.example/token".into(), "tokenUrl", "must be https"),
            ("authorizationUrl", "/authorize".into(), "authorizationUrl", "no URL with a host"),
            ("endSessionUrl", "https://a.example/#x".into(), "endSessionUrl", "a fragment"),
            ("clientId", "shop\n".into(), "clientId", "printable ASCII"),
            ("scopes", serde_json::json!(["email"]), "scopes", "lack 'openid'"),
            ("scopes", serde_json::json!(["openid", "a b"]), "scopes[1]", "is no scope"),
            ("callbackPath", "oauth2".into(), "callbackPath", "is no path"),
            ("callbackPath", "/a/../b".into(), "callbackPath", "is no path"),
            ("callbackPath", "/a?b".into(), "callbackPath", "is no path"),
            ("callbackPath", "/a%2fb".into(), "callbackPath", "is no path"),
            ("logoutPath", "/oauth2/callback".into(), "logoutPath", "another one"),
            ("jwks", r#"{"keys":[]}"#.into(), "", "one of jwks, jwksUrl"),
        ] {
            let [(at, reason)] = &faults(&[(field, value)])[..] else { panic!("{field}: {told}") };
            assert!(at == place && reason.contains(told), "{field}: {at}: {reason}");
        }
    }
}
