//! Writes of few bytes in one piece.
//!
//! A head and a small body come as two pieces and would go out by `writev`, for which the kernel
//! takes longer than for `send` of the same bytes.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Up to so many bytes are copied together.
const SMALL: usize = 2 << 10;

/// Puts the pieces of small writes together.
#[derive(Debug)]
pub(crate) struct Gather<S>(pub(crate) S);

impl<S: AsyncWrite + Unpin> AsyncWrite for Gather<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, data)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let io = Pin::new(&mut self.0);
        if let [only] = data {
            return io.poll_write(cx, only);
        }
        let length = data.iter().map(|piece| piece.len()).sum::<usize>();
        if length > SMALL {
            return io.poll_write_vectored(cx, data);
        }
        let mut room = [const { MaybeUninit::uninit() }; SMALL];
        let mut whole = ReadBuf::uninit(&mut room);
        data.iter().for_each(|piece| whole.put_slice(piece));
        io.poll_write(cx, whole.filled())
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Gather<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

#[cfg(test)]
mod tests;
