//! Which secrets there are when, and who is told which.

use std::collections::BTreeSet;
use std::sync::Mutex;

use model::Name;
use time::OffsetDateTime;
use wire::Key;

use super::*;
use crate::ca::NodeKind;
use crate::snapshot::Class;
use crate::test::Bed;

const HOUR: i64 = 3_600_000_000;

fn held(begins: &[i64]) -> Vec<SessionSecret> {
    let one = |begins: &i64| SessionSecret { id: begins.to_string(), begins: *begins };
    begins.iter().map(one).collect()
}

#[test]
fn each_is_told_a_day_before_it_seals_and_opens_a_day_after() {
    for (there, now, gone, begins) in [
        (&[][..], 0, &[][..] as &[&str], &[0, 24 * HOUR][..]),
        (&[0, 24 * HOUR], HOUR, &[], &[]),
        // The second one seals from now on, and the third comes.
        (&[0, 24 * HOUR], 24 * HOUR, &[], &[48 * HOUR]),
        (&[0, 24 * HOUR, 48 * HOUR], 47 * HOUR, &[], &[]),
        (&[0, 24 * HOUR, 48 * HOUR], 48 * HOUR, &["0"], &[72 * HOUR]),
        // Nobody looked for days: gateways sealed by the first one until now.
        (&[0, 24 * HOUR], 100 * HOUR, &[], &[124 * HOUR]),
        (&[0, 24 * HOUR, 124 * HOUR], 123 * HOUR, &[], &[]),
        (&[0, 24 * HOUR, 124 * HOUR], 124 * HOUR, &["0"], &[148 * HOUR]),
        // Two were asked for within an hour, and the first one opens for its day.
        (&[0, 2 * HOUR, 3 * HOUR, 27 * HOUR], 24 * HOUR, &[], &[]),
        (&[0, 2 * HOUR, 3 * HOUR, 27 * HOUR], 26 * HOUR, &["0"], &[]),
        // A clock was ahead.
        (&[0, 24 * HOUR, 9_000 * HOUR], HOUR, &["32400000000000"], &[]),
        (&[0, 9_000 * HOUR], HOUR, &["32400000000000"], &[25 * HOUR]),
    ] {
        let due = Due::at(&held(there), now);
        assert_eq!(due.gone, gone, "{there:?} {now}");
        assert_eq!(due.begins, begins, "{there:?} {now}");
    }
}

#[test]
fn one_by_hand_is_told_before_it_seals_unless_the_others_are_forgotten() {
    let (there, now) = (held(&[0, 24 * HOUR]), HOUR);
    let due = Due::by_hand(&there, now, Others::Open);
    assert_eq!(due.gone, ["86400000000"], "the one that was to come, and that many know");
    assert_eq!(due.begins, [now + 5_000_000]);
    let due = Due::by_hand(&there, now, Others::Forgotten);
    assert_eq!((due.gone.len(), &due.begins[..]), (2, &[now][..]));
}

#[test]
fn the_newest_that_began_seals_and_all_open() {
    let there = held(&[0, 10, 20, 30]);
    let order = |now| ordered(&there, now).into_iter().map(|one| one.begins).collect::<Vec<_>>();
    assert_eq!(order(25), [20, 30, 10, 0]);
    assert_eq!(order(30), [30, 20, 10, 0]);
    // Of too many the oldest are left out, and never the one that is to come.
    let there = held(&Vec::from_iter(0..30));
    let order: Vec<_> = ordered(&there, 28).into_iter().map(|one| one.begins).collect();
    assert_eq!(order.len(), wire::SECRETS);
    assert_eq!(order[..3], [28, 29, 27]);
}

fn class(cluster: &str) -> Class {
    Class { cluster: Name::parse(cluster).unwrap(), kind: NodeKind::Gateway }
}

fn gateway(namespace: &str, name: &str, created: i64) -> Served {
    let (namespace, name) = (namespace.to_owned(), name.to_owned());
    Served { key: Key { kind: "Gateway".to_owned(), namespace, name }, created }
}

#[test]
fn each_gateway_of_each_cluster_has_secrets_of_its_own() {
    let secrets = ["a", "b"].map(|id| (id.to_owned(), SecretBytes::new([id.as_bytes()[0]; 32])));
    let ring = Ring::new(secrets.to_vec());
    let gateways = [
        gateway("shop", "edge", 1),
        gateway("shop", "edge", 2),
        gateway("shop", "other", 1),
        gateway("bank", "edge", 1),
    ];
    let mut all = BTreeSet::new();
    for cluster in ["east", "west"] {
        let told = ring.of(&class(cluster), &gateways).unwrap();
        assert_eq!(told, ring.of(&class(cluster), &gateways).unwrap(), "each server says the same");
        for one in &told.gateways {
            all.extend(one.secrets.iter().map(|secret| secret.expose().to_vec()));
        }
    }
    assert_eq!(all.len(), 16, "none is that of another");
    assert!(secrets.iter().all(|(_, secret)| !all.contains(secret.expose())));
    assert!(!format!("{ring:?}").contains("sha256"), "{ring:?}");
}

#[tokio::test]
async fn servers_over_one_store_come_to_the_same_and_follow_each_day() {
    let bed = Bed::new().await;
    let at = Arc::new(Mutex::new(OffsetDateTime::now_utc()));
    let clock = {
        let at = Arc::clone(&at);
        Clock::of(move || *at.lock().unwrap())
    };
    let [one, other] = [(); 2].map(|()| Keeper::new(bed.store.clone(), clock.clone()));
    let told = |keeper: &Keeper| {
        let ring = keeper.ring().borrow().clone().unwrap();
        ring.of(&class("east"), &[gateway("shop", "edge", 1)]).unwrap()
    };
    let (mut seals, mut last) = (BTreeSet::new(), None);
    for _ in 0..4 {
        one.look().await.unwrap();
        other.look().await.unwrap();
        let now = told(&one);
        assert_eq!(now, told(&other));
        let secrets = now.gateways[0].secrets.clone();
        seals.insert(secrets[0].expose().to_vec());
        if let Some(last) = last.replace(secrets.clone()) {
            assert!(last[1..].contains(&secrets[0]), "what seals was told before");
            assert!(secrets.contains(&last[0]), "what sealed opens on");
        }
        *at.lock().unwrap() += DAY;
    }
    assert_eq!(seals.len(), 4);
    assert_eq!(bed.store.session_secret_list().await.unwrap().len(), 3);
}

#[tokio::test]
async fn what_is_gone_is_not_kept_for_want_of_what_comes() {
    let bed = Bed::new().await;
    let keeper = Keeper::new(bed.store.clone(), Clock::of(OffsetDateTime::now_utc));
    keeper.look().await.unwrap();
    let ring = || keeper.ring().borrow().clone().unwrap();
    assert_eq!(ring().ids().count(), 2);
    let opened = |id: &str, secret| (id.to_owned(), secret);
    let unread = || opened("1", Err(Error::Chance));
    let some = opened("2", Ok(Some(SecretBytes::new([2; 32]))));
    let held = keeper.hold(vec![unread(), some, opened("3", Ok(None))]);
    assert!(matches!(held, Err(Error::Chance)));
    assert!(ring().ids().eq(["2"]), "those of before are forgotten, though not all of these open");
    assert!(keeper.hold(vec![unread()]).is_err());
    let none = ring().of(&class("east"), &[gateway("shop", "edge", 1)]).unwrap();
    assert!(none.gateways.is_empty(), "each gateway seals by its own");
}
