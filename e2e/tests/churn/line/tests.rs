//! How a line ended is told apart: broken off, or as if all had been said.

use e2e::{Origin, Scripted, wait};

use super::*;

const HELLO: &[u8] = b"hello";

async fn opened(sort: Sort, backend: &Scripted) -> Line {
    let connection = Connection::h1(backend.address).await.unwrap();
    Line::open(sort, connection, 7).await.unwrap().0
}

#[tokio::test]
async fn messages_go_both_ways_until_it_is_closed() {
    let origin = Origin::start("o1").await;
    for sort in [Sort::Tunnel, Sort::Stream] {
        let connection = Connection::h1(origin.address).await.unwrap();
        let (mut line, head) = Line::open(sort, connection, 7).await.unwrap();
        assert_eq!(head.header("x-told"), sort.told(7));
        for length in [5, 70_000, 1] {
            let message = e2e::soak::bytes(length, length as usize);
            assert_eq!(line.echo(message.clone()).await.unwrap(), message);
        }
        line.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_stream_that_ends_as_if_it_were_whole_has_not_broken_off() {
    let whole = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhel\r\n0\r\n\r\n";
    let backend = Scripted::start(whole).await;
    let ended = opened(Sort::Stream, &backend).await.echo(HELLO.into()).await;
    assert!(matches!(ended, Err(End::Strayed(_))), "{ended:?}");
}

#[tokio::test]
async fn a_line_that_is_cut_has_broken_off() {
    let stream = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhel\r\n";
    let tunnel =
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
    for (sort, answer) in [(Sort::Stream, stream), (Sort::Tunnel, tunnel)] {
        let backend = Scripted::start(answer).await;
        let mut line = opened(sort, &backend).await;
        drop(backend);
        let ended = wait::within("the end of a line", line.echo(HELLO.into())).await;
        assert!(matches!(ended, Err(End::Broke(_))), "{sort:?}: {ended:?}");
    }
}
