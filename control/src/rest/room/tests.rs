//! Who has room, who waits for it, and until when.

use std::time::Duration;

use axum::http::StatusCode;
use futures::future::join_all;
use tokio::time::Instant;

use super::super::operations::OPERATIONS;
use super::super::tests::{rest, sign_in};
use super::*;

/// A body that says nothing of its size and never ends.
fn slow() -> Body {
    Body::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>())
}

fn operation(id: &str) -> &'static Operation {
    OPERATIONS.iter().find(|operation| operation.id == id).unwrap()
}

#[test]
fn every_body_that_may_be_has_room() {
    for operation in OPERATIONS {
        assert!(needed(&slow(), operation.most) as usize <= STRANGERS, "{}", operation.id);
    }
}

#[tokio::test]
async fn a_body_takes_what_it_is_and_strangers_take_nobody_elses_room() {
    let room = Room::new();
    let all = u32::try_from(STRANGERS).unwrap();
    let _strangers = Arc::clone(&room.strangers).acquire_many_owned(all).await.unwrap();
    let chunks = futures::stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"abc"))]);
    for (body, taken) in [
        (Body::empty(), 0),
        (Body::from("abc"), 1),
        (Body::from(vec![b' '; 4097]), 5),
        (Body::from_stream(chunks), 1),
    ] {
        let (_, place) = room.receive(operation("change_commit"), body).await.unwrap();
        assert_eq!((place.num_permits(), room.known.available_permits()), (taken, KNOWN - taken));
    }
    assert_eq!(room.known.available_permits(), KNOWN, "given back");
}

#[tokio::test]
async fn slow_senders_have_room_until_their_time_is_over() {
    let folder = tempfile::tempdir().unwrap();
    let rest = rest(&folder).await;
    tokio::time::pause();
    let most = operation("session_create").most;
    let slow = join_all((0..STRANGERS / kib(most)).map(|_| sign_in(&rest, slow())));
    let late = async {
        tokio::time::sleep(Duration::from_secs(10)).await;
        let begun = Instant::now();
        let reply = sign_in(&rest, "{}").await;
        (reply.status(), begun.elapsed().as_secs())
    };
    let (slow, late) = tokio::join!(slow, late);
    assert!(slow.iter().all(|reply| reply.status() == StatusCode::SERVICE_UNAVAILABLE));
    assert_eq!(late, (StatusCode::UNPROCESSABLE_ENTITY, 20), "read, and its user is missing");
}

#[tokio::test]
async fn who_finds_no_room_is_told_when_its_time_is_over() {
    let folder = tempfile::tempdir().unwrap();
    let rest = rest(&folder).await;
    let all = u32::try_from(STRANGERS).unwrap();
    let held = Arc::clone(&rest.room.strangers).acquire_many_owned(all).await.unwrap();
    tokio::time::pause();
    let begun = Instant::now();
    assert_eq!(sign_in(&rest, "{}").await.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(begun.elapsed().as_secs(), 30);
    drop(held);
    assert_eq!(sign_in(&rest, "{}").await.status(), StatusCode::UNPROCESSABLE_ENTITY);
}
