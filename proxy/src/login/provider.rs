//! What a provider is asked: for the tokens of who comes back with a code, and whether a session goes on. By the
//! crate `oauth2`; whom an ID token names, `policy` says.

use std::fmt;
use std::pin::Pin;
use std::sync::OnceLock;
use std::time::Duration;

use model::authn::ClientAuth;
use oauth2::basic::{
    BasicErrorResponse, BasicRevocationErrorResponse, BasicTokenIntrospectionResponse,
    BasicTokenType,
};
use oauth2::{
    AuthType, AuthUrl, AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndpointNotSet,
    EndpointSet, ExtraTokenFields, HttpRequest, HttpResponse, PkceCodeChallenge, PkceCodeVerifier,
    RedirectUrl, RefreshToken, RequestTokenError, Scope, StandardRevocableToken,
    StandardTokenResponse, TokenResponse as _, TokenUrl,
};
use outward::{Client, Reach};
use policy::Login;
use serde::{Deserialize, Serialize};
use url::Url;

use super::session::Trip;

/// Who is asked, by what.
pub(super) struct Provider {
    /// Made when the first browser comes: few processes have any.
    client: OnceLock<Client>,
    reach: Reach,
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider").field("reach", &self.reach).finish_non_exhaustive()
    }
}

/// What a provider gave.
pub(super) struct Tokens {
    /// Empty where it gave none.
    pub(super) id_token: String,
    pub(super) refresh: Option<String>,
    /// For how long, in seconds, where it says it.
    pub(super) lasts: Option<i64>,
}

/// Why it gave none.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failed {
    /// It does not want to.
    #[error("{0}")]
    Refused(String),
    /// It cannot be asked, or its answer cannot be read.
    #[error("{0}")]
    Unreached(String),
}

/// What a token response says beside what OAuth does (OpenID Connect Core, section 3.1.3.3).
#[derive(Clone, Serialize, Deserialize)]
struct WithIdToken {
    #[serde(default)]
    id_token: Option<String>,
}

impl fmt::Debug for WithIdToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WithIdToken")
    }
}

impl ExtraTokenFields for WithIdToken {}

type Answered = StandardTokenResponse<WithIdToken, BasicTokenType>;
type Asking = oauth2::Client<
    BasicErrorResponse,
    Answered,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointSet,
>;

type Calling = Pin<Box<dyn Future<Output = Result<HttpResponse, outward::Error>> + Send>>;

impl Provider {
    pub(super) fn new(reach: Reach) -> Self {
        Provider { client: OnceLock::new(), reach }
    }

    /// The tokens that a code is good for.
    ///
    /// # Errors
    /// [`Failed`]; also where there is no ID token among them.
    pub(super) async fn redeem(
        &self,
        login: &Login,
        trip: &Trip,
        code: String,
    ) -> Result<Tokens, Failed> {
        let asking = asking(login, &trip.back).ok_or_else(no_url)?;
        let verifier = PkceCodeVerifier::new(trip.verifier.clone());
        let asked = asking.exchange_code(AuthorizationCode::new(code)).set_pkce_verifier(verifier);
        let answered = asked.request_async(&self.caller()).await.map_err(failed)?;
        let tokens = Tokens::of(&answered);
        match tokens.id_token.is_empty() {
            true => Err(Failed::Refused("the provider gave no ID token".to_owned())),
            false => Ok(tokens),
        }
    }

    /// The tokens by which a session goes on.
    ///
    /// # Errors
    /// [`Failed`].
    pub(super) async fn renew(&self, login: &Login, refresh: &str) -> Result<Tokens, Failed> {
        let asking = asking(login, &login.authorization_url).ok_or_else(no_url)?;
        let refresh = RefreshToken::new(refresh.to_owned());
        let asked = asking.exchange_refresh_token(&refresh);
        let answered = asked.request_async(&self.caller()).await.map_err(failed)?;
        Ok(Tokens::of(&answered))
    }

    /// Who asks, as the library calls it.
    fn caller(&self) -> impl Fn(HttpRequest) -> Calling + Send + Sync + use<> {
        let (client, reach) = (self.client.get_or_init(Client::new).clone(), self.reach.clone());
        move |asked| {
            let (client, reach) = (client.clone(), reach.clone());
            Box::pin(async move { client.call_within(asked, &reach).await })
        }
    }
}

impl Tokens {
    fn of(answered: &Answered) -> Self {
        let lasts = answered.expires_in().as_ref().map(Duration::as_secs);
        Tokens {
            refresh: answered.refresh_token().map(|token| token.secret().clone()),
            lasts: lasts.map(|lasts| i64::try_from(lasts).unwrap_or(i64::MAX / 8)),
            id_token: answered.extra_fields().id_token.clone().unwrap_or_default(),
        }
    }
}

/// Where a browser goes to log in.
pub(super) fn door(login: &Login, trip: &Trip) -> Option<String> {
    let asking = asking(login, &trip.back)?;
    let verifier = PkceCodeVerifier::new(trip.verifier.clone());
    let (state, scopes) = (trip.state.clone(), login.scopes.iter().cloned().map(Scope::new));
    let asked = asking.authorize_url(move || CsrfToken::new(state)).add_scopes(scopes);
    let asked = asked.add_extra_param("nonce", trip.nonce.as_str());
    let asked = asked.set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier));
    Some(asked.url().0.into())
}

/// Where a browser ends its session at the provider, and from where it comes back to `home` (OpenID Connect
/// RP-Initiated Logout, section 2).
pub(super) fn out(url: &str, login: &Login, home: &str) -> Option<String> {
    let mut url = Url::parse(url).ok()?;
    url.query_pairs_mut()
        .append_pair("client_id", &login.client_id)
        .append_pair("post_logout_redirect_uri", home);
    Some(url.into())
}

fn asking(login: &Login, back: &str) -> Option<Asking> {
    let mut asking: oauth2::Client<
        BasicErrorResponse,
        Answered,
        BasicTokenIntrospectionResponse,
        StandardRevocableToken,
        BasicRevocationErrorResponse,
    > = oauth2::Client::new(ClientId::new(login.client_id.to_string()));
    if let Some(secret) = &login.client_secret {
        let secret = String::from_utf8_lossy(secret.expose()).into_owned();
        asking = asking.set_client_secret(ClientSecret::new(secret));
    }
    let auth = match login.client_auth {
        ClientAuth::Basic => AuthType::BasicAuth,
        ClientAuth::Post => AuthType::RequestBody,
    };
    let door = AuthUrl::new(login.authorization_url.to_string()).ok()?;
    let tokens = TokenUrl::new(login.token_url.to_string()).ok()?;
    let back = RedirectUrl::new(back.to_owned()).ok()?;
    let asking = asking.set_auth_type(auth).set_auth_uri(door).set_token_uri(tokens);
    Some(asking.set_redirect_uri(back))
}

fn no_url() -> Failed {
    Failed::Unreached("where it would be asked is no URL".to_owned())
}

fn failed(error: RequestTokenError<outward::Error, BasicErrorResponse>) -> Failed {
    match error {
        RequestTokenError::ServerResponse(said) => {
            let why = word(said.error().as_ref());
            Failed::Refused(format!("the provider gave no token: {why}"))
        }
        RequestTokenError::Request(error) => {
            let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
            Failed::Unreached(format!("{error}{}", cause.unwrap_or_default()))
        }
        RequestTokenError::Parse(..) | RequestTokenError::Other(_) => {
            Failed::Unreached("the provider's answer is no token response".to_owned())
        }
    }
}

/// A word of an error as RFC 6749 has them, cut off and without what could be anything else.
pub(super) fn word(said: &str) -> String {
    let plain = |letter: &char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-' | '.');
    said.chars().filter(plain).take(64).collect()
}
