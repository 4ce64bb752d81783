//! What becomes of a datagram by what a request would be answered.

use super::*;

#[test]
fn a_reason_says_which_datagrams_were_dropped() {
    for (reason, wanted) in [
        (Reason::NoListener, Dropped::NoRoute),
        (Reason::NoRoute, Dropped::NoRoute),
        (Reason::AccessDenied, Dropped::Denied),
        (Reason::DefaultDenied, Dropped::Denied),
        (Reason::PolicyUnreadable, Dropped::Denied),
        (Reason::BackendMissing, Dropped::NoBackend),
        (Reason::BackendTls, Dropped::NoBackend),
        (Reason::NoEndpoint, Dropped::NoBackend),
        (Reason::ConnectFailed, Dropped::NoBackend),
    ] {
        assert_eq!(dropped(reason), wanted, "{reason:?}");
    }
}

#[test]
fn a_place_is_given_back_and_told_when_a_flow_is_over() {
    let (open, (over, mut ended)) = (Count::default(), mpsc::unbounded_channel());
    let ends = Ends { caller: SocketAddr::from(([192, 0, 2, 1], 5)), own: None };
    open.fetch_add(1, Relaxed);
    drop((Place(Arc::clone(&open)), Told { over, ends }));
    assert_eq!((open.load(Relaxed), ended.try_recv()), (0, Ok(ends)));
}

#[test]
fn of_many_that_lead_nowhere_one_is_told_of() {
    let telling = Telling::default();
    let count = (0..1000).filter(|_| telling.is_time()).count();
    assert!((1..10).contains(&count), "{count}");
}
