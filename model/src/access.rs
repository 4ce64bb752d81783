//! Who may do what: people's rights on objects, decided from Teams, Roles, Grants and Apis.
//!
//! ```text
//! Directory (of all objects) --rights of an actor--> Rights --asked--> Permit | Denied
//! ```
//!
//! Looking up is authorising: whoever may not read an object is told that there is none.
//! Rights come from Grants, each in the workspace of its namespace, those of the platform
//! everywhere; and from ownership: the team that owns an Api may edit what belongs to it.
//! Nothing denies: what no grant allows is not allowed.
//! Nobody can grant what they do not hold ([`Rights::may_grant`]).

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use crate::field::FieldPath;
use crate::role::{RoleRule, Verb};
use crate::{Key, Kind, Name, Scope};

pub mod builtin;
mod directory;

pub use directory::Directory;

/// Who acts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// The user's name.
    pub user: Name,
    /// The user's groups, each with the provider that vouches for it.
    pub groups: BTreeSet<(Name, String)>,
}

/// What an actor may do; made by [`Directory::rights`].
#[derive(Debug, Clone, Default)]
pub struct Rights {
    held: Vec<Held>,
    /// What a token is narrowed to, if the actor came with one.
    limit: Option<Held>,
}

/// One thing that gives rights.
#[derive(Debug, Clone)]
struct Held {
    /// The Grant, or the Api that is owned; none for what a token is narrowed to.
    by: Option<Key>,
    /// Where; everywhere if there is none.
    scope: Option<Scope>,
    /// Only on objects of these Apis.
    apis: Option<BTreeSet<Name>>,
    rules: Arc<[RoleRule]>,
}

/// What somebody wants to do with an object.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// What.
    pub verb: Verb,
    /// With which object.
    pub key: &'a Key,
    /// Where it is.
    pub scope: &'a Scope,
    /// The Api that it belongs to, or is.
    pub api: Option<&'a Name>,
    /// The places that an update changes, as [`crate::field::changed`] names them.
    pub changed: &'a [String],
}

/// Proof that an actor may do one thing with one object: only [`Rights::permit`] makes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permit {
    verb: Verb,
    key: Key,
}

impl Permit {
    /// What may be done.
    pub fn verb(&self) -> Verb {
        self.verb
    }

    /// With which object.
    pub fn key(&self) -> &Key {
        &self.key
    }
}

/// Why something may not be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denied {
    /// The actor may not even read it: to them it is not there.
    Hidden,
    /// They may read it, and not do this.
    Forbidden {
        /// What they may not do.
        verb: Verb,
        /// The places that they may not change; none where the verb itself is not allowed.
        fields: Vec<String>,
    },
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Denied::Hidden => f.write_str("there is none"),
            Denied::Forbidden { verb: Verb::Use, .. } => f.write_str(
                "no grant of yours allows Use: to send to it, to select it, to take keys from it or to \
                 come before it",
            ),
            Denied::Forbidden { verb, fields } if fields.is_empty() => {
                write!(f, "no grant of yours allows {verb}")
            }
            Denied::Forbidden { verb, fields } => {
                write!(f, "no grant of yours allows {verb} of {}", fields.join(", "))
            }
        }
    }
}

impl std::error::Error for Denied {}

impl Rights {
    /// The same, narrowed to what `rules` allow in `scope` (everywhere if there is none): the rights
    /// of a token that was made for less than all that its user may do.
    #[must_use]
    pub fn limited(self, scope: Option<Scope>, rules: Arc<[RoleRule]>) -> Self {
        Rights { limit: Some(Held { by: None, scope, apis: None, rules }), ..self }
    }

    /// Whether they are none: whoever has them may not even read anything.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Proof that this may be done, or why not.
    ///
    /// # Errors
    /// [`Denied::Hidden`] where the object may not be read, [`Denied::Forbidden`] else.
    pub fn permit(&self, asked: &Asked<'_>) -> Result<Permit, Denied> {
        let reads = Asked { verb: Verb::Read, changed: &[], ..*asked };
        if self.refused(&reads).is_some() {
            return Err(Denied::Hidden);
        }
        match self.refused(asked) {
            Some(fields) => Err(Denied::Forbidden { verb: asked.verb, fields }),
            None => Ok(Permit { verb: asked.verb, key: asked.key.clone() }),
        }
    }

    /// The Grants, and the Apis that are owned, each of which allows this by itself as far as it
    /// goes; whether it may be done, [`permit`](Self::permit) says.
    pub fn by(&self, asked: &Asked<'_>) -> Vec<&Key> {
        let allows = |held: &&Held| refused(std::iter::once(*held), asked).is_none();
        self.held.iter().filter(allows).filter_map(|held| held.by.as_ref()).collect()
    }

    /// Whether this may be done with some object of this kind somewhere.
    pub fn does(&self, verb: Verb, kind: Kind) -> bool {
        let allows = |held: &Held| held.rules.iter().any(|rule| rule.allows(verb, kind));
        self.held.iter().any(allows) && self.limit.iter().all(allows)
    }

    /// Whether an object of this kind may be read somewhere in `scope`.
    pub fn reads(&self, kind: Kind, scope: &Scope) -> bool {
        let allows = |held: &Held| {
            held.is_in(scope) && held.rules.iter().any(|rule| rule.allows(Verb::Read, kind))
        };
        self.held.iter().any(allows) && self.limit.iter().all(allows)
    }

    /// Whether this may be done with each object of this kind in `scope`, whatever Api it belongs to,
    /// and with each field.
    pub fn is_all(&self, verb: Verb, kind: Kind, scope: &Scope) -> bool {
        let allows = |held: &Held| {
            let mut rules = held.rules.iter();
            held.apis.is_none()
                && held.is_in(scope)
                && rules.any(|rule| rule.allows(verb, kind) && rule.fields_hold(verb, None))
        };
        self.held.iter().any(allows) && self.limit.iter().all(allows)
    }

    /// Whether an actor of these rights may grant `rules` on `apis` (all if there are none) in
    /// `scope`: only what they hold there themselves. Names what they lack.
    ///
    /// # Errors
    /// The first verb and kind, or field, that they do not hold.
    pub fn may_grant(
        &self,
        scope: &Scope,
        apis: &[Name],
        rules: &[RoleRule],
    ) -> Result<(), String> {
        for rule in rules {
            for kind in rule.kinds() {
                for verb in &rule.verbs {
                    self.holds(scope, apis, kind, *verb, &rule.fields)?;
                }
            }
        }
        Ok(())
    }

    /// Whether an actor of these rights may make the Grant `key` of `rules` on `apis` (all if there
    /// are none) in `scope`: create it, as one that belongs to the Api if it is of one alone, and hold
    /// there what it gives.
    pub fn gives(&self, key: &Key, scope: &Scope, apis: &[Name], rules: &[RoleRule]) -> bool {
        let api = apis.first().filter(|_| apis.len() == 1);
        let asked = Asked { verb: Verb::Create, key, scope, api, changed: &[] };
        self.permit(&asked).is_ok() && self.may_grant(scope, apis, rules).is_ok()
    }

    fn holds(
        &self,
        scope: &Scope,
        apis: &[Name],
        kind: Kind,
        verb: Verb,
        fields: &[FieldPath],
    ) -> Result<(), String> {
        // What is the platform's to give holds everywhere: so must what gives it.
        let reaches = |held: &Held| match scope {
            Scope::Platform => held.scope.is_none(),
            Scope::Workspace(_) => held.is_in(scope),
        };
        let wide = |held: &&Held| reaches(held) && held.is_on_all(apis);
        let of = |held: &Held, field: Option<&FieldPath>| {
            let mut rules = held.rules.iter().filter(|rule| rule.allows(verb, kind));
            rules.any(|rule| rule.fields_hold(verb, field))
        };
        let has = |field: Option<&FieldPath>| {
            self.held.iter().filter(wide).any(|held| of(held, field))
                && self.limit.iter().all(|limit| wide(&limit) && of(limit, field))
        };
        if verb != Verb::Update || fields.is_empty() {
            return if has(None) { Ok(()) } else { Err(format!("{verb} on {kind}")) };
        }
        match fields.iter().find(|field| !has(Some(field))) {
            Some(field) => Err(format!("{verb} of {field} on {kind}")),
            None => Ok(()),
        }
    }

    /// `None` if all is allowed; else the places that are not, none where the verb is not.
    fn refused(&self, asked: &Asked<'_>) -> Option<Vec<String>> {
        let held = refused(self.held.iter(), asked);
        held.or_else(|| refused(self.limit.iter(), asked).filter(|_| self.limit.is_some()))
    }
}

/// Whether `rules` allow this by themselves, given where it is asked for.
pub fn allow(rules: &Arc<[RoleRule]>, asked: &Asked<'_>) -> bool {
    let held = Held { by: None, scope: None, apis: None, rules: Arc::clone(rules) };
    refused(std::iter::once(&held), asked).is_none()
}

fn refused<'h>(held: impl Iterator<Item = &'h Held>, asked: &Asked<'_>) -> Option<Vec<String>> {
    let held = held.filter(|held| held.is_in(asked.scope) && held.is_on(asked.api));
    let rules: Vec<_> = held.flat_map(|held| held.rules.iter()).collect();
    let allows = |verb| rules.iter().any(|rule| rule.allows(verb, asked.key.kind));
    if asked.verb != Verb::Update {
        return (!allows(asked.verb)).then(Vec::new);
    }
    let may_change = |place: &str| {
        // Who owns a thing is not one of its settings.
        if asked.key.kind == Kind::Api && place == "spec.owner" {
            return allows(Verb::Transfer);
        }
        let mut rules = rules.iter().filter(|rule| rule.allows(Verb::Update, asked.key.kind));
        rules.any(|rule| rule.fields.is_empty() || rule.fields.iter().any(|f| f.covers(place)))
    };
    if asked.changed.is_empty() {
        return (!allows(Verb::Update)).then(Vec::new);
    }
    let refused: Vec<_> =
        asked.changed.iter().filter(|place| !may_change(place)).cloned().collect();
    (!refused.is_empty()).then_some(refused)
}

impl Held {
    fn is_in(&self, scope: &Scope) -> bool {
        self.scope.as_ref().is_none_or(|own| own == scope)
    }

    fn is_on(&self, api: Option<&Name>) -> bool {
        self.apis.as_ref().is_none_or(|apis| api.is_some_and(|api| apis.contains(api)))
    }

    /// Whether it is on all of `apis`, or on everything where there are none.
    fn is_on_all(&self, apis: &[Name]) -> bool {
        let own = self.apis.as_ref();
        own.is_none_or(|own| !apis.is_empty() && apis.iter().all(|api| own.contains(api)))
    }
}

impl RoleRule {
    /// Its kinds, all where none is written.
    pub fn kinds(&self) -> impl Iterator<Item = Kind> {
        let all = self.kinds.is_empty().then_some(Kind::ALL).into_iter().flatten();
        self.kinds.iter().copied().chain(all)
    }

    fn allows(&self, verb: Verb, kind: Kind) -> bool {
        let says = |verb| self.verbs.contains(&verb);
        let is_said =
            says(verb) || (verb == Verb::Use && says(Verb::Update) && self.fields.is_empty());
        is_said && (self.kinds.is_empty() || self.kinds.contains(&kind))
    }

    /// Whether `Update` of `field` (of every field if there is none) is within it.
    fn fields_hold(&self, verb: Verb, field: Option<&FieldPath>) -> bool {
        let within = |field: &FieldPath| self.fields.iter().any(|own| own.holds(field));
        verb != Verb::Update || self.fields.is_empty() || field.is_some_and(within)
    }
}

#[cfg(test)]
mod tests;
