//! How long a session lasts, and what callers get to carry.

use super::*;

const START: u64 = 1_700_000_000_000;

fn session(carrier: Carrier, absolute: Option<u64>, idle: Option<u64>) -> Session {
    let bound = |seconds: Option<u64>| seconds.map(Duration::from_secs);
    let (absolute, idle) = (bound(absolute), bound(idle));
    Session { name: "cart".into(), carrier, absolute, idle, of: "HTTPRoute/shop/r/0".into() }
}

fn by_cookie(lifetime: CookieLifetime) -> Carrier {
    Carrier::Cookie { path: "/cart".into(), lifetime }
}

pub(crate) fn at(began: u64, seen: u64) -> Place {
    let address = "10.0.0.1:80".parse().unwrap();
    Place { service: Mark::of("shop/a:80"), backend: 0, address, began, seen }
}

fn moment(millis: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(millis)
}

fn headers(lines: &[String]) -> HeaderMap {
    lines.iter().map(|line| (COOKIE, HeaderValue::try_from(line).unwrap())).collect()
}

#[test]
fn a_session_is_over_after_either_time() {
    let seals = Seals::new().unwrap();
    let session = session(by_cookie(CookieLifetime::Session), Some(100), Some(10));
    for (began, seen, now, holds) in [
        (0, 0, 0, true),
        (0, 0, 9_999, true),
        (0, 0, 10_000, false),
        (0, 95_000, 99_999, true),
        (0, 95_000, 100_000, false),
        // The clock of the one that made it is ahead.
        (5_000, 5_000, 0, true),
    ] {
        let token = seals.seal(&at(START + began, START + seen), &session.of).unwrap();
        let headers = headers(&[format!("cart={token}")]);
        let visit = Visit::new(&session, &seals, &headers, moment(START + now));
        assert_eq!(visit.opened.is_some(), holds, "{began} {seen} {now}");
    }
}

#[test]
fn what_is_no_token_of_the_rule_is_none_and_hides_none() {
    let seals = Seals::new().unwrap();
    let session = session(by_cookie(CookieLifetime::Session), None, None);
    let token = seals.seal(&at(START, START), &session.of).unwrap();
    let foreign = seals.seal(&at(START, START), "HTTPRoute/shop/other/0").unwrap();
    let strange = Seals::new().unwrap().seal(&at(START, START), &session.of).unwrap();
    let large = "A".repeat(8000);
    for (lines, is_known) in [
        (vec![format!("a=1; cart={token}; b=2")], true),
        (vec![format!("a={token}")], false),
        (vec![format!("Cart={token}")], false),
        (vec![format!("cart={foreign}"), format!("cart={strange}; cart={token}")], true),
        (vec![format!("cart={foreign}; cart={strange}")], false),
        (vec![format!("cart={large}; cart={token}")], true),
        (vec![format!("cart={}", &token[1..])], false),
        (vec!["cart=x; cart=y; cart=z; cart=".to_owned() + "w; cart=" + &token], false),
        (vec!["cart".to_owned(), "cart=".to_owned()], false),
    ] {
        let visit = Visit::new(&session, &seals, &headers(&lines), moment(START));
        assert_eq!(visit.opened.is_some(), is_known, "{lines:?}");
    }
}

#[test]
fn a_cookie_says_who_may_have_it_and_for_how_long() {
    let session = session(by_cookie(CookieLifetime::Permanent), Some(100), None);
    let visit = Visit { session: &session, opened: None, now: START + 10_500 };
    let ends = visit.ends(CookieLifetime::Permanent, &at(START, START));
    assert_eq!(ends, Some(90));
    assert_eq!(visit.ends(CookieLifetime::Session, &at(START, START)), None);
    assert_eq!(
        cookie("cart", "T", "/cart", ends, Scheme::Https),
        "cart=T; Path=/cart; Max-Age=90; HttpOnly; Secure; SameSite=Lax"
    );
    assert_eq!(
        cookie("cart", "T", "/", None, Scheme::Http),
        "cart=T; Path=/; HttpOnly; SameSite=Lax"
    );
}

#[test]
fn a_backend_cannot_write_the_cookie_of_the_session() {
    let session = session(by_cookie(CookieLifetime::Session), None, None);
    let visit = Visit { session: &session, opened: None, now: START };
    let mut headers = HeaderMap::new();
    for line in ["a=1; Path=/", "cart=mine", " cart ; Max-Age=0", "carts=2", "Cart=3"] {
        headers.append(SET_COOKIE, HeaderValue::from_static(line));
    }
    visit.strip_answer(&mut headers);
    let left: Vec<_> = headers.get_all(SET_COOKIE).iter().collect();
    assert_eq!(left, ["a=1; Path=/", "carts=2", "Cart=3"]);
}

#[test]
fn a_new_token_is_given_where_the_one_that_came_does_not_do() {
    let session = session(by_cookie(CookieLifetime::Session), None, Some(80));
    let old = at(START, START + 1_000);
    let moved = Place { backend: 1, ..old };
    let visit = |opened, millis| Visit { session: &session, opened, now: START + millis };
    let opened = |place, is_old_key| Some(Opened { place, is_old_key });
    let Place { service, backend, address: endpoint, .. } = old;
    let seat = Seat { service, backend, endpoint };
    for (opened, millis, wanted) in [
        (None, 5_000, Some((5_000, 5_000))),
        (opened(old, false), 5_000, None),
        (opened(old, false), 10_999, None),
        (opened(old, false), 11_000, Some((0, 11_000))),
        (opened(old, true), 5_000, Some((0, 5_000))),
        (opened(moved, false), 5_000, Some((5_000, 5_000))),
    ] {
        let wanted = wanted.map(|(began, seen)| at(START + began, START + seen));
        assert_eq!(visit(opened, millis).due(seat), wanted, "{opened:?} {millis}");
    }
}

#[test]
fn an_answer_carries_a_token_that_leads_back() {
    let seals = Seals::new().unwrap();
    let name = http::HeaderName::from_static("x-cart");
    let seat = Seat { service: at(0, 0).service, backend: 0, endpoint: at(0, 0).address };
    for carrier in [by_cookie(CookieLifetime::Session), Carrier::Header(name.clone())] {
        let session = session(carrier, None, None);
        let visit = Visit { session: &session, opened: None, now: START };
        let mut response = Response::new(());
        response.headers_mut().insert(&name, HeaderValue::from_static("of the backend"));
        visit.mark(&seals, seat, Scheme::Http, &mut response);
        let mut brought = HeaderMap::new();
        match session.carrier {
            Carrier::Cookie { .. } => {
                let given = response.headers()[SET_COOKIE].to_str().unwrap();
                let (pair, rest) = given.split_once(';').unwrap();
                assert_eq!(rest, " Path=/cart; HttpOnly; SameSite=Lax");
                brought.insert(COOKIE, HeaderValue::try_from(pair).unwrap());
            }
            Carrier::Header(_) => drop(brought.insert(&name, response.headers()[&name].clone())),
        }
        let visit = Visit::new(&session, &seals, &brought, moment(START + 1));
        assert_eq!(visit.opened.map(|opened| opened.place), Some(at(START, START)));
    }
}
