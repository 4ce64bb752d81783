//! Who has room, who waits for it, and until when.

use std::net::Ipv4Addr;
use std::time::Duration;

use axum::http::StatusCode;
use futures::future::join_all;
use model::Name;
use tokio::time::Instant;

use super::super::operations::OPERATIONS;
use super::super::tests::{rest, sign_in, sign_in_from};
use super::*;
use crate::authn::Proof;

/// A body that says nothing of its size and never ends.
fn slow() -> Body {
    Body::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>())
}

fn operation(id: &str) -> &'static Operation {
    OPERATIONS.iter().find(|operation| operation.id == id).unwrap()
}

fn caller(id: &str) -> Caller {
    let by = Proof::Session { id: id.to_owned(), csrf: String::new(), expires: i64::MAX };
    Caller {
        id: id.to_owned(),
        name: Name::parse("ann").unwrap(),
        from: None,
        groups: Default::default(),
        by,
    }
}

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn far(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(192, 0, 2, last)
}

#[test]
fn every_body_that_may_be_has_room() {
    for operation in OPERATIONS {
        let share = if operation.who.is_somebody() { KNOWN.1 } else { STRANGERS.1 };
        assert!(needed(&slow(), operation.most) as usize <= share, "{}", operation.id);
    }
}

#[tokio::test]
async fn a_body_takes_what_it_is_and_strangers_take_nobody_elses_room() {
    let room = Room::new();
    let all = u32::try_from(STRANGERS.0).unwrap();
    let _strangers = taken(&room.strangers.all, all).await.unwrap();
    let chunks = futures::stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"abc"))]);
    let (commit, ann) = (operation("change_commit"), caller("ann"));
    for (body, used) in [
        (Body::empty(), 0),
        (Body::from("abc"), 1),
        (Body::from(vec![b' '; 4097]), 5),
        (Body::from_stream(chunks), 1),
    ] {
        let (_, _place) = room.receive(commit, Some(&ann), HERE, body).await.unwrap();
        assert_eq!(room.known.all.available_permits(), KNOWN.0 - used);
        assert_eq!(room.known.own(&ann.id).available_permits(), KNOWN.1 - used);
    }
    assert_eq!(room.known.all.available_permits(), KNOWN.0, "given back");
}

#[tokio::test]
async fn nobody_has_more_than_a_part_of_the_room() {
    let room = Room::new();
    let (commit, ann, ben) = (operation("change_commit"), caller("ann"), caller("ben"));
    let mut waiting = Vec::new();
    for _ in 0..9 {
        let mut receiving = Box::pin(room.receive(commit, Some(&ann), HERE, slow()));
        assert!(futures::poll!(&mut receiving).is_pending());
        waiting.push(receiving);
    }
    assert_eq!(room.known.all.available_permits(), KNOWN.0 - KNOWN.1);
    let (_, place) = room.receive(commit, Some(&ben), HERE, Body::from("abc")).await.unwrap();
    drop((place, waiting));
    assert_eq!(room.known.own(&ann.id).available_permits(), KNOWN.1, "given back");
}

#[test]
fn shares_that_nobody_has_are_let_go() {
    let space = Space::new(KNOWN);
    let kept = space.own(&0);
    for sender in 1..=2 * SHARES {
        space.own(&sender);
    }
    assert!(space.shares.lock().unwrap().len() <= SHARES);
    assert!(Arc::ptr_eq(&kept, &space.own(&0)));
}

#[tokio::test]
async fn slow_strangers_keep_out_nobody_from_another_address_and_have_little_time() {
    let folder = tempfile::tempdir().unwrap();
    let rest = rest(&folder).await;
    tokio::time::pause();
    let places = STRANGERS.1 / kib(operation("session_create").most);
    let begun = Instant::now();
    let slow = join_all((0..2 * places).map(|_| async {
        let reply = sign_in_from(far(1), &rest, slow()).await;
        (reply.status(), begun.elapsed().as_secs())
    }));
    let other = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let reply = sign_in_from(far(2), &rest, "{}").await;
        (reply.status(), begun.elapsed().as_secs())
    };
    let (slow, other) = tokio::join!(slow, other);
    assert_eq!(other, (StatusCode::UNPROCESSABLE_ENTITY, 1), "read, and its user is missing");
    let (first, second) = slow.split_at(places);
    assert!(first.iter().all(|one| *one == (StatusCode::SERVICE_UNAVAILABLE, 5)), "{first:?}");
    assert!(second.iter().all(|one| *one == (StatusCode::SERVICE_UNAVAILABLE, 10)), "{second:?}");
}

#[tokio::test]
async fn who_finds_no_room_is_told_when_its_time_is_over() {
    let folder = tempfile::tempdir().unwrap();
    let rest = rest(&folder).await;
    let all = u32::try_from(STRANGERS.0).unwrap();
    let held = taken(&rest.room.strangers.all, all).await.unwrap();
    tokio::time::pause();
    let begun = Instant::now();
    assert_eq!(sign_in(&rest, "{}").await.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(begun.elapsed().as_secs(), 30);
    drop(held);
    assert_eq!(sign_in(&rest, "{}").await.status(), StatusCode::UNPROCESSABLE_ENTITY);
}
