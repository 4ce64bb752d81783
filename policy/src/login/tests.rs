//! What of requests belongs to logins, whom ID tokens name, and what a chain asks for them.

use std::sync::Arc;

use http::{HeaderValue, Method};
use model::revocation::{Revocation, Whom};
use serde_json::{Value, json};

use super::{IdTokenError, LoggedIn, Login, Visit};
use crate::chain::{Answer, Ask, Chain, Decision, Said, Verdict};
use crate::facts::Facts;
use crate::fixtures::{Request, chain, compile_authn, level, reason};
use crate::jwt::TokenError;
use crate::jwt::tests::{ISSUER, NOW, jwks, token_of};
use crate::reason::Reason;
use crate::revoked::Revoked;

fn oidc() -> Value {
    json!({
        "issuer": ISSUER,
        "clientId": "shop",
        "clientSecretRef": { "name": "login" },
        "authorizationUrl": "https://login.example/authorize",
        "tokenUrl": "https://login.example/token",
        "jwks": jwks(),
    })
}

/// A rule where somebody has to log in, and one of whom `team` is `lab` may pass.
fn guarded() -> Chain {
    let caller = json!({ "issuer": ISSUER, "claims": [{ "name": "team", "value": "lab" }] });
    let rules = json!([{ "name": "lab", "action": "Allow", "when": { "callers": [caller] } }]);
    let methods = json!([{ "name": "people", "oidc": oidc() }]);
    chain([level([json!({ "methods": methods, "require": "Any", "rules": rules })])])
}

fn login(chain: &Chain) -> Arc<Login> {
    Arc::clone(chain.logins().next().unwrap())
}

fn page(path: &str) -> Request {
    Request::get(path).with("sec-fetch-mode", "navigate").with("sec-fetch-dest", "document")
}

fn asked(chain: &Chain, request: &Request) -> Option<Ask> {
    match chain.decide(&request.facts(), None) {
        Decision::Ask(pending) => Some(pending.ask),
        Decision::Done(_) => None,
    }
}

#[test]
fn what_cannot_log_anybody_in_is_told_with_its_place() {
    let faults = |field: &str, value: Value| {
        let mut oidc = oidc();
        oidc[field] = value;
        let methods = json!([{ "name": "people", "oidc": oidc }]);
        let faults = compile_authn("a", json!({ "methods": methods })).unwrap_err();
        let [fault] = &faults[..] else { panic!("{faults:?}") };
        (fault.path.clone(), fault.reason.clone())
    };
    for (field, value, place, told) in [
        ("clientSecretRef", json!({ "name": "none" }), "clientSecretRef", "no Secret 'none'"),
        ("clientSecretRef", json!({ "name": "keys" }), "clientSecretRef", "no 'client-secret'"),
        ("jwks", json!("{\"keys\":[{\"kty\":\"OKP\"}]}"), "jwks", ""),
    ] {
        let (at, reason) = faults(field, value);
        assert!(at.starts_with(&format!("spec.methods[0].oidc.{place}")), "{at}");
        assert!(reason.contains(told), "{reason}");
    }
}

#[test]
fn an_id_token_names_somebody_for_the_try_and_the_client_that_it_was_made_for() {
    let login = login(&guarded());
    let good = json!({ "iss": ISSUER, "aud": "shop", "sub": "ann", "exp": NOW + 60, "nonce": "n",
                       "team": "lab", "at_hash": "x" });
    let named = |claims: &Value, nonce| login.named(token_of(claims).as_bytes(), nonce, NOW);
    let claims = named(&good, Some("n")).unwrap();
    assert_eq!(claims.get("team"), Some(&json!("lab")));
    assert!(!claims.contains_key("nonce") && !claims.contains_key("at_hash"));
    assert_eq!(login.principal(claims).to_string(), format!("jwt:{ISSUER}#ann"));
    let with = |field: &str, value: Value| {
        let mut claims = good.clone();
        claims[field] = value;
        claims
    };
    for (claims, wrong) in [
        (with("nonce", json!("m")), IdTokenError::Nonce),
        (with("nonce", Value::Null), IdTokenError::Nonce),
        (with("azp", json!("other")), IdTokenError::Client),
        (with("aud", json!(["shop", "other"])), IdTokenError::Client),
        (with("aud", json!("other")), IdTokenError::Token(TokenError::Audience)),
        (with("sub", json!("")), IdTokenError::Nobody),
        (
            with("iss", json!("https://evil.example")),
            IdTokenError::Issuer("https://evil.example".into()),
        ),
        (
            with("exp", json!(NOW - 31)),
            IdTokenError::Token(TokenError::Expired { expiry: NOW - 31, late: 31 }),
        ),
    ] {
        assert_eq!(named(&claims, Some("n")), Err(wrong), "{claims}");
    }
    let mut nobody = good.clone();
    nobody.as_object_mut().unwrap().remove("sub");
    assert_eq!(named(&nobody, Some("n")), Err(IdTokenError::Nobody));
    let several = with("aud", json!(["shop", "other"]));
    let mut several = several;
    several["azp"] = json!("shop");
    assert!(named(&several, Some("n")).is_ok());
    assert!(named(&with("nonce", json!("any")), None).is_ok());
    let forged = token_of(&good).replace('.', ".A");
    assert!(matches!(login.named(forged.as_bytes(), None, NOW), Err(IdTokenError::Token(_))));
}

#[test]
fn a_page_leads_to_the_provider_and_nothing_else_does() {
    let chain = guarded();
    let is_led = |request: &Request| matches!(asked(&chain, request), Some(Ask::Begin(..)));
    assert!(is_led(&page("/orders")));
    assert!(is_led(&Request::get("/").with("accept", "text/html,*/*;q=0.8")));
    let script = Request::get("/").with("sec-fetch-mode", "cors").with("accept", "text/html");
    let image = Request::get("/").with("sec-fetch-mode", "no-cors");
    let frame =
        Request::get("/").with("sec-fetch-mode", "navigate").with("sec-fetch-dest", "iframe");
    let form = page("/").method(Method::POST);
    for request in [script, image, frame, form, Request::get("/").with("accept", "*/*")] {
        assert!(!is_led(&request), "{request:?}");
        assert_eq!(reason(&chain, &request), Reason::CredentialMissing);
    }
    // What nobody leads anywhere is told as it would be without.
    assert_eq!(reason(&chain, &page("/orders")), Reason::CredentialMissing);
}

#[test]
fn the_paths_of_a_login_are_asked_before_who_is_calling() {
    let chain = guarded();
    for (path, is_return) in [("/oauth2/callback", true), ("/oauth2/logout", false)] {
        let ask = asked(&chain, &page(path));
        match ask {
            Some(Ask::Visit(Visit::Return(_))) => assert!(is_return),
            Some(Ask::Visit(Visit::Leave(_))) => assert!(!is_return),
            other => panic!("{path}: {other:?}"),
        }
    }
    let connection = page("/oauth2/callback").connection();
    assert!(asked(&chain, &connection).is_none());
}

#[test]
fn a_session_counts_as_its_principal_does_and_only_at_its_own_login() {
    let chain = guarded();
    let login = login(&chain);
    let brought = page("/orders").with("cookie", &format!("a=b; __Host-{}=1.x", login.cookie()));
    let Some(Ask::Visit(Visit::Sessions(asked))) = asked(&chain, &brought) else { panic!() };
    assert_eq!(asked.len(), 1);
    let decided = |sessions: &[LoggedIn], cookies: Vec<HeaderValue>| {
        let Decision::Ask(pending) = chain.decide(&brought.facts(), None) else { panic!() };
        let facts = Facts { sessions, ..brought.facts() };
        chain.resume(*pending, &Said::Sessions(cookies), &facts, None)
    };
    let of = |team: &str| {
        let claims = json!({ "sub": "ann", "team": team }).as_object().unwrap().clone();
        LoggedIn {
            login: Arc::clone(&login),
            principal: Arc::new(login.principal(claims)),
            since: 0,
        }
    };
    let kept = vec![HeaderValue::from_static("a=1")];
    let Decision::Done(Verdict::Pass(pass)) = decided(&[of("lab")], kept.clone()) else { panic!() };
    assert_eq!(pass.principal.unwrap().to_string(), format!("jwt:{ISSUER}#ann"));
    assert_eq!(pass.aside.unwrap().cookies, kept);
    // Who is in and may not pass is led nowhere: they would come back for ever.
    let Decision::Done(Verdict::Answer(denied)) = decided(&[of("shop")], kept) else { panic!() };
    assert_eq!(denied.reason, Reason::AccessDenied);
    assert_eq!(denied.aside.unwrap().cookies.len(), 1);
    // Without one it is led to log in again.
    let Decision::Ask(again) = decided(&[], Vec::new()) else { panic!() };
    assert!(matches!(again.ask, Ask::Begin(..)));
    let sent = Said::Answered(Box::new(Answer::new(Reason::LoginBegun)));
    let Decision::Done(Verdict::Answer(sent)) = chain.resume(*again, &sent, &brought.facts(), None)
    else {
        panic!()
    };
    assert_eq!(sent.reason, Reason::LoginBegun);
    // One of another login is nobody here.
    let other = json!([{ "name": "others", "oidc": oidc() }]);
    let other = chain_of(&other);
    let foreign = LoggedIn { login: self::login(&other), ..of("lab") };
    assert!(matches!(decided(&[foreign], Vec::new()), Decision::Ask(_)));
    // A name that is only longer is another one.
    let longer = page("/").with("cookie", &format!("{}x=1.x", login.cookie()));
    assert!(matches!(self::asked(&chain, &longer), Some(Ask::Begin(..))));
}

#[test]
fn who_logged_in_and_lacks_something_else_is_not_led_in_circles() {
    let keys = json!({ "methods": crate::fixtures::keys(), "require": "Any" });
    let people = json!({ "methods": [{ "name": "people", "oidc": oidc() }] });
    let chain = chain([level([keys]), level([people])]);
    let login = login(&chain);
    assert!(matches!(asked(&chain, &page("/")), Some(Ask::Begin(..))));
    let claims = json!({ "sub": "ann" }).as_object().unwrap().clone();
    let sessions = [LoggedIn { principal: Arc::new(login.principal(claims)), login, since: 0 }];
    let request = page("/");
    let facts = Facts { sessions: &sessions, ..request.facts() };
    let Decision::Done(Verdict::Answer(answer)) = chain.decide(&facts, None) else { panic!() };
    assert_eq!(answer.reason, Reason::CredentialMissing);
}

#[test]
fn who_is_shut_out_is_led_nowhere_and_who_is_signed_out_logs_in_anew() {
    let people = json!({ "methods": [{ "name": "people", "oidc": oidc() }], "require": "Any" });
    let chain = chain([level([people])]);
    let login = login(&chain);
    let claims = json!({ "sub": "ann" }).as_object().unwrap().clone();
    let principal = Arc::new(login.principal(claims));
    let whom = Whom::User { issuer: ISSUER.to_owned(), subject: "ann".to_owned() };
    let request = page("/");
    let decided = |since, before| {
        let out = Revocation { whom: whom.clone(), before, until: None };
        let revoked = Revoked::new(&[out]);
        let (login, principal) = (Arc::clone(&login), Arc::clone(&principal));
        let sessions = [LoggedIn { login, principal, since }];
        let facts = Facts { sessions: &sessions, revoked: Some(&revoked), ..request.facts() };
        match chain.decide(&facts, None) {
            Decision::Done(Verdict::Pass(_)) => "passes".to_owned(),
            Decision::Done(Verdict::Answer(answer)) => {
                let story = chain.explain(&facts, None);
                assert_eq!(Some(story.because.as_str()), answer.detail.as_deref());
                format!("{} {}", answer.status.as_u16(), answer.reason.as_str())
            }
            Decision::Ask(pending) => {
                assert!(matches!(pending.ask, Ask::Begin(..)));
                "logs in".to_owned()
            }
        }
    };
    assert_eq!(decided(5, None), "403 caller_revoked");
    assert_eq!(decided(5, Some(5)), "logs in");
    assert_eq!(decided(6, Some(5)), "passes");
}

#[test]
fn a_path_is_the_broadest_logins_and_a_narrower_one_there_is_never_begun() {
    let with = |name: &str, paths: [&str; 2]| {
        let mut oidc = oidc();
        (oidc["callbackPath"], oidc["logoutPath"]) = (paths[0].into(), paths[1].into());
        level([json!({ "methods": [{ "name": name, "oidc": oidc }], "require": "Any" })])
    };
    let (back, out) = ("/oauth2/callback", "/oauth2/logout");
    for (narrow, is_idle) in [
        ([back, out], true),
        ([out, back], true),
        ([back, "/b/out"], true),
        (["/b/back", out], false),
        (["/b/back", back], false),
    ] {
        let chain = chain([with("broad", [back, out]), with("narrow", narrow)]);
        let broad = login(&chain);
        let idle: Vec<_> = chain.idle_logins().collect();
        assert_eq!(idle.len(), usize::from(is_idle), "{narrow:?}");
        assert!(idle.iter().all(|(_, owner)| Arc::ptr_eq(owner, &broad)));
        let Some(Ask::Visit(Visit::Return(at))) = asked(&chain, &page(back)) else { panic!() };
        assert!(Arc::ptr_eq(&at, &broad), "{narrow:?}");
        let Some(Ask::Visit(Visit::Leave(of))) = asked(&chain, &page(out)) else { panic!() };
        assert_eq!(of.len(), if narrow[1] == out { 2 } else { 1 }, "{narrow:?}");
        // Who is in at the broader one is sent to the narrower only where they would come back.
        let claims = json!({ "sub": "ann" }).as_object().unwrap().clone();
        let principal = Arc::new(broad.principal(claims));
        let sessions = [LoggedIn { login: Arc::clone(&broad), principal, since: 0 }];
        let request = page("/");
        let facts = Facts { sessions: &sessions, ..request.facts() };
        let is_sent = matches!(chain.decide(&facts, None), Decision::Ask(_));
        assert_eq!(is_sent, !is_idle, "{narrow:?}");
    }
}

fn chain_of(methods: &Value) -> Chain {
    chain([level([json!({ "methods": methods, "require": "Any" })])])
}
