//! `spec.bounds` of a TrafficPolicy: what is not sent, so that a Service is not overwhelmed.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::invalid::Checker;
use crate::route::GatewayDuration;

/// What is not sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Bounds {
    /// The most requests under way at once from one proxy to each port of the Service; others are answered
    /// 503 `overloaded`. Any number where none is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub requests: Option<u32>,
    /// The most connections open at once from one proxy to each port of the Service: those that lie idle,
    /// those that requests share, and those that are carried as bytes alike. Any number where none is
    /// written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub connections: Option<u32>,
    /// The most requests that wait at once for one of `connections`; others are answered 503 `overloaded`.
    /// 1024 where none is written, 0 for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub pending: Option<u32>,
    /// How long one waits until it is answered 503 `overloaded`; `1s` where none is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending_timeout: Option<GatewayDuration>,
}

impl Bounds {
    /// How many requests may wait for a connection at once.
    pub fn pending(&self) -> u32 {
        self.pending.unwrap_or(1024)
    }

    /// How long one waits.
    pub fn pending_timeout(&self) -> Duration {
        self.pending_timeout.map_or(Duration::from_secs(1), Duration::from)
    }

    pub(super) fn check(&self, at: &mut Checker) {
        for (field, is_written) in [
            ("pending", self.pending.is_some()),
            ("pendingTimeout", self.pending_timeout.is_some()),
        ] {
            if is_written && self.connections.is_none() {
                at.fault_in(field, "is of use only beside 'connections', for which requests wait");
            }
        }
        if self.pending_timeout.is_some_and(|time| Duration::from(time).is_zero()) {
            at.fault_in("pendingTimeout", "is 1ms at least; write 'pending: 0' if none is to wait");
        }
    }
}
