//! Where workspaces are: what they may name there, and who is told of it.

use super::world::gateway;
use super::*;
use crate::ca::NodeKind;
use crate::snapshot::{Catalogue, Class};

fn cluster(called: &str, stage: &str) -> String {
    format!(
        "---\napiVersion: heddle.dev/v1alpha1\nkind: Cluster\n\
         metadata: {{ name: {called}, labels: {{ stage: {stage} }} }}\n"
    )
}

const PLACED: &str = "---\napiVersion: heddle.dev/v1alpha1\nkind: Workspace\n\
                      metadata: { name: shop }\n\
                      spec: { namespaces: [shop], clusters: { stage: production } }\n";

fn workload(called: &str, cluster: &str) -> String {
    format!(
        "---\napiVersion: heddle.dev/v1alpha1\nkind: Workload\n\
         metadata: {{ name: {called}, namespace: shop }}\nspec:\n  cluster: {cluster}\n  \
         address: 10.0.0.1\n  ports: [{{ port: 80 }}]\n"
    )
}

fn policy(peer: &str) -> String {
    format!(
        "---\napiVersion: heddle.dev/v1alpha1\nkind: AccessPolicy\n\
         metadata: {{ name: orders, namespace: shop }}\nspec:\n  \
         targetRefs: [{{ group: '', kind: Service, name: app }}]\n  \
         rules: [{{ name: one, when: {{ workloads: [{peer}] }} }}]\n"
    )
}

async fn placed() -> Bed {
    let bed = Bed::shop().await;
    let text = cluster("east", "production") + &cluster("lab", "test") + PLACED;
    bed.put("root", &text).await.unwrap();
    bed
}

#[tokio::test]
async fn what_names_a_cluster_lies_where_its_workspace_is() {
    let bed = placed().await;
    bed.put("sara", &workload("cart-1", "east")).await.unwrap();
    let own = gateway("shop", "mine", "port: 8090");
    let own = |cluster: &str| {
        own.replace(
            "name: mine,",
            &format!("name: mine, labels: {{ heddle.dev/cluster: {cluster} }},"),
        )
    };
    bed.put("sara", &own("east")).await.unwrap();
    bed.put("sara", &(service("shop") + &policy("{ cluster: east }"))).await.unwrap();
    // Where others are is not told.
    bed.put("sara", &policy("{ cluster: lab, namespace: bank }")).await.unwrap();
    for (text, path) in [
        (workload("cart-2", "lab"), "spec.cluster"),
        (workload("cart-2", "nowhere"), "spec.cluster"),
        (own("lab"), "metadata.labels['heddle.dev/cluster']"),
        (policy("{ cluster: lab }"), "spec.rules[0].when.workloads[0].cluster"),
    ] {
        let told = said(bed.put("sara", &text).await);
        assert!(told.contains(path), "{told}");
        assert!(told.contains("workspace 'shop' is not in the cluster '"), "{told}");
        assert!(told.contains("it is in east"), "{told}");
    }
}

#[tokio::test]
async fn labels_of_clusters_are_the_platforms() {
    let bed = placed().await;
    let moved = cluster("lab", "production");
    assert!(bed.put("sara", &moved).await.is_err());
    bed.put("root", &moved).await.unwrap();
    bed.put("sara", &workload("cart-2", "lab")).await.unwrap();
}

#[tokio::test]
async fn nodes_are_told_of_workspaces_of_their_cluster_alone() {
    let bed = placed().await;
    bed.put("sara", &(service("shop") + &workload("cart-1", "east"))).await.unwrap();
    let mut catalogue = Catalogue::default();
    let told = async |catalogue: &mut Catalogue, cluster: &str| {
        catalogue.advance(&bed.app.world().await.unwrap(), None);
        let class = Class { cluster: name(cluster), kind: NodeKind::Mesh };
        let snapshot = catalogue.snapshot(&class);
        let own = snapshot.objects.keys().filter(|key| key.namespace == "shop");
        own.map(ToString::to_string).collect::<Vec<_>>()
    };
    let all = ["Service shop/app", "Workload shop/cart-1"];
    assert_eq!(told(&mut catalogue, "east").await, all);
    assert_eq!(told(&mut catalogue, "lab").await, [""; 0]);
    // A change of what nobody there may see stays unseen, and a label moves all at once.
    bed.put("sara", &workload("cart-3", "east")).await.unwrap();
    assert_eq!(told(&mut catalogue, "lab").await, [""; 0]);
    bed.put("root", &(cluster("lab", "production") + &cluster("east", "test"))).await.unwrap();
    assert_eq!(told(&mut catalogue, "east").await, [""; 0]);
    assert_eq!(told(&mut catalogue, "lab").await, [all[0], all[1], "Workload shop/cart-3"]);
}
