//! Ways around the door that somebody found; each is shut.

use std::collections::BTreeMap;

use super::*;

/// A team of one, with a role in `shop` that allows `rules`.
fn helper(user: &str, rules: &str) -> String {
    format!(
        "
apiVersion: heddle.dev/v1alpha1
kind: Team
metadata: {{ name: {user}s }}
spec: {{ members: [{user}] }}
---
apiVersion: heddle.dev/v1alpha1
kind: Role
metadata: {{ name: {user}, namespace: shop }}
spec: {{ rules: [{rules}] }}
---
apiVersion: heddle.dev/v1alpha1
kind: Grant
metadata: {{ name: {user}, namespace: shop }}
spec: {{ subjects: [{{ user: {user} }}], role: {user} }}
"
    )
}

fn gateway(namespace: &str, listener: &str) -> String {
    format!(
        "---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{ name: mine, namespace: {namespace} }}
spec: {{ gatewayClassName: heddle, listeners: [{{ name: a, protocol: HTTP, {listener} }}] }}
"
    )
}

fn workspace(name: &str, namespaces: &str) -> String {
    format!(
        "---
apiVersion: heddle.dev/v1alpha1
kind: Workspace
metadata: {{ name: {name} }}
spec: {{ namespaces: [{namespaces}] }}
"
    )
}

/// Whether a change is refused for who asks.
fn is_denied(result: &Result<Receipt, Refusal>) -> bool {
    matches!(result, Err(Refusal::Denied(_)))
}

#[tokio::test]
async fn to_say_what_is_there_tells_nobody_that_it_is() {
    let bed = Bed::shop().await;
    let secret = |value: &str| {
        format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{ name: keys, namespace: shop }}\n\
             stringData: {{ clerk: {value} }}\n"
        )
    };
    bed.put("sara", &secret("hunter2")).await.unwrap();
    for guess in ["hunter1", "hunter2"] {
        assert_eq!(said(bed.put("eve", &secret(guess)).await), "Secret shop/keys: there is none");
    }
    // Nor is a wrong expectation passed over because nothing would change.
    let Edit::Put { resource, .. } = read(&secret("hunter2")).unwrap().remove(0) else {
        panic!("a put")
    };
    let stale = vec![Edit::Put { resource, expected: Expect::Generation(7) }];
    let refused = bed.app.change_commit(&op("sara"), stale).await;
    assert!(matches!(refused, Err(Refusal::Conflict(_))));
}

#[tokio::test]
async fn an_api_is_its_workspaces_only_one_and_gives_what_its_maker_holds() {
    let bed = Bed::new().await;
    let base = workspace("shop", "shop, a")
        + &helper("mallory", "{ kinds: [Api], verbs: [Read, Create] }")
            .replacen('\n', "\n---\n", 1);
    bed.put("root", &base).await.unwrap();
    let made = said(bed.put("mallory", &api("mallorys")).await);
    assert!(made.contains("spec.owner: gives ") && made.contains("do not hold"), "{made}");
    bed.put("root", &api("mallorys")).await.unwrap();
    let twin =
        said(bed.put("root", &api("mallorys").replace("namespace: shop", "namespace: a")).await);
    assert!(twin.contains("has an Api of this name in another namespace"), "{twin}");
    // What an owner may edit is not the door of many.
    let labels = "namespace: shop, labels: { heddle.dev/api: orders }";
    let door = gateway("shop", "port: 8081").replace("namespace: shop", labels);
    assert!(is_denied(&bed.put("mallory", &door).await));
}

#[tokio::test]
async fn namespaces_are_not_taken_nor_dropped_with_what_is_in_them() {
    let bed = Bed::shop().await;
    bed.put("sara", &service("shop")).await.unwrap();
    let taken = said(bed.put("root", &workspace("aaa", "aaa, shop")).await);
    assert!(taken.contains("the namespace 'shop' is in workspace/shop"), "{taken}");
    let dropped = said(bed.put("root", &workspace("shop", "elsewhere")).await);
    assert!(dropped.contains("the namespace 'shop' holds objects, such as "), "{dropped}");
    let swallowed = said(bed.put("root", &workspace("new", "platform")).await);
    assert!(swallowed.contains("the namespace 'platform' holds objects"), "{swallowed}");
    bed.put("root", &workspace("shop", "shop, elsewhere")).await.unwrap();
}

#[tokio::test]
async fn a_label_gives_no_rule_over_what_others_own() {
    let bed = Bed::shop().await;
    let team = "apiVersion: heddle.dev/v1alpha1\nkind: Team\nmetadata: { name: orders }\n\
                spec: { members: [olga] }\n";
    bed.put("root", team).await.unwrap();
    let route = route("shop", "r", "[shop.example.com]", "/");
    bed.put("sara", &(api("orders") + &service("shop") + &route)).await.unwrap();
    let labels = "labels: { heddle.dev/api: orders, kubernetes.io/service-name: app }";
    let slice = format!(
        "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
         metadata: {{ name: evil, namespace: shop, {labels} }}\naddressType: IPv4\n\
         endpoints: [{{ addresses: [192.0.2.6] }}]\nports: [{{ port: 666 }}]\n"
    );
    let policy = format!(
        "apiVersion: heddle.dev/v1alpha1\nkind: AccessPolicy\n\
         metadata: {{ name: evil, namespace: shop, {labels} }}\n\
         spec: {{ targetRefs: [{{ kind: HTTPRoute, name: r }}], rules: [{{ name: any, when: {{}} }}] }}\n"
    );
    let led = format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\n\
         metadata: {{ name: evil, namespace: shop, {labels} }}\n\
         spec: {{ parentRefs: [{{ group: '', kind: Service, name: app }}], \
         rules: [{{ backendRefs: [{{ name: app, port: 80 }}] }}] }}\n"
    );
    for evil in [&slice, &policy, &led] {
        assert!(is_denied(&bed.put("olga", evil).await), "{evil}");
    }
    // What is hers she may rule.
    let own =
        |text: &str| text.replace("name: app,", "name: own, labels: { heddle.dev/api: orders },");
    bed.put("olga", &own(&service("shop"))).await.unwrap();
    bed.put("olga", &slice.replace("service-name: app", "service-name: own")).await.unwrap();
    let own = led.replace("evil", "own").replace("name: app", "name: own");
    bed.put("olga", &own).await.unwrap();
    // Nor may she turn what she has there against it later.
    assert!(is_denied(&bed.put("olga", &slice).await));
}

#[tokio::test]
async fn a_listener_takes_no_host_that_others_hold() {
    let bed = Bed::shop().await;
    bed.put("sara", &claim("shop", "{ host: shop.example.com }")).await.unwrap();
    for host in ["shop.example.com", "'*.example.com'"] {
        let said =
            said(bed.put("bert", &gateway("bank", &format!("port: 8081, hostname: {host}"))).await);
        assert!(said.contains("which workspace 'shop' holds by Claim shop/hosts"), "{said}");
    }
    bed.put("bert", &gateway("bank", "port: 8081, hostname: bank.example.com")).await.unwrap();
    let late = said(bed.put("sara", &claim("shop", "{ host: '*.example.com' }")).await);
    assert_eq!(
        late,
        "Claim shop/hosts: *.example.com/ is held by workspace 'bank'; ask team 'bankers'"
    );
    // The platform opens doors for all.
    bed.put("root", &gateway("platform", "port: 8082, hostname: '*.example.com'")).await.unwrap();
}

#[tokio::test]
async fn who_routes_every_host_keeps_nobody_from_claiming_one() {
    let bed = Bed::shop().await;
    let any = route("bank", "any", "null", "/").replace("  hostnames: null\n", "");
    bed.put("bert", &(service("bank") + &any)).await.unwrap();
    bed.put("sara", &claim("shop", "{ host: shop.example.com }")).await.unwrap();
}

/// Judges edits by an older world, as a server does whose world is behind.
async fn behind(
    app: &App,
    world: &Arc<World>,
    user: &str,
    edits: &[Edit],
) -> Result<(), CommitError> {
    let op = op(user);
    let draft = commit::judge(&op, world, edits, None, BTreeMap::new()).unwrap();
    app.store.commit(&commit::commit(&op, world, &draft, None)).await.map(drop)
}

#[tokio::test]
async fn what_anybody_may_name_is_taken_away_only_from_a_world_that_is_no_older() {
    let bed = Bed::shop().await;
    let more = workspace("fresh", "fresh")
        + "---\napiVersion: heddle.dev/v1alpha1\nkind: Team\nmetadata: { name: orders }\n";
    bed.put("root", &more).await.unwrap();
    let before = bed.app.world().await.unwrap();
    bed.put("sara", &api("orders")).await.unwrap();
    bed.put("root", &service("fresh")).await.unwrap();
    for key in [key(Kind::Team, "heddle", "orders"), key(Kind::Workspace, "heddle", "fresh")] {
        let edits = [Edit::Delete { key, expected: Expect::Any }];
        let made = behind(&bed.app, &before, "root", &edits).await;
        assert!(matches!(made, Err(CommitError::Moved(_))), "{made:?}");
    }
}

#[tokio::test]
async fn rights_are_not_widened_on_detours() {
    let bed = Bed::shop().await;
    // A role that hides a wider one goes only without its grants.
    let clerk = helper(
        "carl",
        "{ verbs: [Read] }, { kinds: [Role, Grant], verbs: [Create, Update, Delete] }",
    ) + "---\napiVersion: heddle.dev/v1alpha1\nkind: Role\nmetadata: { name: deployer, namespace: heddle }\n\
           spec: { rules: [{ kinds: [Service], verbs: [Read, Create] }] }\n";
    bed.put("root", &clerk).await.unwrap();
    let narrow = "apiVersion: heddle.dev/v1alpha1\nkind: Role\n\
                  metadata: { name: deployer, namespace: shop }\nspec: { rules: [{ verbs: [Read] }] }\n\
                  ---\napiVersion: heddle.dev/v1alpha1\nkind: Grant\n\
                  metadata: { name: me, namespace: shop }\n\
                  spec: { subjects: [{ user: carl }], role: deployer }\n";
    bed.put("carl", narrow).await.unwrap();
    let gone = said(bed.delete("carl", key(Kind::Role, "shop", "deployer")).await);
    assert!(gone.contains("Grant shop/me still needs it"), "{gone}");
    // A token for the platform's scope gives nothing that holds everywhere.
    let admin = model::access::builtin::role(&name("admin")).unwrap();
    let token = Op { limit: Some((Some(Scope::Platform), admin)), ..op("root") };
    let grant = "apiVersion: heddle.dev/v1alpha1\nkind: Grant\n\
                 metadata: { name: e, namespace: heddle }\n\
                 spec: { subjects: [{ user: eve }], role: viewer }\n";
    assert!(bed.app.change_commit(&token, read(grant).unwrap()).await.is_err());
    // Nobody lets themselves into a team that holds more than they do.
    let hr = "apiVersion: heddle.dev/v1alpha1\nkind: Role\nmetadata: { name: hr, namespace: heddle }\n\
              spec: { rules: [{ kinds: [Team], verbs: [Read, Update] }] }\n---\n\
              apiVersion: heddle.dev/v1alpha1\nkind: Grant\nmetadata: { name: hr, namespace: heddle }\n\
              spec: { subjects: [{ user: hans }], role: hr }\n";
    bed.put("root", hr).await.unwrap();
    let join = "apiVersion: heddle.dev/v1alpha1\nkind: Team\nmetadata: { name: sellers }\n\
                spec: { members: [sara, hans] }\n";
    let joined = said(bed.put("hans", join).await);
    assert!(joined.contains("which you do not hold here yourself"), "{joined}");
    bed.put("hans", &join.replace("[sara, hans]", "[]")).await.unwrap();
}

#[tokio::test]
async fn taking_back_tells_no_stranger_and_overwrites_nobody() {
    let bed = Bed::shop().await;
    let made = bed.put("sara", &service("shop")).await.unwrap().revision;
    let later = Op { now: op("sara").now + time::Duration::days(9), ..op("sara") };
    let app = key(Kind::Service, "shop", "app");
    let delete = || vec![Edit::Delete { key: app.clone(), expected: Expect::Any }];
    for revision in [made, 4711] {
        let said = said(bed.app.change_revert(&op("eve"), revision).await);
        assert_eq!(said, format!("there is no revision {revision}"));
    }
    let both =
        bed.put("root", &(service("shop").replace("80", "81") + &service("bank"))).await.unwrap();
    let part = bed.app.change_revert(&op("sara"), both.revision).await;
    assert!(matches!(part, Err(Refusal::Partly(_))), "{part:?}");
    // Deleted, made again and deleted again is not as it was left.
    let gone = bed.app.change_commit(&later, delete()).await.unwrap().revision;
    bed.put("sara", &service("shop").replace("80", "82")).await.unwrap();
    let last = bed.app.change_commit(&later, delete()).await.unwrap().revision;
    assert!(matches!(bed.app.change_revert(&later, gone).await, Err(Refusal::Conflict(_))));
    // Taken back, it is as old as it was.
    bed.app.change_revert(&later, last).await.unwrap();
    let world = bed.app.world().await.unwrap();
    assert_eq!(world.objects[&app].created, op("sara").now);
    // What somebody makes meanwhile is not overwritten.
    let gone = bed.app.change_commit(&later, delete()).await.unwrap().revision;
    let version = bed.app.store.changes_since(gone - 1, gone).await.unwrap().remove(0);
    let inverse = bed.app.inverse(app.clone(), &version).await.unwrap();
    bed.put("sara", &service("shop").replace("80", "83")).await.unwrap();
    let late = bed.app.commit(&op("sara"), vec![inverse], Some(gone)).await;
    assert!(matches!(late, Err(Refusal::Conflict(_))), "{late:?}");
}

#[tokio::test]
async fn a_neighbour_neither_pins_nor_blames() {
    let bed = Bed::shop().await;
    let listener = "port: 8081, allowedRoutes: { namespaces: { from: All } }";
    bed.put("sara", &gateway("shop", listener)).await.unwrap();
    let guest = route("bank", "guest", "[x.bank.com]", "/");
    let guest = guest.replace("name: edge, namespace: platform", "name: mine, namespace: shop");
    bed.put("bert", &(service("bank") + &guest)).await.unwrap();
    bed.delete("sara", key(Kind::Gateway, "shop", "mine")).await.unwrap();
    // Of two that want one port the newer is at fault, and it is the one that is told.
    let newer = Op { now: op("bert").now + time::Duration::days(1), ..op("bert") };
    let edits = read(&gateway("bank", "port: 8080")).unwrap();
    let said = said(bed.app.change_commit(&newer, edits).await);
    assert!(said.starts_with("Gateway bank/mine: "), "{said}");
}
