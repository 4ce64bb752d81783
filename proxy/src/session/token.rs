//! Tokens, by which callers bring their sessions back, and what seals them.
//!
//! A token is text of one length: the key's name, a nonce, and sealed where the session is and since when.
//! Whose it is, the rule, is sealed with it but does not stand in it, so that one of another rule does not
//! open.
//! It says nothing to who carries it, and nobody else can write one.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use arc_swap::ArcSwap;
use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Of what keys are drawn with: tickets are sealed by others, of the same secrets.
const LABEL: &[u8] = b"heddle sessions of rules";
const KEY: usize = 32;
/// So long that it is whole letters of the text.
const NAME: usize = 9;
const NAME_TEXT: usize = NAME / 3 * 4;
const TAG: usize = 16;
const SERVICE: usize = 8;
const BODY: usize = SERVICE + 1 + 16 + 2 + 8 + 8;
/// The length of every token.
const TEXT: usize = ((NAME + NONCE_LEN + BODY + TAG) * 4).div_ceil(3);

/// Where a session is, and since when, in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// Which Service port.
    pub(crate) service: Mark,
    /// Which of the rule's backends, since several may lead there.
    pub(crate) backend: u8,
    /// The endpoint.
    pub(crate) address: SocketAddr,
    pub(crate) began: u64,
    /// When the token was made.
    pub(crate) seen: u64,
}

/// What stands for a Service port in tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark([u8; SERVICE]);

impl Mark {
    /// Of the one with this label.
    pub(crate) fn of(label: &str) -> Self {
        let mut mark = [0; SERVICE];
        mark.copy_from_slice(&digest(&SHA256, label.as_bytes()).as_ref()[..SERVICE]);
        Mark(mark)
    }
}

/// A token that was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Opened {
    pub(crate) place: Place,
    /// Whether the key that sealed it is one of before.
    pub(crate) is_old_key: bool,
}

/// What seals the tokens of a process.
#[derive(Debug)]
pub(crate) struct Seals {
    own: Seal,
    /// Shared with others: the first one seals, each opens. The process's own does where there is none.
    shared: ArcSwap<Vec<Seal>>,
}

impl Seals {
    /// By a key of the process's own; none if no randomness is to be had.
    pub(crate) fn new() -> Option<Self> {
        let mut secret = [0; KEY];
        rand::fill(&mut secret).ok()?;
        Some(Seals { own: Seal::new(&secret)?, shared: ArcSwap::default() })
    }

    /// By secrets of which the first one seals and each opens; none if there is none, or it makes no key.
    pub(crate) fn told<'s>(secrets: impl Iterator<Item = &'s [u8]> + Clone) -> Option<Self> {
        let own = Seal::new(secrets.clone().next()?)?;
        let shared = secrets.map(Seal::new).collect::<Option<Vec<_>>>()?;
        Some(Seals { own, shared: ArcSwap::from_pointee(shared) })
    }

    /// The seals of these secrets, in their order.
    pub(crate) fn of(secrets: &[Vec<u8>]) -> Option<Vec<Seal>> {
        secrets.iter().map(|secret| Seal::new(secret)).collect()
    }

    /// Has tokens sealed by these from now on.
    pub(crate) fn share(&self, seals: Vec<Seal>) {
        self.shared.store(Arc::new(seals));
    }

    /// The token of a session of the rule `of`; none if no randomness is to be had.
    pub(crate) fn seal(&self, place: &Place, of: &str) -> Option<String> {
        self.shared.load().first().unwrap_or(&self.own).seal(place, of)
    }

    /// What a token says; none where it is none, or not of the rule `of`.
    pub(crate) fn open(&self, token: &[u8], of: &str) -> Option<Opened> {
        let shared = self.shared.load();
        let (index, seal) = self.named(&shared, token)?;
        Some(Opened { place: seal.open(token, of)?, is_old_key: index > 0 })
    }

    /// Whether it is a token of these keys, of whatever rule: by its looks alone.
    pub(crate) fn is_token(&self, text: &[u8]) -> bool {
        text.len() == TEXT && self.named(&self.shared.load(), text).is_some()
    }

    /// The names of its shared keys.
    pub(crate) fn names(&self) -> Vec<KeyName> {
        self.shared.load().iter().map(|seal| KeyName(seal.name_text)).collect()
    }

    /// The key that sealed a token.
    fn named<'s>(&'s self, shared: &'s [Seal], token: &[u8]) -> Option<(usize, &'s Seal)> {
        let all = if shared.is_empty() { std::slice::from_ref(&self.own) } else { shared };
        all.iter().enumerate().find(|(_, seal)| token.starts_with(&seal.name_text))
    }
}

/// By what a token says which key sealed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct KeyName([u8; NAME_TEXT]);

impl KeyName {
    /// Of what looks like a token.
    pub(crate) fn of(text: &[u8]) -> Option<Self> {
        let name = text.first_chunk().filter(|_| text.len() == TEXT);
        name.copied().map(KeyName)
    }
}

/// A key that several processes may have, so that each draws its nonces by itself: a cipher that bears to
/// see one twice (RFC 8452).
pub(crate) struct Seal {
    name: [u8; NAME],
    name_text: [u8; NAME_TEXT],
    key: LessSafeKey,
}

/// Shows whose it is, and nothing of the key.
impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seal").field("name", &self.name).finish_non_exhaustive()
    }
}

/// How much of a secret is drawn.
struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

impl Seal {
    /// Key and name are drawn from the secret alone, so that each process comes to the same.
    fn new(secret: &[u8]) -> Option<Self> {
        let drawn = Salt::new(HKDF_SHA256, LABEL).extract(secret);
        let (mut name, mut key) = ([0; NAME], [0; KEY]);
        drawn.expand(&[b"name"], Length(NAME)).ok()?.fill(&mut name).ok()?;
        drawn.expand(&[b"key"], Length(KEY)).ok()?.fill(&mut key).ok()?;
        let mut name_text = [0; NAME_TEXT];
        URL_SAFE_NO_PAD.encode_slice(name, &mut name_text).ok()?;
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM_SIV, &key).ok()?);
        Some(Seal { name, name_text, key })
    }

    /// What is sealed with a token without standing in it.
    fn bound(&self, of: &str) -> Aad<Vec<u8>> {
        Aad::from([&self.name[..], of.as_bytes()].concat())
    }

    fn seal(&self, place: &Place, of: &str) -> Option<String> {
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce).ok()?;
        let mut sealed = place.to_bytes();
        let at = Nonce::assume_unique_for_key(nonce);
        self.key.seal_in_place_append_tag(at, self.bound(of), &mut sealed).ok()?;
        Some(URL_SAFE_NO_PAD.encode([&self.name[..], &nonce, &sealed].concat()))
    }

    fn open(&self, token: &[u8], of: &str) -> Option<Place> {
        if token.len() != TEXT {
            return None;
        }
        let token = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (nonce, sealed) = token.strip_prefix(&self.name)?.split_first_chunk::<NONCE_LEN>()?;
        let mut sealed = sealed.to_vec();
        let at = Nonce::assume_unique_for_key(*nonce);
        let opened = self.key.open_in_place(at, self.bound(of), &mut sealed).ok()?;
        Place::of_bytes(opened)
    }
}

impl Place {
    /// Whether another one is where this is, whenever that began.
    pub(crate) fn is_at(&self, other: &Place) -> bool {
        (self.service, self.backend, self.address) == (other.service, other.backend, other.address)
    }

    fn to_bytes(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(BODY + TAG);
        bytes.extend(self.service.0);
        bytes.push(self.backend);
        // As one of IPv6 in any case, or the length would tell which it is.
        bytes.extend(match self.address.ip() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
            IpAddr::V6(ip) => ip.octets(),
        });
        bytes.extend(self.address.port().to_be_bytes());
        bytes.extend(self.began.to_be_bytes());
        bytes.extend(self.seen.to_be_bytes());
        bytes
    }

    fn of_bytes(bytes: &[u8]) -> Option<Self> {
        let (service, rest) = bytes.split_first_chunk::<SERVICE>()?;
        let (&backend, rest) = rest.split_first()?;
        let (ip, rest) = rest.split_first_chunk::<16>()?;
        let (port, rest) = rest.split_first_chunk::<2>()?;
        let (began, rest) = rest.split_first_chunk::<8>()?;
        let seen: &[u8; 8] = rest.try_into().ok()?;
        let ip = Ipv6Addr::from(*ip).to_canonical();
        Some(Place {
            service: Mark(*service),
            backend,
            address: SocketAddr::new(ip, u16::from_be_bytes(*port)),
            began: u64::from_be_bytes(*began),
            seen: u64::from_be_bytes(*seen),
        })
    }
}

#[cfg(test)]
mod tests;
