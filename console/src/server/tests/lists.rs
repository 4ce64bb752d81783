//! Lists of the platform's admins are searched, and say so where nothing is found.

use super::*;

#[tokio::test]
async fn users_and_the_audit_are_searched_by_their_address() {
    let bed = Bed::new().await;
    let cookie = bed.sign_in().await;
    for user in ["sara", "tom"] {
        bed.app.user_create(&op("admin"), user, Some(PASSWORD.to_owned())).await.unwrap();
    }
    let get = async |path: &str| bed.get(path, &cookie).await.text;
    let found = get("/users?search=SAR").await;
    assert!(found.contains("id=\"user-sara\"") && !found.contains("id=\"user-tom\""), "{found}");
    let none = get("/users?search=%25").await;
    assert!(none.contains("No user is called like this.") && none.contains("Show all"), "{none}");
    let all = get("/audit").await;
    assert!(all.contains("user sara") && all.contains("user tom"), "{all}");
    let found = get("/audit?search=user+sara").await;
    assert!(found.contains("<td>user sara</td>") && !found.contains("user tom"), "{found}");
    let undone = get("/audit?search=user+sara&show=undone").await;
    assert!(undone.contains("No row is like this.") && undone.contains("Show all"), "{undone}");
}

#[tokio::test]
async fn teams_changes_and_requests_for_access_are_narrowed_by_their_address() {
    let bed = Bed::new().await;
    let cookie = bed.sign_in().await;
    let made = "---
apiVersion: heddle.dev/v1alpha1
kind: Team
metadata: { name: weavers }
---
apiVersion: heddle.dev/v1alpha1
kind: Team
metadata: { name: dyers }
---
apiVersion: heddle.dev/v1alpha1
kind: Workspace
metadata: { name: shop }
---
apiVersion: heddle.dev/v1alpha1
kind: Workspace
metadata: { name: bank }
";
    bed.app.change_commit(&op("admin"), control::read(made).unwrap()).await.unwrap();
    for (namespace, port) in [("shop", 81), ("bank", 82)] {
        let service = format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{ name: s, namespace: {namespace} }}\n\
             spec: {{ ports: [{{ port: {port} }}] }}\n"
        );
        bed.app.change_commit(&op("admin"), control::read(&service).unwrap()).await.unwrap();
    }
    let get = async |path: &str| bed.get(path, &cookie).await.text;
    let found = get("/teams?search=WEAV").await;
    assert!(found.contains("id=\"team-weavers\"") && !found.contains("id=\"team-dyers\""));
    let none = get("/teams?search=none").await;
    assert!(
        none.contains("No team that you may see has such a name.") && none.contains("Show all")
    );
    for word in ["shop", "workspace%2Fshop"] {
        let found = get(&format!("/changes?search={word}")).await;
        assert!(found.contains(">workspace/shop<"), "{found}");
        assert!(!found.contains(">workspace/bank<"), "{found}");
    }
    let platforms = get("/changes?search=platform").await;
    assert!(platforms.contains(">platform<") && !platforms.contains(">workspace/"));
    for word in ["nowhere", "No%20Such"] {
        let none = get(&format!("/changes?search={word}")).await;
        assert!(none.contains("Nothing was changed there that you may see."), "{none}");
    }
    let open = get("/access?state=open").await;
    assert!(open.contains("<option value=\"open\" selected"), "{open}");
}
