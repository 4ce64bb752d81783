//! Browsers that log in at a provider of OpenID Connect, through gateways that share the secrets of sessions.

use e2e::browser::Browser;
use e2e::provider::{Provider, SECRET};
use e2e::{Gateway, Origin, Reply, Setup, yaml};
use serde_json::json;

use crate::scene::refused;
/// On this machine itself, where nobody is between.
const HOST: &str = "shop.localhost";
/// Secrets that gateways share.
const KEYS: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n";

/// A provider, and two gateways before one origin, at which people have to log in.
struct Scene {
    provider: Provider,
    gateways: [Gateway; 2],
    /// The origin, and the file of secrets.
    held: (Origin, tempfile::TempDir),
}

impl Scene {
    async fn start() -> Self {
        Scene::behind(yaml::path_route("all", "/", "shop"), [KEYS, KEYS]).await
    }

    /// The same with another route, and secrets for each gateway.
    async fn behind(route: String, keys: [&str; 2]) -> Self {
        let provider = Provider::start().await;
        let origin = Origin::start("shop").await;
        let policy = json!({
            "apiVersion": "heddle.dev/v1alpha1",
            "kind": "AuthnPolicy",
            "metadata": { "name": "people", "namespace": "shop" },
            "spec": {
                "targetRefs": [{ "kind": "HTTPRoute", "name": "all" }],
                "methods": [provider.method()],
                "require": "Any",
            },
        });
        let secret = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": { "name": "login", "namespace": "shop" },
            "stringData": { "client-secret": SECRET },
        });
        let folder = tempfile::tempdir().expect("a folder");
        let setup = |keys: &str, name: &str| {
            let file = folder.path().join(name);
            std::fs::write(&file, keys).expect("a file");
            let setup = Setup::new()
                .with(yaml::service("shop", &[origin.address]))
                .with(route.clone())
                .with(format!("{policy:#}\n"))
                .with(format!("{secret:#}\n"));
            let shared = ["--ticket-keys", &file.to_string_lossy()];
            setup.arguments(&shared).arguments(&["--fetch-from", "127.0.0.1/32"])
        };
        let gateways = [setup(keys[0], "one").start().await, setup(keys[1], "two").start().await];
        Scene { provider, gateways, held: (origin, folder) }
    }
}

/// Whom the backend was told of, which sees nothing of the session.
fn told(origin: &Origin, reply: &Reply) -> String {
    assert_eq!((reply.status, reply.origin()), (200, "shop"), "{reply:?}");
    let seen = origin.last();
    assert_eq!(seen.header("cookie"), "theme=dark", "{seen:?}");
    seen.header("x-user").to_owned()
}

#[tokio::test]
async fn who_logs_in_by_one_gateway_comes_back_by_another_and_is_known_at_each() {
    let Scene { provider, gateways: [one, two], held } = Scene::start().await;
    let (origin, _) = &held;
    for index in 0..50 {
        let (mut browser, user) = (Browser::new(HOST), format!("ann-{index}"));
        browser.log_in(&provider, one.web(), two.web(), &user).await;
        assert_eq!(browser.cookies.len(), 1, "{browser:?}");
        for gateway in [&one, &two] {
            assert_eq!(told(origin, &browser.get(gateway.web(), "/orders").await), user);
        }
    }
    for said in [one.access_log(), one.stderr(), two.access_log(), two.stderr()] {
        assert!(!said.contains(SECRET) && !said.contains("code="), "{said}");
    }
}

#[tokio::test]
async fn who_proves_nothing_is_led_to_log_in_only_where_a_browser_shows_pages() {
    let Scene { gateways: [one, _], held: _held, .. } = Scene::start().await;
    refused(&one, &one.get(HOST, "/").await, 401, "credential_missing").await;
    let page = [("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];
    assert_eq!(one.get_with(HOST, "/", &page).await.status, 302);
    // What others could read is not begun.
    let reply = one.get_with("shop.test", "/", &page).await;
    let line = refused(&one, &reply, 401, "credential_missing").await;
    assert!(line["detail"].as_str().unwrap().contains("over TLS alone"), "{line}");
}

#[tokio::test]
async fn what_comes_back_is_believed_once_in_the_browser_that_began() {
    let Scene { provider, gateways: [one, two], held: _held } = Scene::start().await;
    let mut browser = Browser::new(HOST);
    let reply = browser.get(one.web(), "/").await;
    let to = provider.log_in(reply.header("location"), "ann");
    let back = format!("{}?{}", to.path(), to.query().unwrap());
    let mut other = Browser::new(HOST);
    refused(&two, &other.get(two.web(), &back).await, 403, "login_refused").await;
    let (mut began, copy) = (browser.clone(), browser.clone());
    assert_eq!(began.get(two.web(), &back).await.status, 303);
    // Neither the gateway that it came by nor the provider takes it twice.
    for (gateway, why) in [(&two, "used already"), (&one, "invalid_grant")] {
        let mut again = copy.clone();
        let line =
            refused(gateway, &again.get(gateway.web(), &back).await, 403, "login_refused").await;
        assert!(line["detail"].as_str().unwrap().contains(why), "{line}");
    }
    let declined = back.replace("code=", "error=access_denied&was=");
    refused(&one, &browser.get(one.web(), &declined).await, 403, "login_refused").await;
    // A token that was made for another try, or somebody else's client, lets nobody in.
    for claims in [json!({ "nonce": "other" }), json!({ "aud": "other" }), json!({ "sub": "" })] {
        provider.say(claims);
        let mut browser = Browser::new(HOST);
        let reply = browser.get(one.web(), "/").await;
        let to = provider.log_in(reply.header("location"), "ann");
        let back = format!("{}?{}", to.path(), to.query().unwrap());
        refused(&one, &browser.get(one.web(), &back).await, 403, "login_refused").await;
        assert!(browser.cookies.is_empty(), "{browser:?}");
    }
    provider.go_away();
    let mut browser = Browser::new(HOST);
    let reply = browser.get(one.web(), "/").await;
    let to = provider.log_in(reply.header("location"), "ann");
    let back = format!("{}?{}", to.path(), to.query().unwrap());
    refused(&one, &browser.get(one.web(), &back).await, 503, "login_unreached").await;
}

#[tokio::test]
async fn a_session_of_many_claims_takes_several_cookies_and_too_many_are_refused() {
    let Scene { provider, gateways: [one, two], held } = Scene::start().await;
    let (origin, _) = &held;
    let groups =
        |count: usize| -> Vec<_> { (0..count).map(|at| format!("group-{at:04}")).collect() };
    provider.say(json!({ "groups": groups(500) }));
    let mut browser = Browser::new(HOST);
    browser.log_in(&provider, one.web(), two.web(), "ann").await;
    assert!((2..=4).contains(&browser.cookies.len()), "{}", browser.cookies.len());
    assert_eq!(told(origin, &browser.get(one.web(), "/").await), "ann");
    // A part that is missing or of another one is no session.
    let mut torn = browser.clone();
    let (last, _) = torn.cookies.iter().next_back().map(|(n, v)| (n.clone(), v.clone())).unwrap();
    torn.cookies.insert(last, "AAAA".to_owned());
    assert_eq!(torn.get(one.web(), "/").await.status, 302);
    provider.say(json!({ "groups": groups(900) }));
    let mut large = Browser::new(HOST);
    let reply = large.get(one.web(), "/").await;
    let to = provider.log_in(reply.header("location"), "ann");
    let back = format!("{}?{}", to.path(), to.query().unwrap());
    let line = refused(&one, &large.get(one.web(), &back).await, 403, "login_refused").await;
    assert!(line["detail"].as_str().unwrap().contains("more bytes"), "{line}");
}

#[tokio::test]
async fn who_logs_out_is_nobody_with_a_copy_of_the_session_either() {
    let Scene { provider, gateways: [one, two], held: _held } = Scene::start().await;
    let mut browser = Browser::new(HOST);
    browser.log_in(&provider, one.web(), two.web(), "ann").await;
    let mut copy = browser.clone();
    let reply = one.get_with(HOST, "/oauth2/logout", &[("sec-fetch-site", "cross-site")]).await;
    refused(&one, &reply, 403, "login_refused").await;
    let reply = browser.get(one.web(), "/oauth2/logout").await;
    assert_eq!(reply.status, 303);
    let to = reply.header("location");
    assert!(
        to.starts_with(&format!("http://{}/out?client_id=shop&post_", provider.address)),
        "{to}"
    );
    assert!(browser.cookies.is_empty(), "{browser:?}");
    assert_eq!(copy.get(one.web(), "/").await.status, 302);
}

#[tokio::test]
async fn what_is_sealed_anew_reaches_the_browser_alone_whatever_filters_say() {
    const NEXT: &str = "Hx4dHBsaGRgXFhUUExIREA8ODQwLCgkIBwYFBAMCAQA=\n";
    let route = "rules: [{ name: all, backendRefs: [{ name: shop, port: 80 }], filters: [{ \
                 type: ResponseHeaderModifier, responseHeaderModifier: { \
                 set: [{ name: cache-control, value: 'public, max-age=600' }, \
                 { name: set-cookie, value: __Host-heddle-user-0123456789ab=1.evil }] } }] }]";
    let both = format!("{NEXT}{KEYS}");
    let scene = Scene::behind(yaml::route("all", route), [KEYS, &both]).await;
    let Scene { provider, gateways: [one, two], held } = scene;
    let mut browser = Browser::new(HOST);
    browser.log_in(&provider, one.web(), one.web(), "ann").await;
    let before = browser.cookies.clone();
    let reply = browser.get(one.web(), "/").await;
    assert_eq!(reply.header("cache-control"), "public, max-age=600");
    assert_eq!(reply.headers.get_all("set-cookie").iter().count(), 0, "{reply:?}");
    let reply = browser.get(two.web(), "/").await;
    assert_eq!(told(&held.0, &reply), "ann");
    assert_eq!(reply.header("cache-control"), "private, no-store");
    assert_eq!(reply.headers.get_all("set-cookie").iter().count(), 1, "{reply:?}");
    assert!(browser.cookies.keys().eq(before.keys()) && browser.cookies != before, "{browser:?}");
}
