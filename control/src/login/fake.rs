//! A provider that behaves as one: discovery, keys, and a token for each code once, if the verifier and
//! the client's secret are right. What it says and how it signs can be made wrong.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};
use aws_lc_rs::{digest, hmac, rsa};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::routing::{get, post};
use axum::{Form, Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use time::OffsetDateTime;

/// What the server is called.
pub(crate) const CLIENT: &str = "heddle";
/// Its secret.
pub(crate) const SECRET: &str = "marker-secret-of-the-client";

/// A key of the provider.
pub(crate) enum Key {
    Elliptic(EcdsaKeyPair),
    Rsa(RsaKeyPair),
}

/// How tokens are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signing {
    /// By its key.
    Key,
    /// Not at all, which the head says.
    Nothing,
    /// By the client's secret, or whatever else both know, as if that were a key.
    Shared(&'static str),
}

/// What it says and does.
pub(crate) struct Says {
    /// The key that signs, and its name.
    pub(crate) key: (String, Key),
    /// Claims that stand in tokens in the place of the usual ones; null takes one away.
    pub(crate) claims: Value,
    /// How tokens are signed.
    pub(crate) signing: Signing,
    /// Whether every answer names its issuer.
    pub(crate) names_issuer: bool,
    /// How often its keys were asked for.
    pub(crate) keys_asked: usize,
    codes: HashMap<String, (String, String)>,
}

/// The provider, for as long as it is held.
pub(crate) struct Fake {
    pub(crate) issuer: String,
    pub(crate) says: Arc<Mutex<Says>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What a browser brings back.
#[derive(Debug, Clone)]
pub(crate) struct Brought {
    pub(crate) code: String,
    pub(crate) state: String,
    /// Where it was to go.
    pub(crate) back: String,
}

impl Key {
    pub(crate) fn elliptic() -> Self {
        Key::Elliptic(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    pub(crate) fn rsa() -> Self {
        Key::Rsa(RsaKeyPair::generate(rsa::KeySize::Rsa2048).unwrap())
    }

    fn shown(&self, id: &str) -> Value {
        match self {
            Key::Elliptic(pair) => {
                let point = pair.public_key().as_ref();
                let (x, y) = (encode(&point[1..33]), encode(&point[33..]));
                json!({ "kty": "EC", "use": "sig", "kid": id, "crv": "P-256", "x": x, "y": y })
            }
            Key::Rsa(pair) => {
                let public = pair.public_key();
                let (n, e) = (public.modulus(), public.exponent());
                let n = encode(n.big_endian_without_leading_zero());
                let e = encode(e.big_endian_without_leading_zero());
                json!({ "kty": "RSA", "use": "sig", "kid": id, "n": n, "e": e })
            }
        }
    }

    fn algorithm(&self) -> &'static str {
        match self {
            Key::Elliptic(_) => "ES256",
            Key::Rsa(_) => "RS256",
        }
    }

    fn sign(&self, text: &str) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Key::Elliptic(pair) => pair.sign(&random, text.as_bytes()).unwrap().as_ref().to_vec(),
            Key::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, text.as_bytes(), &mut signature).unwrap();
                signature
            }
        }
    }
}

impl Fake {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let says = Arc::new(Mutex::new(Says {
            key: ("first".to_owned(), Key::elliptic()),
            claims: json!({}),
            signing: Signing::Key,
            names_issuer: false,
            keys_asked: 0,
            codes: HashMap::new(),
        }));
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(document))
            .route("/keys", get(keys))
            .route("/token", post(token))
            .with_state((issuer.clone(), Arc::clone(&says)));
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Fake { issuer, says, task }
    }

    /// Changes what it says.
    pub(crate) fn says(&self, change: impl FnOnce(&mut Says)) {
        change(&mut self.says.lock().unwrap());
    }

    /// Somebody comes to its door and signs in.
    pub(crate) fn visit(&self, url: &str) -> Brought {
        let (door, query) = url.split_once('?').unwrap();
        assert_eq!(door, format!("{}/door", self.issuer));
        let uri = format!("http://x/?{query}").parse().unwrap();
        let axum::extract::Query(asked) =
            axum::extract::Query::<HashMap<String, String>>::try_from_uri(&uri).unwrap();
        assert_eq!(
            (asked["client_id"].as_str(), asked["response_type"].as_str()),
            (CLIENT, "code")
        );
        assert_eq!(asked["code_challenge_method"], "S256");
        assert!(asked["scope"].split(' ').any(|scope| scope == "openid"));
        let mut says = self.says.lock().unwrap();
        let code = format!("code-{}", says.codes.len());
        let bound = (asked["nonce"].clone(), asked["code_challenge"].clone());
        says.codes.insert(code.clone(), bound);
        Brought { code, state: asked["state"].clone(), back: asked["redirect_uri"].clone() }
    }
}

type Shared = State<(String, Arc<Mutex<Says>>)>;

async fn document(State((issuer, says)): Shared) -> Json<Value> {
    let names_issuer = says.lock().unwrap().names_issuer;
    Json(json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/door"),
        "token_endpoint": format!("{issuer}/token"),
        "jwks_uri": format!("{issuer}/keys"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256", "ES256", "HS256", "none"],
        "authorization_response_iss_parameter_supported": names_issuer,
    }))
}

async fn keys(State((_, says)): Shared) -> Json<Value> {
    let mut says = says.lock().unwrap();
    says.keys_asked += 1;
    let (id, key) = &says.key;
    Json(json!({ "keys": [key.shown(id)] }))
}

async fn token(
    State((issuer, says)): Shared,
    headers: HeaderMap,
    Form(sent): Form<HashMap<String, String>>,
) -> (StatusCode, Json<Value>) {
    let refused = |error: &str| (StatusCode::BAD_REQUEST, Json(json!({ "error": error })));
    let basic = format!("Basic {}", STANDARD.encode(format!("{CLIENT}:{SECRET}")));
    let is_client = match headers.get(header::AUTHORIZATION) {
        Some(shown) => shown.to_str().unwrap() == basic,
        None => sent.get("client_id").is_some_and(|id| id == CLIENT),
    };
    if !is_client {
        return refused("invalid_client");
    }
    let mut says = says.lock().unwrap();
    let Some((nonce, challenge)) = says.codes.remove(&sent["code"]) else {
        return refused("invalid_grant");
    };
    let hash = digest::digest(&digest::SHA256, sent["code_verifier"].as_bytes());
    if encode(hash.as_ref()) != challenge || !sent["redirect_uri"].ends_with("/callback") {
        return refused("invalid_grant");
    }
    let now = OffsetDateTime::now_utc().unix_timestamp();
    let mut claims = json!({
        "iss": issuer, "aud": CLIENT, "sub": "7", "exp": now + 300, "iat": now, "nonce": nonce,
        "preferred_username": "Alice",
    });
    for (name, value) in says.claims.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    let token = says.signed(&claims);
    let answer = json!({ "access_token": "a", "token_type": "Bearer", "id_token": token });
    (StatusCode::OK, Json(answer))
}

impl Says {
    fn signed(&self, claims: &Value) -> String {
        let (id, key) = &self.key;
        let algorithm = match self.signing {
            Signing::Key => key.algorithm(),
            Signing::Nothing => "none",
            Signing::Shared(_) => "HS256",
        };
        let head = json!({ "typ": "JWT", "alg": algorithm, "kid": id });
        let text = format!("{}.{}", encode(head.to_string()), encode(claims.to_string()));
        let signature = match self.signing {
            Signing::Key => key.sign(&text),
            Signing::Nothing => Vec::new(),
            Signing::Shared(secret) => {
                let shared = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
                hmac::sign(&shared, text.as_bytes()).as_ref().to_vec()
            }
        };
        format!("{text}.{}", encode(signature))
    }
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
