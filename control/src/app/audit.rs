//! The audit, for platform admins.

use store::Record;
use store::audit::{Fault, Verified};

use super::{App, Op};
use crate::refusal::Refusal;

impl App {
    /// The rows before place `before`, newest first.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn audit_list(
        &self,
        op: &Op,
        before: Option<i64>,
        limit: i64,
    ) -> Result<Vec<Record>, Refusal> {
        self.admin(op, Refusal::nothing).await?;
        Ok(self.store.audit_list(before, limit).await?)
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
