//! How long it may take to reach a Service, and how long what goes to it may be silent.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::invalid::Checker;
use crate::route::GatewayDuration;

/// How long it may take to reach a Service, and how long what goes to it may be silent. How long its requests
/// may take as a whole, a rule of a route says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Timeouts {
    /// To connect to an endpoint, TLS included; 2s where nothing is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect: Option<GatewayDuration>,
    /// The longest silence of an endpoint inside an answer, and of both sides of what was upgraded
    /// (WebSocket); 5m where nothing is written, and any with `0s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream_idle: Option<GatewayDuration>,
    /// The longest silence of both sides of a connection that a TCPRoute or TLSRoute leads; 1h where nothing
    /// is written, and any with `0s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_idle: Option<GatewayDuration>,
}

/// A silence that nobody waits for the end of: ten years.
const ANY: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

impl Timeouts {
    /// The longest silence inside an answer, where one is written.
    pub fn stream_idle(&self) -> Option<Duration> {
        self.stream_idle.map(silence)
    }

    /// The longest silence of a connection, where one is written.
    pub fn connection_idle(&self) -> Option<Duration> {
        self.connection_idle.map(silence)
    }

    pub(super) fn check(&self, at: &mut Checker) {
        super::check_positive(at, "connect", self.connect);
        for (field, written) in
            [("streamIdle", self.stream_idle), ("connectionIdle", self.connection_idle)]
        {
            if written.is_some_and(|time| Duration::from(time).subsec_nanos() > 0) {
                at.fault_in(field, "is whole seconds, or '0s' for any silence");
            }
        }
    }
}

fn silence(written: GatewayDuration) -> Duration {
    let bound = Duration::from(written);
    if bound.is_zero() { ANY } else { bound }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_holds_and_0s_is_longer_than_anything() {
        let written = |text: &str| serde_json::from_str::<Timeouts>(text).unwrap();
        assert_eq!(written("{}").stream_idle(), None);
        let both = written(r#"{ "streamIdle": "90s", "connectionIdle": "0s" }"#);
        assert_eq!(both.stream_idle(), Some(Duration::from_secs(90)));
        assert!(both.connection_idle() > Some(Duration::from_secs(365 * 24 * 3600)));
    }
}
