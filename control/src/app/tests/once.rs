//! What is asked for twice happens once, and is answered as it was.

use super::*;

fn once(user: &str, key: &str, digest: &str) -> Op {
    Op { once: Some(Once { key: key.to_owned(), digest: digest.to_owned() }), ..op(user) }
}

fn edits(port: u16, expected: Expect) -> Vec<Edit> {
    let text = service("shop").replace("80", &port.to_string());
    let Edit::Put { resource, .. } = read(&text).unwrap().remove(0) else { panic!("a put") };
    vec![Edit::Put { resource, expected }]
}

#[tokio::test]
async fn the_same_request_is_answered_as_it_was_whatever_happened_since() {
    let bed = Bed::shop().await;
    let op = once("sara", "k", "d");
    let make = || edits(80, Expect::Absent);
    let first = bed.app.change_commit(&op, make()).await.unwrap();
    assert!(!first.replayed);
    let again = Receipt { replayed: true, ..first.clone() };
    assert_eq!(bed.app.change_commit(&op, make()).await.unwrap(), again);
    bed.delete("sara", key(Kind::Service, "shop", "app")).await.unwrap();
    assert_eq!(bed.app.change_commit(&op, make()).await.unwrap(), again);
    assert_eq!(open(bed._folder.path()).await.change_commit(&op, make()).await.unwrap(), again);
    let other = bed.app.change_commit(&once("sara", "k", "e"), make()).await;
    assert!(matches!(other, Err(Refusal::KeyReused(key)) if key == "k"));
    let late = Op { now: op.now + time::Duration::hours(25), ..op.clone() };
    assert!(!bed.app.change_commit(&late, make()).await.unwrap().replayed, "a day is over");
    // A key is an actor's own, and what was refused is judged anew.
    let bert = once("bert", "k", "d");
    assert!(matches!(bed.app.change_commit(&bert, make()).await, Err(Refusal::Denied(_))));
}

#[tokio::test]
async fn taking_back_and_giving_away_happen_once_too() {
    let bed = Bed::shop().await;
    let made = bed.put("sara", &(service("shop") + &api("sellers"))).await.unwrap();
    let orders = key(Kind::Api, "shop", "orders");
    let give = once("sara", "give", "d");
    let given = bed.app.api_transfer(&give, &orders, &name("bankers")).await.unwrap();
    let again = bed.app.api_transfer(&give, &orders, &name("bankers")).await.unwrap();
    assert_eq!(again, Receipt { replayed: true, ..given.clone() });
    let back = once("sara", "back", "d");
    let first = bed.app.change_revert(&back, given.revision).await.unwrap();
    assert!(first.revision > made.revision);
    let again = bed.app.change_revert(&back, given.revision).await.unwrap();
    assert_eq!(again, Receipt { replayed: true, ..first });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_racing_requests_with_one_key_one_happens_and_all_are_told() {
    let bed = Bed::shop().await;
    let folder = bed._folder.path();
    let apps: Vec<_> = [open(folder).await, open(folder).await, open(folder).await]
        .into_iter()
        .map(Arc::new)
        .collect();
    for round in 0..10 {
        let op = once("sara", &format!("k{round}"), "d");
        // Whoever comes second finds another generation than it expects: which it is not told.
        let expected = if round == 0 { Expect::Absent } else { Expect::Generation(round) };
        let port = 100 + u16::try_from(round).unwrap();
        let tasks: Vec<_> = (0..6)
            .map(|n| {
                let (app, op) = (Arc::clone(&apps[n % 3]), op.clone());
                tokio::spawn(async move { app.change_commit(&op, edits(port, expected)).await })
            })
            .collect();
        let mut receipts = Vec::new();
        for task in tasks {
            receipts.push(task.await.unwrap().unwrap());
        }
        assert_eq!(receipts.iter().filter(|one| !one.replayed).count(), 1, "{receipts:?}");
        let changed = [(key(Kind::Service, "shop", "app"), Some(round + 1))];
        assert!(receipts.iter().all(|one| one.changed == changed), "{receipts:?}");
    }
}
