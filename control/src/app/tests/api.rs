//! The catalogue: what is in it, for whom, in which order, and what becomes of weights.

use time::Duration;
use wire::{Caller, Side};

use super::traffic::{series, tell_at};
use super::*;
use crate::app::{ApiListing, ApiOrder, ApiRow};
use crate::moment::micros;

/// The shop's Api with a route to two backends, and one of the bank's.
async fn two() -> Bed {
    let bed = Bed::shop().await;
    let labelled = |text: String, api: &str| {
        text.replace(
            "namespace: shop }\nspec:\n",
            &format!("namespace: shop, labels: {{ heddle.dev/api: {api} }} }}\nspec:\n"),
        )
    };
    let split = "backendRefs: [{ name: app, port: 80, weight: 9 }, { name: next, port: 80 }]";
    let route = route("shop", "orders", "[shop.test]", "/")
        .replace("backendRefs: [{ name: app, port: 80 }]", split);
    let next = service("shop").replace("name: app", "name: next");
    let shop = api("sellers") + &labelled(route, "orders") + &service("shop") + &next;
    bed.put("root", &shop).await.unwrap();
    let bank =
        api("bankers").replace("namespace: shop", "namespace: bank").replace("orders", "books");
    bed.put("bert", &bank).await.unwrap();
    bed
}

async fn list(bed: &Bed, user: &str, listing: ApiListing) -> Vec<ApiRow> {
    let listing = ApiListing { limit: 10, ..listing };
    bed.app.api_list(&op(user), listing).await.unwrap().items
}

fn names(rows: &[ApiRow]) -> Vec<&str> {
    rows.iter().map(|row| row.key.name.as_str()).collect()
}

fn at(seconds: i64) -> Op {
    let op = op("sara");
    Op { now: op.now + Duration::seconds(seconds), ..op }
}

#[tokio::test]
async fn each_finds_what_they_may_read() {
    let bed = two().await;
    let all = ApiListing::default();
    assert_eq!(names(&list(&bed, "root", all.clone()).await), ["books", "orders"]);
    assert_eq!(names(&list(&bed, "sara", all.clone()).await), ["orders"]);
    assert_eq!(names(&list(&bed, "bert", all.clone()).await), ["books"]);
    assert!(list(&bed, "eve", all).await.is_empty());
    let of = |owner: &str| ApiListing { owner: Some(name(owner)), ..Default::default() };
    assert_eq!(names(&list(&bed, "root", of("bankers")).await), ["books"]);
    assert!(list(&bed, "root", ApiListing { own: true, ..Default::default() }).await.is_empty());
    let own = ApiListing { own: true, ..Default::default() };
    assert_eq!(names(&list(&bed, "sara", own).await), ["orders"]);
    let text = |text: &str| ApiListing { text: Some(text.to_owned()), ..Default::default() };
    for (word, found) in [("ORD", "orders"), ("bank", "books"), ("Sellers", "orders")] {
        assert_eq!(names(&list(&bed, "root", text(word)).await), [found], "{word}");
    }
    let shown = bed.app.api_show(&op("sara"), &key(Kind::Api, "shop", "orders")).await.unwrap();
    assert!(shown.may.transfer && shown.may.lead && shown.routes[0].may_weigh);
    assert!(shown.roles.is_empty());
    for hidden in ["bert", "eve"] {
        let refused = bed.app.api_show(&op(hidden), &key(Kind::Api, "shop", "orders")).await;
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains("there is none"), "{refused}");
    }
}

#[tokio::test]
async fn a_page_goes_on_where_the_one_before_ended_in_any_order() {
    let bed = two().await;
    for (order, word) in ApiOrder::ALL {
        assert_eq!(ApiOrder::parse(word), Some(order));
        let page = |after| ApiListing { order, after, limit: 1, ..Default::default() };
        let first = bed.app.api_list(&op("root"), page(None)).await.unwrap();
        let second = bed.app.api_list(&op("root"), page(first.next.clone())).await.unwrap();
        assert_eq!((first.items.len(), second.items.len()), (1, 1), "{word}");
        assert_ne!(first.items[0].key, second.items[0].key, "{word}");
        assert_eq!(second.next, None, "{word}");
    }
    let last = ApiListing { order: ApiOrder::Changed, ..Default::default() };
    assert_eq!(names(&list(&bed, "root", last.clone()).await), ["books", "orders"]);
    // What belongs to an Api is changed with it.
    let text = service("shop")
        .replace("namespace: shop }", "namespace: shop, labels: { heddle.dev/api: orders } }");
    let made = bed.put("sara", &text).await.unwrap();
    let rows = list(&bed, "root", last).await;
    assert_eq!(names(&rows), ["orders", "books"]);
    let changed = rows[0].changed.as_ref().unwrap();
    assert_eq!((changed.revision, changed.actor.as_str()), (made.revision, "sara"));
}

#[tokio::test]
async fn requests_are_those_of_the_last_minute_and_the_split_those_since_the_change() {
    let bed = two().await;
    let route = key(Kind::HttpRoute, "shop", "orders");
    let clerk = || Caller::ApiKey("clerk".to_owned());
    let count = |backend, count| series(Side::Edge, &route, backend, clerk(), count);
    let before = micros(at(10).now);
    tell_at(&bed, "edge", vec![count("shop/app:80", 90), count("shop/next:80", 10)], before).await;
    let text = "---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: orders, namespace: shop, labels: { heddle.dev/api: orders } }
spec:
  parentRefs: [{ name: edge, namespace: platform }]
  hostnames: [shop.test]
  rules:
    - matches: [{ path: { value: / } }]
      backendRefs: [{ name: app, port: 80, weight: 1 }, { name: next, port: 80 }]
";
    let made = bed.app.change_commit(&at(20), read(text).unwrap()).await.unwrap();
    let after = micros(at(26).now);
    tell_at(&bed, "edge", vec![count("shop/app:80", 7), count("shop/next:80", 6)], after).await;
    let orders = key(Kind::Api, "shop", "orders");
    let shown = bed.app.api_show(&at(28), &orders).await.unwrap();
    assert_eq!(shown.row.requests.sum.requests(), 113);
    assert_eq!(shown.row.requests.slowest.as_ref().map(|(to, _)| to.as_str()), Some("shop/app:80"));
    assert_eq!(shown.callers, [(Some("apikey:clerk".to_owned()), 113)]);
    let [one] = shown.routes.as_slice() else { panic!("{:?}", shown.routes) };
    assert_eq!(one.changed.as_ref().map(|changed| changed.revision), Some(made.revision));
    let counts: Vec<_> =
        one.split.sums.iter().map(|((_, to), cell)| (to.as_str(), cell.requests())).collect();
    assert_eq!(counts, [("shop/app:80", 7), ("shop/next:80", 6)]);
    assert!(
        one.split.everywhere == Some(true) && (6.0..=8.0).contains(&one.split.seconds),
        "{:?}",
        one.split
    );
    // A minute later all of it is over.
    let later = bed.app.api_show(&at(95), &orders).await.unwrap();
    assert_eq!((later.row.requests.sum.requests(), later.routes[0].split.sums.len()), (0, 0));
}

#[tokio::test]
async fn what_decides_on_a_route_is_told_from_the_outer_to_the_inner() {
    let bed = two().await;
    let policy = |name: &str, namespace: &str, target: &str| {
        format!(
            "---\napiVersion: heddle.dev/v1alpha1\nkind: AccessPolicy\n\
             metadata: {{ name: {name}, namespace: {namespace} }}\n\
             spec: {{ targetRefs: [{{ {target} }}], rules: [{{ name: any }}] }}\n"
        )
    };
    let text = policy("own", "shop", "kind: HTTPRoute, name: orders")
        + &policy("other", "shop", "group: '', kind: Service, name: app")
        + &policy("outer", "platform", "kind: Gateway, name: edge")
        + &policy("part", "platform", "kind: Gateway, name: edge, sectionName: http");
    bed.put("root", &text).await.unwrap();
    let orders = key(Kind::Api, "shop", "orders");
    let of = async |user: &str| {
        let shown = bed.app.api_show(&op(user), &orders).await.unwrap();
        let access = shown.routes[0].access.iter();
        let told = access.map(|one| {
            let policy = one.policy.as_ref().map(|policy| policy.meta().name.to_string());
            (one.at.kind, one.section.is_some(), policy)
        });
        told.collect::<Vec<_>>()
    };
    let own = |word: &str| Some(word.to_owned());
    assert_eq!(
        of("root").await,
        [
            (Kind::Gateway, false, own("outer")),
            (Kind::Gateway, true, own("part")),
            (Kind::HttpRoute, false, own("own")),
            (Kind::Service, false, own("other")),
        ]
    );
    // That a policy of the platform decides is told, and not what it says.
    assert_eq!(
        of("sara").await,
        [
            (Kind::Gateway, false, None),
            (Kind::HttpRoute, false, own("own")),
            (Kind::Service, false, own("other")),
        ]
    );
}

#[tokio::test]
async fn what_grants_on_an_api_give_is_told_as_far_as_they_may_be_read() {
    let bed = two().await;
    let grant = |name: &str, role: &str, apis: &str| {
        format!(
            "---\napiVersion: heddle.dev/v1alpha1\nkind: Grant\n\
             metadata: {{ name: {name}, namespace: shop }}\n\
             spec: {{ subjects: [{{ user: vic }}], role: {role}{apis} }}\n"
        )
    };
    let wide = grant("wide", "viewer", "");
    bed.put("root", &(wide + &grant("one", "editor", ", apis: [orders]"))).await.unwrap();
    let orders = key(Kind::Api, "shop", "orders");
    let of = async |user: &str| {
        let roles = bed.app.api_show(&op(user), &orders).await.unwrap().roles;
        roles
            .iter()
            .map(|one| (one.grant.metadata.name.to_string(), one.may_take))
            .collect::<Vec<_>>()
    };
    assert_eq!(of("root").await, [("one".to_owned(), true)]);
    assert_eq!(of("vic").await, [("one".to_owned(), false)]);
}
