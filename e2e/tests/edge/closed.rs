//! What stays closed when an object goes wrong, and what another owner cannot close.

use e2e::program::free_port;
use e2e::{Gateway, Origin, Setup, wait, yaml};

use crate::scene::{HOST, answered, refused, shop};

const CLERK: (&str, &str) = ("clerk", "the-clerks-own-marker-key");
const AUDITOR: (&str, &str) = ("auditor", "the-auditors-own-marker-key");

/// A policy that lets nobody in who does not post.
fn posts_only(target: &str) -> String {
    let spec = format!(
        "targetRefs: [{{ kind: HTTPRoute, {target} }}]\n\
         rules: [{{ name: posts, when: {{ methods: [POST] }} }}]"
    );
    yaml::policy("guard", &spec)
}

async fn until_status(gateway: &Gateway, path: &str, status: u16) {
    wait::until(&format!("{path} to be answered {status}"), || async {
        (gateway.get(HOST, path).await.status == status).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_rule_that_is_renamed_does_not_lose_its_policy() {
    let origin = Origin::start("shop").await;
    let route = |rule: &str| {
        let backends = "backendRefs: [{ name: shop, port: 80 }]";
        yaml::route("all", &format!("rules:\n  - name: {rule}\n    {backends}"))
    };
    let gateway = Setup::new()
        .with(yaml::service("shop", &[origin.address]))
        .with(posts_only("name: all, sectionName: front"))
        .file("route.yaml", route("front"))
        .start()
        .await;
    let reply = gateway.get(HOST, "/").await;
    refused(&gateway, &reply, 403, "access_denied").await;

    gateway.write("route.yaml", &route("entry"));
    until_status(&gateway, "/", 503).await;
    let reply = gateway.get(HOST, "/").await;
    refused(&gateway, &reply, 503, "policy_unreadable").await;
    gateway.until_said("has no rule 'front'; until it has, the policy closes").await;
    assert_eq!(origin.count(), 0);
}

#[tokio::test]
async fn a_protected_route_that_is_refused_does_not_fall_to_an_open_one() {
    let (origin, setup) = shop().await;
    let good = yaml::path_route("admin", "/admin", "shop");
    let bad = good.replace("backendRefs", "backendRef");
    let gateway = setup.with(posts_only("name: admin")).file("admin.yaml", bad).start().await;
    for path in ["/admin", "/admin/users"] {
        let reply = gateway.get(HOST, path).await;
        refused(&gateway, &reply, 503, "policy_unreadable").await;
    }
    assert_eq!(origin.count(), 0);
    for path in ["/", "/administration"] {
        answered(&gateway, &gateway.get(HOST, path).await, "shop").await;
    }
    gateway.write("admin.yaml", &good);
    until_status(&gateway, "/admin", 403).await;
}

#[tokio::test]
async fn a_protected_route_whose_path_cannot_be_told_closes_its_owners_routes() {
    let (origin, setup) = shop().await;
    let good = yaml::path_route("admin", "/admin", "shop");
    let bad = good.replace("value: /admin", "value: admin");
    let gateway = setup.with(posts_only("name: admin")).file("admin.yaml", bad).start().await;
    for path in ["/admin", "/"] {
        let reply = gateway.get(HOST, path).await;
        refused(&gateway, &reply, 503, "policy_unreadable").await;
    }
    assert_eq!(origin.count(), 0);
    gateway.write("admin.yaml", &good);
    until_status(&gateway, "/", 200).await;
    let reply = gateway.get(HOST, "/admin").await;
    refused(&gateway, &reply, 403, "access_denied").await;
}

#[tokio::test]
async fn a_gateways_owner_who_takes_a_key_back_closes_nobody_elses_route() {
    let origin = Origin::start("theirs").await;
    let port = free_port();
    let taking = "allowedRoutes: { namespaces: { from: All } }";
    let listener = format!("{{ name: web, port: {port}, protocol: HTTP, {taking} }}");
    let of_team = |text: String| text.replace("namespace: shop", "namespace: team");
    let route = of_team(yaml::path_route("theirs", "/", "theirs"));
    let deny = yaml::policy(
        "not-the-auditor",
        "targetRefs: [{ kind: HTTPRoute, name: theirs }]\n\
         rules: [{ name: not, action: Deny, when: { callers: [{ apiKey: auditor }] } }]",
    );
    let known = yaml::keys("known", "Gateway, name: edge", "keys");
    let gateway = Setup::bare()
        .listener("web", port, listener)
        .with(known)
        .with(route.replace("[{ name: edge }]", "[{ name: edge, namespace: shop }]"))
        .with(of_team(yaml::service("theirs", &[origin.address])))
        .with(of_team(deny))
        .file("keys.yaml", yaml::secret("keys", &[CLERK, AUDITOR]))
        .start()
        .await;
    let auditor = [("x-api-key", AUDITOR.1)];
    let reply = gateway.get_with(HOST, "/", &auditor).await;
    refused(&gateway, &reply, 403, "access_denied").await;

    gateway.write("keys.yaml", &yaml::secret("keys", &[CLERK]));
    gateway.until_said("no key 'auditor' in what other owners' policies take keys from").await;
    wait::until("the auditor's key to go", || async {
        (gateway.get_with(HOST, "/", &auditor).await.status == 401).then_some(())
    })
    .await;
    answered(&gateway, &gateway.get(HOST, "/").await, "theirs").await;
    let clerk = [("x-api-key", CLERK.1)];
    answered(&gateway, &gateway.get_with(HOST, "/", &clerk).await, "theirs").await;
}
