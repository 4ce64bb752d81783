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
