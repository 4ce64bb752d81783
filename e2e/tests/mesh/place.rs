//! Where a workspace is: a label of a cluster lets it in there and takes it away.

use std::net::SocketAddr;

use e2e::Connection;
use e2e::client::{Reply, nothing, request};
use e2e::wait;

use crate::denied::connects;
use crate::scene::HOST;
use crate::two::Two;

async fn get(web: std::net::SocketAddr) -> Reply {
    let asked = request("GET", HOST, "/").body(nothing()).expect("a well-formed request");
    let mut connection = Connection::h1(web).await.expect("the gateway listens");
    connection.send(asked).await.expect("an answer")
}

/// The cluster whose catalog answered.
fn catalog(reply: &Reply) -> String {
    let cluster = &reply.json()["called"]["called"]["cluster"];
    cluster.as_str().unwrap_or_default().to_owned()
}

/// Whoever the east vouches for is let in there; whoever the west does is told that they are not, and
/// so is whoever may read the policies.
async fn shows_who_is_elsewhere(two: &Two) {
    let orders = two.fleet.get("/resources/Workload/shop/orders-east").await;
    let port = |value: &serde_json::Value| value.as_u64().and_then(|port| u16::try_from(port).ok());
    let at = |port: Option<u16>| SocketAddr::from(([127, 0, 0, 1], port.expect("a port")));
    let hbone = at(port(&orders["spec"]["mesh"]["port"]));
    let own = at(port(&orders["spec"]["ports"][0]["port"]));
    let by = &two.east.proxies[1];
    for (gateway, status) in [(&two.east.gateway, 200), (&two.west.gateway, 403)] {
        let id = format!("elsewhere-{status}");
        let asked = Box::pin(connects(hbone, own, Some(gateway.papers()), &id));
        assert_eq!(asked.await.expect("it is answered"), status, "{}", gateway.name());
    }
    wait::until_true("the line in the log", || {
        let log = by.access_log();
        log.lines().any(|line| line.contains("elsewhere-403") && line.contains("access_denied"))
    })
    .await;
    let told = wait::until("the decision", || async {
        let path = "/requests/elsewhere-403";
        let told = two.fleet.get_as(two.fleet.token(), path).await.ok()?;
        Some(told.json()["hops"].as_array()?.first()?.clone())
    })
    .await;
    assert_eq!((&told["node"]["name"], &told["status"]), (&by.name().into(), &403.into()));
    assert_eq!(told["peer"], "gateway edge of west");
    let words = told["words"].to_string();
    for word in [
        "denied it with 403 access_denied: its workspace is not in the cluster",
        "what would allow it: the workspace has to be in cluster 'west'",
    ] {
        assert!(words.contains(word), "{word} is not in {words}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_loses_its_label_loses_the_workspace() {
    let mut two = Two::new().await;
    for (web, wanted) in [(two.east.web, "east"), (two.west.web, "west")] {
        assert_eq!(catalog(&get(web).await), wanted, "the near one");
    }
    two.east.apps[0].kill();
    assert_eq!(catalog(&get(two.east.web).await), "west", "what the east has lost");
    let label = |value: &str| {
        format!(
            "apiVersion: heddle.dev/v1alpha1\nkind: Cluster\n\
             metadata: {{ name: west, labels: {{ shop: {value} }} }}\n"
        )
    };
    let revision = two.fleet.change(&label("closed")).await;
    two.fleet.until_everywhere(revision).await;
    // Nobody there is the shop's any more: nothing goes to them, and nothing comes in by them.
    let lost = get(two.east.web).await;
    assert_eq!((lost.status, catalog(&lost)), (502, String::new()), "{}", lost.text());
    shows_who_is_elsewhere(&two).await;
    let away = get(two.west.web).await;
    assert_eq!((away.status, away.json()["reason"].as_str()), (404, Some("no_route")));
    let revision = two.fleet.change(&label("open")).await;
    two.fleet.until_everywhere(revision).await;
    e2e::wait::until_true_of("the west to serve both again", async || {
        let both = [get(two.east.web).await, get(two.west.web).await];
        both.iter().all(|reply| reply.status == 200 && catalog(reply) == "west")
    })
    .await;
}
