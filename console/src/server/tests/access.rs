//! Requests for access come in pages, none of which says of another's that they are not there.

use std::collections::BTreeMap;

use control::app::NewAccessRequest;
use model::role::Verb;
use model::{Key, Kind, Name};

use super::*;

const SHOP: &str = "---
apiVersion: heddle.dev/v1alpha1
kind: Workspace
metadata: { name: shop }
---
apiVersion: heddle.dev/v1alpha1
kind: Grant
metadata: { name: readers, namespace: shop }
spec: { subjects: [{ user: sara }, { user: tom }], role: viewer }
";

impl Bed {
    /// Users ask for 15 Services each, and the admin for nothing.
    async fn asked() -> Self {
        let bed = Bed::new().await;
        bed.app.change_commit(&op("admin"), control::read(SHOP).unwrap()).await.unwrap();
        for user in ["sara", "tom"] {
            bed.app.user_create(&op("admin"), user, Some(PASSWORD.to_owned())).await.unwrap();
            for number in 0..15 {
                let shop = Name::parse("shop").unwrap();
                let service = Name::parse(&format!("{user}-{number}")).unwrap();
                let key = Key::new(Kind::Service, shop, service);
                let message = String::new();
                let new = NewAccessRequest { verb: Verb::Create, key, field: None, message };
                bed.app.access_request_create(&op(user), new).await.unwrap();
            }
        }
        bed
    }
}

#[tokio::test]
async fn each_request_is_on_one_page_and_what_is_on_others_is_not_denied() {
    let bed = Bed::asked().await;
    let cookie = bed.sign_in().await;
    let (mut place, mut pages) = ("/access".to_owned(), 0);
    let mut seen = BTreeMap::<String, usize>::new();
    loop {
        let page = bed.get(&place, &cookie).await.text;
        pages += 1;
        assert!(!page.contains("You asked for nothing"), "only a page: {page}");
        for id in page.split("<li id=\"ask-").skip(1) {
            *seen.entry(id.split('"').next().unwrap().to_owned()).or_default() += 1;
        }
        let Some((_, next)) = page.split_once("href=\"/access?after=") else { break };
        place = format!("/access?after={}", next.split('"').next().unwrap());
    }
    assert_eq!((pages, seen.len()), (2, 30), "{seen:?}");
    assert!(seen.values().all(|times| *times == 1), "{seen:?}");
}

#[tokio::test]
async fn where_nobody_asked_it_is_said_so() {
    let bed = Bed::new().await;
    let page = bed.get("/access", &bed.sign_in().await).await.text;
    assert!(page.contains("Nobody asks for what you could give."), "{page}");
    assert!(page.contains("You asked for nothing."), "{page}");
}
