//! What browsers keep, sealed: a trip to the provider, and the session that comes of it.

use std::fmt;

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use policy::Login;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::provider::Tokens;

/// How long a browser has to log in, in seconds.
const TRIP: i64 = 600;
/// The longest target to which a browser comes back; from a longer one it comes to `/`.
const TARGET: usize = 2048;
/// How long a token is good of which the provider does not say it, in seconds.
const USUAL: i64 = 3600;
/// No session is renewed more often than that, in seconds.
const LEAST: i64 = 30;

/// A browser on its way to a provider and back.
#[derive(Serialize, Deserialize)]
pub(super) struct Trip {
    /// By what it is known when it comes back.
    #[serde(rename = "s")]
    pub(super) state: String,
    /// What the ID token repeats.
    #[serde(rename = "n")]
    pub(super) nonce: String,
    /// What shows that the code is ours (RFC 7636).
    #[serde(rename = "v")]
    pub(super) verifier: String,
    /// Where the provider sends it back.
    #[serde(rename = "r")]
    pub(super) back: String,
    /// Where it wanted to go.
    #[serde(rename = "t")]
    pub(super) to: String,
    #[serde(rename = "b")]
    began: i64,
}

impl Trip {
    /// One that begins now; none if no randomness is to be had.
    pub(super) fn new(back: String, to: String, now: i64) -> Option<Self> {
        let (state, nonce, verifier) = (drawn::<16>()?, drawn::<16>()?, drawn::<32>()?);
        // What a browser may read as another host is none of ours.
        let is_here =
            to.len() <= TARGET && to.starts_with('/') && !to[1..].starts_with(['/', '\\']);
        let to = if is_here { to } else { "/".to_owned() };
        Some(Trip { state, nonce, verifier, back, to, began: now })
    }

    /// Whether there is time yet. Clocks of gateways differ: one that begins later than now began now.
    pub(super) fn holds(&self, now: i64) -> bool {
        now.saturating_sub(self.began) < TRIP
    }

    /// When its time is over.
    pub(super) fn end(&self) -> i64 {
        self.began.saturating_add(TRIP)
    }

    pub(super) fn to_bytes(&self) -> Option<Vec<u8>> {
        serde_json::to_vec(self).ok()
    }

    pub(super) fn of_bytes(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }
}

/// Somebody who logged in.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Session {
    /// By what it is ended, whatever renewed it.
    #[serde(rename = "i")]
    pub(super) id: String,
    /// What the ID token said of them.
    #[serde(rename = "c")]
    pub(super) claims: Map<String, Value>,
    /// Since when, in seconds since 1970.
    #[serde(rename = "b")]
    pub(super) began: i64,
    /// How often it was renewed.
    #[serde(rename = "n", default)]
    at: u64,
    /// By what the provider is asked again.
    #[serde(rename = "r", default, skip_serializing_if = "Option::is_none")]
    pub(super) refresh: Option<String>,
    /// From when on it is, where that can be.
    #[serde(rename = "d", default, skip_serializing_if = "Option::is_none")]
    due: Option<i64>,
    /// Until when what it said is good; to the session's end where nobody can be asked.
    #[serde(rename = "u", default, skip_serializing_if = "Option::is_none")]
    until: Option<i64>,
}

/// Shows nothing by which somebody could go on with it.
impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("began", &self.began).finish_non_exhaustive()
    }
}

impl Session {
    /// One that begins now; none if no randomness is to be had.
    pub(super) fn new(claims: Map<String, Value>, tokens: &Tokens, now: i64) -> Option<Self> {
        let (refresh, due, until) = (None, None, None);
        let begun = Session { id: drawn::<16>()?, claims, began: now, at: 0, refresh, due, until };
        Some(begun.with(tokens, now))
    }

    /// The same, of whom the provider said these claims anew.
    pub(super) fn renewed(&self, claims: Map<String, Value>, tokens: &Tokens, now: i64) -> Self {
        Session { claims, at: self.at + 1, ..self.clone() }.with(tokens, now)
    }

    fn with(self, tokens: &Tokens, now: i64) -> Self {
        let refresh = tokens.refresh.clone().or(self.refresh);
        let lasts = tokens.lasts.unwrap_or(USUAL).max(LEAST);
        let is_renewed = refresh.is_some();
        // A provider that is away for a while ends no session: there is a fifth of the time to ask it.
        let due = is_renewed.then(|| now + lasts / 5 * 4);
        Session { refresh, due, until: is_renewed.then(|| now + lasts), ..self }
    }

    /// When it is over, whatever happens.
    pub(super) fn end(&self, login: &Login) -> i64 {
        self.began.saturating_add(login.lasts)
    }

    /// Whether the provider can be asked whether it goes on.
    pub(super) fn is_renewable(&self) -> bool {
        self.refresh.is_some()
    }

    /// Whether it was renewed more often than another form of it.
    pub(super) fn is_newer(&self, other: &Session) -> bool {
        self.at > other.at
    }

    /// Whether the provider is to be asked whether it goes on.
    pub(super) fn is_due(&self, now: i64) -> bool {
        self.due.is_some_and(|due| now >= due)
    }

    /// Whether it is over unless the provider says that it goes on.
    pub(super) fn is_stale(&self, now: i64) -> bool {
        self.until.is_some_and(|until| now >= until)
    }

    pub(super) fn to_bytes(&self) -> Option<Vec<u8>> {
        serde_json::to_vec(self).ok()
    }

    pub(super) fn of_bytes(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }
}

/// So many random bytes as text; none if no randomness is to be had.
fn drawn<const BYTES: usize>() -> Option<String> {
    let mut bytes = [0; BYTES];
    rand::fill(&mut bytes).ok()?;
    Some(URL_SAFE_NO_PAD.encode(bytes))
}
