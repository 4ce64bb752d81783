//! Who gets a connection where only so many may be open, in which order, and what becomes of the others.

use futures::FutureExt as _;
use policy::Reason;
use tokio::time::Instant;

use super::*;
use crate::balance::Turn;
use crate::connect::Hop;
use crate::failure::{Failure, Retry, Side};
use crate::pool::tests::{backend_in, end, in_room, of_http2, sent, shared};
use crate::settings::Limits;
use crate::tls::backend::Face;

pub(crate) fn bounds(connections: u32, pending: u32) -> Bounds {
    Bounds { connections: Some(connections), pending: Some(pending), ..Bounds::default() }
}

/// Has a room hold to these bounds, and lead to these endpoints.
pub(crate) fn set(room: &Arc<Room>, bounds: Option<&Bounds>, members: Vec<Member>) {
    room.know(members);
    room.set(bounds);
}

fn room(connections: u32, pending: u32) -> Arc<Room> {
    let room = Arc::<Room>::default();
    set(&room, Some(&bounds(connections, pending)), Vec::new());
    room
}

fn endpoint(room: &Arc<Room>) -> Arc<Endpoint> {
    in_room(([127, 0, 0, 1], 1).into(), room)
}

/// Endpoints of a table, all as near.
pub(crate) fn members(all: &[&Arc<Endpoint>]) -> Vec<Member> {
    let near = |one: &&Arc<Endpoint>| Member { level: Level::Near, endpoint: Arc::downgrade(one) };
    all.iter().map(near).collect()
}

/// What one of the only worker's gets who wants to go to an endpoint.
async fn wishes(endpoint: &Arc<Endpoint>, takes: Takes) -> Result<Granted, Failure> {
    let hop = Hop { endpoint, worker: 0, face: &Face::Plain };
    let wish = Wish { hop, takes, tried: &[] };
    let got = wish.granted(&Limits::default(), Instant::now(), None).await;
    got.map(|(_, granted)| granted)
}

/// The place in what was granted.
fn place(granted: Option<Result<Granted, Failure>>) -> Place {
    match granted {
        Some(Ok(Granted::Place(place))) => place,
        other => panic!("no place: {other:?}"),
    }
}

fn open_and_waiting(room: &Room) -> (u32, usize) {
    let counts = room.counts();
    (counts.open, counts.waiting)
}

/// Waits until something holds of a room: a connection closes in a task of its own.
async fn until(room: &Room, holds: impl Fn(&Room) -> bool) {
    let held = async {
        while !holds(room) {
            tokio::task::yield_now().await;
        }
    };
    let held = tokio::time::timeout(Duration::from_secs(20), held).await;
    held.unwrap_or_else(|_| panic!("it came to {:?}", room.counts()));
}

#[test]
fn there_are_as_many_places_as_the_bound_says_and_any_number_without_one() {
    let room = room(2, 0);
    let _one = room.place().unwrap();
    let two = room.place().unwrap();
    assert!(room.place().is_none());
    drop(two);
    let _again = room.place().unwrap();
    assert!(room.place().is_none());
    set(&room, None, Vec::new());
    let _more: Vec<_> = (0..100).map(|_| room.place().unwrap()).collect();
    assert_eq!(room.counts(), Counts { open: 102, most: None, waiting: 0, refused: 0 });
}

#[tokio::test]
async fn who_waits_gets_a_place_in_the_order_in_which_they_came() {
    let room = room(1, 10);
    let endpoint = endpoint(&room);
    let mut held = room.place().unwrap();
    let mut waiting: Vec<_> = (0..3).map(|_| Box::pin(wishes(&endpoint, Takes::Room))).collect();
    assert!(waiting.iter_mut().all(|one| one.now_or_never().is_none()));
    assert_eq!(open_and_waiting(&room), (1, 3));
    for first in 0..3 {
        drop(held);
        for later in &mut waiting[first + 1..] {
            assert!(later.now_or_never().is_none());
        }
        assert!(room.place().is_none(), "who comes new is behind them all");
        held = place((&mut waiting[first]).now_or_never());
    }
    drop(held);
    assert_eq!(open_and_waiting(&room), (0, 0));
}

#[tokio::test]
async fn beyond_those_who_may_wait_one_is_refused_and_no_endpoint_is_blamed() {
    let room = room(1, 1);
    let endpoint = endpoint(&room);
    let _held = room.place().unwrap();
    let mut one = Box::pin(wishes(&endpoint, Takes::Anywhere));
    assert!((&mut one).now_or_never().is_none());
    let refused = wishes(&endpoint, Takes::Anywhere).now_or_never().unwrap().unwrap_err();
    assert_eq!(refused.reason, Reason::Overloaded);
    assert_eq!((refused.side, refused.retry), (Side::Proxy, Retry::Never));
    let why = "proxy: 1 connections may be open to it, and 1 requests wait for one";
    assert_eq!(refused.to_string(), why);
    assert_eq!(room.counts(), Counts { open: 1, most: Some(1), waiting: 1, refused: 1 });
    drop(one);
    assert!(wishes(&endpoint, Takes::Anywhere).now_or_never().is_none(), "there is room to wait");
    assert_eq!(open_and_waiting(&room), (1, 0));
}

#[tokio::test]
async fn what_was_given_to_who_is_gone_goes_to_the_next() {
    let room = room(1, 10);
    let endpoint = endpoint(&room);
    let held = room.place().unwrap();
    let mut waiting: Vec<_> = (0..3).map(|_| Box::pin(wishes(&endpoint, Takes::Room))).collect();
    assert!(waiting.iter_mut().all(|one| one.now_or_never().is_none()));
    // The second goes before it is their turn, the first after it was.
    drop(waiting.remove(1));
    drop(held);
    drop(waiting.remove(0));
    drop(place((&mut waiting[0]).now_or_never()));
    assert_eq!(open_and_waiting(&room), (0, 0));
}

#[tokio::test]
async fn a_higher_bound_or_none_wakes_those_who_wait() {
    let room = room(1, 10);
    let endpoint = endpoint(&room);
    let _held = room.place().unwrap();
    let mut waiting: Vec<_> = (0..4).map(|_| Box::pin(wishes(&endpoint, Takes::Room))).collect();
    assert!(waiting.iter_mut().all(|one| one.now_or_never().is_none()));
    set(&room, Some(&bounds(3, 10)), Vec::new());
    let mut held: Vec<_> =
        waiting.drain(..2).map(|mut one| place((&mut one).now_or_never())).collect();
    assert!(waiting.iter_mut().all(|one| one.now_or_never().is_none()));
    set(&room, None, Vec::new());
    held.extend(waiting.drain(..).map(|mut one| place((&mut one).now_or_never())));
    assert_eq!(open_and_waiting(&room), (5, 0));
    // Under a bound that is lower than what is open there is no place until enough are closed.
    set(&room, Some(&bounds(2, 0)), Vec::new());
    held.truncate(1);
    assert!(room.place().is_none());
    held.clear();
    assert!(room.place().is_some());
}

#[tokio::test(start_paused = true)]
async fn who_waits_too_long_is_refused_or_has_no_time_left() {
    let room = Arc::<Room>::default();
    let patience = serde_json::json!({ "connections": 1, "pendingTimeout": "300ms" });
    set(&room, Some(&serde_json::from_value(patience).unwrap()), Vec::new());
    let endpoint = endpoint(&room);
    let _held = room.place().unwrap();
    let began = Instant::now();
    let refused = wishes(&endpoint, Takes::Anywhere).await.unwrap_err();
    assert_eq!(refused.reason, Reason::Overloaded);
    let why = "proxy: 1 connections may be open to it, and none was free within 300 ms";
    assert_eq!(refused.to_string(), why);
    assert!(began.elapsed() >= Duration::from_millis(300));
    let hop = Hop { endpoint: &endpoint, worker: 0, face: &Face::Plain };
    let wish = Wish { hop, takes: Takes::Here, tried: &[] };
    let (limits, now) = (Limits::default(), Instant::now());
    let over = wish.granted(&limits, now, Some(now + Duration::from_millis(10))).await;
    assert_eq!(over.unwrap_err().reason, Reason::RequestTimeout);
    assert_eq!(room.counts(), Counts { open: 1, most: Some(1), waiting: 0, refused: 1 });
}

#[tokio::test]
async fn what_comes_back_goes_to_who_waits_for_it_and_not_into_the_pool() {
    let room = room(1, 10);
    let endpoint = backend_in(usize::MAX, &room).await;
    set(&room, Some(&bounds(1, 10)), members(&[&endpoint]));
    let answered = sent(&endpoint).await;
    let mut waiting = Box::pin(wishes(&endpoint, Takes::Here));
    assert!((&mut waiting).now_or_never().is_none());
    end(answered).await;
    let got = waiting.await.unwrap();
    assert!(matches!(got, Granted::Idle(_)), "{got:?}");
    assert_eq!(endpoint.pools[0].idle(), 0);
    assert_eq!(open_and_waiting(&room), (1, 0));
}

#[tokio::test]
async fn what_lies_idle_is_closed_for_who_goes_to_another_endpoint() {
    let room = room(1, 0);
    let one = backend_in(usize::MAX, &room).await;
    let other = backend_in(usize::MAX, &room).await;
    set(&room, Some(&bounds(1, 0)), members(&[&one, &other]));
    end(sent(&one).await).await;
    assert_eq!(one.pools[0].idle(), 1);
    let got = wishes(&other, Takes::Anywhere).await.unwrap();
    assert!(matches!(got, Granted::Place(_)), "{got:?}");
    assert_eq!((one.pools[0].idle(), open_and_waiting(&room)), (0, (1, 0)));
}

#[tokio::test]
async fn who_waits_goes_where_something_comes_back_but_for_what_binds_them() {
    for (takes, goes_along) in [(Takes::Anywhere, true), (Takes::Here, false)] {
        let room = room(1, 10);
        let one = backend_in(usize::MAX, &room).await;
        let other = backend_in(usize::MAX, &room).await;
        let answered = sent(&one).await;
        let mut waiting = Box::pin(wishes(&other, takes));
        assert!((&mut waiting).now_or_never().is_none());
        end(answered).await;
        let got = waiting.await.unwrap();
        assert_eq!(matches!(got, Granted::Idle(_)), goes_along, "{takes:?}: {got:?}");
        assert_eq!(open_and_waiting(&room), (1, 0));
    }
}

#[tokio::test]
async fn a_connection_that_ends_has_no_place_any_more() {
    let room = room(1, 10);
    let endpoint = backend_in(1, &room).await;
    let answered = sent(&endpoint).await;
    let waiting = tokio::spawn({
        let endpoint = Arc::clone(&endpoint);
        async move { wishes(&endpoint, Takes::Room).await }
    });
    // The backend ends it after this answer, and says so to nobody who holds it.
    drop(answered);
    drop(place(Some(waiting.await.unwrap())));
    assert_eq!(open_and_waiting(&room), (0, 0));
}

#[tokio::test]
async fn an_endpoint_that_is_gone_keeps_the_places_of_what_is_in_use_alone() {
    let room = room(2, 0);
    let endpoint = backend_in(usize::MAX, &room).await;
    let [idle, used] = [sent(&endpoint).await, sent(&endpoint).await];
    end(idle).await;
    assert_eq!(endpoint.pools[0].idle(), 1);
    endpoint.leave();
    let open = |count| move |room: &Room| room.counts().open == count;
    until(&room, open(1)).await;
    end(used).await;
    assert_eq!(endpoint.pools[0].idle(), 0, "nothing is kept that comes back");
    until(&room, open(0)).await;
}

#[tokio::test]
async fn who_waits_for_an_endpoint_that_is_gone_goes_to_another_in_their_turn() {
    for takes in [Takes::Anywhere, Takes::Here, Takes::Room] {
        let room = room(1, 10);
        let (old, new) = (endpoint(&room), endpoint(&room));
        let held = room.place().unwrap();
        let hop = Hop { endpoint: &old, worker: 0, face: &Face::Plain };
        let wish = Wish { hop, takes, tried: &[] };
        let (limits, now) = (Limits::default(), Instant::now());
        let mut first = Box::pin(wish.granted(&limits, now, None));
        let mut next = Box::pin(wishes(&new, takes));
        assert!((&mut first).now_or_never().is_none() && (&mut next).now_or_never().is_none());
        old.leave();
        set(&room, Some(&bounds(1, 10)), members(&[&new]));
        assert!((&mut first).now_or_never().is_none());
        drop(held);
        assert!((&mut next).now_or_never().is_none(), "it came later");
        let (at, granted) = first.now_or_never().unwrap().unwrap();
        assert!(Arc::ptr_eq(&at, &new), "{takes:?}: {granted:?}");
        // So does who comes by an older table.
        drop(granted);
        drop(place(next.now_or_never()));
        let (at, _) = wish.granted(&limits, now, None).now_or_never().unwrap().unwrap();
        assert!(Arc::ptr_eq(&at, &new));
    }
}

#[tokio::test]
async fn who_waits_for_an_endpoint_that_is_gone_is_told_where_there_is_no_other() {
    let room = room(1, 10);
    let (old, tried) = (endpoint(&room), endpoint(&room));
    let held = room.place().unwrap();
    let at = [tried.address];
    let hop = Hop { endpoint: &old, worker: 0, face: &Face::Plain };
    let wish = Wish { hop, takes: Takes::Anywhere, tried: &at };
    let limits = Limits::default();
    let mut waiting = Box::pin(wish.granted(&limits, Instant::now(), None));
    assert!((&mut waiting).now_or_never().is_none());
    old.leave();
    set(&room, Some(&bounds(1, 10)), members(&[&tried]));
    let failure = waiting.now_or_never().unwrap().unwrap_err();
    assert_eq!((failure.reason, failure.retry), (Reason::NoEndpoint, Retry::Never));
    let why =
        "backend: the endpoint that it waited for is gone, and there is no other where it may go";
    assert_eq!(failure.to_string(), why);
    assert_eq!(open_and_waiting(&room), (1, 0));
    // Who began before that and need not wait may reach it yet.
    drop(held);
    let (at, _) = wish.granted(&limits, Instant::now(), None).now_or_never().unwrap().unwrap();
    assert!(Arc::ptr_eq(&at, &old));
}

#[tokio::test]
async fn who_shares_another_connection_goes_where_balancing_would_send_them() {
    let room = room(3, 0);
    let [meant, busy, idle, elsewhere] = [(); 4].map(|()| of_http2(&room));
    let levels = [Level::Own, Level::Own, Level::Own, Level::Near];
    // What is elsewhere stands first, so that the order says nothing.
    let mut all = members(&[&meant, &busy, &idle, &elsewhere]);
    all.iter_mut().zip(levels).for_each(|(one, level)| one.level = level);
    all.reverse();
    set(&room, Some(&bounds(3, 0)), all);
    let _all = [(); 3].map(|()| room.place().unwrap());
    for one in [&busy, &idle, &elsewhere] {
        one.pools[0].share(&shared().await);
    }
    let now = Instant::now();
    let turns = |one: &Arc<Endpoint>, count| (0..count).map(|_| Turn::at(one, now, now)).collect();
    let goes_to = async |wanted: &Arc<Endpoint>| {
        let hop = Hop { endpoint: &meant, worker: 0, face: &Face::Plain };
        let wish = Wish { hop, takes: Takes::Anywhere, tried: &[] };
        let got = wish.granted(&Limits::default(), now, None).await.unwrap();
        assert!(matches!(got.1, Granted::Shared(_)), "{got:?}");
        assert!(Arc::ptr_eq(&got.0, wanted), "{:?}", got.0.load);
    };
    let mut held: Vec<Turn> = turns(&busy, 2);
    held.extend::<Vec<Turn>>(turns(&idle, 1));
    goes_to(&idle).await;
    held.extend::<Vec<Turn>>(turns(&idle, 2));
    goes_to(&busy).await;
    // Where a connection of the own zone bears no more, one elsewhere may.
    held.extend::<Vec<Turn>>(turns(&busy, 100));
    held.extend::<Vec<Turn>>(turns(&idle, 100));
    goes_to(&elsewhere).await;
    elsewhere.load.eject(1, Duration::from_secs(1));
    goes_to(&busy).await;
}

#[tokio::test]
async fn who_is_refused_again_looks_at_no_queue_and_no_pool_until_something_comes_back() {
    let room = room(1, 0);
    let [one, other] = [backend_in(usize::MAX, &room).await, backend_in(usize::MAX, &room).await];
    set(&room, Some(&bounds(1, 0)), members(&[&one, &other]));
    let answered = sent(&one).await;
    let refused = wishes(&other, Takes::Anywhere).now_or_never().unwrap();
    assert_eq!(refused.unwrap_err().reason, Reason::Overloaded);
    let (sender, told) = std::sync::mpsc::channel();
    let locked = room.lock();
    let again = Arc::clone(&other);
    std::thread::spawn(move || {
        let refused = wishes(&again, Takes::Anywhere).now_or_never().unwrap().unwrap_err();
        sender.send(refused.reason).unwrap();
    });
    // Who wanted the lock would say nothing while it is held.
    assert_eq!(told.recv_timeout(Duration::from_secs(20)).unwrap(), Reason::Overloaded);
    drop(locked);
    end(answered).await;
    assert_eq!((one.pools[0].idle(), open_and_waiting(&room)), (1, (1, 0)));
    let got = wishes(&other, Takes::Anywhere).await.unwrap();
    assert!(matches!(got, Granted::Place(_)), "{got:?}");
}

/// What the callers of one worker do: each takes a place and gives it back, again and again. Counts how many
/// of all workers' had one at once.
fn work(endpoint: &Arc<Endpoint>, (open, most): (Arc<AtomicU32>, Arc<AtomicU32>)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(futures::future::join_all((0..10).map(|_| async {
        for _ in 0..200 {
            let place = place(Some(wishes(endpoint, Takes::Room).await));
            most.fetch_max(open.fetch_add(1, SeqCst) + 1, SeqCst);
            tokio::task::yield_now().await;
            open.fetch_sub(1, SeqCst);
            drop(place);
        }
    })));
}

#[test]
fn nobody_is_forgotten_and_never_are_there_more() {
    let room = Arc::<Room>::default();
    let patience = serde_json::json!({ "connections": 3, "pendingTimeout": "60s" });
    set(&room, Some(&serde_json::from_value(patience).unwrap()), Vec::new());
    let endpoint = endpoint(&room);
    let counts = (Arc::<AtomicU32>::default(), Arc::<AtomicU32>::default());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let counts = counts.clone();
            scope.spawn(|| work(&endpoint, counts));
        }
    });
    assert!((1..=3).contains(&counts.1.load(SeqCst)));
    assert_eq!(room.counts(), Counts { open: 0, most: Some(3), waiting: 0, refused: 0 });
}
