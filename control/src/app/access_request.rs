//! Asking for access that one lacks, and giving it in one step.
//!
//! ```text
//! edit ── 403 ── create ──> open ── who could give it sees it ── grant: one commit, one Grant
//!                                                             └─ refuse
//! ```
//!
//! Whoever may read an object and not do something with it asks; to whom it is hidden there is
//! none.
//! What is given is a Grant like any other, by a commit that is judged like any other: nobody gives
//! what they do not hold, and a token gives no more than it is narrowed to.
//! A request is seen by who made it and by who could make the Grant that it needs; for all others
//! there is no such request.
//! What lies in no workspace is the platform's: a Grant of it would hold everywhere, so it is not
//! given by a request.

use model::Name;
use model::access::allow;
use model::role::Verb;
use store::access_request::{self as kept, Asked, Filter, State};

use super::commit::Besides;
use super::resource::Page;
use super::sight::Sight;
use super::user::fault;
use super::{App, Op, Receipt};
use crate::edit::{Edit, Expect};
use crate::moment::micros;
use crate::refusal::Refusal;

mod lack;
mod shown;
mod want;

pub(crate) use lack::FIELD;
pub use lack::NewAccessRequest;
pub use shown::{AccessDecision, AccessRequest};
pub use want::Proposal;

use lack::{lacking, of_message, of_new};
use shown::told;
use want::Want;

/// Requests that one list looks at, seen or not: all that are open, and more.
const LOOKED_AT: usize = 2_000;

/// Requests that are read at once.
const AT_ONCE: i64 = 200;

/// What came of asking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requested {
    /// The request.
    pub request: AccessRequest,
    /// Whether it is new; else the same was asked for before, and is open.
    pub is_new: bool,
}

/// A stored request beside what the caller sees.
struct Found {
    row: kept::AccessRequest,
    want: Want,
    proposal: Option<Proposal>,
    sight: Sight,
}

impl App {
    /// Asks for access to an object that the caller may read.
    ///
    /// # Errors
    /// [`Refusal::Denied`] where there is no such object, or none that the caller may read;
    /// [`Refusal::Invalid`] where they may do it already, where no Grant of a workspace gives it, and
    /// where so much is asked for as may be; [`Refusal::Forbidden`] for a narrowed token.
    pub async fn access_request_create(
        &self,
        op: &Op,
        new: NewAccessRequest,
    ) -> Result<Requested, Refusal> {
        whole(op)?;
        let faults = of_new(&new);
        if !faults.is_empty() {
            return Err(Refusal::Invalid(faults));
        }
        let sight = Sight::new(op, self.world().await?);
        let scope = sight.world.directory.scope(&new.key.namespace);
        let NewAccessRequest { verb, key, field, message } = new;
        let want = Want::new(verb, key, scope, field.unwrap_or_default());
        lacking(&sight, &want)?;
        let user = self.store.user_named(op.actor.user.as_str()).await?;
        let row = want.row(op, user.ok_or(Refusal::Unauthenticated)?, message);
        let said = op.said("create", &object(&row.id), want.to_string());
        let (row, is_new) = match self.store.access_request_create(&row, &said).await? {
            Asked::New => (row, true),
            Asked::Open(row) => (*row, false),
            Asked::Enough => {
                let text = "you have as many open requests as may be; withdraw one first";
                return Err(wrong("", format!("{text} ({})", kept::OPEN_OF_USER)));
            }
            Asked::Full => {
                let text = "as many requests are open as may be; ask again when some are decided";
                return Err(wrong("", format!("{text} ({})", kept::OPEN)));
            }
            Asked::Nobody => return Err(Refusal::Unauthenticated),
        };
        let told = told(op, &sight, row).ok_or_else(none)?;
        Ok(Requested { request: told, is_new })
    }

    /// Requests in this state, or in any: the caller's own, and those that the caller may decide;
    /// newest first, behind `after`, by time and id. None that was decided more than 30 days ago.
    /// At most 2,000 are looked at, so all that are open: a page may hold fewer than `limit` and
    /// still have a next one.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub async fn access_request_list(
        &self,
        op: &Op,
        state: Option<State>,
        after: Option<(i64, String)>,
        limit: usize,
    ) -> Result<Page<AccessRequest, (i64, String)>, Refusal> {
        let sight = Sight::new(op, self.world().await?);
        let revision = sight.world.revision;
        let (mut items, mut looked) = (Vec::new(), 0);
        let mut filter = Filter { state, after };
        while items.len() < limit && looked < LOOKED_AT {
            let page = self.store.access_request_list(&filter, since(op), AT_ONCE).await?;
            let is_last = page.len() < usize::try_from(AT_ONCE).unwrap_or(usize::MAX);
            let mut rows = page.into_iter();
            for row in rows.by_ref() {
                looked += 1;
                filter.after = Some((row.created, row.id.clone()));
                items.extend(told(op, &sight, row));
                if items.len() == limit {
                    break;
                }
            }
            if is_last && rows.len() == 0 {
                return Ok(Page { items, next: None, revision });
            }
        }
        Ok(Page { items, next: filter.after, revision })
    }

    /// Gives what was asked for, by one commit that makes one Grant: of `role`, or of what is proposed;
    /// for these `apis` alone, if the caller says for which it was shown to them. The Grant is there if
    /// and only if the request is granted.
    ///
    /// # Errors
    /// [`Refusal::None`] where there is no such request, or none that the caller may know of,
    /// [`Refusal::Decided`] where somebody was quicker, [`Refusal::Invalid`] where the role does not
    /// give what was asked for, and whatever a change can be refused for.
    pub async fn access_request_grant(
        &self,
        op: &Op,
        id: &str,
        role: Option<&Name>,
        apis: Option<&[Name]>,
    ) -> Result<Receipt, Refusal> {
        // In a box, since what waits for it would carry all of a commit.
        self.once(op, Box::pin(self.give(op, id, role, apis))).await
    }

    async fn give(
        &self,
        op: &Op,
        id: &str,
        role: Option<&Name>,
        apis: Option<&[Name]>,
    ) -> Result<Receipt, Refusal> {
        let found = self.decidable(op, id).await?;
        let proposal = found.given(role)?;
        if apis.is_some_and(|apis| apis != proposal.apis) {
            let text = "what was asked for went to another Api meanwhile; look at it again";
            return Err(wrong("apis", text));
        }
        let Found { row, want, .. } = found;
        let user = Name::parse(&row.user_name).map_err(|_| none())?;
        let edit = Edit::Put { resource: proposal.resource(user), expected: Expect::Absent };
        let words = format!("{}: {want}, by {}", row.user_name, proposal.gives());
        let besides = Besides {
            reverts: None,
            settles: Some(row.id.clone()),
            audit: vec![op.said("grant", &object(&row.id), words.clone())],
        };
        let mut op = op.clone();
        if op.message.is_empty() {
            op.message = format!("grants a request of {words}");
        }
        match self.commit_besides(&op, vec![edit], &besides).await {
            Ok(done) => Ok(done),
            Err(Refusal::Store(error)) => Err(Refusal::Store(error)),
            // What refuses it may be that somebody else granted it meanwhile.
            Err(refusal) => {
                let now = self.store.access_request(id).await?.filter(|row| row.decided.is_some());
                Err(now.map_or(refusal, |row| decided(&row)))
            }
        }
    }

    /// Refuses a request that the caller could grant; `op` says why.
    ///
    /// # Errors
    /// As those of [`access_request_grant`](Self::access_request_grant).
    pub async fn access_request_refuse(&self, op: &Op, id: &str) -> Result<(), Refusal> {
        let faults: Vec<_> = of_message(&op.message).into_iter().collect();
        if !faults.is_empty() {
            return Err(Refusal::Invalid(faults));
        }
        let Found { row, want, .. } = self.decidable(op, id).await?;
        let words = format!("{}: {want}", row.user_name);
        let said = op.said("refuse", &object(&row.id), words);
        let done = self.store.access_request_refuse(&row.id, &op.message, &said).await?;
        self.done(id, done).await
    }

    /// Takes back what the caller asked for.
    ///
    /// # Errors
    /// [`Refusal::None`] where there is no such request, or none that the caller may know of,
    /// [`Refusal::Forbidden`] where it is somebody else's, or for a narrowed token,
    /// [`Refusal::Decided`] where it is decided.
    pub async fn access_request_withdraw(&self, op: &Op, id: &str) -> Result<(), Refusal> {
        let Found { row, want, proposal, .. } = self.requested(op, id).await?;
        if row.user_name != op.actor.user.as_str() {
            let text = "who asked withdraws a request; you may refuse it";
            return Err(proposal.map_or_else(none, |_| Refusal::Forbidden(text.to_owned())));
        }
        whole(op)?;
        let said = op.said("withdraw", &object(&row.id), want.to_string());
        let done = self.store.access_request_withdraw(&row.id, &said).await?;
        self.done(id, done).await
    }

    async fn done(&self, id: &str, done: bool) -> Result<(), Refusal> {
        if done {
            return Ok(());
        }
        let now = self.store.access_request(id).await?;
        Err(now.map_or_else(none, |row| decided(&row)))
    }

    /// An open request that the caller may decide.
    async fn decidable(&self, op: &Op, id: &str) -> Result<Found, Refusal> {
        let found = self.requested(op, id).await?;
        if found.proposal.is_none() {
            if found.row.user_name != op.actor.user.as_str() {
                return Err(none());
            }
            let text = "it is not for you to decide on what you ask for; you may withdraw it";
            return Err(Refusal::Forbidden(text.to_owned()));
        }
        if found.row.decided.is_some() { Err(decided(&found.row)) } else { Ok(found) }
    }

    /// A request, and the Grant that it needs, if the caller may make that.
    async fn requested(&self, op: &Op, id: &str) -> Result<Found, Refusal> {
        let row = self.store.access_request(id).await?.ok_or_else(none)?;
        if row.decided.as_ref().is_some_and(|decided| decided.at < since(op)) {
            return Err(none());
        }
        let want = Want::of(&row).ok_or_else(none)?;
        let sight = Sight::new(op, self.world().await?);
        let proposal = want.proposal(&sight.world, &row.id);
        let is_asked =
            |proposal: &Proposal| proposal.is_for(&sight) && sight.was(&want.key, row.created);
        let proposal = proposal.filter(is_asked);
        Ok(Found { row, want, proposal, sight })
    }
}

impl Found {
    /// The Grant that is to be made: of the role that the caller names, else as it is proposed.
    fn given(&self, role: Option<&Name>) -> Result<Proposal, Refusal> {
        let (want, world) = (&self.want, &self.sight.world);
        if want.verb != Verb::Create && !world.objects.contains_key(&want.key) {
            let text = format!("{} is not there any more; refuse the request", want.key);
            return Err(wrong("", text));
        }
        let mut proposal = self.proposal.clone().ok_or_else(none)?;
        let Some(role) = role else { return Ok(proposal) };
        let Some(rules) = world.directory.role(&proposal.grant.namespace, role) else {
            return Err(wrong("role", format!("there is no role '{role}' here")));
        };
        let api = want.api(world);
        if !allow(&rules, &want.asked(api.as_ref())) {
            let text = format!("the role '{role}' does not give {want}, which is asked for");
            return Err(wrong("role", text));
        }
        (proposal.role, proposal.rules) = (Some(role.clone()), rules);
        Ok(proposal)
    }
}

/// Only who came with all that the user may do asks for more.
fn whole(op: &Op) -> Result<(), Refusal> {
    let text = "a token that is narrowed may not do this; sign in, or use one that is not";
    if op.limit.is_some() { Err(Refusal::Forbidden(text.to_owned())) } else { Ok(()) }
}

/// What was decided before is not told any more.
fn since(op: &Op) -> i64 {
    micros(op.now).saturating_sub(kept::KEPT)
}

/// As the audit names it.
fn object(id: &str) -> String {
    format!("access request {id}")
}

fn decided(row: &kept::AccessRequest) -> Refusal {
    let by = row.decided.as_ref().map_or("", |decided| decided.by.as_str());
    let (id, state) = (&row.id, row.state.as_str());
    Refusal::Decided(format!("the access request {id} was {state} by {by}; nothing was done now"))
}

fn none() -> Refusal {
    Refusal::None("such access request".to_owned())
}

fn wrong(path: &str, reason: impl Into<String>) -> Refusal {
    Refusal::Invalid(vec![fault(path, reason)])
}
