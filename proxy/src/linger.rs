//! The end of a connection whose client is still sending.
//!
//! Were it closed at once, the client's system would learn that nobody reads what it sends, and might throw away
//! the answer that has come before that (RFC 9112, section 9.6). So the answer is written, with the end behind
//! it, and what comes is read and dropped, until the client has closed its side, too.

use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// A client that is silent for so long has the answer, or will never have it.
const SILENCE: Duration = Duration::from_secs(5);

/// Whether something came that nobody has read, which this drops.
pub(crate) fn is_more<S: AsyncRead + Unpin>(io: &mut S, cx: &mut Context<'_>) -> bool {
    let mut room = [MaybeUninit::uninit(); 64];
    let mut read = ReadBuf::uninit(&mut room);
    let outcome = Pin::new(io).poll_read(cx, &mut read);
    matches!(outcome, Poll::Ready(Ok(()))) && !read.filled().is_empty()
}

/// Reads and drops what a client sends.
#[derive(Debug)]
pub(crate) struct Linger {
    /// No client is read for longer, however much it sends.
    until: Instant,
    /// Ends with the client's patience or ours.
    timer: Pin<Box<Sleep>>,
}

impl Linger {
    pub(crate) fn new(longest: Duration) -> Self {
        let now = Instant::now();
        let until = now + longest;
        Linger { until, timer: Box::pin(sleep_until(until.min(now + SILENCE))) }
    }

    /// Ready once the client has closed its side, was silent, or has sent for too long.
    pub(crate) fn poll<S>(&mut self, io: &mut S, cx: &mut Context<'_>) -> Poll<()>
    where
        S: AsyncRead + Unpin,
    {
        let mut room = [MaybeUninit::uninit(); 8 << 10];
        loop {
            let mut read = ReadBuf::uninit(&mut room);
            let Poll::Ready(outcome) = Pin::new(&mut *io).poll_read(cx, &mut read) else {
                ready!(self.timer.as_mut().poll(cx));
                return Poll::Ready(());
            };
            let now = Instant::now();
            if outcome.is_err() || read.filled().is_empty() || now >= self.until {
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(self.until.min(now + SILENCE));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncWriteExt as _, duplex};

    use super::*;

    const LONGEST: Duration = Duration::from_secs(30);

    async fn lingers(io: &mut (impl AsyncRead + Unpin)) -> Duration {
        let (began, mut linger) = (Instant::now(), Linger::new(LONGEST));
        poll_fn(|cx| linger.poll(io, cx)).await;
        began.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_is_read_until_it_closes() {
        let (mut client, mut server) = duplex(1 << 10);
        let sends = async {
            client.write_all(&[0; 100 << 10]).await.unwrap();
            drop(client);
        };
        let (took, ()) = tokio::join!(lingers(&mut server), sends);
        assert_eq!(took, Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_is_silent_is_left() {
        let (_client, mut server) = duplex(1 << 10);
        assert_eq!(lingers(&mut server).await.as_secs(), SILENCE.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_never_ends_is_left_after_the_bound() {
        let (mut client, mut server) = duplex(1 << 10);
        let sends = async {
            while client.write_all(b"more").await.is_ok() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        };
        let took = tokio::select! {
            took = lingers(&mut server) => took,
            () = sends => panic!("the server closed first"),
        };
        assert_eq!(took.as_secs(), LONGEST.as_secs());
    }
}
