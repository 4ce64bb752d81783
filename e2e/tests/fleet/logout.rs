//! Browsers that log in and out at several gateways of one server, which share no file.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use e2e::browser::Browser;
use e2e::program::free_port;
use e2e::provider::{Provider, SECRET};
use e2e::{Fleet, Joined, Origin, fleet, wait, yaml};
use serde_json::json;

/// On this machine itself, where nobody is between.
const HOST: &str = "shop.localhost";
/// Whatever one gateway learns the others know within so long.
const WITHIN: Duration = Duration::from_secs(1);

/// Two replicas of a Gateway, each at an address of its own, before an origin at which people have to log in.
struct Pair {
    fleet: Fleet,
    provider: Provider,
    gateways: Vec<Joined>,
    at: [SocketAddr; 2],
    _origin: Origin,
}

impl Pair {
    async fn start() -> Self {
        let (fleet, provider) =
            (Fleet::start(fleet::Plan::default()).await, Provider::start().await);
        let (origin, port) = (Origin::start("shop").await, free_port());
        let text =
            gateway(port) + &yaml::service("shop", &[origin.address]) + "---\n" + &login(&provider);
        let revision = fleet.change(&text).await;
        let at = [11, 12].map(|last| SocketAddr::new(Ipv4Addr::new(127, 0, 0, last).into(), port));
        let mut gateways = Vec::new();
        for (number, at) in at.iter().enumerate() {
            let at = at.ip().to_string();
            let arguments = ["--bind", &at, "--fetch-from", "127.0.0.1/32"];
            gateways.push(fleet.join_with(&format!("edge-{number}"), &arguments).await);
        }
        fleet.until_everywhere(revision).await;
        let pair = Pair { fleet, provider, gateways, at, _origin: origin };
        // They may be told of secrets after the state.
        for (number, gateway) in pair.gateways.iter().enumerate() {
            let file = pair.fleet.path(&format!("state-local-edge-{number}/session-secrets"));
            wait::until_true(&gateway.stderr(), || file.exists()).await;
        }
        pair
    }

    /// A browser of somebody who logged in by one gateway, with the way back through the other.
    async fn logged_in(&self, user: &str) -> Browser {
        let mut browser = Browser::new(HOST);
        browser.log_in(&self.provider, self.at[0], self.at[1], user).await;
        browser
    }

    /// How long it takes from now until a browser has no session at a gateway.
    async fn out(&self, browser: &Browser, at: SocketAddr) -> Duration {
        let since = Instant::now();
        wait::until_true_of("the session to be over", async || {
            browser.clone().get(at, "/").await.status == 302
        })
        .await;
        since.elapsed()
    }
}

fn gateway(port: u16) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\n\
         metadata: {{ name: edge, namespace: platform }}\nspec:\n  gatewayClassName: heddle\n  \
         listeners:\n    - name: http\n      protocol: HTTP\n      port: {port}\n      \
         allowedRoutes: {{ namespaces: {{ from: All }} }}\n---\n\
         apiVersion: heddle.dev/v1alpha1\nkind: Workspace\nmetadata: {{ name: shop }}\n\
         spec: {{ access: open }}\n---\n\
         apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\n\
         metadata: {{ name: all, namespace: shop }}\nspec:\n  \
         parentRefs: [{{ name: edge, namespace: platform }}]\n  hostnames: [{HOST}]\n  \
         rules: [{{ backendRefs: [{{ name: shop, port: 80 }}] }}]\n---\n"
    )
}

fn login(provider: &Provider) -> String {
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
    format!("{policy:#}\n---\n{secret:#}\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_fifty_logins_each_comes_back_by_the_other_gateway_and_is_over_there_within_a_second() {
    let pair = Pair::start().await;
    let [one, two] = pair.at;
    for index in 0..50 {
        let mut browser = pair.logged_in(&format!("ann-{index}")).await;
        let copy = browser.clone();
        for at in [one, two] {
            assert_eq!(browser.get(at, "/").await.status, 200);
        }
        let (here, there) = if index % 2 == 0 { (one, two) } else { (two, one) };
        assert_eq!(browser.get(here, "/oauth2/logout").await.status, 303);
        let took = pair.out(&copy, there).await;
        assert!(took < WITHIN, "{took:?} until the other gateway knew");
        assert_eq!(copy.clone().get(here, "/").await.status, 302);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_logged_out_is_out_where_it_was_not_told_yet_and_after_each_new_start() {
    let mut pair = Pair::start().await;
    let [one, two] = pair.at;
    let mut browser = pair.logged_in("ann").await;
    let (copy, stays) = (browser.clone(), pair.logged_in("bob").await);
    // While the server is away the one gateway knows it alone.
    pair.fleet.stop().await;
    assert_eq!(browser.get(one, "/oauth2/logout").await.status, 303);
    assert_eq!(copy.clone().get(one, "/").await.status, 302);
    assert_eq!(copy.clone().get(two, "/").await.status, 200);
    pair.fleet.serve().await;
    pair.out(&copy, two).await;
    // What one knows outlives its process, also where nobody tells it again: soon, and at an end that it sees coming.
    pair.fleet.stop().await;
    let mut late = pair.logged_in("cleo").await;
    let (also, file) = (late.clone(), pair.fleet.path("state-local-edge-0/revoked"));
    let kept = || std::fs::read(&file).ok();
    let before = kept();
    assert_eq!(late.get(one, "/oauth2/logout").await.status, 303);
    wait::until_true("it to be kept", || kept() != before).await;
    pair.gateways[0].kill();
    pair.gateways[1].stop().await;
    for gateway in &mut pair.gateways {
        gateway.respawn();
        gateway.until_ready().await;
    }
    for at in pair.at {
        assert_eq!(copy.clone().get(at, "/").await.status, 302);
        assert_eq!(stays.clone().get(at, "/").await.status, 200);
    }
    assert_eq!(also.clone().get(one, "/").await.status, 302);
    assert_eq!(also.clone().get(two, "/").await.status, 200, "nobody told the other one");
    pair.fleet.serve().await;
    pair.out(&also, two).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_shut_out_has_no_session_and_who_is_signed_out_logs_in_anew() {
    let pair = Pair::start().await;
    let issuer = format!("http://{}", pair.provider.address);
    let browser = pair.logged_in("ann").await;
    let heddle = |words: &[&str]| {
        let mut command = e2e::people::heddle(&pair.fleet);
        command.env("HEDDLE_TOKEN", pair.fleet.token()).arg("revoke").args(words);
        let said = e2e::program::ended(&mut command);
        assert_eq!(said.code, 0, "{said:?}");
        said.stdout
    };
    heddle(&["user", &issuer, "ann", "--sign-out"]);
    for at in pair.at {
        pair.out(&browser, at).await;
    }
    // In a later second than that in which they were.
    let next = e2e::token::now() + 1;
    wait::until_true("the next second", || e2e::token::now() > next).await;
    let mut browser = pair.logged_in("ann").await;
    let made = heddle(&["user", &issuer, "ann", "-m", "left us", "-o", "json"]);
    let made: serde_json::Value = serde_json::from_str(&made).expect("JSON");
    for at in pair.at {
        wait::until_true_of("they are shut out", async || {
            let reply = browser.clone().get(at, "/").await;
            // They are not sent to log in, which would end nowhere.
            reply.status == 403 && reply.json()["reason"] == "caller_revoked"
        })
        .await;
    }
    let listed = heddle(&["list"]);
    assert!(listed.contains("left us") && listed.contains("signed out"), "{listed}");
    heddle(&["lift", made["id"].as_str().expect("an id")]);
    wait::until_true_of("they are let in again", async || {
        browser.get(pair.at[0], "/").await.status == 200
    })
    .await;
}
