//! Who may pass: each sentence of ADR 008 as a test.

use http::Method;
use model::identity::Peer;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::Scheme;
use crate::chain::{Chain, Verdict};
use crate::facts::Facts;
use crate::fixtures::{CLERK, GUEST, READER, Request, chain, compile, keys, level, reason};
use crate::level::{Level, Policies};
use crate::principal::Believed;
use crate::reason::Reason;

fn rule(name: &str, when: &Value) -> Value {
    json!({ "name": name, "when": when })
}

fn deny(name: &str, when: &Value) -> Value {
    json!({ "name": name, "action": "Deny", "when": when })
}

fn rules(rules: impl IntoIterator<Item = Value>) -> Value {
    json!({ "rules": rules.into_iter().collect::<Vec<_>>() })
}

fn with_keys(rules: impl IntoIterator<Item = Value>) -> Value {
    json!({ "methods": keys(), "rules": rules.into_iter().collect::<Vec<_>>() })
}

fn other_keys() -> Value {
    json!([{ "name": "others", "apiKey": { "secretRef": { "name": "other-keys" } } }])
}

fn closed() -> Arc<Level> {
    let parse = |word| Name::parse(word).unwrap();
    Arc::new(Level::Closed { key: Key::new(Kind::AccessPolicy, parse("shop"), parse("broken")) })
}

fn ends(chain: &Chain, cases: impl IntoIterator<Item = (Request, Reason)>) {
    for (index, (request, wanted)) in cases.into_iter().enumerate() {
        assert_eq!(reason(chain, &request), wanted, "case {index}: {request:?}");
    }
}

#[test]
fn without_levels_everything_passes() {
    ends(&chain([]), [(Request::get("/").key("anything"), Reason::Ok)]);
}

#[test]
fn a_rule_that_audits_decides_nothing_and_is_told_of_what_passes() {
    let audit = |name: &str, when: Value| json!({ "name": name, "action": "Audit", "when": when });
    let lab = || json!({ "sources": ["10.1.0.0/16"] });
    let wide = level([rules([
        audit("paths", json!({ "paths": [{ "value": "/a" }] })),
        rule("gets", &json!({ "methods": ["GET"] })),
    ])]);
    let narrow = level([
        rules([audit("first", lab()), audit("second", lab())]),
        rules([audit("other", lab()), deny("secret", &json!({ "paths": [{ "value": "/a/b" }] }))]),
    ]);
    let only = level([rules([audit("only", json!({}))])]);
    assert!(wide.speaks() && narrow.speaks() && !only.speaks());
    let chain = chain([wide, narrow, only]);
    let audited = |request: &Request| {
        let Verdict::Pass(pass) = chain.uncounted(&request.facts(), None) else {
            panic!("it passes")
        };
        let aside = pass.aside.unwrap_or_default();
        let names = aside.audited.iter().map(|by| format!("{}/{}", by.policy.name, by.rule));
        names.collect::<Vec<_>>()
    };
    assert_eq!(audited(&Request::get("/a")), ["p0/paths", "p0/first", "p1/other", "p0/only"]);
    assert_eq!(audited(&Request::get("/").from("10.2.1.1")), ["p0/only"]);
    let denied = [Request::get("/a/b"), Request::get("/").method(Method::POST)];
    ends(&chain, denied.map(|request| (request, Reason::AccessDenied)));
    let story = chain.explain(&Request::get("/a").facts(), None).to_string();
    assert!(story.contains("yes  Audit first") && story.starts_with("passes"), "{story}");
}

#[test]
fn a_rule_holds_from_a_time_on_and_until_another() {
    let times = json!({ "times": [
        { "until": "1970-01-12T13:46:00Z" },
        { "from": "1970-01-12T14:46:40+01:00", "until": "1970-01-12T13:46:41Z" },
        { "from": "1970-01-12T13:47:00Z" },
    ] });
    let chain = chain([level([rules([rule("then", &times)])])]);
    // 1,000,000 is 13:46:40.
    for (now, wanted) in [
        (999_959, Reason::Ok),
        (999_960, Reason::AccessDenied),
        (999_999, Reason::AccessDenied),
        (1_000_000, Reason::Ok),
        (1_000_001, Reason::AccessDenied),
        (1_000_019, Reason::AccessDenied),
        (1_000_020, Reason::Ok),
    ] {
        let request = Request { now, ..Request::get("/") };
        assert_eq!(reason(&chain, &request), wanted, "{now}");
        // A connection tells when it comes.
        assert_eq!(reason(&chain, &request.connection()), wanted, "{now}");
    }
    let late = Request { now: 1_000_001, ..Request::get("/") };
    let story = chain.explain(&late.facts(), None).to_string();
    let told = "times: saw 1970-01-12T13:46:41Z, wanted until 1970-01-12T13:46:00Z, \
                1970-01-12T13:46:40Z until 1970-01-12T13:46:41Z, from 1970-01-12T13:47:00Z on";
    assert!(story.contains(told), "{story}");
}

#[test]
fn allow_rules_of_one_level_are_alternatives_across_its_policies() {
    let reads = rules([rule("reads", &json!({ "methods": ["GET"] }))]);
    let lab = rules([rule("lab", &json!({ "sources": ["10.9.0.0/16"] }))]);
    ends(
        &chain([level([reads, lab])]),
        [
            (Request::get("/"), Reason::Ok),
            (Request::get("/").method(Method::POST).from("10.9.1.1"), Reason::Ok),
            (Request::get("/").method(Method::POST), Reason::AccessDenied),
        ],
    );
}

#[test]
fn a_level_without_allow_rules_lets_pass_what_no_deny_rule_hits() {
    let level = level([rules([deny("lab", &json!({ "sources": ["10.9.0.0/16"] }))])]);
    ends(
        &chain([level]),
        [
            (Request::get("/"), Reason::Ok),
            (Request::get("/").from("10.9.1.1"), Reason::AccessDenied),
            (Request::get("/").from("::ffff:10.9.1.1"), Reason::AccessDenied),
        ],
    );
}

#[test]
fn every_level_must_let_pass() {
    let broad = level([rules([rule("shop", &json!({ "hosts": ["*.example"] }))])]);
    let narrow = level([rules([rule("reads", &json!({ "methods": ["GET"] }))])]);
    let elsewhere = Request { host: "shop.test".to_owned(), ..Request::get("/") };
    ends(
        &chain([broad, narrow]),
        [
            (Request::get("/"), Reason::Ok),
            (Request::get("/").method(Method::PUT), Reason::AccessDenied),
            (elsewhere, Reason::AccessDenied),
        ],
    );
}

#[test]
fn a_deny_rule_at_any_level_denies_whatever_allows() {
    let all = || rules([rule("all", &json!({}))]);
    let not_here = || rules([deny("no", &json!({ "paths": [{ "value": "/admin" }] }))]);
    for levels in
        [[level([all(), not_here()]), level([all()])], [level([all()]), level([not_here(), all()])]]
    {
        ends(
            &chain(levels),
            [
                (Request::get("/administrator"), Reason::Ok),
                (Request::get("/admin/x"), Reason::AccessDenied),
            ],
        );
    }
}

#[test]
fn callers_are_told_apart_by_their_keys() {
    let clerks =
        rule("clerks", &json!({ "methods": ["POST"], "callers": [{ "apiKey": "clerk" }] }));
    let anyone = rule("proved", &json!({ "methods": ["GET"], "callers": [{}] }));
    let post = || Request::get("/").method(Method::POST);
    ends(
        &chain([level([with_keys([clerks, anyone])])]),
        [
            (post().key(CLERK), Reason::Ok),
            (post().key(READER), Reason::AccessDenied),
            (post(), Reason::CredentialMissing),
            (Request::get("/").key(READER), Reason::Ok),
            (Request::get("/"), Reason::CredentialMissing),
        ],
    );
}

#[test]
fn a_wrong_key_is_refused_even_where_all_is_open() {
    let open = with_keys([rule("all", &json!({}))]);
    let no_rules = with_keys([]);
    for level in [level([open]), level([no_rules])] {
        ends(
            &chain([level]),
            [
                (Request::get("/"), Reason::Ok),
                (Request::get("/").key(CLERK), Reason::Ok),
                (Request::get("/").key("wrong"), Reason::CredentialInvalid),
                (Request::get("/").key(""), Reason::CredentialInvalid),
                (Request::get("/").key(CLERK).key(CLERK), Reason::CredentialInvalid),
                (Request::get("/").with("x-other", "wrong"), Reason::Ok),
            ],
        );
    }
}

#[test]
fn a_narrower_level_cannot_make_up_a_caller_for_a_broader_one() {
    let gateway = level([rules([rule("proved", &json!({ "callers": [{}] }))])]);
    let gateway_deny = level([rules([deny("no", &json!({ "callers": [{ "apiKey": "clerk" }] }))])]);
    let route = || level([with_keys([rule("all", &json!({}))])]);
    ends(
        &chain([gateway, route()]),
        [
            (Request::get("/").key(CLERK), Reason::AccessDenied),
            (Request::get("/"), Reason::CredentialMissing),
        ],
    );
    ends(&chain([gateway_deny, route()]), [(Request::get("/").key(CLERK), Reason::Ok)]);
}

#[test]
fn a_method_counts_for_narrower_levels() {
    let gateway = level([with_keys([])]);
    let route = level([rules([rule("clerk", &json!({ "callers": [{ "apiKey": "clerk" }] }))])]);
    ends(
        &chain([gateway, route]),
        [
            (Request::get("/").key(CLERK), Reason::Ok),
            (Request::get("/").key(READER), Reason::AccessDenied),
            (Request::get("/"), Reason::CredentialMissing),
        ],
    );
}

#[test]
fn a_key_that_only_a_narrower_level_knows_does_not_satisfy_the_broader() {
    let gateway = level([with_keys([rule("proved", &json!({ "callers": [{}] }))])]);
    let route = level([json!({ "methods": other_keys() })]);
    ends(
        &chain([gateway, route]),
        [
            (Request::get("/").key(CLERK), Reason::Ok),
            (Request::get("/").key(GUEST), Reason::AccessDenied),
            (Request::get("/").key("nobody's"), Reason::CredentialInvalid),
        ],
    );
}

#[test]
fn a_level_that_could_not_be_read_is_closed_whatever_else_says() {
    let open = || level([with_keys([rule("all", &json!({}))])]);
    for levels in [vec![closed()], vec![open(), closed()], vec![closed(), open()]] {
        ends(
            &chain(levels),
            [
                (Request::get("/"), Reason::PolicyUnreadable),
                (Request::get("/").key(CLERK), Reason::PolicyUnreadable),
                (Request::get("/").key("wrong"), Reason::PolicyUnreadable),
            ],
        );
    }
}

#[test]
fn all_conditions_that_are_written_must_hold() {
    let when = json!({
        "methods": ["GET", "PATCH"],
        "paths": [{ "value": "/a" }, { "type": "Exact", "value": "/b" }],
        "hosts": ["*.example"],
        "headers": [{ "name": "x-a", "value": "1" }, { "name": "x-b", "value": "[0-9]+", "type": "RegularExpression" }],
        "sources": ["10.0.0.0/8", "::1"],
    });
    let good = || Request::get("/a/x").with("x-a", "1").with("X-B", "42");
    let chain = chain([level([rules([rule("all", &when)])])]);
    ends(
        &chain,
        [
            (good(), Reason::Ok),
            (Request { path: "/b".to_owned(), ..good() }, Reason::Ok),
            (good().method(Method::PATCH).from("::1"), Reason::Ok),
            (good().method(Method::PUT), Reason::AccessDenied),
            (good().method("PURGE".parse().unwrap()), Reason::AccessDenied),
            (Request { path: "/b/x".to_owned(), ..good() }, Reason::AccessDenied),
            (Request { host: "example".to_owned(), ..good() }, Reason::AccessDenied),
            (good().with("x-b", "7"), Reason::AccessDenied),
            (good().from("11.0.0.1"), Reason::AccessDenied),
            (Request::get("/a").with("x-a", "1"), Reason::AccessDenied),
        ],
    );
}

#[test]
fn a_header_that_the_request_itself_takes_off_counts_as_absent() {
    let tenant = json!({ "headers": [{ "name": "x-tenant", "value": "a" }] });
    let authorised = json!({ "headers": [{ "name": "authorization", "value": "Custom a" }] });
    let level = level([rules([rule("tenant", &tenant), rule("authorised", &authorised)])]);
    let lab = json!({ "headers": [{ "name": "x-lab", "value": "1" }] });
    let deny = rules([deny("lab", &lab)]);
    let chain = chain([level, crate::fixtures::level([deny])]);
    let named = |name: &str, value: &str| {
        Request::get("/").with(name, value).with("connection", &format!("keep-alive, {name}"))
    };
    ends(
        &chain,
        [
            (Request::get("/").with("x-tenant", "a").with("connection", "close"), Reason::Ok),
            (named("x-tenant", "a"), Reason::AccessDenied),
            // The proxy does not let it be taken off.
            (named("authorization", "Custom a"), Reason::Ok),
            (Request::get("/").with("x-tenant", "a").with("x-lab", "1"), Reason::AccessDenied),
            (named("x-lab", "1").with("x-tenant", "a"), Reason::Ok),
        ],
    );
    let told = chain.explain(&named("x-tenant", "a").facts(), None).to_string();
    assert!(told.contains("saw none that goes on, since 'connection' names it"), "{told}");
}

#[test]
fn every_fault_of_a_policy_is_reported_at_once_with_its_place() {
    let spec = json!({
        "rules": [
            { "name": "a", "when": { "paths": [{ "type": "RegularExpression", "value": "(" }] } },
            { "name": "b", "when": { "callers": [{ "apiKey": "x", "subject": "y" }] } },
        ],
    });
    let faults = compile("p", spec).unwrap_err();
    let paths: Vec<_> = faults.iter().map(|fault| fault.path.as_str()).collect();
    let wanted = ["spec.rules[0].when.paths[0]", "spec.rules[1].when.callers[0]"];
    assert_eq!(paths, wanted);
    assert!(
        faults.iter().all(|fault| fault.key.as_ref().unwrap().to_string() == "AccessPolicy shop/p")
    );
}

/// Conditions over few values, so that rules and requests often meet.
fn any_when() -> impl Strategy<Value = Value> {
    let methods = prop::sample::subsequence(vec!["GET", "POST"], 0..=2);
    let path = prop::option::of(prop::sample::select(vec!["/", "/a", "/a/b"]));
    let source = prop::option::of(prop::sample::select(vec!["10.0.0.0/8", "10.1.1.1"]));
    let caller = prop::option::of(prop::sample::select(vec![
        json!({}),
        json!({ "apiKey": "clerk" }),
        json!({ "apiKey": "guest" }),
    ]));
    (methods, path, source, caller).prop_map(|(methods, path, source, caller)| {
        let mut when = json!({ "methods": methods });
        if let Some(path) = path {
            when["paths"] = json!([{ "value": path }]);
        }
        if let Some(source) = source {
            when["sources"] = json!([source]);
        }
        if let Some(caller) = caller {
            when["callers"] = json!([caller]);
        }
        when
    })
}

fn any_spec(methods: Vec<Option<Value>>) -> impl Strategy<Value = Value> {
    let rule = (any_when(), prop::bool::weighted(0.3));
    let rules = prop::collection::vec(rule, 0..4);
    (rules, prop::sample::select(methods)).prop_map(|(rules, methods)| {
        let rules = rules.into_iter().enumerate().map(|(index, (when, denies))| {
            let action = if denies { "Deny" } else { "Allow" };
            json!({ "name": format!("r{index}"), "action": action, "when": when })
        });
        let mut spec = json!({ "rules": rules.collect::<Vec<_>>() });
        if let Some(methods) = methods {
            spec["methods"] = methods;
        }
        spec
    })
}

fn any_levels() -> impl Strategy<Value = Vec<Vec<Value>>> {
    let spec = any_spec(vec![None, Some(keys()), Some(other_keys())]);
    prop::collection::vec(prop::collection::vec(spec, 0..3), 0..4)
}

fn any_request() -> impl Strategy<Value = Request> {
    let path = prop::sample::select(vec!["/", "/a", "/a/b", "/ab"]);
    let source = prop::sample::select(vec!["10.1.1.1", "10.2.2.2", "11.0.0.1"]);
    let key = prop::sample::select(vec![None, Some(CLERK), Some(READER), Some(GUEST), Some("bad")]);
    (path, source, key, any::<bool>()).prop_map(|(path, source, key, posts)| {
        let request = Request::get(path).from(source);
        let request = if posts { request.method(Method::POST) } else { request };
        match key {
            Some(key) => request.key(key),
            None => request,
        }
    })
}

fn build(levels: &[Vec<Value>]) -> Chain {
    chain(levels.iter().map(|specs| level(specs.iter().cloned())))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn adding_a_deny_rule_never_opens_anything(
        mut levels in any_levels(),
        at in any::<prop::sample::Index>(),
        when in any_when(),
        request in any_request(),
    ) {
        prop_assume!(!levels.is_empty());
        let before = reason(&build(&levels), &request);
        let at = at.index(levels.len());
        levels[at].push(rules([deny("more", &when)]));
        let after = reason(&build(&levels), &request);
        prop_assert!(before == Reason::Ok || after != Reason::Ok, "{before} became {after}");
    }

    #[test]
    fn adding_a_level_of_rules_never_opens_anything(
        mut levels in any_levels(),
        at in any::<prop::sample::Index>(),
        more in any_spec(vec![None]),
        request in any_request(),
    ) {
        let before = reason(&build(&levels), &request);
        let at = at.index(levels.len() + 1);
        levels.insert(at, vec![more]);
        let after = reason(&build(&levels), &request);
        prop_assert!(before == Reason::Ok || after != Reason::Ok, "{before} became {after}");
    }

    /// A narrower level may read a key that nobody read before, so that it is no longer refused
    /// as unknown; but what passes then would have passed without that key.
    #[test]
    fn adding_a_narrower_level_opens_nothing_that_was_not_open_without_the_key(
        levels in any_levels(),
        more in any_spec(vec![Some(keys()), Some(other_keys())]),
        request in any_request(),
    ) {
        let (before, mut wider) = (build(&levels), levels);
        wider.push(vec![more]);
        let after = reason(&build(&wider), &request);
        let mut bare = request.clone();
        bare.headers.remove("x-api-key");
        let was_open = [&request, &bare].map(|request| reason(&before, request) == Reason::Ok);
        prop_assert!(after != Reason::Ok || was_open.contains(&true), "became {after}");
    }
}

#[test]
fn workloads_are_named_by_cluster_namespace_and_account() {
    let name = |word: &str| Name::parse(word).unwrap();
    let workload = |cluster, namespace, account| Peer::Workload {
        cluster: name(cluster),
        namespace: name(namespace),
        service_account: name(account),
    };
    let gateway = |cluster| Peer::Gateway { cluster: name(cluster), name: name("edge") };
    let front = workload("east", "shop", "front");
    let named = json!({ "cluster": "east", "serviceAccount": "front" });
    let any = json!({ "cluster": "east", "namespace": "bank" });
    let edge = json!({ "cluster": "east", "gateway": "edge" });
    for (wanted, peer, is_allowed) in [
        (&named, Some(front.clone()), true),
        // The policy's own namespace is meant.
        (&named, Some(workload("east", "bank", "front")), false),
        (&named, Some(workload("east", "shop", "back")), false),
        (&named, Some(workload("west", "shop", "front")), false),
        (&named, None, false),
        (&any, Some(workload("east", "bank", "back")), true),
        (&any, Some(front.clone()), false),
        (&edge, Some(gateway("east")), true),
        (&edge, Some(gateway("west")), false),
        (&edge, Some(workload("east", "shop", "edge")), false),
        (&named, Some(gateway("east")), false),
    ] {
        let rules = json!([{ "name": "a", "when": { "workloads": [wanted] } }]);
        let chain = chain([level([json!({ "rules": rules })])]);
        let request = Request::get("/");
        let facts = Facts { peer: peer.as_ref(), ..request.facts() };
        let passes = matches!(chain.uncounted(&facts, None), Verdict::Pass(_));
        assert_eq!(passes, is_allowed, "{wanted} {peer:?}");
        let told = chain.explain(&facts, None).to_string();
        let saw = peer.map_or_else(|| "none".to_owned(), |peer| peer.to_string());
        assert!(is_allowed || told.contains(&format!("workloads: saw {saw}, wanted")), "{told}");
    }
}

#[test]
fn a_connection_is_judged_by_who_opens_it_from_where() {
    let near = json!({ "sources": ["10.1.0.0/16"] });
    let reads = json!({ "methods": ["GET"], "sources": ["10.1.0.0/16"] });
    let far = json!({ "methods": ["GET"], "sources": ["10.9.0.0/16"] });
    let opens = || Request::get("/").connection();
    for (of, wanted) in [
        (vec![rule("near", &near)], Reason::Ok),
        (vec![rule("reads", &reads)], Reason::AccessDenied),
        (vec![rule("all", &json!({}))], Reason::Ok),
        (vec![rule("near", &near), deny("reads", &reads)], Reason::AccessDenied),
        (vec![rule("near", &near), deny("far", &far)], Reason::Ok),
        (vec![deny("far", &far)], Reason::Ok),
        (vec![deny("near", &near)], Reason::AccessDenied),
        (vec![rule("known", &json!({ "callers": [{}] }))], Reason::AccessDenied),
        (vec![rule("host", &json!({ "hosts": ["shop.example"] }))], Reason::AccessDenied),
        (vec![rule("path", &json!({ "paths": [{ "value": "/" }] }))], Reason::AccessDenied),
        (
            vec![rule("head", &json!({ "headers": [{ "name": "a", "value": "b" }] }))],
            Reason::AccessDenied,
        ),
    ] {
        let made = chain([level([rules(of.clone())])]);
        assert_eq!(reason(&made, &opens()), wanted, "{of:?}");
    }
}

fn believed(key: &str, api: Option<&str>) -> Believed {
    let api = api.map(|api| Name::parse(api).unwrap());
    Believed { principal: Arc::new(crate::Principal::ApiKey { name: key.to_owned() }), api }
}

#[test]
fn whom_one_api_knows_is_nobody_to_another_that_does_not_say_so() {
    let name = |word: &str| Name::parse(word).unwrap();
    let (cluster, namespace) = (name("east"), name("shop"));
    let peer = Peer::Workload { cluster, namespace, service_account: name("front") };
    let of = |own: Option<&str>, caller: Value| {
        let rules = json!([rule("known", &json!({ "callers": [caller] }))]);
        let spec = json!({ "targetRefs": [{ "kind": "Service", "name": "s" }], "rules": rules });
        let labels = own.map_or_else(|| json!({}), |own| json!({ "heddle.dev/api": own }));
        let metadata = json!({ "name": "p0", "namespace": "shop", "labels": labels });
        let policy = json!({ "metadata": metadata, "spec": spec });
        let policy = serde_json::from_value(policy).unwrap();
        let compiled = Arc::new(super::compile(&policy).unwrap());
        chain([Arc::new(Level::Open(Policies { access: vec![compiled], ..Policies::default() }))])
    };
    let clerk = || json!({ "apiKey": "clerk" });
    let of_beta = || json!({ "apiKey": "clerk", "api": "beta" });
    for (own, caller, user, wanted) in [
        (Some("alpha"), clerk(), Some("alpha"), Reason::Ok),
        (Some("alpha"), clerk(), Some("beta"), Reason::AccessDenied),
        (Some("alpha"), clerk(), None, Reason::Ok),
        (Some("alpha"), json!({}), Some("beta"), Reason::AccessDenied),
        (Some("alpha"), of_beta(), Some("beta"), Reason::Ok),
        (Some("alpha"), of_beta(), Some("alpha"), Reason::AccessDenied),
        (Some("alpha"), json!({ "api": "beta" }), Some("beta"), Reason::Ok),
        (None, clerk(), Some("beta"), Reason::AccessDenied),
        (None, of_beta(), Some("beta"), Reason::Ok),
        (None, clerk(), None, Reason::Ok),
    ] {
        let made = of(own, caller.clone());
        let users = [believed("clerk", user)];
        let request = Request::get("/");
        let facts = Facts { peer: Some(&peer), users: &users, ..request.facts() };
        let told = match made.uncounted(&facts, None) {
            Verdict::Pass(_) => Reason::Ok,
            Verdict::Answer(answer) => answer.reason,
        };
        assert_eq!(told, wanted, "{own:?} {caller} {user:?}");
        if let (Reason::AccessDenied, Some(user)) = (told, user) {
            let story = made.explain(&facts, None);
            let saw = format!("callers: saw apikey:clerk of Api '{user}', wanted");
            assert!(story.to_string().contains(&saw), "{story}");
            let named = format!("named {{apiKey: clerk, api: {user}}}");
            assert!(story.change.is_some_and(|change| change.contains(&named)));
        }
    }
}

#[test]
fn tls_tells_its_host_before_anything_is_read() {
    let shop = json!({ "hosts": ["*.example"] });
    let gets = json!({ "hosts": ["*.example"], "methods": ["GET"] });
    let opens = |scheme, host: &str| {
        Request { scheme, host: host.to_owned(), ..Request::get("/") }.connection()
    };
    for (of, named, other, plain) in [
        (vec![rule("shop", &shop)], Reason::Ok, Reason::AccessDenied, Reason::AccessDenied),
        (vec![deny("shop", &shop)], Reason::AccessDenied, Reason::Ok, Reason::AccessDenied),
        (
            vec![rule("gets", &gets)],
            Reason::AccessDenied,
            Reason::AccessDenied,
            Reason::AccessDenied,
        ),
        (
            vec![rule("all", &json!({})), deny("gets", &gets)],
            Reason::AccessDenied,
            Reason::Ok,
            Reason::AccessDenied,
        ),
    ] {
        let made = chain([level([rules(of.clone())])]);
        let told = [
            opens(Scheme::Https, "shop.example"),
            opens(Scheme::Https, "example.org"),
            opens(Scheme::Https, ""),
        ];
        // Of plain TCP no more than of TLS without a name.
        let tcp = opens(Scheme::Http, "shop.example");
        assert_eq!(reason(&made, &tcp), plain, "{of:?}");
        assert_eq!(told.map(|one| reason(&made, &one)), [named, other, plain], "{of:?}");
    }
}

#[test]
fn why_a_connection_is_denied_says_what_it_does_not_tell() {
    let near = json!({ "sources": ["10.1.0.0/16"] });
    let reads = json!({ "methods": ["GET"], "sources": ["10.1.0.0/16"] });
    let (opens, near) = (Request::get("/").connection(), rule("near", &near));
    let tells = |made: Value| {
        let story = chain([level([made])]).explain(&opens.facts(), None);
        (story.to_string(), story.change.unwrap_or_default())
    };
    let (text, change) = tells(rules([rule("reads", &reads)]));
    assert!(
        text.contains("methods: saw a TCP connection, which does not tell, wanted GET"),
        "{text}"
    );
    let wanted = "rule 'reads' of AccessPolicy shop/p0 would allow it if it did not ask for \
                  'methods', which a TCP connection does not tell";
    assert_eq!(change, wanted);
    let (_, change) = tells(rules([near, deny("no-reads", &reads)]));
    let wanted = "rule 'no-reads' of AccessPolicy shop/p0 must not mean this connection, which does \
                  not tell its 'methods'";
    assert_eq!(change, wanted);
}

fn any_rule() -> impl Strategy<Value = Value> {
    let some = |name: &'static str, values: Vec<Value>| {
        let values = prop::sample::subsequence(values, 1..=2);
        prop::option::weighted(0.3, values).prop_map(move |values| (name, values))
    };
    let account = |account| json!({ "cluster": "east", "serviceAccount": account });
    let header = |value| json!({ "name": "x", "value": value });
    let conditions = [
        some("methods", vec![json!("GET"), json!("POST")]),
        some("sources", vec![json!("10.1.0.0/16"), json!("10.2.0.0/16")]),
        some("workloads", vec![account("front"), account("back")]),
        some("hosts", vec![json!("shop.example"), json!("*.example")]),
        some("callers", vec![json!({}), json!({ "apiKey": "clerk" })]),
        some("paths", vec![json!({ "value": "/a" }), json!({ "type": "Exact", "value": "/" })]),
        some("headers", vec![header("y"), header("z")]),
    ];
    let action = prop::sample::select(vec!["Allow", "Deny"]);
    (action, conditions).prop_map(|(action, conditions)| {
        let when =
            conditions.into_iter().filter_map(|(name, of)| Some((name.to_owned(), json!(of?))));
        json!({ "action": action, "when": Value::Object(when.collect()) })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    /// Whatever goes through a connection would pass as a request.
    #[test]
    fn a_connection_passes_only_where_every_request_would(
        levels in prop::collection::vec(prop::collection::vec(any_rule(), 0..20), 0..3),
        account in prop::sample::select(vec!["front", "back", "other"]),
        source in prop::sample::select(vec!["10.1.1.1", "10.2.1.1", "10.3.1.1"]),
        method in prop::sample::select(vec![Method::GET, Method::POST, Method::CONNECT]),
        host in prop::sample::select(vec!["shop.example", "shop.test", ""]),
        path in prop::sample::select(vec!["/", "/a", "/b"]),
        value in prop::option::of(prop::sample::select(vec!["y", "z"])),
        is_known in any::<bool>(),
    ) {
        let named = |rules: Vec<Value>| {
            let named = rules.into_iter().enumerate().map(|(place, mut rule)| {
                rule["name"] = json!(format!("r{place}"));
                rule
            });
            level([json!({ "rules": named.collect::<Vec<_>>() })])
        };
        let made = chain(levels.into_iter().filter(|rules| !rules.is_empty()).map(named));
        let name = |word: &str| Name::parse(word).unwrap();
        let (cluster, namespace) = (name("east"), name("shop"));
        let peer = Peer::Workload { cluster, namespace, service_account: name(account) };
        let request = Request { host: host.to_owned(), ..Request::get(path).from(source) };
        let request = value.into_iter().fold(request.method(method), |one, value| one.with("x", value));
        let users = [believed("clerk", None)];
        let users = if is_known { &users[..] } else { &[] };
        let passes = |request: &Request| {
            let facts = Facts { peer: Some(&peer), users, ..request.facts() };
            matches!(made.uncounted(&facts, None), Verdict::Pass(_))
        };
        let opens = request.clone().connection();
        prop_assert!(!passes(&opens) || passes(&request), "{request:?}");
    }
}
