//! What is counted together, what apart, and what is told of it once.

use std::collections::BTreeMap;

use http::StatusCode;
use model::Name;
use serde_json::Map;
use table::Input;
use wire::Sketch;

use super::*;
use crate::telemetry::tests::sample;
use crate::telemetry::{Settings, Telemetry};

fn name(word: &str) -> Name {
    Name::parse(word).unwrap()
}

fn peer(account: &str) -> Arc<Peer> {
    let (cluster, namespace) = (name("east"), name("shop"));
    Arc::new(Peer::Workload { cluster, namespace, service_account: name(account) })
}

fn user(subject: &str) -> Arc<Principal> {
    let (issuer, subject) = ("https://issuer".to_owned(), Some(subject.to_owned()));
    Arc::new(Principal::Jwt { issuer, subject, claims: Map::new() })
}

/// Counts of a process, and what a table without rules sees of it.
fn counted() -> (Arc<Traffic>, Seen, Record) {
    let traffic = Arc::new(Traffic::new(2));
    let seen = traffic.attach(&Table::default());
    let record = sample(&Telemetry::start(&Settings::default()).unwrap());
    (traffic, seen, record)
}

/// By caller, how many.
fn told(traffic: &Traffic) -> BTreeMap<Option<Caller>, u64> {
    let one = |series: wire::Series| (series.caller, series.outcomes.iter().sum());
    traffic.take().into_iter().map(one).collect()
}

#[test]
fn requests_of_one_kind_are_summed_over_workers_and_told_once() {
    let (traffic, seen, mut record) = counted();
    record.backend = Some("shop/orders:80".into());
    for worker in [0, 1, 1] {
        record.worker = worker;
        seen.count(&record, Duration::from_micros(700));
    }
    let [series] = traffic.take().try_into().unwrap();
    assert_eq!((series.side, series.backend.as_deref()), (Side::Edge, Some("shop/orders:80")));
    assert_eq!(series.outcomes, [3, 0, 0, 0, 0, 0]);
    assert_eq!(series.latency.buckets(), [(Sketch::place(700) as u16, 3)]);
    assert!(traffic.take().is_empty());
    seen.count(&record, Duration::ZERO);
    assert_eq!(traffic.take()[0].outcomes[0], 1);
}

#[test]
fn each_end_has_its_class() {
    for (reason, status, wanted) in [
        (Reason::Ok, Some(204), Outcome::Ok),
        (Reason::Redirected, Some(302), Outcome::Ok),
        (Reason::Preflight, Some(204), Outcome::Ok),
        (Reason::Ok, Some(404), Outcome::ClientError),
        (Reason::Ok, Some(500), Outcome::BackendError),
        (Reason::NoRoute, Some(404), Outcome::ClientError),
        (Reason::AccessDenied, Some(403), Outcome::Denied),
        (Reason::PolicyUnreadable, Some(503), Outcome::Denied),
        (Reason::ConnectFailed, Some(503), Outcome::Failed),
        (Reason::UpstreamReset, Some(200), Outcome::Failed),
        (Reason::ClientGone, None, Outcome::Gone),
        (Reason::ClientGone, Some(200), Outcome::Gone),
    ] {
        assert_eq!(outcome(reason, status), wanted, "{reason} {status:?}");
    }
}

#[test]
fn callers_are_told_apart_but_not_people_of_one_issuer() {
    let (traffic, seen, mut record) = counted();
    let key = |name: &str| Arc::new(Principal::ApiKey { name: name.to_owned() });
    let consumer = |namespace: &str| {
        let [namespace, name] = [namespace, "acme"].map(|word| Name::parse(word).unwrap());
        (
            Arc::new(Principal::Consumer { namespace: namespace.clone(), name: name.clone() }),
            Some(Caller::Consumer { namespace, name }),
        )
    };
    let (shops, banks) = (consumer("shop"), consumer("bank"));
    let consumers = [&shops.0, &banks.0, &shops.0].map(Arc::clone);
    let others = [key("clerk"), key("clerk"), key("reader"), user("ann"), user("ben")];
    for principal in consumers.into_iter().chain(others) {
        record.principal = Some(principal);
        seen.count(&record, Duration::ZERO);
    }
    // Who sends it through the mesh goes before for whom.
    for account in ["front", "front", "other"] {
        record.from = Some(peer(account));
        seen.count(&record, Duration::ZERO);
    }
    let of = |account: &str| Some(Caller::Peer(Peer::clone(&peer(account))));
    let wanted = [
        (of("front"), 2),
        (of("other"), 1),
        (shops.1, 2),
        (banks.1, 1),
        (Some(Caller::ApiKey("clerk".to_owned())), 2),
        (Some(Caller::ApiKey("reader".to_owned())), 1),
        (Some(Caller::Issuer("https://issuer".to_owned())), 2),
    ];
    assert_eq!(told(&traffic), wanted.into());
}

#[test]
fn whoever_comes_when_a_rule_has_all_it_may_counts_among_its_others() {
    let (traffic, seen, mut record) = counted();
    record.backend = Some("shop/orders:80".into());
    for _ in 0..2 {
        for number in 0..OF_A_RULE + 10 {
            record.from = Some(peer(&format!("caller-{number}")));
            seen.count(&record, Duration::ZERO);
        }
    }
    let told = told(&traffic);
    assert_eq!((told.len(), told[&Some(Caller::Others)]), (OF_A_RULE + 1, 20));
    assert_eq!((told.values().sum::<u64>(), traffic.folded()), (2 * OF_A_RULE as u64 + 20, 20));
}

#[test]
fn series_are_so_many_and_those_of_tables_that_are_gone_are_let_go() {
    let (traffic, seen, mut record) = counted();
    let label = |number: usize| Label {
        side: Side::Edge,
        rule: None,
        backend: Some(format!("shop/s-{number}:80").into()),
        caller: None,
    };
    let held: Vec<_> = (0..SERIES).map(|number| traffic.series(label(number))).collect();
    record.backend = Some("shop/orders:80".into());
    seen.count(&record, Duration::ZERO);
    assert_eq!(told(&traffic), [(Some(Caller::Others), 1)].into());
    drop(held);
    // A request that began under the old table still counts.
    let late = traffic.series(label(3));
    late.count(0, Outcome::Ok, None);
    assert_eq!(told(&traffic), [(None, 1)].into());
    drop((late, seen));
    assert!(told(&traffic).is_empty());
    assert!(traffic.registry().is_empty());
}

#[test]
fn a_rule_is_told_with_its_route_and_its_own_workload_asks_where_it_goes_out() {
    let text = "apiVersion: v1\nkind: Service\nmetadata: { name: orders, namespace: shop }\n\
                spec: { ports: [{ port: 80 }] }\n---\n\
                apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\n\
                metadata: { name: edge, namespace: shop }\nspec:\n  gatewayClassName: heddle\n  \
                listeners: [{ name: http, protocol: HTTP, port: 8080 }]\n---\n\
                apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\n\
                metadata: { name: r, namespace: shop }\nspec:\n  parentRefs: [{ name: edge }]\n  \
                rules: [{ backendRefs: [{ name: orders, port: 80 }] }]\n";
    let resources = model::read(text).into_iter().map(|document| document.result.unwrap());
    let input = Input { resources: resources.collect(), ..Input::default() };
    let table = table::assemble(input, None).table;
    let (traffic, _, mut record) = counted();
    let seen = Seen { own: Some(peer("front")), ..traffic.attach(&table) };
    record.rule = Some((0, Arc::clone(&table.rules[0])));
    record.side = Side::Outbound;
    record.status = Some(StatusCode::NOT_FOUND);
    seen.count(&record, Duration::ZERO);
    let [series] = traffic.take().try_into().unwrap();
    assert_eq!(series.route.unwrap().to_string(), "HTTPRoute shop/r");
    assert_eq!(series.rule.as_deref(), Some("shop/r/0"));
    assert_eq!(series.caller, Some(Caller::Peer(Peer::clone(&peer("front")))));
}
