//! Logins of browsers at a provider of OpenID Connect, compiled: what of a request belongs to one, whom an ID token
//! names, and where a browser is sent. What is asked of others, and how sessions are sealed, is the proxy's part.

use std::fmt;
use std::sync::Arc;

use http::header::{ACCEPT, COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use model::authn::{AuthnPolicy, ClientAuth, OidcLogin};
use model::cookie::USER;
use model::login::CLIENT_SECRET;
use model::secret::SecretBytes;
use model::{Checker, Key, Kind};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use crate::authn::Declared;
use crate::facts::{Facts, Layer};
use crate::jwt::{Issuer, Token, TokenError};
use crate::principal::Principal;

/// Letters of the hash that stands for a login in names of cookies.
const MARK: usize = 12;

/// Claims that hold for one token alone, and say nothing of whom it names.
const OF_TOKEN: [&str; 4] = ["nonce", "at_hash", "c_hash", "s_hash"];

/// A provider at which browsers log in, for the routes of one method of a policy.
pub struct Login {
    /// `namespace/policy/method`.
    pub id: Box<str>,
    /// The policy.
    pub policy: Key,
    /// Where it is written there, such as `spec.methods[0].oidc`.
    pub path: Box<str>,
    /// As what its sessions are sealed beside the host: `id`, the issuer and the client, so that what one provider said
    /// of somebody is never taken for another's, whatever becomes of the policy.
    pub seal: Box<str>,
    /// What stands for it in names of cookies.
    pub mark: Box<str>,
    /// What the provider calls us.
    pub client_id: Box<str>,
    /// Our secret there; none for a public client.
    pub client_secret: Option<SecretBytes>,
    /// How it is shown.
    pub client_auth: ClientAuth,
    /// Where browsers log in.
    pub authorization_url: Box<str>,
    /// Where tokens are asked for.
    pub token_url: Box<str>,
    /// Where browsers end their session at the provider.
    pub end_session_url: Option<Box<str>>,
    /// What is asked for.
    pub scopes: Vec<String>,
    /// The path to which the provider sends browsers back.
    pub callback: Box<str>,
    /// The path at which they log out.
    pub logout: Box<str>,
    /// How long a session lasts, in seconds.
    pub lasts: i64,
    verifier: Issuer,
}

/// Somebody whose browser brought a session of a login.
#[derive(Debug, Clone)]
pub struct LoggedIn {
    /// Where they had logged in.
    pub login: Arc<Login>,
    /// Who.
    pub principal: Arc<Principal>,
    /// When they had, in seconds since 1970.
    pub since: i64,
}

/// What of a request belongs to logins.
#[derive(Debug, Clone)]
pub enum Visit {
    /// It comes back from the provider.
    Return(Arc<Login>),
    /// It logs out of these.
    Leave(Vec<Arc<Login>>),
    /// It may have brought a session of each of these.
    Sessions(Vec<Arc<Login>>),
}

/// Why an ID token names nobody.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdTokenError {
    /// It is none that is believed.
    #[error("the ID token is refused: {0}")]
    Token(#[from] TokenError),
    /// It is of somebody else.
    #[error("the ID token is of the issuer '{0}'")]
    Issuer(String),
    /// It was made for another try to log in.
    #[error("the ID token was made for another try to log in (its 'nonce')")]
    Nonce,
    /// It was made for another client.
    #[error("the ID token was made for another client (its 'azp')")]
    Client,
    /// It names nobody.
    #[error("the ID token names nobody (no 'sub')")]
    Nobody,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Login {
    /// Compiles `from`, a method of a policy; every fault is reported to `at`.
    pub(crate) fn compile(
        from: &OidcLogin,
        (policy, index): (&AuthnPolicy, usize),
        declared: &dyn Declared,
        at: &mut Checker,
    ) -> Self {
        let meta = &policy.metadata;
        let method = &policy.spec.methods[index].name;
        let id = format!("{}/{}/{method}", meta.namespace, meta.name);
        let client_secret = from.client_secret_ref.as_ref().and_then(|secret| {
            let found = declared.secret(&secret.name);
            let value = found.as_ref().and_then(|secret| secret.value(CLIENT_SECRET));
            // Files end with a line's end.
            let value = value.map(|value| SecretBytes::new(value.expose().trim_ascii_end()));
            if value.is_none() {
                let what = match found {
                    None => format!("no Secret '{}' in this namespace", secret.name),
                    Some(_) => format!("the Secret '{}' has no '{CLIENT_SECRET}'", secret.name),
                };
                at.fault_in("clientSecretRef", what);
            }
            value
        });
        let hash = Sha256::digest(id.as_bytes());
        let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        Login {
            mark: hash[..MARK].into(),
            seal: format!("{id}\n{}\n{}", from.issuer, from.client_id).into(),
            policy: Key::new(Kind::AuthnPolicy, meta.namespace.clone(), meta.name.clone()),
            path: format!("spec.methods[{index}].oidc").into(),
            id: id.into(),
            client_id: from.client_id.as_str().into(),
            client_secret,
            client_auth: from.client_auth,
            authorization_url: from.authorization_url.as_str().into(),
            token_url: from.token_url.as_str().into(),
            end_session_url: from.end_session_url.as_deref().map(Into::into),
            scopes: from.scopes.clone(),
            callback: from.callback_path.as_str().into(),
            logout: from.logout_path.as_str().into(),
            lasts: i64::from(from.session_seconds),
            verifier: Issuer::compile(&from.verifier(), at),
        }
    }

    /// What verifies its ID tokens.
    pub(crate) fn verifier(&self) -> &Issuer {
        &self.verifier
    }

    /// The issuer of its ID tokens.
    pub fn issuer(&self) -> &str {
        self.verifier.issuer()
    }

    /// The claims of whom an ID token names (OpenID Connect Core, section 3.1.3.7), but for those of the token itself.
    /// One that comes when a session is refreshed has to have no `nonce` (section 12.2).
    ///
    /// # Errors
    /// [`IdTokenError`].
    pub fn named(
        &self,
        token: &[u8],
        nonce: Option<&str>,
        now: i64,
    ) -> Result<Map<String, Value>, IdTokenError> {
        let token = Token::parse(token)?;
        if token.issuer() != self.issuer() {
            return Err(IdTokenError::Issuer(token.issuer().chars().take(200).collect()));
        }
        let Principal::Jwt { subject, mut claims, .. } = self.verifier.verify(&token, now)? else {
            return Err(IdTokenError::Nobody);
        };
        if subject.is_none_or(|subject| subject.is_empty()) {
            return Err(IdTokenError::Nobody);
        }
        if nonce.is_some_and(|nonce| claims.get("nonce").and_then(Value::as_str) != Some(nonce)) {
            return Err(IdTokenError::Nonce);
        }
        let is_several = |aud: &Value| aud.as_array().is_some_and(|list| list.len() > 1);
        match claims.get("azp") {
            None if claims.get("aud").is_some_and(is_several) => return Err(IdTokenError::Client),
            Some(azp) if azp.as_str() != Some(&*self.client_id) => {
                return Err(IdTokenError::Client);
            }
            Some(_) | None => {}
        }
        claims.retain(|name, _| !OF_TOKEN.contains(&name.as_str()));
        Ok(claims)
    }

    /// Whom claims name that [`Login::named`] gave.
    pub fn principal(&self, claims: Map<String, Value>) -> Principal {
        let subject = claims.get("sub").and_then(Value::as_str).map(str::to_owned);
        Principal::Jwt { issuer: self.issuer().to_owned(), subject, claims }
    }

    /// The name of the cookie that holds the session, or its first part, without what stands before it behind TLS.
    pub fn cookie(&self) -> String {
        format!("{USER}{}", self.mark)
    }

    /// Whether a request may have brought a session.
    fn is_brought(&self, headers: &HeaderMap) -> bool {
        let mut lines = headers.get_all(COOKIE).iter();
        let mark = self.mark.as_bytes();
        lines.any(|line| {
            let mut cookies = line.as_bytes().split(|byte| *byte == b';');
            cookies.any(|cookie| {
                let name = cookie.split(|byte| *byte == b'=').next().unwrap_or_default();
                let name = name.trim_ascii();
                let bare = name.strip_prefix(b"__Host-").unwrap_or(name);
                bare.strip_prefix(USER.as_bytes()).is_some_and(|its| its == mark)
            })
        })
    }
}

/// What of a request belongs to `logins`, of which the broadest come first.
pub(crate) fn visit<'l>(
    logins: &(impl Iterator<Item = &'l Arc<Login>> + Clone),
    facts: &Facts<'_>,
) -> Option<Visit> {
    if facts.layer != Layer::Request {
        return None;
    }
    let those = |counts: &dyn Fn(&Login) -> bool| -> Vec<Arc<Login>> {
        logins.clone().filter(|login| counts(login)).cloned().collect()
    };
    match owner(logins, facts.path) {
        Some(login) if *login.callback == *facts.path => Some(Visit::Return(Arc::clone(login))),
        Some(_) => Some(Visit::Leave(those(&|login| *login.logout == *facts.path))),
        None => {
            let brought = those(&|login| login.is_brought(facts.headers));
            (!brought.is_empty()).then_some(Visit::Sessions(brought))
        }
    }
}

/// Whose a path is: the broadest login's that names it. Whoever writes a narrower one could have the provider of a
/// broader one send its codes there, and would be shown them.
pub(crate) fn owner<'l>(
    logins: &(impl Iterator<Item = &'l Arc<Login>> + Clone),
    path: &str,
) -> Option<&'l Arc<Login>> {
    logins.clone().find(|login| [&*login.callback, &*login.logout].contains(&path))
}

/// Whether a browser asks for a page that somebody will look at: what a script asks for, or an image, is led
/// nowhere by a redirect.
pub(crate) fn is_page(facts: &Facts<'_>) -> bool {
    const MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
    const DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");
    if facts.layer != Layer::Request || facts.method != Method::GET {
        return false;
    }
    let says = |name: &HeaderName| facts.headers.get(name).map(HeaderValue::as_bytes);
    match says(&MODE) {
        Some(mode) => mode == b"navigate" && says(&DEST).is_none_or(|what| what == b"document"),
        // Browsers say it over TLS alone, or on the machine itself.
        None => facts.headers.get_all(ACCEPT).iter().any(|line| {
            let mut kinds = line.as_bytes().split(|byte| matches!(byte, b',' | b';'));
            kinds.any(|kind| kind.trim_ascii().eq_ignore_ascii_case(b"text/html"))
        }),
    }
}

#[cfg(test)]
mod tests;
