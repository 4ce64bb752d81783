//! Which counts requests go into, and what is answered.

use std::collections::BTreeSet;

use http::Method;
use serde_json::{Value, json};

use super::*;
use crate::chain::{Ask, Chain, Decision, Said, Verdict};
use crate::fixtures::{CLERK, READER, Request, chain, compile_limits, keys, level};
use crate::jwt::tests::{ISSUER, anns_of, jwks};
use crate::principal::Believed;

fn limit(more: &Value) -> Value {
    let mut limit = json!({ "name": "l", "requests": 2, "window": "60s" });
    limit.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    limit
}

/// A chain with this limit alone.
fn limited(more: &Value) -> Chain {
    chain([level([json!({ "limits": [limit(more)] })])])
}

/// The names of the counts that a request goes into, at each step that counts.
fn counted(chain: &Chain, request: &Request) -> Vec<Vec<Vec<u8>>> {
    let (mut decision, mut steps) = (chain.decide(&request.facts(), None), Vec::new());
    while let Decision::Ask(pending) = decision {
        let Ask::Count(charges) = &pending.ask else { panic!("limits are counted") };
        steps.push(charges.iter().map(|charge| charge.name.clone()).collect());
        let takes = charges.iter().map(|_| Take { granted: true, ..Take::NO_ROOM }).collect();
        decision = chain.resume(*pending, &Said::Counted(takes), &request.facts(), None);
    }
    steps
}

/// How many counts these requests go into, each of them into one.
fn apart(chain: &Chain, requests: &[Request]) -> usize {
    let names = requests.iter().flat_map(|request| counted(chain, request).into_iter().flatten());
    let names: Vec<_> = names.collect();
    assert_eq!(names.len(), requests.len());
    names.into_iter().collect::<BTreeSet<_>>().len()
}

/// What is decided once `takes` are said to the first question.
fn after(chain: &Chain, request: &Request, takes: Vec<Take>) -> Decision {
    let Decision::Ask(pending) = chain.decide(&request.facts(), None) else {
        panic!("no question")
    };
    chain.resume(*pending, &Said::Counted(takes), &request.facts(), None)
}

fn take(granted: bool, left: u64, reset: u64, wait: u64) -> Take {
    let [reset, wait] = [reset, wait].map(Duration::from_millis);
    Take { granted, left, reset, wait, count: Count::Kept }
}

fn headers(all: &[(HeaderName, HeaderValue)]) -> Vec<String> {
    let told = all.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()));
    told.collect()
}

#[test]
fn each_fact_counts_apart_and_what_is_absent_has_one_count_in_common() {
    let by = |one: Value| limited(&json!({ "by": [one] }));
    let get = || Request::get("/a");
    let from = |source| get().from(source);
    let tenant = |tenant| get().with("x-tenant", tenant);
    for (chain, requests, wanted) in [
        (limited(&json!({})), vec![get(), from("10.2.2.2"), get().method(Method::POST)], 1),
        (by(json!({ "type": "Address" })), vec![get(), from("10.1.1.2"), from("10.1.1.1")], 2),
        (
            by(json!({ "type": "Address", "ipv4PrefixLength": 24 })),
            vec![get(), from("10.1.1.2"), from("::ffff:10.1.1.3"), from("10.1.2.1")],
            2,
        ),
        (
            by(json!({ "type": "Address" })),
            vec![from("2001:db8::1"), from("2001:db8::ffff:0:0:1"), from("2001:db8:0:1::1")],
            2,
        ),
        (by(json!({ "type": "Method" })), vec![get(), get().method(Method::POST), get()], 2),
        (by(json!({ "type": "Path" })), vec![get(), Request::get("/b"), get()], 2),
        (
            by(json!({ "type": "Host" })),
            vec![get(), Request { host: "other.example".to_owned(), ..get() }],
            2,
        ),
        (
            by(json!({ "type": "Header", "name": "X-Tenant" })),
            vec![get(), tenant("a"), tenant("b"), tenant("a").with("x-tenant", "b"), tenant("")],
            5,
        ),
        (
            by(json!({ "type": "Header", "name": "x-tenant" })),
            vec![get(), tenant("a").with("connection", "x-tenant")],
            1,
        ),
        (by(json!({ "type": "Workload" })), vec![get(), get()], 1),
    ] {
        assert_eq!(apart(&chain, &requests), wanted, "{requests:?}");
    }
}

#[test]
fn several_facts_count_apart_together_and_none_runs_into_the_next() {
    let by = json!([{ "type": "Header", "name": "a" }, { "type": "Header", "name": "b" }]);
    let chain = limited(&json!({ "by": by }));
    let of = |a, b| Request::get("/").with("a", a).with("b", b);
    let alone = [Request::get("/").with("a", "1"), Request::get("/").with("b", "1")];
    let requests = [of("1", "23"), of("12", "3"), of("1", "23"), of("", "1"), of("1", "")];
    assert_eq!(apart(&chain, &[&requests[..], &alone].concat()), 6);
}

#[test]
fn callers_count_apart_as_far_as_they_are_known_where_the_limit_stands() {
    let by_caller = json!({ "limits": [limit(&json!({ "by": [{ "type": "Caller" }] }))] });
    let keyed = json!({ "methods": keys() });
    let [clerk, reader] = [CLERK, READER].map(|key| Request::get("/").key(key));
    let all = [clerk, reader, Request::get("/")];
    let own = chain([level([keyed.clone(), by_caller.clone()])]);
    assert_eq!(apart(&own, &all), 3);
    // Whom a route's own policy knows is nobody to the Gateway's.
    let above = chain([level([by_caller]), level([keyed])]);
    assert_eq!(apart(&above, &all), 1);
}

#[test]
fn claims_count_apart_whatever_their_type() {
    let tokens = json!([{ "name": "token", "jwt":
        { "issuer": ISSUER, "audiences": ["shop"], "jwks": jwks() } }]);
    let by = json!([{ "type": "Claim", "name": "org.plan" }]);
    let chain = chain([level([
        json!({ "methods": tokens }),
        json!({ "limits": [limit(&json!({ "by": by }))] }),
    ])]);
    let of = |plan: Value| Request::get("/").with("authorization", &anns_of(plan));
    let plans = [json!({ "plan": 1 }), json!({ "plan": "1" }), json!({ "plan": 1 }), json!(1)];
    assert_eq!(apart(&chain, &plans.map(of)), 3);
}

#[test]
fn a_limit_counts_what_it_means_and_nothing_else() {
    let when = json!({ "methods": ["POST"], "paths": [{ "value": "/orders" }] });
    let chain = limited(&json!({ "when": when }));
    let post = Request::get("/orders/1").method(Method::POST);
    assert_eq!(counted(&chain, &post).len(), 1);
    assert!(counted(&chain, &Request::get("/orders/1")).is_empty());
    assert!(counted(&chain, &post.connection()).is_empty());
    assert_eq!(counted(&limited(&json!({})), &Request::get("/").connection()).len(), 1);
}

#[test]
fn addresses_are_counted_before_credentials_are_looked_at_and_all_else_once_it_may_pass() {
    let limits = json!([
        limit(&json!({ "name": "guesses", "by": [{ "type": "Address" }] })),
        limit(&json!({ "name": "callers", "by": [{ "type": "Caller" }] })),
    ]);
    let policies = [json!({ "methods": keys(), "require": "Any" }), json!({ "limits": limits })];
    let chain = chain([level(policies)]);
    assert_eq!(counted(&chain, &Request::get("/").key(CLERK)).len(), 2);
    let wrong = Request::get("/").key("wrong-0123456789abcdef");
    assert_eq!(counted(&chain, &wrong).len(), 1);
    assert_eq!(counted(&chain, &Request::get("/")).len(), 1);
    // What asks for what only credentials tell comes behind them.
    for more in [
        json!({ "when": { "callers": [{ "apiKey": "clerk" }] } }),
        json!({ "when": { "headers": [{ "name": "x-tier", "value": "free" }] } }),
        json!({ "by": [{ "type": "Address" }, { "type": "Header", "name": "x-tier" }] }),
        json!({ "by": [{ "type": "Address" }, { "type": "Claim", "name": "tier" }] }),
        json!({ "by": [] }),
    ] {
        let mut by_address = limit(&json!({ "by": [{ "type": "Address" }] }));
        by_address.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let late = self::chain([level([policies_of_clerk(), json!({ "limits": [by_address] })])]);
        assert!(counted(&late, &wrong).is_empty(), "{more}");
    }
}

fn policies_of_clerk() -> Value {
    json!({ "methods": keys() })
}

#[test]
fn a_policy_at_several_levels_counts_once_and_where_most_is_known() {
    let both = level([json!({ "limits": [limit(&json!({}))] })]);
    let at_both = chain([both.clone(), both]);
    assert_eq!(counted(&at_both, &Request::get("/")).concat().len(), 1);
    let by_caller = json!({ "limits": [limit(&json!({ "by": [{ "type": "Caller" }] }))] });
    let at_both =
        chain([level([by_caller.clone()]), level([by_caller, json!({ "methods": keys() })])]);
    let [clerk, reader] = [CLERK, READER].map(|key| Request::get("/").key(key));
    let all = [clerk.clone(), reader, Request::get("/")];
    assert_eq!(apart(&at_both, &all), 3);
    let story = at_both.explain(&clerk.facts(), None).to_string();
    assert_eq!(story.matches("Limit l").count(), 1, "{story}");
    assert!(story.ends_with("yes  Limit l: 2 requests in 60 s by caller"), "{story}");
}

#[test]
fn who_passes_is_told_what_is_left_and_who_does_not_when_to_come_back() {
    let limits = json!([
        limit(&json!({ "name": "each" })),
        limit(&json!({ "name": "tried", "dryRun": true })),
        limit(
            &json!({ "name": "slow", "requests": 5, "window": "1s", "algorithm": "TokenBucket" })
        ),
    ]);
    let chain = chain([level([json!({ "limits": limits })])]);
    let (request, well) = (Request::get("/"), take(true, 1, 59_001, 0));
    let policy = "ratelimit-policy: \"shop/p0/each\";q=2;w=60";
    let all = vec![well, take(false, 0, 1_000, 1), take(true, 4, 200, 0)];
    let Decision::Done(Verdict::Pass(pass)) = after(&chain, &request, all) else {
        panic!("it has room")
    };
    let aside = pass.aside.unwrap();
    let wanted = [
        &format!("{policy}, \"shop/p0/slow\";q=5;w=1")[..],
        "ratelimit: \"shop/p0/each\";r=1;t=60, \"shop/p0/slow\";r=4;t=1",
    ];
    assert_eq!(headers(&aside.limits), wanted);
    let tried: Vec<_> = aside.audited.iter().map(ToString::to_string).collect();
    assert_eq!(tried, ["limit 'tried' of RateLimitPolicy shop/p0"]);

    let used_up = vec![take(false, 0, 2_500, 2_500)];
    let decision = after(&chain, &request, used_up);
    let Decision::Done(verdict @ Verdict::Answer(answer)) = &decision else {
        panic!("it has no room")
    };
    assert_eq!((answer.reason, answer.status.as_u16()), (Reason::RateLimited, 429));
    assert_eq!(headers(&answer.headers), ["retry-after: 3"]);
    let aside = &answer.aside.as_ref().unwrap().limits;
    assert_eq!(headers(aside), [policy, "ratelimit: \"shop/p0/each\";r=0;t=3"]);
    let story = chain.explain_verdict(&request.facts(), verdict).to_string();
    let wanted = "answered 429 rate_limited: limit 'each' of RateLimitPolicy shop/p0: at most 2 requests in \
                  60 s; there is room again in 3 s
level 1 has no allow rule, so it lets pass
  RateLimitPolicy shop/p0
    yes  Limit each: 2 requests in 60 s
    yes  Limit tried: 2 requests in 60 s, only tried
    yes  Limit slow: 5 requests in 1 s";
    assert_eq!(story, wanted);
    // What was not counted has no room, and what was is given back.
    let Decision::Done(Verdict::Answer(answer)) = after(&chain, &request, vec![well]) else {
        panic!("the last limit was not asked")
    };
    assert_eq!(answer.rule.unwrap().to_string(), "limit 'slow' of RateLimitPolicy shop/p0");
    let why = "at most 5 requests in 1 s; more is counted here at once than there is room to count";
    assert_eq!(answer.detail.as_deref(), Some(why));
    let left = headers(&answer.aside.unwrap().limits).pop().unwrap();
    assert_eq!(left, "ratelimit: \"shop/p0/each\";r=2;t=60, \"shop/p0/slow\";r=0;t=30");
}

#[test]
fn what_is_only_tried_is_told_of_whatever_follows() {
    let address = json!([{ "type": "Address" }]);
    let tried = limit(&json!({ "name": "tried", "dryRun": true, "by": address }));
    let audit = json!({ "name": "seen", "action": "Audit" });
    let deny = json!({ "name": "no", "action": "Deny", "when": { "methods": ["POST"] } });
    let rules = json!({ "limits": [tried], "rules": [audit, deny] });
    let chain = chain([level([rules])]);
    let audited = |request: &Request| {
        let decision = after(&chain, request, vec![take(false, 0, 0, 1)]);
        let Decision::Done(verdict) = decision else { panic!("one step counts") };
        let aside = match verdict {
            Verdict::Pass(pass) => pass.aside,
            Verdict::Answer(answer) => answer.aside,
        };
        let audited = aside.unwrap().audited;
        audited.iter().map(|one| one.rule.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(audited(&Request::get("/")), ["tried", "seen"]);
    assert_eq!(audited(&Request::get("/").method(Method::POST)), ["tried"]);
}

#[test]
fn what_a_limit_refuses_has_not_passed_and_so_is_not_audited() {
    let audit = json!({ "name": "seen", "action": "Audit" });
    let chain = chain([level([json!({ "limits": [limit(&json!({}))], "rules": [audit] })])]);
    let audited = |granted| match after(&chain, &Request::get("/"), vec![take(granted, 0, 0, 1)]) {
        Decision::Done(Verdict::Pass(pass)) => pass.aside.unwrap().audited.len(),
        Decision::Done(Verdict::Answer(answer)) => answer.aside.unwrap().audited.len(),
        Decision::Ask(_) => panic!("one step counts"),
    };
    assert_eq!((audited(true), audited(false)), (1, 0));
}

#[test]
fn a_default_that_is_written_changes_no_count() {
    let name = |by: Value| {
        let names = counted(&limited(&json!({ "by": [by] })), &Request::get("/").with("x-a", "1"));
        names.concat().pop().unwrap()
    };
    let address = |length: u8| name(json!({ "type": "Address", "ipv4PrefixLength": length }));
    assert_eq!(name(json!({ "type": "Address" })), address(32));
    assert_ne!(address(31), address(32));
    let header = |header: &str| name(json!({ "type": "Header", "name": header }));
    assert_eq!(header("x-a"), header("X-A"));
    assert_ne!(header("x-b"), header("x-c"));
}

#[test]
fn a_second_credential_is_no_second_share() {
    let by_caller = json!([limit(&json!({ "by": [{ "type": "Caller" }] }))]);
    let jwt = json!({ "issuer": ISSUER, "audiences": ["shop"], "jwks": jwks() });
    let mut methods = keys();
    methods.as_array_mut().unwrap().push(json!({ "name": "token", "jwt": jwt }));
    let when = json!({ "callers": [{ "issuer": ISSUER }] });
    let rules = json!([{ "name": "tokens", "when": when }]);
    let ann = |key: &str| Request::get("/").with("authorization", &anns_of(json!(1))).key(key);
    let whole = json!({ "methods": methods, "rules": rules, "limits": by_caller });
    assert_eq!(apart(&chain([level([whole.clone()])]), &[ann(CLERK), ann(READER)]), 1);
    // Nor is one whom the limit itself does not mean.
    let mut means = whole;
    means["rules"] = json!([]);
    assert_eq!(apart(&chain([level([means.clone()])]), &[ann(CLERK), ann(READER)]), 2);
    means["limits"][0]["when"] = when;
    assert_eq!(apart(&chain([level([means])]), &[ann(CLERK), ann(READER)]), 1);
}

#[test]
fn whom_the_policy_of_another_api_knows_has_no_share_of_his_own() {
    let by_caller = limit(&json!({ "by": [{ "type": "Caller" }] }));
    let chain = chain([level([json!({ "limits": [by_caller] })])]);
    let names = |api: Option<&str>| {
        let user = |name: &str| Believed {
            principal: Arc::new(Principal::ApiKey { name: name.to_owned() }),
            api: api.map(|api| Name::parse(api).unwrap()),
        };
        let users = [user("a"), user("b")];
        let name = |one| {
            let request = Request::get("/");
            let facts = Facts { users: std::slice::from_ref(one), ..request.facts() };
            let Decision::Ask(pending) = chain.decide(&facts, None) else { panic!("it counts") };
            let Ask::Count(charges) = pending.ask else { panic!("limits are counted") };
            charges[0].name.clone()
        };
        users.iter().map(name).collect::<BTreeSet<_>>().len()
    };
    assert_eq!((names(None), names(Some("other"))), (2, 1));
}

#[test]
fn a_bucket_says_how_much_it_holds_and_how_long_it_takes_to_fill() {
    let bucket = json!({ "requests": 3, "window": "1s", "algorithm": "TokenBucket", "burst": 20 });
    let chain = limited(&bucket);
    let Decision::Done(Verdict::Pass(pass)) =
        after(&chain, &Request::get("/"), vec![take(true, 19, 1, 0)])
    else {
        panic!("it has room")
    };
    assert_eq!(headers(&pass.aside.unwrap().limits)[0], "ratelimit-policy: \"shop/p0/l\";q=20;w=7");
    let story = chain.explain(&Request::get("/").facts(), None).to_string();
    assert!(story.ends_with("Limit l: 3 requests in 1 s, 20 at once"), "{story}");
}

#[test]
fn a_quota_says_how_many_there_are_and_until_when() {
    let told = |period: &str| {
        let quota = json!({ "name": "l", "requests": 100_000, "period": period });
        let chain = chain([level([json!({ "limits": [quota] })])]);
        let Decision::Done(Verdict::Pass(pass)) =
            after(&chain, &Request::get("/"), vec![take(true, 7, 86_400_000, 0)])
        else {
            panic!("it has room")
        };
        let story = chain.explain(&Request::get("/").facts(), None).to_string();
        let (_, said) = story.rsplit_once("Limit ").unwrap();
        (headers(&pass.aside.unwrap().limits).join(" "), said.to_owned())
    };
    let wanted =
        "ratelimit-policy: \"shop/p0/l\";q=100000;w=86400 ratelimit: \"shop/p0/l\";r=7;t=86400";
    assert_eq!(told("Day"), (wanted.to_owned(), "l: 100000 requests a day".to_owned()));
    let (headers, said) = told("Month");
    assert_eq!(headers, wanted.replace(";w=86400", ""));
    assert_eq!(said, "l: 100000 requests a month");
}

#[test]
fn no_datagram_is_counted() {
    let datagrams = Request { layer: Layer::Datagrams, ..Request::get("/") };
    let chain = limited(&json!({}));
    assert!(counted(&chain, &datagrams).is_empty());
    assert!(!chain.explain(&datagrams.facts(), None).to_string().contains("Limit"));
}

#[test]
fn nothing_is_counted_where_it_is_only_asked_what_would_be() {
    let chain = limited(&json!({ "by": [{ "type": "Address" }] }));
    let request = Request::get("/");
    assert!(matches!(chain.uncounted(&request.facts(), None), Verdict::Pass(_)));
    let story = chain.explain(&request.facts(), None).to_string();
    assert!(story.ends_with("yes  Limit l: 2 requests in 60 s by address"), "{story}");
}

#[test]
fn what_proxies_count_together_is_asked_behind_all_else_and_fails_as_it_says() {
    let named = |name: &str, scope: &str| limit(&json!({ "name": name, "scope": scope }));
    let limits = json!([
        named("one", "Shared"),
        named("two", "Local"),
        named("three", "Shared"),
        named("four", "Local")
    ]);
    let chain = chain([level([json!({ "limits": limits })])]);
    let request = Request::get("/");
    let Decision::Ask(pending) = chain.decide(&request.facts(), None) else { panic!("it counts") };
    let Ask::Count(charges) = pending.ask else { panic!("limits are counted") };
    let names: Vec<_> = charges.iter().map(|one| one.limit.rule.name.as_str()).collect();
    assert_eq!(names, ["two", "four", "one", "three"]);
    let shared: Vec<_> = charges.iter().map(|one| one.limit.shared()).collect();
    assert_eq!(shared, [None, None, Some(FailureMode::Local), Some(FailureMode::Local)]);

    let well = take(true, 1, 60_000, 0);
    let Decision::Done(Verdict::Pass(pass)) =
        after(&chain, &request, vec![well, well, Take::UNTOLD, well])
    else {
        panic!("nothing is used up")
    };
    // Of what nobody could be asked nothing is told.
    let told = headers(&pass.aside.unwrap().limits).pop().unwrap();
    assert!(!told.contains("/one\"") && told.contains("/three\""), "{told}");
    let decision = after(&chain, &request, vec![well, well, Take::CLOSED]);
    let Decision::Done(verdict @ Verdict::Answer(answer)) = &decision else {
        panic!("it is closed")
    };
    assert_eq!((answer.reason, answer.status.as_u16()), (Reason::LimitUnreached, 503));
    assert!(answer.reason.is_denial() && answer.reason.is_limit());
    assert_eq!(headers(&answer.headers), ["retry-after: 1"]);
    let told = headers(&answer.aside.as_ref().unwrap().limits).pop().unwrap();
    assert_eq!(told, "ratelimit: \"shop/p0/two\";r=2;t=60, \"shop/p0/four\";r=2;t=60");
    let story = chain.explain_verdict(&request.facts(), verdict).to_string();
    let wanted = "answered 503 limit_unreached: limit 'one' of RateLimitPolicy shop/p0: at most 2 requests in 60 s, \
                  shared by proxies; what they have counted cannot be asked\n";
    assert!(story.starts_with(wanted), "{story}");
}

#[test]
fn a_count_is_the_same_whoever_counts() {
    let name = |more: Value| counted(&limited(&more), &Request::get("/")).concat().pop().unwrap();
    let shared = |mode: &str| name(json!({ "scope": "Shared", "failureMode": mode }));
    assert_eq!(name(json!({})), shared("Local"));
    assert_eq!(shared("Open"), shared("Closed"));
    // What is only tried uses up nothing of what is not.
    assert_ne!(name(json!({})), name(json!({ "dryRun": true })));
    let by = json!([{ "type": "Address" }]);
    let headers = json!([{ "name": "x-a", "value": "1", "type": "Exact" }]);
    assert_ne!(
        name(json!({ "by": by })),
        counted(
            &limited(&json!({ "by": by, "when": { "headers": headers } })),
            &Request::get("/").with("x-a", "1")
        )
        .concat()
        .pop()
        .unwrap()
    );
}

#[test]
fn the_name_of_a_count_is_what_other_builds_and_other_proxies_call_it() {
    let by =
        json!([{ "type": "Address" }, { "type": "Host" }, { "type": "Header", "name": "x-a" }]);
    let quota = json!({ "name": "plan", "requests": 5, "period": "Month", "by": by });
    let chain = chain([level([json!({ "limits": [quota] })])]);
    let name = counted(&chain, &Request::get("/").with("x-a", "1")).concat().pop().unwrap();
    let parts: [&[u8]; 12] = [
        b"shop",
        b"p0",
        b"plan",
        &[3, 0, 0, 0, 0, 0, 0, 0, 2],
        b"address",
        &[32, 64],
        b"host",
        b"header",
        b"x-a",
        &[0, 0],
        &[10, 1, 1, 1],
        b"shop.example",
    ];
    let mut wanted = CountName(Vec::new());
    parts.iter().for_each(|part| wanted.add(part));
    wanted.add(b"1");
    assert_eq!(
        name, wanted.0,
        "it is in files and in Redis: another one begins everybody's count anew"
    );
}

#[test]
fn what_cannot_be_counted_by_is_refused_with_its_place() {
    let path = json!([{ "type": "RegularExpression", "value": "(" }]);
    let spec = json!({ "limits": [limit(&json!({ "when": { "paths": path } }))] });
    let faults = compile_limits("p", spec).unwrap_err();
    assert_eq!(faults[0].path, "spec.limits[0].when.paths[0]");
    assert_eq!(faults[0].key.as_ref().unwrap().kind, Kind::RateLimitPolicy);
}
