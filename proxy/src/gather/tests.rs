//! Small writes go out in one piece and lose nothing.

use super::*;

use futures::FutureExt as _;
use tokio::io::AsyncWriteExt as _;

/// Notes by how many pieces each write came, and takes `most` bytes of each.
#[derive(Default)]
struct Peer {
    pieces: Vec<usize>,
    got: Vec<u8>,
    most: usize,
}

impl AsyncWrite for Peer {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(data)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        data: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.pieces.push(data.len());
        let most = self.most;
        let taken = data.iter().flat_map(|piece| piece.iter()).take(most).copied();
        let before = self.got.len();
        self.got.extend(taken);
        Poll::Ready(Ok(self.got.len() - before))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn write(most: usize, pieces: &[&[u8]]) -> (usize, Peer) {
    let mut gather = Gather(Peer { most, ..Peer::default() });
    let pieces: Vec<_> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
    let written = gather.write_vectored(&pieces).now_or_never().expect("the peer never waits");
    (written.expect("the peer never fails"), gather.0)
}

#[test]
fn small_pieces_go_in_one() {
    let (written, peer) = write(usize::MAX, &[b"head ", b"", b"body"]);
    assert_eq!((written, peer.pieces, &*peer.got), (9, vec![1], &b"head body"[..]));
}

#[test]
fn a_peer_that_takes_less_is_told_so() {
    let (written, peer) = write(6, &[b"head ", b"body"]);
    assert_eq!((written, peer.pieces, &*peer.got), (6, vec![1], &b"head b"[..]));
}

#[test]
fn what_is_large_is_not_copied() {
    let body = vec![b'x'; SMALL];
    let (written, peer) = write(usize::MAX, &[b"h", &body]);
    assert_eq!((written, peer.pieces, peer.got.len()), (SMALL + 1, vec![2], SMALL + 1));
    let (written, peer) = write(usize::MAX, &[b"", &body]);
    assert_eq!((written, peer.pieces, peer.got), (SMALL, vec![1], body));
}
