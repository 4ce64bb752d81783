//! What one workspace holds, no other takes.

use store::commit::Sort;
use store::{CommitError, Write};

use super::{claiming, commit, delete, key, put, puts, rounds, within};
use crate::Bed;

#[tokio::test]
async fn a_taken_claim_names_its_holder() {
    let bed = Bed::fresh().await;
    let store = bed.store.clone();
    store.commit(&puts([claiming(put("a", "1"), "shop.example", "shop")])).await.unwrap();
    let both = puts([
        claiming(put("b", "1"), "shop.example", "bank"),
        claiming(put("c", "1"), "free.example", "bank"),
    ]);
    let Err(CommitError::Claimed(taken)) = store.commit(&both).await else { panic!("made") };
    assert_eq!(taken.len(), 1);
    assert_eq!((taken[0].holder.as_str(), &taken[0].by), ("shop", &key("a")));
    assert_eq!(taken[0].claim.host, "shop.example");
}

#[tokio::test]
async fn a_claim_goes_from_one_resource_to_another_in_one_commit() {
    let bed = Bed::fresh().await;
    let store = bed.store.clone();
    store.commit(&puts([claiming(put("a", "1"), "shop.example", "shop")])).await.unwrap();
    let next = Write::Put(Box::new(claiming(put("0", "1"), "shop.example", "bank")));
    // The new holder comes before the old one lets go.
    store.commit(&commit(vec![next, delete("a")])).await.unwrap();
    let claims = store.claims(Sort::Host).await.unwrap();
    assert_eq!(claims.len(), 1);
    assert_eq!((&claims[0].0, claims[0].1.workspace.as_str()), (&key("0"), "bank"));
}

#[tokio::test]
async fn a_deleted_resource_claims_nothing() {
    let bed = Bed::fresh().await;
    let store = bed.store.clone();
    store.commit(&puts([claiming(put("a", "1"), "shop.example", "shop")])).await.unwrap();
    store.commit(&commit(vec![delete("a")])).await.unwrap();
    store.commit(&puts([claiming(put("b", "1"), "shop.example", "bank")])).await.unwrap();
}

/// How many race.
const WRITERS: usize = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_eight_racing_for_a_claim_one_wins() {
    let bed = Bed::fresh().await;
    let store = bed.store.clone();
    let rounds = rounds();
    for round in 0..rounds {
        let host = format!("round-{round}.example");
        let race = (0..WRITERS).map(|writer| {
            let (store, host) = (store.clone(), host.clone());
            let name = format!("{round}-{writer}");
            let workspace = format!("workspace-{writer}");
            tokio::spawn(async move {
                let claim = claiming(put(&name, "1"), &host, &workspace);
                (workspace, store.commit(&puts([claim])).await)
            })
        });
        let (mut winners, mut losers) = (Vec::new(), Vec::new());
        for task in race.collect::<Vec<_>>() {
            match within(task).await.unwrap() {
                (workspace, Ok(_)) => winners.push(workspace),
                (_, Err(CommitError::Claimed(taken))) => losers.extend(taken),
                (_, Err(other)) => panic!("round {round}: {other}"),
            }
        }
        assert_eq!((winners.len(), losers.len()), (1, WRITERS - 1), "round {round}");
        assert!(losers.iter().all(|taken| taken.holder == winners[0]), "round {round}");
    }
    assert_eq!(store.claims(Sort::Host).await.unwrap().len(), rounds);
    assert_eq!(store.revision().await.unwrap(), rounds as i64, "losers made no revision");
    println!("{rounds} rounds of {WRITERS} writers, one winner each");
}
