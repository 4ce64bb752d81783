//! What the command lines of all these processes take alike.

use std::convert::Infallible;
use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use tracing_subscriber::EnvFilter;

use crate::counts::{Redis, RedisError};
use crate::telemetry::Sink;

/// A word that no message shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Hidden(pub String);

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

/// Takes any word: were it refused here, the command line's own words would show it.
impl FromStr for Hidden {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Hidden(text.to_owned()))
    }
}

/// Where an admin port is: an address, or `off` for nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Admin(pub Option<SocketAddr>);

impl FromStr for Admin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Admin(None));
        }
        let address = text.parse().map(|address| Admin(Some(address)));
        address.map_err(|_| "an address such as 127.0.0.1:9901, or off".to_owned())
    }
}

/// A share, from 0 to 1.
///
/// # Errors
/// What would be right.
pub fn ratio(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "a number from 0 to 1".to_owned())
}

/// A length of time: `30s`, `500ms`, or whole seconds, no more than can be written in hours. No clock goes on for
/// much longer.
///
/// # Errors
/// What would be right.
pub fn time(text: &str) -> Result<Duration, String> {
    const MOST: u64 = 99_999 * 3600;
    if let Ok(whole) = text.parse() {
        let whole = Some(whole).filter(|whole| *whole <= MOST);
        return whole.map(Duration::from_secs).ok_or_else(|| format!("{MOST} seconds at most"));
    }
    model::route::GatewayDuration::try_from(text.to_owned()).map(Duration::from)
}

/// The name of a zone, as a label of a node has it; an empty one stands for none.
///
/// # Errors
/// What would be right.
pub fn zone(text: &str) -> Result<String, String> {
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let is_end = |byte: Option<&u8>| byte.is_none_or(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    let is_name = bytes.len() <= 63
        && bytes.iter().copied().all(is_inner)
        && is_end(bytes.first())
        && is_end(bytes.last());
    match is_name {
        true => Ok(text.to_owned()),
        false => Err("63 letters, digits, '-', '_' and '.' at most, such as eu-west-1a".to_owned()),
    }
}

/// Where access log lines go: a file, `-` for standard error, or `off`.
pub fn sink(text: &str) -> Sink {
    match text {
        "off" => Sink::Off,
        "-" => Sink::Stderr,
        file => Sink::File(file.into()),
    }
}

/// The file of a state folder in which counts of quotas outlive the process.
pub const QUOTAS: &str = "quotas";

/// How long a request may wait for a Redis: 1 ms to 10 s.
///
/// # Errors
/// What would be right.
pub fn redis_timeout(text: &str) -> Result<Duration, String> {
    let bounds = Duration::from_millis(1)..=Duration::from_secs(10);
    let told = time(text)?;
    Some(told).filter(|told| bounds.contains(told)).ok_or_else(|| "from 1ms to 10s".to_owned())
}

/// The Redis by which limits are counted together with other proxies: the one that was given, or that HEDDLE_REDIS
/// holds, if either does.
///
/// # Errors
/// Where it is none, or only `authorities` is told.
pub fn redis(
    given: Option<&Hidden>,
    authorities: Option<&Path>,
    deadline: Duration,
) -> Result<Option<Redis>, RedisError> {
    let environment = || std::env::var("HEDDLE_REDIS").ok().filter(|text| !text.is_empty());
    match given.cloned().or_else(|| environment().map(Hidden)) {
        Some(given) => Ok(Some(Redis::given(&given, authorities)?.within(deadline))),
        None if authorities.is_some() => Err(RedisError::NoTls),
        None => Ok(None),
    }
}

/// Our own log: to standard error, `RUST_LOG` for more.
pub fn log() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let ansi = std::io::IsTerminal::is_terminal(&std::io::stderr());
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(ansi)
        .with_env_filter(filter)
        .init();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_is_named_as_a_label_of_a_node_has_it() {
        for name in ["", "a", "eu-west-1a", "westeurope-2", "rack_7.b", &"a".repeat(63)] {
            assert_eq!(zone(name).as_deref(), Ok(name));
        }
        for odd in ["-a", "a.", "a b", "é", "a,b", &"a".repeat(64)] {
            assert!(zone(odd).is_err(), "{odd}");
        }
    }
}
