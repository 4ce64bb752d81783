//! Somebody who is shut out, on whose behalf a request is under way; and a node that is.

use std::time::{Duration, Instant};

use e2e::client::Reply;
use e2e::people::heddle;
use e2e::program::ended;
use e2e::token::{Issuer, now};
use e2e::wait;
use serde_json::{Value, json};

use crate::cloth::send;
use crate::scene::HOST;
use crate::two::Two;

const ISSUER: &str = "https://login.example";
/// A revocation holds everywhere so long after it was committed.
const WITHIN: Duration = Duration::from_secs(1);

/// The shop, for which people show tokens at the edge, and whose last service asks who they are.
struct Shop {
    two: Two,
    issuer: Issuer,
}

impl Shop {
    async fn open() -> Self {
        let (two, issuer) = (Two::new().await, Issuer::new(ISSUER));
        let policy = format!(
            "apiVersion: heddle.dev/v1alpha1\nkind: AuthnPolicy\n\
             metadata: {{ name: people, namespace: shop }}\nspec:\n  \
             targetRefs: [{{ kind: HTTPRoute, name: front }}]\n  require: Any\n  methods:\n    \
             - name: people\n      jwt: {{ issuer: '{ISSUER}', audiences: [shop], jwks: '{}' }}\n---\n\
             apiVersion: heddle.dev/v1alpha1\nkind: AccessPolicy\n\
             metadata: {{ name: catalog, namespace: shop }}\nspec:\n  \
             targetRefs: [{{ group: \"\", kind: Service, name: catalog }}]\n  \
             rules: [{{ name: people, when: {{ workloads: [{{ serviceAccount: orders }}], \
             callers: [{{ issuer: '{ISSUER}' }}] }} }}]\n",
            issuer.jwks()
        );
        let revision = two.fleet.change(&policy).await;
        two.fleet.until_everywhere(revision).await;
        Shop { two, issuer }
    }

    /// What somebody shows who logged in so many seconds ago.
    fn token(&self, subject: &str, ago: i64) -> String {
        let claims = json!({
            "iss": ISSUER, "sub": subject, "aud": "shop", "iat": now() - ago, "exp": now() + 600,
        });
        self.issuer.sign(&json!({ "alg": "EdDSA", "kid": "k1" }), &claims)
    }

    async fn get(&self, path: &str, token: &str) -> Reply {
        let bearer = format!("Bearer {token}");
        send(self.two.east.web, HOST, path, &[("authorization", &bearer)]).await
    }

    fn heddle(&self, words: &[&str]) -> String {
        let mut command = heddle(&self.two.fleet);
        let said = ended(command.env("HEDDLE_TOKEN", self.two.fleet.token()).args(words));
        assert_eq!(said.code, 0, "{said:?}");
        said.stdout
    }

    /// The id of a revocation that is made with these words.
    fn revoked(&self, words: &[&str]) -> String {
        let made = self.heddle(&[&["revoke"], words, &["-o", "json"]].concat());
        let made: Value = serde_json::from_str(&made).expect("JSON");
        made["id"].as_str().expect("an id").to_owned()
    }

    /// What is told of a request, once so many proxies told of it: which, on which side, what came of it, for whom.
    async fn told(&self, reply: &Reply, count: usize) -> Vec<String> {
        let path = format!("/requests/{}", reply.header("x-request-id"));
        let word = |value: &Value| value.as_str().unwrap_or("-").to_owned();
        let hop = |hop: &Value| {
            let [side, reason, caller] = ["side", "reason", "caller"].map(|at| word(&hop[at]));
            format!("{} {side} {reason} {caller}", word(&hop["node"]["name"]))
        };
        let fleet = &self.two.fleet;
        wait::until(&format!("{count} hops"), || async {
            let reply = fleet.get_as(fleet.token(), &path).await.ok()?;
            let hops: Vec<_> = reply.json()["hops"].as_array()?.iter().map(hop).collect();
            (hops.len() >= count).then_some(hops)
        })
        .await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_inside_is_denied_at_its_next_hop_when_its_user_is_shut_out() {
    let shop = Shop::open().await;
    let ann = format!("jwt:{ISSUER}#ann");
    // Four hops, of which each service forwards a trace and nothing more.
    let reply = shop.get("/", &shop.token("ann", 0)).await;
    let last = &reply.json()["called"]["called"]["service"];
    assert_eq!((reply.status, last), (200, &"catalog".into()), "{}", reply.text());
    let told = shop.told(&reply, 6).await;
    let wanted = [
        format!("edge edge ok {ann}"),
        format!("shop.storefront-east inbound ok {ann}"),
        "shop.storefront-east outbound ok -".to_owned(),
        format!("shop.orders-east inbound ok {ann}"),
        "shop.orders-east outbound ok -".to_owned(),
        format!("shop.catalog-east inbound ok {ann}"),
    ];
    assert_eq!(told, wanted);

    // The storefront holds it for two seconds before it calls on.
    let token = shop.token("ann", 0);
    let bearer = format!("Bearer {token}");
    let (web, held) = (shop.two.east.web, bearer.clone());
    let before = seen(&shop, 2).await;
    let held =
        tokio::spawn(
            async move { send(web, HOST, "/?ms=2000", &[("authorization", &held)]).await },
        );
    wait::until_true_of("the storefront to have it", async || seen(&shop, 2).await > before).await;
    let since = Instant::now();
    let id = shop.revoked(&["user", ISSUER, "ann", "-m", "a stolen laptop"]);
    // Until it does, a proxy behind it may know before: then the storefront cannot answer.
    let denied = wait::until("the edge to know", || async {
        let reply = shop.get("/", &token).await;
        assert!([200, 403, 502].contains(&reply.status), "{}", reply.text());
        (reply.status == 403).then_some(reply)
    })
    .await;
    assert!(since.elapsed() < WITHIN, "{:?}", since.elapsed());
    assert_eq!(denied.json()["reason"], "caller_revoked");
    wait::until_true_of("the edge itself to deny them", async || {
        let reply = shop.get("/", &token).await;
        shop.told(&reply, 1).await == [format!("edge edge caller_revoked {ann}")]
    })
    .await;
    let reply = held.await.expect("it was sent");
    assert_eq!(reply.status, 502, "{}", reply.text());
    let told = shop.told(&reply, 3).await;
    let wanted = [
        format!("edge edge ok {ann}"),
        format!("shop.storefront-east inbound ok {ann}"),
        "shop.storefront-east outbound caller_revoked -".to_owned(),
    ];
    assert_eq!(told, wanted, "nothing of it came to the orders");
    let text = shop.heddle(&["explain", reply.header("x-request-id")]);
    assert!(text.contains(&format!("it comes for {ann}, who was shut out")), "{text}");
    let audited = shop.heddle(&["audit", "--limit", "1"]);
    assert!(audited.contains("a stolen laptop") && audited.contains("revoke"), "{audited}");

    // Nobody else is, and not for longer than they are to be.
    assert_eq!(shop.get("/", &shop.token("bob", 0)).await.status, 200);
    shop.heddle(&["revoke", "lift", &id]);
    wait::until_true_of("they are let in again", async || {
        shop.get("/", &token).await.status == 200
    })
    .await;
}

/// How many requests a service of the cluster got that is this from the last.
async fn seen(shop: &Shop, service: usize) -> u64 {
    let at = shop.two.east.apps[service].address;
    send(at, HOST, "/stats", &[]).await.json()["requests"].as_u64().expect("a number")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_signed_out_shows_another_token_and_a_node_that_is_forgotten_reaches_nobody() {
    let shop = Shop::open().await;
    let old = shop.token("ann", 5);
    assert_eq!(shop.get("/", &old).await.status, 200);
    shop.revoked(&["user", ISSUER, "ann", "--sign-out"]);
    let since = Instant::now();
    wait::until_true_of("the old token to be refused", async || {
        shop.get("/", &old).await.status == 401
    })
    .await;
    assert!(since.elapsed() < WITHIN, "{:?}", since.elapsed());
    let new = shop.token("ann", -2);
    assert_eq!(shop.get("/", &new).await.status, 200, "they signed in later");

    // A gateway whose key may be in other hands: it goes on by what it knows, and no proxy speaks with it.
    let since = Instant::now();
    shop.heddle(&["node", "delete", "edge", "--cluster", "east"]);
    wait::until_true_of("it to reach nobody", async || {
        let reply = shop.get("/", &new).await;
        // What is under way is broken off.
        assert!([200, 502, 503].contains(&reply.status), "{}", reply.text());
        reply.status == 503
    })
    .await;
    assert!(since.elapsed() < WITHIN, "{:?}", since.elapsed());
    let bearer = format!("Bearer {new}");
    let west = send(shop.two.west.web, HOST, "/", &[("authorization", &bearer)]).await;
    assert_eq!(west.status, 200, "{}", west.text());
    let listed = shop.heddle(&["revoke", "list"]);
    assert!(listed.contains("east gateway edge"), "{listed}");
}
