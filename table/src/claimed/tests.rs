//! The index finds what comparing everything with everything finds.

use model::Name;

use super::*;

const HOSTS: [&str; 9] = [
    "a.test",
    "b.test",
    "*.test",
    "x.a.test",
    "y.a.test",
    "*.a.test",
    "*.x.a.test",
    "aa.test",
    "q.x.a.test",
];
const PATHS: [&str; 7] = ["/", "/s", "/s/t", "/st", "/S/T/u", "/s/", "/z"];

fn scope(word: &str) -> Scope {
    Scope::Workspace(Name::parse(word).unwrap())
}

/// Numbers that look thrown.
fn dice(state: &mut u64) -> usize {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    usize::try_from(*state >> 33).unwrap()
}

#[test]
fn the_index_agrees_with_a_comparison_of_all_grounds() {
    let hosts = HOSTS.map(|host| Hostname::parse(host).unwrap());
    let all: Vec<_> = hosts
        .iter()
        .flat_map(|host| PATHS.map(|path| (host, Ground::new(Some(host), path))))
        .collect();
    let (mut state, mut met) = (7, 0);
    for _ in 0..300 {
        let mut claimed = Claimed::default();
        let mut held: Vec<(Scope, &Ground<'_>)> = Vec::new();
        for _ in 0..1 + dice(&mut state) % 6 {
            let (host, ground) = &all[dice(&mut state) % all.len()];
            let own = scope(["one", "two", "three"][dice(&mut state) % 3]);
            let is_free = held.iter().all(|(by, one)| *by == own || !one.overlaps(ground));
            assert_eq!(claimed.overlap(&own, ground).is_none(), is_free, "{ground} in {held:?}");
            if is_free {
                let name = Name::parse("c").unwrap();
                let claim = Key::new(Kind::Claim, name.clone(), name);
                claimed.take(host, &claim, &own, ground);
                held.push((own, ground));
            }
        }
        for (_, ground) in &all {
            let wanted = held.iter().any(|(by, one)| *by != scope("one") && one.overlaps(ground));
            let found = claimed.overlap(&scope("one"), ground);
            assert_eq!(found.is_some(), wanted, "{ground} in {held:?}");
            met += usize::from(wanted);
        }
    }
    assert!(met > 1000, "only {met} overlaps");
}
