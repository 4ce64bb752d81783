//! Many nodes at once: what one revision costs them all together.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant;

use super::*;

/// As many nodes as `HEDDLE_SOAK_COUNT` says, a few where it says nothing.
#[tokio::test(flavor = "multi_thread")]
async fn many_nodes_learn_of_a_revision_together() {
    let count = std::env::var("HEDDLE_SOAK_COUNT").map_or(12, |count| count.parse().unwrap());
    let running = Running::new().await;
    let token = running.token("east", count).await;
    let running = Arc::new(running);
    let (start, places) = (Instant::now(), Arc::new(Semaphore::new(16)));
    let (ready, mut all_ready) = watch::channel(0);
    let (committed, ready) = (Arc::new(AtomicI64::new(0)), Arc::new(ready));
    let mut tasks = JoinSet::new();
    for number in 0..count {
        let (running, places) = (Arc::clone(&running), Arc::clone(&places));
        let (token, ready, committed) = (token.clone(), Arc::clone(&ready), Arc::clone(&committed));
        tasks.spawn(async move {
            let place = places.acquire().await.unwrap();
            let own = key();
            let words = join(&token, &format!("edge-{number}"), &own);
            let certified = running.stranger().await.identity().join(words).await.unwrap();
            let mut node = Node::new(own, certified.into_inner());
            let mut stream = Open::open(&node, running.at).await.unwrap();
            stream.take(&mut node).await;
            drop(place);
            ready.send_modify(|ready| *ready += 1);
            let received = stream.take(&mut node).await;
            let took = micros(OffsetDateTime::now_utc()) - committed.load(Ordering::Relaxed);
            assert_eq!((received.puts.len(), received.begin.resync), (1, false));
            (stream, took)
        });
    }
    all_ready.wait_for(|ready| *ready == count).await.unwrap();
    let joined = start.elapsed();
    committed.store(micros(OffsetDateTime::now_utc()), Ordering::Relaxed);
    let done = committed.load(Ordering::Relaxed);
    let revision = running.bed.put(&slice("10.0.0.1")).await;
    let (mut took, mut open) = (Vec::new(), Vec::new());
    while let Some(ended) = tasks.join_next().await {
        let (stream, micros) = ended.unwrap();
        took.push(micros);
        open.push(stream);
    }
    running.complete(revision).await;
    let whole = micros(OffsetDateTime::now_utc()) - done;
    took.sort_unstable();
    let at = |part: usize| took[(took.len() - 1) * part / 100] as f64 / 1e3;
    println!(
        "{count} nodes joined in {joined:?}; a revision reached half of them in {:.0} ms, 99 of 100 in \
         {:.0} ms, and its receipt was complete after {:.0} ms",
        at(50),
        at(99),
        whole as f64 / 1e3
    );
    let figures = running.fleet.figures();
    assert_eq!((figures.connected as i64, figures.nacks), (count, 0));
    running.fleet.flush().await;
    drop(open);
    Arc::into_inner(running).expect("all nodes have ended").stop().await;
}
