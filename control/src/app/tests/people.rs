//! Users: their passwords, and who of them must stay.

use std::net::IpAddr;

use super::*;
use crate::app::AuditListing;
use crate::authn::{Caller, Proof};

const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

/// A user of this name, signed in.
async fn signed_in(bed: &Bed, user: &str) -> Caller {
    let password = Some("the right password".to_owned());
    let (user, _) = bed.app.user_create(&op("root"), user, password).await.unwrap();
    let by = Proof::Session { id: String::new(), csrf: String::new(), expires: 0 };
    Caller { id: user.id, name: name(&user.name), from: None, groups: BTreeSet::new(), by }
}

#[tokio::test]
async fn a_wrong_current_password_is_told_in_the_audit_without_it() {
    let bed = Bed::new().await;
    let caller = signed_in(&bed, "sara").await;
    let change = |current: &str| NewPassword {
        user: "sara".to_owned(),
        password: format!("new {MARKER}"),
        current: Some(current.to_owned()),
        address: HERE,
    };
    bed.app.user_password(&caller, &op("sara"), change(MARKER)).await.unwrap_err();
    let last = bed.app.store.audit_list(None, 1).await.unwrap().remove(0).entry;
    let told = [&last.actor, &last.verb, &last.object, &last.outcome, &last.detail];
    let wanted = ["sara", "change the password of", "user sara", "refused", "from 127.0.0.1"];
    assert_eq!(told, wanted);
    bed.app.user_password(&caller, &op("sara"), change("the right password")).await.unwrap();
    let last = bed.app.store.audit_list(None, 1).await.unwrap().remove(0).entry;
    assert_eq!(last.outcome, "done");
    assert!(!format!("{last:?}").contains(MARKER));
}

#[tokio::test]
async fn the_audit_is_searched_ten_thousand_rows_at_a_time() {
    let bed = Bed::new().await;
    let before = bed.app.store.audit_list(None, 1).await.unwrap().first().map_or(0, |one| one.seq);
    let entry = |number: i64| store::Entry {
        actor: if number == 0 { "sara" } else { "tom" }.to_owned(),
        outcome: if number % 2 == 0 { "refused" } else { "done" }.to_owned(),
        ..store::Entry::default()
    };
    let all: Vec<_> = (0..10_100).map(entry).collect();
    bed.app.store.audit_append(&all).await.unwrap();
    let list = async |text: &str, undone, before| {
        let listing = AuditListing { text: text.to_owned(), undone, before, limit: 100 };
        let (rows, next) = bed.app.audit_list(&op("root"), &listing).await.unwrap();
        (rows.iter().map(|row| row.seq).collect::<Vec<_>>(), next)
    };
    let (none, next) = list("sara", false, None).await;
    assert_eq!((none.len(), next), (0, Some(before + 101)));
    assert_eq!(list("sara", false, next).await, (vec![before + 1], None));
    let (refused, next) = list("", true, None).await;
    assert_eq!((refused[0], refused.len()), (before + 10_099, 100));
    assert_eq!(next, refused.last().copied());
    let op = op("sara");
    assert!(bed.app.audit_list(&op, &AuditListing::default()).await.is_err(), "no admin");
}

/// A grant of a role in the platform.
fn grant(user: &str, role: &str) -> String {
    format!(
        "---\napiVersion: heddle.dev/v1alpha1\nkind: Grant\n\
         metadata: {{ name: {user}-{role}, namespace: heddle }}\n\
         spec: {{ subjects: [{{ user: {user} }}], role: {role} }}\n"
    )
}

fn grant_of(user: &str, role: &str) -> Key {
    key(Kind::Grant, "heddle", &format!("{user}-{role}"))
}

/// A user whom no password lets in, which no test here asks for.
async fn user(app: &App, name: &str) {
    let user = store::user::User {
        id: name.to_owned(),
        name: name.to_owned(),
        password: Some("none that anybody has".to_owned()),
        disabled: false,
        created: 0,
        updated: 0,
    };
    app.store.user_create(&user, &store::Entry::default()).await.unwrap();
}

const NOBODY: &str = "would leave nobody who may sign in and do everything";

#[tokio::test]
async fn who_is_left_must_be_a_user_who_may_sign_in() {
    let bed = Bed::new().await;
    bed.put("root", &(grant("ann", "admin") + &grant("bob", "admin"))).await.unwrap();
    let first = || key(Kind::Grant, "heddle", "first-admin");
    let delete = |key: Key| vec![Edit::Delete { key, expected: Expect::Any }];
    // They hold the role, and are nobody.
    let refused = said(bed.delete("root", first()).await);
    assert!(refused.starts_with("Grant heddle/first-admin: ") && refused.contains(NOBODY));
    user(&bed.app, "ann").await;
    bed.delete("root", first()).await.unwrap();
    let gone = || delete(grant_of("ann", "admin"));
    let ann = op("ann");
    assert!(said(bed.app.change_commit(&ann, gone()).await).contains(NOBODY));
    assert!(said(bed.app.change_dry_run(&ann, gone()).await).contains(NOBODY));
    let planned = bed.app.change_plan(&ann, gone()).await.unwrap_err().to_string();
    assert!(planned.contains(NOBODY), "{planned}");
    // Nor are they, once they are shut out.
    user(&bed.app, "bob").await;
    bed.app.change_dry_run(&ann, gone()).await.unwrap();
    bed.app.user_disable(&ann, "bob").await.unwrap();
    assert!(said(bed.app.change_commit(&ann, gone()).await).contains(NOBODY));
    let last = bed.app.user_disable(&ann, "ann").await;
    assert!(matches!(last, Err(Refusal::Forbidden(_))), "{last:?}");
}

#[tokio::test]
async fn a_role_that_lets_the_last_do_everything_stays_so() {
    let bed = Bed::new().await;
    user(&bed.app, "ann").await;
    let role = |verbs: &str| {
        format!(
            "apiVersion: heddle.dev/v1alpha1\nkind: Role\n\
             metadata: {{ name: all, namespace: heddle }}\nspec: {{ rules: [{{ verbs: [{verbs}] }}] }}\n"
        )
    };
    let all = role("Read, Create, Update, Delete, Transfer");
    bed.put("root", &(all + &grant("ann", "all"))).await.unwrap();
    bed.delete("root", key(Kind::Grant, "heddle", "first-admin")).await.unwrap();
    let refused = said(bed.put("ann", &role("Read, Create, Update, Delete")).await);
    assert!(refused.starts_with("Role heddle/all: ") && refused.contains(NOBODY), "{refused}");
    let both = [key(Kind::Role, "heddle", "all"), grant_of("ann", "all")];
    let both = both.map(|key| Edit::Delete { key, expected: Expect::Any }).to_vec();
    assert!(said(bed.app.change_commit(&op("ann"), both).await).contains(NOBODY));
    assert!(matches!(bed.app.user_disable(&op("ann"), "ann").await, Err(Refusal::Forbidden(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_grant_that_goes_while_another_admin_does_leaves_one() {
    for round in 0..10 {
        let bed = Bed::new().await;
        let other = Arc::new(open(bed._folder.path()).await);
        for name in ["ann", "bob"] {
            user(&bed.app, name).await;
            bed.put("root", &grant(name, "admin")).await.unwrap();
        }
        other.world().await.unwrap();
        let edits = vec![Edit::Delete { key: grant_of("ann", "admin"), expected: Expect::Any }];
        let takes = async { bed.app.change_commit(&op("root"), edits).await.is_ok() };
        let shuts = tokio::spawn(async move { other.user_disable(&op("root"), "bob").await });
        let (took, shut) = tokio::join!(takes, shuts);
        let shut = shut.unwrap().is_ok();
        assert!(took != shut, "round {round}: {took} {shut}");
    }
}
