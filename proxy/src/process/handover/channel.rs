//! What two processes say to each other: words, one a line, and sockets that come with them.

use std::collections::VecDeque;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::cmsg_space;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use rustix::process::geteuid;
use serde::{Deserialize, Serialize};
use tokio::io::Interest;
use tokio::net::UnixStream;

use super::Error;

/// The longest line.
const LINE: usize = 4096;

/// What is said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Word {
    /// The next one: it wants the sockets, and speaks this version of these words.
    Speaks(u32),
    /// The one before: it has an object in force in an older form than the one that it last read.
    Keeps(String),
    /// Here is a socket.
    Socket(Use),
    /// These were all.
    All,
    /// The next one wants the state folder.
    Folder,
    /// It is free.
    Free,
    /// The next one has not got an object in force as it should be.
    Lacks(String),
    /// The next one serves, all but what it lacks.
    Serves,
    /// The sockets are its own.
    Yours,
    /// The one before serves on, for this reason.
    No(String),
}

/// What a socket is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Use {
    /// Connections.
    Traffic,
    /// Datagrams.
    Datagrams,
    /// The admin port.
    Admin,
    /// Processes that want to follow.
    Door,
}

/// A connection between two processes of one user.
#[derive(Debug)]
pub(super) struct Channel {
    stream: UnixStream,
    heard: Vec<u8>,
    /// Sockets that came, and whose word is yet to be read.
    sockets: VecDeque<OwnedFd>,
}

/// A connection from or to another user.
#[derive(Debug)]
pub(super) struct Stranger {
    pub(super) user: u32,
    stream: UnixStream,
}

/// Why there is no channel.
#[derive(Debug)]
pub(super) enum NoChannel {
    Stranger(Stranger),
    Unknown(io::Error),
}

impl NoChannel {
    /// The same as an error, where a stranger is one of this kind.
    pub(super) fn refused(self, stranger: impl Fn(u32) -> Error) -> Error {
        match self {
            NoChannel::Stranger(who) => stranger(who.user),
            NoChannel::Unknown(error) => Error::Broken(error),
        }
    }
}

impl Stranger {
    /// Says why nothing is given.
    pub(super) async fn refuse(self) {
        let (heard, sockets) = Default::default();
        let mut channel = Channel { stream: self.stream, heard, sockets };
        let why = format!("user {} may not take its sockets", self.user);
        // Who does not listen is refused all the same.
        let _ = channel.say(&Word::No(why)).await;
    }
}

impl Channel {
    /// With whoever is at the other end, if the kernel says that they are of the same user.
    pub(super) fn new(stream: UnixStream) -> Result<Self, NoChannel> {
        let user = stream.peer_cred().map_err(NoChannel::Unknown)?.uid();
        if !may_follow(user, geteuid().as_raw()) {
            return Err(NoChannel::Stranger(Stranger { user, stream }));
        }
        Ok(Channel { stream, heard: Vec::new(), sockets: VecDeque::new() })
    }

    /// Says a word.
    pub(super) async fn say(&mut self, word: &Word) -> Result<(), Error> {
        self.send(word, &[]).await
    }

    /// Gives a copy of a socket.
    pub(super) async fn give(&mut self, of: Use, socket: BorrowedFd<'_>) -> Result<(), Error> {
        self.send(&Word::Socket(of), &[socket]).await
    }

    async fn send(&mut self, word: &Word, sockets: &[BorrowedFd<'_>]) -> Result<(), Error> {
        let mut line = serde_json::to_vec(word).map_err(|error| Error::Broken(error.into()))?;
        line.push(b'\n');
        let (mut rest, mut sockets) = (&line[..], sockets);
        while !rest.is_empty() {
            let write = || write(&self.stream, rest, sockets);
            let written = self.stream.async_io(Interest::WRITABLE, write).await;
            rest = &rest[written.map_err(broken)?..];
            sockets = &[];
        }
        Ok(())
    }

    /// The next word; nothing is lost if it is broken off.
    pub(super) async fn hear(&mut self) -> Result<Word, Error> {
        loop {
            if let Some(end) = self.heard.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.heard.drain(..=end).collect();
                return serde_json::from_slice(&line).map_err(|_| Error::Odd);
            }
            if self.heard.len() > LINE {
                return Err(Error::Odd);
            }
            let Channel { stream, heard, sockets } = self;
            let read = || read(stream, heard, sockets);
            if stream.async_io(Interest::READABLE, read).await.map_err(broken)? == 0 {
                return Err(Error::Gone);
            }
        }
    }

    /// The socket that came with the word just heard.
    pub(super) fn socket(&mut self) -> Result<OwnedFd, Error> {
        self.sockets.pop_front().ok_or(Error::Odd)
    }
}

/// Whether a process of `user` may have the sockets of one of `own`, or give it any.
pub(super) fn may_follow(user: u32, own: u32) -> bool {
    user == own
}

/// Whoever ended with words unread leaves an error behind.
fn broken(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Error::Gone,
        _ => Error::Broken(error),
    }
}

fn write(stream: &UnixStream, bytes: &[u8], sockets: &[BorrowedFd<'_>]) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !sockets.is_empty() && !control.push(SendAncillaryMessage::ScmRights(sockets)) {
        return Err(io::Error::other("one socket comes with a word, and no more"));
    }
    Ok(sendmsg(stream, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL)?)
}

fn read(
    stream: &UnixStream,
    heard: &mut Vec<u8>,
    sockets: &mut VecDeque<OwnedFd>,
) -> io::Result<usize> {
    let mut bytes = [0; 512];
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let into = &mut [IoSliceMut::new(&mut bytes)];
    let message = recvmsg(stream, into, &mut control, RecvFlags::CMSG_CLOEXEC)?;
    for came in control.drain() {
        if let RecvAncillaryMessage::ScmRights(came) = came {
            sockets.extend(came);
        }
    }
    if message.flags.contains(ReturnFlags::CTRUNC) {
        return Err(io::Error::other("a socket could not be taken; are too many files open?"));
    }
    heard.extend_from_slice(&bytes[..message.bytes]);
    Ok(message.bytes)
}
