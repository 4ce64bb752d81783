//! The audit, for platform admins.

use store::Record;
use store::audit::{Fault, Verified};

use super::{App, Op};
use crate::refusal::Refusal;

/// Rows that one list looks at, wanted or not.
const LOOKED_AT: i64 = 10_000;

/// Which rows of the audit a list shows: all that is given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditListing {
    /// That have this in who, what, to what or the words beside it, whatever the case of letters
    /// from A to Z; all where empty.
    pub text: String,
    /// That tell of what was not done.
    pub undone: bool,
    /// Those before this place.
    pub before: Option<i64>,
    /// At most so many.
    pub limit: i64,
}

impl App {
    /// The rows that are asked for, newest first, and the place before which there are more. At most
    /// 10,000 are looked at: there may be fewer than `limit`, or none, and still more before them.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn audit_list(
        &self,
        op: &Op,
        listing: &AuditListing,
    ) -> Result<(Vec<Record>, Option<i64>), Refusal> {
        self.admin(op, Refusal::nothing).await?;
        let AuditListing { text, undone, before, limit } = listing;
        let last = self.store.audit_list(None, 1).await?.first().map_or(0, |last| last.seq);
        let end = before.map_or(last + 1, |before| before.min(last + 1));
        let first = end.saturating_sub(LOOKED_AT).max(1);
        let rows = self.store.audit_search(first..end, text, *undone, *limit).await?;
        let is_full = i64::try_from(rows.len()).is_ok_and(|rows| rows >= *limit);
        let next = rows.last().filter(|_| is_full).map_or(first, |last| last.seq);
        Ok((rows, Some(next).filter(|next| *next > 1)))
    }

    /// Walks the whole chain; what it found wrong is its value.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn audit_verify(&self, op: &Op) -> Result<Result<Verified, Fault>, Refusal> {
        self.admin(op, Refusal::nothing).await?;
        Ok(self.store.audit_verify().await?)
    }
}
