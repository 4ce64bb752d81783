//! Which endpoint gets the request, by what was learnt of them.

use model::service::AppProtocol;
use model::traffic::{Ejection, TrafficPolicy};

use super::*;
use crate::body::Progress;

mod traffic;
mod zones;

/// The longest rest of one that cannot be reached.
const LONGEST_REST: Duration = Duration::from_secs(4);

fn service(count: u16) -> Service {
    let endpoint = |port| {
        Arc::new(Endpoint {
            service: "shop/cart:80".into(),
            way: None,
            wire: crate::live::Wire::Clear,
            is_far: false,
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            protocol: AppProtocol::Http1,
            load: Arc::default(),
            room: Arc::default(),
            pools: Box::default(),
            gone: Default::default(),
        })
    };
    let mirrors = Arc::new(tokio::sync::Semaphore::new(1));
    let endpoints: Vec<_> = (1..=count).map(endpoint).collect();
    let near = endpoints.len();
    let protocol = AppProtocol::Http1;
    Service {
        id: 0,
        label: "shop/cart:80".into(),
        mark: crate::session::Mark::of("shop/cart:80"),
        protocol,
        wire: crate::live::Wire::Clear,
        endpoints,
        near,
        own: 0,
        is_meshed: false,
        mirrors,
        retries: Arc::default(),
        spread: Spread::default(),
        traffic: None,
        under_way: Arc::default(),
        room: Arc::default(),
    }
}

/// Draws that reach every pair.
fn draws() -> impl Iterator<Item = u64> {
    (0..64u64).map(|n| n.wrapping_mul(0x9E37_79B9_7F4A_7C15))
}

fn by(now: u64, random: u64) -> Draw {
    Draw { now, random, key: None }
}

/// What decides where nothing of a request does.
const ALL: [Algorithm; 4] =
    [Algorithm::PeakEwma, Algorithm::LeastRequest, Algorithm::RoundRobin, Algorithm::Random];

fn port(endpoint: &Arc<Endpoint>) -> u16 {
    endpoint.address.port()
}

#[test]
fn a_session_stays_where_it_is_while_that_is_well_or_nothing_is() {
    let service = service(3);
    let at = service.endpoints[1].address;
    let is_kept = |at| kept(&service, at).map(port);
    assert_eq!(is_kept(at), Some(2));
    assert_eq!(is_kept(SocketAddr::from(([127, 0, 0, 1], 9))), None, "it is none of them");
    service.endpoints[1].load.unreached(1, 1);
    assert_eq!(is_kept(at), None);
    for other in [0, 2] {
        service.endpoints[other].load.unreached(1, 1);
    }
    assert_eq!(is_kept(at), Some(2), "nobody else would be better");
    let service = spread(3, &Balance { panic_percent: 50, ..Balance::default() });
    for (ill, then) in [(1, None), (2, Some(2))] {
        service.endpoints[ill].load.eject(5, Duration::from_secs(9));
        assert_eq!(kept(&service, at).map(port), then, "{ill}");
    }
}

#[test]
fn the_faster_of_two_gets_the_request() {
    let service = service(2);
    service.endpoints[0].load.answered(1, 1, Duration::from_millis(50), Said::Well);
    service.endpoints[1].load.answered(1, 1, Duration::from_millis(1), Said::Well);
    for random in draws() {
        assert_eq!(port(pick(&service, &[], false, by(2, random)).unwrap()), 2);
    }
}

#[test]
fn an_endpoint_that_never_answers_does_not_draw_everybody() {
    let service = service(2);
    let epoch = Instant::now();
    service.endpoints[1].load.answered(1, 1, Duration::from_millis(100), Said::Well);
    let _waiting = Turn::at(&service.endpoints[0], epoch, epoch);
    for random in draws() {
        assert_eq!(port(pick(&service, &[], false, by(2, random)).unwrap()), 2);
    }
}

#[test]
fn an_endpoint_that_falls_mute_is_asked_every_four_seconds_until_it_is_heard() {
    let service = service(2);
    let epoch = Instant::now().checked_sub(Duration::from_secs(100)).unwrap();
    let at = |seconds: u64| Duration::from_secs(seconds).as_nanos() as u64;
    let share = |now: u64| counts(&service, many(100).map(|n| by(now, n)))[0];
    for endpoint in &service.endpoints {
        endpoint.load.answered(1, 1, Duration::from_millis(1), Said::Well);
    }
    let ask = |seconds: u64| {
        let mut turn = Turn::at(&service.endpoints[0], epoch, epoch + Duration::from_secs(seconds));
        turn.takes(Sending::Nothing);
        turn
    };
    // Who asked has long gone away.
    drop((0..3).map(|_| ask(0)).collect::<Vec<_>>());
    assert_eq!(share(at(1) / 100), 0);
    // Long after its estimate is forgotten.
    assert_eq!(share(at(3)), 0);
    assert_eq!(share(at(60)), 100, "somebody has to ask");
    let mut asks = ask(60);
    assert_eq!(share(at(63)), 0);
    assert_eq!(share(at(64)), 100);
    asks.answered(epoch + Duration::from_millis(60_001), Said::Well);
    drop(asks);
    let (again, other) = (&service.endpoints[0].load, &service.endpoints[1].load);
    other.answered(at(60), at(60), Duration::from_millis(1), Said::Well);
    assert_eq!(
        again.estimate(),
        Duration::from_millis(1),
        "it was heard, and that is all that is known"
    );
}

/// Two endpoints that answered in a millisecond, whose epoch is 100 s ago, and a turn of the first one's.
fn known() -> (Service, Instant, impl Fn(&Service, Duration) -> Turn) {
    let service = service(2);
    let epoch = Instant::now().checked_sub(Duration::from_secs(100)).unwrap();
    for endpoint in &service.endpoints {
        endpoint.load.answered(1, 1, Duration::from_millis(1), Said::Well);
    }
    let turn = move |service: &Service, since: Duration| {
        Turn::at(&service.endpoints[0], epoch, epoch + since)
    };
    (service, epoch, turn)
}

#[test]
fn one_that_refuses_fast_out_of_its_silence_or_rest_is_not_taken_to_answer_fast() {
    let at = |seconds| Duration::from_secs(seconds);
    let refuses = |fails: fn(&Load)| {
        let (service, epoch, turn) = known();
        let [load, other] = [0, 1].map(|one| &service.endpoints[one].load);
        fails(load);
        drop((0..3).map(|_| turn(&service, Duration::ZERO)).collect::<Vec<_>>());
        let asked = epoch + at(60) + Duration::from_micros(20);
        turn(&service, at(60)).answered(asked, Said::Burdened);
        other.answered(
            nanos(epoch, asked),
            nanos(epoch, asked),
            Duration::from_millis(1),
            Said::Well,
        );
        let share = counts(&service, many(100).map(|n| by(nanos(epoch, asked), n)))[0];
        (share, load.estimate(), load.is_well())
    };
    let usual = Duration::from_millis(1);
    assert_eq!(refuses(|_| {}), (0, usual, true), "it was mute");
    // Whoever limits one caller keeps nobody else out.
    assert_eq!(
        refuses(|load| assert!(load.unreached(1, 1))),
        (0, usual, true),
        "it could not be reached"
    );
    assert_eq!(
        refuses(|load| load.eject(1, Duration::from_secs(1))),
        (0, usual, true),
        "it was ejected"
    );
}

#[test]
fn one_that_refuses_before_the_body_is_whole_is_not_taken_to_answer_fast_either() {
    for fails in [|_: &Load| {}, |load: &Load| load.eject(1, Duration::from_secs(1))] {
        let (service, epoch, turn) = known();
        let [load, other] = [0, 1].map(|one| &service.endpoints[one].load);
        fails(load);
        drop((0..3).map(|_| turn(&service, Duration::ZERO)).collect::<Vec<_>>());
        let minute = Duration::from_secs(60);
        let mut upload = turn(&service, minute);
        upload.takes(Sending::Told(Arc::default()));
        upload.reached(epoch + minute, Said::Burdened);
        drop(upload);
        let now = nanos(epoch, epoch + minute);
        other.answered(now, now, Duration::from_millis(1), Said::Well);
        assert_eq!(load.estimate(), Duration::from_millis(1));
        assert_eq!(counts(&service, many(100).map(|n| by(now, n)))[0], 0);
    }
}

#[test]
fn who_refuses_one_caller_is_as_fast_for_others_as_it_was() {
    let (service, ..) = known();
    let load = &service.endpoints[0].load;
    let at = |seconds| Duration::from_secs(seconds).as_nanos() as u64;
    load.answered(1, at(1), Duration::from_secs(10), Said::Well);
    load.answered(1, at(1), Duration::from_millis(1), Said::Well);
    // Long after, the slow one is nearly forgotten.
    for _ in 0..100 {
        load.answered(at(61), at(61), Duration::from_millis(1), Said::Burdened);
    }
    assert!(load.estimate() < Duration::from_millis(100), "{:?}", load.estimate());
}

#[test]
fn a_body_that_does_not_come_does_not_have_others_ask() {
    for sending in [Sending::Told(Arc::default()), Sending::Untold] {
        let (service, _, turn) = known();
        drop((0..3).map(|_| turn(&service, Duration::ZERO)).collect::<Vec<_>>());
        let minute = Duration::from_secs(60);
        let share = || counts(&service, many(100).map(|n| by(minute.as_nanos() as u64, n)))[0];
        assert_eq!(share(), 100, "somebody has to ask");
        let mut uploads = turn(&service, minute);
        uploads.takes(sending);
        assert_eq!(share(), 0, "it asks");
        drop(uploads);
    }
}

#[test]
fn whoever_waits_as_long_as_others_before_asks_as_well() {
    let (service, epoch, _) = known();
    let load = &service.endpoints[0].load;
    // Callers one after another, with a deadline of 500 ms.
    for _ in 0..3 {
        let began = Instant::now().checked_sub(Duration::from_millis(500)).unwrap();
        drop(Turn::at(&service.endpoints[0], epoch, began));
    }
    let later = nanos(epoch, Instant::now() + Duration::from_secs(3));
    assert!(load.cost(later) >= Duration::from_secs(3).as_nanos() as f64, "{}", load.cost(later));
}

#[test]
fn who_goes_away_at_once_has_not_asked_whether_it_is_mute() {
    let (service, epoch, _) = known();
    let now = || Instant::now();
    let at_once = || Turn::at(&service.endpoints[0], epoch, now());
    drop((0..9).map(|_| at_once()).collect::<Vec<_>>());
    (0..9).for_each(|_| at_once().blameless());
    let later = nanos(epoch, now() + Duration::from_secs(3));
    let load = &service.endpoints[0].load;
    assert!(load.cost(later) < Duration::from_millis(10).as_nanos() as f64, "{}", load.cost(later));
    // Who was patient has.
    let patient = now().checked_sub(Duration::from_secs(2)).unwrap();
    drop((0..3).map(|_| Turn::at(&service.endpoints[0], epoch, patient)).collect::<Vec<_>>());
    let soon = nanos(epoch, now() + Duration::from_secs(1));
    assert!(load.cost(soon) >= Duration::from_secs(3).as_nanos() as f64, "{}", load.cost(soon));
    // And another who goes away at once does not ask in the place of others.
    let due = nanos(epoch, now() + Duration::from_secs(9));
    assert!(load.cost(due) < 1.0, "somebody has to ask");
    let asks = Turn::at(&service.endpoints[0], epoch, now() + Duration::from_secs(9));
    let behind = nanos(epoch, now() + Duration::from_secs(9));
    assert!(load.cost(behind) > 1.0, "it asks");
    drop(asks);
    assert!(load.cost(behind) < 1.0, "somebody has to ask yet");
}

#[test]
fn one_that_is_silent_once_it_has_the_bodies_is_mute() {
    let (service, _, turn) = known();
    let load = &service.endpoints[0].load;
    let later = Duration::from_secs(160).as_nanos() as u64;
    let cost = |progress: fn() -> Arc<Progress>| {
        let ask = |_| {
            let (mut turn, progress) = (turn(&service, Duration::from_secs(100)), progress());
            turn.takes(Sending::Told(Arc::clone(&progress)));
            (turn, progress)
        };
        let asks: Vec<_> = (0..3).map(ask).collect();
        asks.iter().for_each(|(_, progress)| progress.ends());
        let mute = load.cost(later - Duration::from_secs(57).as_nanos() as u64);
        asks.into_iter().for_each(|(mut turn, _)| turn.blameless());
        mute
    };
    let whole = || Arc::new(Progress::whole_at(Instant::now()));
    for progress in [Arc::<Progress>::default as fn() -> Arc<Progress>, whole] {
        assert!(cost(progress) >= Duration::from_secs(2).as_nanos() as f64);
        assert!(load.cost(later) < Duration::from_millis(10).as_nanos() as f64, "given back");
    }
}

#[test]
fn many_requests_at_once_are_no_silence_whose_end_would_say_all() {
    let service = service(1);
    let load = &service.endpoints[0].load;
    let epoch = Instant::now();
    load.answered(1, 1, Duration::from_secs(3), Said::Well);
    let mut turns: Vec<_> = (0..4).map(|_| Turn::at(&service.endpoints[0], epoch, epoch)).collect();
    for (millis, turn) in turns.iter_mut().enumerate() {
        turn.answered(epoch + Duration::from_millis(1500 + millis as u64), Said::Well);
    }
    assert!(load.estimate() > Duration::from_secs(2), "{:?}", load.estimate());
}

#[test]
fn who_waits_for_its_caller_is_not_mute() {
    let service = service(2);
    let epoch = Instant::now();
    for endpoint in &service.endpoints {
        endpoint.load.answered(1, 1, Duration::from_millis(1), Said::Well);
    }
    let uploads: Vec<_> = (0..9)
        .map(|_| {
            let mut turn = Turn::at(&service.endpoints[0], epoch, epoch);
            turn.takes(Sending::Untold);
            turn
        })
        .collect();
    let later = Duration::from_secs(60).as_nanos() as u64;
    let cost = service.endpoints[0].load.cost(later);
    assert!(cost < Duration::from_millis(10).as_nanos() as f64, "{cost}");
    assert_eq!(service.endpoints[0].load.under_way(), 9);
    drop(uploads);
}

#[test]
fn giving_up_is_learnt_as_the_time_that_was_waited() {
    let service = service(1);
    let load = &service.endpoints[0].load;
    let now = Instant::now();
    let began = now.checked_sub(Duration::from_secs(2)).unwrap();
    drop(Turn::at(&service.endpoints[0], began, began));
    assert!(load.estimate() >= Duration::from_secs(2), "{:?}", load.estimate());
    assert_eq!(load.under_way(), 0);
}

#[test]
fn what_was_not_the_endpoints_doing_teaches_nothing() {
    let service = service(1);
    let began = Instant::now().checked_sub(Duration::from_secs(2)).unwrap();
    let mut turn = Turn::at(&service.endpoints[0], began, began);
    turn.blameless();
    drop(turn);
    assert_eq!(service.endpoints[0].load.estimate(), Duration::ZERO);
}

#[test]
fn the_time_that_a_client_takes_for_its_body_is_no_endpoints() {
    let service = service(1);
    let load = &service.endpoints[0].load;
    let began = Instant::now().checked_sub(Duration::from_secs(3600)).unwrap();
    let given_up = |sending: Sending| {
        let mut turn = Turn::at(&service.endpoints[0], began, began);
        turn.takes(sending);
    };
    given_up(Sending::Told(Arc::default()));
    given_up(Sending::Untold);
    assert_eq!(load.estimate(), Duration::ZERO, "the body never came");
    let whole = began + Duration::from_secs(3598);
    given_up(Sending::Told(Arc::new(Progress::whole_at(whole))));
    let estimate = load.estimate().as_secs();
    assert!((2..60).contains(&estimate), "it was whole 2 s ago: {estimate} s");
}

#[test]
fn an_endpoint_that_was_tried_is_not_tried_again() {
    let service = service(3);
    let tried: Vec<_> = service.endpoints[..2].iter().map(|endpoint| endpoint.address).collect();
    assert_eq!(port(pick(&service, &tried, false, by(0, 7)).unwrap()), 3);
    let all: Vec<_> = service.endpoints.iter().map(|endpoint| endpoint.address).collect();
    assert!(pick(&service, &all, false, by(0, 7)).is_none());
    assert!(pick(&self::service(0), &[], false, by(0, 7)).is_none());
}

#[test]
fn every_endpoint_is_drawn() {
    let service = service(5);
    let drawn: std::collections::BTreeSet<_> =
        draws().map(|random| port(pick(&service, &[], false, by(0, random)).unwrap())).collect();
    assert!(drawn.len() >= 4, "{drawn:?}");
}

#[test]
fn far_endpoints_are_asked_when_no_near_one_is_left() {
    let mut service = service(4);
    service.near = 2;
    let at = |index: usize| service.endpoints[index].address;
    for random in 0..64_u64 {
        let random = random.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let first = pick(&service, &[], false, by(0, random)).unwrap().address;
        assert!(first == at(0) || first == at(1), "{first}");
    }
    assert_eq!(pick(&service, &[at(0)], false, by(0, 0)).unwrap().address, at(1));
    let far = pick(&service, &[at(0), at(1)], false, by(0, 0)).unwrap().address;
    assert!(far == at(2) || far == at(3), "{far}");
    // What ails one here may ail all that are here: the last try is elsewhere.
    let last = pick(&service, &[at(0)], true, by(0, 0)).unwrap().address;
    assert!(last == at(2) || last == at(3), "{last}");
    assert_eq!(pick(&service, &[at(0), at(2), at(3)], true, by(0, 0)).unwrap().address, at(1));
    service.near = 0;
    assert!(pick(&service, &[], false, by(0, 0)).is_some());
}

#[test]
fn one_that_cannot_be_reached_rests_and_is_then_tried_by_one_request_at_a_time() {
    let mut service = service(2);
    service.near = 1;
    let second = |n: u64| n * Duration::from_secs(1).as_nanos() as u64;
    let picked = |now: u64| port(pick(&service, &[], false, by(now, 7)).unwrap());
    let load = &service.endpoints[0].load;
    assert_eq!(picked(0), 1);
    load.unreached(0, second(1));
    // Another that found it at the same time adds nothing.
    load.unreached(0, second(1));
    assert_eq!(load.rests(second(1)), Duration::from_secs(1));
    assert_eq!(picked(second(1)), 2, "while the near one rests");
    assert_eq!((picked(second(2)), picked(second(2))), (1, 2), "one tries it, the other does not");
    load.unreached(second(2), second(2));
    assert_eq!(load.rests(second(2)), Duration::from_secs(2));
    assert_eq!((picked(second(3)), picked(second(4))), (2, 1));
    load.answered(second(4), second(4), Duration::from_millis(3), Said::Well);
    assert_eq!(load.estimate(), Duration::from_millis(3), "what was before counts no more");
    assert_eq!((picked(second(4)), picked(second(4))), (1, 1));
}

#[test]
fn where_none_is_well_any_is_tried() {
    let mut service = service(3);
    service.near = 1;
    for endpoint in &service.endpoints {
        endpoint.load.unreached(0, 1);
    }
    for random in draws() {
        assert_eq!(port(pick(&service, &[], false, by(2, random)).unwrap()), 1);
    }
    service.near = 0;
    let drawn: std::collections::BTreeSet<_> =
        draws().map(|random| port(pick(&service, &[], false, by(2, random)).unwrap())).collect();
    assert_eq!(drawn.len(), 3);
}

#[test]
fn no_rest_is_longer_than_the_bound() {
    let load = Load::default();
    for n in 0..100 {
        load.unreached(n * 2, n * 2 + 1);
        assert!(load.rests(n * 2 + 1) <= LONGEST_REST);
    }
    assert_eq!(load.rests(199), LONGEST_REST);
}

/// The same endpoints, spread over as `balance` says.
fn spread(count: u16, balance: &Balance) -> Service {
    let mut service = service(count);
    let addresses: Vec<_> = service.endpoints.iter().map(|one| one.address).collect();
    service.spread = Spread::new(balance, addresses.into_iter(), None);
    service
}

fn algorithm(algorithm: Algorithm) -> Balance {
    Balance { algorithm, ..Balance::default() }
}

/// How many of `draws` fell on each port.
fn counts(service: &Service, draws: impl Iterator<Item = Draw>) -> Vec<usize> {
    let mut counts = vec![0; service.endpoints.len()];
    for draw in draws {
        counts[usize::from(port(pick(service, &[], false, draw).unwrap())) - 1] += 1;
    }
    counts
}

fn many(number: u64) -> impl Iterator<Item = u64> {
    (1..=number).map(|n| ring::hash(&n.to_be_bytes()))
}

#[test]
fn round_robin_gives_each_its_turn_and_steps_over_who_rests() {
    let service = spread(4, &algorithm(Algorithm::RoundRobin));
    assert_eq!(counts(&service, many(40).map(|n| by(5, n))), [10; 4]);
    service.endpoints[1].load.eject(5, Duration::from_secs(1));
    let counted = counts(&service, many(40).map(|n| by(6, n)));
    assert_eq!((counted[1], counted.iter().sum::<usize>()), (0, 40));
    // What was counted goes on in the next table.
    let next =
        Spread::new(&algorithm(Algorithm::RoundRobin), [].into_iter(), Some(&service.spread));
    let By::RoundRobin(turn) = &next.by else { panic!("{next:?}") };
    assert_eq!(turn.load(Relaxed), 80);
}

#[test]
fn random_and_least_request_do_what_they_say() {
    let random = spread(4, &algorithm(Algorithm::Random));
    let counted = counts(&random, many(4000).map(|n| by(5, n)));
    assert!(counted.iter().all(|count| (850..1150).contains(count)), "{counted:?}");
    let least = spread(2, &algorithm(Algorithm::LeastRequest));
    let epoch = Instant::now();
    least.endpoints[0].load.answered(1, 1, Duration::from_millis(1), Said::Well);
    least.endpoints[1].load.answered(1, 1, Duration::from_secs(1), Said::Well);
    let _under_way = Turn::at(&least.endpoints[0], epoch, epoch);
    let counted = counts(&least, many(50).map(|n| by(5, n)));
    assert_eq!(counted, [0, 50], "the slow one has none under way");
}

#[test]
fn a_key_stays_with_its_endpoint_and_few_move_when_one_is_gone() {
    let balance = Balance { algorithm: Algorithm::RingHash, ..Balance::default() };
    let (ten, nine) = (spread(10, &balance), spread(9, &balance));
    let keyed = |key: u64| Draw { key: Some(key), ..by(5, 7) };
    let counted = counts(&ten, many(10_000).map(keyed));
    assert!(counted.iter().all(|count| (600..1500).contains(count)), "{counted:?}");
    let of = |service: &Service, key| port(pick(service, &[], false, keyed(key)).unwrap());
    let moved = many(10_000).filter(|key| of(&ten, *key) != of(&nine, *key)).count();
    assert_eq!(moved, counted[9], "only those of the one that is gone");
    // Those of one that rests are spread over the others, and come back.
    let key = many(10_000).find(|key| of(&ten, *key) == 3).unwrap();
    ten.endpoints[2].load.eject(5, Duration::from_secs(1));
    let stand_in = of(&ten, key);
    assert_ne!(stand_in, 3);
    assert_eq!(of(&ten, key), stand_in);
}

#[test]
fn who_starts_slowly_gets_more_and_more() {
    let slow = |algorithm| Balance {
        slow_start: Some(Duration::from_secs(100).into()),
        ..self::algorithm(algorithm)
    };
    let second = Duration::from_secs(1).as_nanos() as u64;
    // One that failed its checks, that failed requests, and that could not be reached.
    let ills: [fn(&Load); 3] = [
        |load| load.checked(false, 0),
        |load| load.eject(1, Duration::from_secs(1)),
        |load| assert!(load.unreached(1, 1)),
    ];
    for (algorithm, ill) in ALL.into_iter().flat_map(|one| ills.map(|ill| (one, ill))) {
        let service = spread(2, &slow(algorithm));
        for (endpoint, again) in service.endpoints.iter().zip([10, 200]) {
            ill(&endpoint.load);
            endpoint.load.checked(true, again * second);
            let took = Duration::from_millis(1);
            endpoint.load.answered(again * second, again * second + 1, took, Said::Well);
            endpoint.load.answered(200 * second, 200 * second + 1, took, Said::Well);
        }
        let share = |at: u64| counts(&service, many(1000).map(|n| by(at * second, n)))[1];
        let (early, late) = (share(210), share(301));
        assert!(early < 100, "{algorithm:?}: {early} of 1000 after a tenth of its time");
        assert!(late >= 400, "{algorithm:?}: {late} of 1000 after it");
    }
}

#[test]
fn in_a_panic_those_that_rest_get_requests_too() {
    let balance = Balance { panic_percent: 50, ..Balance::default() };
    let service = spread(4, &balance);
    let rest = |index: usize| service.endpoints[index].load.eject(5, Duration::from_secs(9));
    rest(0);
    rest(1);
    let counted = counts(&service, many(200).map(|n| by(6, n)));
    assert_eq!((counted[0], counted[1]), (0, 0), "half are well, which is enough");
    rest(2);
    let counted = counts(&service, many(200).map(|n| by(6, n)));
    assert!(counted.iter().all(|count| *count > 20), "{counted:?}");
}

#[test]
fn too_many_failures_make_an_endpoint_rest_but_not_too_many_endpoints() {
    let service = service(4);
    let fail = |index: usize, times: u32, now: u64| {
        let endpoint = &service.endpoints[index];
        (0..times).for_each(|_| service.judge(endpoint, Said::Failed, (now, now)));
    };
    let resting = || service.endpoints.iter().filter(|one| one.load.is_resting()).count();
    fail(0, 4, 1);
    service.judge(&service.endpoints[0], Said::Well, (1, 1));
    fail(0, 4, 1);
    assert_eq!(resting(), 0, "never five in a row");
    fail(0, 1, 1);
    assert_eq!(service.endpoints[0].load.rests(1), Duration::from_secs(1));
    fail(1, 9, 1);
    fail(2, 9, 1);
    assert_eq!(resting(), 2, "half of them at most");
    // A trial that fails makes it rest longer, and one that does not ends it.
    let second = Duration::from_secs(1).as_nanos() as u64;
    fail(0, 1, 2 * second);
    assert_eq!(service.endpoints[0].load.rests(2 * second), Duration::from_secs(2));
    let load = &service.endpoints[0].load;
    load.answered(second, 3 * second, Duration::from_millis(1), Said::Well);
    assert!(load.is_resting(), "that began before");
    load.answered(4 * second, 5 * second, Duration::from_millis(1), Said::Well);
    assert!(load.is_well());
}

#[test]
fn one_trial_that_fails_is_enough_to_rest_longer_also_by_a_share() {
    let rule =
        Ejection { consecutive: 0, percent: Some(50), minimum_requests: 4, ..Ejection::default() };
    let policy = serde_json::json!({ "metadata": { "name": "p", "namespace": "shop" }, "spec": {
        "targetRefs": [{ "group": "", "kind": "Service", "name": "s" }] } });
    let mut policy: TrafficPolicy = serde_json::from_value(policy).unwrap();
    policy.spec.ejection = rule.clone();
    let mut service = service(4);
    service.traffic = Some(Arc::new(policy));
    let endpoint = &service.endpoints[0];
    let second = Duration::from_secs(1).as_nanos() as u64;
    for _ in 0..4 {
        service.judge(endpoint, Said::Failed, (1, 1));
    }
    assert_eq!(endpoint.load.rests(1), rule.rest());
    let later = 1 + 60 * second;
    service.judge(endpoint, Said::Failed, (later, later));
    assert_eq!(endpoint.load.rests(later), rule.rest() * 2);
}

#[test]
fn a_share_of_failures_counts_from_so_many_requests_on_and_within_its_time() {
    let rule =
        Ejection { consecutive: 0, percent: Some(40), minimum_requests: 10, ..Ejection::default() };
    let second = Duration::from_secs(1).as_nanos() as u64;
    let load = Load::default();
    let told = |said, now: u64| load.fails(said, now * second, &rule);
    for _ in 0..3 {
        assert!(!told(Said::Failed, 21), "too few requests");
        assert!(!told(Said::Well, 21));
        assert!(!told(Said::Well, 22));
    }
    assert!(told(Said::Failed, 29), "four of ten");
    assert!(!told(Said::Failed, 31), "those are past");
}

#[test]
fn who_asks_for_fewer_requests_gets_fewer() {
    let service = service(2);
    for endpoint in &service.endpoints {
        endpoint.load.answered(1, 1, Duration::from_millis(1), Said::Well);
    }
    service.endpoints[0].load.answered(1, 2, Duration::from_millis(1), Said::Burdened);
    assert!(service.endpoints[0].load.is_well());
    assert_eq!(counts(&service, many(50).map(|n| by(3, n))), [0, 50]);
    // One such answer is forgotten soon.
    let later = Duration::from_secs(3).as_nanos() as u64;
    service.endpoints[1].load.answered(later, later, Duration::from_millis(1), Said::Well);
    let share = counts(&service, many(1000).map(|n| by(later, n)))[0];
    assert!(share >= 400, "{share} of 1000");
}

#[test]
fn whatever_decides_who_asks_for_fewer_requests_gets_fewer_for_a_while() {
    let second = Duration::from_secs(1).as_nanos() as u64;
    for algorithm in ALL {
        let service = spread(2, &self::algorithm(algorithm));
        let (asks, other) = (&service.endpoints[0].load, &service.endpoints[1].load);
        let share = |at: u64| counts(&service, many(1000).map(|n| by(at, n)))[0];
        for load in [asks, other] {
            load.answered(1, 2, Duration::from_millis(1), Said::Well);
        }
        for _ in 0..9 {
            asks.answered(3, 4, Duration::from_millis(1), Said::Burdened);
        }
        assert!(asks.is_well());
        let early = share(5);
        assert!(early < 100, "{algorithm:?}: {early} of 1000");
        let later = 120 * second;
        other.answered(later, later, Duration::from_millis(1), Said::Well);
        let late = share(later);
        assert!(late >= 400, "{algorithm:?}: {late} of 1000 once that is long ago");
    }
}

#[test]
fn what_was_under_way_when_it_came_to_rest_adds_nothing() {
    let service = service(2);
    let fail =
        |began: u64, now: u64| service.judge(&service.endpoints[0], Said::Failed, (began, now));
    let load = &service.endpoints[0].load;
    (0..100).for_each(|nth| fail(nth, 100));
    assert_eq!(load.rests(100), Duration::from_secs(1), "they all began before");
    let second = Duration::from_secs(1).as_nanos() as u64;
    fail(2 * second, 3 * second);
    assert_eq!(load.rests(3 * second), Duration::from_secs(2), "this one tried it");
    // An answer that tells no time ends the rest as well.
    load.reached(5 * second, 6 * second, Said::Well);
    assert!(load.is_well());
}

#[test]
fn in_a_panic_those_of_another_cluster_that_are_well_come_first() {
    let balance =
        Balance { panic_percent: 50, algorithm: Algorithm::RoundRobin, ..Balance::default() };
    let mut service = spread(4, &balance);
    service.near = 2;
    for index in 0..2 {
        service.endpoints[index].load.eject(5, Duration::from_secs(9));
    }
    let counted = counts(&service, many(100).map(|n| by(6, n)));
    assert_eq!((counted[0], counted[1]), (0, 0));
    assert!(counted[2] > 20 && counted[3] > 20, "{counted:?}");
}
