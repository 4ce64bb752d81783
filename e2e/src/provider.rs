//! A provider of OpenID Connect with somebody before it who logs in at once: codes once, PKCE and the client's secret
//! checked.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use crate::token::{Issuer, now};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;
use url::{Url, form_urlencoded};

/// What it calls the gateway.
pub const CLIENT: &str = "shop";
/// The secret that the gateway has there.
pub const SECRET: &str = "marker-secret-of-the-client";

/// The provider, for as long as it is held.
#[derive(Debug)]
pub struct Provider {
    /// Where it is.
    pub address: SocketAddr,
    issuer: Arc<Issuer>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    /// What each code is good for.
    codes: HashMap<String, Given>,
    made: usize,
    /// Claims that stand in ID tokens in the place of the usual ones.
    claims: Value,
    is_away: bool,
}

#[derive(Debug)]
struct Given {
    user: String,
    nonce: String,
    challenge: String,
    back: String,
}

impl Provider {
    /// Starts one.
    ///
    /// # Panics
    /// Where it cannot listen.
    pub async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("it can be");
        let address = listener.local_addr().expect("it can be");
        let issuer = Arc::new(Issuer::new(&format!("http://{address}")));
        let state = State { codes: HashMap::new(), made: 0, claims: json!({}), is_away: false };
        let state = Arc::new(Mutex::new(state));
        let (its, own) = (Arc::clone(&issuer), Arc::clone(&state));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (issuer, state) = (Arc::clone(&its), Arc::clone(&own));
                let service = service_fn(move |asked| token(asked, issuer.clone(), state.clone()));
                let serving = hyper::server::conn::http1::Builder::new();
                tokio::spawn(serving.serve_connection(TokioIo::new(stream), service));
            }
        });
        Provider { address, issuer, state }
    }

    /// The method of an AuthnPolicy that logs people in here.
    pub fn method(&self) -> Value {
        let at = &self.issuer.name;
        json!({
            "name": "people",
            "oidc": {
                "issuer": at,
                "clientId": CLIENT,
                "clientSecretRef": { "name": "login" },
                "authorizationUrl": format!("{at}/authorize?tenant=1"),
                "tokenUrl": format!("{at}/token"),
                "endSessionUrl": format!("{at}/out"),
                "jwks": self.issuer.jwks(),
            },
            "toHeaders": [{ "header": "x-user" }],
        })
    }

    /// Has ID tokens say this, too.
    ///
    /// # Panics
    /// Where somebody panicked with it.
    pub fn say(&self, claims: Value) {
        self.state.lock().expect("nobody panicked with it").claims = claims;
    }

    /// Has nobody be given anything.
    ///
    /// # Panics
    /// Where somebody panicked with it.
    pub fn go_away(&self) {
        self.state.lock().expect("nobody panicked with it").is_away = true;
    }

    /// Logs `user` in who was sent here; where they are sent back.
    ///
    /// # Panics
    /// Where they were not sent as they should be.
    pub fn log_in(&self, sent_to: &str, user: &str) -> Url {
        let url = Url::parse(sent_to).expect("a URL");
        let at = url.port().map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        assert_eq!((at, url.path()), (Some(self.address), "/authorize"));
        let asked: HashMap<_, _> = url.query_pairs().into_owned().collect();
        for (name, value) in [
            ("tenant", "1"),
            ("response_type", "code"),
            ("client_id", CLIENT),
            ("code_challenge_method", "S256"),
            ("scope", "openid profile email"),
        ] {
            assert_eq!(asked.get(name).map(String::as_str), Some(value), "{sent_to}");
        }
        let mut state = self.state.lock().expect("nobody panicked with it");
        state.made += 1;
        let code = format!("code-{}", state.made);
        let [nonce, challenge, back] =
            ["nonce", "code_challenge", "redirect_uri"].map(|name| asked[name].clone());
        let given = Given { user: user.to_owned(), nonce, challenge, back: back.clone() };
        state.codes.insert(code.clone(), given);
        let mut back = Url::parse(&back).expect("a URL");
        back.query_pairs_mut().append_pair("code", &code).append_pair("state", &asked["state"]);
        back
    }
}

async fn token(
    asked: Request<Incoming>,
    issuer: Arc<Issuer>,
    state: Arc<Mutex<State>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = asked.into_parts();
    let body = body.collect().await.map(|whole| whole.to_bytes()).unwrap_or_default();
    let form: HashMap<_, _> = form_urlencoded::parse(&body).into_owned().collect();
    let auth = head.headers.get("authorization").and_then(|line| line.to_str().ok());
    let wanted = format!("Basic {}", STANDARD.encode(format!("{CLIENT}:{SECRET}")));
    let mut state = state.lock().expect("nobody panicked with it");
    let answer = match () {
        () if state.is_away => None,
        () if auth != Some(&wanted) => Some((401, json!({ "error": "invalid_client" }))),
        () => Some(match given(&mut state, &issuer, &form) {
            Some(tokens) => (200, tokens),
            None => (400, json!({ "error": "invalid_grant" })),
        }),
    };
    let (status, answer) = answer.unwrap_or((500, json!("away")));
    let response = Response::builder().status(status).header("content-type", "application/json");
    Ok(response.body(Full::new(Bytes::from(answer.to_string()))).expect("it can be"))
}

fn given(state: &mut State, issuer: &Issuer, form: &HashMap<String, String>) -> Option<Value> {
    let given = state.codes.remove(form.get("code")?)?;
    let shown = URL_SAFE_NO_PAD.encode(Sha256::digest(form.get("code_verifier")?));
    let fits = shown == given.challenge && *form.get("redirect_uri")? == given.back;
    let is_asked = form.get("grant_type")? == "authorization_code" && fits;
    let Given { user, nonce, .. } = is_asked.then_some(given)?;
    let mut claims = json!({
        "iss": issuer.name, "sub": user, "aud": CLIENT, "exp": now() + 60, "iat": now(),
    });
    claims["nonce"] = nonce.into();
    for (name, value) in state.claims.as_object()? {
        claims[name] = value.clone();
    }
    let head = json!({ "alg": "EdDSA", "kid": "k1" });
    let id_token = issuer.sign(&head, &claims);
    Some(json!({ "access_token": "a", "token_type": "Bearer", "id_token": id_token }))
}
