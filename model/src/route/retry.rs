//! Retries of a rule (Gateway API, `HTTPRouteRetry`, GEP-1731).

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::GatewayDuration;
use crate::invalid::Checker;

/// How often and when a request is sent again that failed: where the backend broke off or took too
/// long, or where its answer has one of these codes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "HTTPRouteRetry")]
pub struct Retry {
    /// The statuses of answers that are not passed on while there are retries left, 400 to 599.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub codes: Vec<u16>,
    /// How often a request may be sent again; once where none is written.
    #[serde(default = "once")]
    #[schemars(range(min = 0, max = 10))]
    pub attempts: u32,
    /// The least time before a request is sent again, twice as long each further time; 25 ms where
    /// none is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backoff: Option<GatewayDuration>,
}

fn once() -> u32 {
    1
}

impl Retry {
    /// The back-off where none is written.
    pub const BACKOFF: Duration = Duration::from_millis(25);

    /// The least time before the first retry.
    pub fn backoff(&self) -> Duration {
        self.backoff.map_or(Self::BACKOFF, Duration::from)
    }

    /// Reports what the schema cannot say.
    pub(super) fn check(&self, at: &mut Checker) {
        if self.backoff() > Duration::from_secs(60) {
            at.fault_in("backoff", "is 1m at most: the caller waits for it");
        }
        at.each("codes", &self.codes, |at, code| {
            if !(400..600).contains(code) {
                at.fault(format!("{code} is no status of a failure; write one of 400 to 599"));
            }
        });
    }
}
