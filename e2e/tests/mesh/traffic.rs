//! What the server counts of requests: what origins counted, once each, and told to nobody else.

use std::net::SocketAddr;

use e2e::client::Fault;
use e2e::fleet::Kind;
use e2e::people::{heddle, token_of};
use e2e::program::{ended, free_port};
use e2e::{Origin, wait};
use serde_json::Value;

use crate::cloth::{CLERK, Cloth, send};
use crate::scene::{HOST, until_speaking};

/// One call in five goes to the second version.
const SPLIT: &str = "\
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: split, namespace: shop }
spec:
  parentRefs: [{ group: '', kind: Service, name: front }]
  rules:
    - backendRefs:
        - { name: front, port: 80, weight: 80 }
        - { name: second, port: 80, weight: 20 }
---
";

/// The second version of the storefront, behind a proxy of its own.
fn second(origin: &Origin) -> String {
    format!(
        "apiVersion: heddle.dev/v1alpha1\nkind: Workload\nmetadata:\n  name: second\n  \
         namespace: shop\n  labels: {{ app: second }}\nspec:\n  cluster: local\n  \
         serviceAccount: second\n  address: 127.0.0.1\n  \
         ports: [{{ name: http, port: {} }}]\n  mesh: {{ port: {} }}\n---\n\
         apiVersion: v1\nkind: Service\nmetadata: {{ name: second, namespace: shop }}\nspec:\n  \
         selector: {{ app: second }}\n  ports: [{{ port: 80, targetPort: http }}]\n---\n\
         apiVersion: heddle.dev/v1alpha1\nkind: AccessPolicy\n\
         metadata: {{ name: second, namespace: shop }}\nspec:\n  \
         targetRefs: [{{ kind: Service, name: second }}]\n  rules: [{{ name: all }}]\n---\n",
        origin.address.port(),
        free_port()
    )
}

/// The sums of a field over the rows that an answer has of a query.
async fn sum(cloth: &Cloth, query: &str, field: &str) -> Result<u64, Fault> {
    let path = format!("/traffic?window=15m&{query}");
    let reply = cloth.fleet.get_as(cloth.fleet.token(), &path).await?;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let answer = reply.json();
    let rows = answer["items"].as_array().expect("rows").iter();
    Ok(rows.map(|row| row[field].as_u64().expect("a count")).sum())
}

/// Waits until a sum is told, and holds that it is not more.
async fn until_sum(cloth: &Cloth, query: &str, field: &str, wanted: u64) {
    wait::until(&format!("{wanted} {field} of {query}"), || async {
        let sum = sum(cloth, query, field).await.ok()?;
        assert!(sum <= wanted, "{sum} {field} of {query}, not {wanted}");
        (sum == wanted).then_some(())
    })
    .await;
}

async fn call(proxy: SocketAddr, path: &str) -> u16 {
    send(proxy, "front", path, &[]).await.status
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_split_is_told_as_origins_counted_it_and_errors_are() {
    let cloth = Cloth::new().await;
    let origin = Origin::start("second").await;
    let revision = cloth.fleet.change(&(second(&origin) + SPLIT)).await;
    cloth.fleet.until_everywhere(revision).await;
    let node = cloth.fleet.join_in("local", Kind::Mesh, "shop/second").await;
    until_speaking(&node, "workload shop/second of local").await;
    let before = cloth.front.count() as u64;
    for _ in 0..200 {
        assert_eq!(call(cloth.other_sends, "/echo").await, 200);
    }
    let (first, second) = (cloth.front.count() as u64 - before, origin.count() as u64);
    assert!(first + second == 200 && (10..=80).contains(&second), "{first} and {second}");
    let out = |backend: &str| format!("side=outbound&backend=shop/{backend}");
    until_sum(&cloth, &out("front"), "requests", first).await;
    until_sum(&cloth, &out("second"), "requests", second).await;
    // The same on the other side, where the caller is who sends.
    let caller = "caller=workload%20shop/other%20of%20local";
    until_sum(&cloth, &format!("side=inbound&{caller}"), "requests", 200).await;
    until_sum(&cloth, "side=edge", "requests", 0).await;

    // At the edge: what passes, what is denied, what the application fails at.
    for (path, key, wanted) in
        [("/echo", CLERK, 200), ("/status/500", CLERK, 500), ("/status/404", CLERK, 404)]
    {
        assert_eq!(cloth.get(path, key, &[]).await.status, wanted);
    }
    assert_eq!(cloth.get("/echo", "nobodys-key", &[]).await.status, 401);
    let edge = "side=edge&route=shop/front";
    for (field, wanted) in
        [("requests", 4), ("errors", 1), ("backendErrors", 1), ("clientErrors", 1), ("denied", 1)]
    {
        until_sum(&cloth, edge, field, wanted).await;
    }
    until_sum(&cloth, &format!("{edge}&caller=apikey:clerk"), "requests", 3).await;

    let mut command = heddle(&cloth.fleet);
    let command = command.env("HEDDLE_TOKEN", cloth.fleet.token());
    let shown = ended(command.args(["traffic", "--side", "edge", "--window", "15m"]));
    assert_eq!(shown.code, 0, "{shown:?}");
    let line = shown.stdout.lines().find(|line| line.contains("apikey:clerk"));
    assert!(line.is_some_and(|line| line.contains("HTTPRoute shop/front")), "{}", shown.stdout);

    // Who has no rights there is told nothing, and of what they name not that it is there.
    let stranger = token_of(&cloth.fleet, "stan").await;
    let all = cloth.fleet.get_as(&stranger, "/traffic").await.expect("an answer");
    assert_eq!((all.status, &all.json()["items"]), (200, &Value::Array(Vec::new())));
    for query in ["workspace=shop", "route=shop/front", "backend=shop/front", "namespace=shop"] {
        for path in ["/traffic", "/traffic/live"] {
            let path = format!("{path}?{query}");
            let hidden = cloth.fleet.get_as(&stranger, &path).await.expect("an answer");
            assert_eq!(hidden.status, 404, "{path}: {}", hidden.text());
        }
    }
}

/// So many requests at the edge, which all pass.
async fn pass(cloth: &Cloth, count: usize) {
    for _ in 0..count {
        assert_eq!(send(cloth.web, HOST, "/echo", &[("x-api-key", CLERK)]).await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_told_twice_and_what_was_counted_while_the_server_was_away_is_told() {
    let mut cloth = Cloth::new().await;
    let sides = ["side=edge", "side=inbound"];
    for (count, sum) in [(20, 20), (1, 21)] {
        pass(&cloth, count).await;
        for side in sides {
            until_sum(&cloth, side, "requests", sum).await;
        }
    }
    // A node tells the next when it knows that the one before was kept: so the first twenty were.
    cloth.fleet.kill().await;
    pass(&cloth, 10).await;
    cloth.fleet.serve().await;
    until_speaking(&cloth.nodes[0], "gateway edge of local").await;
    // A server forgets what it was told, and it does not come again; but perhaps the last one.
    let mut told = Vec::new();
    for side in sides {
        let what = format!("what is told of {side}");
        let sum = wait::until(&what, || async {
            sum(&cloth, side, "requests").await.ok().filter(|sum| *sum >= 10)
        });
        told.push((side, sum.await));
    }
    assert!(told.iter().all(|(_, sum)| (10..=11).contains(sum)), "{told:?}");
    pass(&cloth, 1).await;
    for (side, sum) in told {
        until_sum(&cloth, side, "requests", sum + 1).await;
    }
}
