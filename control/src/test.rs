//! What tests of several modules need of the store.

use store::Store;
use store::join::JoinToken;

/// A join token for gateways of `cluster` that lasts an hour: its id and its secret.
pub(crate) async fn join_token(
    store: &Store,
    cluster: &str,
    pattern: &str,
    uses: i64,
    now: i64,
) -> (String, String) {
    let id = uuid::Uuid::now_v7().simple().to_string();
    let secret = format!("secret of {id}");
    let token = JoinToken {
        id: id.clone(),
        hash: store::digest(secret.as_bytes()),
        cluster: cluster.to_owned(),
        kind: "gateway".to_owned(),
        pattern: pattern.to_owned(),
        uses_left: uses,
        created: now,
        expires: now + 3_600_000_000,
        revoked: None,
    };
    store.join_token_create(&token).await.unwrap();
    (id, secret)
}

/// Forgets a node; whether there was one.
pub(crate) async fn forget(store: &Store, id: &str) -> bool {
    store.node_forget(id).await.unwrap()
}
