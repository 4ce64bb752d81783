//! Which tokens are believed, and the known ways to forge one.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::authn::CredentialPlace;
use serde_json::json;

use super::*;
use crate::fixtures::{Request, chain, level, reason};
use crate::reason::Reason;

pub(crate) const ISSUER: &str = "https://issuer.example";
pub(crate) const NOW: i64 = 1_000_000;

/// One key pair of each kind.
struct Signers {
    rsa: RsaKeyPair,
    p256: EcdsaKeyPair,
    p384: EcdsaKeyPair,
    ed: Ed25519KeyPair,
}

/// Made once for all tests of this process.
static SIGNERS: std::sync::LazyLock<Signers> = std::sync::LazyLock::new(|| Signers {
    rsa: RsaKeyPair::generate(KeySize::Rsa2048).unwrap(),
    p256: EcdsaKeyPair::generate(&signature::ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(),
    p384: EcdsaKeyPair::generate(&signature::ECDSA_P384_SHA384_FIXED_SIGNING).unwrap(),
    ed: Ed25519KeyPair::generate().unwrap(),
});

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Signers {
    fn set(&self) -> Value {
        let public = self.rsa.public_key();
        let n = public.modulus().big_endian_without_leading_zero().to_vec();
        let e = public.exponent().big_endian_without_leading_zero().to_vec();
        let point = |pair: &EcdsaKeyPair, size: usize| {
            let bytes = pair.public_key().as_ref().to_vec();
            (b64(&bytes[1..=size]), b64(&bytes[size + 1..]))
        };
        let (p256, p384) = (point(&self.p256, 32), point(&self.p384, 48));
        json!({ "keys": [
            { "kty": "RSA", "kid": "rsa", "n": b64(n), "e": b64(e) },
            { "kty": "EC", "crv": "P-256", "kid": "p256", "x": p256.0, "y": p256.1, "use": "sig" },
            { "kty": "EC", "crv": "P-384", "kid": "p384", "x": p384.0, "y": p384.1, "alg": "ES384" },
            { "kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": b64(self.ed.public_key()) },
            { "kty": "FUTURE", "kid": "unknown" },
        ] })
    }

    fn sign(&self, algorithm: &str, signed: &[u8]) -> Vec<u8> {
        let rng = SystemRandom::new();
        let rsa = |encoding: &'static dyn signature::RsaEncoding| {
            let mut out = vec![0; self.rsa.public_modulus_len()];
            self.rsa.sign(encoding, &rng, signed, &mut out).unwrap();
            out
        };
        match algorithm {
            "RS256" => rsa(&signature::RSA_PKCS1_SHA256),
            "RS512" => rsa(&signature::RSA_PKCS1_SHA512),
            "PS256" => rsa(&signature::RSA_PSS_SHA256),
            "ES256" => self.p256.sign(&rng, signed).unwrap().as_ref().to_vec(),
            "ES384" => self.p384.sign(&rng, signed).unwrap().as_ref().to_vec(),
            "EdDSA" => self.ed.sign(signed).as_ref().to_vec(),
            "HS256" => {
                // The public key as if it were a shared secret.
                let public = self.rsa.public_key().as_ref().to_vec();
                let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &public);
                aws_lc_rs::hmac::sign(&key, signed).as_ref().to_vec()
            }
            _ => Vec::new(),
        }
    }

    fn token(&self, header: &Value, claims: &Value) -> String {
        self.raw(header["alg"].as_str().unwrap_or(""), &header.to_string(), &claims.to_string())
    }

    fn raw(&self, algorithm: &str, header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", b64(header), b64(claims));
        let signature = self.sign(algorithm, signed.as_bytes());
        format!("{signed}.{}", b64(signature))
    }
}

/// The public keys as the text of a JWK Set.
pub(crate) fn jwks() -> String {
    SIGNERS.set().to_string()
}

/// A token of Ann's, as `authorization` has it, good at 1,000,000.
pub(crate) fn anns() -> String {
    format!("Bearer {}", SIGNERS.token(&json!({ "alg": "EdDSA", "kid": "ed" }), &claims()))
}

/// A token with these claims.
pub(crate) fn token_of(claims: &Value) -> String {
    SIGNERS.token(&json!({ "alg": "EdDSA", "kid": "ed" }), claims)
}

/// The same with a claim `org`.
pub(crate) fn anns_of(org: Value) -> String {
    let claims = with("org", org);
    format!("Bearer {}", SIGNERS.token(&json!({ "alg": "EdDSA", "kid": "ed" }), &claims))
}

fn claims() -> Value {
    json!({ "iss": ISSUER, "sub": "ann", "aud": ["shop", "lab"], "exp": NOW + 60, "roles": ["clerk"] })
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

fn without(name: &str) -> Value {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(name);
    claims
}

fn from(jwks: &str) -> JwtIssuer {
    JwtIssuer {
        issuer: ISSUER.to_owned(),
        audiences: vec!["shop".to_owned(), "store".to_owned()],
        jwks: Some(jwks.to_owned()),
        jwks_url: None,
        from: vec![CredentialPlace::header("authorization")],
        forward: true,
        leeway_seconds: 30,
    }
}

fn issuer(jwks: &str) -> Result<Issuer, Vec<(String, String)>> {
    let from = from(jwks);
    let mut at = Checker::default();
    let issuer = Issuer::compile(&from, &mut at);
    let faults = at.faults();
    if faults.is_empty() { Ok(issuer) } else { Err(faults) }
}

/// An issuer whose keys lie behind a URL.
fn awaited() -> Issuer {
    let url = Some("https://issuer.example/keys".to_owned());
    let from = JwtIssuer { jwks: None, jwks_url: url, ..from(&jwks()) };
    let mut at = Checker::default();
    let issuer = Issuer::compile(&from, &mut at);
    assert_eq!(at.faults(), []);
    issuer
}

fn verify(token: &str) -> Result<Principal, TokenError> {
    issuer(&jwks()).unwrap().verify(&Token::parse(token.as_bytes())?, NOW)
}

#[test]
fn tokens_of_every_kind_of_key_are_accepted() {
    for (algorithm, kid) in [
        ("RS256", "rsa"),
        ("RS512", "rsa"),
        ("PS256", "rsa"),
        ("ES256", "p256"),
        ("ES384", "p384"),
        ("EdDSA", "ed"),
    ] {
        for header in [json!({ "alg": algorithm, "kid": kid }), json!({ "alg": algorithm })] {
            let principal = verify(&SIGNERS.token(&header, &claims()));
            let principal = principal.unwrap_or_else(|fault| panic!("{header}: {fault}"));
            assert_eq!(principal.to_string(), format!("jwt:{ISSUER}#ann"));
        }
    }
}

#[test]
fn claims_decide_by_the_given_time_and_our_audiences() {
    use TokenError::{Audience, Claim, NotYet};
    let expired = |late| Err(TokenError::Expired { expiry: NOW - late, late });
    for (claims, wanted) in [
        (with("exp", json!(NOW - 29)), Ok(())),
        (with("exp", json!(NOW - 30)), expired(30)),
        (with("exp", json!(NOW - 3600)), expired(3600)),
        (with("exp", json!((NOW + 60) as f64 + 0.5)), Ok(())),
        (with("exp", json!("later")), Err(Claim("exp"))),
        (without("exp"), Err(Claim("exp"))),
        (with("nbf", json!(NOW + 30)), Ok(())),
        (with("nbf", json!(NOW + 31)), Err(NotYet { start: NOW + 31 })),
        (with("nbf", json!("now")), Err(Claim("nbf"))),
        (with("aud", json!("store")), Ok(())),
        (with("aud", json!("sho")), Err(Audience)),
        (with("aud", json!([])), Err(Audience)),
        (with("aud", json!(["lab"])), Err(Audience)),
        (without("aud"), Err(Claim("aud"))),
        (without("sub"), Ok(())),
        (with("sub", json!(7)), Err(Claim("sub"))),
        (without("iss"), Err(Claim("iss"))),
        (with("iss", json!([ISSUER])), Err(Claim("iss"))),
    ] {
        let token = SIGNERS.token(&json!({ "alg": "EdDSA", "kid": "ed" }), &claims);
        assert_eq!(verify(&token).map(|_| ()), wanted, "{claims}");
    }
}

#[test]
fn a_key_signs_only_by_its_own_kind_and_name() {
    for (header, wanted) in [
        (json!({ "alg": "none" }), TokenError::Algorithm("none".to_owned())),
        (json!({ "alg": "None", "kid": "rsa" }), TokenError::Algorithm("None".to_owned())),
        (json!({ "alg": "HS256", "kid": "rsa" }), TokenError::Algorithm("HS256".to_owned())),
        (json!({ "alg": "RS256", "kid": "other" }), TokenError::KeyUnknown),
        (json!({ "alg": "RS256", "kid": "p256" }), TokenError::KeyUnknown),
        (json!({ "alg": "ES256", "kid": "p384" }), TokenError::KeyUnknown),
        (json!({ "alg": "EdDSA", "kid": "ed", "crit": ["exp"] }), TokenError::Critical),
        (json!({ "alg": "EdDSA", "kid": 7 }), TokenError::Shape("kid")),
        (json!({ "kid": "ed" }), TokenError::Shape("algorithm")),
    ] {
        assert_eq!(verify(&SIGNERS.token(&header, &claims())).unwrap_err(), wanted, "{header}");
    }
}

#[test]
fn a_key_that_the_token_brings_is_not_looked_at() {
    let stranger = Ed25519KeyPair::generate().unwrap();
    let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": b64(stranger.public_key()) });
    for header in [json!({ "alg": "EdDSA", "jwk": jwk }), json!({ "alg": "EdDSA", "kid": "ed" })] {
        let signed = format!("{}.{}", b64(header.to_string()), b64(claims().to_string()));
        let signature = stranger.sign(signed.as_bytes());
        let token = format!("{signed}.{}", b64(signature));
        assert_eq!(verify(&token), Err(TokenError::Signature), "{header}");
    }
}

#[test]
fn every_changed_byte_breaks_a_token() {
    let token = SIGNERS.token(&json!({ "alg": "ES256", "kid": "p256" }), &claims());
    assert!(verify(&token).is_ok());
    for at in 0..token.len() {
        let mut bytes = token.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(bytes).unwrap();
        assert!(verify(&changed).is_err(), "byte {at}");
    }
}

#[test]
fn what_is_no_strict_token_is_not_read() {
    let good = SIGNERS.token(&json!({ "alg": "EdDSA", "kid": "ed" }), &claims());
    let header = r#"{"alg":"EdDSA","kid":"ed"}"#;
    let twice = format!(r#"{{"iss":"{ISSUER}","aud":"lab","aud":"shop","exp":{}}}"#, NOW + 60);
    let long =
        SIGNERS.token(&json!({ "alg": "EdDSA" }), &with("x", json!("x".repeat(LONGEST_TOKEN))));
    for (token, wanted) in [
        (String::new(), TokenError::Shape("three parts")),
        (format!("{good}.x"), TokenError::Shape("three parts")),
        (format!("{good}="), TokenError::Shape("signature")),
        (format!("!{good}"), TokenError::Shape("header")),
        (SIGNERS.raw("EdDSA", header, &twice), TokenError::Shape("claims")),
        (SIGNERS.raw("EdDSA", header, "[]"), TokenError::Shape("claims")),
        (
            SIGNERS.raw("EdDSA", r#"{"alg":"none","alg":"EdDSA"}"#, &claims().to_string()),
            TokenError::Shape("header"),
        ),
        (long, TokenError::Long),
    ] {
        assert_eq!(verify(&token).unwrap_err(), wanted, "{token:.80}");
    }
}

#[test]
fn key_sets_with_secret_weak_or_no_usable_keys_are_faults() {
    let weak = b64([0xff; 128]);
    for (set, wanted) in [
        ("", "no JWK Set"),
        (r#"{"keys":{}}"#, "no JWK Set"),
        (r#"{"keys":[]}"#, "holds no key"),
        (r#"{"keys":[{"kty":"FUTURE"}]}"#, "holds no key"),
        (r#"{"keys":[7]}"#, "a key is an object"),
        (&format!(r#"{{"keys":[{}7]}}"#, "7,".repeat(32)), "holds 33 keys"),
        (r#"{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}"#, "symmetric"),
        (r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"AAAA"}]}"#, "32 bytes"),
        (r#"{"keys":[{"kty":"OKP","crv":"Ed25519","d":"AAAA"}]}"#, "private part"),
        (r#"{"keys":[{"kty":"EC","crv":"P-256","x":"AAAA","y":"AAAA"}]}"#, "as long as the curve"),
        (&format!(r#"{{"keys":[{{"kty":"RSA","n":"{weak}","e":"AQAB"}}]}}"#), "2048"),
        (&jwks().replace("\"sig\"", "\"enc\"").replace("\"ES384\"", "\"ES512\""), ""),
    ] {
        match issuer(set) {
            Ok(_) => assert_eq!(wanted, "", "{set}"),
            Err(faults) => {
                assert!(faults[0].1.contains(wanted) && !wanted.is_empty(), "{faults:?}")
            }
        }
    }
    // A key for encryption, or for an algorithm that is not its own, is passed over.
    let set = jwks().replace("\"sig\"", "\"enc\"").replace("\"ES384\"", "\"ES512\"");
    let narrowed = issuer(&set).unwrap();
    for kid in [("ES256", "p256"), ("ES384", "p384")] {
        let token = SIGNERS.token(&json!({ "alg": kid.0, "kid": kid.1 }), &claims());
        let token = Token::parse(token.as_bytes()).unwrap();
        assert_eq!(narrowed.verify(&token, NOW), Err(TokenError::KeyUnknown));
    }
}

#[test]
fn the_vectors_of_the_rfcs_hold() {
    // RFC 7515, appendix A.3, and RFC 8037, appendix A.4: key, signed part, signature.
    for (jwk, algorithm, signed, signature) in [
        (
            r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#,
            jsonwebtoken::Algorithm::ES256,
            "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ",
            "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
        ),
        (
            r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
            jsonwebtoken::Algorithm::EdDSA,
            "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc",
            "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
        ),
    ] {
        let mut at = Checker::default();
        let keys = keys::read(&format!(r#"{{"keys":[{jwk}]}}"#), &mut at);
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        assert!(keys[0].verifies(algorithm, signed.as_bytes(), &signature), "{algorithm:?}");
        assert!(!keys[0].verifies(algorithm, b"else", &signature), "{algorithm:?}");
    }
}

fn bearer_policy(issuer: &str, rules: &Value) -> Value {
    json!({
        "methods": [{ "name": "token", "jwt": { "issuer": issuer, "audiences": ["shop"], "jwks": jwks() } }],
        "rules": rules,
    })
}

#[test]
fn a_token_of_before_its_user_was_signed_out_is_wrong_and_one_of_later_is_not() {
    use model::revocation::{Revocation, Whom};
    let chain = chain([level([bearer_policy(ISSUER, &json!([]))])]);
    let subject = claims()["sub"].as_str().unwrap().to_owned();
    let whom = Whom::User { issuer: ISSUER.to_owned(), subject };
    let out = Revocation { whom, before: Some(NOW - 5), until: None };
    let revoked = crate::Revoked::new(&[out]);
    for (issued, wanted) in
        [(json!(NOW - 5), Some(401)), (json!(NOW - 4), None), (json!("soon"), Some(401))]
    {
        let token = SIGNERS.token(&json!({ "alg": "EdDSA" }), &with("iat", issued.clone()));
        let request = Request::get("/").with("authorization", &format!("Bearer {token}"));
        let facts = crate::Facts { revoked: Some(&revoked), ..request.facts() };
        let crate::Decision::Done(verdict) = chain.decide(&facts, None) else { panic!("it asks") };
        let answer = match verdict {
            crate::Verdict::Pass(_) => None,
            crate::Verdict::Answer(answer) => {
                let challenge = answer.headers[0].1.to_str().unwrap().to_owned();
                assert_eq!(challenge, "Bearer error=\"invalid_token\"", "{answer:?}");
                Some(answer.status.as_u16())
            }
        };
        assert_eq!(answer, wanted, "{issued}");
    }
}

#[test]
fn a_chain_takes_bearer_tokens_and_refuses_wrong_ones_everywhere() {
    let clerks = json!([{ "name": "clerks", "when": {
        "callers": [{ "issuer": ISSUER, "claims": [{ "name": "roles", "value": "clerk" }] }] } }]);
    let chain = chain([
        level([bearer_policy("https://other.example", &json!([]))]),
        level([bearer_policy(ISSUER, &clerks)]),
    ]);
    let good = SIGNERS.token(&json!({ "alg": "EdDSA" }), &claims());
    let reader = SIGNERS.token(&json!({ "alg": "EdDSA" }), &with("roles", json!(["reader"])));
    let old = SIGNERS.token(&json!({ "alg": "EdDSA" }), &with("exp", json!(NOW - 60)));
    let stranger =
        SIGNERS.token(&json!({ "alg": "EdDSA" }), &with("iss", json!("https://x.example")));
    let ask = |value: &str| Request::get("/").with("authorization", value);
    for (request, wanted) in [
        (ask(&format!("Bearer {good}")), Reason::Ok),
        (ask(&format!("bearer   {good}")), Reason::Ok),
        (ask(&format!("Bearer {reader}")), Reason::AccessDenied),
        (ask(&format!("Bearer {old}")), Reason::CredentialInvalid),
        (ask(&format!("Bearer {stranger}")), Reason::CredentialInvalid),
        (ask("Bearer "), Reason::CredentialInvalid),
        (ask("Bearer"), Reason::CredentialInvalid),
        (ask(&format!("Bearer\t{good}")), Reason::Ok),
        (ask(&format!("Bearer\t{old}")), Reason::CredentialInvalid),
        (ask("Basic YTpi"), Reason::CredentialMissing),
        (
            ask(&format!("Bearer {good}")).with("authorization", "Basic YTpi"),
            Reason::CredentialInvalid,
        ),
        (Request::get("/"), Reason::CredentialMissing),
    ] {
        assert_eq!(reason(&chain, &request), wanted, "{:?}", request.headers);
    }
}

#[test]
fn a_token_counts_at_each_of_its_places() {
    let from = json!([{ "header": "x-token" }, { "cookie": "staff" }, { "query": "access_token" }]);
    let mut policy = bearer_policy(ISSUER, &json!([]));
    policy["methods"][0]["jwt"]["from"] = from;
    policy["require"] = json!("Any");
    let chain = chain([level([policy])]);
    let good = SIGNERS.token(&json!({ "alg": "EdDSA" }), &claims());
    let old = SIGNERS.token(&json!({ "alg": "EdDSA" }), &with("exp", json!(NOW - 60)));
    let get = || Request::get("/");
    let asked = |token: &str| Request { query: Some(format!("access_token={token}")), ..get() };
    for (request, wanted) in [
        (get().with("x-token", &good), Reason::Ok),
        (get().with("x-token", &format!("Bearer {good}")), Reason::Ok),
        (get().with("x-token", "Basic YTpi"), Reason::CredentialInvalid),
        (get().with("cookie", &format!("staff={good}")), Reason::Ok),
        (asked(&good), Reason::Ok),
        // Each that is shown has to be good.
        (asked(&good).with("x-token", &old), Reason::CredentialInvalid),
        (get().with("authorization", &format!("Bearer {good}")), Reason::CredentialMissing),
    ] {
        assert_eq!(reason(&chain, &request), wanted, "{request:?}");
    }
}

#[test]
fn a_narrower_level_cannot_speak_for_the_issuer_of_a_broader_one() {
    // The route names the gateway's issuer, with a key of its own.
    let forger = Ed25519KeyPair::generate().unwrap();
    let forged =
        json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "x": b64(forger.public_key()) }] });
    let proved = json!([{ "name": "proved", "when": { "callers": [{ "issuer": ISSUER }] } }]);
    let mut route = bearer_policy(ISSUER, &json!([]));
    route["methods"][0]["jwt"]["jwks"] = json!(forged.to_string());
    let chain = chain([level([bearer_policy(ISSUER, &proved)]), level([route])]);
    let signed = format!("{}.{}", b64(r#"{"alg":"EdDSA"}"#), b64(claims().to_string()));
    let token = format!("{signed}.{}", b64(forger.sign(signed.as_bytes())));
    let request = Request::get("/").with("authorization", &format!("Bearer {token}"));
    assert_eq!(reason(&chain, &request), Reason::AccessDenied);
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(bytes: Vec<u8>, header: String, claims: String) {
        proptest::prop_assert!(Token::parse(&bytes).is_err());
        let token = format!("{}.{}.{}", b64(&header), b64(&claims), b64(&bytes));
        proptest::prop_assert!(Token::parse(token.as_bytes()).is_err());
    }
}

#[test]
fn nobody_is_believed_whose_keys_are_still_to_be_fetched() {
    let token = SIGNERS.token(&json!({ "alg": "EdDSA", "kid": "ed" }), &claims());
    let verified = awaited().verify(&Token::parse(token.as_bytes()).unwrap(), NOW);
    assert_eq!(verified.unwrap_err(), TokenError::KeysAwaited);
}

#[test]
fn of_what_an_issuer_publishes_the_keys_are_taken_that_something_is_verified_by() {
    let mut set = SIGNERS.set();
    let keys = set["keys"].as_array_mut().unwrap();
    keys[3]["x5c"] = json!(["a certificate"]);
    let short = b64([0xff; 128]);
    keys.extend([
        json!({ "kty": "oct", "kid": "shared", "k": "AAAA" }),
        json!({ "kty": "OKP", "crv": "Ed25519", "kid": "told", "x": b64([1; 32]), "d": b64([2; 32]) }),
        json!({ "kty": "RSA", "kid": "short", "n": short, "e": "AQAB" }),
        json!({ "kty": "RSA", "kid": "enc", "use": "enc", "n": short, "e": "AQAB" }),
        json!(7),
    ]);
    set["keys"][0]["alg"] = json!("RS256");
    let published = PublishedKeys::read(set.to_string().as_bytes()).unwrap();
    assert_eq!(published.ids, ["p384", "rsa", "ed", "p256"]);
    assert!(!published.text.contains("x5c") && published.text.contains("\"alg\":\"RS256\""));
    // What is left is a set as one writes it, and the same once more.
    assert_eq!(PublishedKeys::read(published.text.as_bytes()).unwrap(), published);
    // And in whatever order they stand there.
    set["keys"].as_array_mut().unwrap().reverse();
    assert_eq!(PublishedKeys::read(set.to_string().as_bytes()).unwrap(), published);
    let issuer = issuer(&published.text).unwrap();
    for (algorithm, kid, holds) in
        [("EdDSA", "ed", true), ("RS256", "rsa", true), ("RS512", "rsa", false)]
    {
        let token = SIGNERS.token(&json!({ "alg": algorithm, "kid": kid }), &claims());
        let verified = issuer.verify(&Token::parse(token.as_bytes()).unwrap(), NOW);
        assert_eq!(verified.is_ok(), holds, "{algorithm}");
    }
}

#[test]
fn what_is_no_key_set_or_too_large_a_one_is_not_taken() {
    let ed = |kid: &str| json!({ "kty": "OKP", "crv": "Ed25519", "kid": kid, "x": b64([1; 32]) });
    let many: Vec<_> = (0..33).map(|kid| ed(&kid.to_string())).collect();
    for (set, wrong) in [
        ("<html>".to_owned(), "is no JWK Set"),
        ("[]".to_owned(), "is no JWK Set"),
        ("{\"keys\":[],\"keys\":[]}".to_owned(), "is no JWK Set"),
        ("{\"keys\":[]}".to_owned(), "holds no key that signs"),
        (json!({ "keys": many }).to_string(), "holds 33 keys"),
        (json!({ "keys": [ed(&"k".repeat(24_576))] }).to_string(), "bytes, of 24576"),
    ] {
        let told = PublishedKeys::read(set.as_bytes()).unwrap_err();
        assert!(told.contains(wrong), "{told}");
    }
}
