//! What a newer program wrote is set aside, kept, and stops only what concerns it.

use store::{Commit, Put, Write};

use super::*;
use crate::world::{HUB, World};

/// Writes a body as a newer program would, past the door.
async fn newer(app: &App, key: store::Key, scope: Scope, body: &str, claims: Vec<store::Claim>) {
    let put = Put {
        key,
        expected: None,
        body: body.to_owned(),
        scope,
        owner_team: String::new(),
        source: "newer".to_owned(),
        labels: Default::default(),
        references: Vec::new(),
        claims,
        grants: Vec::new(),
        secret: None,
    };
    let commit = Commit { writes: vec![Write::Put(Box::new(put))], ..Commit::default() };
    app.store.commit(&commit).await.unwrap();
}

fn workspace_of(word: &str) -> Scope {
    Scope::Workspace(name(word))
}

/// A body with a field that this version does not know.
fn body(kind: Kind, namespace: &str, name: &str, spec: &str) -> String {
    format!(
        r#"{{"apiVersion":"{}","kind":"{kind}","metadata":{{"name":"{name}","namespace":"{namespace}"}},"spec":{{"fromTheFuture":true,{spec}}}}}"#,
        kind.api_version()
    )
}

impl Bed {
    /// An object with a field that this version does not know.
    pub(super) async fn newer(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
        spec: &str,
        scope: Scope,
    ) -> Key {
        let key = key(kind, namespace, name);
        let body = body(kind, namespace, name, spec);
        newer(&self.app, store::Key::new(HUB, &key), scope, &body, Vec::new()).await;
        key
    }

    /// The world as who followed it sees it, once it is seen that who starts now sees the same.
    async fn world(&self) -> Arc<World> {
        let world = self.app.world().await.unwrap();
        let fresh = open(self._folder.path()).await.world().await.unwrap();
        assert_eq!(world.unreadable, fresh.unreadable);
        assert_eq!(world.objects, fresh.objects);
        assert_eq!(format!("{:?}", world.directory), format!("{:?}", fresh.directory));
        world
    }
}

#[tokio::test]
async fn an_object_of_a_newer_schema_is_kept_and_stops_nobody_else() {
    let bed = Bed::shop().await;
    let target = r#""targetRefs":[{"kind":"HTTPRoute","name":"r"}]"#;
    let scope = workspace_of("shop");
    let policy = bed.newer(Kind::AccessPolicy, "shop", "p", target, scope).await;
    let world = bed.world().await;
    let aside = &world.unreadable[&store::Key::new(HUB, &policy)];
    assert!(aside.reason.contains("fromTheFuture"), "{}", aside.reason);
    // What it protects answers nobody.
    let route = service("shop") + &route("shop", "r", "[shop.example.com]", "/");
    bed.put("sara", &route).await.unwrap();
    let world = bed.world().await;
    assert!(world.assembly().closed.contains(&policy));
    // It is not written over nor taken away, and who may not see it learns nothing.
    let own = "apiVersion: heddle.dev/v1alpha1\nkind: AccessPolicy\n\
               metadata: { name: p, namespace: shop }\n\
               spec: { targetRefs: [{ kind: HTTPRoute, name: r }] }\n";
    for refused in [bed.put("sara", own).await, bed.delete("sara", policy.clone()).await] {
        let said = said(refused);
        assert!(said.contains("cannot read") && said.contains("by a newer one"), "{said}");
    }
    assert_eq!(said(bed.put("eve", own).await), format!("{policy}: there is none"));
    let shown = bed.app.resource_show(&op("sara"), &policy, None).await.unwrap();
    assert_eq!(shown.body["spec"]["fromTheFuture"], true);
    assert!(bed.app.resource_show(&op("eve"), &policy, None).await.is_err());
    // The newer program makes it readable again.
    let readable = read(own).unwrap().remove(0);
    let body = readable.after().unwrap().to_json().to_string();
    newer(&bed.app, store::Key::new(HUB, &policy), workspace_of("shop"), &body, Vec::new()).await;
    assert!(bed.world().await.unreadable.is_empty());
    bed.delete("sara", policy).await.unwrap();
}

#[tokio::test]
async fn what_is_new_may_stand_anywhere_in_an_object() {
    let bed = Bed::shop().await;
    let spec = r#""spec":{"targetRefs":[{"kind":"HTTPRoute","name":"r"}]}"#;
    let meta = r#""metadata":{"name":"p","namespace":"shop"}"#;
    let known = r#""apiVersion":"heddle.dev/v1alpha1","kind":"AccessPolicy""#;
    let policy = key(Kind::AccessPolicy, "shop", "p");
    for (body, wanted) in [
        (format!(r#"{{{known},{meta},{spec},"denyAll":true}}"#), Some("denyAll")),
        (format!(r#"{{{known},"metadata":{{"name":"p","new":1}},{spec}}}"#), Some("new")),
        (
            format!(r#"{{"apiVersion":"heddle.dev/v2","kind":"AccessPolicy",{meta},{spec}}}"#),
            Some("v2"),
        ),
        (format!(r#"{{"apiVersion":"heddle.dev/v1alpha1","kind":"P",{meta},{spec}}}"#), Some("P")),
        (format!(r#"{{{known},{meta},{spec}}}"#), None),
    ] {
        let stored = store::Key::new(HUB, &policy);
        newer(&bed.app, stored.clone(), workspace_of("shop"), &body, Vec::new()).await;
        let world = bed.world().await;
        let reason = world.unreadable.get(&stored).map(|aside| aside.reason.as_str());
        assert_eq!(reason.is_some(), wanted.is_some(), "{body}");
        assert!(reason.unwrap_or_default().contains(wanted.unwrap_or_default()), "{reason:?}");
        assert_eq!(bed.delete("sara", policy.clone()).await.is_err(), wanted.is_some(), "{body}");
    }
}

#[tokio::test]
async fn an_object_of_a_newer_kind_is_kept_and_counts_as_there() {
    let bed = Bed::shop().await;
    let key = store::Key {
        cluster: HUB.to_owned(),
        kind: "RegoPolicy".to_owned(),
        namespace: "shop".to_owned(),
        name: "p".to_owned(),
    };
    newer(&bed.app, key.clone(), workspace_of("shop"), "{}", Vec::new()).await;
    let revision = bed.revision().await;
    assert_eq!(bed.world().await.unreadable[&key].to_string(), "RegoPolicy shop/p");
    bed.put("sara", &service("shop")).await.unwrap();
    bed.delete("root", self::key(Kind::Grant, "shop", "sellers")).await.unwrap();
    bed.delete("root", self::key(Kind::Service, "shop", "app")).await.unwrap();
    let gone = said(bed.delete("root", self::key(Kind::Workspace, "heddle", "shop")).await);
    assert!(gone.contains("RegoPolicy shop/p still needs it"), "{gone}");
    let back = bed.app.change_revert(&op("root"), revision).await;
    assert!(matches!(back, Err(Refusal::NoRevision(_))), "{back:?}");
}

#[tokio::test]
async fn a_grant_that_cannot_be_read_keeps_the_door_from_being_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let app = open(folder.path()).await;
    let key = store::Key::new(HUB, &key(Kind::Grant, "heddle", "first"));
    let body = body(Kind::Grant, "heddle", "first", r#""role":"admin","subjects":[]"#);
    newer(&app, key, Scope::Platform, &body, Vec::new()).await;
    assert!(!app.found(&name("eve"), op("eve").now).await.unwrap());
}

#[tokio::test]
async fn a_secret_whose_values_are_lost_stops_who_needs_it() {
    let bed = Bed::shop().await;
    let secret = bed.newer(Kind::Secret, "shop", "keys", "", workspace_of("shop")).await;
    let world = bed.world().await;
    assert_eq!(world.unreadable[&store::Key::new(HUB, &secret)].reason, "its values are not there");
    bed.put("sara", &(service("shop") + &route("shop", "r", "[a.test]", "/"))).await.unwrap();
    let policy = "apiVersion: heddle.dev/v1alpha1\nkind: AuthnPolicy\n\
                  metadata: { name: p, namespace: shop }\n\
                  spec: { targetRefs: [{ kind: HTTPRoute, name: r }], \
                  methods: [{ name: keys, apiKey: { secretRef: { name: keys } } }] }\n";
    let said = said(bed.put("sara", policy).await);
    assert!(said.contains("spec.methods[0].apiKey.secretRef"), "{said}");
}

#[tokio::test]
async fn a_target_that_cannot_be_read_is_ruled_by_who_may_change_it() {
    let bed = Bed::shop().await;
    let text = "apiVersion: heddle.dev/v1alpha1\nkind: Role\nmetadata: { name: guard, namespace: shop }\n\
                spec: { rules: [{ kinds: [AccessPolicy], verbs: [Read, Create] }, { verbs: [Read] }] }\n---\n\
                apiVersion: heddle.dev/v1alpha1\nkind: Grant\nmetadata: { name: gus, namespace: shop }\n\
                spec: { subjects: [{ user: gus }], role: guard }\n";
    bed.put("root", text).await.unwrap();
    bed.newer(Kind::HttpRoute, "shop", "r", r#""rules":[]"#, workspace_of("shop")).await;
    let policy = "apiVersion: heddle.dev/v1alpha1\nkind: AccessPolicy\n\
                  metadata: { name: p, namespace: shop }\n\
                  spec: { targetRefs: [{ kind: HTTPRoute, name: r }], rules: [{ name: any }] }\n";
    assert!(matches!(bed.put("gus", policy).await, Err(Refusal::Denied(_))));
}

#[tokio::test]
async fn a_workspace_that_cannot_be_read_keeps_what_is_its_own() {
    let bed = Bed::shop().await;
    bed.put("sara", &service("shop")).await.unwrap();
    let spec = r#""namespaces":["shop","annex"]"#;
    bed.newer(Kind::Workspace, "heddle", "shop", spec, Scope::Platform).await;
    let world = bed.world().await;
    for namespace in ["shop", "annex"] {
        assert_eq!(world.directory.scope(&name(namespace)), workspace_of("shop"));
    }
    bed.put("sara", &service("shop").replace("80", "81")).await.unwrap();
    assert!(matches!(bed.put("bert", &service("shop")).await, Err(Refusal::Denied(_))));
    let take = |namespace: &str| {
        format!(
            "apiVersion: heddle.dev/v1alpha1\nkind: Workspace\nmetadata: {{ name: bank }}\n\
             spec: {{ namespaces: [bank, {namespace}] }}\n"
        )
    };
    let taken = said(bed.put("root", &take("annex")).await);
    assert!(taken.contains("the namespace 'annex' is in workspace/shop"), "{taken}");
    let taken = said(bed.put("root", &take("perhaps")).await);
    assert!(taken.contains("cannot be told"), "{taken}");
}

#[tokio::test]
async fn a_role_that_cannot_be_read_gives_nothing_and_hides_wider_ones() {
    let bed = Bed::shop().await;
    let text = "apiVersion: heddle.dev/v1alpha1\nkind: Role\nmetadata: { name: clerk, namespace: heddle }\n\
                spec: { rules: [{ verbs: [Read, Create] }] }\n---\n\
                apiVersion: heddle.dev/v1alpha1\nkind: Grant\nmetadata: { name: carl, namespace: shop }\n\
                spec: { subjects: [{ user: carl }], role: clerk }\n";
    bed.put("root", text).await.unwrap();
    bed.put("carl", &service("shop")).await.unwrap();
    bed.newer(Kind::Role, "shop", "clerk", r#""rules":[]"#, workspace_of("shop")).await;
    bed.world().await;
    let other = service("shop").replace("name: app", "name: other");
    assert!(matches!(bed.put("carl", &other).await, Err(Refusal::Denied(_))));
}

#[tokio::test]
async fn a_claim_that_cannot_be_read_still_holds() {
    let bed = Bed::shop().await;
    let key = key(Kind::Claim, "shop", "hosts");
    let held = store::Claim {
        sort: store::commit::Sort::Host,
        host: "*.shop.example.com".to_owned(),
        path: "/".to_owned(),
        workspace: "workspace/shop".to_owned(),
    };
    let body = body(Kind::Claim, "shop", "hosts", r#""hosts":[]"#);
    newer(&bed.app, store::Key::new(HUB, &key), Scope::Platform, &body, vec![held]).await;
    bed.world().await;
    let text = service("bank") + &route("bank", "r", "[a.shop.example.com]", "/");
    let said = said(bed.put("bert", &text).await);
    assert!(said.contains("which workspace 'shop' holds by Claim shop/hosts"), "{said}");
    bed.put("bert", &(service("bank") + &route("bank", "r", "[b.example.com]", "/")))
        .await
        .unwrap();
}
