//! Passports that a gateway makes: one for the same people for a minute, since a signature costs more
//! than a request.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderValue;
use policy::Principal;
use serde_json::Value;

use super::{Passport, User};
use crate::mesh::Credentials;

/// For how long one is given out, in seconds; for less where it ends soon.
const ANEW: u64 = 60;
/// For how long one holds, in seconds.
pub(super) const LASTS: u64 = 300;
/// For how long one holds at least, also where the caller's own token ends sooner: as long as a request
/// is let pass by its leeway.
const AT_LEAST: u64 = 10;
/// How many are kept.
const KEPT: usize = 1024;
/// The most bytes that may be said of users.
const LONGEST: usize = 8 << 10;

/// What was minted of late, by what it says of whom.
#[derive(Debug, Default)]
pub(super) struct Minted(HashMap<String, Coin>);

#[derive(Debug)]
struct Coin {
    value: HeaderValue,
    issued: u64,
    ends: u64,
    /// The credentials that signed it.
    by: u64,
}

impl Minted {
    /// The header that says who `users` are; `None` where more is to be said than may be carried.
    pub(super) fn value(
        &mut self,
        users: &[User],
        credentials: &Credentials,
        now: u64,
    ) -> Option<HeaderValue> {
        let said = serde_json::to_string(users).ok().filter(|said| said.len() <= LONGEST)?;
        let is_good = |coin: &Coin| {
            coin.by == credentials.number
                && coin.issued <= now
                && now < coin.issued + ANEW
                && now + AT_LEAST <= coin.ends
        };
        if let Some(coin) = self.0.get(&said).filter(|coin| is_good(coin)) {
            return Some(coin.value.clone());
        }
        let coin = mint(users, credentials, now)?;
        let value = coin.value.clone();
        if self.0.len() >= KEPT {
            self.0.retain(|_, coin| is_good(coin));
        }
        if self.0.len() >= KEPT {
            self.0.clear();
        }
        self.0.insert(said, coin);
        Some(value)
    }
}

fn mint(users: &[User], credentials: &Credentials, now: u64) -> Option<Coin> {
    let ends = users.iter().filter_map(|user| ends(&user.principal)).min();
    let ends = ends.map_or(now + LASTS, |ends| ends.clamp(now + AT_LEAST, now + LASTS));
    let passport = Passport { issued: now, ends, users: users.to_vec() };
    let value = written(&passport, credentials)?;
    Some(Coin { value, issued: now, ends, by: credentials.number })
}

/// A passport with its signature, and the certificates by which that is checked.
pub(super) fn written(passport: &Passport, credentials: &Credentials) -> Option<HeaderValue> {
    let payload = URL_SAFE_NO_PAD.encode(serde_json::to_vec(passport).ok()?);
    let signature = credentials.sign(&signed(&payload))?;
    let mut text = payload;
    for part in [&signature[..]].into_iter().chain(credentials.chain()) {
        text.push('.');
        URL_SAFE_NO_PAD.encode_string(part, &mut text);
    }
    let mut value = HeaderValue::try_from(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// What is signed, which is nothing that the same key signs for anything else.
pub(super) fn signed(payload: &str) -> Vec<u8> {
    [b"heddle passport, version 1\n", payload.as_bytes()].concat()
}

/// When a caller's own token ends.
fn ends(principal: &Principal) -> Option<u64> {
    let Principal::Jwt { claims, .. } = principal else { return None };
    claims.get("exp").and_then(Value::as_f64).map(|ends| ends as u64)
}
