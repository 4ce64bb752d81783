//! Where a workspace is: a label of a cluster lets it in there and takes it away.

use e2e::Connection;
use e2e::client::{Reply, nothing, request};

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
