//! Every way in which an answer can be wrong counts as that.

use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;
use e2e::soak;

use super::*;
use crate::asked::What;

/// What is asked.
fn asked(number: u64, what: What) -> Asked {
    Asked { route: 2, due: Instant::now(), number, what }
}

/// An answer of `version` by `origin`, as the gateway would label it.
fn labelled(version: u64, origin: &str, backend: &str, route: u64, table: &str) -> Reply {
    let debug = format!("table={table} route=shop/r{route}/0 backend=shop/{backend}:80");
    let named = [
        ("x-version", version.to_string()),
        ("x-origin", origin.to_owned()),
        ("x-told", asked(1, What::Plain).wanted().told),
    ];
    let headers = named.into_iter().chain([("heddle-debug", debug)]);
    let headers = headers.map(|(name, value)| {
        let value = value.parse().expect("a header value");
        (http::HeaderName::from_static(name), value)
    });
    Reply {
        version: http::Version::HTTP_11,
        status: 200,
        headers: headers.collect(),
        body: origin.to_owned().into(),
        trailers: None,
    }
}

#[test]
fn every_way_to_stray_is_noticed() {
    let plan = Plan { seed: 3 };
    // A version in which one origin of a Service with some weight is ready and the other is not.
    let with_weight = |version, wanted| {
        let weights = plan.weights(version, 2);
        weights.iter().position(|weight| (*weight > 0) == wanted)
    };
    let found = (5..100).find_map(|version| {
        let (given, spared) = (with_weight(version, true)?, with_weight(version, false)?);
        let ready = plan.ready(version, given as u64);
        let is_ready_at = |wanted| ready.iter().position(|is_ready| *is_ready == wanted);
        Some((version, given, spared, is_ready_at(true)?, is_ready_at(false)?))
    });
    let (version, given, spared, ready, idle) = found.expect("chance gives one of a hundred");
    let named = |index: usize, copy: usize| format!("{}{}", ORIGINS[index], COPIES[copy]);
    let (well, ill) = (named(given, ready), named(given, idle));
    let other = named(spared, 0);
    let (given, spared) = (ORIGINS[given], ORIGINS[spared]);
    let judge = || {
        let nowhere = Places::new(std::iter::empty(), [1, 2]);
        let judge = Judge::new(plan, nowhere, Authority::new(), 1);
        judge.written(version + 1);
        judge
    };
    let right = labelled(version, &well, given, 2, "t5");
    let plain = asked(1, What::Plain);
    assert_eq!(judge().answer(&plain, version - 1, &right), Some(version));
    let strays = judge();
    assert_eq!(
        strays.answer(&asked(2, What::Plain), version - 1, &right),
        None,
        "another's answer"
    );
    assert!(!strays.is_clean());
    for (what, since, reply) in [
        ("an old version", version + 1, right.clone()),
        ("a version to come", 4, labelled(version + 2, &well, given, 2, "t7")),
        ("a backend without weight", 4, labelled(version, &other, spared, 2, "t5")),
        ("an endpoint that is not ready", 4, labelled(version, &ill, given, 2, "t5")),
        ("an origin that nobody knows", 4, labelled(version, "o9", given, 2, "t5")),
        ("a label that lies", 4, labelled(version, &well, spared, 2, "t5")),
        ("another route", 4, labelled(version, &well, given, 3, "t5")),
        ("no status 200", 4, Reply { status: 503, ..right.clone() }),
        ("a body that is another's", 4, Reply { body: "o9".into(), ..right.clone() }),
    ] {
        let judge = judge();
        assert_eq!(judge.answer(&plain, since, &reply), None, "{what}");
        assert!(!judge.is_clean(), "{what}");
    }
    let judge = judge();
    judge.answer(&plain, version - 1, &right);
    let twice = labelled(version + 1, &well, given, 2, "t5");
    assert_eq!(judge.answer(&plain, version - 1, &twice), None, "one table, twice");
}

#[test]
fn a_message_that_comes_back_another_is_damaged() {
    let nowhere = Places::new(std::iter::empty(), [1, 2]);
    let judge = Judge::new(Plan { seed: 3 }, nowhere, Authority::new(), 1);
    judge.message(Class::Tunnel, 1, true);
    assert!(judge.is_clean());
    judge.message(Class::Tunnel, 2, false);
    assert!(!judge.is_clean());
}

#[test]
fn only_where_a_version_has_nobody_listen_may_callers_be_turned_away() {
    let places = Places::new(std::iter::empty(), [1, 2]);
    let judge = Judge::new(Plan { seed: 3 }, places, Authority::new(), 1);
    judge.written(7);
    let [now, before] = judge.places.moving(7);
    let plain = labelled(7, "o0", "o0", 2, "t7");
    let told = |status, reason: &str| Reply {
        status,
        body: format!("{{\"reason\":\"{reason}\"}}").into(),
        ..plain.clone()
    };
    let away = told(404, "no_listener");
    let is_turned_away = |place, opened, since, reply: &Reply| {
        judge.is_turned_away(Spot { place, opened }, since, reply)
    };
    assert!(is_turned_away(before, 6, 7, &away));
    // Version 6 may be in force yet, which has the listener there.
    assert!(is_turned_away(now, 5, 6, &away));
    assert!(!is_turned_away(now, 5, 7, &away));
    // But not for who came when version 7 had opened it.
    assert!(!is_turned_away(now, 7, 6, &away));
    assert!(!is_turned_away(before, 6, 7, &told(404, "no_route")));
    assert!(!is_turned_away(before, 6, 7, &told(503, "no_listener")));
    assert!(!is_turned_away(SocketAddr::from(([127, 0, 0, 1], 3)), 0, 6, &away));
    assert_eq!(judge.turned_away(), 2);
}

#[test]
fn each_byte_counts() {
    let whats = [
        What::Plain,
        What::Upload { method: "PUT", length: 3000, in_pieces: true },
        What::Upload { method: "POST", length: 1, in_pieces: false },
        What::Download { length: 70_000 },
    ];
    for what in whats {
        let (asked, reply) = (asked(5, what), labelled(1, "o1", "o1", 2, "t1"));
        let sent = match what {
            What::Plain => reply.body.clone(),
            What::Upload { length, .. } | What::Download { length } => soak::bytes(5, length),
        };
        let is_whole = |body: &[u8]| {
            asked.is_whole(&Reply { body: Bytes::copy_from_slice(body), ..reply.clone() })
        };
        assert!(is_whole(&sent), "{what:?}");
        assert!(!is_whole(&sent[1..]), "{what:?}: one is missing");
        assert!(!is_whole(&[&sent[..], b"x"].concat()), "{what:?}: one is added");
        let mut one = sent.to_vec();
        one[sent.len() / 2] ^= 1;
        assert!(!is_whole(&one), "{what:?}: one is another");
    }
}
