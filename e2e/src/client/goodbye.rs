//! Whether the other side of an HTTP/2 connection has said that it goes.
//!
//! What hyper has not sent when a connection ends it cancels with one and the same error, whether
//! GOAWAY came before or the connection broke. So the heads of frames are read as they come in.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

const HEAD: usize = 9;
/// A frame's head, the last stream and the error's code.
const GOAWAY: usize = HEAD + 8;

/// Whether GOAWAY without an error came.
#[derive(Debug, Clone, Default)]
pub(super) struct Goodbye(Arc<AtomicBool>);

impl Goodbye {
    pub(super) fn was_said(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// A stream of which the frames that come in are looked at.
#[derive(Debug)]
pub(super) struct Watched<S> {
    stream: S,
    frames: Frames,
    goodbye: Goodbye,
}

impl<S> Watched<S> {
    pub(super) fn new(stream: S, goodbye: Goodbye) -> Self {
        Watched { stream, frames: Frames::default(), goodbye }
    }
}

/// Where in a frame the bytes have come to.
#[derive(Debug, Default)]
struct Frames {
    /// Of the frame under way as much as is looked at.
    begun: Vec<u8>,
    /// How much more of it is not.
    passed_over: usize,
}

impl Frames {
    /// Whether one of the frames that end in these bytes is GOAWAY without an error.
    fn say_goodbye(&mut self, mut bytes: &[u8]) -> bool {
        let mut said = false;
        while !bytes.is_empty() {
            let passed = self.passed_over.min(bytes.len());
            self.passed_over -= passed;
            let looked = (self.wanted() - self.begun.len()).min(bytes.len() - passed);
            self.begun.extend(&bytes[passed..passed + looked]);
            bytes = &bytes[passed + looked..];
            if self.begun.len() == HEAD && !self.is_goaway() || self.begun.len() == GOAWAY {
                said |= self.is_goaway() && self.begun[HEAD + 4..] == [0; 4];
                self.passed_over = self.length() + HEAD - self.begun.len();
                self.begun.clear();
            }
        }
        said
    }

    fn wanted(&self) -> usize {
        if self.passed_over > 0 {
            0
        } else if self.is_goaway() {
            GOAWAY
        } else {
            HEAD
        }
    }

    fn is_goaway(&self) -> bool {
        self.begun.len() >= HEAD && self.begun[3] == 7 && self.length() >= GOAWAY - HEAD
    }

    fn length(&self) -> usize {
        self.begun[..3].iter().fold(0, |length, byte| length << 8 | usize::from(*byte))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, into);
        if self.frames.say_goodbye(&into.filled()[before..]) {
            self.goodbye.0.store(true, Ordering::SeqCst);
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[test]
fn a_goodbye_is_seen_however_the_bytes_are_parted_and_one_with_an_error_is_none() {
    let settings = [0, 0, 6, 4, 0, 0, 0, 0, 0, 7, 7, 7, 7, 7, 7];
    let data = [0, 0, 1, 0, 0, 0, 0, 0, 1, 7];
    let goaway = |code| [0, 0, 9, 7, 0, 0, 0, 0, 0, 127, 255, 255, 255, 0, 0, 0, code, b'x'];
    for (code, wanted) in [(0, true), (1, false)] {
        let bytes = [&settings[..], &data, &[0, 0, 0, 4, 1, 0, 0, 0, 0], &goaway(code), &data];
        let bytes = bytes.concat();
        for size in 1..=bytes.len() {
            let mut frames = Frames::default();
            let mut parts = bytes.chunks(size);
            assert_eq!(parts.any(|part| frames.say_goodbye(part)), wanted, "{code} by {size}");
        }
    }
}
