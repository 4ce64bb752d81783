//! A request for access as people see it.

use model::role::Verb;
use model::{Key, Name, Scope};
use store::access_request::{self as kept, State};
use time::OffsetDateTime;

use super::want::{Proposal, Want};
use crate::app::Op;
use crate::app::sight::Sight;
use crate::moment::time;

/// A request for access, as far as who looks may see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessRequest {
    /// Its id.
    pub id: String,
    /// Who asks.
    pub user: Name,
    /// Whether that is who looks.
    pub is_own: bool,
    /// What is to be done.
    pub verb: Verb,
    /// With which object.
    pub key: Key,
    /// Where that was when it was asked for.
    pub scope: Scope,
    /// The field that is to be changed, if it is about one.
    pub field: Option<String>,
    /// Why, in the words of who asks.
    pub message: String,
    /// When.
    pub created: OffsetDateTime,
    /// What came of it.
    pub state: State,
    /// Who decided; none while it is open.
    pub decision: Option<AccessDecision>,
    /// The Grant that would give it, while it is open and who looks may make that.
    pub proposal: Option<Proposal>,
    /// Who may decide, in words; told to who asks, while it is open and they may read the object.
    pub ask: Vec<String>,
}

/// Who decided on a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessDecision {
    /// When.
    pub at: OffsetDateTime,
    /// Who.
    pub by: String,
    /// Why, in their words.
    pub answer: String,
    /// The revision that gives what was asked for, if one does.
    pub revision: Option<i64>,
}

/// A request as the caller sees it; none where they may not know of it.
pub(super) fn told(op: &Op, sight: &Sight, row: kept::AccessRequest) -> Option<AccessRequest> {
    let want = Want::of(&row)?;
    let proposal = want.proposal(&sight.world, &row.id);
    let is_own = row.user_name == op.actor.user.as_str();
    let is_open = row.state == State::Open;
    let ask = match &proposal {
        Some(proposal) if is_own && is_open && want.is_read_by(sight) => {
            proposal.givers(&sight.world)
        }
        Some(_) | None => Vec::new(),
    };
    // What has the name now may be another's than what was asked for.
    let proposal =
        proposal.filter(|proposal| proposal.is_for(sight) && sight.was(&want.key, row.created));
    if !is_own && proposal.is_none() {
        return None;
    }
    Some(AccessRequest {
        id: row.id,
        user: Name::parse(&row.user_name).ok()?,
        is_own,
        verb: want.verb,
        key: want.key,
        scope: row.scope,
        field: Some(row.field).filter(|field| !field.is_empty()),
        message: row.message,
        created: time(row.created),
        state: row.state,
        decision: row.decided.map(|decided| AccessDecision {
            at: time(decided.at),
            by: decided.by,
            answer: decided.answer,
            revision: decided.revision,
        }),
        proposal: proposal.filter(|_| is_open),
        ask,
    })
}
