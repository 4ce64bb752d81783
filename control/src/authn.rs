//! Who asks: a person by the cookie of their browser, a program by a token of a user.
//!
//! ```text
//! heddle-session=COOKIE ── digest ──> session ─┐
//! Bearer hdl_TOKEN ─────── digest ──> token ───┴─> Caller ── op ──> Op (rights, narrowed)
//! ```
//!
//! Secrets are random, shown once and stored as digests; passwords are stored as argon2id hashes.
//! Whoever may not sign in any more is nobody from the next request on.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use model::access::{Actor, Directory, Rights, builtin};
use model::role::RoleRule;
use model::{Name, Scope};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::World;
use crate::app::Op;
use crate::refusal::Refusal;

pub(crate) mod attempts;
pub(crate) mod first;
pub(crate) mod password;
pub(crate) mod secret;

/// What counts as one sender: an address, or the whole /64 of IPv6 addresses that one customer has.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) >> 64 << 64).into()),
    }
}

/// Somebody who proved who they are.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The user's id.
    pub id: String,
    /// The user's name.
    pub name: Name,
    /// The login provider that they come from, if they do.
    pub from: Option<Name>,
    /// Their groups, each with the provider that vouches for it.
    pub groups: BTreeSet<(Name, String)>,
    /// How they proved it.
    pub by: Proof,
}

/// How somebody proved who they are.
#[derive(Clone)]
pub enum Proof {
    /// By the cookie of a session.
    Session {
        /// The session's id.
        id: String,
        /// What its unsafe requests must carry, which no other site can read.
        csrf: String,
        /// When it ends, in microseconds since 1970.
        expires: i64,
    },
    /// By a token.
    Token {
        /// The token's id.
        id: String,
        /// When it ends, in microseconds since 1970.
        expires: Option<i64>,
        /// What it is narrowed to.
        narrowed: Narrowed,
    },
}

impl std::fmt::Debug for Proof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            // Its id ends it, and what it carries lets others act as its user.
            Proof::Session { expires, .. } => {
                f.debug_struct("Session").field("expires", expires).finish_non_exhaustive()
            }
            Proof::Token { id, expires, narrowed } => {
                let mut shown = f.debug_struct("Token");
                shown.field("id", id).field("expires", expires).field("narrowed", narrowed);
                shown.finish()
            }
        }
    }
}

/// What a token is narrowed to; all that its user may do, where it says nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Narrowed {
    /// Where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,
    /// To the rules of which built-in role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Name>,
}

impl Narrowed {
    /// Whether it gives less than its user has.
    pub fn is_narrow(&self) -> bool {
        self.scope.is_some() || self.role.is_some()
    }

    /// The bounds of rights; a role that is not built in gives nothing.
    fn limit(&self) -> Option<(Option<Scope>, Arc<[RoleRule]>)> {
        let all = || Name::parse("admin").ok();
        let role = self.role.clone().or_else(all).filter(|_| self.is_narrow())?;
        let rules = builtin::role(&role).unwrap_or_else(|| Arc::from([]));
        Some((self.scope.clone(), rules))
    }
}

impl Caller {
    /// When this proof ends, if it does, in microseconds since 1970.
    pub fn expires(&self) -> Option<i64> {
        match &self.by {
            Proof::Session { expires, .. } => Some(*expires),
            Proof::Token { expires, .. } => *expires,
        }
    }

    /// The caller's request as the use cases take it.
    pub fn op(&self, request_id: &str, now: OffsetDateTime, message: String) -> Op {
        Op {
            actor: self.actor(),
            limit: self.limit(),
            request_id: request_id.to_owned(),
            now,
            message,
            once: None,
        }
    }

    /// The id of the session that the caller came with.
    pub fn session(&self) -> Option<&str> {
        match &self.by {
            Proof::Session { id, .. } => Some(id),
            Proof::Token { .. } => None,
        }
    }

    /// What the caller may do as things stand.
    pub fn rights(&self, world: &World) -> Rights {
        let rights = world.directory.rights(&self.actor());
        match self.limit() {
            Some((scope, rules)) => rights.limited(scope, rules),
            None => rights,
        }
    }

    /// Whether the caller came with less than all that the user may do.
    pub fn is_narrow(&self) -> bool {
        match &self.by {
            Proof::Session { .. } => false,
            Proof::Token { narrowed, .. } => narrowed.is_narrow(),
        }
    }

    /// Only who came with all that the user may do, may do what gives more later.
    pub(crate) fn whole(&self) -> Result<(), Refusal> {
        let text = "a token that is narrowed may not do this; sign in, or use one that is not";
        if self.is_narrow() { Err(Refusal::Forbidden(text.to_owned())) } else { Ok(()) }
    }

    /// When the token ends that the caller came with; sessions may make what outlasts them.
    pub(crate) fn token_expires(&self) -> Option<i64> {
        match &self.by {
            Proof::Session { .. } => None,
            Proof::Token { expires, .. } => *expires,
        }
    }

    /// Whether the caller came with this token.
    pub(crate) fn is_token(&self, id: &str) -> bool {
        match &self.by {
            Proof::Session { .. } => false,
            Proof::Token { id: own, .. } => own == id,
        }
    }

    fn actor(&self) -> Actor {
        Actor { user: self.name.clone(), groups: self.groups.clone() }
    }

    fn limit(&self) -> Option<(Option<Scope>, Arc<[RoleRule]>)> {
        match &self.by {
            Proof::Session { .. } => None,
            Proof::Token { narrowed, .. } => narrowed.limit(),
        }
    }
}

/// Whether these rights are those of a platform admin: they hold everywhere all that the built-in
/// role `admin` gives, and are narrowed by no token.
pub fn is_platform_admin(rights: &Rights) -> bool {
    let name = Name::parse("admin").expect("a word of lower-case letters is a name");
    builtin::role(&name)
        .is_some_and(|rules| rights.may_grant(&Scope::Platform, &[], &rules).is_ok())
}

/// The users whose rights, if they come with no narrowed token, are those of a platform admin.
pub(crate) fn platform_admins(directory: &Directory) -> BTreeSet<&Name> {
    let name = Name::parse("admin").expect("a word of lower-case letters is a name");
    builtin::role(&name).map(|rules| directory.everywhere(&rules)).unwrap_or_default()
}

/// What signing in needs to remember.
#[derive(Debug)]
pub(crate) struct Authn {
    pub(crate) passwords: password::Passwords,
    pub(crate) attempts: attempts::Attempts,
    pub(crate) first: first::First,
}

impl Authn {
    pub(crate) fn new() -> Self {
        Authn {
            passwords: password::Passwords::new(),
            attempts: attempts::Attempts::default(),
            first: first::First::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::SignedIn;

    #[test]
    fn no_debug_form_shows_what_lets_somebody_in() {
        const MARKER: &str = "marker-that-must-not-show";
        let by = Proof::Session { id: MARKER.to_owned(), csrf: MARKER.to_owned(), expires: 7 };
        let caller = Caller {
            id: "u".to_owned(),
            name: Name::parse("alice").unwrap(),
            from: None,
            groups: BTreeSet::new(),
            by,
        };
        let shown = format!("{:?}", SignedIn { caller, cookie: MARKER.to_owned() });
        assert!(!shown.contains(MARKER), "{shown}");
        assert!(shown.contains("alice") && shown.contains("expires: 7"), "{shown}");
    }
}
