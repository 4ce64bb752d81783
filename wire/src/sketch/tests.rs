//! What a sketch says is close to what went in, however it was put together.

use super::*;

/// Numbers that look drawn, the same each time.
fn drawn(mut seed: u64) -> impl Iterator<Item = u64> {
    std::iter::from_fn(move || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let bits = seed >> 33;
        Some(bits % (1 << (1 + bits % 31)))
    })
}

fn sketch(times: &[u64]) -> Sketch {
    let mut sketch = Sketch::default();
    times.iter().for_each(|time| sketch.add(Sketch::place(*time), 1));
    sketch
}

#[test]
fn a_bucket_holds_what_is_close_to_its_middle() {
    let edges = (4..32).flat_map(|bit| [(1u64 << bit) - 1, 1 << bit, (1 << bit) + 1]);
    for micros in (0..5_000).chain(edges).chain(drawn(7).take(20_000)) {
        let place = Sketch::place(micros);
        let (middle, off) = (Sketch::middle(place), Sketch::middle(place).abs_diff(micros));
        assert!(place < Sketch::BUCKETS && off * 32 <= micros, "{micros} at {middle}");
        assert!(Sketch::place(micros + 1) >= place, "{micros}");
        assert_eq!(Sketch::place(middle), place);
    }
    assert_eq!(Sketch::place(u64::MAX), Sketch::BUCKETS - 1);
}

#[test]
fn what_so_many_did_not_exceed_is_told_within_a_thirty_second() {
    for seed in 0..50 {
        let mut times: Vec<_> = drawn(seed).take(1 + seed as usize * 37).collect();
        let sketch = sketch(&times);
        times.sort_unstable();
        for permille in [1, 500, 900, 990, 999, 1_000] {
            let rank = (times.len() * permille).div_ceil(1_000).max(1);
            let (exact, told) = (times[rank - 1], sketch.permille(permille as u32).unwrap());
            assert!(told.abs_diff(exact) * 32 <= exact, "{exact} was told as {told}");
        }
    }
    assert_eq!(Sketch::default().permille(500), None);
}

#[test]
fn parts_in_any_order_make_the_whole() {
    let times: Vec<_> = drawn(3).take(3_000).collect();
    let parts: Vec<_> = times.chunks(170).map(sketch).collect();
    let (mut forth, mut back) = (Sketch::default(), Sketch::default());
    parts.iter().for_each(|part| forth.merge(part));
    parts.iter().rev().for_each(|part| back.merge(part));
    assert_eq!(forth, sketch(&times));
    assert_eq!((&back, back.count()), (&forth, 3_000));
    parts[1..].iter().for_each(|part| back.take(part));
    assert_eq!(back, parts[0]);
    back.take(&parts[0]);
    assert_eq!(back, Sketch::default());
}
