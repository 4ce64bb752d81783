//! How one count goes on, beside a naive reading of each request that passed.

use std::collections::BTreeMap;

use model::limit::RateLimit;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn rate(more: &Value) -> Rate {
    let mut limit = json!({ "name": "l", "requests": 10, "window": "10s" });
    limit.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    Rate::of(&serde_json::from_value::<RateLimit>(limit).unwrap())
}

/// Whether each of these moments finds room, one after the other.
fn granted(rate: Rate, moments: impl IntoIterator<Item = u64>) -> Vec<bool> {
    let mut state = 0;
    let each = moments.into_iter().map(|now| {
        let next = rate.take(state, now);
        state = next.state;
        next.take.granted
    });
    each.collect()
}

fn told(rate: Rate, state: u64, now: u64) -> (bool, u64, u64, u64) {
    let take = rate.take(state, now).take;
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap();
    (take.granted, take.left, millis(take.reset), millis(take.wait))
}

#[test]
fn a_window_lets_pass_what_it_says_and_then_as_the_last_one_fades() {
    let window = rate(&json!({}));
    let all = granted(window, [0; 12]);
    assert_eq!(all.iter().filter(|granted| **granted).count(), 10);
    let mut state = 0;
    for _ in 0..10 {
        state = window.take(state, 4 * SECOND).state;
    }
    // The first has room when a tenth of the next window is over: 6 s and 1 s from now.
    assert_eq!(told(window, state, 4 * SECOND), (false, 0, 7_000, 7_000));
    assert!(!told(window, state, 11 * SECOND - 1_000).0);
    assert_eq!(told(window, state, 11 * SECOND), (true, 0, 1_000, 0));
    assert_eq!(told(window, state, 15 * SECOND), (true, 4, 5_000, 0));
    assert_eq!(told(window, state, 20 * SECOND), (true, 9, 10_000, 0));
}

#[test]
fn a_bucket_lets_its_burst_pass_and_then_a_token_at_a_time() {
    let bucket = rate(&json!({ "algorithm": "TokenBucket", "burst": 3 }));
    let moments = [0, 0, 0, 0, 999, 1_000, 1_000, 3_000, 3_000, 3_000].map(|ms| ms * 1_000_000);
    let wanted = [true, true, true, false, false, true, false, true, true, false];
    assert_eq!(granted(bucket, moments), wanted);
    assert_eq!(told(bucket, 0, 5), (true, 2, 1_000, 0));
    let empty = (0..3).fold(0, |state, _| bucket.take(state, 0).state);
    assert_eq!(told(bucket, empty, 0), (false, 0, 1_000, 1_000));
    assert_eq!(told(bucket, empty, 1_300_000_000), (true, 0, 700, 0));
}

#[test]
fn what_lies_a_little_behind_counts_into_the_window_that_has_begun() {
    let window = rate(&json!({}));
    let state = (0..10).fold(0, |state, _| window.take(state, 10 * SECOND + 5).state);
    let late = window.take(state, 10 * SECOND - 5);
    assert!(!late.take.granted);
    assert_eq!(late.state, state);
}

#[test]
fn a_bucket_that_fills_sooner_than_before_owes_no_more_than_it_holds() {
    let slow = json!({ "algorithm": "TokenBucket", "requests": 1, "window": "24h", "burst": 10 });
    let fast = rate(&json!({ "algorithm": "TokenBucket", "window": "1s" }));
    let empty = (0..10).fold(0, |state, _| rate(&slow).take(state, 0).state);
    assert_eq!(told(fast, empty, SECOND), (false, 0, 100, 100));
    // Also where somebody asks again and again.
    let state = fast.take(empty, SECOND).state;
    assert!(fast.take(state, SECOND + SECOND / 10).take.granted);
}

#[test]
fn the_largest_that_may_be_written_overflow_nothing() {
    let largest = json!({ "requests": 1_000_000, "window": "24h" });
    let slowest =
        json!({ "requests": 1, "window": "24h", "burst": 100, "algorithm": "TokenBucket" });
    for rate in [rate(&largest), rate(&slowest)] {
        let mut state = 0;
        for now in [0, 1, u64::MAX / 2, u64::MAX / 2 + 1, u64::MAX - 1] {
            let next = rate.take(state, now);
            assert!(next.take.granted && next.idle_at >= now, "{rate:?} at {now}");
            state = next.state;
        }
    }
}

#[test]
fn only_what_is_read_alike_has_one_form() {
    let bucket = |requests| json!({ "algorithm": "TokenBucket", "requests": requests });
    assert_eq!(rate(&json!({ "requests": 3 })).form(), rate(&json!({ "requests": 4 })).form());
    assert_eq!(rate(&bucket(3)).form(), rate(&bucket(4)).form());
    assert_ne!(rate(&json!({})).form(), rate(&json!({ "window": "9s" })).form());
    assert_ne!(rate(&json!({})).form(), rate(&bucket(10)).form());
}

fn period(requests: u32, period: &str) -> Rate {
    let limit = json!({ "name": "l", "requests": requests, "period": period });
    Rate::of(&serde_json::from_value::<RateLimit>(limit).unwrap())
}

/// Nanoseconds since 1970.
fn at(year: i32, month: u8, day: u8, hour: u8) -> u64 {
    let date = Date::from_calendar_date(year, Month::try_from(month).unwrap(), day).unwrap();
    let moment = date.with_hms(hour, 0, 0).unwrap().assume_utc();
    u64::try_from(moment.unix_timestamp_nanos()).unwrap()
}

#[test]
fn a_quota_holds_in_a_day_or_a_month_of_the_calendar() {
    let (day, month) = (period(2, "Day"), period(2, "Month"));
    let moments = [at(2027, 2, 28, 0), at(2027, 2, 28, 23), at(2027, 2, 28, 23), at(2027, 3, 1, 0)];
    assert_eq!(granted(day, moments), [true, true, false, true]);
    assert_eq!(granted(month, moments), [true, true, false, true]);
    let two = (0..2).fold(0, |state, _| month.take(state, at(2028, 2, 1, 0)).state);
    let days = |days: u64| days * DAY * 1_000;
    assert_eq!(told(month, two, at(2028, 2, 1, 0)), (false, 0, days(29), days(29)));
    assert_eq!(told(month, two, at(2028, 2, 29, 12)), (false, 0, days(1) / 2, days(1) / 2));
    assert_eq!(told(month, two, at(2028, 3, 1, 0)), (true, 1, days(31), 0));
    assert_eq!(told(month, 0, at(2027, 12, 31, 0)), (true, 1, days(1), 0));
    assert_eq!(told(day, 0, at(2027, 12, 31, 18)), (true, 1, days(1) / 4, 0));
}

#[test]
fn whose_time_is_a_little_behind_counts_in_the_period_that_has_begun() {
    for (rate, before) in
        [(period(1, "Day"), at(2027, 1, 30, 23)), (period(1, "Month"), at(2027, 1, 31, 23))]
    {
        let begun = before + 3_600 * SECOND;
        let state = rate.take(0, begun).state;
        let late = rate.take(state, before);
        assert_eq!((late.take.granted, late.state), (false, state));
        // Later than that it was not.
        assert!(rate.take(state, begun - 70 * DAY * SECOND).take.granted);
    }
}

#[test]
fn what_is_given_back_of_a_quota_has_not_been() {
    let rate = period(1, "Day");
    let now = at(2027, 1, 1, 1);
    let one = rate.take(0, now);
    assert!(one.take.granted && !rate.take(one.state, now).take.granted);
    assert_eq!(rate.take(rate.give_back(one.state, now), now), one);
    assert_eq!(rate.give_back(rate.give_back(one.state, now), now), rate.give_back(one.state, now));
    // Also where the next day had begun for others; nor does a later one get it.
    let next = rate.take(0, now + DAY * SECOND);
    assert_eq!(rate.take(next.state, now).take.left, 0);
    assert_eq!(rate.give_back(next.state, now), rate.give_back(next.state, now + DAY * SECOND));
    let later = rate.take(one.state, now + 2 * DAY * SECOND);
    assert_eq!(rate.give_back(later.state, now), later.state);
}

fn any_rate() -> impl Strategy<Value = Rate> {
    let window = (1..40_u64, 1..5_000_u64).prop_map(|(most, window)| Rate::Window { most, window });
    let bucket = (1..3_000_000_u64, 1..40_u64)
        .prop_map(|(interval, burst)| Rate::Bucket { interval, burst });
    let period = (1..40_u64, prop_oneof![Just(Period::Day), Just(Period::Month)])
        .prop_map(|(most, period)| Rate::Period { most, period });
    prop_oneof![2 => window, 2 => bucket, 1 => period]
}

/// Steps of at most a few windows, and often none.
fn moments() -> impl Strategy<Value = Vec<u64>> {
    let step = prop_oneof![3 => Just(0), 3 => 0..300_000_u64, 1 => 0..20_000_000_u64];
    vec(step, 1..200).prop_map(|steps| {
        steps
            .iter()
            .scan(0, |now, step| {
                *now += step;
                Some(*now)
            })
            .collect()
    })
}

/// The same by each request that was let pass, and with nothing rounded.
fn naively(rate: Rate, moments: &[u64]) -> Vec<bool> {
    let mut passed: Vec<u64> = Vec::new();
    let each = moments.iter().map(|&now| {
        let granted = match rate {
            Rate::Window { most, window } => {
                let (micros, number) = (now / 1_000, now / 1_000 / window);
                let within = |number: u64| {
                    let each = passed.iter().filter(|at| **at / 1_000 / window == number);
                    each.count() as u64
                };
                let last = number.checked_sub(1).map_or(0, within);
                // In parts of a window.
                within(number) * window + last * (window - micros % window) <= (most - 1) * window
            }
            // All these moments are of one day.
            Rate::Period { most, .. } => (passed.len() as u64) < most,
            Rate::Bucket { interval, burst } => {
                let (full, mut level, mut before) = (interval * burst, interval * burst, 0);
                for &at in &passed {
                    level = full.min(level + at - before) - interval;
                    before = at;
                }
                full.min(level + now - before) >= interval
            }
        };
        passed.extend(granted.then_some(now));
        granted
    });
    each.collect()
}

/// The state after these moments, and the last of them.
fn after(rate: Rate, moments: &[u64]) -> (u64, u64) {
    let state = moments.iter().fold(0, |state, now| rate.take(state, *now).state);
    (state, *moments.last().unwrap())
}

proptest! {
    #[test]
    fn of_each_day_or_month_as_many_pass_as_its_quota_says(
        most in 1..40_u32,
        by_month in any::<bool>(),
        steps in vec(0..3_000_000_u64, 1..300),
    ) {
        let rate = period(most, if by_month { "Month" } else { "Day" });
        let begin = at(2027, 1, 1, 0) / SECOND;
        let seconds: Vec<_> = steps.iter().scan(begin, |now, step| {
            // Many close together, and a few days on now and then.
            *now += if step % 7 == 0 { *step } else { step % 5_000 };
            Some(*now)
        }).collect();
        let passed = granted(rate, seconds.iter().map(|second| second * SECOND));
        let mut within = BTreeMap::<_, (u64, u64)>::new();
        for (second, passed) in seconds.iter().zip(passed) {
            let date = OffsetDateTime::from_unix_timestamp(i64::try_from(*second).unwrap()).unwrap();
            let day = if by_month { 0 } else { date.day() };
            let (asked, let_pass) = within.entry((date.year(), u8::from(date.month()), day)).or_default();
            *asked += 1;
            *let_pass += u64::from(passed);
        }
        for (asked, passed) in within.values() {
            prop_assert_eq!(*passed, (*asked).min(u64::from(most)));
        }
    }

    #[test]
    fn counts_agree_with_a_naive_reading(rate in any_rate(), moments in moments()) {
        prop_assert_eq!(granted(rate, moments.iter().copied()), naively(rate, &moments));
    }

    #[test]
    fn who_has_to_wait_has_room_then_and_no_sooner(
        rate in any_rate(),
        moments in moments(),
        most in 1..40_u64,
    ) {
        let (state, now) = after(rate, &moments);
        // Somebody may have made it another one meanwhile.
        let rate = match rate {
            Rate::Window { window, .. } => Rate::Window { most, window },
            Rate::Bucket { interval, .. } => Rate::Bucket { interval, burst: most },
            Rate::Period { period, .. } => Rate::Period { most, period },
        };
        let next = rate.take(state, now);
        let state = if next.take.granted { state } else { next.state };
        let wait = u64::try_from(next.take.wait.as_nanos()).unwrap();
        prop_assert!(rate.take(state, now + wait).take.granted);
        // A window goes by whole microseconds.
        let sooner = wait.checked_sub(2_000);
        prop_assert!(sooner.is_none_or(|wait| !rate.take(state, now + wait).take.granted));
    }

    #[test]
    fn what_is_idle_says_no_more_than_nothing(rate in any_rate(), moments in moments()) {
        let (state, now) = after(rate, &moments);
        let next = rate.take(state, now);
        prop_assert!(next.idle_at >= now);
        let at = next.idle_at;
        prop_assert_eq!(rate.take(next.state, at).take, rate.take(0, at).take);
    }

    #[test]
    fn who_is_a_little_behind_opens_nothing(
        rate in any_rate(),
        moments in moments(),
        behind in vec(0..3_000_000_u64, 200),
    ) {
        let most = match rate {
            Rate::Window { window, .. } => (LATE / 2) * window * 1_000,
            Rate::Bucket { .. } | Rate::Period { .. } => BEHIND,
        };
        let late = moments.iter().zip(behind);
        let late = late.map(|(now, behind)| now.saturating_sub(behind.min(most)));
        let late: Vec<_> = late.collect();
        let passed = late.iter().zip(granted(rate, late.iter().copied()));
        match rate {
            // Each counts in the window that has begun for the latest before it.
            Rate::Window { most, window } => {
                let (mut latest, mut within) = (0, BTreeMap::<_, u64>::new());
                for (now, granted) in passed {
                    latest = latest.max(now / 1_000 / window);
                    *within.entry(latest).or_default() += u64::from(granted);
                }
                prop_assert!(within.values().all(|passed| *passed <= most), "{within:?}");
            }
            Rate::Period { most, .. } => {
                let passed = passed.filter(|(_, granted)| *granted).count() as u64;
                prop_assert_eq!(passed, most.min(moments.len() as u64));
            }
            Rate::Bucket { interval, burst } => {
                let passed = passed.filter(|(_, granted)| *granted).count() as u64;
                let span = late.iter().max().unwrap() - late.iter().min().unwrap();
                prop_assert!(passed <= burst + span / interval + 1, "{passed} passed");
            }
        }
    }

    #[test]
    fn what_is_given_back_has_not_been(rate in any_rate(), moments in moments()) {
        let (state, now) = after(rate, &moments);
        let next = rate.take(state, now);
        if next.take.granted {
            let back = rate.give_back(next.state, now);
            prop_assert_eq!(rate.take(back, now).take, next.take);
        }
    }

    #[test]
    fn as_many_are_left_as_it_says_for_as_long(
        rate in any_rate(),
        moments in moments(),
        part in 0..1_000_u64,
    ) {
        let (state, now) = after(rate, &moments);
        let next = rate.take(state, now);
        let reset = u64::try_from(next.take.reset.as_nanos()).unwrap();
        let takes = |mut state, now| {
            for _ in 0..next.take.left {
                let next = rate.take(state, now);
                prop_assert!(next.take.granted);
                state = next.state;
            }
            Ok(state)
        };
        let state_of_all = takes(next.state, now)?;
        prop_assert!(!rate.take(state_of_all, now).take.granted);
        takes(next.state, now + reset * part / 1_000)?;
        // Where none is left it says when there is one.
        prop_assert!(next.take.left > 0 || rate.take(next.state, now + reset).take.granted);
    }

    #[test]
    fn a_bucket_holds_one_more_when_it_says(
        (interval, burst) in (1..3_000_000_u64, 2..40_u64),
        moments in moments(),
    ) {
        let rate = Rate::Bucket { interval, burst };
        let (state, now) = after(rate, &moments);
        let Next { take: Take { left, reset, .. }, state, .. } = rate.take(state, now);
        let at = now + u64::try_from(reset.as_nanos()).unwrap();
        // One is taken in asking.
        prop_assert_eq!(rate.take(state, at).take.left, left);
        prop_assert!(left == 0 || rate.take(state, at - 1).take.left == left - 1);
    }
}
