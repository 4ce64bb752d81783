//! Which requests a client may send again, by what the other side said before it went.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::wait;

const PREFACE: usize = 24;
const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];

/// GOAWAY that names no stream, with this code.
fn goaway(code: u8) -> Vec<u8> {
    [&[0, 0, 8, 7, 0, 0, 0, 0, 0][..], &[0; 7], &[code]].concat()
}

/// The end of the first stream, with this code.
fn reset(code: u8) -> Vec<u8> {
    vec![0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, code]
}

/// Takes one connection, says `first` at once and `then` when a request has come, and leaves.
async fn peer(first: Vec<u8>, then: Option<Vec<u8>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.read_exact(&mut [0; PREFACE]).await.unwrap();
        stream.write_all(&[&SETTINGS[..], &first].concat()).await.unwrap();
        let Some(then) = then else { return };
        let mut head = [0; 9];
        while head[3] != 1 {
            stream.read_exact(&mut head).await.unwrap();
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            stream.read_exact(&mut vec![0; length as usize]).await.unwrap();
        }
        stream.write_all(&then).await.unwrap();
        stream.shutdown().await.unwrap();
        let _until_it_leaves = stream.read_to_end(&mut Vec::new()).await;
    });
    address
}

async fn is_unheard(connection: &Connection) -> bool {
    let asked = request("GET", "shop.test", "/").body(nothing()).unwrap();
    let answer = wait::within("an end", connection.begin(asked)).await.unwrap();
    connection.is_unheard(&answer.unwrap_err())
}

#[tokio::test]
async fn what_the_other_side_left_out_or_refused_is_unheard_and_nothing_else() {
    for (what, then, wanted) in [
        ("left out by GOAWAY", goaway(0), true),
        ("left out by GOAWAY with an error", goaway(2), false),
        ("refused", reset(7), true),
        ("cancelled", reset(8), false),
        ("broken off", Vec::new(), false),
    ] {
        let connection = Connection::h2c(peer(Vec::new(), Some(then)).await).await.unwrap();
        assert_eq!(is_unheard(&connection).await, wanted, "{what}");
    }
}

#[tokio::test]
async fn what_was_not_sent_any_more_is_unheard_where_a_goodbye_came_before() {
    for (first, wanted) in [(goaway(0), true), (goaway(2), false), (Vec::new(), false)] {
        let connection = Connection::h2c(peer(first.clone(), None).await).await.unwrap();
        wait::until_true("the end of the connection", || connection.is_closed()).await;
        assert_eq!(is_unheard(&connection).await, wanted, "{first:?}");
    }
}
