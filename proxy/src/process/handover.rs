//! One process follows another at the same listening sockets, so that no connection is refused or reset.
//!
//! ```text
//!   the next one                          the one before
//!        │ ── speaks ────────────────────> │  of the same user; else refused
//!        │ <──── keeps ..., socket ... all │  copies; it serves on
//!        │ ── folder ────────────────────> │  joined to a server: follows it no more
//!        │ <──────────────────────── free  │
//!  reads, assembles, opens                 │  serves on
//!        │ ── lacks ..., serves ─────────> │  if it has any of those in force: no
//!        │ <─────────────────────── yours  │  closes its copies, finishes what is under way, ends
//!     accepts
//! ```
//!
//! A socket with its queue lives as long as anybody has a copy, so what waits there is taken by whoever is left.
//! Until they are its own the next one accepts nothing and listens at nothing else of those ports: it may fail
//! at any point, and the one before has lost nothing.
//! If the one before is gone without a word, its sockets are with the next one alone, which goes on, and accepts
//! as soon as it has a table.

use std::io;
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::time::timeout;

use super::files;
use before::Before;
use channel::Channel;
use heir::Door;

pub(super) use before::Given;
pub(super) use channel::Use;
pub use heir::Heir;
pub use stock::Stock;

mod before;
mod channel;
mod heir;
mod stock;

/// Any step but the next one's start is done within this time: a main loop may be busy with a large table.
const STEP: Duration = Duration::from_secs(30);
/// From its first word on, the next process serves within this time, or not at all.
const START: Duration = Duration::from_secs(60);
/// Which words are spoken; another version's are refused.
const VERSION: u32 = 1;

/// Why a process cannot follow another one.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The place is of no use.
    #[error("--handover {}", .0.display())]
    Place(PathBuf, #[source] io::Error),
    /// Something else lies there.
    #[error("--handover {}: it is there and is no socket; name another place", .0.display())]
    NoSocket(PathBuf),
    /// Nothing is taken from others.
    #[error("whoever answers at --handover is user {0}, from whom nothing is taken")]
    Stranger(u32),
    /// The one before does not give its sockets, or not any more.
    #[error("the process before serves on: {0}")]
    Refused(String),
    /// It lacks objects that are in force now.
    #[error("it lacks {0}, which is in force now")]
    Loses(String),
    /// It says what makes no sense there.
    #[error("the other process does not keep to what was agreed on")]
    Odd,
    /// It does not answer.
    #[error("the other process does not answer")]
    Silent,
    /// It is gone.
    #[error("the other process ended")]
    Gone,
    /// Nothing can be said to it, or heard of it.
    #[error("speaking with the other process")]
    Broken(#[source] io::Error),
}

/// Where a process stands between the one before and the one after.
#[derive(Debug)]
pub struct Place(pub(super) Stands);

/// [`Place`], as it changes.
#[derive(Debug)]
pub(super) enum Stands {
    /// Nobody was before, and nobody may follow.
    Alone,
    /// Nobody was before; once this one serves, others may follow.
    First(PathBuf),
    /// The one before still serves.
    After(Before),
    /// This one serves.
    Serving(Door),
    /// This one serves, and another one may have copies of all its sockets, of the door too.
    Lent(Door),
    /// Another one does.
    Followed,
}

impl Place {
    /// Looks at `path` for a process that serves, and for what it gives: its sockets stay its own until this one
    /// serves. Where nobody answers there is nothing to take. Without a path it is alone.
    ///
    /// # Errors
    /// If somebody answers and gives nothing, or the place is of no use.
    pub async fn find(path: Option<&Path>) -> Result<(Self, Option<Given>), Error> {
        let Some(path) = path else { return Ok((Place(Stands::Alone), None)) };
        // What is given may be more than may be open at first.
        files::raise();
        let first = || Ok((Place(Stands::First(path.to_owned())), None));
        let unfit = |error| Error::Place(path.to_owned(), error);
        // It is made beside the place, under a longer name.
        SocketAddr::from_pathname(heir::beside(path)).map_err(unfit)?;
        let stream = match UnixStream::connect(path).await {
            Ok(stream) => stream,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // Told now rather than when everything else is done.
                let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
                std::fs::metadata(folder.unwrap_or(Path::new("."))).map_err(unfit)?;
                return first();
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                let is_socket = std::fs::metadata(path).map_err(unfit)?.file_type().is_socket();
                return if is_socket { first() } else { Err(Error::NoSocket(path.to_owned())) };
            }
            Err(error) => return Err(unfit(error)),
        };
        let channel = Channel::new(stream).map_err(|error| error.refused(Error::Stranger))?;
        let taken = timeout(STEP, Before::take(channel, path)).await;
        match taken.map_err(|_| Error::Silent)?? {
            Some((before, given)) => Ok((Place(Stands::After(before)), Some(given))),
            None => first(),
        }
    }

    /// Has the one before let go of its state folder, if there is one before.
    ///
    /// # Errors
    /// If it does not.
    pub async fn want_folder(&mut self) -> Result<(), Error> {
        match &mut self.0 {
            Stands::After(before) => before.want_folder().await,
            Stands::Alone
            | Stands::First(_)
            | Stands::Serving(_)
            | Stands::Lent(_)
            | Stands::Followed => Ok(()),
        }
    }

    /// Says that this process serves, and what it lacks: from now on the sockets are its own, and others may
    /// follow it.
    pub(super) async fn serve(&mut self, stock: &Stock) -> Result<(), Error> {
        let stands = std::mem::replace(&mut self.0, Stands::Alone);
        self.0 = match stands {
            Stands::First(path) => Stands::Serving(Door::open(path)?),
            Stands::After(before) => Stands::Serving(before.serve(stock).await?),
            Stands::Alone | Stands::Serving(_) | Stands::Lent(_) | Stands::Followed => stands,
        };
        Ok(())
    }

    /// Ends when another process wants to follow, with none when the one before is gone, or when that says that
    /// it does not give way.
    pub(super) async fn called(&mut self) -> Result<Option<Heir>, Error> {
        match &mut self.0 {
            Stands::Serving(door) => Ok(Some(door.heir().await)),
            Stands::After(before) => before.leaving().await.map(|()| None),
            Stands::Alone | Stands::First(_) | Stands::Lent(_) | Stands::Followed => {
                std::future::pending().await
            }
        }
    }

    /// Whether the one before is gone, so that nobody serves at its sockets.
    pub(super) fn is_left(&self) -> bool {
        matches!(&self.0, Stands::After(before) if before.is_gone())
    }

    /// Another one is given copies.
    pub(super) fn lend(&mut self) {
        self.0 = match std::mem::replace(&mut self.0, Stands::Alone) {
            Stands::Serving(door) => Stands::Lent(door),
            stands @ (Stands::Alone
            | Stands::First(_)
            | Stands::After(_)
            | Stands::Lent(_)
            | Stands::Followed) => stands,
        };
    }

    /// It has none any more, after so long: this one serves on.
    pub(super) fn take_back(&mut self, after: Duration) {
        self.0 = match std::mem::replace(&mut self.0, Stands::Alone) {
            Stands::Lent(mut door) => {
                door.rest(after);
                Stands::Serving(door)
            }
            stands @ (Stands::Alone
            | Stands::First(_)
            | Stands::After(_)
            | Stands::Serving(_)
            | Stands::Followed) => stands,
        };
    }
}

#[cfg(test)]
mod tests;
