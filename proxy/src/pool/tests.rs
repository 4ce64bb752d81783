//! Which connection is lent, and what becomes of a request that could not be sent.

use futures::FutureExt as _;
use http::HeaderMap;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::failure::Retry;
use crate::live::{Ground, Wire};
use crate::room::tests::{bounds, members, set};
use crate::room::{Takes, Wish};
use crate::tls::backend::tests::shown;
use crate::tls::backend::{Face, Shown};

/// What endpoints of one worker need.
pub(crate) fn ground() -> Ground {
    ground_of(1)
}

/// What endpoints of so many workers need.
fn ground_of(workers: usize) -> Ground {
    let keyring = Arc::new(crate::tls::tickets::Keyring::new().unwrap());
    let membership = Arc::default();
    let admin = std::sync::OnceLock::new();
    Ground { workers, pool: 8, zone: None, keyring, membership, admin }
}

/// An endpoint of one worker.
fn endpoint(address: std::net::SocketAddr) -> Arc<Endpoint> {
    in_room(address, &Arc::default())
}

/// The same, of a service with these connections.
pub(crate) fn in_room(address: std::net::SocketAddr, room: &Arc<Room>) -> Arc<Endpoint> {
    let endpoint = table::Endpoint::plain(address);
    Endpoint::new(
        &endpoint,
        &"shop/cart:80".into(),
        (AppProtocol::Http1, Wire::Clear),
        &ground(),
        (Arc::default(), Arc::clone(room)),
    )
}

/// A backend that answers each request with the number of the connection it came on, and ends a
/// connection after so many answers without saying so.
async fn backend(answers: usize) -> Arc<Endpoint> {
    backend_in(answers, &Arc::default()).await
}

/// The same, of a service with these connections.
pub(crate) async fn backend_in(answers: usize, room: &Arc<Room>) -> Arc<Endpoint> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        for number in 1.. {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                for _ in 0..answers {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        let Ok(byte) = stream.read_u8().await else { return };
                        head.push(byte);
                    }
                    let answer =
                        format!("HTTP/1.1 200 OK\r\nnumber: {number}\r\ncontent-length: 0\r\n\r\n");
                    stream.write_all(answer.as_bytes()).await.unwrap();
                }
            });
        }
    });
    in_room(address, room)
}

fn request() -> Slot {
    let request = Request::get("/").header("host", "backend.test");
    Some(request.body(Upload::Empty).unwrap())
}

/// An endpoint of HTTP/2 at which nobody is, of a service with these connections.
pub(crate) fn of_http2(room: &Arc<Room>) -> Arc<Endpoint> {
    let at = table::Endpoint::plain(([127, 0, 0, 1], 1).into());
    Endpoint::new(
        &at,
        &"shop/cart:80".into(),
        (AppProtocol::H2c, Wire::Clear),
        &ground(),
        (Arc::default(), Arc::clone(room)),
    )
}

/// A connection that requests share, with nobody at its other end.
pub(crate) async fn shared() -> Shared {
    let (near, far) = tokio::io::duplex(1 << 16);
    let (sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(near)).await.unwrap();
    tokio::spawn(async move {
        let _held = far;
        connection.await
    });
    Arc::new((opened(None), sender))
}

pub(crate) async fn sent(endpoint: &Arc<Endpoint>) -> Answered {
    let mut slot = request();
    let hop = Hop { endpoint, worker: 0, face: &Face::Plain };
    let sent = send(hop, &Limits::default(), Instant::now(), &mut slot, None).await.unwrap();
    assert!(slot.is_none(), "it was sent");
    sent
}

fn number(headers: &HeaderMap) -> &str {
    headers["number"].to_str().unwrap()
}

/// Reads an answer, which has no body, to its end and gives the connection back.
pub(crate) async fn end(answered: Answered) {
    drop(answered.response);
    answered.lease.unwrap().end();
    // The connection's own task sees that the answer is over.
    tokio::task::yield_now().await;
}

#[tokio::test]
async fn the_connection_that_came_back_last_is_lent_first() {
    let endpoint = backend(usize::MAX).await;
    let [one, two] = [sent(&endpoint).await, sent(&endpoint).await];
    assert_eq!([number(one.response.headers()), number(two.response.headers())], ["1", "2"]);
    end(two).await;
    end(one).await;
    assert_eq!(endpoint.pools[0].idle(), 2);
    for _ in 0..3 {
        let answered = sent(&endpoint).await;
        assert_eq!(number(answered.response.headers()), "1");
        end(answered).await;
    }
}

#[tokio::test]
async fn a_request_that_meets_a_closed_connection_goes_out_on_another() {
    let endpoint = backend(1).await;
    for wanted in ["1", "2", "3"] {
        let answered = sent(&endpoint).await;
        assert_eq!(number(answered.response.headers()), wanted);
        end(answered).await;
    }
}

#[tokio::test]
async fn a_request_whose_granted_connection_has_ended_takes_no_place_of_another() {
    let room = Arc::<Room>::default();
    let endpoint = backend_in(1, &room).await;
    set(&room, Some(&bounds(1, 0)), members(&[&endpoint]));
    let answered = sent(&endpoint).await;
    let Lease { sender, opened, .. } = answered.lease.unwrap();
    let idle = Idle { sender, opened, since: Instant::now() };
    drop(answered.response);
    // It was granted before anybody knew that it ended, and its place is taken since.
    while !idle.sender.is_closed() {
        tokio::task::yield_now().await;
    }
    let _another = loop {
        match room.place() {
            Some(place) => break place,
            None => tokio::task::yield_now().await,
        }
    };
    let mut slot = request();
    let hop = Hop { endpoint: &endpoint, worker: 0, face: &Face::Plain };
    let granted = Some(Box::new(Granted::Idle(idle)));
    let ended = send(hop, &Limits::default(), Instant::now(), &mut slot, granted).await;
    assert_eq!(ended.unwrap_err().retry, Retry::Anew);
    assert!(slot.is_some(), "it may be sent yet");
    assert_eq!(room.counts().open, 1);
}

#[tokio::test]
async fn a_request_that_reaches_nobody_stays_to_be_sent_elsewhere() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = endpoint(listener.local_addr().unwrap());
    drop(listener);
    let mut slot = request();
    let limits = Limits::default();
    let hop = Hop { endpoint: &endpoint, worker: 0, face: &Face::Plain };
    let failure = send(hop, &limits, Instant::now(), &mut slot, None).await.unwrap_err();
    assert_eq!(failure.retry, Retry::Elsewhere);
    assert_eq!(slot.unwrap().uri(), "/");
}

#[tokio::test]
async fn a_full_or_swept_pool_lets_connections_go() {
    let endpoint = backend(usize::MAX).await;
    let mut answers = Vec::new();
    for _ in 0..10 {
        answers.push(sent(&endpoint).await);
    }
    for answered in answers {
        end(answered).await;
    }
    let pool = &endpoint.pools[0];
    assert_eq!(pool.idle(), 8);
    pool.sweep(Duration::from_secs(60));
    assert_eq!(pool.idle(), 8);
    pool.sweep(Duration::ZERO);
    assert_eq!(pool.idle(), 0);
}

/// A connection that lies idle, opened by who shows this.
async fn idle(endpoint: &Arc<Endpoint>, shown: Option<&Arc<Shown>>) {
    let answered = sent(endpoint).await;
    let mut lease = answered.lease.unwrap();
    lease.opened = opened(shown);
    drop(answered.response);
    lease.end();
    tokio::task::yield_now().await;
}

fn opened(shown: Option<&Arc<Shown>>) -> Opened {
    Opened::Straight(shown.map(Arc::downgrade))
}

#[tokio::test]
async fn a_connection_serves_only_those_who_show_what_it_was_opened_with() {
    let endpoint = backend(usize::MAX).await;
    let pool = &endpoint.pools[0];
    let (one, other) = (shown(), shown());
    let take = |shown| pool.take(&opened(shown), Instant::now(), Duration::from_secs(60));
    let all = [None, Some(&one), Some(&other)];
    for (at, by) in all.into_iter().enumerate() {
        idle(&endpoint, by).await;
        for (_, who) in all.into_iter().enumerate().filter(|(place, _)| *place != at) {
            assert!(take(who).is_none());
        }
        assert!(take(by).is_some(), "it is still there for who opened it");
    }
}

#[tokio::test]
async fn what_was_opened_with_a_certificate_that_is_gone_is_let_go() {
    let endpoint = backend(usize::MAX).await;
    let pool = &endpoint.pools[0];
    let (one, other) = (shown(), shown());
    idle(&endpoint, Some(&other)).await;
    idle(&endpoint, Some(&one)).await;
    drop(one);
    assert_eq!(pool.idle(), 2);
    pool.sweep(Duration::from_secs(60));
    assert_eq!(pool.idle(), 1);
}

#[tokio::test]
async fn who_waits_shares_no_other_connection_while_one_to_their_endpoint_is_opened() {
    let room = Arc::<Room>::default();
    let (one, other) = (of_http2(&room), of_http2(&room));
    set(&room, Some(&bounds(2, 10)), members(&[&one, &other]));
    let _both = [room.place().unwrap(), room.place().unwrap()];
    let hop = Hop { endpoint: &one, worker: 0, face: &Face::Plain };
    let wish = Wish { hop, takes: Takes::Anywhere, tried: &[] };
    let limits = Limits::default();
    for is_opened in [true, false] {
        let opening = is_opened.then(|| one.pools[0].alone().now_or_never().unwrap());
        let mut waiting = Box::pin(wish.granted(&limits, Instant::now(), None));
        assert!((&mut waiting).now_or_never().is_none());
        let shared = shared().await;
        other.pools[0].share(&shared);
        room.share(&other, 0, &shared);
        let got = waiting.now_or_never();
        assert_eq!(got.is_none(), is_opened, "{got:?}");
        assert!(other.pools[0].is_shared(), "nobody waits for its place");
        other.pools[0].unshare();
        drop(opening);
    }
}

#[tokio::test]
async fn no_more_wait_behind_who_opens_what_they_will_share_than_may() {
    let room = Arc::<Room>::default();
    let endpoint = of_http2(&room);
    set(&room, Some(&bounds(1, 2)), members(&[&endpoint]));
    let _place = room.place().unwrap();
    let _opening = endpoint.pools[0].alone().await;
    let hop = Hop { endpoint: &endpoint, worker: 0, face: &Face::Plain };
    let wish = Wish { hop, takes: Takes::Anywhere, tried: &[] };
    let limits = Limits::default();
    let mut waiting: Vec<_> =
        (0..2).map(|_| Box::pin(wish.granted(&limits, Instant::now(), None))).collect();
    assert!(waiting.iter_mut().all(|one| one.now_or_never().is_none()));
    let refused = wish.granted(&limits, Instant::now(), None).now_or_never().unwrap();
    assert_eq!(refused.unwrap_err().reason, policy::Reason::Overloaded);
    let shared = shared().await;
    endpoint.pools[0].share(&shared);
    room.share(&endpoint, 0, &shared);
    for one in waiting {
        let (_, granted) = one.now_or_never().unwrap().unwrap();
        assert!(matches!(granted, Granted::Shared(_)), "{granted:?}");
    }
}

/// A face that shows this.
fn face(shown: &Arc<Shown>) -> Face {
    Face::Tls(Some(Arc::clone(shown)))
}

#[tokio::test]
async fn those_who_show_different_certificates_have_one_bound_and_no_connection_in_common() {
    let room = Arc::<Room>::default();
    let endpoint = backend_in(usize::MAX, &room).await;
    set(&room, Some(&bounds(1, 10)), members(&[&endpoint]));
    let (one, other) = (shown(), shown());
    let (as_one, as_other) = (face(&one), face(&other));
    let limits = Limits::default();
    let granted = async |face| {
        let hop = Hop { endpoint: &endpoint, worker: 0, face };
        let wish = Wish { hop, takes: Takes::Anywhere, tried: &[] };
        wish.granted(&limits, Instant::now(), None).await.unwrap().1
    };
    // What lies idle by the one is its own, and is closed for the other.
    idle(&endpoint, Some(&one)).await;
    let Granted::Idle(held) = granted(&as_one).await else { panic!("it was there") };
    put(&endpoint, 0, held);
    let got = granted(&as_other).await;
    assert!(matches!(got, Granted::Place(_)), "{got:?}");
    assert_eq!((endpoint.pools[0].idle(), room.counts().open), (0, 1));
    drop(got);
    // So is what comes back while the other waits.
    let mut answered = sent(&endpoint).await;
    answered.lease.as_mut().unwrap().opened = opened(Some(&one));
    let mut waiting = Box::pin(granted(&as_other));
    assert!((&mut waiting).now_or_never().is_none());
    end(answered).await;
    let got = waiting.await;
    assert!(matches!(got, Granted::Place(_)), "{got:?}");
    assert_eq!((endpoint.pools[0].idle(), room.counts().open), (0, 1));
}

/// What the callers of one worker do: each has so many requests answered, under the bound of the service.
fn work(endpoint: &Arc<Endpoint>, worker: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(futures::future::join_all((0..10).map(|_| async {
        for _ in 0..50 {
            let hop = Hop { endpoint, worker, face: &Face::Plain };
            let wish = Wish { hop, takes: Takes::Anywhere, tried: &[] };
            let (limits, mut slot) = (Limits::default(), request());
            let sent = loop {
                let granted = wish.granted(&limits, Instant::now(), None).await.unwrap().1;
                let granted = Some(Box::new(granted));
                match send(hop, &limits, Instant::now(), &mut slot, granted).await {
                    Ok(answered) => break answered,
                    Err(failure) => assert_eq!(failure.retry, Retry::Anew, "{failure}"),
                }
            };
            drop(sent.response);
            sent.lease.unwrap().end();
        }
    })));
}

#[tokio::test]
async fn workers_hand_over_their_places_and_nobody_is_forgotten() {
    let room = Arc::<Room>::default();
    let backend = backend_in(usize::MAX, &room).await;
    let at = table::Endpoint::plain(backend.address);
    let spoken = (AppProtocol::Http1, Wire::Clear);
    let (service, shared) = ("shop/cart:80".into(), (Arc::default(), Arc::clone(&room)));
    let endpoint = Endpoint::new(&at, &service, spoken, &ground_of(3), shared);
    let patience = serde_json::json!({ "connections": 2, "pendingTimeout": "60s" });
    set(&room, Some(&serde_json::from_value(patience).unwrap()), members(&[&endpoint]));
    let workers = (0..3).map(|worker| {
        let endpoint = Arc::clone(&endpoint);
        tokio::task::spawn_blocking(move || work(&endpoint, worker))
    });
    for worker in workers.collect::<Vec<_>>() {
        worker.await.unwrap();
    }
    let counts = room.counts();
    assert_eq!((counts.waiting, counts.refused), (0, 0), "{counts:?}");
    assert!(counts.open <= 2, "{counts:?}");
}
