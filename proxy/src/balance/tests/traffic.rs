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
    let failures =
        |service: &Service| [500, 503].map(|status| service.ejection().is_failure(status));
    assert_eq!((failures(&usual), failures(&told)), ([false, true], [true, false]));
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
