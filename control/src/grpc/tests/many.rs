//! Many nodes at once: what one revision costs them all together.

use std::time::Instant;

use super::*;

/// As many nodes as `HEDDLE_SOAK_COUNT` says, a few where it says nothing.
#[tokio::test(flavor = "multi_thread")]
async fn many_nodes_learn_of_a_revision_together() {
    let count = std::env::var("HEDDLE_SOAK_COUNT").map_or(12, |count| count.parse().unwrap());
    let running = Running::new().await;
    let token = running.token("east", count).await;
    let start = Instant::now();
    let mut streams = Vec::new();
    for number in 0..count {
        let own = key();
        let words = join(&token, &format!("edge-{number}"), &own);
        let certified = running.stranger().await.identity().join(words).await.unwrap();
        let mut node = Node::new(own, certified.into_inner());
        let mut stream = Open::open(&node, running.at).await.unwrap();
        stream.take(&mut node).await;
        streams.push((stream, node));
    }
    let joined = start.elapsed();
    let done = micros(OffsetDateTime::now_utc());
    let revision = running.bed.put(&slice("10.0.0.1")).await;
    let mut tasks = JoinSet::new();
    for (mut stream, mut node) in streams {
        tasks.spawn(async move {
            let received = stream.take(&mut node).await;
            assert_eq!((received.puts.len(), received.begin.resync), (1, false));
            (stream, micros(OffsetDateTime::now_utc()) - done)
        });
    }
    let mut took = Vec::new();
    let mut open = Vec::new();
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
    running.stop().await;
}
