//! Tickets, by which sessions resume, and what seals them.
//!
//! A process makes keys of its own, unless it has some that it shares with others: then a session that began
//! at one resumes at each of them. A file gives the same for all listeners; a server tells others for each
//! Gateway ([`told`]).

use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use aws_lc_rs::rand;
use model::Key;
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::server::ProducesTickets;

use crate::login::Vault;
use crate::session::Seals;

mod told;

pub use told::Told;

use told::AtGateway;

/// Of what keys of tickets are drawn with.
const TICKETS: &[u8] = b"heddle tickets";
/// How long a ticket is good, in seconds: half a day.
const LIFETIME: u32 = 12 * 60 * 60;
/// A secret has so many bytes at least, and at most.
const SECRET: std::ops::RangeInclusive<usize> = 32..=256;
/// The most keys that are looked through for each ticket.
const KEYS: usize = 16;
const NAME: usize = 16;
const KEY: usize = 32;
const TIME: usize = 8;

/// Why secrets make no keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is none.
    #[error("holds no key; write at least one line, such as `openssl rand -base64 48` makes")]
    Nothing,
    /// There are more than are looked through.
    #[error("holds {0} keys; 16 at most are used, and the first one seals")]
    TooMany(usize),
    /// One is none.
    #[error("line {0} is no key: wants 32 to 256 bytes in base64")]
    Odd(usize),
    /// No randomness is to be had.
    #[error("no key can be made")]
    Unmade,
}

/// What seals tickets, and sessions of rules, for all listeners of a process.
#[derive(Debug)]
pub struct Keyring {
    /// Of the process's own, which it makes anew by itself.
    own: Arc<dyn ProducesTickets>,
    /// Shared with others: the first one seals, each opens. The process's own do where there is none.
    shared: ArcSwap<Vec<Sealer>>,
    /// What seals sessions of rules, by keys of its own of the same secrets.
    sessions: Arc<Seals>,
    /// What seals those of who logged in, in the same way.
    logins: Arc<Vault>,
    /// What a server tells, if it follows one. What is shared wins.
    told: Option<Arc<Told>>,
}

impl Keyring {
    /// With keys of the process's own.
    ///
    /// # Errors
    /// If no randomness is to be had.
    pub fn new() -> Result<Self, Error> {
        let own = Ticketer::new().map_err(|_| Error::Unmade)?;
        let sessions = Arc::new(Seals::new().ok_or(Error::Unmade)?);
        let logins = Arc::new(Vault::new().ok_or(Error::Unmade)?);
        Ok(Keyring { own, shared: ArcSwap::default(), sessions, logins, told: None })
    }

    /// With what a server tells, and keys of the process's own until it does.
    ///
    /// # Errors
    /// If no randomness is to be had.
    pub fn following(told: Arc<Told>) -> Result<Self, Error> {
        Ok(Keyring { told: Some(told), ..Keyring::new()? })
    }

    /// What is told, unless something is shared.
    fn told(&self) -> Option<&Arc<Told>> {
        self.told.as_ref().filter(|_| self.shared.load().is_empty())
    }

    /// What seals tickets at the listeners of a Gateway that somebody owns: itself, or a ListenerSet.
    pub(crate) fn at(self: &Arc<Self>, gateway: &Key, owner: &Key) -> Arc<dyn ProducesTickets> {
        let sealer: Arc<dyn ProducesTickets> = match self.told() {
            None => Arc::clone(self) as _,
            Some(told) => {
                let (keyring, told) = (Arc::clone(self), Arc::clone(told));
                Arc::new(AtGateway { keyring, told, gateway: gateway.clone() })
            }
        };
        let name = digest(&SHA256, owner.to_string().as_bytes());
        Arc::new(Owned { sealer, owner: name.as_ref().to_vec() })
    }

    /// What seals sessions of rules at a Gateway.
    pub(crate) fn sessions_at(&self, gateway: &Key) -> Arc<Seals> {
        let ring = self.told().and_then(|told| told.of(gateway));
        Arc::clone(ring.as_ref().map_or(&self.sessions, |ring| ring.sessions()))
    }

    /// What seals sessions of who logged in at a Gateway.
    pub(crate) fn logins_at(&self, gateway: &Key) -> Arc<Vault> {
        let ring = self.told().and_then(|told| told.of(gateway));
        Arc::clone(ring.as_ref().map_or(&self.logins, |ring| ring.logins()))
    }

    /// Whether it is a token of these keys, of whatever rule and Gateway: by its looks alone.
    pub(crate) fn is_token(&self, text: &[u8]) -> bool {
        self.sessions.is_token(text) || self.told().is_some_and(|told| told.has_token(text))
    }

    /// Has tickets sealed by what is shared from now on: by the first of the lines of a text, each a secret in
    /// base64. Those that were sealed by others of them are good, too.
    ///
    /// # Errors
    /// If one of them is none; then nothing changes.
    pub fn share(&self, lines: &str) -> Result<(), Error> {
        use base64::Engine as _;
        let lines = lines.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
        let written = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        let secrets = written.map(|(number, line)| {
            let read = base64::engine::general_purpose::STANDARD.decode(line);
            read.ok().filter(|read| SECRET.contains(&read.len())).ok_or(Error::Odd(number))
        });
        let secrets: Vec<_> = secrets.collect::<Result<_, _>>()?;
        match secrets.len() {
            0 => return Err(Error::Nothing),
            1..=KEYS => {}
            many => return Err(Error::TooMany(many)),
        }
        let sealers =
            secrets.iter().map(|secret| Sealer::new(secret, TICKETS).ok_or(Error::Unmade));
        let sealers = sealers.collect::<Result<_, _>>()?;
        let logins = Vault::of(&secrets).ok_or(Error::Unmade)?;
        self.sessions.share(Seals::of(&secrets).ok_or(Error::Unmade)?);
        self.logins.share(logins);
        self.shared.store(Arc::new(sealers));
        Ok(())
    }

    fn seal(&self, session: &[u8], now: u64) -> Option<Vec<u8>> {
        match self.shared.load().first() {
            Some(first) => first.seal(session, now),
            None => self.own.encrypt(session),
        }
    }

    fn open(&self, ticket: &[u8], now: u64) -> Option<Vec<u8>> {
        let shared = self.shared.load();
        if shared.is_empty() {
            return self.own.decrypt(ticket);
        }
        opened(&shared, ticket, now)
    }
}

impl ProducesTickets for Keyring {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        match self.shared.load().is_empty() {
            true => self.own.lifetime(),
            false => LIFETIME,
        }
    }

    fn encrypt(&self, session: &[u8]) -> Option<Vec<u8>> {
        self.seal(session, now())
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        self.open(ticket, now())
    }
}

/// Seals tickets for the listeners of one owner: those of another do not open here, though the same keys
/// sealed them.
#[derive(Debug)]
struct Owned {
    sealer: Arc<dyn ProducesTickets>,
    /// Who it is, in front of each session.
    owner: Vec<u8>,
}

impl ProducesTickets for Owned {
    fn enabled(&self) -> bool {
        self.sealer.enabled()
    }

    fn lifetime(&self) -> u32 {
        self.sealer.lifetime()
    }

    fn encrypt(&self, session: &[u8]) -> Option<Vec<u8>> {
        self.sealer.encrypt(&[&self.owner, session].concat())
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let opened = self.sealer.decrypt(ticket)?;
        opened.strip_prefix(&self.owner[..]).map(<[u8]>::to_vec)
    }
}

/// What a ticket holds that one of these sealed.
fn opened(sealers: &[Sealer], ticket: &[u8], now: u64) -> Option<Vec<u8>> {
    let named = sealers.iter().find(|one| one.sealed(ticket))?;
    named.open(ticket, now)
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// A key that several processes may have, so that each draws its nonces by itself: a cipher that bears to
/// see one twice (RFC 8452).
///
/// A ticket is the key's name, a nonce, and sealed: when it was made, in seconds since 1970, and the session.
pub(crate) struct Sealer {
    name: [u8; NAME],
    key: LessSafeKey,
}

/// Shows whose it is, and nothing of the key.
impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer").field("name", &self.name).finish_non_exhaustive()
    }
}

/// How much of a secret is drawn.
struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

impl Sealer {
    /// Key and name are drawn from the secret and the label alone, so that each process comes to the same.
    pub(crate) fn new(secret: &[u8], label: &[u8]) -> Option<Self> {
        let drawn = Salt::new(HKDF_SHA256, label).extract(secret);
        let (mut name, mut key) = ([0; NAME], [0; KEY]);
        drawn.expand(&[b"name"], Length(NAME)).ok()?.fill(&mut name).ok()?;
        drawn.expand(&[b"key"], Length(KEY)).ok()?.fill(&mut key).ok()?;
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM_SIV, &key).ok()?);
        Some(Sealer { name, key })
    }

    pub(crate) fn seal(&self, session: &[u8], now: u64) -> Option<Vec<u8>> {
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce).ok()?;
        let mut sealed = [&now.to_be_bytes()[..], session].concat();
        let at = Nonce::assume_unique_for_key(nonce);
        self.key.seal_in_place_append_tag(at, Aad::from(self.name), &mut sealed).ok()?;
        Some([&self.name[..], &nonce, &sealed].concat())
    }

    /// Whether it is what sealed a ticket, by its name.
    pub(crate) fn sealed(&self, ticket: &[u8]) -> bool {
        ticket.starts_with(&self.name)
    }

    /// When a ticket was made, and what it holds.
    pub(crate) fn unseal(&self, ticket: &[u8]) -> Option<(u64, Vec<u8>)> {
        let (nonce, sealed) = ticket.strip_prefix(&self.name)?.split_first_chunk::<NONCE_LEN>()?;
        let mut sealed = sealed.to_vec();
        let at = Nonce::assume_unique_for_key(*nonce);
        let opened = self.key.open_in_place(at, Aad::from(self.name), &mut sealed).ok()?;
        let (made, session) = opened.split_first_chunk::<TIME>()?;
        Some((u64::from_be_bytes(*made), session.to_vec()))
    }

    fn open(&self, ticket: &[u8], now: u64) -> Option<Vec<u8>> {
        let (made, session) = self.unseal(ticket)?;
        // Clocks of processes differ; one that was made later than now was made now.
        (now.saturating_sub(made) < u64::from(LIFETIME)).then_some(session)
    }
}

#[cfg(test)]
mod tests;
