//! What was requested: told to whoever may read what it led to, what was called or who called, and of
//! each no more than that.

use std::collections::BTreeSet;
use std::time::Duration;

use model::identity::Peer;
use store::decision::Teller;
use wire::{Caller, Counts, Series, Side, Sketch};

use super::*;
use crate::app::{Part, Row, Rows, Sum, Wanted};

const ALL: [Part; 6] =
    [Part::Route, Part::Rule, Part::Backend, Part::Caller, Part::Node, Part::Cluster];

fn wanted() -> Wanted {
    Wanted { window: Duration::from_secs(60), by: ALL.into(), ..Wanted::default() }
}

fn front() -> Caller {
    let name = |word| Name::parse(word).unwrap();
    Caller::Peer(Peer::Workload {
        cluster: name("east"),
        namespace: name("shop"),
        service_account: name("front"),
    })
}

pub(super) fn series(side: Side, route: &Key, backend: &str, caller: Caller, count: u64) -> Series {
    let mut latency = Sketch::default();
    latency.add(Sketch::place(1_000), count as u32);
    Series {
        side,
        route: Some(route.into()),
        rule: Some(format!("{}/{}/0", route.namespace, route.name)),
        backend: Some(backend.to_owned()),
        caller: Some(caller),
        outcomes: [count, 0, 0, 0, 0, 0],
        latency,
    }
}

async fn tell(bed: &Bed, node: &str, series: Vec<Series>) {
    tell_at(bed, node, series, micros(op("root").now)).await;
}

/// What a node counted in the second before that time.
pub(super) async fn tell_at(bed: &Bed, node: &str, series: Vec<Series>, now: i64) {
    let world = bed.app.world().await.unwrap();
    let whose = |series: &Series| {
        let namespace = series.route.as_ref().map(|route| Name::parse(&route.namespace).unwrap());
        let scope = namespace.map_or(Scope::Platform, |name| world.directory.scope(&name));
        let route = series.route.as_ref().and_then(|route| world.objects.get(&route.known()?));
        let made = route.and_then(|route| route.resource.meta().creation_timestamp);
        (scope, made.map_or(0, micros))
    };
    let teller = Teller {
        id: node.to_owned(),
        cluster: "east".to_owned(),
        kind: "mesh".to_owned(),
        name: node.to_owned(),
    };
    let number = now.unsigned_abs();
    let counts = Counts { start: 1, number, ago: 0, lasted: 1_000_000, series };
    bed.app.traffic().keep(&Arc::new(teller), counts, whose, now);
}

/// The shop's route at the edge, and its application that calls one of the bank.
async fn told() -> Bed {
    let bed = Bed::shop().await;
    let text = route("shop", "front", "[shop.test]", "/") + &service("shop") + &service("bank");
    bed.put("root", &text).await.unwrap();
    let key = |kind, namespace, name| key(kind, namespace, name);
    let edge = key(Kind::HttpRoute, "shop", "front");
    let clerk = Caller::ApiKey("clerk".to_owned());
    tell(
        &bed,
        "edge",
        vec![
            series(Side::Edge, &edge, "shop/app:80", clerk.clone(), 7),
            // As if the route led to another team.
            series(Side::Edge, &edge, "bank/app:80", clerk, 5),
            series(Side::Edge, &edge, "bank/app:80", Caller::ApiKey("reader".to_owned()), 4),
        ],
    )
    .await;
    let bank = key(Kind::Service, "bank", "app");
    tell(&bed, "shop.front", vec![series(Side::Outbound, &bank, "bank/app:80", front(), 3)]).await;
    let inbound = key(Kind::Workload, "bank", "app-1");
    tell(&bed, "bank.app-1", vec![series(Side::Inbound, &inbound, "bank/app-1:9", front(), 2)])
        .await;
    bed
}

async fn show(bed: &Bed, user: &str, wanted: Wanted) -> Rows {
    bed.app.traffic_show(&op(user), wanted).await.unwrap()
}

/// Rows in short: how many, where, what, by whom, counted by whom.
fn lines(rows: &Rows) -> Vec<String> {
    let line = |row: &Row, requests: u64| {
        let Row { side, scope, route, rule, backend, caller, node, cluster } = row;
        assert_eq!(node.is_some(), cluster.is_some());
        assert_eq!(route.is_some(), rule.is_some());
        let route = route.as_ref().map_or_else(|| format!("({scope})"), ToString::to_string);
        let [backend, caller, node] =
            [backend, caller, node].map(|word| word.clone().unwrap_or_else(|| "-".to_owned()));
        format!("{requests} {side:?} {route} {backend} {caller} {node}")
    };
    rows.rows.iter().map(|one| line(&one.row, one.sum.requests())).collect()
}

#[tokio::test]
async fn each_sees_what_they_may_read_and_of_the_rest_no_more_than_concerns_them() {
    let bed = told().await;
    let all = lines(&show(&bed, "root", wanted()).await);
    assert_eq!(
        all,
        [
            "7 Edge HTTPRoute shop/front shop/app:80 apikey:clerk edge",
            "5 Edge HTTPRoute shop/front bank/app:80 apikey:clerk edge",
            "4 Edge HTTPRoute shop/front bank/app:80 apikey:reader edge",
            "3 Outbound Service bank/app bank/app:80 workload shop/front of east shop.front",
            "2 Inbound Workload bank/app-1 bank/app-1:9 workload shop/front of east bank.app-1",
        ]
    );
    // Who calls knows that it calls, and whom.
    let caller = lines(&show(&bed, "sara", wanted()).await);
    let own = "3 Outbound (workspace/bank) - workload shop/front of east shop.front";
    assert_eq!(caller[..3], all[..3]);
    assert_eq!(caller[3..], [own]);
    // Who is called knows by which workload, and no user of another workspace.
    let callee = lines(&show(&bed, "bert", wanted()).await);
    assert_eq!(callee, ["9 Edge (workspace/shop) bank/app:80 - -", &all[3], &all[4]]);
    assert!(show(&bed, "eve", wanted()).await.rows.is_empty());
}

#[tokio::test]
async fn what_a_namespace_counted_goes_to_nobody_with_it_and_stays_with_nobody() {
    let bed = Bed::shop().await;
    let lease = |of: &str, more: &str| {
        format!(
            "---\napiVersion: heddle.dev/v1alpha1\nkind: Workspace\nmetadata: {{ name: {of} }}\n\
             spec: {{ namespaces: [{of}{more}] }}\n"
        )
    };
    bed.put("root", &lease("shop", ", lease")).await.unwrap();
    let edge = key(Kind::HttpRoute, "lease", "front");
    let clerk = Caller::ApiKey("clerk".to_owned());
    tell(&bed, "edge", vec![series(Side::Edge, &edge, "elsewhere/app:80", clerk, 7)]).await;
    assert_eq!(show(&bed, "sara", wanted()).await.rows.len(), 1);
    bed.put("root", &lease("shop", "")).await.unwrap();
    bed.put("root", &lease("bank", ", lease")).await.unwrap();
    let text = service("lease") + &route("lease", "front", "[lease.test]", "/");
    bed.put("root", &text).await.unwrap();
    for user in ["sara", "bert"] {
        assert!(show(&bed, user, wanted()).await.rows.is_empty(), "{user}");
    }
}

#[tokio::test]
async fn what_is_asked_for_is_what_may_be_seen() {
    let bed = told().await;
    let name = |word: &str| Name::parse(word).unwrap();
    let shop = || Some(Scope::Workspace(name("shop")));
    let pair = |one, other| (name(one), name(other));
    let cases: [(Wanted, u64); 8] = [
        (Wanted { scope: shop(), ..wanted() }, 16),
        (Wanted { namespace: Some(name("bank")), ..wanted() }, 5),
        (Wanted { route: Some(pair("shop", "front")), ..wanted() }, 16),
        (Wanted { backend: Some((name("bank"), name("app"), None)), ..wanted() }, 12),
        (Wanted { backend: Some((name("bank"), name("app"), Some(81))), ..wanted() }, 0),
        (Wanted { caller: Some("apikey:clerk".to_owned()), ..wanted() }, 12),
        (Wanted { node: Some("shop.front".to_owned()), ..wanted() }, 3),
        (Wanted { side: Some(Side::Inbound), ..wanted() }, 2),
    ];
    for (wanted, count) in cases {
        let rows = show(&bed, "root", wanted.clone()).await.rows;
        let sum: u64 = rows.iter().map(|one| one.sum.requests()).sum();
        assert_eq!(sum, count, "{wanted:?}");
    }
    // A user whom another workspace knows cannot be guessed.
    let guess = Wanted { caller: Some("apikey:clerk".to_owned()), ..wanted() };
    assert!(show(&bed, "bert", guess).await.rows.is_empty());
    for hidden in [
        Wanted { scope: shop(), ..wanted() },
        Wanted { scope: Some(Scope::Workspace(name("nowhere"))), ..wanted() },
        Wanted { namespace: Some(name("shop")), ..wanted() },
        Wanted { route: Some(pair("shop", "front")), ..wanted() },
        Wanted { route: Some(pair("shop", "nothing")), ..wanted() },
        Wanted { backend: Some((name("shop"), name("app"), None)), ..wanted() },
        Wanted { api: Some(name("orders")), ..wanted() },
    ] {
        let refused = bed.app.traffic_show(&op("bert"), hidden.clone()).await.unwrap_err();
        assert!(matches!(refused, Refusal::None(_)), "{hidden:?}");
    }
}

#[tokio::test]
async fn rows_are_summed_by_what_is_asked_and_cut_into_steps() {
    let bed = told().await;
    let by = BTreeSet::from([Part::Backend]);
    let step = Some(Duration::from_secs(4));
    let rows = show(&bed, "root", Wanted { by, step, ..wanted() }).await;
    assert_eq!(
        lines(&Rows { rows: rows.rows[..2].to_vec(), ..rows.clone() }),
        ["9 Edge (workspace/shop) bank/app:80 - -", "7 Edge (workspace/shop) shop/app:80 - -"]
    );
    for Sum { sum, steps, .. } in &rows.rows {
        let [(begins, cell)] = steps.as_slice() else { panic!("{steps:?}") };
        assert_eq!((begins % 4_000_000, cell), (0, sum));
    }
    let quarter = Wanted { window: Duration::from_secs(900), ..wanted() };
    assert_eq!(lines(&show(&bed, "root", quarter).await).len(), 5);
}
