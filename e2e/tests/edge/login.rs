//! Browsers that log in at a provider of OpenID Connect, through gateways that share the secrets of sessions.

use std::collections::BTreeMap;

use e2e::client::{nothing, request};
use e2e::{Connection, Gateway, Origin, Reply, Setup, yaml};
use serde_json::json;

use crate::scene::refused;
use provider::{Provider, SECRET};

mod provider;

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

/// A browser, as far as it keeps cookies and looks at pages.
#[derive(Debug, Default, Clone)]
struct Browser(BTreeMap<String, String>);

impl Browser {
    async fn get(&mut self, gateway: &Gateway, path: &str) -> Reply {
        let cookies: Vec<_> =
            self.0.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let cookies = ["theme=dark".to_owned(), cookies.join("; ")].join("; ");
        let asked = request("GET", HOST, path)
            .header("sec-fetch-mode", "navigate")
            .header("sec-fetch-dest", "document")
            .header("sec-fetch-site", "none")
            .header("cookie", cookies);
        let mut connection = Connection::h1(gateway.web()).await.expect("a connection");
        let reply =
            connection.send(asked.body(nothing()).expect("a request")).await.expect("an answer");
        self.keep(&reply);
        reply
    }

    fn keep(&mut self, reply: &Reply) {
        for line in reply.headers.get_all("set-cookie") {
            let line = line.to_str().expect("text");
            let (pair, attributes) = line.split_once(';').expect("attributes");
            let (name, value) = pair.split_once('=').expect("a value");
            assert!(attributes.contains("HttpOnly") && attributes.contains("Path=/;"), "{line}");
            match attributes.contains("Max-Age=0;") {
                true => drop(self.0.remove(name)),
                false => drop(self.0.insert(name.to_owned(), value.to_owned())),
            }
        }
    }

    /// Logs in by one gateway, with the way back through another.
    async fn log_in(&mut self, provider: &Provider, out: &Gateway, back: &Gateway, user: &str) {
        let reply = self.get(out, "/orders?of=me").await;
        assert_eq!((reply.status, reply.origin()), (302, ""), "{reply:?}");
        assert_eq!(reply.header("cache-control"), "no-store");
        let to = provider.log_in(reply.header("location"), user);
        assert_eq!(to.path(), "/oauth2/callback");
        let reply = self.get(back, &format!("{}?{}", to.path(), to.query().expect("a code"))).await;
        assert_eq!((reply.status, reply.header("location")), (303, "/orders?of=me"), "{reply:?}");
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
        let (mut browser, user) = (Browser::default(), format!("ann-{index}"));
        browser.log_in(&provider, &one, &two, &user).await;
        assert_eq!(browser.0.len(), 1, "{browser:?}");
        for gateway in [&one, &two] {
            assert_eq!(told(origin, &browser.get(gateway, "/orders").await), user);
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
    let mut browser = Browser::default();
    let reply = browser.get(&one, "/").await;
    let to = provider.log_in(reply.header("location"), "ann");
    let back = format!("{}?{}", to.path(), to.query().unwrap());
    let mut other = Browser::default();
    refused(&two, &other.get(&two, &back).await, 403, "login_refused").await;
    let (mut began, copy) = (browser.clone(), browser.clone());
    assert_eq!(began.get(&two, &back).await.status, 303);
    // Neither the gateway that it came by nor the provider takes it twice.
    for (gateway, why) in [(&two, "used already"), (&one, "invalid_grant")] {
        let mut again = copy.clone();
        let line = refused(gateway, &again.get(gateway, &back).await, 403, "login_refused").await;
        assert!(line["detail"].as_str().unwrap().contains(why), "{line}");
    }
    let declined = back.replace("code=", "error=access_denied&was=");
    refused(&one, &browser.get(&one, &declined).await, 403, "login_refused").await;
    // A token that was made for another try, or somebody else's client, lets nobody in.
    for claims in [json!({ "nonce": "other" }), json!({ "aud": "other" }), json!({ "sub": "" })] {
        provider.say(claims);
        let mut browser = Browser::default();
        let reply = browser.get(&one, "/").await;
        let to = provider.log_in(reply.header("location"), "ann");
        let back = format!("{}?{}", to.path(), to.query().unwrap());
        refused(&one, &browser.get(&one, &back).await, 403, "login_refused").await;
        assert!(browser.0.is_empty(), "{browser:?}");
    }
    provider.go_away();
    let mut browser = Browser::default();
    let reply = browser.get(&one, "/").await;
    let to = provider.log_in(reply.header("location"), "ann");
    let back = format!("{}?{}", to.path(), to.query().unwrap());
    refused(&one, &browser.get(&one, &back).await, 503, "login_unreached").await;
}

#[tokio::test]
async fn a_session_of_many_claims_takes_several_cookies_and_too_many_are_refused() {
    let Scene { provider, gateways: [one, two], held } = Scene::start().await;
    let (origin, _) = &held;
    let groups =
        |count: usize| -> Vec<_> { (0..count).map(|at| format!("group-{at:04}")).collect() };
    provider.say(json!({ "groups": groups(500) }));
    let mut browser = Browser::default();
    browser.log_in(&provider, &one, &two, "ann").await;
    assert!((2..=4).contains(&browser.0.len()), "{}", browser.0.len());
    assert_eq!(told(origin, &browser.get(&one, "/").await), "ann");
    // A part that is missing or of another one is no session.
    let mut torn = browser.clone();
    let (last, _) = torn.0.iter().next_back().map(|(n, v)| (n.clone(), v.clone())).unwrap();
    torn.0.insert(last, "AAAA".to_owned());
    assert_eq!(torn.get(&one, "/").await.status, 302);
    provider.say(json!({ "groups": groups(900) }));
    let mut large = Browser::default();
    let reply = large.get(&one, "/").await;
    let to = provider.log_in(reply.header("location"), "ann");
    let back = format!("{}?{}", to.path(), to.query().unwrap());
    let line = refused(&one, &large.get(&one, &back).await, 403, "login_refused").await;
    assert!(line["detail"].as_str().unwrap().contains("more bytes"), "{line}");
}

#[tokio::test]
async fn who_logs_out_is_nobody_with_a_copy_of_the_session_either() {
    let Scene { provider, gateways: [one, two], held: _held } = Scene::start().await;
    let mut browser = Browser::default();
    browser.log_in(&provider, &one, &two, "ann").await;
    let mut copy = browser.clone();
    let reply = one.get_with(HOST, "/oauth2/logout", &[("sec-fetch-site", "cross-site")]).await;
    refused(&one, &reply, 403, "login_refused").await;
    let reply = browser.get(&one, "/oauth2/logout").await;
    assert_eq!(reply.status, 303);
    let to = reply.header("location");
    assert!(
        to.starts_with(&format!("http://{}/out?client_id=shop&post_", provider.address)),
        "{to}"
    );
    assert!(browser.0.is_empty(), "{browser:?}");
    assert_eq!(copy.get(&one, "/").await.status, 302);
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
    let mut browser = Browser::default();
    browser.log_in(&provider, &one, &one, "ann").await;
    let before = browser.0.clone();
    let reply = browser.get(&one, "/").await;
    assert_eq!(reply.header("cache-control"), "public, max-age=600");
    assert_eq!(reply.headers.get_all("set-cookie").iter().count(), 0, "{reply:?}");
    let reply = browser.get(&two, "/").await;
    assert_eq!(told(&held.0, &reply), "ann");
    assert_eq!(reply.header("cache-control"), "private, no-store");
    assert_eq!(reply.headers.get_all("set-cookie").iter().count(), 1, "{reply:?}");
    assert!(browser.0.keys().eq(before.keys()) && browser.0 != before, "{browser:?}");
}
