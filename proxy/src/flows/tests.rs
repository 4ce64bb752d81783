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
    drop(Held { open: Arc::clone(&open), over, ends });
    assert_eq!((open.load(Relaxed), ended.try_recv()), (0, Ok(ends)));
}
