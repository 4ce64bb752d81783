//! Which outcomes are tried again, how long is waited, and what a budget bears.

use super::*;

fn rule(attempts: u32) -> Retry {
    Retry { codes: Box::new([500, 503]), attempts, backoff: Duration::from_millis(10) }
}

fn again<'a>(rule: &'a Retry, method: &Method, headers: &HeaderMap) -> Again<'a> {
    Again::new(rule, method, headers, None)
}

#[test]
fn what_may_have_been_done_is_not_done_again_unless_that_is_the_same() {
    let (rule, plain) = (rule(1), HeaderMap::new());
    let mut keyed = HeaderMap::new();
    keyed.insert(IDEMPOTENCY_KEY, "7".parse().unwrap());
    let cases = [
        (Method::GET, &plain, true),
        (Method::PUT, &plain, true),
        (Method::DELETE, &plain, true),
        (Method::POST, &plain, false),
        (Method::PATCH, &plain, false),
        (Method::POST, &keyed, true),
    ];
    for (method, headers, is_safe) in cases {
        let again = again(&rule, &method, headers);
        for reason in [Reason::UpstreamReset, Reason::BackendTimeout] {
            let outcome = Err(Failure::backend(reason));
            assert_eq!(again.is_wanted(&outcome), is_safe, "{method} {reason}");
        }
        let unsent = Err(Failure::unreached("refused"));
        assert!(again.is_wanted(&unsent), "{method}: nothing was sent");
        for reason in [Reason::RequestTimeout, Reason::UpstreamProtocol, Reason::NoEndpoint] {
            assert!(!again.is_wanted(&Err(Failure::backend(reason))), "{method} {reason}");
        }
        assert!(!again.is_wanted(&Err(Failure::client(Reason::UpstreamReset))), "{method}");
        assert!(again.is_refused(StatusCode::SERVICE_UNAVAILABLE));
        assert!(!again.is_refused(StatusCode::BAD_GATEWAY));
    }
}

#[test]
fn it_ends_when_the_rule_says_so() {
    let (rule, headers) = (rule(2), HeaderMap::new());
    let mut again = again(&rule, &Method::GET, &headers);
    for _ in 0..2 {
        assert!(again.is_wanted(&Err(Failure::backend(Reason::UpstreamReset))));
        again.count();
    }
    assert!(!again.is_wanted(&Err(Failure::backend(Reason::UpstreamReset))));
    let never = self::rule(0);
    let again = self::again(&never, &Method::GET, &headers);
    assert!(!again.is_wanted(&Err(Failure::unreached("refused"))));
}

#[test]
fn the_wait_doubles_and_varies_by_half_at_most() {
    let (rule, headers) = (rule(10), HeaderMap::new());
    let mut again = again(&rule, &Method::GET, &headers);
    for nth in 0..10u32 {
        let least = (rule.backoff * 2u32.pow(nth)).min(LONGEST_WAIT);
        assert_eq!(again.wait(0), least);
        assert_eq!(again.wait(u64::MAX), least + least / 2);
        again.count();
    }
    let patient = Retry { backoff: Duration::from_secs(30), ..self::rule(2) };
    let mut again = self::again(&patient, &Method::GET, &headers);
    again.count();
    assert_eq!(again.wait(0), patient.backoff, "what a rule wants is not cut");
}

#[test]
fn a_budget_bears_ten_a_second_and_a_fifth_of_what_is_sent() {
    const SECOND: u64 = 1_000_000_000;
    let budget = Budget::default();
    let spend = |now| (0..1000).take_while(|_| budget.take(now)).count();
    assert_eq!(spend(0), 100, "what it holds at first");
    assert_eq!(spend(SECOND), 10);
    assert_eq!(spend(SECOND), 0);
    (0..50).for_each(|_| budget.lend());
    assert_eq!(spend(SECOND), 10);
    assert_eq!(spend(3600 * SECOND), 100, "it holds no more");
}

#[test]
fn a_body_that_was_not_kept_is_not_taken_for_none() {
    let (rule, headers) = (rule(1), HeaderMap::new());
    let again = again(&rule, &Method::POST, &headers);
    assert!(again.has_body(false), "it has none to be sent");
    assert!(!again.has_body(true));
}
