//! Having gateways seal sessions by another secret, before the day is over.

use store::session_secret::Step;

use super::{App, Op};
use crate::moment::micros;
use crate::refusal::Refusal;
use crate::session_secret::{Due, Others};

impl App {
    /// Makes another secret of sessions for a platform admin, and says so; since when it seals, in microseconds
    /// since 1970.
    ///
    /// # Errors
    /// [`Refusal::Busy`] if somebody was quicker.
    pub async fn session_secret_rotate(&self, op: &Op, others: Others) -> Result<i64, Refusal> {
        self.admin(op, Refusal::nothing).await?;
        let held = self.store.session_secret_list().await?;
        let due = Due::by_hand(&held, micros(op.now), others);
        let new = due.made().map_err(failed)?;
        let step = Step { seen: &held, gone: &due.gone, new: &new };
        let detail = match others {
            Others::Open => "those of before open on",
            Others::Forgotten => "those of before are forgotten",
        };
        let said = op.said("rotate", "session-secret", detail.to_owned());
        if !self.store.session_secret_step(&step, Some(&said)).await.map_err(failed)? {
            return Err(Refusal::Busy);
        }
        Ok(due.begins.first().copied().unwrap_or_default())
    }
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> Refusal {
    Refusal::Store(Box::new(error))
}
