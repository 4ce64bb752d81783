//! What nodes tell of requests, from the wire to whoever asks.

use store::decision::By;
use wire::{Decision, Told};

use super::node::Telling;
use super::*;

fn decision(span: u64, request: &str) -> Decision {
    Decision {
        span: format!("{span:016x}"),
        trace: "a".repeat(32),
        request: request.to_owned(),
        at: micros(OffsetDateTime::now_utc()) - 1_000_000,
        reason: "ok".to_owned(),
        status: Some(200),
        ..Decision::default()
    }
}

fn told(number: u64, decisions: Vec<Decision>, dropped: u64) -> Told {
    Told { number, decisions, dropped }
}

#[tokio::test]
async fn what_a_node_tells_is_kept_once_and_found_after_a_restart() {
    let running = Running::new().await;
    let node = running.node("east", "edge-1").await;
    let mut telling = Telling::open(&node, running.at).await.unwrap();
    let batch = vec![decision(1, "r-1"), decision(2, "r-2")];
    assert_eq!(telling.tell(told(7, batch.clone(), 3)).await.unwrap(), 7);
    assert_eq!(telling.tell(told(8, batch.clone(), 5)).await.unwrap(), 8, "told again");
    drop(telling);
    let mut telling = Telling::open(&node, running.at).await.unwrap();
    assert_eq!(telling.tell(told(1, batch, 1)).await.unwrap(), 1, "and by another stream");
    let figures = running.fleet.figures();
    assert_eq!((figures.decisions, figures.dropped), (2, 6), "the node began anew");
    let text = figures.exposition();
    for line in ["heddle_server_decisions_total 2", "heddle_server_decisions_dropped_total 6"] {
        assert!(text.contains(line), "{text}");
    }
    let app = App::new(running.bed.store.clone());
    let way = app.request_show(&crate::test::op(), "r-1").await.unwrap();
    let [crate::app::Hop::Shown(hop), crate::app::Hop::Shown(_)] = way.hops.as_slice() else {
        panic!("{way:?}")
    };
    assert_eq!((hop.by.name.as_str(), hop.by.cluster.as_str()), ("edge-1", "east"));
    assert_eq!(hop.words, ["gateway edge-1 of east let it pass"]);
    running.stop().await;
}

#[tokio::test]
async fn what_a_node_counts_is_kept_once_over_all_its_streams() {
    let running = Running::new().await;
    let node = running.node("east", "edge-1").await;
    let series = wire::Series { outcomes: [5, 0, 0, 0, 1, 0], ..wire::Series::default() };
    let counts = |start, number| wire::Counts {
        start,
        number,
        ago: 0,
        lasted: 1_000_000,
        series: vec![series.clone()],
    };
    let mut counting = Telling::counting(&node, running.at).await.unwrap();
    assert_eq!(counting.tell(counts(1, 1)).await.unwrap(), 1);
    drop(counting);
    // It did not hear that the first was kept.
    let mut counting = Telling::counting(&node, running.at).await.unwrap();
    assert_eq!(counting.tell(counts(1, 1)).await.unwrap(), 1);
    assert_eq!(counting.tell(counts(1, 2)).await.unwrap(), 2);
    let figures = running.bed.app.traffic().figures();
    assert_eq!((figures.requests, figures.series), (12, 1));
    let many = wire::Counts { series: vec![series.clone(); wire::SERIES + 1], ..counts(1, 3) };
    assert!(counting.tell(many).await.is_err());
    assert!(crate::test::forget(&running.bed.store, &node.certified.node_id).await);
    let refused = Telling::counting(&node, running.at).await.err().unwrap();
    assert_eq!(refused.code(), Code::Unauthenticated);
    running.stop().await;
}

#[tokio::test]
async fn who_is_no_node_or_was_forgotten_tells_nothing() {
    let running = Running::new().await;
    let refused = Telling::over(running.stranger().await).await.err().unwrap();
    assert_eq!(refused.code(), Code::Unauthenticated);
    let node = running.node("east", "edge-1").await;
    let mut telling = Telling::open(&node, running.at).await.unwrap();
    assert_eq!(telling.tell(told(1, vec![decision(1, "r-1")], 0)).await.unwrap(), 1);
    assert!(crate::test::forget(&running.bed.store, &node.certified.node_id).await);
    let refused = telling.tell(told(2, vec![decision(2, "r-1")], 0)).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    assert!(refused.message().contains("forgotten"), "{}", refused.message());
    let refused = Telling::open(&node, running.at).await.err().unwrap();
    assert_eq!(refused.code(), Code::Unauthenticated);
    let kept = running.bed.store.decision_find(By::Request("r-1"), 9).await.unwrap();
    assert_eq!(kept.len(), 1);
    running.stop().await;
}

#[tokio::test]
async fn a_node_whose_clock_is_ahead_tells_of_now_and_nonsense_is_left_out() {
    let running = Running::new().await;
    let node = running.node("east", "edge-1").await;
    let mut telling = Telling::open(&node, running.at).await.unwrap();
    let ahead = Decision { at: i64::MAX, ..decision(1, "r-1") };
    let nameless = Decision { span: String::new(), ..decision(2, "r-1") };
    let kept = telling.tell(told(1, vec![nameless, ahead], 0)).await.unwrap();
    assert_eq!(kept, 1, "the rest of the batch is kept");
    let kept = running.bed.store.decision_find(By::Request("r-1"), 9).await.unwrap();
    let now = micros(OffsetDateTime::now_utc());
    assert_eq!(kept.len(), 1);
    assert!((now - 60_000_000..=now).contains(&kept[0].decision.at), "{}", kept[0].decision.at);
    running.stop().await;
}

#[tokio::test]
async fn a_batch_that_is_too_large_ends_the_stream_and_so_does_the_server() {
    let running = Running::new().await;
    let node = running.node("east", "edge-1").await;
    let mut telling = Telling::open(&node, running.at).await.unwrap();
    let many = vec![decision(1, "r-1"); wire::DECISIONS + 1];
    assert!(telling.tell(told(1, many, 0)).await.is_err());
    let mut telling = Telling::open(&node, running.at).await.unwrap();
    let heavy = Decision { detail: Some("x".repeat(3 << 20)), ..decision(1, "r-1") };
    assert!(telling.tell(told(1, vec![heavy], 0)).await.is_err());
    let mut telling = Telling::open(&node, running.at).await.unwrap();
    assert_eq!(telling.tell(told(1, vec![decision(1, "r-1")], 0)).await.unwrap(), 1);
    running.stop().await;
    assert_eq!(telling.next().await.unwrap_err().code(), Code::Unavailable);
}
