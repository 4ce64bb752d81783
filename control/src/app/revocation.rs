//! Shutting somebody out before their credentials end.

use model::access::Asked;
use model::revocation::Whom;
use model::role::Verb;
use model::{Invalid, Key, Kind, Name, Resource, Scope};
use store::revocation::Revocation;
use time::Duration;

use super::node::reads_any;
use super::sight::Sight;
use super::user::fault;
use super::{App, Op};
use crate::draft::api_of;
use crate::moment::micros;
use crate::refusal::Refusal;

/// As many may be shut out at once.
const MOST: i64 = 10_000;
/// The same of what teams may do, so that the platform can always do it.
const TEAMS: i64 = 9_000;
/// Letters of a word of whom, and of why.
const LETTERS: usize = 1_000;

/// Somebody who is to be shut out.
#[derive(Debug, Clone)]
pub struct NewRevocation {
    /// Who.
    pub whom: Whom,
    /// Whether only what they proved so far does not count any more, so that they may sign in anew.
    pub signs_out: bool,
    /// For how long; until somebody lifts it where nothing is said.
    pub lasts: Option<Duration>,
    /// Why.
    pub note: String,
}

/// Somebody who is shut out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevocationNow {
    /// Who.
    pub whom: Whom,
    /// The rest.
    pub row: Revocation,
}

impl App {
    /// Everybody who is shut out and of whom one may know: Consumers and keys where one may read what has them, users
    /// and nodes where one may read something of the platform. The oldest come first.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub async fn revocation_list(&self, op: &Op) -> Result<Vec<RevocationNow>, Refusal> {
        let sight = Sight::new(op, self.world().await?);
        let rows = self.store.revocation_list().await?;
        let now = micros(op.now);
        let holds = rows.into_iter().filter(|row| row.ends.is_none_or(|ends| now < ends));
        let read = holds.filter_map(|row| {
            let whom = serde_json::from_str(&row.whom).ok()?;
            Some(RevocationNow { whom, row })
        });
        Ok(read.filter(|one| is_seen(&sight, &one.whom)).collect())
    }

    /// Shuts somebody out, and says so: users for a platform admin, Consumers and keys for who may change what has them.
    /// Nodes are [forgotten](Self::node_forget).
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn revocation_create(
        &self,
        op: &Op,
        new: NewRevocation,
    ) -> Result<RevocationNow, Refusal> {
        let sight = Sight::new(op, self.world().await?);
        let most = self.may_revoke(op, &sight, &new.whom).await?;
        let faults = new.faults();
        if !faults.is_empty() {
            return Err(Refusal::Invalid(faults));
        }
        let row = new.row(op);
        let said = op.said("revoke", &told(&new.whom), new.note.clone());
        if !self.store.revocation_add(&row, most, &said).await? {
            let full = format!("{most} are shut out already; lift some that are needed no more");
            return Err(Refusal::Invalid(vec![fault("", full)]));
        }
        Ok(RevocationNow { whom: new.whom, row })
    }

    /// Lets somebody in again, for who may shut them out.
    ///
    /// # Errors
    /// [`Refusal::None`].
    pub async fn revocation_lift(&self, op: &Op, id: &str) -> Result<(), Refusal> {
        let none = || Refusal::None("such revocation".to_owned());
        let all = self.revocation_list(op).await?;
        let one = all.into_iter().find(|one| one.row.id == id).ok_or_else(none)?;
        let sight = Sight::new(op, self.world().await?);
        self.may_revoke(op, &sight, &one.whom).await?;
        let said = op.said("lift", &told(&one.whom), one.row.note);
        if self.store.revocation_lift(id, &said).await? { Ok(()) } else { Err(none()) }
    }

    /// How many may be shut out at most by who may shut out this one.
    async fn may_revoke(&self, op: &Op, sight: &Sight, whom: &Whom) -> Result<i64, Refusal> {
        match whom {
            Whom::User { .. } | Whom::Node { .. } => {
                self.admin(op, Refusal::nothing).await?;
                Ok(MOST)
            }
            Whom::Consumer { namespace, name } => {
                let key = Key::new(Kind::Consumer, namespace.clone(), name.clone());
                // One that is gone may have passports yet.
                let api = sight.world.objects.get(&key).and_then(|one| api_of(&one.resource));
                may_change(sight, &key, api.as_ref())?;
                Ok(TEAMS)
            }
            Whom::ApiKey { namespace, .. } => {
                let mut refused = None;
                for (key, api) in with_keys(sight, namespace) {
                    match may_change(sight, &key, api.as_ref()) {
                        Ok(()) => return Ok(TEAMS),
                        Err(refusal) => refused = refused.or(Some(refusal)),
                    }
                }
                let none = || {
                    let what = format!("AuthnPolicy with API keys in '{namespace}'");
                    Refusal::None(what)
                };
                Err(refused.unwrap_or_else(none))
            }
        }
    }
}

impl NewRevocation {
    /// As it is stored.
    pub(super) fn row(&self, op: &Op) -> Revocation {
        let at = micros(op.now);
        let ends = self.lasts.map(|lasts| {
            at.saturating_add(i64::try_from(lasts.whole_microseconds()).unwrap_or(i64::MAX))
        });
        Revocation {
            id: uuid::Uuid::now_v7().to_string(),
            whom: serde_json::to_string(&self.whom).expect("names are JSON"),
            at,
            actor: op.actor.user.to_string(),
            note: self.note.clone(),
            proved_before: self.signs_out.then_some(at),
            ends,
        }
    }

    /// All that is wrong with it.
    fn faults(&self) -> Vec<Invalid> {
        let mut faults = Vec::new();
        let is_word = |word: &str| {
            let letters = word.chars().count();
            (1..=LETTERS).contains(&letters) && !word.chars().any(char::is_control)
        };
        let mut word = |path: &str, word: &str| {
            if !is_word(word) {
                faults.push(fault(path, "it has 1 to 1000 characters, none of control"));
            }
        };
        match &self.whom {
            Whom::User { issuer, subject } => {
                word("user.issuer", issuer);
                word("user.subject", subject);
            }
            Whom::ApiKey { name, .. } => word("apiKey.name", name),
            Whom::Consumer { .. } => {}
            Whom::Node { .. } => faults.push(fault("node", "forget the node instead")),
        }
        if !self.note.is_empty() && !is_word(&self.note) {
            faults.push(fault("note", "it has at most 1000 characters, none of control"));
        }
        if self.lasts.is_some_and(|lasts| lasts <= Duration::ZERO) {
            faults.push(fault("lasts", "it lasts more than nothing"));
        }
        // Nobody says since when somebody has a key.
        if self.signs_out && !matches!(self.whom, Whom::User { .. }) {
            let why = "users alone sign in anew; give the Consumer or policy another key";
            faults.push(fault("signsOut", why));
        }
        faults
    }
}

/// In words.
fn told(whom: &Whom) -> String {
    match whom {
        Whom::User { issuer, subject } => format!("user {issuer}#{subject}"),
        Whom::Consumer { namespace, name } => format!("consumer {namespace}/{name}"),
        Whom::ApiKey { namespace, name } => format!("key {namespace}/{name}"),
        Whom::Node { id } => format!("node {id}"),
    }
}

/// Whether somebody may know that one is shut out.
fn is_seen(sight: &Sight, whom: &Whom) -> bool {
    match whom {
        Whom::User { .. } | Whom::Node { .. } => reads_any(&sight.rights, &Scope::Platform),
        Whom::Consumer { namespace, name } => {
            let key = Key::new(Kind::Consumer, namespace.clone(), name.clone());
            match sight.world.objects.get(&key) {
                Some(object) => sight.sees(&key, object),
                None => reads_kind(sight, Kind::Consumer, namespace),
            }
        }
        Whom::ApiKey { namespace, .. } => match with_keys(sight, namespace).next() {
            Some(_) => true,
            None => reads_kind(sight, Kind::AuthnPolicy, namespace),
        },
    }
}

fn reads_kind(sight: &Sight, kind: Kind, namespace: &Name) -> bool {
    sight.rights.reads(kind, &sight.world.directory.scope(namespace))
}

/// The policies of a namespace that have API keys and may be read, each with its Api.
fn with_keys<'s>(
    sight: &'s Sight,
    namespace: &'s Name,
) -> impl Iterator<Item = (Key, Option<Name>)> + 's {
    let policies = sight.world.of_kind(Kind::AuthnPolicy);
    let here = policies
        .filter(move |(key, object)| key.namespace == *namespace && sight.sees(key, object));
    here.filter_map(|(key, object)| match &object.resource {
        Resource::AuthnPolicy(policy) => {
            let has_keys = policy.spec.methods.iter().any(|method| method.api_key.is_some());
            has_keys.then(|| (key.clone(), api_of(&object.resource)))
        }
        _ => None,
    })
}

fn may_change(sight: &Sight, key: &Key, api: Option<&Name>) -> Result<(), Refusal> {
    let scope = &sight.world.directory.scope(&key.namespace);
    let asked = Asked { verb: Verb::Update, key, scope, api, changed: &[] };
    let permitted = sight.world.directory.permit(&sight.rights, &asked);
    permitted.map(drop).map_err(|denied| Refusal::Denied(vec![(key.clone(), denied)]))
}
