//! Who is calling, carried from the edge to the last application.
//!
//! ```text
//! edge:     proved by a policy ── minted, or a minute old at most ──> header
//! inbound:  header ── checked, or checked before ──> facts; kept by the trace while it is under way
//! outbound: the application's trace ── found ──> the same header, with our own name behind it
//! ```
//!
//! The header travels between proxies only, over mutual TLS: it is taken off whatever anybody else
//! sends, and no application ever holds one.
//! What is missing, ended, sent by somebody else than its last link or found under nobody's trace
//! means that the user is unknown (docs/adr/015-passports.md).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use http::{HeaderMap, HeaderName, HeaderValue};
use model::Name;
use model::identity::Peer;
use policy::{Believed, Principal, Proof, Revoked};
use serde::{Deserialize, Serialize};
use table::Table;

use crate::mesh::{Credentials, Nobody};
use crate::moment::seconds;
use mint::Minted;
use reader::Known;

mod behalf;
mod mint;
mod reader;
mod under_way;

pub(crate) use behalf::{admit, believed, enter, onward};
pub(crate) use under_way::{Stay, UnderWay};

/// The header between proxies.
pub(crate) const PASSPORT: HeaderName = HeaderName::from_static("heddle-passport");

/// The most proxies that a passport goes through, so that what goes round in a ring ends.
const LINKS: usize = 16;

/// Somebody who proved who they are, and to whom.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct User {
    /// The workspace whose policy has their credentials; none where that is the platform's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) workspace: Option<Name>,
    /// The Api there whose policy has them; none where that is the workspace's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) api: Option<Name>,
    pub(crate) principal: Arc<Principal>,
}

/// What a gateway says of who is calling, signed by the key of its certificate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Passport {
    /// When it was minted, in seconds since 1970.
    #[serde(rename = "iat")]
    pub(crate) issued: u64,
    /// From when on it does not hold.
    #[serde(rename = "exp")]
    pub(crate) ends: u64,
    pub(crate) users: Vec<User>,
}

/// A passport with those who had it in their hands.
#[derive(Debug, Clone)]
pub(crate) struct Carried {
    /// As it came, without the links.
    token: Arc<str>,
    passport: Arc<Passport>,
    /// The gateway that vouches for it.
    issuer: Arc<Peer>,
    /// The workloads whose proxies carried it on, the first one first.
    via: Vec<Peer>,
}

/// Why a passport that came with a request is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    /// More than one came.
    #[error("more than one passport came")]
    Several,
    /// It has not the form of one.
    #[error("the passport cannot be read")]
    Odd,
    /// Its time is over.
    #[error("the passport has ended")]
    Ended,
    /// Its certificate proves no gateway.
    #[error("the passport's certificate proves no gateway: {0}")]
    Nobody(Nobody),
    /// It was not signed by the key of its certificate.
    #[error("the passport's signature does not hold")]
    Signature,
    /// It went through too many hands.
    #[error("the passport went through more than {LINKS} proxies")]
    Handed,
    /// It holds for longer than any does, or from some time to come.
    #[error("the passport says a time that no gateway would; is a clock wrong?")]
    Long,
    /// Somebody else had it last.
    #[error("the passport was given to {0}, and not to who sends it")]
    NotTheirs(Peer),
    /// There is nothing yet to check it by.
    #[error("this proxy has no certificate yet, by which it could check the passport")]
    Unready,
}

/// What a process has of passports.
#[derive(Debug)]
pub(crate) struct Passports {
    /// One for each worker; no other takes its lock.
    desks: Box<[Mutex<Desk>]>,
    pub(crate) under_way: UnderWay,
}

/// What one worker minted and checked before.
#[derive(Debug, Default)]
struct Desk {
    minted: Minted,
    known: Known,
}

impl Passports {
    pub(crate) fn new(workers: usize) -> Self {
        let desks = (0..workers).map(|_| Mutex::default()).collect();
        Passports { desks, under_way: UnderWay::default() }
    }

    /// The header that says who these are; `None` where they are nobody, or too much is said of them
    /// to be carried.
    pub(crate) fn mint(
        &self,
        worker: usize,
        users: &[User],
        credentials: &Credentials,
        now: SystemTime,
    ) -> Option<HeaderValue> {
        if users.is_empty() || !matches!(credentials.peer, Peer::Gateway { .. }) {
            return None;
        }
        self.desk(worker).minted.value(users, credentials, seconds(now))
    }

    /// The passport that `from` sends in these headers, if any.
    pub(crate) fn read(
        &self,
        worker: usize,
        headers: &HeaderMap,
        from: &Peer,
        credentials: Option<&Credentials>,
        now: SystemTime,
    ) -> Result<Option<Carried>, Refused> {
        let mut lines = headers.get_all(PASSPORT).iter();
        let Some(line) = lines.next() else { return Ok(None) };
        if lines.next().is_some() {
            return Err(Refused::Several);
        }
        let credentials = credentials.ok_or(Refused::Unready)?;
        let text = line.to_str().map_err(|_| Refused::Odd)?;
        self.desk(worker).known.read(text, from, credentials, now).map(Some)
    }

    fn desk(&self, worker: usize) -> MutexGuard<'_, Desk> {
        self.desks[worker].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Carried {
    /// Who is calling, of those whom the policies of a namespace believe: who proved themselves
    /// there, in its workspace, or to the platform. Of a workspace only a gateway of its clusters knows.
    pub(crate) fn users_for(&self, table: &Table, namespace: &Name) -> Vec<Believed> {
        let own = table.workspaces.get(namespace);
        let is_near = table.are_in(namespace, self.issuer.cluster());
        let users = self.passport.users.iter();
        let believed = users.filter(|user| match &user.workspace {
            None => true,
            Some(workspace) => Some(workspace) == own && is_near,
        });
        let believed = believed.map(|user| {
            let (principal, api) = (Arc::clone(&user.principal), user.api.clone());
            Believed { principal, api }
        });
        believed.collect()
    }

    /// Who of those that it speaks of was shut out, if anybody was. Whatever it was proved by is older than it is.
    pub(crate) fn revoked(&self, revoked: &Revoked, table: &Table, now: i64) -> Option<&User> {
        // Of one of the very second nobody can tell but by what it says of when they proved it.
        let issued =
            i64::try_from(self.passport.issued).ok().map(|issued| issued.saturating_add(1));
        let is_out = |user: &&User| {
            let may_be =
                |namespace: &Name| table.workspaces.get(namespace) == user.workspace.as_ref();
            let out = |since| revoked.out(&user.principal, may_be, since, now);
            out(None).or_else(|| out(issued)).is_some()
        };
        self.passport.users.iter().find(is_out)
    }

    /// The header by which it goes on from `own`, if it still holds and was not in too many hands.
    pub(crate) fn onward(&self, own: &Peer, trust: &str, now: SystemTime) -> Option<HeaderValue> {
        if self.passport.ends <= seconds(now) || self.via.len() >= LINKS {
            return None;
        }
        let mut text = String::from(&*self.token);
        for link in self.via.iter().chain([own]) {
            text.push(' ');
            text.push_str(&link.uri(trust));
        }
        HeaderValue::try_from(text).ok()
    }

    /// Whether the two are about the same people.
    fn is_of_whom(&self, other: &Carried) -> bool {
        self.passport.users == other.passport.users
    }

    /// Whether it holds for longer than the other, or came by a shorter way.
    fn is_better_than(&self, other: &Carried) -> bool {
        let worth =
            |carried: &Carried| (carried.passport.ends, LINKS - carried.via.len().min(LINKS));
        worth(self) > worth(other)
    }
}

/// Those who proved who they are by the policies of `table`; whom the platform knows counts for every
/// workspace, so nobody is said twice.
pub(crate) fn users(proofs: &[Proof], table: &Table) -> Vec<User> {
    let user = |proof: &Proof| {
        let workspace = table.workspaces.get(&proof.policy.namespace).cloned();
        // Where a workspace cannot be read, nobody can tell what is the platform's.
        let is_told = workspace.is_some() || table.knows_workspaces;
        // An Api's name is one of its workspace.
        let api = proof.api.clone().filter(|_| workspace.is_some());
        is_told.then(|| User { workspace, api, principal: Arc::clone(&proof.principal) })
    };
    let mut users: Vec<User> = Vec::new();
    for user in proofs.iter().filter_map(user) {
        let is_said = |other: &User| {
            let is_wider = other.workspace == user.workspace && other.api.is_none();
            other.principal == user.principal
                && (other.workspace.is_none() || is_wider || *other == user)
        };
        if !users.iter().any(is_said) {
            users.push(user);
        }
    }
    users
}

#[cfg(test)]
mod tests;
