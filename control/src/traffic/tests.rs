//! What is kept of counts: each once, for as long as the window goes back, and so much and no more.

use std::borrow::Cow;

use model::Name;
use wire::Sketch;

use super::*;

const NOW: i64 = 1_800_000_000_000_000;
const SECOND: i64 = 1_000_000;

fn workspace(name: &str) -> Scope {
    Scope::Workspace(Name::parse(name).unwrap())
}

fn node(id: &str) -> Arc<Teller> {
    let word = |word: &str| word.to_owned();
    Arc::new(Teller { id: word(id), cluster: word("east"), kind: word("mesh"), name: word(id) })
}

fn series(backend: &str, count: u32) -> Series {
    let mut latency = Sketch::default();
    latency.add(Sketch::place(1_000), count);
    let outcomes = [u64::from(count), 0, 0, 0, 0, 0];
    Series { backend: Some(backend.to_owned()), outcomes, latency, ..Series::default() }
}

/// Counts of the last second.
fn counts(number: u64, series: Vec<Series>) -> Counts {
    Counts { start: 1, number, ago: 0, lasted: 1_000_000, series }
}

fn keep(traffic: &Traffic, counts: Counts, now: i64) {
    traffic.keep(&node("n1"), counts, |_| (workspace("shop"), 0), now);
}

/// How many there were in the last `seconds`, and of how many something is known of the latency.
fn sum(traffic: &Traffic, grain: Grain, seconds: i64, now: i64) -> (u64, u64) {
    let sums = traffic.sums(grain, (seconds * SECOND, now), |_| Some(()));
    let cells = sums.values().flat_map(BTreeMap::values);
    let sum = cells.map(|cell| (cell.requests(), cell.latency.count()));
    sum.fold((0, 0), |(requests, known), (more, also)| (requests + more, known + also))
}

/// These cells together, one by one.
fn added<'c>(cells: impl Iterator<Item = (i64, &'c Cell)>) -> Option<Cell> {
    cells.fold(None, |sum, (_, cell)| {
        let mut sum = sum.unwrap_or_default();
        sum.merge(cell);
        Some(sum)
    })
}

#[test]
fn what_is_told_again_counts_once_and_a_process_that_began_anew_counts_again() {
    let traffic = Traffic::default();
    for number in [1, 1, 2, 1] {
        keep(&traffic, counts(number, vec![series("a", 10)]), NOW);
    }
    assert_eq!(sum(&traffic, FINE, 60, NOW), (20, 20));
    let anew = Counts { start: 2, ..counts(1, vec![series("a", 10)]) };
    keep(&traffic, anew, NOW);
    assert_eq!(sum(&traffic, FINE, 60, NOW), (30, 30));
    traffic.keep(&node("n2"), counts(1, vec![series("a", 10)]), |_| (workspace("shop"), 0), NOW);
    assert_eq!(sum(&traffic, COARSE, 900, NOW), (40, 40));
}

#[test]
fn the_window_goes_on_with_time_and_is_bounded() {
    let traffic = Traffic::default();
    for number in 0..3_600 {
        let took = Sketch::place(1_000 + number % 7 * 1_000);
        let mut one = series("a", 1);
        one.latency.add(took, 2);
        keep(&traffic, counts(number, vec![one]), NOW + number as i64 * SECOND);
        let window = traffic.window();
        let counted = &window.series.iter().next().unwrap().1.1;
        for ring in [&counted.fine, &counted.coarse] {
            assert!(ring.since(0).count() <= 31);
            let first = ring.since(0).nth(number as usize % 31).map_or(i64::MAX, |(at, _)| at);
            assert_eq!(ring.sum_since(first).map(Cow::into_owned), added(ring.since(first)));
            let outcomes = ring.sum_since(first).map(|sum| sum.outcomes);
            assert_eq!(ring.outcomes_since(first), outcomes);
        }
    }
    let end = NOW + 3_599 * SECOND;
    let (minute, _) = sum(&traffic, FINE, 60, end);
    let (quarter, _) = sum(&traffic, COARSE, 900, end);
    assert!((58..=60).contains(&minute) && (870..=900).contains(&quarter), "{minute} {quarter}");
    assert_eq!(sum(&traffic, FINE, 60, end + 62 * SECOND), (0, 0));
    // Whoever comes next sweeps.
    keep(&traffic, counts(9_999, Vec::new()), end + WINDOW + 60 * SECOND);
    assert_eq!(traffic.figures().series, 0);
    assert!(traffic.window().of_scope.is_empty());
}

#[test]
fn counts_beyond_all_bounds_take_nothing_from_others_when_they_are_over() {
    let traffic = Traffic::default();
    let mut endless = series("a", u32::MAX);
    endless.outcomes = [u64::MAX; OUTCOMES];
    keep(&traffic, counts(1, vec![endless.clone(), endless]), NOW);
    let honest = NOW + 10 * SECOND;
    keep(&traffic, counts(2, vec![series("a", 100)]), honest);
    let total = |seconds: i64, now: i64| {
        let sums = traffic.totals(FINE, (seconds * SECOND, now), |_| Some(()));
        let sums = sums.into_values().map(|cell| (cell.requests(), cell.latency.count()));
        let outcomes = traffic.outcomes(FINE, (seconds * SECOND, now), |_| Some(()));
        let outcomes = outcomes.into_values().map(|outcomes| total(&outcomes));
        (sums.collect::<Vec<_>>(), outcomes.collect::<Vec<_>>())
    };
    assert_eq!(total(60, honest).1, [u64::MAX]);
    assert_eq!(
        total(4, honest),
        (vec![(100, 100)], vec![100]),
        "those of before are not asked for"
    );
    // The endless step is over, the other is not.
    keep(&traffic, counts(3, vec![series("a", 1)]), NOW + 64 * SECOND);
    assert_eq!(total(60, NOW + 64 * SECOND), (vec![(101, 101)], vec![101]));
}

#[test]
fn a_long_stretch_is_spread_over_its_time_and_what_is_older_is_told_as_late() {
    let traffic = Traffic::default();
    let long = Counts { lasted: 120_000_000, ..counts(1, vec![series("a", 1_201)]) };
    keep(&traffic, long, NOW);
    let (minute, _) = sum(&traffic, FINE, 60, NOW);
    assert!((580..=640).contains(&minute), "{minute}");
    assert_eq!(sum(&traffic, COARSE, 900, NOW), (1_201, 1_201));
    let late = Counts { ago: 16 * 60_000_000, ..counts(2, vec![series("a", 7)]) };
    keep(&traffic, late, NOW);
    let endless = Counts { ago: u64::MAX, lasted: u64::MAX, ..counts(3, vec![series("a", 1)]) };
    keep(&traffic, endless, NOW);
    assert_eq!(traffic.figures(), Figures { series: 1, requests: 1_201, folded: 0, late: 8 });
    let forever = Counts { lasted: u64::MAX, ..counts(4, vec![series("a", 1)]) };
    keep(&traffic, forever, NOW);
    assert!(sum(&traffic, COARSE, 900, NOW).0 <= 1_202);
}

#[test]
fn a_scope_that_has_all_it_may_leaves_room_for_others() {
    let traffic = Traffic::default();
    let tell = |scope: &str, from: usize, count: usize| {
        for number in from..from + count {
            let series = vec![series(&format!("b-{number}"), 1)];
            traffic.keep(
                &node(scope),
                counts(number as u64 + 1, series),
                |_| (workspace(scope), 0),
                NOW,
            );
        }
    };
    tell("greedy", 0, OF_A_SCOPE + 50);
    assert_eq!(traffic.figures().series, OF_A_SCOPE + 1, "and its others");
    assert_eq!((traffic.figures().folded, traffic.figures().requests), (50, 4_050));
    for scope in ["b", "c", "d"] {
        tell(scope, 0, OF_A_SCOPE);
    }
    // Each gets half of what the others leave; who has it gets no more, and nobody loses any.
    let window = traffic.window();
    let of = |scope| window.of_scope[&workspace(scope)];
    assert_eq!(of("greedy"), OF_A_SCOPE + 1);
    let shares = ["b", "c", "d"].map(of);
    assert_eq!(shares, [3_000, 1_500, 750], "with its others");
    drop(window);
    assert!(traffic.figures().series < SERIES);
    let known = traffic.sums(FINE, (60 * SECOND, NOW), |label| Some(label.scope.clone()));
    let all: u64 = known[&workspace("greedy")].values().map(Cell::requests).sum();
    assert_eq!(all, 4_050, "sums stay true");
}

#[test]
fn who_told_just_now_is_heard() {
    let traffic = Traffic::default();
    keep(&traffic, counts(1, Vec::new()), NOW);
    assert!(traffic.hears("n1", NOW + SECOND) && !traffic.hears("n2", NOW));
    assert!(!traffic.hears("n1", NOW + 16 * SECOND));
}
