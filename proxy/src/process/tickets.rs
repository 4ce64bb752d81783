//! The file of the secrets by which several processes share TLS sessions.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::small;
use crate::tls::tickets::{self, Keyring, Told};

/// The most bytes of the file.
const MOST: u64 = 64 << 10;

/// Why there are no keys for tickets.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("--ticket-keys {0}")]
    Unread(String, #[source] io::Error),
    /// What it holds are none.
    #[error("--ticket-keys {0}: {1}")]
    Unusable(String, tickets::Error),
    /// No randomness is to be had.
    #[error(transparent)]
    Unmade(tickets::Error),
}

/// What seals tickets, and from where that comes.
#[derive(Debug)]
pub(super) struct Tickets {
    keyring: Arc<Keyring>,
    path: Option<PathBuf>,
    /// What the file held, or why that was of no use, when it was last looked at.
    last: Result<String, String>,
}

impl Tickets {
    /// By the file, if there is one; else by what is told, if a server is followed.
    pub(super) fn begin(path: Option<PathBuf>, told: Option<Arc<Told>>) -> Result<Self, Error> {
        // What a file says wins over what a server does.
        let keyring = match told.filter(|_| path.is_none()) {
            Some(told) => Keyring::following(told),
            None => Keyring::new(),
        };
        let keyring = Arc::new(keyring.map_err(Error::Unmade)?);
        // Nothing was looked at yet, and a file that holds nothing is of no use.
        let mut tickets = Tickets { keyring, path, last: Err(String::new()) };
        tickets.read()?;
        Ok(tickets)
    }

    pub(super) fn keyring(&self) -> Arc<Keyring> {
        Arc::clone(&self.keyring)
    }

    /// Looks at the file again. While it is of no use, what it held before stays in force.
    pub(super) fn look(&mut self) {
        let Err(error) = self.read() else { return };
        let why = match &error {
            Error::Unread(_, cause) => format!("{error}: {cause}"),
            Error::Unusable(..) | Error::Unmade(_) => error.to_string(),
        };
        if self.last.as_ref() != Err(&why) {
            tracing::error!("{why}; the keys of before seal on");
            self.last = Err(why);
        }
    }

    fn read(&mut self) -> Result<(), Error> {
        let Some(path) = &self.path else { return Ok(()) };
        let shown = || path.display().to_string();
        let text = small::text(path, MOST).map_err(|error| Error::Unread(shown(), error))?;
        if self.last.as_ref() != Ok(&text) {
            self.keyring.share(&text).map_err(|error| Error::Unusable(shown(), error))?;
            tracing::info!(path = %path.display(), "keys for TLS sessions taken");
            self.last = Ok(text);
        }
        Ok(())
    }
}
