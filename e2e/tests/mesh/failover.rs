//! What one cluster has lost is served by the other.

use std::net::SocketAddr;

use e2e::client::{Reply, bytes, nothing, request};
use e2e::fleet::Kind;
use e2e::program::free_port;
use e2e::{Connection, Joined, Origin};

use crate::scene::{HOST, Scene, policy, until_speaking, workload};

/// The scene, and a copy of its application in another cluster.
struct Two {
    scene: Scene,
    far: Origin,
    _west: Joined,
}

impl Two {
    async fn new() -> Self {
        let scene = Scene::new().await;
        let far = Origin::start("far").await;
        let hbone = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let text = workload("orders-2", "west", &far, hbone) + &policy("{ name: all }");
        scene.change(&text).await;
        let west = scene.fleet.join_in("west", Kind::Mesh, "shop/orders-2").await;
        until_speaking(&west, "workload shop/orders of west").await;
        let two = Two { scene, far, _west: west };
        two.serves(20, "orders").await;
        two
    }

    /// Sees that so many requests are served, and by whom.
    async fn serves(&self, count: usize, by: &str) {
        for nth in 0..count {
            let served = self.scene.get("/echo").await;
            assert_eq!((served.status, served.header("x-origin")), (200, by), "request {nth}");
        }
    }

    async fn posts(&self) -> Reply {
        let asked = request("POST", HOST, "/echo").body(bytes("a book"));
        let mut connection = Connection::h1(self.scene.web).await.expect("the gateway listens");
        connection.send(asked.expect("a well-formed request")).await.expect("an answer")
    }
}

#[tokio::test]
async fn a_proxy_that_is_lost() {
    let mut two = Two::new().await;
    two.scene.proxy.stop().await;
    two.serves(20, "far").await;
    assert_eq!(two.far.count(), 20);
}

#[tokio::test]
async fn an_application_that_is_lost_behind_its_proxy_and_comes_back() {
    let mut two = Two::new().await;
    let at = two.scene.origin.address;
    let gone = std::mem::replace(&mut two.scene.origin, Origin::start("elsewhere").await);
    drop(gone);
    e2e::wait::until_true("the application to be gone", || {
        std::net::TcpStream::connect(at).is_err()
    })
    .await;
    // Not one fails: a request that never reached the application goes elsewhere.
    two.serves(20, "far").await;
    let posted = two.posts().await;
    assert_eq!((posted.status, posted.header("x-origin"), &*posted.text()), (200, "far", "a book"));
    let shown = two.scene.gateway.admin("/config").await.expect("the admin port").json();
    let rests = shown["inForce"]["services"]["shop/orders:80"][0]["restsMillis"].as_u64();
    assert!(rests > Some(0), "{shown}");
    two.scene.origin = Origin::start_at("back", at).await;
    e2e::wait::until("the near one to be asked again", || async {
        (two.scene.get("/echo").await.header("x-origin") == "back").then_some(())
    })
    .await;
    two.serves(20, "back").await;
}

#[tokio::test]
async fn an_application_cannot_say_that_it_was_not_reached() {
    let two = Two::new().await;
    let asked = request("GET", HOST, "/unreached").body(nothing()).expect("a well-formed request");
    let mut connection = Connection::h1(two.scene.web).await.expect("the gateway listens");
    let served = connection.send(asked).await.expect("an answer");
    assert_eq!((served.status, served.header("x-origin")), (200, "orders"));
    assert_eq!(served.header("heddle-unreached"), "");
    assert_eq!(two.far.count(), 0, "nobody else was asked");
}
