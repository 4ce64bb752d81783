//! What nodes are told is what the store has, each browser once.

use store::revocation::{EndedSession as Row, Revocation as Stored};
use time::OffsetDateTime;

use super::*;
use crate::test::Bed;

const NOW: i64 = 1_700_000_000;

fn clock() -> Clock {
    Clock::of(|| OffsetDateTime::from_unix_timestamp(NOW).unwrap())
}

fn row(id: &str, whom: &Whom, ends: Option<i64>) -> Stored {
    Stored {
        id: id.to_owned(),
        whom: serde_json::to_string(whom).unwrap(),
        at: NOW * SECOND,
        actor: "root".to_owned(),
        note: String::new(),
        proved_before: None,
        ends,
    }
}

fn left(session: &str, seconds: i64) -> Row {
    let (cluster, session) = ("east".to_owned(), session.to_owned());
    Row { cluster, session, ends: (NOW + seconds) * SECOND }
}

#[tokio::test]
async fn who_is_shut_out_is_known_until_it_is_over_and_browsers_behind_a_number() {
    let bed = Bed::new().await;
    let keeper = Keeper::new(bed.store.clone(), clock());
    let mut news = keeper.news();
    assert_eq!(*news.borrow_and_update(), None, "nobody looked yet");
    keeper.catch_up().await.unwrap();
    assert_eq!(*news.borrow_and_update(), Some(0));
    let ann = Whom::User { issuer: "i".into(), subject: "ann".into() };
    let said = store::Entry::default();
    let all =
        [row("1", &ann, None), row("2", &ann, Some(NOW * SECOND + 1)), row("3", &ann, Some(5))];
    for one in &all {
        assert!(bed.store.revocation_add(one, 9, &said).await.unwrap());
    }
    keeper.catch_up().await.unwrap();
    let ends: Vec<_> = keeper.out().iter().map(|one| one.until).collect();
    assert_eq!(ends, [None, Some(NOW + 1)], "to the end of the second, and not for longer");
    assert!(news.has_changed().unwrap());
    bed.store.ended_session_add(&[left("a", 60), left("b", 60)], NOW * SECOND, 9).await.unwrap();
    keeper.catch_up().await.unwrap();
    let (ended, number) = keeper.ended("east", 0);
    assert_eq!(ended.iter().map(|one| &*one.id).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(keeper.ended("west", 0), (Vec::new(), number));
    assert_eq!(keeper.ended("east", number), (Vec::new(), number), "each is told once");
    bed.store.ended_session_add(&[left("c", 60)], NOW * SECOND, 9).await.unwrap();
    keeper.catch_up().await.unwrap();
    assert_eq!(keeper.ended("east", number).0.len(), 1);
}

#[tokio::test]
async fn what_another_version_wrote_shuts_out_nobody_and_keeps_nobody_else_in() {
    let bed = Bed::new().await;
    let keeper = Keeper::new(bed.store.clone(), clock());
    let ann = Whom::User { issuer: "i".into(), subject: "ann".into() };
    let mut odd = row("1", &ann, None);
    odd.whom = r#"{"planet":"mars"}"#.to_owned();
    for one in [odd, row("2", &ann, None)] {
        assert!(bed.store.revocation_add(&one, 9, &store::Entry::default()).await.unwrap());
    }
    keeper.catch_up().await.unwrap();
    assert_eq!(keeper.out().len(), 1);
}
