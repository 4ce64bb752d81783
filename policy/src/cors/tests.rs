//! The CORS filter by cases: who asks, what is written, and what is told.

use std::collections::BTreeMap;

use model::route::HttpFilter;
use serde_json::{Value, json};

use super::*;
use crate::border::{Border, Stage};
use crate::chain::{Chain, Pass, Verdict};
use crate::fixtures::{Request, keys, level};
use crate::level::Level;

const SHOP: &str = "https://shop.example";
const EVIL: &str = "https://evil.example";

fn chain_under(levels: Vec<std::sync::Arc<Level>>, cors: &Value) -> Chain {
    let filters = json!([{ "type": "CORS", "cors": cors }]);
    let filters: Vec<HttpFilter> = serde_json::from_value(filters).unwrap();
    Chain::compile(levels, &filters).unwrap()
}

fn chain(cors: &Value) -> Chain {
    chain_under(Vec::new(), cors)
}

fn from(origin: &str) -> Request {
    Request::get("/").with("origin", origin)
}

fn preflight(origin: &str, method: &str, headers: &[&str]) -> Request {
    let request =
        from(origin).method(Method::OPTIONS).with("access-control-request-method", method);
    let names = headers.iter();
    names.fold(request, |request, name| request.with("access-control-request-headers", name))
}

fn answer(chain: &Chain, request: &Request) -> Answer {
    match chain.uncounted(&request.facts(), None) {
        Verdict::Answer(answer) => answer,
        Verdict::Pass(pass) => panic!("passes: {pass:?}"),
    }
}

fn pass(chain: &Chain, request: &Request) -> Pass {
    match chain.uncounted(&request.facts(), None) {
        Verdict::Pass(pass) => pass,
        Verdict::Answer(answer) => panic!("answered: {answer:?}"),
    }
}

/// Headers by their names, those of CORS without what all begin with; several lines joined.
fn told<'a>(
    headers: impl IntoIterator<Item = (&'a HeaderName, &'a HeaderValue)>,
) -> BTreeMap<String, String> {
    let mut told = BTreeMap::<String, String>::new();
    for (name, value) in headers {
        let name = name.as_str().trim_start_matches("access-control-").to_owned();
        let value = value.to_str().unwrap();
        let line = told.entry(name).or_default();
        *line = if line.is_empty() { value.to_owned() } else { format!("{line} | {value}") };
    }
    told
}

fn told_of(answer: &Answer) -> Value {
    json!(told(answer.headers.iter().map(|(name, value)| (name, value))))
}

/// What comes of the head of a backend's answer.
fn altered(chain: &Chain, request: &Request, theirs: &[(&'static str, &str)]) -> Value {
    let reader = pass(chain, request).reader;
    let mut head = http::Response::new(()).into_parts().0;
    for (name, value) in theirs {
        head.headers.append(*name, HeaderValue::from_str(value).unwrap());
    }
    chain.alter_response(&mut head, &reader);
    json!(told(&head.headers))
}

#[test]
fn a_preflight_is_told_what_its_page_may_send() {
    const ASKED: &str = "access-control-request-method, access-control-request-headers";
    let by_origin = format!("{ASKED} | origin");
    let listed = json!({ "allowOrigins": [SHOP, "https://*.b.example"], "allowCredentials": true,
        "allowMethods": ["GET", "PUT"], "allowHeaders": ["X-A", "x-b"], "exposeHeaders": ["x-c"],
        "maxAge": 3600 });
    let told_listed = |origin: &str| {
        json!({ "allow-origin": origin, "allow-credentials": "true", "allow-methods": "GET, PUT",
        "allow-headers": "X-A, x-b", "expose-headers": "x-c", "max-age": "3600", "vary": by_origin })
    };
    let nothing = json!({ "vary": by_origin });
    let star = |origins: &str, credentials: bool| {
        json!({ "allowOrigins": [origins], "allowCredentials": credentials, "allowMethods": ["*"],
            "allowHeaders": ["*"], "exposeHeaders": ["*"] })
    };
    let all = json!({ "allow-origin": "*", "allow-methods": "*", "allow-headers": "*",
        "expose-headers": "*", "max-age": "5", "vary": ASKED });
    let mut one = all.clone();
    (one["allow-origin"], one["vary"]) = (json!(SHOP), json!(by_origin));
    let echoed = json!({ "allow-origin": EVIL, "allow-credentials": "true", "allow-methods": "PATCH",
        "allow-headers": "x-a,x-b | x-c", "max-age": "5", "vary": by_origin });
    let bare = json!({ "allow-origin": SHOP, "max-age": "5", "vary": by_origin });
    let names = &["x-a,x-b", "x-c"][..];
    for (cors, request, wanted) in [
        (&listed, preflight(SHOP, "PUT", names), told_listed(SHOP)),
        (
            &listed,
            preflight("https://SHOP.example:443", "PUT", &[]),
            told_listed("https://SHOP.example:443"),
        ),
        (
            &listed,
            preflight("https://a.b.example", "DELETE", names),
            told_listed("https://a.b.example"),
        ),
        (&listed, preflight(EVIL, "GET", &[]), nothing.clone()),
        (&listed, preflight("null", "GET", &[]), nothing.clone()),
        (&listed, preflight(SHOP, "GET", &[]).with("origin", EVIL), nothing.clone()),
        (&star("*", false), preflight(EVIL, "PATCH", names), all.clone()),
        (&star("*", false), preflight("null", "PATCH", &[]), all),
        (&star(SHOP, false), preflight(SHOP, "PATCH", names), one),
        (&star("*", true), preflight(EVIL, "PATCH", names), echoed),
        (&json!({ "allowOrigins": [SHOP] }), preflight(SHOP, "GET", &[]), bare),
        (&json!({}), preflight(SHOP, "GET", &[]), nothing),
    ] {
        let answer = answer(&chain(cors), &request);
        assert_eq!((answer.reason, answer.status.as_u16()), (Reason::Preflight, 204));
        assert_eq!(told_of(&answer), wanted, "{cors} {:?}", request.headers);
        assert_eq!(answer.detail.is_some(), wanted["allow-origin"].is_null());
    }
}

#[test]
fn what_is_no_preflight_goes_on() {
    let chain = chain(&json!({ "allowOrigins": [SHOP] }));
    let whole = || preflight(SHOP, "GET", &[]);
    let mut without_origin = whole();
    without_origin.headers.remove(ORIGIN);
    for request in [
        whole().method(Method::GET),
        from(SHOP).method(Method::OPTIONS),
        without_origin,
        whole().connection(),
    ] {
        assert_eq!(pass(&chain, &request).principal, None);
    }
    assert_eq!(pass(&chain, &whole().connection()).reader, Reader::default());
}

#[test]
fn an_answer_says_who_may_read_it_whatever_its_backend_says() {
    let listed = json!({ "allowOrigins": [SHOP], "exposeHeaders": ["x-a", "x-b"] });
    let open = json!({ "allowOrigins": ["*"], "exposeHeaders": ["*"] });
    let known = json!({ "allowOrigins": ["*"], "allowCredentials": true, "exposeHeaders": ["*"] });
    let theirs = &[
        ("access-control-allow-origin", "*"),
        ("access-control-allow-credentials", "true"),
        ("access-control-allow-private-network", "true"),
        ("access-control-max-age", "86400"),
        ("x-a", "1"),
    ][..];
    let read =
        json!({ "allow-origin": SHOP, "expose-headers": "x-a, x-b", "vary": "origin", "x-a": "1" });
    let unread = json!({ "vary": "origin", "x-a": "1" });
    let by_all = json!({ "allow-origin": "*", "expose-headers": "*", "x-a": "1" });
    let by_known = json!({ "allow-origin": EVIL, "allow-credentials": "true", "expose-headers": "x-a",
        "vary": "origin", "x-a": "1" });
    for (cors, request, wanted) in [
        (&listed, from(SHOP), read),
        (&listed, from(EVIL), unread.clone()),
        (&listed, Request::get("/"), unread.clone()),
        (&open, from(EVIL), by_all.clone()),
        // One answer for all, also for those whose caches give it to others.
        (&open, Request::get("/"), by_all),
        (&known, from(EVIL), by_known),
        (&known, Request::get("/"), unread),
    ] {
        assert_eq!(altered(&chain(cors), &request, theirs), wanted, "{cors} {:?}", request.headers);
    }
    assert!(chain(&open).changes_response());
}

#[test]
fn what_a_backend_varies_by_is_kept() {
    let chain = chain(&json!({ "allowOrigins": [SHOP] }));
    for (theirs, wanted) in [
        ("accept", "accept | origin"),
        ("accept, Origin", "accept, Origin"),
        ("*", "*"),
        ("x-origin", "x-origin | origin"),
    ] {
        assert_eq!(altered(&chain, &from(EVIL), &[("vary", theirs)])["vary"], wanted);
    }
}

#[test]
fn a_preflight_is_answered_before_any_credential_and_refusals_can_be_read() {
    let cors = json!({ "allowOrigins": [SHOP], "allowCredentials": true });
    let known =
        json!({ "methods": keys(), "rules": [{ "name": "known", "when": { "callers": [{}] } }] });
    let nobody = json!({ "rules": [{ "name": "nobody", "action": "Deny", "when": {} }] });
    let unknown = std::sync::Arc::new(Level::Unknown { policy: "RegoPolicy shop/x".into() });
    let read = json!({ "allow-origin": SHOP, "allow-credentials": "true", "vary": "origin" });
    for (level, reason) in [
        (level([known]), Reason::CredentialMissing),
        (level([nobody]), Reason::AccessDenied),
        (unknown, Reason::PolicyUnreadable),
    ] {
        let chain = chain_under(vec![level], &cors);
        let asked = answer(&chain, &preflight(SHOP, "DELETE", &["authorization"]));
        assert_eq!((asked.reason, asked.principal), (Reason::Preflight, None));
        let refused = answer(&chain, &from(SHOP));
        let mut told = told_of(&refused);
        let challenge = told.as_object_mut().unwrap().remove("www-authenticate");
        assert_eq!((refused.reason, told), (reason, read.clone()));
        assert_eq!(challenge.is_some(), reason == Reason::CredentialMissing);
        let refused = answer(&chain, &from(EVIL));
        assert_eq!(refused.reason, reason);
        assert_eq!(told_of(&refused)["allow-origin"], Value::Null);
    }
    let failed = chain(&cors).answer(Reason::NoBackend, &pass(&chain(&cors), &from(SHOP)).reader);
    assert_eq!(told_of(&failed), read);
}

#[test]
fn what_is_not_there_yet_answers_no_preflight_and_can_be_read() {
    let draft = Border { stage: Stage::Unpublished("a draft".into()), denied: None };
    let chain = chain(&json!({ "allowOrigins": [SHOP] })).within(draft);
    let refused = answer(&chain, &preflight(SHOP, "GET", &[]));
    assert_eq!(refused.reason, Reason::ApiUnpublished);
    assert_eq!(told_of(&refused), json!({ "allow-origin": SHOP, "vary": "origin" }));
}

#[test]
fn a_redirect_can_be_followed_by_whom_the_filter_allows() {
    let filters = json!([
        { "type": "CORS", "cors": { "allowOrigins": [SHOP] } },
        { "type": "RequestRedirect", "requestRedirect": { "scheme": "https" } },
    ]);
    let filters: Vec<HttpFilter> = serde_json::from_value(filters).unwrap();
    let chain = Chain::compile(Vec::new(), &filters).unwrap();
    let wanted =
        json!({ "allow-origin": SHOP, "vary": "origin", "location": "https://shop.example/" });
    assert_eq!(told_of(&answer(&chain, &from(SHOP))), wanted);
    assert_eq!(answer(&chain, &preflight(SHOP, "GET", &[])).reason, Reason::Preflight);
}

#[test]
fn it_is_explained_what_a_preflight_is_told_and_what_an_answer_would_say() {
    let cors = json!({ "allowOrigins": [SHOP], "allowCredentials": true, "exposeHeaders": ["*"] });
    let chain = chain(&cors);
    for (origin, because) in [
        (SHOP, "a preflight, and the CORS filter allows its origin"),
        (EVIL, "a preflight, and its origin is none of those that the CORS filter allows"),
    ] {
        let request = preflight(origin, "PUT", &[]);
        let told = format!("answered 204 preflight: {because}");
        assert_eq!(chain.explain(&request.facts(), None).to_string(), told);
        assert_eq!(chain.explain_answer(&request.facts(), None).unwrap().to_string(), told);
    }
    assert_eq!(chain.explain_answer(&from(SHOP).facts(), None), None);
    let vary = json!([{ "name": "vary", "value": "origin" }]);
    let line = |name: &str, value: &str| json!({ "name": format!("access-control-{name}"), "value": value });
    let read = json!({
        "set": [line("allow-origin", SHOP), line("allow-credentials", "true"),
            line("expose-headers", "the name of every header of the answer")],
        "add": vary,
        "remove": ["access-control-allow-methods", "access-control-allow-headers",
            "access-control-max-age"],
    });
    let changes = |origin| json!(chain.explain_changes(&from(origin).facts(), None));
    assert_eq!(changes(SHOP)["responseHeaders"], read);
    let unread = json!(SAID.map(|name| name.to_string()));
    assert_eq!(changes(EVIL)["responseHeaders"], json!({ "add": vary, "remove": unread }));
}

#[test]
fn a_filter_that_is_none_makes_no_chain() {
    for (cors, wanted) in [
        (json!({ "allowOrigins": ["shop.example"] }), ChainError::Origin("shop.example".into())),
        (json!({ "allowHeaders": ["a b"] }), ChainError::Header("a b".into())),
        (json!({ "exposeHeaders": ["x-a\r\nx: b"] }), ChainError::Header("x-a\r\nx: b".into())),
    ] {
        let cors = serde_json::from_value(cors).unwrap();
        assert_eq!(Cors::compile(&cors), Err(wanted));
    }
}
