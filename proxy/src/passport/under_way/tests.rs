//! For whom an application is at work.

use std::sync::Arc;
use std::time::Duration;

use model::Name;
use model::identity::Peer;
use policy::Principal;

use super::super::{Passport, User};
use super::*;

fn of(user: &str) -> Option<Arc<Carried>> {
    let principal = Arc::new(Principal::ApiKey { name: user.to_owned() });
    let users = vec![User { workspace: Some(Name::parse("shop").unwrap()), api: None, principal }];
    let passport = Arc::new(Passport { issued: 0, ends: 0, users });
    let issuer = Arc::new(Peer::Gateway { cluster: name("east"), name: name("edge") });
    Some(Arc::new(Carried { token: user.into(), passport, issuer, via: Vec::new() }))
}

fn name(word: &str) -> Name {
    Name::parse(word).unwrap()
}

fn told(traces: &UnderWay, trace: TraceId) -> Option<String> {
    traces.whose(trace, Instant::now()).as_deref().map(names)
}

fn names(carried: &Carried) -> String {
    let names = carried.passport.users.iter().map(|user| user.principal.to_string());
    names.collect::<Vec<_>>().join(", ")
}

fn enter(traces: &UnderWay, trace: TraceId, whose: Option<Arc<Carried>>) -> Result<Stay, Taken> {
    traces.enter(trace, whose, Instant::now())
}

#[tokio::test(start_paused = true)]
async fn a_trace_tells_for_whom_while_a_request_is_under_way_and_ten_seconds_longer() {
    let (traces, trace) = (UnderWay::default(), [7; 16]);
    assert_eq!(told(&traces, trace), None);
    let one = enter(&traces, trace, of("clerk")).unwrap();
    let two = enter(&traces, trace, of("clerk")).unwrap();
    tokio::time::advance(Duration::from_secs(3600)).await;
    drop(one);
    tokio::time::advance(Duration::from_secs(3600)).await;
    assert_eq!(told(&traces, trace).as_deref(), Some("apikey:clerk"));
    drop(two);
    tokio::time::advance(Duration::from_secs(9)).await;
    assert_eq!(told(&traces, trace).as_deref(), Some("apikey:clerk"));
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(told(&traces, trace), None);
    // It stays theirs for a while, and then nothing is kept of it once somebody looks.
    assert_eq!(enter(&traces, trace, None).unwrap_err(), Taken);
    tokio::time::advance(Duration::from_secs(50)).await;
    let mut other = trace;
    other[0] = 1;
    drop(enter(&traces, other, of("reader")).unwrap());
    assert_eq!(part(&traces.0, trace).traces.len(), 1);
    assert_eq!(told(&traces, other).as_deref(), Some("apikey:reader"));
}

#[tokio::test(start_paused = true)]
async fn nobody_else_comes_in_under_a_trace_that_is_under_way_or_lingers() {
    for (first, second) in [(of("clerk"), of("reader")), (of("clerk"), None), (None, of("clerk"))] {
        let (traces, trace) = (UnderWay::default(), [1; 16]);
        let before = first.as_deref().map(names);
        let stay = enter(&traces, trace, first.clone()).unwrap();
        assert_eq!(enter(&traces, trace, second.clone()).unwrap_err(), Taken);
        drop(stay);
        tokio::time::advance(Duration::from_secs(9)).await;
        assert_eq!(enter(&traces, trace, second.clone()).unwrap_err(), Taken);
        assert_eq!(told(&traces, trace), before);
        tokio::time::advance(Duration::from_secs(50)).await;
        assert_eq!(enter(&traces, trace, second.clone()).unwrap_err(), Taken);
        assert_eq!(told(&traces, trace), None);
        tokio::time::advance(Duration::from_secs(1)).await;
        let after = second.as_deref().map(names);
        let _stay = enter(&traces, trace, second).unwrap();
        assert_eq!(told(&traces, trace), after);
    }
}

#[tokio::test(start_paused = true)]
async fn of_two_passports_of_the_same_people_the_one_that_goes_further_is_carried_on() {
    let (traces, trace) = (UnderWay::default(), [1; 16]);
    let edge = Peer::Gateway { cluster: name("east"), name: name("edge") };
    let like = |token: &str, ends: u64, hops: usize| {
        of("clerk").map(|carried| {
            let passport = Passport { ends, ..Passport::clone(&carried.passport) };
            let via = vec![edge.clone(); hops];
            let (passport, issuer) = (Arc::new(passport), Arc::clone(&carried.issuer));
            Arc::new(Carried { token: token.into(), passport, issuer, via })
        })
    };
    let _first = enter(&traces, trace, like("first", 100, 1)).unwrap();
    for (whose, carried_on) in [
        // Round by round a ring is longer, and what goes on is as short as it was.
        (like("longer", 100, 3), "first"),
        (like("older", 50, 0), "first"),
        (like("newer", 160, 5), "newer"),
        (like("shorter", 160, 2), "shorter"),
    ] {
        let _stay = enter(&traces, trace, whose).unwrap();
        assert_eq!(&*traces.whose(trace, Instant::now()).unwrap().token, carried_on);
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_part_forgets_only_what_tells_for_nobody_any_more() {
    let traces = UnderWay::default();
    // All of one part.
    let trace = |number: u16| {
        let [high, low] = number.to_be_bytes();
        let mut trace = [0; 16];
        (trace[0], trace[1]) = (high, low);
        trace
    };
    let room = u16::try_from(ROOM).unwrap();
    drop(enter(&traces, trace(0), of("clerk")).unwrap());
    let stays: Vec<_> = (1..room).map(|n| enter(&traces, trace(n), None).unwrap()).collect();
    // Nobody crowds it out while it tells for whom.
    assert_eq!(enter(&traces, trace(room), of("reader")).unwrap_err(), Taken);
    assert!(told(&traces, trace(0)).is_some());
    tokio::time::advance(TELLS).await;
    let last = enter(&traces, trace(room), of("reader")).unwrap();
    assert_eq!(told(&traces, trace(room)).as_deref(), Some("apikey:reader"));
    assert_eq!(enter(&traces, trace(0), of("clerk")).unwrap_err(), Taken);
    drop((stays, last));
    tokio::time::advance(TELLS).await;
    let _back = enter(&traces, trace(0), of("clerk")).unwrap();
    assert!(told(&traces, trace(0)).is_some());
}
