//! The door: who gets through, what is refused in which words, and that nothing is half done.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use model::Key;
use model::access::Denied;
use model::role::Verb;
use store::Location;

use super::*;
use crate::edit::read;

mod access_request;
mod api;
mod bookshop;
mod endpoint;
mod holes;
mod key_set;
mod lent;
mod login;
mod lookup;
mod namespaces;
mod neighbours;
mod newer;
mod node;
mod once;
mod people;
mod place;
mod plan;
mod reading;
mod request;
mod sets;
mod traffic;
mod turn;
mod world;

const NOW: i64 = 1_795_000_000;
const MARKER: &str = "marker-that-must-not-show";

/// People and borders that most tests begin with.
const SHOP: &str = "
apiVersion: heddle.dev/v1alpha1
kind: Workspace
metadata: { name: shop }
spec: { access: open }
---
apiVersion: heddle.dev/v1alpha1
kind: Workspace
metadata: { name: bank }
spec: { access: open }
---
apiVersion: heddle.dev/v1alpha1
kind: Team
metadata: { name: sellers }
spec: { members: [sara] }
---
apiVersion: heddle.dev/v1alpha1
kind: Team
metadata: { name: bankers }
spec: { members: [bert] }
---
apiVersion: heddle.dev/v1alpha1
kind: Grant
metadata: { name: sellers, namespace: shop }
spec: { subjects: [{ team: sellers }], role: owner }
---
apiVersion: heddle.dev/v1alpha1
kind: Grant
metadata: { name: bankers, namespace: bank }
spec: { subjects: [{ team: bankers }], role: owner }
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: edge, namespace: platform }
spec:
  gatewayClassName: heddle
  listeners:
    - { name: http, protocol: HTTP, port: 8080, allowedRoutes: { namespaces: { from: All } } }
";

/// An app over a store of its own.
struct Bed {
    app: App,
    _folder: tempfile::TempDir,
}

async fn open(folder: &Path) -> App {
    App::new(Store::open(&Location::Folder(folder.to_owned())).await.unwrap())
}

fn name(word: &str) -> Name {
    Name::parse(word).unwrap()
}

fn op(user: &str) -> Op {
    Op {
        actor: Actor { user: name(user), groups: BTreeSet::new() },
        limit: None,
        request_id: "r".to_owned(),
        now: OffsetDateTime::from_unix_timestamp(NOW).unwrap(),
        message: String::new(),
        once: None,
    }
}

impl Bed {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let app = open(folder.path()).await;
        assert!(app.found(&name("root"), op("root").now).await.unwrap());
        assert!(!app.found(&name("eve"), op("eve").now).await.unwrap(), "only once");
        Bed { app, _folder: folder }
    }

    async fn shop() -> Self {
        let bed = Self::new().await;
        bed.put("root", SHOP).await.unwrap();
        bed
    }

    async fn put(&self, user: &str, text: &str) -> Result<Receipt, Refusal> {
        self.app.change_commit(&op(user), read(text).unwrap()).await
    }

    async fn delete(&self, user: &str, key: Key) -> Result<Receipt, Refusal> {
        self.app.change_commit(&op(user), vec![Edit::Delete { key, expected: Expect::Any }]).await
    }

    async fn revision(&self) -> i64 {
        self.app.world().await.unwrap().revision
    }
}

fn claim(namespace: &str, host: &str) -> String {
    format!(
        "---
apiVersion: heddle.dev/v1alpha1
kind: Claim
metadata: {{ name: hosts, namespace: {namespace} }}
spec: {{ hosts: [{host}] }}
"
    )
}

fn route(namespace: &str, name: &str, hosts: &str, path: &str) -> String {
    format!(
        "---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{ name: {name}, namespace: {namespace} }}
spec:
  parentRefs: [{{ name: edge, namespace: platform }}]
  hostnames: {hosts}
  rules:
    - matches: [{{ path: {{ value: {path} }} }}]
      backendRefs: [{{ name: app, port: 80 }}]
"
    )
}

fn service(namespace: &str) -> String {
    format!(
        "---
apiVersion: v1
kind: Service
metadata: {{ name: app, namespace: {namespace} }}
spec: {{ ports: [{{ port: 80 }}] }}
"
    )
}

fn api(owner: &str) -> String {
    format!(
        "---
apiVersion: heddle.dev/v1alpha1
kind: Api
metadata: {{ name: orders, namespace: shop }}
spec: {{ owner: {owner}, lifecycle: Published }}
"
    )
}

fn key(kind: Kind, namespace: &str, word: &str) -> Key {
    Key::new(kind, name(namespace), name(word))
}

fn said(result: Result<Receipt, Refusal>) -> String {
    result.unwrap_err().to_string()
}

#[tokio::test]
async fn a_change_is_one_revision_across_scopes_and_survives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let app = open(folder.path()).await;
    app.found(&name("root"), op("root").now).await.unwrap();
    let text = SHOP.to_owned() + &service("shop") + &service("bank");
    let receipt = app.change_commit(&op("root"), read(&text).unwrap()).await.unwrap();
    assert_eq!((receipt.revision, receipt.changed.len()), (2, 9));
    let again = app.change_commit(&op("root"), read(&text).unwrap()).await.unwrap();
    assert_eq!((again.revision, again.changed.len()), (2, 0), "nothing changed");
    let world = open(folder.path()).await.world().await.unwrap();
    let workspace = |word| Scope::Workspace(name(word));
    let wanted = [(Scope::Platform, 2), (workspace("bank"), 2), (workspace("shop"), 2)];
    assert_eq!(world.scopes.clone().into_iter().collect::<Vec<_>>(), wanted);
    assert_eq!(world.objects, app.world().await.unwrap().objects);
    let service = &world.objects[&key(Kind::Service, "shop", "app")];
    assert_eq!(service.created, op("root").now, "age is kept, since it decides between routes");
}

#[tokio::test]
async fn strangers_see_nothing_and_neighbours_change_nothing() {
    let bed = Bed::shop().await;
    let before = bed.revision().await;
    for user in ["eve", "bert"] {
        let Err(Refusal::Denied(denied)) = bed.put(user, &service("shop")).await else {
            panic!("{user} got through");
        };
        assert_eq!(denied, [(key(Kind::Service, "shop", "app"), Denied::Hidden)]);
        let gone = said(bed.delete(user, key(Kind::Grant, "shop", "sellers")).await);
        assert_eq!(gone, "Grant shop/sellers: there is none");
    }
    // What is not there is told in the same words as what may not be seen.
    let gone = said(bed.delete("sara", key(Kind::Service, "shop", "none")).await);
    assert_eq!(gone, "Service shop/none: there is none");
    assert_eq!(bed.revision().await, before);
    bed.put("sara", &service("shop")).await.unwrap();
}

#[tokio::test]
async fn one_denied_object_refuses_the_whole_change() {
    let bed = Bed::shop().await;
    let text = service("shop") + &service("bank");
    assert!(matches!(bed.put("sara", &text).await, Err(Refusal::Denied(_))));
    let world = bed.app.world().await.unwrap();
    assert!(!world.objects.contains_key(&key(Kind::Service, "shop", "app")));
}

#[tokio::test]
async fn what_another_workspace_holds_is_refused_naming_it_and_whom_to_ask() {
    let bed = Bed::shop().await;
    let held =
        claim("shop", "{ host: shop.example.com, paths: [/cart] }, { host: '*.shop.example.com' }");
    bed.put("sara", &(held + &service("shop"))).await.unwrap();
    let before = bed.revision().await;
    for (hosts, path) in [
        ("[shop.example.com]", "/cart"),
        ("[shop.example.com]", "/cart/items/1"),
        ("[shop.example.com]", "/CART"),
        ("[shop.example.com]", "/"),
        ("[a.shop.example.com]", "/other"),
        ("[www.bank.com, '*.example.com']", "/cart"),
        ("['*.b.shop.example.com']", "/"),
        ("[]", "/cart"),
    ] {
        let hosts = if hosts == "[]" { "null" } else { hosts };
        let text = route("bank", "intruder", hosts, path).replace("  hostnames: null\n", "");
        let said = said(bed.put("bert", &(service("bank") + &text)).await);
        assert!(said.starts_with("HTTPRoute bank/intruder: '"), "{said}");
        let holds = "which workspace 'shop' holds by Claim shop/hosts; ask team 'sellers'";
        assert!(said.ends_with(holds), "{hosts} {path}: {said}");
    }
    for host in ["{ host: shop.example.com, paths: [/cart/x] }", "{ host: '*.example.com' }"] {
        let said = said(bed.put("bert", &claim("bank", host)).await);
        assert!(said.contains("which workspace 'shop' holds by Claim shop/hosts"), "{said}");
    }
    assert_eq!(bed.revision().await, before);
    // Beside it there is room, and the holder's own routes are their own matter.
    let beside = route("bank", "beside", "[shop.example.com]", "/carts");
    bed.put("bert", &(service("bank") + &beside)).await.unwrap();
    bed.put("sara", &route("shop", "own", "[a.shop.example.com]", "/")).await.unwrap();
    // Nor does a route ask for a host that leads calls of a Service, even where it names one.
    for hosts in ["[]", "[shop.example.com]"] {
        let called = route("bank", "called", hosts, "/cart")
            .replace("name: edge, namespace: platform", "group: '', kind: Service, name: app");
        bed.put("bert", &called).await.unwrap();
    }
    // Nobody claims what others route already.
    let late = said(bed.put("sara", &claim("shop", "{ host: shop.example.com }")).await);
    let whose = "is held by workspace 'bank'; ask team 'bankers'";
    assert_eq!(late, format!("Claim shop/hosts: shop.example.com/ {whose}"));
    let seen = said(bed.put("root", &claim("shop", "{ host: shop.example.com }")).await);
    assert!(seen.contains("which workspace 'bank' holds by HTTPRoute bank/beside"), "{seen}");
}

#[tokio::test]
async fn of_racing_claims_and_routes_that_overlap_one_wins() {
    let bed = Bed::shop().await;
    // As many servers on one store, so that no lock of ours puts them in order.
    let folder = bed._folder.path();
    let (shop, bank, other) = (open(folder).await, open(folder).await, open(folder).await);
    let (sara, bert) = (op("sara"), op("bert"));
    let mut won = [0; 3];
    for round in 0..30 {
        let texts = [
            claim("shop", &format!("{{ host: '*.r{round}.test' }}")),
            claim("bank", &format!("{{ host: a.r{round}.test }}")),
            route("bank", "racer", &format!("[b.r{round}.test]"), "/") + &service("bank"),
        ];
        let [one, two, three] = texts.map(|text| read(&text).unwrap());
        let made = tokio::join!(
            shop.change_commit(&sara, one),
            bank.change_commit(&bert, two),
            other.change_commit(&bert, three)
        );
        let made = [made.0, made.1, made.2];
        let wins = made.each_ref().map(Result::is_ok);
        assert!(matches!(wins, [true, false, false] | [false, true, true]), "{made:?}");
        for (count, win) in won.iter_mut().zip(wins) {
            *count += usize::from(win);
        }
        for refused in made.into_iter().filter_map(Result::err) {
            assert!(matches!(refused, Refusal::Claimed(_)), "{refused}");
        }
        for (user, key) in [
            ("sara", key(Kind::Claim, "shop", "hosts")),
            ("bert", key(Kind::Claim, "bank", "hosts")),
            ("bert", key(Kind::HttpRoute, "bank", "racer")),
        ] {
            // Who lost has none.
            let _gone = bed.delete(user, key).await;
        }
    }
    assert_eq!(won[1], won[2]);
    assert_eq!(won[0] + won[1], 30);
}

#[tokio::test]
async fn the_platform_holds_hosts_too() {
    let bed = Bed::shop().await;
    bed.put("root", &claim("platform", "{ host: admin.example.com }")).await.unwrap();
    let text = service("shop") + &route("shop", "r", "[admin.example.com]", "/");
    let said = said(bed.put("sara", &text).await);
    let holds =
        "which the platform holds by Claim platform/hosts; ask whoever runs this installation";
    assert!(said.ends_with(holds), "{said}");
}

#[tokio::test]
async fn of_two_edits_from_one_generation_the_second_is_told() {
    let bed = Bed::shop().await;
    let first = bed.put("sara", &service("shop")).await.unwrap();
    assert_eq!(first.changed, [(key(Kind::Service, "shop", "app"), Some(1))]);
    let edit = |port: u16| {
        let text = service("shop").replace("80", &port.to_string());
        let Edit::Put { resource, .. } = read(&text).unwrap().remove(0) else { panic!("a put") };
        vec![Edit::Put { resource, expected: Expect::Generation(1) }]
    };
    let sara = op("sara");
    let (one, other) = tokio::join!(
        bed.app.change_commit(&sara, edit(81)),
        bed.app.change_commit(&sara, edit(82))
    );
    let (won, lost) = if one.is_ok() { (one, other) } else { (other, one) };
    assert_eq!(won.unwrap().changed[0].1, Some(2));
    assert_eq!(
        said(lost),
        "Service shop/app was edited from generation 1, and has 2 now; read it again and decide anew"
    );
}

#[tokio::test]
async fn all_faults_are_told_and_nothing_is_written() {
    let bed = Bed::shop().await;
    let before = bed.revision().await;
    let text = api("nobody")
        + &route("shop", "r", "[shop.example.com]", "/")
            .replace("name: r,", "name: r, labels: { heddle.dev/api: none },");
    let said = said(bed.put("sara", &text).await);
    let wanted = [
        "HTTPRoute shop/r: metadata.labels['heddle.dev/api']: workspace/shop has no Api 'none'",
        "Api shop/orders: spec.owner: there is no Team 'nobody'",
    ];
    assert_eq!(said.lines().collect::<Vec<_>>(), wanted);
    let nowhere = self::said(bed.put("sara", &route("shop", "r", "[shop.example.com]", "/")).await);
    assert!(nowhere.starts_with("HTTPRoute shop/r: spec.rules[0].backendRefs[0]: "), "{nowhere}");
    assert_eq!(bed.revision().await, before);
    bed.put("sara", &(service("shop") + &route("shop", "r", "[shop.example.com]", "/")))
        .await
        .unwrap();
    // What others need stays.
    let needed = self::said(bed.delete("sara", key(Kind::Service, "shop", "app")).await);
    assert!(needed.starts_with("HTTPRoute shop/r: spec.rules[0].backendRefs[0]: "), "{needed}");
    let needed = self::said(bed.delete("root", key(Kind::Workspace, "heddle", "shop")).await);
    assert!(needed.ends_with("still needs it; take that away first"), "{needed}");
}

#[tokio::test]
async fn ownership_gives_rights_and_is_transferred_not_edited() {
    let bed = Bed::shop().await;
    let team = "---\napiVersion: heddle.dev/v1alpha1\nkind: Team\nmetadata: { name: orders }\n\
                spec: { members: [olga] }\n";
    bed.put("root", team).await.unwrap();
    assert!(matches!(bed.put("olga", &service("shop")).await, Err(Refusal::Denied(_))));
    bed.put("sara", &api("orders")).await.unwrap();
    let own =
        service("shop").replace("name: app,", "name: app, labels: { heddle.dev/api: orders },");
    bed.put("olga", &own).await.unwrap();
    // Out of the Api it is not hers to put, nor is the Api hers to give away.
    assert!(matches!(bed.put("olga", &service("shop")).await, Err(Refusal::Denied(_))));
    let said = said(bed.put("olga", &api("sellers")).await);
    assert_eq!(said, "Api shop/orders: no grant of yours allows Update of spec.owner");
    bed.put("sara", &api("sellers")).await.unwrap();
    assert!(matches!(bed.put("olga", &own.replace("80", "81")).await, Err(Refusal::Denied(_))));
}

#[tokio::test]
async fn nobody_gives_what_they_do_not_hold() {
    let bed = Bed::shop().await;
    let grant = |namespace: &str, role: &str| {
        format!(
            "apiVersion: heddle.dev/v1alpha1\nkind: Grant\nmetadata: {{ name: g, namespace: {namespace} }}\n\
             spec: {{ subjects: [{{ user: eve }}], role: {role} }}\n"
        )
    };
    let too_much = said(bed.put("sara", &grant("shop", "admin")).await);
    assert!(too_much.contains("which you do not hold here yourself"), "{too_much}");
    for namespace in ["heddle", "bank", "platform"] {
        assert!(matches!(
            bed.put("sara", &grant(namespace, "viewer")).await,
            Err(Refusal::Denied(_))
        ));
    }
    let nowhere = said(bed.put("root", &grant("platform", "viewer")).await);
    assert!(nowhere.ends_with("the namespace 'platform' is in no workspace"), "{nowhere}");
    // Nor on the way: the grant and its use in one change.
    let both = grant("heddle", "admin").replace("eve", "sara") + &service("bank");
    assert!(matches!(bed.put("sara", &both).await, Err(Refusal::Denied(_))));
    bed.put("sara", &grant("shop", "editor")).await.unwrap();
    bed.put("eve", &service("shop")).await.unwrap();
    let limited = Op {
        limit: Some((None, model::access::builtin::role(&name("viewer")).unwrap())),
        ..op("eve")
    };
    let edits = read(&service("shop").replace("80", "81")).unwrap();
    let Err(Refusal::Denied(denied)) = bed.app.change_commit(&limited, edits).await else {
        panic!("a token that reads wrote");
    };
    assert!(matches!(&denied[0].1, Denied::Forbidden { verb: Verb::Update, .. }));
}

#[tokio::test]
async fn a_revision_is_taken_back_unless_others_built_on_it() {
    let bed = Bed::shop().await;
    let secret = |value: &str| {
        format!(
            "---\napiVersion: v1\nkind: Secret\nmetadata: {{ name: keys, namespace: shop }}\n\
             stringData: {{ clerk: {value} }}\n"
        )
    };
    bed.put("sara", &(service("shop") + &secret(MARKER))).await.unwrap();
    let change =
        service("shop").replace("80", "81") + &secret("another-key-of-bytes") + &api("sellers");
    let change = bed.put("sara", &change).await.unwrap().revision;
    let before = bed.app.world().await.unwrap();
    let back = bed.app.change_revert(&op("sara"), change).await.unwrap();
    assert_eq!(back.changed.len(), 3);
    let world = bed.app.world().await.unwrap();
    assert!(!world.objects.contains_key(&key(Kind::Api, "shop", "orders")));
    let Resource::Secret(keys) = &world.objects[&key(Kind::Secret, "shop", "keys")].resource else {
        panic!("a secret")
    };
    assert_eq!(keys.value("clerk").unwrap().expose(), MARKER.as_bytes());
    // Twice is once too often: by now each has another generation.
    let Err(Refusal::Conflict(conflicts)) = bed.app.change_revert(&op("sara"), change).await else {
        panic!("taken back twice");
    };
    assert_eq!(conflicts.len(), 3);
    assert!(matches!(
        bed.app.change_revert(&op("bert"), back.revision).await,
        Err(Refusal::NoRevision(_))
    ));
    // Taking back the taking back.
    bed.app.change_revert(&op("sara"), back.revision).await.unwrap();
    let after = bed.app.world().await.unwrap();
    let said = |world: &World| -> Vec<_> { world.resources().cloned().collect() };
    assert_eq!(said(&after), said(&before));
}

#[tokio::test]
async fn a_secret_stands_in_no_body() {
    let bed = Bed::shop().await;
    let text = format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{ name: keys, namespace: shop }}\n\
         stringData: {{ clerk: {MARKER} }}\n"
    );
    bed.put("sara", &text).await.unwrap();
    let again = bed.put("sara", &text).await.unwrap();
    assert_eq!(again.changed, [], "the same value is no change");
    // Also not in another writing.
    let bytes = format!("{:?}", MARKER.as_bytes());
    let forms =
        [MARKER, &STANDARD.encode(MARKER), bytes.trim_matches(['[', ']'])].map(str::to_owned);
    let is_clean = |text: String| forms.iter().all(|form| !text.contains(form));
    for version in bed.app.store.changes_since(0, i64::MAX).await.unwrap() {
        assert!(is_clean(format!("{version:?}")));
    }
    let world = bed.app.world().await.unwrap();
    assert!(is_clean(format!("{world:?}")));
    let edits = read(&text.replace("name: keys", "name: more")).unwrap();
    let draft = Draft::new(Arc::clone(&world), edits).unwrap();
    assert!(is_clean(format!("{:?}", commit::commit(&op("sara"), &world, &draft, None))));
    assert!(bed.app.store.audit_verify().await.unwrap().is_ok());
}
