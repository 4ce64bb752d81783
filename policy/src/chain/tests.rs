//! The steps of a chain, in their order.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::*;
use crate::fixtures::{CLERK, GUEST, Request, chain, key_of, keys, keys_of, level, reason};
use crate::revoked::Revoked;

fn filters(filters: Value) -> Vec<HttpFilter> {
    serde_json::from_value(filters).unwrap()
}

fn answer(chain: &Chain, request: &Request) -> Answer {
    match chain.uncounted(&request.facts(), None) {
        Verdict::Answer(answer) => answer,
        Verdict::Pass(pass) => panic!("passes: {pass:?}"),
    }
}

fn values(answer: &Answer) -> Vec<&str> {
    answer.headers.iter().map(|(_, value)| value.to_str().unwrap()).collect()
}

#[test]
fn every_step_stands_once_in_the_order() {
    let steps: BTreeSet<_> = ORDER.iter().map(|(step, _)| *step as u8).collect();
    assert_eq!((steps.len(), ORDER.len()), (15, 15));
    assert!(ORDER.iter().all(|(_, reason)| !reason.is_empty()));
}

#[test]
fn a_401_says_how_to_prove_oneself() {
    let jwks = crate::jwt::tests::jwks();
    let methods = json!([
        { "name": "keys", "apiKey": { "from": [{ "header": "X-Key" }], "secretRef": { "name": "keys" } } },
        { "name": "token",
          "jwt": { "issuer": "https://issuer.example", "audiences": ["shop"], "jwks": jwks } },
    ]);
    let rule = json!({ "name": "proved", "when": { "callers": [{}] } });
    let chain = chain([level([json!({ "methods": methods, "rules": [rule] })])]);
    let missing = answer(&chain, &Request::get("/"));
    assert_eq!((missing.reason, missing.status.as_u16()), (Reason::CredentialMissing, 401));
    assert_eq!(values(&missing), ["Bearer", "ApiKey header=\"x-key\""]);
    let wrong = answer(&chain, &Request::get("/").with("x-key", "wrong"));
    assert_eq!(wrong.reason, Reason::CredentialInvalid);
    assert_eq!(values(&wrong), ["Bearer", "ApiKey header=\"x-key\""]);
    let detail = "the key in the header 'x-key' is refused: nobody has this key";
    assert_eq!((missing.detail, wrong.detail.as_deref()), (None, Some(detail)));
    let wrong = answer(&chain, &Request::get("/").with("authorization", "Bearer x"));
    assert_eq!(wrong.reason, Reason::CredentialInvalid);
    assert_eq!(values(&wrong), ["Bearer error=\"invalid_token\"", "ApiKey header=\"x-key\""]);
    let detail =
        "the token in the header 'authorization' is refused: its three parts cannot be read";
    assert_eq!(wrong.detail.as_deref(), Some(detail));
}

#[test]
fn whoever_is_shut_out_is_denied_whatever_they_show_and_no_rule_is_asked() {
    use model::Name;
    use model::revocation::{Revocation, Whom};
    let name = |word: &str| Name::parse(word).unwrap();
    let consumers = chain([level([json!({ "methods": keys_of(&json!({})) })])]);
    let keys = chain([level([json!({ "methods": keys() })])]);
    let acme = key_of("acme");
    let of = |namespace: &str, of: &str| match of {
        "acme" => Whom::Consumer { namespace: name(namespace), name: name(of) },
        of => Whom::ApiKey { namespace: name(namespace), name: of.to_owned() },
    };
    for (chain, request, whom, wanted) in [
        (&keys, Request::get("/").key(CLERK), of("shop", "clerk"), Some("apikey:clerk")),
        (&keys, Request::get("/").key(CLERK), of("bank", "clerk"), None),
        (&keys, Request::get("/").key(CLERK), of("shop", "reader"), None),
        (&keys, Request::get("/"), of("shop", "clerk"), None),
        (&consumers, Request::get("/").key(&acme), of("shop", "acme"), Some("consumer:shop/acme")),
        (&consumers, Request::get("/").key(&acme), of("bank", "acme"), None),
    ] {
        let revoked = Revoked::new(&[Revocation { whom: whom.clone(), before: None, until: None }]);
        let facts = Facts { revoked: Some(&revoked), ..request.facts() };
        match (chain.uncounted(&facts, None), wanted) {
            (Verdict::Pass(_), None) => {}
            (Verdict::Answer(answer), Some(wanted)) => {
                assert_eq!((answer.reason, answer.status.as_u16()), (Reason::CallerRevoked, 403));
                assert_eq!(answer.principal.unwrap().to_string(), wanted);
                let story = chain.explain(&facts, None);
                assert_eq!(story.because, format!("{wanted} was shut out"));
            }
            (other, _) => panic!("{whom:?}: {other:?}"),
        }
    }
}

#[test]
fn a_decision_names_caller_and_rule() {
    let rules = json!([
        { "name": "clerks", "when": { "callers": [{ "apiKey": "clerk" }] } },
        { "name": "no-admin", "action": "Deny", "when": { "paths": [{ "value": "/admin" }] } },
    ]);
    let chain = chain([level([json!({ "methods": keys(), "rules": rules })])]);
    let request = Request::get("/").key(CLERK);
    let Verdict::Pass(pass) = chain.uncounted(&request.facts(), None) else { panic!("it passes") };
    assert_eq!(pass.principal.unwrap().to_string(), "apikey:clerk");
    assert_eq!(pass.rule.unwrap().to_string(), "rule 'clerks' of AccessPolicy shop/p0");
    let denied = answer(&chain, &Request::get("/admin").key(CLERK));
    assert_eq!(denied.principal.unwrap().to_string(), "apikey:clerk");
    assert_eq!(denied.rule.unwrap().rule.as_str(), "no-admin");
}

#[test]
fn what_is_required_is_asked_for_whatever_the_rules_say() {
    let other = json!({ "name": "others", "apiKey":
        { "from": [{ "header": "x-other" }], "secretRef": { "name": "other-keys" } } });
    let both = json!([keys()[0], other]);
    let required = |require: &str| {
        let all = json!([{ "name": "all", "when": {} }]);
        let route = level([json!({ "methods": both, "require": require, "rules": all })]);
        // What another level knows is no proof for this one.
        chain([level([json!({ "methods": keys() })]), route])
    };
    let (clerk, guest) = (Request::get("/").key(CLERK), Request::get("/").with("x-other", GUEST));
    let two = clerk.clone().with("x-other", GUEST);
    let (any, all) = (required("Any"), required("All"));
    for (chain, request, wanted) in [
        (&any, Request::get("/"), Reason::CredentialMissing),
        (&any, clerk.clone(), Reason::Ok),
        (&any, guest.clone(), Reason::Ok),
        (&all, Request::get("/"), Reason::CredentialMissing),
        (&all, clerk.clone(), Reason::CredentialMissing),
        (&all, guest, Reason::CredentialMissing),
        (&all, two, Reason::Ok),
        (&all, clerk.with("x-other", "wrong"), Reason::CredentialInvalid),
    ] {
        assert_eq!(reason(chain, &request), wanted, "{:?}", request.headers);
    }
    let missing = answer(&any, &Request::get("/"));
    assert_eq!(values(&missing), ["ApiKey header=\"x-api-key\"", "ApiKey header=\"x-other\""]);
    let only = json!([{ "name": "others", "apiKey":
        { "from": [{ "header": "x-other" }], "secretRef": { "name": "other-keys" } } }]);
    let narrow = level([json!({ "methods": only, "require": "Any" })]);
    let chain = chain([level([json!({ "methods": keys() })]), narrow]);
    assert_eq!(reason(&chain, &Request::get("/").key(CLERK)), Reason::CredentialMissing);
}

#[test]
fn a_redirect_is_answered_only_to_those_who_may_pass() {
    let redirect = json!([{
        "type": "RequestRedirect",
        "requestRedirect": { "scheme": "https", "statusCode": 308 },
    }]);
    let rule = json!({ "name": "proved", "when": { "callers": [{}] } });
    let level = level([json!({ "methods": keys(), "rules": [rule] })]);
    let chain = Chain::compile(vec![level], &filters(redirect)).unwrap();
    assert_eq!(answer(&chain, &Request::get("/a")).reason, Reason::CredentialMissing);
    let passed = answer(&chain, &Request::get("/a").key(CLERK));
    assert_eq!((passed.reason, passed.status.as_u16()), (Reason::Redirected, 308));
    assert_eq!(values(&passed), ["https://shop.example/a"]);
    assert_eq!(passed.principal.unwrap().to_string(), "apikey:clerk");
}

#[test]
fn the_key_is_taken_off_before_headers_are_set_and_host_and_path_changed() {
    let changes = json!([
        { "type": "RequestHeaderModifier",
          "requestHeaderModifier": {
              "set": [{ "name": "x-api-key", "value": "for the backend" }],
              "remove": ["x-gone"] } },
        { "type": "URLRewrite",
          "urlRewrite": {
              "hostname": "orders.internal",
              "path": { "type": "ReplacePrefixMatch", "replacePrefixMatch": "/v2" } } },
        { "type": "RequestMirror", "requestMirror": { "backendRef": { "name": "m", "port": 80 } } },
    ]);
    let level = level([json!({ "methods": keys() })]);
    let chain = Chain::compile(vec![level], &filters(changes)).unwrap();
    assert!(!chain.changes_response());
    let request = http::Request::get("/orders/7?full=1")
        .header("host", "shop.example")
        .header("x-api-key", CLERK)
        .header("x-gone", "1");
    let mut head = request.body(()).unwrap().into_parts().0;
    chain.alter_request(&mut head, &[], Some("/orders")).unwrap();
    assert_eq!(head.uri, "/v2/7?full=1");
    assert_eq!(head.headers["x-api-key"], "for the backend");
    assert_eq!(head.headers["host"], "orders.internal");
    assert!(!head.headers.contains_key("x-gone"));
}

#[test]
fn the_key_is_taken_off_on_every_route_under_a_level_that_reads_it() {
    let chain = chain([level([json!({ "methods": keys() })])]);
    let request = http::Request::get("/").header("x-api-key", CLERK).header("x-api-key", "two");
    let mut head = request.body(()).unwrap().into_parts().0;
    chain.alter_request(&mut head, &[], None).unwrap();
    assert!(head.headers.is_empty());
}

#[test]
fn what_no_backend_gets_is_taken_off_wherever_it_stands() {
    let from = json!([{ "header": "x-key" }, { "query": "key" }, { "cookie": "key" }]);
    let jwks = crate::jwt::tests::jwks();
    let token = |name: &str, from: Value, forward: bool| {
        json!({ "name": name, "jwt": { "issuer": format!("https://{name}.example"), "jwks": jwks,
            "audiences": ["shop"], "from": from, "forward": forward } })
    };
    let methods = json!([
        { "name": "keys", "apiKey": { "from": from, "secretRef": { "name": "keys" } } },
        token("kept", json!([{ "cookie": "kept" }]), false),
        token("sent", json!([{ "cookie": "sent" }, { "header": "authorization" }]), true),
    ]);
    let chain = chain([level([json!({ "methods": methods })])]);
    let request = http::Request::get("/a?key=1&b=2&kept=3")
        .header("x-key", "1")
        .header("cookie", "key=1; kept=2; sent=3; other=4")
        .header("authorization", "Bearer x");
    let mut head = request.body(()).unwrap().into_parts().0;
    chain.alter_request(&mut head, &[], None).unwrap();
    assert_eq!(head.uri, "/a?b=2&kept=3");
    assert_eq!(head.headers["cookie"], "sent=3; other=4");
    assert_eq!(head.headers["authorization"], "Bearer x");
    assert!(!head.headers.contains_key("x-key"));
    let told = answer(&chain, &Request::get("/").with("x-key", "wrong"));
    let ways =
        ["Bearer", "ApiKey header=\"x-key\"", "ApiKey query=\"key\"", "ApiKey cookie=\"key\""];
    assert_eq!(values(&told), ways);
}

#[test]
fn a_key_counts_at_each_of_its_places_and_is_led_to_nobody_else() {
    let from = json!([{ "query": "key" }, { "cookie": "key" }]);
    let methods = json!([{ "name": "keys",
        "apiKey": { "from": from, "secretRef": { "name": "keys" } } }]);
    let level = || level([json!({ "methods": methods, "require": "Any" })]);
    let chain = chain([level()]);
    let by_query = |query: &str| Request { query: Some(query.to_owned()), ..Request::get("/") };
    for (request, wanted) in [
        (by_query(&format!("a=1&key={CLERK}")), Reason::Ok),
        (by_query("key=wrong"), Reason::CredentialInvalid),
        (by_query(&format!("key={CLERK}&k%65y={CLERK}")), Reason::CredentialInvalid),
        (Request::get("/").with("cookie", &format!("a=1; key={CLERK}")), Reason::Ok),
        (Request::get("/").key(CLERK), Reason::CredentialMissing),
    ] {
        assert_eq!(reason(&chain, &request), wanted, "{request:?}");
    }
    let redirect =
        json!([{ "type": "RequestRedirect", "requestRedirect": { "hostname": "b.example" } }]);
    let chain = Chain::compile(vec![level()], &filters(redirect)).unwrap();
    for (query, location) in
        [("a=1&key=", "http://b.example:8080/?a=1"), ("key=", "http://b.example:8080/")]
    {
        let led = answer(&chain, &by_query(&format!("{query}{CLERK}")));
        assert_eq!(values(&led), [location], "{query}");
    }
}

#[test]
fn a_path_that_no_target_carries_is_an_error_and_no_other_path() {
    let rewrite = json!([{
        "type": "URLRewrite",
        "urlRewrite": { "path": { "type": "ReplacePrefixMatch", "replacePrefixMatch": "/v2/orders" } },
    }]);
    let chain = Chain::compile(Vec::new(), &filters(rewrite)).unwrap();
    let long = format!("/o{}", "/x".repeat(32_765));
    let mut head = http::Request::get(&long).body(()).unwrap().into_parts().0;
    assert_eq!(chain.alter_request(&mut head, &[], Some("/o")), Err(TargetTooLong));
}

#[test]
fn a_redirect_to_what_no_client_could_ask_for_is_a_path_that_is_refused() {
    let redirect = json!([{ "type": "RequestRedirect", "requestRedirect": { "scheme": "https" } }]);
    let chain = Chain::compile(Vec::new(), &filters(redirect)).unwrap();
    let refused = answer(&chain, &Request::get(&format!("/{}", "%22".repeat(22_000))));
    assert_eq!((refused.reason, refused.status.as_u16()), (Reason::PathInvalid, 400));
    assert!(refused.headers.is_empty());
    let unprintable = Request { query: Some("a=\u{7f}".to_owned()), ..Request::get("/") };
    assert_eq!(answer(&chain, &unprintable).reason, Reason::PathInvalid);
}

#[test]
fn response_headers_are_changed_once() {
    let changes = json!([{
        "type": "ResponseHeaderModifier",
        "responseHeaderModifier": { "add": [{ "name": "x-served", "value": "1" }] },
    }]);
    let chain = Chain::compile(Vec::new(), &filters(changes)).unwrap();
    assert!(chain.changes_response());
    let mut head = http::Response::new(()).into_parts().0;
    chain.alter_response(&mut head, &Reader::default());
    assert_eq!(head.headers["x-served"], "1");
}

#[test]
fn filters_that_are_not_enforced_make_no_chain() {
    for kind in ["CORS", "ExternalAuth", "ExtensionRef", "RequestRedirect"] {
        let fault = Chain::compile(Vec::new(), &filters(json!([{ "type": kind }])));
        assert!(matches!(fault, Err(ChainError::Unenforced(_))), "{kind}");
    }
}

/// What a backend gets of these headers: those that are there, in the order asked for.
fn told(chain: &Chain, request: &Request, names: &[&str]) -> Vec<String> {
    let Verdict::Pass(pass) = chain.uncounted(&request.facts(), None) else { panic!("it passes") };
    let mut asked = http::Request::get("/").body(()).unwrap();
    *asked.headers_mut() = request.headers.clone();
    let mut head = asked.into_parts().0;
    let aside = pass.aside.unwrap_or_default();
    chain.alter_request(&mut head, &aside.told, None).unwrap();
    let lines = names.iter().flat_map(|name| head.headers.get_all(*name));
    lines.map(|line| line.to_str().unwrap().to_owned()).collect()
}

#[test]
fn nobody_but_us_tells_a_backend_who_is_calling() {
    let methods = |header: &str| {
        json!([{ "name": "keys", "apiKey": { "secretRef": { "name": "keys" } },
                 "toHeaders": [{ "header": header }] }])
    };
    let names = ["x-caller", "x_caller", "x.caller", "x+caller"];
    let chain = chain([level([json!({ "methods": methods("X-Caller") })])]);
    let liar = Request::get("/").with("x-caller", "admin").with("X_Caller", "admin");
    let every = liar.clone().with("x.caller", "admin").with("x+caller", "admin");
    assert_eq!(told(&chain, &every, &names), [""; 0]);
    assert_eq!(told(&chain, &liar, &names), [""; 0]);
    let clerk = liar.clone().with("x-caller", "clerk").key(CLERK);
    assert_eq!(told(&chain, &clerk, &names), ["clerk"]);
    // As it is told to whoever asks what would be done: by names alone.
    let changes = |request: &Request| json!(chain.explain_changes(&request.facts(), None));
    let told = json!({ "requestHeaders": { "set": [{ "name": "x-caller" }] } });
    assert_eq!(changes(&Request::get("/")), told);
    let both = json!({ "set": [{ "name": "x-caller" }], "remove": ["x_caller"] });
    assert_eq!(changes(&clerk), json!({ "requestHeaders": both }));
}

#[test]
fn of_several_who_are_known_the_broadest_level_tells() {
    let spec = |secret: &str, place: &str, more: &[&str]| {
        let headers = [&["x-caller"], more].concat();
        let headers: Vec<_> = headers.iter().map(|name| json!({ "header": name })).collect();
        json!({ "methods": [{ "name": "keys", "toHeaders": headers,
            "apiKey": { "from": [{ "header": place }], "secretRef": { "name": secret } } }] })
    };
    // The route's key is looked for first, and stands behind the Gateway's all the same.
    let gateway = level([spec("other-keys", "x-other", &[])]);
    let route = level([spec("keys", "x-api-key", &["x-orders"])]);
    let chain = chain([gateway, route]);
    let names = ["x-caller", "x-orders"];
    let clerk = Request::get("/").key(CLERK);
    assert_eq!(told(&chain, &clerk, &names), ["clerk", "clerk"]);
    // And no one else tells besides: nobody is two callers at once.
    assert_eq!(told(&chain, &clerk.with("x-other", GUEST), &names), ["guest"]);
}

#[test]
fn a_header_belongs_to_the_broadest_method_that_names_it_also_where_it_says_nothing() {
    use crate::jwt::tests::{ISSUER, anns, jwks};
    let spec = |headers: Value| {
        let jwt = json!({ "issuer": ISSUER, "audiences": ["shop"], "jwks": jwks() });
        json!({ "methods": [{ "name": "token", "jwt": jwt, "toHeaders": headers }] })
    };
    let gateway =
        spec(json!([{ "header": "x-user" }, { "header": "x-roles", "claim": "nothing" }]));
    let route = spec(
        json!([{ "header": "X_Roles", "claim": "iss" }, { "header": "x-at", "claim": "aud" }]),
    );
    let chain = chain([level([gateway]), level([route])]);
    let ann = Request::get("/").with("authorization", &anns());
    // The same caller, of whom the route's method tells more.
    assert_eq!(told(&chain, &ann, &["x-user", "x-roles", "x_roles", "x-at"]), ["ann", "shop,lab"]);
}

#[test]
fn no_rule_believes_what_a_caller_says_of_itself() {
    let methods = json!([{ "name": "keys", "toHeaders": [{ "header": "x-caller" }],
        "apiKey": { "secretRef": { "name": "keys" } } }]);
    let rules = json!([{ "name": "admin", "when": { "headers": [{ "name": "x-caller", "value": "admin" }] } }]);
    let chain = chain([level([json!({ "methods": methods, "rules": rules })])]);
    let liar = Request::get("/").with("x-caller", "admin").key(CLERK);
    assert_eq!(reason(&chain, &liar), Reason::AccessDenied);
    let story = chain.explain(&liar.facts(), None).to_string();
    let why = "headers: saw none that goes on, since it tells who is calling, wanted";
    assert!(story.contains(why), "{story}");
    let change = chain.explain(&liar.facts(), None).change.unwrap();
    assert!(change.contains("asked for the caller in the place of"), "{change}");
}

#[test]
fn what_a_narrower_level_tells_leaves_a_broader_ones_rules_alone() {
    let when = |action: &str| {
        let headers = json!({ "headers": [{ "name": "x-caller", "value": "bot" }] });
        json!({ "rules": [{ "name": "bots", "action": action, "when": headers }] })
    };
    let telling = || {
        level([json!({ "methods": [{ "name": "keys", "toHeaders": [{ "header": "x-caller" }],
            "apiKey": { "secretRef": { "name": "keys" } } }] })])
    };
    let bot = Request::get("/").with("x-caller", "bot");
    for (levels, wanted) in [
        ([level([when("Deny")]), telling()], Reason::AccessDenied),
        ([level([when("Allow")]), telling()], Reason::Ok),
        ([telling(), level([when("Deny")])], Reason::AccessDenied),
        ([telling(), level([when("Allow")])], Reason::CredentialMissing),
    ] {
        assert_eq!(reason(&chain(levels), &bot), wanted);
    }
}

#[test]
fn a_consumer_is_known_whatever_proves_it() {
    let rules = json!([
        { "name": "acme", "when": { "callers": [{ "consumer": { "name": "acme" } }] } },
        { "name": "abroad", "when": {
            "callers": [{ "consumer": { "name": "globex", "namespace": "bank" } }] } },
    ]);
    let methods = keys_of(&json!({}));
    let chain = chain([level([json!({ "methods": methods, "rules": rules })])]);
    let get = || Request::get("/");
    let (acme, globex) = (key_of("acme"), key_of("globex"));
    for (request, wanted) in [
        (get().key(&acme), Reason::Ok),
        (get().basic("acme", &acme), Reason::Ok),
        (get().key(&globex), Reason::AccessDenied),
        (get().basic("globex", &globex), Reason::AccessDenied),
        // Whose key it is has to be said right.
        (get().basic("globex", &acme), Reason::CredentialInvalid),
        (get().basic("", &acme), Reason::CredentialInvalid),
        (get().with("authorization", "Basic"), Reason::CredentialInvalid),
        (get().with("authorization", "Basic !"), Reason::CredentialInvalid),
        // A user without a password.
        (get().with("authorization", "basic YWNtZQ=="), Reason::CredentialInvalid),
        (get().basic("acme", &acme).basic("acme", &acme), Reason::CredentialInvalid),
        // Another scheme is nobody's here.
        (get().with("authorization", "Bearer x"), Reason::CredentialMissing),
        (get().key(&key_of("acme-old")), Reason::CredentialInvalid),
        (get(), Reason::CredentialMissing),
    ] {
        assert_eq!(reason(&chain, &request), wanted, "{:?}", request.headers);
    }
    let missing = answer(&chain, &get());
    assert_eq!(
        values(&missing),
        ["ApiKey header=\"x-api-key\"", "Basic realm=\"shop\", charset=\"UTF-8\""]
    );
    let late = answer(&chain, &get().basic("acme", &key_of("acme-old")));
    assert_eq!(
        late.detail.as_deref(),
        Some(
            "the key in the password of Basic for 'shop' is refused: it held until \
             1970-01-12T13:46:40Z"
        )
    );
}

#[test]
fn levels_that_name_different_realms_ask_at_one_place() {
    let of = |realm: &str, plan: &str| {
        let mut methods = keys_of(&json!({ "matchLabels": { "plan": plan } }));
        methods[0]["apiKey"]["from"] = json!([{ "basic": realm }]);
        level([json!({ "methods": methods })])
    };
    let chain = chain([of("shop", "gold"), of("orders", "silver")]);
    for name in ["acme", "hooli"] {
        let request = Request::get("/").basic(name, &key_of(name));
        assert_eq!(reason(&chain, &request), Reason::Ok, "{name}");
    }
    let request = Request::get("/").basic("acme", &key_of("hooli"));
    assert_eq!(reason(&chain, &request), Reason::CredentialInvalid);
}
