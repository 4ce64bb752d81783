//! Passports that come with requests: each is checked once, and known by its text from then on.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::identity::Peer;

use super::{Carried, LINKS, Passport, Refused, mint, seconds};
use crate::mesh::{Credentials, Nobody};

/// How many are kept.
const KEPT: usize = 1024;

/// What was checked before, by its signature.
#[derive(Debug, Default)]
pub(super) struct Known(HashMap<Box<str>, Checked>);

#[derive(Debug)]
struct Checked {
    token: Arc<str>,
    passport: Arc<Passport>,
    issuer: Arc<Peer>,
    /// The id of the gateway that minted it.
    node: Option<String>,
    /// When it or the certificate of who minted it ends, in seconds since 1970.
    ends: u64,
    /// The credentials that it was checked by: others may trust other roots.
    by: u64,
}

impl Known {
    /// Reads what stands in the header: the token, and whoever carried it on behind it.
    pub(super) fn read(
        &mut self,
        text: &str,
        from: &Peer,
        credentials: &Credentials,
        now: SystemTime,
    ) -> Result<Carried, Refused> {
        let mut words = text.split(' ');
        let token = words.next().ok_or(Refused::Odd)?;
        let link = |uri| Peer::read(uri, credentials.trust()).ok_or(Refused::Odd);
        let via = words.take(LINKS + 1).map(link).collect::<Result<Vec<_>, _>>()?;
        if via.len() > LINKS {
            return Err(Refused::Handed);
        }
        let signature = token.split('.').nth(1).ok_or(Refused::Odd)?;
        let is_same = |known: &&Checked| known.by == credentials.number && *known.token == *token;
        let before = self.0.get(signature).filter(is_same);
        if before.is_none() {
            let checked = check(token, credentials, now)?;
            self.keep(signature, checked, seconds(now));
        }
        let checked = self.0.get(signature).ok_or(Refused::Odd)?;
        if checked.ends <= seconds(now) {
            return Err(Refused::Ended);
        }
        // What was checked before may be of one that was shut out since.
        if credentials.has_shut_out(checked.node.as_deref(), now) {
            return Err(Refused::Nobody(Nobody::Revoked));
        }
        let last = via.last().unwrap_or(&checked.issuer);
        if last != from {
            return Err(Refused::NotTheirs(last.clone()));
        }
        let Checked { token, passport, issuer, .. } = checked;
        let (token, passport) = (Arc::clone(token), Arc::clone(passport));
        Ok(Carried { token, passport, issuer: Arc::clone(issuer), via })
    }

    fn keep(&mut self, signature: &str, checked: Checked, now: u64) {
        if self.0.len() >= KEPT {
            self.0.retain(|_, checked| checked.ends > now);
        }
        if self.0.len() >= KEPT {
            self.0.clear();
        }
        self.0.insert(signature.into(), checked);
    }
}

/// Checks a token from its time to its signature.
fn check(token: &str, credentials: &Credentials, now: SystemTime) -> Result<Checked, Refused> {
    let parts: Vec<_> = token.split('.').collect();
    let [payload, signature, leaf, issuer] = &parts[..] else { return Err(Refused::Odd) };
    let decode = |part: &&str| URL_SAFE_NO_PAD.decode(part).map_err(|_| Refused::Odd);
    let passport: Passport = serde_json::from_slice(&decode(payload)?).map_err(|_| Refused::Odd)?;
    if passport.ends <= seconds(now) {
        return Err(Refused::Ended);
    }
    // Whoever has a gateway's key mints no more than a gateway does.
    let is_late = passport.issued > seconds(now) + mint::LASTS;
    if is_late || passport.ends > passport.issued + mint::LASTS {
        return Err(Refused::Long);
    }
    let chain = [decode(leaf)?, decode(issuer)?];
    let (issuer, certificate) = credentials.gateway(&chain, now).map_err(Refused::Nobody)?;
    if !certificate.has_signed(&mint::signed(payload), &decode(signature)?) {
        return Err(Refused::Signature);
    }
    let ends = passport.ends.min(seconds(certificate.not_after));
    let (token, passport, by) = (token.into(), Arc::new(passport), credentials.number);
    Ok(Checked { token, passport, issuer: Arc::new(issuer), node: certificate.name, ends, by })
}
