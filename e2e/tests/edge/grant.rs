//! References across namespaces: let by a grant that lies where they lead, and while it does.

use e2e::client::{nothing, request};
use e2e::program::free_port;
use e2e::trust::Authority;
use e2e::{Connection, Gateway, Origin, Setup, wait, yaml};

use crate::scene::{HOST, answered, refused};

const GRANT: &str = "grant.yaml";
const PORT: &str = "secure";

/// What lies in the namespace `bank`.
fn of_bank(document: &str) -> String {
    document.replace("namespace: shop", "namespace: bank")
}

/// A grant in `bank` to objects of a kind in `shop`.
fn grant(from: &str, to: &str) -> String {
    let head = yaml::document("gateway.networking.k8s.io/v1beta1", "ReferenceGrant", "lends", "");
    let spec = format!(
        "spec:\n  from: [{{ group: gateway.networking.k8s.io, kind: {from}, namespace: shop }}]\n  \
         to: [{{ group: '', {to} }}]\n"
    );
    of_bank(&head) + &spec
}

/// Waits until a path is answered with a status.
async fn until_status(gateway: &Gateway, path: &str, status: u16) {
    wait::until(&format!("{path} to be answered {status}"), || async {
        let asked = request("GET", HOST, path).body(nothing()).ok()?;
        let reply = gateway.try_send(asked).await.ok()?;
        (reply.status == status).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_route_leads_into_another_namespace_while_a_grant_there_lets_it() {
    let (books, own) = (Origin::start("books").await, Origin::start("own").await);
    let across = yaml::route(
        "across",
        "rules: [{ matches: [{ path: { value: /books } }], \
         backendRefs: [{ name: books, namespace: bank, port: 80 }] }]",
    );
    let gateway = Setup::new()
        .with(of_bank(&yaml::service("books", &[books.address])))
        .with(yaml::service("own", &[own.address]))
        .with(yaml::path_route("rest", "/", "own"))
        .with(across)
        .start()
        .await;
    refused(&gateway, &gateway.get(HOST, "/books").await, 500, "backend_not_allowed").await;
    gateway.until_said("no ReferenceGrant in 'bank' lets HTTPRoutes of 'shop'").await;
    gateway.write(GRANT, &grant("HTTPRoute", "kind: Service, name: books"));
    until_status(&gateway, "/books", 200).await;
    answered(&gateway, &gateway.get(HOST, "/books").await, "books").await;
    // One that cannot be read stays as it was; another one of a Service is none of this one.
    gateway.write(GRANT, &grant("HTTPRoute", "kind: Servise, name: books"));
    gateway.until_said("no 'Servise' of the core group").await;
    answered(&gateway, &gateway.get(HOST, "/books").await, "books").await;
    gateway.write(GRANT, &grant("HTTPRoute", "kind: Service, name: other"));
    until_status(&gateway, "/books", 500).await;
    gateway.write(GRANT, &grant("HTTPRoute", "kind: Service"));
    until_status(&gateway, "/books", 200).await;
    std::fs::remove_file(gateway.file(GRANT)).expect("the grant's file is there");
    until_status(&gateway, "/books", 500).await;
    refused(&gateway, &gateway.get(HOST, "/books").await, 500, "backend_not_allowed").await;
    answered(&gateway, &gateway.get(HOST, "/").await, "own").await;
}

#[tokio::test]
async fn a_listener_shows_the_certificate_of_another_namespace_while_a_grant_there_lets_it() {
    let (origin, authority, port) = (Origin::start("shop").await, Authority::new(), free_port());
    let secret = of_bank(&yaml::tls_secret("cert", &authority.sign(HOST)));
    let listener = yaml::https("tls", port, HOST, "cert")
        .replace("{ name: cert }", "{ name: cert, namespace: bank }");
    assert!(listener.contains("namespace: bank"), "{listener}");
    let gateway = Setup::new()
        .listener(PORT, port, listener)
        .with(secret)
        .with(yaml::service("shop", &[origin.address]))
        .with(yaml::path_route("all", "/", "shop"))
        .file(GRANT, grant("Gateway", "kind: Secret, name: cert"))
        .start()
        .await;
    let address = gateway.listener(PORT);
    let connect = || Connection::tls(address, HOST, &authority, &["http/1.1"]);
    let mut connection = connect().await.expect("it shows the certificate");
    let asked = request("GET", HOST, "/").body(nothing()).expect("a request");
    answered(&gateway, &connection.send(asked).await.expect("an answer"), "shop").await;
    gateway.write(GRANT, &grant("Gateway", "kind: Secret, name: other"));
    wait::until_true_of("nobody to be shown it", async || Box::pin(connect()).await.is_err()).await;
    gateway.until_said("no ReferenceGrant in 'bank' lets Gateways of 'shop'").await;
    answered(&gateway, &gateway.get(HOST, "/").await, "shop").await;
    gateway.write(GRANT, &grant("Gateway", "kind: Secret"));
    wait::until_true_of("it to be shown again", async || Box::pin(connect()).await.is_ok()).await;
}
