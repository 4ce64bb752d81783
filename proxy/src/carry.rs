//! Bytes both ways, until both sides have ended, silence, drain, or a table that forbids it.
//!
//! What is read goes on as it is: a piece is copied neither out of a frame of the mesh nor into one.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use policy::Reason;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_util::io::poll_read_buf;

use crate::http::Conn;
use crate::live::Live;
use crate::record::Record;

/// What bytes come from and go to.
pub(crate) trait End {
    /// The next piece that it sends; none at its end.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>>;

    /// Takes the beginning of a piece, or all of it.
    fn poll_take(&mut self, cx: &mut Context<'_>, piece: &mut Bytes) -> Poll<io::Result<()>>;

    /// Sends what it took.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Is told that nothing more comes; what it sends may go on.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Is told that the other side broke off, so that it takes what it got for no whole.
    fn abort(&mut self);

    /// Is let go at once: what it did not send yet is lost.
    fn reset(&mut self);

    /// Whether it may be let go then, without what it took before being lost.
    fn poll_aborted(&mut self, cx: &mut Context<'_>) -> Poll<()>;
}

/// An end that is read into a buffer, which fits itself to what comes.
#[derive(Debug)]
pub(crate) struct Buffered<S> {
    io: S,
    room: BytesMut,
    size: usize,
    largest: usize,
    /// The last piece was short.
    was_short: bool,
    /// Has whoever is there learn that it was broken off.
    break_off: fn(&S),
}

/// How often it is looked for bytes until it is silent.
const LOOKS: u32 = 4;
/// The smallest buffer: of many connections most are idle.
const SMALLEST: usize = 4 << 10;

impl<S> Buffered<S> {
    /// Read in pieces of up to so many bytes.
    pub(crate) fn new(io: S, largest: usize) -> Self {
        let (room, size, was_short) = (BytesMut::new(), SMALLEST, false);
        Buffered { io, room, size, largest, was_short, break_off: |_| {} }
    }

    /// Fits the buffer to a piece that filled so much of what it was offered.
    fn fit(&mut self, offered: usize, read: usize) {
        let is_short = read < self.size / 4;
        if read == offered {
            self.size = (self.size * 2).min(self.largest);
        } else if is_short && self.was_short {
            self.size = (self.size / 2).max(SMALLEST);
        }
        self.was_short = is_short;
    }
}

impl Buffered<TcpStream> {
    /// The same of a socket, of which the peer learns that it was reset.
    pub(crate) fn socket(io: TcpStream, largest: usize) -> Self {
        // What cannot be set any more has ended itself.
        let break_off = |socket: &TcpStream| drop(socket.set_zero_linger());
        Buffered { break_off, ..Buffered::new(io, largest) }
    }
}

impl Buffered<TlsStream<TcpStream>> {
    /// The same of one under TLS of ours.
    pub(crate) fn encrypted(io: TlsStream<TcpStream>, largest: usize) -> Self {
        let break_off = |stream: &TlsStream<TcpStream>| drop(stream.get_ref().0.set_zero_linger());
        Buffered { break_off, ..Buffered::new(io, largest) }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> End for Buffered<S> {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        // Short pieces share a buffer; what is left of it must be worth a read.
        if self.room.capacity() < self.size / 8 {
            self.room.reserve(self.size);
        }
        let offered = self.room.capacity();
        let read = ready!(poll_read_buf(Pin::new(&mut self.io), cx, &mut self.room))?;
        self.fit(offered, read);
        Poll::Ready(Ok((read > 0).then(|| self.room.split().freeze())))
    }

    fn poll_take(&mut self, cx: &mut Context<'_>, piece: &mut Bytes) -> Poll<io::Result<()>> {
        match ready!(Pin::new(&mut self.io).poll_write(cx, piece))? {
            0 => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            some => {
                piece.advance(some);
                Poll::Ready(Ok(()))
            }
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn abort(&mut self) {
        (self.break_off)(&self.io);
    }

    fn reset(&mut self) {
        self.abort();
    }

    fn poll_aborted(&mut self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }
}

/// The two ends between which bytes are carried.
pub(crate) struct Ends<A, B> {
    client: A,
    backend: B,
    /// From client to backend, and back.
    ways: [Way; 2],
}

/// One direction.
#[derive(Default)]
struct Way {
    /// What was read and not taken yet.
    held: Bytes,
    /// Bytes that were read.
    read: Arc<AtomicU64>,
    stage: Stage,
}

#[derive(Default)]
enum Stage {
    #[default]
    Open,
    Ending,
    Over,
}

/// Who broke off, and how.
enum Broke {
    Reader(io::Error),
    Writer(io::Error),
}

impl Way {
    /// Carries what there is to carry; ready once all was, and its end told.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut impl End,
        to: &mut impl End,
    ) -> Poll<Result<(), Broke>> {
        loop {
            match self.stage {
                Stage::Open if self.held.is_empty() => match from.poll_piece(cx) {
                    Poll::Ready(Ok(Some(piece))) => {
                        self.read.fetch_add(piece.len() as u64, Relaxed);
                        self.held = piece;
                    }
                    Poll::Ready(Ok(None)) => self.stage = Stage::Ending,
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(Broke::Reader(error))),
                    Poll::Pending => {
                        ready!(to.poll_flush(cx)).map_err(Broke::Writer)?;
                        return Poll::Pending;
                    }
                },
                Stage::Open => {
                    ready!(to.poll_take(cx, &mut self.held)).map_err(Broke::Writer)?;
                }
                Stage::Ending => {
                    ready!(to.poll_end(cx)).map_err(Broke::Writer)?;
                    self.stage = Stage::Over;
                }
                Stage::Over => return Poll::Ready(Ok(())),
            }
        }
    }
}

impl<A: End, B: End> Ends<A, B> {
    pub(crate) fn new(client: A, backend: B) -> Self {
        Ends { client, backend, ways: Default::default() }
    }

    /// The same, where the client sent these bytes before.
    pub(crate) fn ahead(mut self, sent: Bytes) -> Self {
        self.ways[0].read.fetch_add(sent.len() as u64, Relaxed);
        self.ways[0].held = sent;
        self
    }

    /// Carries bytes until both sides have ended, neither sent any for `idle`, the sender's certificate
    /// ends, or a table comes into force by which it does not pass; why it ended goes into the record.
    pub(crate) async fn carry(
        self,
        conn: &Conn,
        record: Box<Record>,
        idle: Duration,
        (passes, heeds): (impl Fn(&Live) -> bool, Heeds),
    ) {
        // Writes the counts into the record also where the worker ends first.
        let mut told = Told { record, ends: self };
        // It has not ended as long as neither side did.
        told.record.reason = Reason::ClientGone;
        let (reason, detail) = told.ends.carried(conn, idle, (passes, heeds)).await;
        (told.record.reason, told.record.detail) = (reason, detail);
        if reason.is_denial() {
            // The rule that let it in is not what ended it.
            told.record.decided_by = None;
            told.record.aside = None;
        }
        if reason != Reason::Ok {
            told.ends.abort(conn.shared.settings.limits.connect).await;
        }
    }

    /// Tells both that it broke off, and waits until they know, but not for long.
    async fn abort(&mut self, bound: Duration) {
        let Ends { client, backend, .. } = self;
        client.abort();
        backend.abort();
        let both = poll_fn(|cx| {
            let (one, other) = (client.poll_aborted(cx), backend.poll_aborted(cx));
            if one.is_ready() && other.is_ready() { Poll::Ready(()) } else { Poll::Pending }
        });
        if tokio::time::timeout(bound, both).await.is_err() {
            self.client.reset();
            self.backend.reset();
        }
    }

    /// Why it ended.
    async fn carried(
        &mut self,
        conn: &Conn,
        idle: Duration,
        (passes, heeds): (impl Fn(&Live) -> bool, Heeds),
    ) -> (Reason, Option<Box<str>>) {
        let read = self.ways.each_ref().map(|way| Arc::clone(&way.read));
        let total = || read.iter().map(|read| read.load(Relaxed)).sum();
        tokio::select! {
            ended = poll_fn(|cx| self.poll(cx)) => match ended {
                Ok(()) => (Reason::Ok, None),
                Err((reason, error)) => (reason, Some(error.to_string().into())),
            },
            why = forbidden(conn, passes, heeds) => (Reason::AccessDenied, Some(why.into())),
            () = conn.outlived(Duration::ZERO) => {
                (Reason::AccessDenied, Some("cut: its sender's certificate has ended".into()))
            }
            () = silent(idle, total) => (Reason::Ok, Some("closed after silence".into())),
        }
    }

    /// Ready once both directions are over, or one broke.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), (Reason, io::Error)>> {
        let Ends { client, backend, ways: [there, back] } = self;
        let gone = |error| (Reason::ClientGone, error);
        let reset = |error| (Reason::UpstreamReset, error);
        let there = there.poll(cx, client, backend).map_err(|broke| match broke {
            Broke::Reader(error) => gone(error),
            Broke::Writer(error) => reset(error),
        })?;
        let back = back.poll(cx, backend, client).map_err(|broke| match broke {
            Broke::Reader(error) => reset(error),
            Broke::Writer(error) => gone(error),
        })?;
        if there.is_ready() && back.is_ready() { Poll::Ready(Ok(())) } else { Poll::Pending }
    }
}

/// Both ends, and the record that gets their counts at last.
struct Told<A, B> {
    record: Box<Record>,
    ends: Ends<A, B>,
}

impl<A, B> Drop for Told<A, B> {
    fn drop(&mut self) {
        let [there, back] = &self.ends.ways;
        self.record.bytes_in = there.read.load(Relaxed);
        self.record.bytes_out = back.read.load(Relaxed);
    }
}

/// What beside a new table may end what is carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heeds {
    /// Nothing: nobody is known by more than their address or certificate.
    Table,
    /// Who is shut out.
    Revocations,
    /// That, and which browsers logged out.
    Logouts,
}

/// Ends, with the cause, when it does not pass any more: by a new table, or since somebody is shut out or logged out.
async fn forbidden(conn: &Conn, passes: impl Fn(&Live) -> bool, heeds: Heeds) -> &'static str {
    let mut changes = conn.shared.changes.subscribe();
    let revoked = &conn.shared.ground.membership.revoked;
    let (mut out, mut logouts) = (revoked.news(), revoked.logouts());
    let mut why = "cut: a new table forbids it";
    loop {
        if !passes(&conn.shared.live.load()) {
            return why;
        }
        why = tokio::select! {
            Ok(()) = changes.changed() => "cut: a new table forbids it",
            Ok(()) = out.changed(), if heeds != Heeds::Table => "cut: who opened it was shut out",
            Ok(()) = logouts.changed(), if heeds == Heeds::Logouts => "cut: who opened it logged out",
            else => return std::future::pending().await,
        };
    }
}

/// Ends when `total` stood still for `bound`, or a quarter longer.
async fn silent(bound: Duration, total: impl Fn() -> u64) {
    let (mut before, mut still) = (total(), 0);
    while still < LOOKS {
        tokio::time::sleep(bound / LOOKS).await;
        let now = total();
        still = if now == before { still + 1 } else { 0 };
        before = now;
    }
}
