//! Reading: what may not be read is not there, in the same words, whatever is asked.

use super::*;

const KEYS: &str = "---
apiVersion: v1
kind: Secret
metadata: { name: keys, namespace: shop }
stringData: { clerk: marker-that-must-not-show }
";

fn keys() -> Key {
    key(Kind::Secret, "shop", "keys")
}

#[tokio::test]
async fn who_may_not_read_a_thing_is_told_that_there_is_none() {
    let bed = Bed::shop().await;
    let made = bed.put("sara", &(service("shop") + KEYS)).await.unwrap().revision;
    let there = key(Kind::Service, "shop", "app");
    let nothing = key(Kind::Service, "shop", "none");
    for (user, key) in [("eve", &there), ("bert", &there), ("eve", &nothing), ("sara", &nothing)] {
        let op = op(user);
        let none = format!("{key}: there is none");
        let words = |refusal: Refusal| {
            assert!(matches!(&refusal, Refusal::Denied(all) if all[0].1 == Denied::Hidden));
            refusal.to_string()
        };
        let app = &bed.app;
        assert_eq!(words(app.resource_show(&op, key, None).await.unwrap_err()), none);
        assert_eq!(words(app.resource_show(&op, key, Some(made)).await.unwrap_err()), none);
        assert_eq!(words(app.resource_history(&op, key, None, 9).await.unwrap_err()), none);
        assert_eq!(
            words(app.resource_history(&op, key, Some(made), 9).await.unwrap_err()),
            none,
            "nor by where one looks"
        );
        let api = Key { kind: Kind::Api, ..key.clone() };
        let transfer = app.api_transfer(&op, &api, &name("sellers")).await;
        assert_eq!(words(transfer.unwrap_err()), format!("{api}: there is none"));
        let delete = vec![Edit::Delete { key: key.clone(), expected: Expect::Any }];
        assert_eq!(words(app.change_dry_run(&op, delete.clone()).await.unwrap_err()), none);
        assert_eq!(words(app.change_plan(&op, delete).await.unwrap_err()), none);
    }
    for user in ["eve", "bert"] {
        let listed = bed.app.resource_list(&op(user), &all(100)).await.unwrap();
        assert!(listed.items.iter().all(|one| one.key.namespace.as_str() != "shop"), "{user}");
        let changes = bed.app.change_list(&op(user), None, None, 100).await.unwrap();
        assert!(changes.items.iter().all(|one| one.revision != made), "{user}");
        for revision in [made, 4711] {
            let none = format!("there is no revision {revision}");
            let wait = std::time::Duration::ZERO;
            let shown = bed.app.change_show(&op(user), revision).await.map(drop);
            let receipt = bed.app.change_receipt(&op(user), revision, wait).await.map(drop);
            assert_eq!(shown.unwrap_err().to_string(), none);
            assert_eq!(receipt.unwrap_err().to_string(), none);
        }
        let review = Review { user: Some(name("sara")), ..may(Verb::Read, keys()) };
        let asked = bed.app.access_review(&op(user), &review).await;
        assert_eq!(asked.unwrap_err().to_string(), "Secret shop/keys: there is none");
    }
}

fn all(limit: usize) -> Listing {
    Listing { limit, ..Listing::default() }
}

fn may(verb: Verb, key: Key) -> Review {
    Review { verb, key, field: None, api: None, user: None }
}

#[tokio::test]
async fn lists_come_in_pages_of_what_may_be_read_and_fits() {
    let bed = Bed::shop().await;
    let labelled = service("shop").replace("name: app,", "name: b, labels: { tier: web },");
    bed.put("root", &(service("shop") + &service("bank") + &labelled)).await.unwrap();
    let kinds = [Kind::Gateway, Kind::Service, Kind::Workspace, Kind::Team, Kind::Grant];
    let mut keys = Vec::new();
    let mut listing = all(2);
    loop {
        let page = bed.app.resource_list(&op("root"), &listing).await.unwrap();
        assert!(page.items.len() <= 2);
        keys.extend(page.items.iter().map(|one| one.key.clone()));
        let Some(next) = page.next else { break };
        listing.after = Some(next);
    }
    let world = bed.app.world().await.unwrap();
    assert_eq!(keys, world.objects.keys().cloned().collect::<Vec<_>>());
    assert!(keys.iter().all(|key| kinds.contains(&key.kind)));
    let names = async |user: &str, listing: Listing| -> Vec<String> {
        let page = bed.app.resource_list(&op(user), &listing).await.unwrap();
        page.items.iter().map(|one| one.key.to_string()).collect()
    };
    let services = Listing { kind: Some(Kind::Service), ..all(9) };
    assert_eq!(names("sara", services.clone()).await, ["Service shop/app", "Service shop/b"]);
    let label = Some(("tier".to_owned(), "web".to_owned()));
    assert_eq!(names("root", Listing { label, ..services.clone() }).await, ["Service shop/b"]);
    let text = Some("ban".to_owned());
    assert_eq!(names("root", Listing { text, ..services.clone() }).await, ["Service bank/app"]);
    let scope = Some(Scope::Workspace(name("bank")));
    assert_eq!(names("root", Listing { scope, ..services.clone() }).await, ["Service bank/app"]);
    let namespace = Some(name("bank"));
    assert_eq!(names("sara", Listing { namespace, ..services }).await, [""; 0]);
}

#[tokio::test]
async fn an_object_is_shown_as_it_is_and_as_it_was_without_secret_values() {
    let bed = Bed::shop().await;
    let first = bed.put("sara", KEYS).await.unwrap().revision;
    let other = KEYS.replace(MARKER, "another-key-of-bytes");
    let second = bed.put("sara", &other).await.unwrap().revision;
    let gone = bed.delete("sara", keys()).await.unwrap().revision;
    let sara = op("sara");
    let show = async |revision| bed.app.resource_show(&sara, &keys(), Some(revision)).await;
    let (old, new) = (show(first).await.unwrap(), show(second).await.unwrap());
    assert_eq!((old.generation, new.generation), (1, 2));
    assert_eq!(new.body["metadata"]["generation"], 2);
    assert!(new.body["data"]["clerk"].as_str().unwrap().starts_with("sha256:"));
    assert_ne!(old.body["data"], new.body["data"]);
    for none in [first - 1, gone, gone + 9] {
        assert!(show(none).await.is_err(), "{none}");
    }
    let history = bed.app.resource_history(&sara, &keys(), None, 2).await.unwrap();
    let told: Vec<_> =
        history.items.iter().map(|one| (one.revision, one.generation, one.deed)).collect();
    assert_eq!(told, [(gone, 2, Deed::Delete), (second, 2, Deed::Put)]);
    assert_eq!(history.next, Some(second));
    let rest = bed.app.resource_history(&sara, &keys(), history.next, 2).await.unwrap();
    assert_eq!((rest.items.len(), rest.items[0].actor.as_str(), rest.next), (1, "sara", None));
    let (change, objects) = bed.app.change_show(&sara, second).await.unwrap();
    assert_eq!((change.objects.len(), objects.len()), (1, 1));
    assert_eq!(objects[0].fields, ["data.clerk"]);
    let text = format!("{old:?}{new:?}{objects:?}");
    for form in [MARKER, &STANDARD.encode(MARKER), "another-key"] {
        assert!(!text.contains(form), "{form}");
    }
}

#[tokio::test]
async fn of_a_change_each_sees_their_part() {
    let bed = Bed::shop().await;
    let both = service("shop") + &service("bank");
    let made = bed.put("root", &both).await.unwrap().revision;
    for (user, scope) in [("sara", "shop"), ("bert", "bank")] {
        let (change, objects) = bed.app.change_show(&op(user), made).await.unwrap();
        assert_eq!(change.scopes, [Scope::Workspace(name(scope))]);
        assert_eq!(objects.len(), 1);
        assert_eq!(objects[0].key.namespace.as_str(), scope);
        let list = bed.app.change_list(&op(user), None, None, 1).await.unwrap();
        assert_eq!(list.items, [change]);
    }
    let scope = Scope::Workspace(name("shop"));
    let list = bed.app.change_list(&op("bert"), Some(&scope), None, 9).await.unwrap();
    assert!(list.items.is_empty(), "that it touched another workspace is none of theirs");
    let later = bed.put("root", &service("bank").replace("80", "81")).await.unwrap().revision;
    let root = op("root");
    let list = bed.app.change_list(&root, Some(&scope), None, 9).await.unwrap();
    assert!(list.items.iter().all(|one| one.revision != later));
    let (mut numbers, mut before) = (Vec::new(), None);
    loop {
        let page = bed.app.change_list(&root, None, before, 1).await.unwrap();
        numbers.extend(page.items.iter().map(|one| one.revision));
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    assert_eq!(numbers, (1..=later).rev().collect::<Vec<_>>());
}

#[tokio::test]
async fn who_sees_a_part_of_all_changes_pages_through_it_and_claims_are_in_it() {
    let bed = Bed::shop().await;
    let mut made = Vec::new();
    for port in 81..84 {
        for namespace in ["shop", "bank"] {
            let text = service(namespace).replace("80", &port.to_string());
            let revision = bed.put("root", &text).await.unwrap().revision;
            made.extend((namespace == "shop").then_some(revision));
        }
    }
    // Kept by the platform, of which sara may read nothing else.
    let claimed =
        bed.put("root", &claim("shop", "{ host: paged.shop.test }")).await.unwrap().revision;
    made.push(claimed);
    made.reverse();
    let (mut numbers, mut before) = (Vec::new(), None);
    loop {
        let page = bed.app.change_list(&op("sara"), None, before, 2).await.unwrap();
        assert!(page.items.len() <= 2);
        numbers.extend(page.items.iter().map(|one| one.revision));
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    assert_eq!(numbers[..made.len()], made);
}

#[tokio::test]
async fn a_namespace_that_goes_to_others_takes_no_history_along() {
    let bed = Bed::shop().await;
    let lease = |of: &str| {
        format!(
            "---\napiVersion: heddle.dev/v1alpha1\nkind: Workspace\nmetadata: {{ name: {of} }}\n\
             spec: {{ namespaces: [{of}, lease] }}\n"
        )
    };
    bed.put("root", &lease("shop")).await.unwrap();
    bed.put("sara", &KEYS.replace("namespace: shop", "namespace: lease")).await.unwrap();
    let keys = key(Kind::Secret, "lease", "keys");
    let gone = bed.delete("sara", keys.clone()).await.unwrap().revision;
    bed.put("root", &lease("shop").replace(", lease]", "]")).await.unwrap();
    bed.put("root", &lease("bank")).await.unwrap();
    let bert = op("bert");
    assert!(bed.app.resource_history(&bert, &keys, None, 9).await.is_err());
    assert!(bed.app.resource_show(&bert, &keys, Some(gone - 1)).await.is_err());
    assert!(bed.app.change_show(&bert, gone).await.is_err());
    assert!(matches!(bed.app.change_revert(&bert, gone).await, Err(Refusal::NoRevision(_))));
}

#[tokio::test]
async fn a_dry_run_says_what_would_be_and_writes_nothing() {
    let bed = Bed::shop().await;
    let before = bed.revision().await;
    let sara = op("sara");
    let dry = bed.app.change_dry_run(&sara, read(&service("shop")).unwrap()).await.unwrap();
    let app = key(Kind::Service, "shop", "app");
    assert_eq!(
        dry,
        Receipt { revision: before, changed: vec![(app.clone(), Some(1))], replayed: false }
    );
    assert_eq!(bed.revision().await, before);
    bed.put("sara", &service("shop")).await.unwrap();
    bed.delete("sara", app.clone()).await.unwrap();
    let dry = bed.app.change_dry_run(&sara, read(&service("shop")).unwrap()).await.unwrap();
    let made = bed.put("sara", &service("shop")).await.unwrap();
    assert_eq!(dry.changed, made.changed, "generations go on where they were");
}

#[tokio::test]
async fn an_api_is_given_away_by_who_may() {
    let bed = Bed::shop().await;
    bed.put("sara", &api("sellers")).await.unwrap();
    let orders = key(Kind::Api, "shop", "orders");
    let given = bed.app.api_transfer(&op("sara"), &orders, &name("bankers")).await.unwrap();
    assert_eq!(given.changed, [(orders.clone(), Some(2))]);
    let nobody = bed.app.api_transfer(&op("sara"), &orders, &name("nobody")).await;
    assert!(nobody.unwrap_err().to_string().ends_with("spec.owner: there is no Team 'nobody'"));
    let own = bed.app.api_transfer(&op("bert"), &orders, &name("sellers")).await;
    let said = own.unwrap_err().to_string();
    assert_eq!(said, "Api shop/orders: no grant of yours allows Update of spec.owner");
}

#[tokio::test]
async fn the_last_who_may_do_everything_cannot_be_taken_away() {
    let bed = Bed::shop().await;
    let space = Kind::Team.default_namespace();
    let first = key(Kind::Grant, space.as_str(), "first-admin");
    let said = bed.delete("root", first).await.unwrap_err().to_string();
    assert!(said.contains("leave nobody who may sign in and do everything"), "{said}");
}

#[tokio::test]
async fn rights_are_told_with_what_gives_them() {
    let bed = Bed::shop().await;
    bed.put("sara", &api("bankers")).await.unwrap();
    let root = op("root");
    let is_admin = async |op: &Op| bed.app.admin(op, Refusal::nothing).await.is_ok();
    assert!(is_admin(&root).await);
    assert!(!is_admin(&op("sara")).await);
    let viewer = model::access::builtin::role(&name("viewer")).unwrap();
    let narrow = Op { limit: Some((None, viewer)), ..op("root") };
    assert!(!is_admin(&narrow).await, "a token is narrower");
    let owner = model::access::builtin::role(&name("owner")).unwrap();
    let narrow = Op { limit: Some((None, owner)), ..op("root") };
    assert!(!is_admin(&narrow).await, "an owner is less than an admin");
    let admin = model::access::builtin::role(&name("admin")).unwrap();
    let narrow = Op { limit: Some((Some(Scope::Platform), admin)), ..op("root") };
    assert!(!is_admin(&narrow).await, "the platform is not everywhere");
    let orders = key(Kind::Api, "shop", "orders");
    let owner = Review { field: Some("spec.owner".to_owned()), ..may(Verb::Update, orders) };
    let told = bed.app.access_review(&op("sara"), &owner).await.unwrap();
    assert!(told.allowed);
    assert_eq!(told.reason, "allowed by Grant shop/sellers");
    let told = bed.app.access_review(&op("bert"), &owner).await.unwrap();
    assert_eq!((told.allowed, told.by.len()), (false, 0));
    let title = Review { field: Some("spec.title".to_owned()), ..owner };
    let told = bed.app.access_review(&op("bert"), &title).await.unwrap();
    assert_eq!(told.by, [key(Kind::Api, "shop", "orders")]);
    let other = Review { user: Some(name("bert")), ..title };
    assert_eq!(bed.app.access_review(&root, &other).await.unwrap(), told);
    let none = bed.app.access_review(&op("eve"), &may(Verb::Read, keys())).await.unwrap();
    assert_eq!(none.reason, "there is none");
}

#[tokio::test]
async fn rights_in_an_api_are_told_of_what_is_not_there_yet_and_of_what_moves_to_it() {
    let bed = Bed::shop().await;
    let there =
        service("shop").replace("name: app,", "name: old, labels: { heddle.dev/api: orders },");
    bed.put("sara", &(service("shop") + &api("bankers") + &there)).await.unwrap();
    let told = async |user: &str, word: &str, api: Option<&str>| {
        let asked = may(Verb::Update, key(Kind::Service, "shop", word));
        let review = Review { api: api.map(name), ..asked };
        let told = bed.app.access_review(&op(user), &review).await.unwrap();
        (told.allowed, told.reason)
    };
    let none = (false, "there is none".to_owned());
    let owned = (true, "allowed by Api shop/orders".to_owned());
    assert_eq!(told("bert", "new", None).await, none);
    assert_eq!(told("bert", "new", Some("orders")).await, owned);
    assert_eq!(told("bert", "new", Some("other")).await, none);
    assert_eq!(told("bert", "old", None).await, owned, "it is there");
    assert_eq!(told("bert", "old", Some("orders")).await, owned);
    assert_eq!(told("bert", "old", Some("other")).await, none);
    assert_eq!(told("bert", "app", Some("orders")).await, none, "it would move");
    let all = (true, "allowed by Grant shop/sellers".to_owned());
    assert_eq!(told("sara", "app", Some("orders")).await, all);
}
