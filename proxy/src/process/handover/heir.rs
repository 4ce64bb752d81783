//! The process after this one, as this one sees it; and the door at which it knocks.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::channel::{Channel, NoChannel, Use, Word};
use super::{Error, START, STEP, Stock, VERSION};

/// How long nobody is let in after a failed accept.
const PAUSE: Duration = Duration::from_millis(100);
/// How long a stranger is listened to, who shall not keep us from others.
const REFUSAL: Duration = Duration::from_millis(100);
/// How long the first word may take: who says nothing keeps the main loop from its work.
const FIRST: Duration = Duration::from_secs(1);
/// After one that came to nothing the next is let in when so much time has passed as that one took: nothing new
/// is put in force while one is in. It is this at least,
const REST: Duration = Duration::from_secs(5);
/// and this at most, since who waits at the door does so for [`STEP`].
const MOST_REST: Duration = Duration::from_secs(20);

/// So many objects are named in one message.
const NAMED: usize = 5;

/// Where processes come that want to follow. One at a time is heard, the others wait there.
#[derive(Debug)]
pub(crate) struct Door {
    listener: UnixListener,
    path: PathBuf,
    /// The device and inode of what lies at the path.
    file: Option<(u64, u64)>,
    /// Nobody is let in before.
    opens: Instant,
}

/// A process that wants to follow.
#[derive(Debug)]
pub struct Heir {
    channel: Channel,
}

impl Door {
    /// Opens it, in the place of what an ended process left there.
    pub(super) fn open(path: PathBuf) -> Result<Self, Error> {
        let beside = beside(&path);
        if let Ok(found) = fs::symlink_metadata(&beside) {
            if !found.file_type().is_socket() {
                return Err(Error::NoSocket(beside));
            }
            // One that a crash left is in the way. If it cannot be removed, nothing can be opened there.
            let _ = fs::remove_file(&beside);
        }
        let opened = || {
            let listener = net::UnixListener::bind(&beside)?;
            // Before anybody can find it.
            fs::set_permissions(&beside, Permissions::from_mode(0o600))?;
            fs::rename(&beside, &path)?;
            Ok(listener)
        };
        match opened() {
            Ok(listener) => Self::of(listener, path),
            Err(error) => Err(Error::Place(path, error)),
        }
    }

    /// One that is open already.
    pub(super) fn of(listener: net::UnixListener, path: PathBuf) -> Result<Self, Error> {
        let listener =
            listener.set_nonblocking(true).and_then(|()| UnixListener::from_std(listener));
        match listener {
            Ok(listener) => {
                Ok(Door { listener, file: lies_at(&path), path, opens: Instant::now() })
            }
            Err(error) => Err(Error::Place(path, error)),
        }
    }

    /// The next process that may follow.
    pub(super) async fn heir(&self) -> Heir {
        sleep_until(self.opens).await;
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => match self.let_in(stream).await {
                    Some(heir) => return heir,
                    None => continue,
                },
                Err(error) => {
                    tracing::warn!(%error, "nobody can follow at --handover for now");
                    sleep(PAUSE).await;
                }
            }
        }
    }

    /// Lets nobody in for a while, since one was in for so long and came to nothing.
    pub(super) fn rest(&mut self, was_in: Duration) {
        self.opens = Instant::now() + was_in.clamp(REST, MOST_REST);
    }

    async fn let_in(&self, stream: UnixStream) -> Option<Heir> {
        match Channel::new(stream) {
            Ok(channel) => Some(Heir { channel }),
            Err(NoChannel::Stranger(stranger)) => {
                tracing::warn!(user = stranger.user, "refused the sockets to another user");
                // It may not listen.
                let _ = timeout(REFUSAL, stranger.refuse()).await;
                None
            }
            Err(NoChannel::Unknown(error)) => {
                tracing::warn!(%error, "refused the sockets to who cannot be told");
                None
            }
        }
    }

    pub(crate) fn socket(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }

    /// Closes it for good.
    pub(crate) fn close(self) {
        if self.file.is_none() || self.file != lies_at(&self.path) {
            tracing::warn!(path = %self.path.display(), "something else lies there; it is left");
            return;
        }
        // It is gone first, so that nobody finds one who does not answer.
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "cannot be removed");
        }
    }
}

/// Where a door is made, before it takes the place of another.
pub(super) fn beside(path: &Path) -> PathBuf {
    path.with_added_extension("new")
}

fn lies_at(path: &Path) -> Option<(u64, u64)> {
    let file = fs::symlink_metadata(path).ok()?;
    Some((file.dev(), file.ino()))
}

impl Heir {
    /// Gives it copies of the sockets and waits until it serves, which it may not where it lacks an object that
    /// this one has in force; `let_go` ends what uses the state folder, all but what quotas count: that `yields`
    /// right before the other one takes connections.
    /// Once this is done the sockets are its own; if it fails they are ours as before.
    pub(crate) async fn follow(
        mut self,
        sockets: &[(Use, BorrowedFd<'_>)],
        stock: &Stock,
        let_go: impl FnMut(),
        yields: impl FnOnce(),
    ) -> Result<(), Error> {
        let done = match timeout(START, self.converse(sockets, stock, let_go, yields)).await {
            Ok(done) => done,
            Err(_) => Err(Error::Silent),
        };
        let why = match &done {
            Err(Error::Silent) => format!("it waited for {} s", START.as_secs()),
            Err(Error::Odd) => "it was asked in words that it does not know".to_owned(),
            Err(Error::Loses(objects)) => format!(
                "this one lacks what is in force there: {objects}; mend what is wrong with it, or remove it"
            ),
            Ok(()) | Err(_) => return done,
        };
        // It may be gone.
        let _ = timeout(STEP, self.channel.say(&Word::No(why))).await;
        done
    }

    async fn converse(
        &mut self,
        sockets: &[(Use, BorrowedFd<'_>)],
        stock: &Stock,
        mut let_go: impl FnMut(),
        yields: impl FnOnce(),
    ) -> Result<(), Error> {
        let first = timeout(FIRST, self.channel.hear()).await.map_err(|_| Error::Silent)?;
        if first? != Word::Speaks(VERSION) {
            return Err(Error::Odd);
        }
        for object in &stock.kept {
            self.channel.say(&Word::Keeps(object.clone())).await?;
        }
        for (of, socket) in sockets {
            self.channel.give(*of, *socket).await?;
        }
        self.channel.say(&Word::All).await?;
        let mut lost = BTreeSet::new();
        loop {
            match self.channel.hear().await? {
                Word::Folder => {
                    let_go();
                    self.channel.say(&Word::Free).await?;
                }
                Word::Lacks(object) => {
                    lost.extend(stock.served.contains(&object).then_some(object));
                }
                Word::Serves if lost.is_empty() => {
                    yields();
                    return self.channel.say(&Word::Yours).await;
                }
                Word::Serves => return Err(Error::Loses(named(&lost))),
                Word::Speaks(_)
                | Word::Keeps(_)
                | Word::Socket(_)
                | Word::All
                | Word::Free
                | Word::Yours
                | Word::No(_) => return Err(Error::Odd),
            }
        }
    }
}

/// The first few, and how many there are beside.
fn named(objects: &BTreeSet<String>) -> String {
    let first: Vec<_> = objects.iter().take(NAMED).map(String::as_str).collect();
    let first = first.join(", ");
    match objects.len().saturating_sub(NAMED) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}
