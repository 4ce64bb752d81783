//! Which share of the requests stays in the own zone.

use super::*;

const SECOND: u64 = 1_000_000_000;

/// So many endpoints, of which the first ones are in the own zone.
fn zoned(own: usize, count: u16, by: Algorithm) -> Service {
    let mut service = spread(count, &algorithm(by));
    service.own = own;
    service
}

/// How many of a thousand requests stay.
fn stay(service: &Service, now: u64) -> usize {
    counts(service, many(1000).map(|n| by(now, n)))[..service.own].iter().sum()
}

fn rest(service: &Service, index: usize) {
    service.endpoints[index].load.eject(5, Duration::from_secs(9));
}

#[track_caller]
fn assert_near(stays: usize, wanted: usize) {
    // Five standard deviations of the widest of these are 79.
    assert!(stays.abs_diff(wanted) <= 79, "{stays} of 1000 stay, not about {wanted}");
}

#[test]
fn all_stay_while_enough_are_well_and_each_of_them_gets_its_share() {
    for by in [Algorithm::RoundRobin, Algorithm::Random, Algorithm::PeakEwma] {
        let service = zoned(4, 10, by);
        let counted = counts(&service, many(1000).map(|n| self::by(5, n)));
        assert_eq!(counted[..4].iter().sum::<usize>(), 1000, "{by:?}: {counted:?}");
        assert!(counted[..4].iter().all(|count| *count > 150), "{by:?}: {counted:?}");
        rest(&service, 0);
        assert_eq!(stay(&service, 6), 1000, "{by:?}: three of four bear what four would");
    }
}

#[test]
fn what_too_few_that_are_well_do_not_bear_goes_elsewhere() {
    let service = zoned(4, 10, Algorithm::RoundRobin);
    for (index, wanted) in [(0, 1000), (1, 700), (2, 350), (3, 0)] {
        rest(&service, index);
        assert_near(stay(&service, 6), wanted);
    }
    assert_eq!(stay(&service, 6), 0);
}

#[test]
fn where_few_are_well_anywhere_both_get_what_they_bear() {
    let service = zoned(2, 4, Algorithm::Random);
    // One of two is well here, and one there: 0.7 and 0.3 of what is left.
    rest(&service, 0);
    rest(&service, 2);
    assert_near(stay(&service, 6), 700);
    // Here one of two, there none: what is here gets all.
    rest(&service, 3);
    assert_eq!(stay(&service, 6), 1000);
}

#[test]
fn whoever_has_rested_in_the_own_zone_is_tried_by_one_request() {
    let service = zoned(1, 3, Algorithm::LeastRequest);
    service.endpoints[0].load.eject(5, Duration::from_secs(1));
    assert_eq!(stay(&service, SECOND), 0);
    assert_eq!(stay(&service, 5 + SECOND), 1, "one tries it, though nothing else stays");
    let load = &service.endpoints[0].load;
    load.answered(2 * SECOND, 2 * SECOND, Duration::from_millis(1), Said::Well);
    assert_eq!(stay(&service, 2 * SECOND), 1000);
}

#[test]
fn another_zone_comes_before_another_cluster_but_for_the_last_try() {
    let mut service = zoned(1, 3, Algorithm::PeakEwma);
    service.near = 2;
    let at = |index: usize| service.endpoints[index].address;
    let next =
        |tried: &[SocketAddr], is_last| port(pick(&service, tried, is_last, by(5, 7)).unwrap());
    assert_eq!(next(&[], false), 1);
    assert_eq!((next(&[at(0)], false), next(&[at(0)], true)), (2, 3));
    assert_eq!(next(&[at(0), at(1)], false), 3);
    rest(&service, 0);
    assert_eq!(next(&[], false), 2);
    rest(&service, 1);
    assert_eq!(next(&[], false), 3);
}

#[test]
fn without_endpoints_in_the_own_zone_or_elsewhere_nothing_is_preferred() {
    for own in [0, 3] {
        let service = zoned(own, 3, Algorithm::RoundRobin);
        assert_eq!(counts(&service, many(30).map(|n| by(5, n))), [10; 3]);
    }
}
