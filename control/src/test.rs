//! What tests of several modules need of the store.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::access::Actor;
use model::{Key, Kind, Name};
use store::join::JoinToken;
use store::{Location, Store};
use time::OffsetDateTime;

use crate::{App, Edit, Expect, Op};

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
    store.join_token_create(&token, &store::Entry::default()).await.unwrap();
    (id, secret)
}

/// Forgets a node; whether there was one.
pub(crate) async fn forget(store: &Store, id: &str) -> bool {
    let out = store::revocation::Revocation {
        id: format!("forget {id}"),
        whom: format!(r#"{{"node":{{"id":"{id}"}}}}"#),
        at: 0,
        actor: String::new(),
        note: String::new(),
        proved_before: None,
        ends: None,
    };
    store.node_forget(id, &out, &store::Entry::default()).await.unwrap()
}

/// A control plane over a store of its own, in which `root` may do everything.
pub(crate) struct Bed {
    pub(crate) app: Arc<App>,
    pub(crate) store: Store,
    _dir: tempfile::TempDir,
}

impl Bed {
    pub(crate) async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&Location::Folder(dir.path().to_owned())).await.unwrap();
        let app = Arc::new(App::new(store.clone()));
        assert!(app.found(&op().actor.user, op().now).await.unwrap());
        Bed { app, store, _dir: dir }
    }

    /// Puts the objects of a text; the revision.
    pub(crate) async fn put(&self, text: &str) -> i64 {
        let edits = crate::read(text).unwrap();
        self.app.change_commit(&op(), edits).await.unwrap().revision
    }

    /// Deletes an object; the revision.
    pub(crate) async fn delete(&self, key: (Kind, &str, &str)) -> i64 {
        let name = |word: &str| Name::parse(word).unwrap();
        let key = Key::new(key.0, name(key.1), name(key.2));
        let edits = vec![Edit::Delete { key, expected: Expect::Any }];
        self.app.change_commit(&op(), edits).await.unwrap().revision
    }
}

pub(crate) fn op() -> Op {
    Op {
        actor: Actor { user: Name::parse("root").unwrap(), groups: BTreeSet::new() },
        limit: None,
        request_id: "r".to_owned(),
        now: OffsetDateTime::now_utc(),
        message: String::new(),
        once: None,
    }
}

/// Two Gateways, one of them for the cluster `west` alone, with the Secret that it names; a Secret
/// that nobody names.
pub(crate) const TRAFFIC: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: edge, namespace: platform }
spec:
  gatewayClassName: heddle
  listeners:
    - { name: http, protocol: HTTP, port: 8080, allowedRoutes: { namespaces: { from: All } } }
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: west, namespace: platform, labels: { heddle.dev/cluster: west } }
spec:
  gatewayClassName: heddle
  listeners:
    - { name: http, protocol: HTTP, port: 8081, allowedRoutes: { namespaces: { from: All } } }
---
apiVersion: v1
kind: Secret
metadata: { name: keys, namespace: platform }
stringData: { caller: marker-that-west-alone-may-see }
---
apiVersion: v1
kind: Secret
metadata: { name: nobodys, namespace: platform }
stringData: { caller: marker-that-nobody-may-see }
---
apiVersion: v1
kind: Service
metadata: { name: orders, namespace: platform }
spec: { ports: [{ port: 80 }] }
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: orders, namespace: platform }
spec:
  parentRefs: [{ name: edge }]
  rules: [{ backendRefs: [{ name: orders, port: 80 }] }]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: west, namespace: platform }
spec:
  parentRefs: [{ name: west }]
  rules: [{ backendRefs: [{ name: orders, port: 80 }] }]
---
apiVersion: heddle.dev/v1alpha1
kind: AuthnPolicy
metadata: { name: west, namespace: platform }
spec:
  targetRefs: [{ kind: HTTPRoute, name: west }]
  methods: [{ name: keys, apiKey: { secretRef: { name: keys } } }]
";

/// A slice of the Service of [`TRAFFIC`].
pub(crate) fn slice(address: &str) -> String {
    format!(
        "
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{ name: orders-1, namespace: platform, labels: {{ kubernetes.io/service-name: orders }} }}
addressType: IPv4
endpoints: [{{ addresses: [{address}] }}]
ports: [{{ port: 9000 }}]
"
    )
}
