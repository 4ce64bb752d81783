//! What seals trips and sessions: text that says nothing to who carries it, and that nobody else can write.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use aws_lc_rs::digest::{SHA256, SHA256_OUTPUT_LEN, digest};
use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::tls::tickets::Sealer;

/// Of what keys are drawn with: tickets and sessions of rules are sealed by others, of the same secrets.
const LABEL: &[u8] = b"heddle logins";

/// What seals at the gateways that share its secrets.
pub(crate) struct Vault {
    own: Sealer,
    /// Shared with others: the first one seals, each opens. The process's own does where there is none.
    shared: ArcSwap<Vec<Sealer>>,
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vault")
    }
}

/// What was opened.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Opened {
    pub(crate) body: Vec<u8>,
    /// Whether the key that sealed it is one of before.
    pub(crate) is_old_key: bool,
}

impl Vault {
    /// By a key of the process's own; none if no randomness is to be had.
    pub(crate) fn new() -> Option<Self> {
        let mut secret = [0; 32];
        rand::fill(&mut secret).ok()?;
        Some(Vault { own: Sealer::new(&secret, LABEL)?, shared: ArcSwap::default() })
    }

    /// By secrets of which the first one seals and each opens; none if there is none, or it makes no key.
    pub(crate) fn told<'s>(secrets: impl Iterator<Item = &'s [u8]> + Clone) -> Option<Self> {
        let own = Sealer::new(secrets.clone().next()?, LABEL)?;
        let shared =
            secrets.map(|secret| Sealer::new(secret, LABEL)).collect::<Option<Vec<_>>>()?;
        Some(Vault { own, shared: ArcSwap::from_pointee(shared) })
    }

    /// What seals by these secrets, in their order.
    pub(crate) fn of(secrets: &[Vec<u8>]) -> Option<Vec<Sealer>> {
        secrets.iter().map(|secret| Sealer::new(secret, LABEL)).collect()
    }

    /// Has all be sealed by these from now on.
    pub(crate) fn share(&self, sealers: Vec<Sealer>) {
        self.shared.store(Arc::new(sealers));
    }

    /// `body` of whatever `of` names, as text.
    pub(crate) fn seal(&self, of: &str, body: &[u8], now: i64) -> Option<String> {
        let whose = digest(&SHA256, of.as_bytes());
        let sealed = [whose.as_ref(), body].concat();
        let now = u64::try_from(now).ok()?;
        let shared = self.shared.load();
        let sealed = shared.first().unwrap_or(&self.own).seal(&sealed, now)?;
        Some(URL_SAFE_NO_PAD.encode(sealed))
    }

    /// What a text holds; none where it is none, or of something else than `of` names.
    pub(crate) fn open(&self, of: &str, text: &[u8]) -> Option<Opened> {
        let sealed = URL_SAFE_NO_PAD.decode(text).ok()?;
        let shared = self.shared.load();
        let all = if shared.is_empty() { std::slice::from_ref(&self.own) } else { &shared[..] };
        let (index, sealer) = all.iter().enumerate().find(|(_, one)| one.sealed(&sealed))?;
        let (_, opened) = sealer.unseal(&sealed)?;
        let (whose, body) = opened.split_first_chunk::<SHA256_OUTPUT_LEN>()?;
        let is_its = digest(&SHA256, of.as_bytes()).as_ref() == whose;
        is_its.then(|| Opened { body: body.to_vec(), is_old_key: index > 0 })
    }
}
