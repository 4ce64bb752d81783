//! The shipped bookshop comes through the door, and its teams may do what it says.

use super::*;

const GATEWAY: &str = include_str!("../../../../examples/bookshop/gateway.yaml");
const PLATFORM: &str = include_str!("../../../../examples/bookshop/platform.yaml");

#[tokio::test]
async fn the_bookshop_comes_through_the_door_and_belongs_to_its_teams() {
    let bed = Bed::new().await;
    bed.put("root", &format!("{PLATFORM}\n---\n{GATEWAY}")).await.unwrap();
    let slow = |to: &str| GATEWAY.replace("request: 2s", &format!("request: {to}"));
    let catalog = |text: &str| {
        let routes = text.split("---\n").find(|one| one.contains("request: "));
        routes.unwrap().to_owned()
    };
    bed.put("carol", &catalog(&slow("3s"))).await.unwrap();
    bed.put("alice", &catalog(&slow("4s"))).await.unwrap();
    bed.put("bob", &catalog(&slow("5s"))).await.expect_err("it is not his");
}
