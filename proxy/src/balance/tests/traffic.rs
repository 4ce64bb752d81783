//! What a TrafficPolicy says of failures, and of what leads to the same endpoint.

use std::net::IpAddr;

use serde_json::{Value, json};

use super::*;

/// So many endpoints under a TrafficPolicy that says this.
fn under(count: u16, spec: Value) -> Service {
    let mut policy = json!({ "metadata": { "name": "calm", "namespace": "shop" } });
    policy["spec"] = spec;
    policy["spec"]["targetRefs"] = json!([{ "group": "", "kind": "Service", "name": "cart" }]);
    let policy: model::traffic::TrafficPolicy = serde_json::from_value(policy).unwrap();
    Service { traffic: Some(Arc::new(policy)), ..service(count) }
}

#[test]
fn a_policy_says_how_many_failures_are_too_many_and_for_how_long() {
    let rule = json!({ "consecutive": 2, "rest": "3s", "maxPercent": 75 });
    let service = under(4, json!({ "ejection": rule }));
    let rests = |index: usize| service.endpoints[index].load.rests(1);
    let fail = |index: usize| service.judge(&service.endpoints[index], Said::Failed, (1, 1));
    (0..4).for_each(fail);
    assert_eq!([0, 1, 2, 3].map(rests), [Duration::ZERO; 4]);
    (0..4).for_each(fail);
    let three = Duration::from_secs(3);
    assert_eq!([0, 1, 2, 3].map(rests), [three, three, three, Duration::ZERO]);
    let usual = self::service(1);
    let told = json!({ "ejection": { "codes": [500] } });
    let told = under(1, told);
    let failures = |service: &Service| {
        let is_failure = |status: &u16| service.ejection().is_failure(*status);
        (400..600).filter(is_failure).collect::<Vec<_>>()
    };
    assert_eq!((failures(&usual), failures(&told)), (vec![500, 502, 503, 504], vec![500]));
}

#[test]
fn one_that_cannot_be_reached_takes_nobody_elses_rest() {
    let service = under(3, json!({}));
    let [gone, ill, well] = &service.endpoints[..] else { panic!("there are three") };
    gone.load.unreached(1, 1);
    let fail = |one: &Endpoint| (0..5).for_each(|_| service.judge(one, Said::Failed, (1, 1)));
    fail(ill);
    assert!(ill.load.is_ejected() && !gone.load.is_ejected());
    // The last one that is well serves on, and tells what it is like.
    assert_eq!(service.bears_with(well), None);
    fail(well);
    assert!(well.load.is_well());
    assert_eq!([gone, ill, well].map(|one| service.bears_with(one)), [None, None, Some(5)]);
    let all = under(1, json!({ "ejection": { "maxPercent": 100 } }));
    (0..5).for_each(|_| all.judge(&all.endpoints[0], Said::Failed, (1, 1)));
    assert!(all.endpoints[0].load.is_ejected(), "all may rest");
}

#[test]
fn a_trial_that_fails_ejects_no_more_than_may_be() {
    let service = under(4, json!({}));
    let fail = |index: usize, times: u32, now: u64| {
        let one = &service.endpoints[index];
        (0..times).for_each(|_| service.judge(one, Said::Failed, (now, now)));
    };
    (0..2).for_each(|index| fail(index, 5, 1));
    let gone = &service.endpoints[2].load;
    gone.unreached(1, 1);
    let later = Duration::from_secs(2).as_nanos() as u64;
    fail(2, 1, later);
    assert_eq!(gone.rests(later), Duration::from_secs(2), "it rests on");
    assert!(!gone.is_ejected(), "two of four do for that");
    fail(0, 1, later);
    assert!(service.endpoints[0].load.is_ejected());
}

#[test]
fn of_two_troubles_the_one_is_told_that_counts() {
    let service = under(3, json!({}));
    let one = &service.endpoints[0];
    one.load.checked(false, 1);
    one.load.fails_checks("refused");
    (0..5).for_each(|_| service.judge(one, Said::Failed, (1, 1)));
    assert_eq!(&*one.load.trouble(), "it fails its health checks: refused");
    one.load.checked(true, 2);
    assert_eq!(&*one.load.trouble(), "5 requests in a row failed there");
}

#[test]
fn failures_are_counted_for_as_long_as_the_policy_says() {
    let second = Duration::from_secs(1).as_nanos() as u64;
    for (interval, is_too_much) in [("30s", true), ("5s", false)] {
        let rule = json!({ "consecutive": 0, "percent": 100, "minimumRequests": 2,
            "interval": interval });
        let rule: Ejection = serde_json::from_value(rule).unwrap();
        let load = Load::default();
        assert!(!load.fails(Said::Failed, 61 * second, &rule));
        assert_eq!(load.fails(Said::Failed, 75 * second, &rule), is_too_much, "{interval}");
    }
}

#[test]
fn what_a_policy_hashes_on_decides() {
    let headers = |name: &'static str, value: &str| {
        let mut headers = http::HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        headers
    };
    let near = |last: u8| IpAddr::from([192, 0, 2, last]);
    let key = |on: Value, name, value: &str, source| {
        let balance = json!({ "algorithm": "RingHash", "hashOn": on });
        under(1, json!({ "balance": balance })).key(&headers(name, value), source)
    };
    let cases = [
        (json!({ "header": "X-User" }), "x-user", ["ada", "bob"], [true, false]),
        (json!({ "cookie": "cart" }), "cookie", ["cart=1", "cart=2"], [true, false]),
        (json!({ "source": true }), "x-user", ["ada", "bob"], [false, true]),
    ];
    for (on, name, [one, other], [by_value, by_source]) in cases {
        let first = key(on.clone(), name, one, near(1));
        assert!(first.is_some(), "{on}");
        assert_eq!(first != key(on.clone(), name, other, near(1)), by_value, "{on}");
        assert_eq!(first != key(on.clone(), name, one, near(2)), by_source, "{on}");
    }
}
