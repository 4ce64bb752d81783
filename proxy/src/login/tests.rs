//! What comes of sessions that are sealed, renewed and ended, and of whatever else a browser may bring.

use std::net::Ipv4Addr;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use http::header::COOKIE;
use model::authn::AuthnPolicy;
use model::consumer::Consumer;
use model::secret::Secret;
use model::{Kind, Name};
use policy::authn::Declared;
use policy::{Chain, Layer, Level, Policies};
use serde_json::{Map, Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::provider::Tokens;
use super::*;

const NOW: i64 = 1_000_000;

struct Nothing;

impl Declared for Nothing {
    fn secret(&self, _: &Name) -> Option<Arc<Secret>> {
        None
    }

    fn consumers(&self) -> Vec<Arc<Consumer>> {
        Vec::new()
    }
}

/// Two logins, `one` and `two`, whose tokens are given at `token_url`.
fn logins_at(token_url: &str) -> [Arc<Login>; 2] {
    let method = |name: &str| {
        // The public key of RFC 8037, appendix A.2.
        let key = json!({
            "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
        });
        let login = json!({
            "issuer": "https://login.example", "clientId": "shop", "tokenUrl": token_url,
            "authorizationUrl": "https://login.example/authorize",
            "jwks": json!({ "keys": [key] }).to_string(),
            "sessionSeconds": 1000,
        });
        json!({ "name": name, "oidc": login })
    };
    let policy: AuthnPolicy = serde_json::from_value(json!({
        "metadata": { "name": "people" },
        "spec": {
            "targetRefs": [{ "kind": "HTTPRoute", "name": "all" }],
            "methods": [method("one"), method("two")],
        },
    }))
    .unwrap();
    let made = policy::authn::compile(&policy, &Nothing).unwrap();
    assert_eq!(made.key().kind, Kind::AuthnPolicy);
    let mut policies = Policies::default();
    policies.authn.push(Arc::new(made));
    let chain = Chain::compile(vec![Arc::new(Level::Open(policies))], &[]).unwrap();
    let all: Vec<_> = chain.logins().cloned().collect();
    all.try_into().unwrap()
}

/// Who answers each question for tokens with this; how often it did.
async fn provider(status: u16, answer: Value) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("http://{}/token", listener.local_addr().unwrap());
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            count.fetch_add(1, Relaxed);
            let mut head = vec![0; 4096];
            let _read = stream.read(&mut head).await.unwrap();
            let body = answer.to_string();
            let length = body.len();
            let text = format!(
                "HTTP/1.1 {status} x\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
            );
            stream.write_all(text.as_bytes()).await.unwrap();
        }
    });
    (url, asked)
}

fn claims(sub: &str) -> Map<String, Value> {
    json!({ "sub": sub, "team": "lab" }).as_object().unwrap().clone()
}

fn tokens(refresh: Option<&str>) -> Tokens {
    let refresh = refresh.map(str::to_owned);
    Tokens { id_token: String::new(), refresh, lasts: Some(100) }
}

/// What a browser sends that keeps these.
fn brought(cookies: &[HeaderValue]) -> HeaderMap {
    let pairs = cookies.iter().map(|cookie| cookie.to_str().unwrap().split(';').next().unwrap());
    let mut headers = HeaderMap::new();
    let line = pairs.collect::<Vec<_>>().join("; ");
    headers.insert(COOKIE, HeaderValue::try_from(line).unwrap());
    headers
}

fn facts(headers: &HeaderMap, now: i64) -> Facts<'_> {
    Facts {
        layer: Layer::Request,
        now,
        source: Ipv4Addr::LOCALHOST.into(),
        scheme: Scheme::Https,
        port: 443,
        host: "shop.example",
        method: &Method::GET,
        path: "/",
        query: None,
        headers,
        peer: None,
        certificate: None,
        users: &[],
        sessions: &[],
        revoked: None,
    }
}

/// Many that bring a session of Ann's of the first login, begun at `NOW`.
struct Scene {
    logins: Arc<Logins>,
    of: [Arc<Login>; 2],
    vault: Arc<Vault>,
}

impl Scene {
    fn new(token_url: &str) -> Self {
        Scene::reaching(Reach::new(vec!["127.0.0.1/32".parse().unwrap()]), token_url)
    }

    fn reaching(reach: Reach, token_url: &str) -> Self {
        let (logins, vault) =
            (Arc::new(Logins::new(reach, Arc::default())), Arc::new(Vault::new().unwrap()));
        Scene { logins, of: logins_at(token_url), vault }
    }

    fn browser<'a>(&self, facts: &'a Facts<'a>) -> Browser<'a> {
        let (vault, scheme) = (Arc::clone(&self.vault), Scheme::Https);
        Browser { vault, scheme, authority: "shop.example", facts }
    }

    /// As what Ann's session is sealed.
    fn of_session(&self, login: &Login) -> String {
        let nothing = HeaderMap::new();
        let facts = facts(&nothing, NOW);
        self.browser(&facts).of_session(login)
    }

    fn begun(&self, refresh: Option<&str>) -> HeaderMap {
        let session = Session::new(claims("ann"), &tokens(refresh), NOW).unwrap();
        let (login, nothing) = (&self.of[0], HeaderMap::new());
        let facts = facts(&nothing, NOW);
        let browser = self.browser(&facts);
        brought(&browser.kept(login, &browser.jar(login), &session).unwrap())
    }

    async fn seen(&self, headers: &HeaderMap, now: i64) -> Brought {
        let facts = facts(headers, now);
        self.logins.brought(&self.browser(&facts), &self.of).await
    }
}

#[tokio::test]
async fn a_session_is_one_of_its_login_alone_until_its_end() {
    let scene = Scene::new("https://login.example/token");
    let headers = scene.begun(None);
    for (now, is_there) in [(NOW, true), (NOW + 999, true), (NOW + 1000, false)] {
        let seen = scene.seen(&headers, now).await;
        assert_eq!(seen.sessions.len(), usize::from(is_there), "{now}");
        assert!(seen.cookies.is_empty());
        if let [one] = &seen.sessions[..] {
            assert_eq!(&*one.login.id, "default/people/one");
            assert_eq!(one.principal.to_string(), "jwt:https://login.example#ann");
        }
    }
    // Under the name of another login, and by other keys, it opens nothing.
    let line = headers[COOKIE].to_str().unwrap();
    let line = line.replace(&*scene.of[0].mark, &scene.of[1].mark);
    let mut renamed = HeaderMap::new();
    renamed.insert(COOKIE, HeaderValue::try_from(line).unwrap());
    assert!(scene.seen(&renamed, NOW).await.sessions.is_empty());
    assert!(
        Scene::new("https://login.example/token").seen(&headers, NOW).await.sessions.is_empty()
    );
    // One of plain HTTP is none behind TLS, where another host could have set it.
    let line = headers[COOKIE].to_str().unwrap().replace("__Host-", "");
    let mut plain = HeaderMap::new();
    plain.insert(COOKIE, HeaderValue::try_from(line).unwrap());
    assert!(scene.seen(&plain, NOW).await.sessions.is_empty());
}

#[tokio::test]
async fn what_an_older_key_sealed_is_sealed_anew_and_what_a_trip_is_is_no_session() {
    let mut scene = Scene::new("https://login.example/token");
    let secrets = [[1; 32], [2; 32]];
    let old = Arc::new(Vault::told([&secrets[0][..]].into_iter()).unwrap());
    let both = [&secrets[1][..], &secrets[0][..]];
    let both = Arc::new(Vault::told(both.into_iter()).unwrap());
    scene.vault = old;
    let headers = scene.begun(None);
    scene.vault = Arc::clone(&both);
    let seen = scene.seen(&headers, NOW).await;
    assert_eq!((seen.sessions.len(), seen.cookies.len()), (1, 1));
    let seen = scene.seen(&brought(&seen.cookies), NOW).await;
    assert_eq!((seen.sessions.len(), seen.cookies.len()), (1, 0));
    let sealed = both.seal("trip", b"{}", NOW).unwrap();
    assert!(both.open("session", sealed.as_bytes()).is_none());
    assert!(both.open("trip", sealed.as_bytes()).is_some());
    let flipped = sealed.replace('A', "B");
    assert!(flipped == sealed || both.open("trip", flipped.as_bytes()).is_none());
}

#[tokio::test]
async fn a_session_is_renewed_once_for_all_who_bring_it() {
    let answer = json!({
        "access_token": "a", "token_type": "Bearer", "expires_in": 500, "refresh_token": "r2",
    });
    let (url, asked) = provider(200, answer).await;
    let scene = Scene::new(&url);
    let headers = scene.begun(Some("r1"));
    assert!(scene.seen(&headers, NOW + 79).await.cookies.is_empty());
    assert_eq!(asked.load(Relaxed), 0);
    let at_once = (0..8).map(|_| scene.seen(&headers, NOW + 80));
    let all = futures::future::join_all(at_once).await;
    for seen in &all {
        assert_eq!((seen.sessions.len(), seen.cookies.len()), (1, 1));
    }
    assert_eq!(asked.load(Relaxed), 1);
    // The new one is not due for four fifths of its own time.
    let renewed = brought(&all[0].cookies);
    assert!(scene.seen(&renewed, NOW + 80 + 399).await.cookies.is_empty());
    assert_eq!(asked.load(Relaxed), 1);
    // It lasts no longer for that.
    assert!(scene.seen(&renewed, NOW + 1000).await.sessions.is_empty());
}

#[tokio::test]
async fn a_provider_that_says_no_ends_a_session_once_its_time_is_over() {
    let (url, asked) = provider(400, json!({ "error": "invalid_grant" })).await;
    let scene = Scene::new(&url);
    let headers = scene.begun(Some("r1"));
    assert_eq!(scene.seen(&headers, NOW + 80).await.sessions.len(), 1);
    assert_eq!(scene.seen(&headers, NOW + 99).await.sessions.len(), 1);
    assert!(scene.seen(&headers, NOW + 100).await.sessions.is_empty());
    assert_eq!(asked.load(Relaxed), 1);
}

#[tokio::test]
async fn a_provider_inside_is_asked_only_where_that_is_listed() {
    let answer = json!({ "access_token": "a", "token_type": "Bearer", "expires_in": 500 });
    let (url, asked) = provider(200, answer).await;
    let scene = Scene::reaching(Reach::default(), &url);
    let headers = scene.begun(Some("r1"));
    assert!(scene.seen(&headers, NOW + 100).await.sessions.is_empty());
    assert_eq!(asked.load(Relaxed), 0);
    let scene = Scene::new(&url);
    let headers = scene.begun(Some("r1"));
    assert_eq!(scene.seen(&headers, NOW + 100).await.sessions.len(), 1);
    assert_eq!(asked.load(Relaxed), 1);
}

#[tokio::test]
async fn a_copy_opens_at_no_other_host_and_for_no_other_provider() {
    let scene = Scene::new("https://login.example/token");
    let headers = scene.begun(None);
    let elsewhere = Facts { host: "lab.example", ..facts(&headers, NOW) };
    let seen = scene.logins.brought(&scene.browser(&elsewhere), &scene.of).await;
    assert!(seen.sessions.is_empty());
    let text = headers[COOKIE].to_str().unwrap().split_once("=1.").unwrap().1.as_bytes().to_vec();
    let own = scene.of_session(&scene.of[0]);
    assert!(scene.vault.open(&own, &text).is_some());
    let moved = own.replace("https://login.example", "https://other.example");
    assert!(moved != own && scene.vault.open(&moved, &text).is_none());
}

#[tokio::test]
async fn over_plain_http_a_session_is_one_on_this_machine_alone() {
    let scene = Scene::new("https://login.example/token");
    for (host, is_there) in [("shop.localhost", 1), ("shop.example", 0)] {
        let session = Session::new(claims("ann"), &tokens(None), NOW).unwrap();
        let (login, nothing) = (&scene.of[0], HeaderMap::new());
        let facts_of = |headers| Facts { host, scheme: Scheme::Http, ..facts(headers, NOW) };
        let begun = facts_of(&nothing);
        let plain = |facts| Browser { scheme: Scheme::Http, ..scene.browser(facts) };
        let browser = plain(&begun);
        let headers = brought(&browser.kept(login, &browser.jar(login), &session).unwrap());
        let facts = facts_of(&headers);
        let seen = scene.logins.brought(&plain(&facts), &scene.of).await;
        assert_eq!(seen.sessions.len(), is_there, "{host}");
    }
}

#[tokio::test]
async fn a_namespace_asks_so_many_at_once_and_renewals_have_room_of_their_own() {
    let scene = Scene::new("https://login.example/token");
    let Logins { returning, renewing, .. } = &*scene.logins;
    let taken: Vec<_> =
        (0..rooms::AT_ONCE).map(|_| returning.room(&scene.of[0]).unwrap()).collect();
    assert!(returning.room(&scene.of[1]).is_none() && renewing.room(&scene.of[0]).is_some());
    drop(taken);
    assert!(returning.room(&scene.of[1]).is_some());
}

#[tokio::test]
async fn what_is_newest_is_asked_by_and_what_is_older_is_led_to_it() {
    // Its tokens are good for the least time, and it gives no other to ask by.
    let answer = json!({ "access_token": "a", "token_type": "Bearer", "expires_in": 1 });
    let (url, asked) = provider(200, answer).await;
    let scene = Scene::new(&url);
    let first = scene.begun(Some("r1"));
    let second = brought(&scene.seen(&first, NOW + 80).await.cookies);
    assert_eq!(asked.load(Relaxed), 1);
    // Who brings the first is given the second, without a question.
    assert_eq!(brought(&scene.seen(&first, NOW + 81).await.cookies).len(), 1);
    assert_eq!(asked.load(Relaxed), 1);
    // Whichever is brought once that is due, it is asked for anew.
    assert_eq!(scene.seen(&first, NOW + 80 + 24).await.sessions.len(), 1);
    assert_eq!(asked.load(Relaxed), 2);
    assert_eq!(scene.seen(&second, NOW + 80 + 25).await.sessions.len(), 1);
    assert_eq!(asked.load(Relaxed), 2);
}

#[test]
fn what_a_browser_keeps_no_cache_keeps_and_nobody_else_sets() {
    let mut headers = HeaderMap::new();
    let add = |headers: &mut HeaderMap, name: &'static str, value: &'static str| {
        headers.append(name, HeaderValue::from_static(value));
    };
    add(&mut headers, "set-cookie", "theme=dark");
    add(&mut headers, "set-cookie", " __Host-heddle-user-0123=1.evil; Path=/");
    add(&mut headers, "set-cookie", "heddle-trip-0123-x=evil");
    add(&mut headers, "cache-control", "public, max-age=600");
    let untouched = headers.clone();
    let mut passing = headers.clone();
    strip(&mut passing);
    keep(&[], &mut passing);
    assert_eq!(passing.get_all("set-cookie").iter().collect::<Vec<_>>(), ["theme=dark"]);
    assert_eq!(passing["cache-control"], untouched["cache-control"]);
    add(&mut headers, "cloudflare-cdn-cache-control", "max-age=600");
    add(&mut headers, "surrogate-control", "max-age=600");
    add(&mut headers, "expires", "Thu, 01 Jan 2099 00:00:00 GMT");
    strip(&mut headers);
    keep(&[HeaderValue::from_static("ours=1")], &mut headers);
    let set: Vec<_> = headers.get_all("set-cookie").iter().collect();
    assert_eq!(set, ["theme=dark", "ours=1"]);
    let caches: Vec<_> = headers.get_all("cache-control").iter().collect();
    assert_eq!(caches, ["private, no-store"]);
    assert_eq!(headers.len(), 3, "{headers:?}");
}

#[test]
fn only_somebody_at_this_very_site_logs_out() {
    let scene = Scene::new("https://login.example/token");
    for (method, said, is_out) in [
        (Method::GET, &[("sec-fetch-site", "none")][..], true),
        (Method::GET, &[("sec-fetch-site", "same-origin")], true),
        (Method::GET, &[("sec-fetch-site", "same-site")], false),
        (Method::POST, &[("sec-fetch-site", "cross-site")], false),
        (Method::PUT, &[("sec-fetch-site", "same-origin")], false),
        (Method::GET, &[], false),
        (Method::POST, &[], false),
        (Method::POST, &[("origin", "https://shop.example")], true),
        (Method::POST, &[("origin", "https://evil.example")], false),
        (Method::GET, &[("origin", "https://shop.example")], false),
    ] {
        let mut headers = HeaderMap::new();
        for (name, value) in said {
            headers.insert(*name, HeaderValue::from_static(value));
        }
        let facts = Facts { method: &method, ..facts(&headers, NOW) };
        let answer = scene.logins.leave(&scene.browser(&facts), &scene.of);
        assert_eq!(answer.reason == Reason::LoggedOut, is_out, "{method} {said:?}");
    }
}

#[tokio::test]
async fn a_session_that_was_ended_is_nobodys_whoever_has_a_copy() {
    let scene = Scene::new("https://login.example/token");
    let mut headers = scene.begun(None);
    headers.insert("sec-fetch-site", HeaderValue::from_static("same-origin"));
    let facts = facts(&headers, NOW);
    let browser = scene.browser(&facts);
    let answer = scene.logins.leave(&browser, &scene.of);
    assert_eq!(answer.reason, Reason::LoggedOut);
    assert!(scene.seen(&headers, NOW).await.sessions.is_empty());
    assert!(scene.logins.known(&browser, scene.of.iter()).is_empty());
}

#[test]
fn a_browser_comes_back_to_this_host_alone() {
    for (wanted, to) in [
        ("/orders?a=b", "/orders?a=b"),
        ("//evil.example/", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example", "/"),
        ("", "/"),
    ] {
        let trip = Trip::new("https://a.example/x".to_owned(), wanted.to_owned(), NOW).unwrap();
        assert_eq!(trip.to, to, "{wanted}");
    }
}
