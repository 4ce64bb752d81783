//! References into another workspace: its own grants let them, and nobody learns by one what it has.

use super::*;

const CERTIFICATE: &str = "---
apiVersion: v1
kind: Secret
metadata: { name: cert, namespace: bank }
type: kubernetes.io/tls
stringData: { tls.crt: chain, tls.key: key }
";

/// A route of `shop` to the Service `app` of `bank`.
fn across() -> String {
    route("shop", "across", "[www.example.com]", "/")
        .replace("name: app,", "name: app, namespace: bank,")
}

/// A Gateway of `shop` that shows the certificate of `bank`.
fn door() -> String {
    "---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: door, namespace: shop }
spec:
  gatewayClassName: heddle
  listeners:
    - { name: tls, protocol: HTTPS, port: 8443, tls: { certificateRefs: [{ name: cert, namespace: bank }] } }
"
    .to_owned()
}

/// What `shop` may refer to in `bank`.
fn lends(kind: &str, to: &str) -> String {
    grant("bank", "lends", kind, to)
}

fn grant(namespace: &str, name: &str, kind: &str, to: &str) -> String {
    format!(
        "---
apiVersion: gateway.networking.k8s.io/v1
kind: ReferenceGrant
metadata: {{ name: {name}, namespace: {namespace} }}
spec:
  from: [{{ group: gateway.networking.k8s.io, kind: {kind}, namespace: shop }}]
  to: [{{ group: '', kind: {to} }}]
"
    )
}

#[tokio::test]
async fn nobody_learns_by_a_reference_what_another_workspace_has() {
    for (made, wanted, kind, to) in [
        (service("bank"), across(), "HTTPRoute", "Service, name: app"),
        (CERTIFICATE.to_owned(), door(), "Gateway", "Secret"),
    ] {
        let bed = Bed::shop().await;
        let without = said(bed.put("sara", &wanted).await);
        let text = format!("no ReferenceGrant in 'bank' lets {kind}s of 'shop' refer to it");
        assert!(without.contains(&text), "{without}");
        bed.put("bert", &made).await.unwrap();
        assert_eq!(said(bed.put("sara", &wanted).await), without);
        // Nor by a grant of their own: it opens what lies beside it.
        let own = grant("shop", "own", kind, to);
        bed.put("sara", &own).await.unwrap();
        assert_eq!(said(bed.put("sara", &wanted).await), without);
        let denied = said(bed.put("sara", &lends(kind, to)).await);
        assert_eq!(denied, "ReferenceGrant bank/lends: there is none");
        bed.put("bert", &lends(kind, to)).await.unwrap();
        bed.put("sara", &wanted).await.unwrap();
    }
}

#[tokio::test]
async fn what_was_lent_is_taken_back_without_asking_whoever_refers_to_it() {
    let bed = Bed::shop().await;
    let all = service("bank") + CERTIFICATE + &lends("HTTPRoute", "Service");
    bed.put("bert", &(all + &lends("Gateway", "Secret").replace("lends", "more"))).await.unwrap();
    bed.put("sara", &(across() + &door())).await.unwrap();
    let faults = async || {
        let assembly = Arc::clone(bed.app.world().await.unwrap().assembly());
        assembly.faults.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(faults().await, [""; 0]);
    for name in ["lends", "more"] {
        bed.delete("bert", key(Kind::ReferenceGrant, "bank", name)).await.unwrap();
    }
    let told = faults().await;
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told.iter().all(|one| one.contains("no ReferenceGrant in 'bank'")), "{told:?}");
    // What stands wrong is no reason to keep the rest of it as it is.
    bed.put("sara", &across().replace("www.", "shop.")).await.unwrap();
}

#[tokio::test]
async fn the_owners_of_a_workspace_lend_what_it_has_and_no_api_does() {
    let bed = Bed::shop().await;
    let editor = "apiVersion: heddle.dev/v1alpha1
kind: Grant
metadata: { name: edith, namespace: bank }
spec: { subjects: [{ user: edith }], role: editor }
";
    bed.put("bert", &(editor.to_owned() + &service("bank"))).await.unwrap();
    let told = said(bed.put("edith", &lends("HTTPRoute", "Service")).await);
    let wanted = "ReferenceGrant bank/lends: no grant of yours allows Create";
    assert!(told.starts_with(wanted), "{told}");
    bed.put("root", &api("bankers").replace("namespace: shop", "namespace: bank")).await.unwrap();
    let of_api = lends("HTTPRoute", "Service")
        .replace("namespace: bank }", "namespace: bank, labels: { heddle.dev/api: orders } }");
    let told = said(bed.put("bert", &of_api).await);
    assert!(told.contains("belongs to no Api; take the label away"), "{told}");
    bed.put("bert", &lends("HTTPRoute", "Service")).await.unwrap();
    let told = said(bed.delete("edith", key(Kind::ReferenceGrant, "bank", "lends")).await);
    assert!(told.contains("no grant of yours allows Delete"), "{told}");
}
