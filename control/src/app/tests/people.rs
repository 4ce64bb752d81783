//! Users: their passwords, and who of them must stay.

use std::net::IpAddr;

use super::*;
use crate::authn::{Caller, Proof};

const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

/// A user of this name, signed in.
async fn signed_in(bed: &Bed, user: &str) -> Caller {
    let password = Some("the right password".to_owned());
    let (user, _) = bed.app.user_create(&op("root"), user, password).await.unwrap();
    let by = Proof::Session { id: String::new(), csrf: String::new(), expires: 0 };
    Caller { id: user.id, name: name(&user.name), by }
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
