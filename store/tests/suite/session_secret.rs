//! Secrets of sessions are the same for all programs over one store, whoever made them first.

use model::secret::SecretBytes;
use store::seal::{RotateError, SealError};
use store::session_secret::{SessionSecret, Step};
use store::{Entry, Store, copy};

use crate::Bed;

fn made(id: &str, begins: i64) -> (SessionSecret, SecretBytes) {
    (SessionSecret { id: id.to_owned(), begins }, SecretBytes::new(format!("secret {id}")))
}

async fn steps(
    store: &Store,
    seen: &[SessionSecret],
    new: &[(SessionSecret, SecretBytes)],
) -> bool {
    let step = Step { seen, gone: &[], new };
    store.session_secret_step(&step, None).await.unwrap()
}

#[tokio::test]
async fn secrets_come_in_their_order_open_everywhere_and_go() {
    let bed = Bed::fresh().await;
    let other = Store::open(&bed.location()).await.unwrap();
    assert!(steps(&bed.store, &[], &[made("b", 20), made("a", 10)]).await);
    let list = other.session_secret_list().await.unwrap();
    assert_eq!(list, [made("a", 10).0, made("b", 20).0]);
    for one in ["a", "b"] {
        let opened = other.session_secret(one).await.unwrap();
        assert_eq!(opened, Some(made(one, 0).1));
    }
    let step = Step { seen: &list, gone: &["a".to_owned()], new: &[made("c", 30)] };
    let said = Entry { verb: "rotate".to_owned(), ..Entry::default() };
    assert!(other.session_secret_step(&step, Some(&said)).await.unwrap());
    let list = bed.store.session_secret_list().await.unwrap();
    assert_eq!(list, [made("b", 20).0, made("c", 30).0]);
    assert_eq!(bed.store.session_secret("a").await.unwrap(), None);
    assert_eq!(bed.store.audit_list(None, 1).await.unwrap()[0].entry.verb, "rotate");
}

#[tokio::test]
async fn of_two_programs_that_make_secrets_at_once_one_does() {
    let bed = Bed::fresh().await;
    let other = Store::open(&bed.location()).await.unwrap();
    let (one, two) = ([made("one", 1)], [made("two", 1)]);
    let (first, second) = tokio::join!(steps(&bed.store, &[], &one), steps(&other, &[], &two));
    assert!(first != second, "{first} {second}");
    assert_eq!(bed.store.session_secret_list().await.unwrap().len(), 1);
    assert!(!steps(&bed.store, &[], &[made("three", 1)]).await, "it is not as it was seen");
}

#[tokio::test]
async fn one_that_was_moved_to_another_row_does_not_open() {
    let bed = Bed::fresh().await;
    assert!(steps(&bed.store, &[], &[made("a", 1), made("b", 2)]).await);
    bed.tamper(
        "UPDATE session_secrets SET sealed = (SELECT sealed FROM session_secrets WHERE id = 'b') \
         WHERE id = 'a'",
    )
    .await;
    let moved = bed.store.session_secret("a").await;
    assert!(matches!(moved, Err(RotateError::Seal(SealError::Altered(_)))), "{moved:?}");
}

#[tokio::test]
async fn none_comes_along_with_a_copy_or_a_backup() {
    let bed = Bed::fresh().await;
    assert!(steps(&bed.store, &[], &[made("a", 1)]).await);
    let other = Bed::fresh().await;
    copy(&bed.store, &other.store).await.unwrap();
    assert!(other.store.session_secret_list().await.unwrap().is_empty());
}
