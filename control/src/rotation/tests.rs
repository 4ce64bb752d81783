//! Each act in each phase, and what nodes must have said before a step.

use store::authority::{Authority, Kind};
use time::macros::datetime;

use super::*;
use crate::ca::New;

/// Roots in these states; the first was made first.
fn roots(states: &[State]) -> Roots {
    let row = |state: &State| {
        let now = datetime!(2026-03-01 12:00 UTC);
        New::root("heddle.internal", now).unwrap().row("", Kind::Root, *state, now)
    };
    let rows: Vec<Authority> = states.iter().map(row).collect();
    Roots::read(&rows).unwrap().unwrap()
}

fn node(name: &str, standing: Option<Standing>) -> Node {
    Node {
        id: name.to_owned(),
        cluster: "east".to_owned(),
        kind: "mesh".to_owned(),
        name: name.to_owned(),
        version: "0.1.0".to_owned(),
        first_seen: 5,
        last_seen: 9,
        certificate: None,
        connected: true,
        standing,
    }
}

fn standing(trusts: &[&Root], under: &Root) -> Standing {
    Standing {
        trusts: trusts.iter().map(|root| root.fingerprint.clone()).collect(),
        certificate: under.fingerprint.clone(),
        workload: Some(under.fingerprint.clone()),
        state: Some(under.fingerprint.clone()),
    }
}

use State::{Active, Coming, Gone, Leaving};

/// The states after a decision was carried out.
fn after(states: &[State], decision: &Decision) -> Vec<State> {
    let next = |state: &State| {
        let found = decision.moves.iter().find(|(from, _)| from == state);
        found.map_or(*state, |(_, to)| *to)
    };
    let made = decision.makes_root.then_some(Coming);
    states.iter().map(next).chain(made).collect()
}

#[test]
fn a_rotation_goes_forward_step_by_step_and_back_from_each() {
    let acted = |states: &[State], act| {
        decide(&roots(states), &[], act).map(|decision| after(states, &decision))
    };
    for (states, act, expected) in [
        (&[Active][..], Act::Begin, &[Active, Coming][..]),
        (&[Active, Coming], Act::Advance, &[Leaving, Active]),
        (&[Leaving, Active], Act::Advance, &[Gone, Active]),
        (&[Active, Coming], Act::Abandon, &[Active, Gone]),
        // Back by the same way: both are trusted until nothing lies under the new one any more.
        (&[Leaving, Active], Act::Abandon, &[Active, Leaving]),
        (&[Active, Leaving], Act::Advance, &[Active, Gone]),
        (&[Active, Gone], Act::Begin, &[Active, Gone, Coming]),
    ] {
        assert_eq!(acted(states, act).as_deref(), Ok(expected), "{states:?} {act:?}");
    }
    for act in [Act::Advance, Act::Force, Act::Abandon] {
        assert_eq!(acted(&[Active], act), Err(Refused::Resting));
        assert_eq!(acted(&[Active, Gone], act), Err(Refused::Resting));
    }
    let twice = acted(&[Active, Coming], Act::Begin);
    assert_eq!(twice, Err(Refused::UnderWay(Phase::Trusting)));
    let twice = acted(&[Leaving, Active], Act::Begin);
    assert_eq!(twice, Err(Refused::UnderWay(Phase::Moving)));
}

#[test]
fn a_node_holds_back_until_it_trusts_the_new_root() {
    let roots = roots(&[Active, Coming]);
    let (old, new) = (roots.signs(), roots.in_state(Coming).unwrap());
    let nodes = [
        node("ready", Some(standing(&[old, new], old))),
        node("away", Some(standing(&[old], old))),
        node("mute", None),
    ];
    let Err(Refused::Held { holding, .. }) = decide(&roots, &nodes, Act::Advance) else {
        panic!("not held back");
    };
    let told: Vec<_> = holding.iter().map(|one| (&*one.name, one.why)).collect();
    assert_eq!(told, [("away", Why::Distrusts), ("mute", Why::Silent)]);
    let words = decide(&roots, &nodes, Act::Advance).unwrap_err().to_string();
    assert!(words.contains("away (mesh of east)") && words.contains("--force"), "{words}");
    let forced = decide(&roots, &nodes, Act::Force).unwrap();
    assert_eq!(forced.left, holding);
    assert!(decide(&roots, &nodes[..1], Act::Advance).is_ok());
}

#[test]
fn a_node_holds_back_until_all_that_it_has_lies_under_the_new_root() {
    let roots = roots(&[Leaving, Active]);
    let (new, old) = (roots.signs(), roots.in_state(Leaving).unwrap());
    let whole = standing(&[new, old], new);
    let told = |standing: Standing| {
        let held = holding(&roots, &[node("one", Some(standing))]);
        held.first().map(|one| one.why)
    };
    let under_old = || old.fingerprint.clone();
    assert_eq!(told(whole.clone()), None);
    assert_eq!(told(Standing { workload: None, state: None, ..whole.clone() }), None);
    assert_eq!(told(standing(&[old], old)), Some(Why::Distrusts));
    let lags = Standing { certificate: under_old(), ..whole.clone() };
    assert_eq!(told(lags), Some(Why::Certificate));
    let lags = Standing { workload: Some(under_old()), ..whole.clone() };
    assert_eq!(told(lags), Some(Why::Workload));
    // Also under a root that the node believes no more.
    let lags = Standing { state: Some(String::new()), ..whole };
    assert_eq!(told(lags), Some(Why::Kept));
}
