//! What a provider says of itself, kept for a while; and the two things that it is asked for: to sign
//! somebody in, and for the token of who did.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use model::login::LoginProvider;
use openidconnect::core::{
    CoreAuthDisplay, CoreAuthenticationFlow, CoreClaimName, CoreClaimType, CoreClient,
    CoreClientAuthMethod, CoreGrantType, CoreIdToken, CoreJsonWebKey,
    CoreJweContentEncryptionAlgorithm, CoreJweKeyManagementAlgorithm, CoreResponseMode,
    CoreResponseType, CoreSubjectIdentifierType,
};
use openidconnect::{
    AdditionalProviderMetadata, AuthType, AuthorizationCode, ClientId, ClientSecret, CsrfToken,
    DiscoveryError, HttpRequest, HttpResponse, IssuerUrl, Nonce, PkceCodeChallenge,
    PkceCodeVerifier, ProviderMetadata, RedirectUrl, RequestTokenError, Scope, TokenResponse as _,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use time::{Duration, OffsetDateTime};

use super::token::{Expected, Judged, Wrong};
use outward::Client;

/// How long what a provider says of itself is good.
const GOOD: Duration = Duration::hours(1);
/// How long it is not asked again, whatever it said and whoever wants to know.
const REST: Duration = Duration::seconds(5);

type Document = ProviderMetadata<
    Further,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    CoreJsonWebKey,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;

/// What the document says besides.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Further {
    /// Whether every answer names its issuer (RFC 9207).
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

impl AdditionalProviderMetadata for Further {}

/// Why a provider was of no use.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// It does not say what it is.
    #[error("reading what {issuer} says of itself")]
    Discovery {
        /// Whose.
        issuer: String,
        /// What went wrong.
        #[source]
        source: Arc<DiscoveryError<outward::Error>>,
    },
    /// It cannot give a token.
    #[error("{0} has no token endpoint")]
    NoTokens(String),
    /// It refused to give one.
    #[error("{issuer} gave no token: {word}")]
    Refused {
        /// Whose.
        issuer: String,
        /// Its word for it, such as `invalid_client`.
        word: String,
    },
    /// It gave none that can be read.
    #[error("asking {issuer} for a token: {why}")]
    Asking {
        /// Whose.
        issuer: String,
        /// What went wrong.
        why: String,
    },
    /// The Secret of its client is not there.
    #[error("the Secret '{0}' of the namespace heddle holds no 'client-secret'")]
    NoSecret(String),
    /// A URL of it is none.
    #[error("'{0}' is no URL")]
    NoUrl(String),
}

/// Why there is no token that can be believed.
#[derive(Debug)]
pub(crate) enum Failed {
    /// The provider is of no use.
    Away(Error),
    /// What it said is wrong.
    Wrong(Wrong),
}

/// A provider with what it says of itself.
#[derive(Debug)]
pub(crate) struct Known {
    document: Document,
    at: OffsetDateTime,
}

/// What is known of the providers that were asked.
#[derive(Debug)]
pub(crate) struct Providers {
    client: Client,
    known: Mutex<HashMap<String, Arc<Slot>>>,
}

/// Of one issuer; held while it is asked, so that it is asked once for all who want to know.
type Slot = tokio::sync::Mutex<Asked>;

#[derive(Debug, Default)]
struct Asked {
    known: Option<Arc<Known>>,
    failed: Option<(OffsetDateTime, Error)>,
}

/// A try to sign in, as the provider must answer it.
pub(crate) struct Try<'a> {
    /// Where the browser comes back to.
    pub(crate) back: String,
    /// The secret of the browser, from which the rest is drawn.
    pub(crate) cookie: &'a str,
}

impl Try<'_> {
    fn nonce(&self) -> Nonce {
        Nonce::new(store::digest(format!("heddle login nonce\0{}", self.cookie).as_bytes()))
    }

    /// 64 of the characters that RFC 7636 allows.
    fn verifier(&self) -> PkceCodeVerifier {
        let text = format!("heddle login verifier\0{}", self.cookie);
        PkceCodeVerifier::new(store::digest(text.as_bytes()))
    }
}

impl Known {
    /// Whether an answer that says it is of `issuer`, or does not say it, may be this provider's.
    pub(crate) fn may_answer(&self, issuer: Option<&str>) -> bool {
        let further = self.document.additional_metadata();
        match issuer {
            Some(issuer) => issuer == self.document.issuer().as_str(),
            None => !further.authorization_response_iss_parameter_supported,
        }
    }

    /// Where the browser goes to.
    pub(crate) fn door(
        &self,
        provider: &LoginProvider,
        asked: &Try<'_>,
        state: String,
    ) -> Result<String, Error> {
        let back = RedirectUrl::new(asked.back.clone());
        let back = back.map_err(|_| Error::NoUrl(asked.back.clone()))?;
        let client = CoreClient::new(
            ClientId::new(provider.spec.client_id.clone()),
            self.document.issuer().clone(),
            self.document.jwks().clone(),
        )
        .set_auth_uri(self.document.authorization_endpoint().clone())
        .set_redirect_uri(back)
        .disable_openid_scope();
        let nonce = asked.nonce();
        let flow = CoreAuthenticationFlow::AuthorizationCode;
        let scopes = provider.spec.scopes.iter().map(|scope| Scope::new(scope.clone()));
        let (url, ..) = client
            .authorize_url(flow, move || CsrfToken::new(state), move || nonce)
            .add_scopes(scopes)
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&asked.verifier()))
            .url();
        Ok(url.into())
    }

    /// How the provider wants to be shown the client's secret.
    fn auth(&self) -> AuthType {
        let methods = self.document.token_endpoint_auth_methods_supported();
        match methods {
            Some(methods)
                if !methods.contains(&CoreClientAuthMethod::ClientSecretBasic)
                    && methods.contains(&CoreClientAuthMethod::ClientSecretPost) =>
            {
                AuthType::RequestBody
            }
            Some(_) | None => AuthType::BasicAuth,
        }
    }
}

impl Providers {
    pub(crate) fn new() -> Self {
        Providers { client: Client::new(), known: Mutex::default() }
    }

    /// What a provider says of itself.
    ///
    /// # Errors
    /// [`Error`], which is kept for some seconds, too: so that nobody who tries again and again has a
    /// provider asked that is away.
    pub(crate) async fn known(
        &self,
        provider: &LoginProvider,
        now: OffsetDateTime,
    ) -> Result<Arc<Known>, Error> {
        let slot = self.slot(&provider.spec.issuer);
        let mut asked = slot.lock().await;
        match &asked.known {
            Some(known) if now - known.at < GOOD => Ok(Arc::clone(known)),
            Some(_) | None => self.ask(&mut asked, &provider.spec.issuer, now).await,
        }
    }

    /// The same, where what was `seen` lacks a key: its keys may have changed since.
    async fn again(
        &self,
        provider: &LoginProvider,
        seen: &Arc<Known>,
        now: OffsetDateTime,
    ) -> Result<Arc<Known>, Error> {
        let slot = self.slot(&provider.spec.issuer);
        let mut asked = slot.lock().await;
        match &asked.known {
            Some(known) if !Arc::ptr_eq(known, seen) || now - known.at < REST => {
                Ok(Arc::clone(known))
            }
            Some(_) | None => self.ask(&mut asked, &provider.spec.issuer, now).await,
        }
    }

    async fn ask(
        &self,
        asked: &mut Asked,
        issuer: &str,
        now: OffsetDateTime,
    ) -> Result<Arc<Known>, Error> {
        if let Some((at, error)) = &asked.failed
            && now - *at < REST
        {
            return Err(error.clone());
        }
        let begun = tokio::time::Instant::now();
        match discover(self.client.clone(), issuer.to_owned()).await {
            Ok(document) => {
                let known = Arc::new(Known { document, at: now });
                *asked = Asked { known: Some(Arc::clone(&known)), failed: None };
                Ok(known)
            }
            Err(error) => {
                // From the end on: those who waited meanwhile are told the same.
                asked.failed = Some((now + begun.elapsed(), error.clone()));
                Err(error)
            }
        }
    }

    /// Forgets all issuers but these: a provider that is taken away is not kept.
    pub(crate) fn keep<'i>(&self, issuers: impl Iterator<Item = &'i str>) {
        let issuers: std::collections::HashSet<_> = issuers.collect();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|issuer, _| issuers.contains(issuer.as_str()));
    }

    fn slot(&self, issuer: &str) -> Arc<Slot> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(known.entry(issuer.to_owned()).or_default())
    }

    /// What the token says that a code is good for, verified.
    ///
    /// # Errors
    /// [`Failed`].
    pub(crate) async fn redeem(
        &self,
        provider: &LoginProvider,
        secret: Option<String>,
        asked: &Try<'_>,
        code: String,
        now: OffsetDateTime,
    ) -> Result<Map<String, Value>, Failed> {
        let known = self.known(provider, now).await.map_err(Failed::Away)?;
        let token = self.token(&known, provider, secret, asked, code).await?;
        match verify(&known, provider, asked, &token) {
            Err(Judged::UnknownKey) => {}
            Ok(said) => return Ok(said),
            Err(Judged::Wrong(wrong)) => return Err(Failed::Wrong(wrong)),
        }
        let known = self.again(provider, &known, now).await.map_err(Failed::Away)?;
        verify(&known, provider, asked, &token).map_err(|judged| match judged {
            Judged::UnknownKey => Failed::Wrong(Wrong::Signature),
            Judged::Wrong(wrong) => Failed::Wrong(wrong),
        })
    }

    async fn token(
        &self,
        known: &Known,
        provider: &LoginProvider,
        secret: Option<String>,
        asked: &Try<'_>,
        code: String,
    ) -> Result<CoreIdToken, Failed> {
        let issuer = || provider.spec.issuer.clone();
        let url = known.document.token_endpoint().cloned();
        let url = url.ok_or_else(|| Failed::Away(Error::NoTokens(issuer())))?;
        let back = RedirectUrl::new(asked.back.clone());
        let back = back.map_err(|_| Failed::Away(Error::NoUrl(asked.back.clone())))?;
        let mut client = CoreClient::new(
            ClientId::new(provider.spec.client_id.clone()),
            known.document.issuer().clone(),
            known.document.jwks().clone(),
        )
        .set_token_uri(url)
        .set_redirect_uri(back)
        .set_auth_type(known.auth());
        if let Some(secret) = secret {
            client = client.set_client_secret(ClientSecret::new(secret));
        }
        let (verifier, http) = (asked.verifier(), self.client.clone());
        let exchange: Boxed<_> = Box::pin(async move {
            let request = client.exchange_code(AuthorizationCode::new(code));
            request.set_pkce_verifier(verifier).request_async(&asking(http)).await
        });
        let answer = exchange.await.map_err(|error| {
            Failed::Away(match error {
                RequestTokenError::ServerResponse(said) => {
                    Error::Refused { issuer: issuer(), word: word(said.error().as_ref()) }
                }
                RequestTokenError::Request(error) => {
                    Error::Asking { issuer: issuer(), why: error.to_string() }
                }
                // What it answered may have tokens in it.
                RequestTokenError::Parse(..) | RequestTokenError::Other(_) => {
                    let why = "its answer is none (RFC 6749, section 5)".to_owned();
                    Error::Asking { issuer: issuer(), why }
                }
            })
        })?;
        answer.id_token().cloned().ok_or(Failed::Wrong(Wrong::Missing))
    }
}

/// In a box, since the library borrows who asks for it, of which no compiler can tell from afar that
/// it may go from thread to thread.
type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

fn discover(client: Client, issuer: String) -> Boxed<Result<Document, Error>> {
    Box::pin(async move {
        let url = IssuerUrl::new(issuer.clone());
        let url = url.map_err(|_| Error::NoUrl(issuer.clone()))?;
        let found = Document::discover_async(url, &asking(client)).await;
        found.map_err(|source| Error::Discovery { issuer, source: Arc::new(source) })
    })
}

/// Who asks, as the library calls it.
fn asking(
    client: Client,
) -> impl Fn(HttpRequest) -> Boxed<Result<HttpResponse, outward::Error>> + Send + Sync {
    move |asked| {
        let client = client.clone();
        Box::pin(async move { client.call(asked).await })
    }
}

fn verify(
    known: &Known,
    provider: &LoginProvider,
    asked: &Try<'_>,
    token: &CoreIdToken,
) -> Result<Map<String, Value>, Judged> {
    let expected = Expected {
        client: &ClientId::new(provider.spec.client_id.clone()),
        issuer: known.document.issuer(),
        keys: known.document.jwks(),
        nonce: &asked.nonce(),
    };
    expected.verify(token)
}

/// A word of an error as RFC 6749 has them, cut off and without what could be anything else.
pub(crate) fn word(said: &str) -> String {
    let plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    said.chars().filter(plain).take(64).collect()
}
