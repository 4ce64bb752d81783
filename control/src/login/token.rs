//! What an ID token says of somebody, once it is verified.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::login::Claims;
use openidconnect::core::{
    CoreIdToken, CoreJsonWebKey, CoreJsonWebKeySet, CoreJwsSigningAlgorithm,
};
use openidconnect::{
    ClaimsVerificationError, ClientId, IdTokenVerifier, IssuerUrl, Nonce,
    SignatureVerificationError,
};
use serde_json::{Map, Value};

/// Bytes of a subject (OpenID Connect Core, section 2).
const SUBJECT: usize = 255;
/// Groups of one user.
const GROUPS: usize = 1_000;
/// Characters of a group's name, as a Team may write it.
const GROUP: usize = 256;

/// The ways to sign that are believed: by keys of which the provider alone has the private half.
const ALGORITHMS: [CoreJwsSigningAlgorithm; 9] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

/// What does not hold of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// There is none.
    #[error("there is no ID token in its answer")]
    Missing,
    /// It is signed by a key that the provider does not show, or not at all.
    #[error("its token is not signed by a key that it shows")]
    Signature,
    /// Another issuer made it.
    #[error("another issuer made the token")]
    Issuer,
    /// It is for somebody else than this server.
    #[error("the token is not for this server's client id alone")]
    Audience,
    /// It has ended.
    #[error("the token has ended; the clocks of both may differ")]
    Expired,
    /// It answers another try.
    #[error("the token answers another try to sign in")]
    Nonce,
    /// It is no token as it should be.
    #[error("the token is not well-formed")]
    Form,
    /// The name is an address that nobody verified.
    #[error("it did not verify that the e-mail address is yours")]
    Unverified,
}

/// Whom a token speaks of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Person {
    /// What the provider calls them, for ever.
    pub(crate) subject: String,
    /// What their name is made from; empty where the token does not say it.
    pub(crate) word: String,
    /// Their groups.
    pub(crate) groups: BTreeSet<String>,
}

/// What a token must fit.
pub(crate) struct Expected<'a> {
    pub(crate) client: &'a ClientId,
    pub(crate) issuer: &'a IssuerUrl,
    pub(crate) keys: &'a CoreJsonWebKeySet,
    pub(crate) nonce: &'a Nonce,
}

/// Why a token is not believed; whether newer keys might change that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Judged {
    /// It names a key that is not among ours.
    UnknownKey,
    /// It is wrong.
    Wrong(Wrong),
}

impl Expected<'_> {
    /// Verifies a token; what it says.
    ///
    /// # Errors
    /// [`Judged`].
    pub(crate) fn verify(&self, token: &CoreIdToken) -> Result<Map<String, Value>, Judged> {
        // Of a public client also where it is none: so a shared secret is no key to anything.
        let verifier = IdTokenVerifier::<CoreJsonWebKey>::new_public_client(
            self.client.clone(),
            self.issuer.clone(),
            self.keys.clone(),
        )
        .set_allowed_algs(ALGORITHMS);
        token.claims(&verifier, self.nonce).map_err(|error| judged(&error))?;
        // What was verified is this text.
        let text = token.to_string();
        let payload = text.split('.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
        let said = payload.and_then(|json| serde_json::from_slice::<Map<_, _>>(&json).ok());
        let said = said.ok_or(Judged::Wrong(Wrong::Form))?;
        match said.get("azp") {
            Some(party) if party != self.client.as_str() => Err(Judged::Wrong(Wrong::Audience)),
            Some(_) | None => Ok(said),
        }
    }
}

fn judged(error: &ClaimsVerificationError) -> Judged {
    Judged::Wrong(match error {
        ClaimsVerificationError::SignatureVerification(
            SignatureVerificationError::NoMatchingKey,
        ) => return Judged::UnknownKey,
        ClaimsVerificationError::SignatureVerification(_) => Wrong::Signature,
        ClaimsVerificationError::Expired(_) => Wrong::Expired,
        ClaimsVerificationError::InvalidAudience(_) => Wrong::Audience,
        ClaimsVerificationError::InvalidIssuer(_) => Wrong::Issuer,
        ClaimsVerificationError::InvalidNonce(_) => Wrong::Nonce,
        // The enum is not ours and may grow.
        _ => Wrong::Form,
    })
}

/// Whom a verified token speaks of, by the names that the provider has for claims.
///
/// # Errors
/// [`Wrong`].
pub(crate) fn person(said: &Map<String, Value>, claims: &Claims) -> Result<Person, Wrong> {
    let text = |name: &str| said.get(name).and_then(Value::as_str);
    let subject = text("sub").filter(|one| is_plain(one) && (1..=SUBJECT).contains(&one.len()));
    let subject = subject.ok_or(Wrong::Form)?.to_owned();
    // Whoever writes any address into their profile would get the name of whom it belongs to.
    if claims.user == "email" && said.get("email_verified") != Some(&Value::Bool(true)) {
        return Err(Wrong::Unverified);
    }
    let word = text(&claims.user).unwrap_or_default().to_owned();
    Ok(Person { subject, word, groups: groups(said.get(&claims.groups)) })
}

/// The groups that can be a Team's; of too many the first.
fn groups(told: Option<&Value>) -> BTreeSet<String> {
    let one = told.and_then(Value::as_str);
    let many = told.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let can_be = |name: &&str| is_plain(name) && (1..=GROUP).contains(&name.chars().count());
    one.into_iter().chain(many).filter(can_be).take(GROUPS).map(str::to_owned).collect()
}

fn is_plain(text: &str) -> bool {
    !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(said: Value) -> Result<Person, Wrong> {
        let Value::Object(said) = said else { panic!() };
        person(&said, &Claims::default())
    }

    #[test]
    fn groups_are_those_that_a_team_could_name() {
        let long = "g".repeat(257);
        let told = json!(["a", "a", 7, null, "", "b\u{0}", "Orders Developers", long]);
        let person = of(json!({ "sub": "7", "groups": told })).unwrap();
        assert_eq!(person.groups, ["Orders Developers", "a"].map(str::to_owned).into());
        assert_eq!(of(json!({ "sub": "7", "groups": "one" })).unwrap().groups.len(), 1);
        for none in [json!({ "sub": "7" }), json!({ "sub": "7", "groups": { "a": "b" } })] {
            assert!(of(none).unwrap().groups.is_empty());
        }
        let many: Vec<_> = (0..2_000).map(|n| n.to_string()).collect();
        assert_eq!(of(json!({ "sub": "7", "groups": many })).unwrap().groups.len(), GROUPS);
    }

    #[test]
    fn nobody_is_known_by_an_address_that_was_not_verified() {
        let claims = Claims { user: "email".to_owned(), ..Claims::default() };
        let of = |verified: Value| {
            let said = json!({ "sub": "7", "email": "a@b.example", "email_verified": verified });
            let Value::Object(said) = said else { panic!() };
            person(&said, &claims).map(|person| person.word)
        };
        assert_eq!(of(json!(true)), Ok("a@b.example".to_owned()));
        for not in [json!(false), json!("true"), json!(null)] {
            assert_eq!(of(not), Err(Wrong::Unverified));
        }
    }

    #[test]
    fn a_subject_is_there_and_bounded() {
        for sub in [json!(null), json!(7), json!(""), json!("a\nb"), json!("s".repeat(256))] {
            assert_eq!(of(json!({ "sub": sub })), Err(Wrong::Form), "{sub}");
        }
    }
}
