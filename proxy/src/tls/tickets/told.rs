//! The secrets that a server told, apart for each Gateway: what one seals opens at no other.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use model::Key;
use rustls::server::ProducesTickets;
use wire::GatewaySessions;

use super::{Error, Keyring, LIFETIME, Sealer, TICKETS, now, opened};
use crate::login::Vault;
use crate::session::{KeyName, Seals};

/// A server tells another secret each day. One that is away for longer is waited for so long; then each
/// process makes keys of its own again, or one key would seal for as long as the process lives.
const LASTS: Duration = Duration::from_secs(3 * 24 * 60 * 60);

/// What a server told; nothing before it did.
#[derive(Debug, Default)]
pub struct Told(ArcSwap<Rings>);

#[derive(Debug, Default)]
struct Rings {
    /// When it was told, if it was.
    since: Option<Instant>,
    rings: HashMap<Key, Arc<Ring>>,
    /// Those of all keys that seal sessions of rules.
    names: HashSet<KeyName>,
}

/// What seals sessions of one Gateway.
#[derive(Debug)]
pub(crate) struct Ring {
    /// The first one seals, each opens.
    tickets: Vec<Sealer>,
    sessions: Arc<Seals>,
    logins: Arc<Vault>,
}

impl Told {
    /// Seals by these from now on, in place of what was told before. Of Gateways that this program does not
    /// know nothing is taken.
    ///
    /// # Errors
    /// If one of them makes no key; then nothing changes.
    pub(crate) fn take(&self, secrets: &[GatewaySessions]) -> Result<(), Error> {
        self.take_at(secrets, Instant::now())
    }

    fn take_at(&self, secrets: &[GatewaySessions], now: Instant) -> Result<(), Error> {
        let rings = secrets.iter().filter_map(|one| Some((one.gateway.known()?, one)));
        let rings = rings.map(|(key, one)| Ok((key, Arc::new(Ring::new(one)?))));
        let rings = rings.collect::<Result<HashMap<_, _>, Error>>()?;
        let names = rings.values().flat_map(|ring| ring.sessions.names()).collect();
        self.0.store(Arc::new(Rings { since: Some(now), rings, names }));
        Ok(())
    }

    /// What seals at a Gateway, if that was told, and not too long ago.
    pub(super) fn of(&self, gateway: &Key) -> Option<Arc<Ring>> {
        let told = self.0.load();
        let is_good = told.since.is_some_and(|since| since.elapsed() < LASTS);
        told.rings.get(gateway).filter(|_| is_good).cloned()
    }

    /// Whether it is a token of any of them, by its looks alone.
    pub(super) fn has_token(&self, text: &[u8]) -> bool {
        KeyName::of(text).is_some_and(|name| self.0.load().names.contains(&name))
    }
}

impl Ring {
    fn new(of: &GatewaySessions) -> Result<Self, Error> {
        let secrets = || of.secrets.iter().map(|secret| secret.expose());
        let tickets = secrets().map(|secret| Sealer::new(secret, TICKETS).ok_or(Error::Unmade));
        let sessions = Seals::told(secrets()).ok_or(Error::Unmade)?;
        let logins = Arc::new(Vault::told(secrets()).ok_or(Error::Unmade)?);
        let tickets = tickets.collect::<Result<_, _>>()?;
        Ok(Ring { tickets, sessions: Arc::new(sessions), logins })
    }

    pub(super) fn logins(&self) -> &Arc<Vault> {
        &self.logins
    }

    pub(super) fn sessions(&self) -> &Arc<Seals> {
        &self.sessions
    }
}

/// What seals tickets at one Gateway: by what was told for it, and by the process's own until then.
pub(super) struct AtGateway {
    pub(super) keyring: Arc<Keyring>,
    pub(super) told: Arc<Told>,
    pub(super) gateway: Key,
}

impl fmt::Debug for AtGateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AtGateway").field("gateway", &self.gateway).finish_non_exhaustive()
    }
}

impl ProducesTickets for AtGateway {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        match self.told.of(&self.gateway) {
            Some(_) => LIFETIME,
            None => self.keyring.lifetime(),
        }
    }

    fn encrypt(&self, session: &[u8]) -> Option<Vec<u8>> {
        match self.told.of(&self.gateway) {
            Some(ring) => ring.tickets.first()?.seal(session, now()),
            None => self.keyring.encrypt(session),
        }
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        match self.told.of(&self.gateway) {
            Some(ring) => opened(&ring.tickets, ticket, now()),
            None => self.keyring.decrypt(ticket),
        }
    }
}

#[cfg(test)]
mod tests;
