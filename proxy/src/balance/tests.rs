//! Which endpoint gets the request, by what was learnt of them.

use model::service::AppProtocol;

use super::*;

fn service(count: u16) -> Service {
    let endpoint = |port| {
        Arc::new(Endpoint {
            way: None,
            is_far: false,
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            protocol: AppProtocol::Http1,
            load: Load::default(),
            pools: Box::default(),
        })
    };
    let mirrors = Arc::new(tokio::sync::Semaphore::new(1));
    let endpoints: Vec<_> = (1..=count).map(endpoint).collect();
    let near = endpoints.len();
    let protocol = AppProtocol::Http1;
    Service {
        id: 0,
        label: "shop/cart:80".into(),
        protocol,
        endpoints,
        near,
        is_meshed: false,
        mirrors,
        retries: Arc::default(),
    }
}

/// Draws that reach every pair.
fn draws() -> impl Iterator<Item = u64> {
    (0..64u64).map(|n| n.wrapping_mul(0x9E37_79B9_7F4A_7C15))
}

fn port(endpoint: &Arc<Endpoint>) -> u16 {
    endpoint.address.port()
}

#[test]
fn the_faster_of_two_gets_the_request() {
    let service = service(2);
    service.endpoints[0].load.answered(1, Duration::from_millis(50));
    service.endpoints[1].load.answered(1, Duration::from_millis(1));
    for random in draws() {
        assert_eq!(port(pick(&service, &[], false, 2, random).unwrap()), 2);
    }
}

#[test]
fn an_endpoint_that_never_answers_does_not_draw_everybody() {
    let service = service(2);
    let epoch = Instant::now();
    service.endpoints[1].load.answered(1, Duration::from_millis(100));
    let _waiting = Turn::at(&service.endpoints[0], epoch, epoch);
    for random in draws() {
        assert_eq!(port(pick(&service, &[], false, 2, random).unwrap()), 2);
    }
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
fn an_endpoint_that_was_tried_is_not_tried_again() {
    let service = service(3);
    let tried: Vec<_> = service.endpoints[..2].iter().map(|endpoint| endpoint.address).collect();
    assert_eq!(port(pick(&service, &tried, false, 0, 7).unwrap()), 3);
    let all: Vec<_> = service.endpoints.iter().map(|endpoint| endpoint.address).collect();
    assert!(pick(&service, &all, false, 0, 7).is_none());
    assert!(pick(&self::service(0), &[], false, 0, 7).is_none());
}

#[test]
fn every_endpoint_is_drawn() {
    let service = service(5);
    let drawn: std::collections::BTreeSet<_> =
        draws().map(|random| port(pick(&service, &[], false, 0, random).unwrap())).collect();
    assert!(drawn.len() >= 4, "{drawn:?}");
}

#[test]
fn far_endpoints_are_asked_when_no_near_one_is_left() {
    let mut service = service(4);
    service.near = 2;
    let at = |index: usize| service.endpoints[index].address;
    for random in 0..64_u64 {
        let random = random.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let first = pick(&service, &[], false, 0, random).unwrap().address;
        assert!(first == at(0) || first == at(1), "{first}");
    }
    assert_eq!(pick(&service, &[at(0)], false, 0, 0).unwrap().address, at(1));
    let far = pick(&service, &[at(0), at(1)], false, 0, 0).unwrap().address;
    assert!(far == at(2) || far == at(3), "{far}");
    // What ails one here may ail all that are here: the last try is elsewhere.
    let last = pick(&service, &[at(0)], true, 0, 0).unwrap().address;
    assert!(last == at(2) || last == at(3), "{last}");
    assert_eq!(pick(&service, &[at(0), at(2), at(3)], true, 0, 0).unwrap().address, at(1));
    service.near = 0;
    assert!(pick(&service, &[], false, 0, 0).is_some());
}

#[test]
fn one_that_cannot_be_reached_rests_and_is_then_tried_by_one_request_at_a_time() {
    let mut service = service(2);
    service.near = 1;
    let second = |n: u64| n * Duration::from_secs(1).as_nanos() as u64;
    let picked = |now: u64| port(pick(&service, &[], false, now, 7).unwrap());
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
    load.answered(second(4), Duration::from_millis(3));
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
        assert_eq!(port(pick(&service, &[], false, 2, random).unwrap()), 1);
    }
    service.near = 0;
    let drawn: std::collections::BTreeSet<_> =
        draws().map(|random| port(pick(&service, &[], false, 2, random).unwrap())).collect();
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
