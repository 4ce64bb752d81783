//! The process before this one, as this one sees it.

use std::collections::BTreeSet;
use std::net::{TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use socket2::{SockRef, Type};
use tokio::time::timeout;

use super::channel::{Channel, Use, Word};
use super::heir::Door;
use super::{Error, STEP, Stock, VERSION};
use crate::bind::Inlet;

/// The process that serves until this one does.
#[derive(Debug)]
pub(crate) struct Before {
    channel: Channel,
    /// The objects that it has in force in an older form than the one that it last read.
    keeps: BTreeSet<String>,
    door: UnixListener,
    path: PathBuf,
    is_gone: bool,
}

/// What it gave.
#[derive(Debug)]
pub struct Given {
    pub(crate) traffic: Vec<Inlet>,
    pub(crate) admin: Vec<TcpListener>,
}

impl Before {
    /// Takes copies of all its sockets; none if it ended before it had given them all.
    pub(super) async fn take(
        channel: Channel,
        path: &Path,
    ) -> Result<Option<(Self, Given)>, Error> {
        match Self::take_all(channel, path).await {
            Ok(taken) => Ok(Some(taken)),
            Err(Error::Gone) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn take_all(mut channel: Channel, path: &Path) -> Result<(Self, Given), Error> {
        let (mut given, mut door) = (Given { traffic: Vec::new(), admin: Vec::new() }, None);
        let mut keeps = BTreeSet::new();
        let mut heard = match channel.say(&Word::Speaks(VERSION)).await {
            Ok(()) => channel.hear().await,
            // Its last word may be there to be read.
            Err(Error::Gone) => channel.hear().await,
            Err(error) => return Err(error),
        };
        loop {
            match heard? {
                Word::Keeps(object) => drop(keeps.insert(object)),
                Word::Socket(Use::Traffic) => {
                    given.traffic.push(Inlet::Tcp(listening(channel.socket()?)?));
                }
                Word::Socket(Use::Datagrams) => {
                    given.traffic.push(Inlet::Udp(of_datagrams(channel.socket()?)?));
                }
                Word::Socket(Use::Admin) => given.admin.push(listening(channel.socket()?)?),
                Word::Socket(Use::Door) => door = Some(UnixListener::from(channel.socket()?)),
                Word::All => break,
                Word::No(why) => return Err(Error::Refused(why)),
                Word::Speaks(_)
                | Word::Folder
                | Word::Free
                | Word::Lacks(_)
                | Word::Serves
                | Word::Yours => return Err(Error::Odd),
            }
            heard = channel.hear().await;
        }
        let (door, path, is_gone) = (door.ok_or(Error::Odd)?, path.to_owned(), false);
        tracing::info!(sockets = given.traffic.len(), "following the process that serves");
        Ok((Before { channel, keeps, door, path, is_gone }, given))
    }

    /// Has it let go of its state folder; one that is gone did.
    pub(super) async fn want_folder(&mut self) -> Result<(), Error> {
        self.ask(&Word::Folder, &Word::Free).await
    }

    /// Takes the sockets as this process's own, since it serves all but what its stock lacks.
    pub(super) async fn serve(mut self, stock: &Stock) -> Result<Door, Error> {
        let lacking = stock.lacks(&self.keeps).into_iter().map(Word::Lacks);
        timeout(STEP, self.tell(lacking)).await.map_err(|_| Error::Silent)??;
        self.ask(&Word::Serves, &Word::Yours).await?;
        Door::of(self.door, self.path)
    }

    /// Ends, once, when it is gone; or fails, since it says that it serves on.
    pub(super) async fn leaving(&mut self) -> Result<(), Error> {
        if self.is_gone {
            return std::future::pending().await;
        }
        match self.channel.hear().await {
            Ok(word) => Err(refused(word)),
            Err(Error::Gone) => {
                self.left();
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Whether it is known to be gone.
    pub(super) fn is_gone(&self) -> bool {
        self.is_gone
    }

    fn left(&mut self) {
        tracing::warn!("the process before ended without a word; its sockets are ours");
        self.is_gone = true;
    }

    async fn tell(&mut self, words: impl Iterator<Item = Word>) -> Result<(), Error> {
        for word in words {
            match self.channel.say(&word).await {
                Ok(()) => {}
                // That is heard when it is asked.
                Err(Error::Gone) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn ask(&mut self, word: &Word, wanted: &Word) -> Result<(), Error> {
        if self.is_gone {
            return Ok(());
        }
        let asking = async {
            // If it is gone, or gave up, that is heard.
            match self.channel.say(word).await {
                Ok(()) | Err(Error::Gone) => self.channel.hear().await,
                Err(error) => Err(error),
            }
        };
        match timeout(STEP, asking).await.map_err(|_| Error::Silent)? {
            Ok(heard) if heard == *wanted => Ok(()),
            Ok(other) => Err(refused(other)),
            Err(Error::Gone) => {
                self.left();
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

fn refused(word: Word) -> Error {
    match word {
        Word::No(why) => Error::Refused(why),
        Word::Speaks(_)
        | Word::Keeps(_)
        | Word::Socket(_)
        | Word::All
        | Word::Folder
        | Word::Free
        | Word::Lacks(_)
        | Word::Serves
        | Word::Yours => Error::Odd,
    }
}

/// A socket as what it has to be: one of TCP that listens.
fn listening(socket: OwnedFd) -> Result<TcpListener, Error> {
    let socket = TcpListener::from(socket);
    let is_tcp = socket.local_addr().is_ok();
    let listens = SockRef::from(&socket).is_listener().unwrap_or_default();
    if !is_tcp || !listens {
        return Err(Error::Odd);
    }
    socket.set_nonblocking(true).map_err(Error::Broken)?;
    Ok(socket)
}

/// The same for datagrams: one of UDP that has a place.
fn of_datagrams(socket: OwnedFd) -> Result<UdpSocket, Error> {
    let socket = UdpSocket::from(socket);
    let is_udp = SockRef::from(&socket).r#type().is_ok_and(|kind| kind == Type::DGRAM);
    if !is_udp || socket.local_addr().is_err() {
        return Err(Error::Odd);
    }
    socket.set_nonblocking(true).map_err(Error::Broken)?;
    Ok(socket)
}
