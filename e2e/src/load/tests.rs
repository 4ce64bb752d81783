//! The load generator counts what was sent, and corrects for its own waiting.

use std::time::Instant;

use super::*;

fn plan(rate: f64) -> Plan {
    Plan {
        target: SocketAddr::from(([127, 0, 0, 1], 1)),
        protocol: Protocol::H1,
        host: "localhost".to_owned(),
        path: "/".to_owned(),
        body: Some(2),
        ca: None,
        connections: 1,
        rate,
        warmup: Duration::from_secs(1),
        duration: Duration::from_secs(2),
    }
}

#[test]
fn quantiles_are_within_one_percent_of_the_truth() {
    let mut histogram = Histogram::default();
    for micros in 1..=100_000 {
        histogram.record(Duration::from_micros(micros));
    }
    for (q, truth) in [(0.0, 1.0), (0.5, 50_000.0), (0.99, 99_000.0), (0.999, 99_900.0)] {
        let found = histogram.quantile(q).as_nanos() as f64 / 1e3;
        assert!(found >= truth && found <= truth * 1.01, "q {q}: {found} for {truth}");
    }
    assert_eq!(histogram.quantile(1.0), Duration::from_millis(100));
    assert_eq!(histogram.total(), 100_000);
}

#[test]
fn every_duration_has_a_bucket_that_holds_it() {
    for shift in 0..64 {
        for nanos in [1_u64 << shift, (1_u64 << shift) | ((1_u64 << shift) >> 1), u64::MAX >> shift]
        {
            let mut histogram = Histogram::default();
            histogram.record(Duration::from_nanos(nanos));
            assert_eq!(histogram.quantile(0.5), Duration::from_nanos(nanos));
        }
    }
}

#[test]
fn merged_histograms_count_both() {
    let (mut low, mut high) = (Histogram::default(), Histogram::default());
    low.record(Duration::from_nanos(10));
    high.record(Duration::from_secs(1));
    low.merge(&high);
    assert_eq!((low.total(), low.max()), (2, Duration::from_secs(1)));
    assert_eq!(low.quantile(0.5), Duration::from_nanos(10));
}

#[test]
fn tickets_are_due_at_the_rate_and_warm_up_is_not_counted() {
    let start = Instant::now();
    let schedule = Schedule::new(&plan(1000.0), start);
    let tickets: Vec<_> = std::iter::from_fn(|| schedule.take()).collect();
    assert_eq!(tickets.len(), 3000);
    assert_eq!(tickets.iter().filter(|ticket| ticket.counted).count(), 2000);
    assert_eq!(tickets[1500].due, start + Duration::from_millis(1500));
}

#[test]
fn a_late_answer_is_charged_from_the_moment_it_was_meant_to_leave() {
    let due = Instant::now().checked_sub(Duration::from_secs(3)).unwrap();
    let mut tally = Tally::default();
    tally.add(Ticket { due, counted: true }, Reply { status: 200, body: 2 }, &plan(1.0));
    assert!(tally.latency.quantile(0.5) >= Duration::from_secs(3));
}

#[test]
fn answers_other_than_asked_for_have_no_latency() {
    let ticket = Ticket { due: Instant::now(), counted: true };
    let mut tally = Tally::default();
    tally.add(ticket, Reply { status: 503, body: 2 }, &plan(1.0));
    tally.add(ticket, Reply { status: 200, body: 3 }, &plan(1.0));
    assert_eq!((tally.non_200, tally.wrong_length, tally.latency.total()), (1, 1, 0));
    assert!(!tally.is_clean());
}

#[test]
fn a_head_without_length_is_refused() {
    let whole = b"HTTP/1.1 200 OK\r\nDate: x\r\ncontent-LENGTH:  12\r\n\r\n";
    assert_eq!(http1::parse_head(whole).unwrap(), (200, 12));
    assert!(http1::parse_head(b"HTTP/1.1 200 OK\r\nDate: x\r\n\r\n").is_err());
    assert!(http1::parse_head(b"nonsense\r\n\r\n").is_err());
}
