//! What the first bytes tell, in whatever pieces they come, and that none is lost.

use tokio::io::AsyncWriteExt as _;

use super::*;

/// What is told of bytes that come in these pieces, and all that is read behind.
async fn told(pieces: &[&[u8]]) -> (bool, Vec<u8>) {
    let (mut there, here) = tokio::io::duplex(64);
    let told = async {
        let (is_http2, mut ahead) = is_http2(here).await.unwrap();
        let mut all = Vec::new();
        ahead.read_to_end(&mut all).await.unwrap();
        (is_http2, all)
    };
    let sent = async {
        for piece in pieces {
            there.write_all(piece).await.unwrap();
            tokio::task::yield_now().await;
        }
        drop(there);
    };
    tokio::join!(told, sent).0
}

#[tokio::test]
async fn the_preface_tells_http_2_in_whatever_pieces_it_comes() {
    let whole = [PREFACE, &[0, 0, 0, 4, 0, 0, 0, 0, 0]].concat();
    for size in [1, 3, 24, 25, whole.len()] {
        let pieces: Vec<_> = whole.chunks(size).collect();
        assert_eq!(told(&pieces).await, (true, whole.clone()), "in pieces of {size}");
    }
}

#[tokio::test]
async fn all_else_is_http_1_1() {
    for said in [
        "",
        "P",
        "PRI",
        "PRI * HTTP/2.0\r\n\r\nSM",
        "GET / HTTP/1.1\r\n\r\n",
        "PRO",
        "PRI * HTTP/1.1\r\n",
    ] {
        let pieces: Vec<_> = said.as_bytes().chunks(2).collect();
        assert_eq!(told(&pieces).await, (false, said.as_bytes().to_vec()), "{said:?}");
    }
}

#[tokio::test]
async fn the_beginning_is_read_in_one_piece() {
    let head = format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "x".repeat(900));
    let (mut there, here) = tokio::io::duplex(4096);
    there.write_all(head.as_bytes()).await.unwrap();
    let (_, mut ahead) = is_http2(here).await.unwrap();
    let mut all = BytesMut::with_capacity(8192);
    assert_eq!(ahead.read_buf(&mut all).await.unwrap(), head.len());
    assert!(ahead.into_parts().1.is_empty());
}
