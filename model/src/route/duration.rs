//! Durations as the Gateway API writes them (GEP-2257): `1h30m`, `10s`, `500ms`.

use std::borrow::Cow;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// 99999h59m59s999ms in milliseconds: above it the sum could not be written in four parts.
const LONGEST: u64 = 100_000 * 3_600_000 - 1;

/// A length of time of at most four parts, each at most five digits with `h`, `m`, `s` or `ms`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct GatewayDuration(Duration);

impl From<GatewayDuration> for Duration {
    fn from(duration: GatewayDuration) -> Duration {
        duration.0
    }
}

impl From<Duration> for GatewayDuration {
    /// Parts below a millisecond, and what is above the longest that can be written, are cut off.
    fn from(duration: Duration) -> Self {
        let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        GatewayDuration(Duration::from_millis(millis.min(LONGEST)))
    }
}

impl TryFrom<String> for GatewayDuration {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        parse(&text).map(GatewayDuration).ok_or_else(|| {
            format!("'{text}' is no duration; write it like 1h30m, 10s or 500ms (GEP-2257)")
        })
    }
}

/// One to four parts `digits unit`.
fn parse(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut millis = 0u64;
    let mut parts = 0;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: u64 =
            rest.get(..digits).filter(|d| (1..=5).contains(&d.len()))?.parse().ok()?;
        rest = &rest[digits..];
        let (unit, after) = [("ms", 1), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)]
            .into_iter()
            .find_map(|(word, unit)| rest.strip_prefix(word).map(|after| (unit, after)))?;
        millis += number * unit;
        rest = after;
        parts += 1;
    }
    ((1..=4).contains(&parts) && millis <= LONGEST).then(|| Duration::from_millis(millis))
}

impl From<GatewayDuration> for String {
    fn from(duration: GatewayDuration) -> String {
        let mut rest = duration.0.as_millis();
        let mut text = String::new();
        for (unit, size) in [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)] {
            if rest >= size {
                text.push_str(&format!("{}{unit}", rest / size));
                rest %= size;
            }
        }
        if text.is_empty() { "0s".to_owned() } else { text }
    }
}

impl JsonSchema for GatewayDuration {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "a length of time such as 1h30m, 10s or 500ms (GEP-2257)",
            "type": "string",
            "format": "gateway-duration",
            "maxLength": 32,
            "pattern": r"^([0-9]{1,5}(h|m|s|ms)){1,4}$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_follow_gep_2257() {
        for (text, millis) in [("0s", 0), ("10s", 10_000), ("1h30m", 5_400_000), ("500ms", 500)] {
            let parsed = GatewayDuration::try_from(text.to_owned()).unwrap();
            assert_eq!(Duration::from(parsed), Duration::from_millis(millis));
        }
        for bad in ["", "10", "-1s", "1.5s", "100000s", "1d", "1s1s1s1s1s", "s", "99999h1h"] {
            assert!(GatewayDuration::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_written_is_read_again_as_the_same() {
        for text in ["0s", "1ms", "1h30m", "99999h59m59s999ms", "100h", "99999s99999ms"] {
            let duration = GatewayDuration::try_from(text.to_owned()).unwrap();
            let written = String::from(duration);
            assert_eq!(GatewayDuration::try_from(written), Ok(duration), "{text}");
        }
    }
}
