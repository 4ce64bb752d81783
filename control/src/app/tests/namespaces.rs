//! Labels of namespaces: the platform's to write, the workspace's to read, and who attaches by them.

use super::*;
use crate::app::Review;

/// The labels of a namespace.
fn labels(namespace: &str, labels: &str) -> String {
    format!(
        "---\napiVersion: v1\nkind: Namespace\nmetadata: {{ name: {namespace}, labels: {labels} }}\n"
    )
}

fn namespace(of: &str) -> Key {
    key(Kind::Namespace, "heddle", of)
}

/// Ed edits what is in `shop`, ann owns an Api there, and pia edits what is the platform's. Nia is
/// given all that a workspace can give on Namespaces, and lia that of the platform.
const PEOPLE: &str = "---
apiVersion: heddle.dev/v1alpha1
kind: Grant
metadata: { name: ed, namespace: shop }
spec: { subjects: [{ user: ed }], role: editor }
---
apiVersion: heddle.dev/v1alpha1
kind: Team
metadata: { name: alphas }
spec: { members: [ann] }
---
apiVersion: heddle.dev/v1alpha1
kind: Api
metadata: { name: alpha, namespace: shop }
spec: { owner: alphas }
---
apiVersion: heddle.dev/v1alpha1
kind: Grant
metadata: { name: pia, namespace: heddle }
spec: { subjects: [{ user: pia }], role: editor }
---
apiVersion: heddle.dev/v1alpha1
kind: Grant
metadata: { name: nia, namespace: shop }
spec: { subjects: [{ user: nia }], rules: [{ kinds: [Namespace], verbs: [Read, Create, Update, Delete] }] }
---
apiVersion: heddle.dev/v1alpha1
kind: Grant
metadata: { name: lia, namespace: heddle }
spec: { subjects: [{ user: lia }], rules: [{ kinds: [Namespace], verbs: [Read, Create, Update, Delete] }] }
";

#[tokio::test]
async fn only_the_platform_labels_namespaces_and_whoever_reads_in_one_reads_its_labels() {
    let bed = Bed::shop().await;
    bed.put("root", PEOPLE).await.unwrap();
    let ours = labels("shop", "{ team: shop }");
    let none = format!("{}: there is none", namespace("shop"));
    let refused = |verb: &str| format!("{}: no grant of yours allows {verb}", namespace("shop"));
    // Neither an editor nor an owner of the workspace makes one, nor who edits for the platform.
    for user in ["ed", "sara", "nia", "pia"] {
        assert_eq!(said(bed.put(user, &ours).await), refused("Create"), "{user}");
    }
    for user in ["bert", "ann", "eve"] {
        assert_eq!(said(bed.put(user, &ours).await), none, "{user}");
    }
    bed.put("lia", &ours).await.unwrap();
    let theirs = labels("shop", "{ team: bank }");
    let update = refused("Update of metadata.labels.team");
    for user in ["ed", "sara", "nia", "pia"] {
        assert_eq!(said(bed.put(user, &theirs).await), update, "{user}");
        assert_eq!(said(bed.put(user, &ours).await), refused("Update"), "{user}");
        assert_eq!(said(bed.delete(user, namespace("shop")).await), refused("Delete"), "{user}");
        let shown = bed.app.resource_show(&op(user), &namespace("shop"), None).await.unwrap();
        assert_eq!(shown.body["metadata"]["labels"]["team"], "shop", "{user}");
    }
    for user in ["bert", "ann", "eve"] {
        assert_eq!(said(bed.put(user, &theirs).await), none, "{user}");
        assert_eq!(said(bed.delete(user, namespace("shop")).await), none, "{user}");
        assert!(bed.app.resource_show(&op(user), &namespace("shop"), None).await.is_err());
    }
    bed.put("root", &theirs).await.unwrap();
    bed.delete("root", namespace("shop")).await.unwrap();
}

#[tokio::test]
async fn what_may_be_done_with_labels_is_said_with_what_gives_it() {
    let bed = Bed::shop().await;
    bed.put("root", &(labels("shop", "{ team: shop }") + &labels("free", "{ team: none }")))
        .await
        .unwrap();
    let review = async |verb, of: &str| {
        let (key, field, api, user) = (namespace(of), None, None, Some(name("sara")));
        let asked = Review { verb, key, field, api, user };
        let told = bed.app.access_review(&op("root"), &asked).await.unwrap();
        (told.allowed, told.reason)
    };
    let by = "allowed by Grant shop/sellers".to_owned();
    assert_eq!(review(Verb::Read, "shop").await, (true, by));
    let none = "no grant of yours allows Update".to_owned();
    assert_eq!(review(Verb::Update, "shop").await, (false, none));
    // That of a namespace in no workspace is the platform's alone.
    for of in ["free", "bank"] {
        assert_eq!(review(Verb::Read, of).await, (false, "there is none".to_owned()), "{of}");
    }
}

/// The platform's Gateway, which takes what its selector picks.
fn edge(selector: &str) -> String {
    format!(
        "---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{ name: edge, namespace: platform }}
spec:
  gatewayClassName: heddle
  listeners:
    - name: http
      protocol: HTTP
      port: 8080
      allowedRoutes: {{ namespaces: {{ from: Selector, selector: {selector} }} }}
"
    )
}

#[tokio::test]
async fn a_team_attaches_once_the_platform_has_labelled_its_namespace() {
    let bed = Bed::shop().await;
    bed.put("root", &edge("{ matchLabels: { tier: gold } }")).await.unwrap();
    let route = service("shop") + &route("shop", "r", "[www.example.com]", "/");
    let why = |has: &str| {
        format!(
            "HTTPRoute shop/r: spec.parentRefs[0]: Gateway platform/edge takes no routes of namespace \
             'shop': its selector judges by the label 'tier', and the namespace has {has}"
        )
    };
    assert_eq!(said(bed.put("sara", &route).await), why("none of that name"));
    bed.put("root", &labels("shop", "{ tier: silver }")).await.unwrap();
    assert_eq!(said(bed.put("sara", &route).await), why("'silver' there"));
    bed.put("root", &labels("shop", "{ tier: gold }")).await.unwrap();
    bed.put("sara", &route).await.unwrap();
    let faults = async || {
        let assembly = Arc::clone(bed.app.world().await.unwrap().assembly());
        assembly.faults.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(faults().await, [""; 0]);
    // The platform takes the labels back, and nothing else goes with them.
    bed.delete("root", namespace("shop")).await.unwrap();
    assert_eq!(faults().await, [why("none of that name")]);
    let route = key(Kind::HttpRoute, "shop", "r");
    assert!(bed.app.resource_show(&op("sara"), &route, None).await.is_ok());
}

#[tokio::test]
async fn labels_that_cannot_be_read_open_nothing_and_are_not_written_over() {
    let bed = Bed::shop().await;
    bed.put("root", &edge("{ matchExpressions: [{ key: tier, operator: DoesNotExist }] }"))
        .await
        .unwrap();
    bed.newer(Kind::Namespace, "heddle", "shop", r#""more":1"#, Scope::Platform).await;
    let route = service("shop") + &route("shop", "r", "[www.example.com]", "/");
    let told = said(bed.put("sara", &route).await);
    assert!(told.ends_with("and the labels of the namespace cannot be read"), "{told}");
    bed.put("bert", &(service("bank") + &route_of_bank())).await.unwrap();
    let told = said(bed.put("root", &labels("shop", "{}")).await);
    assert!(told.contains("by a newer one"), "{told}");
    assert!(bed.app.resource_show(&op("bert"), &namespace("shop"), None).await.is_err());
    assert!(bed.app.resource_show(&op("sara"), &namespace("shop"), None).await.is_ok());
}

fn route_of_bank() -> String {
    route("bank", "r", "[bank.example.com]", "/")
}
