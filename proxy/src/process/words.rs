//! What the command lines of all these processes take alike.

use std::convert::Infallible;
use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use tracing_subscriber::EnvFilter;

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

/// Where access log lines go: a file, `-` for standard error, or `off`.
pub fn sink(text: &str) -> Sink {
    match text {
        "off" => Sink::Off,
        "-" => Sink::Stderr,
        file => Sink::File(file.into()),
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
