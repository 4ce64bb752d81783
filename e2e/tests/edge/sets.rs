//! Listeners that teams add to the platform's Gateway: each shows a certificate of its own, and what becomes
//! of one set is not felt at another.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use e2e::client::{Fault, nothing, request};
use e2e::program::free_port;
use e2e::trust::{Authority, Certificate};
use e2e::{Connection, Gateway, Origin, Setup, wait, yaml};

use crate::scene::answered;

/// The host of the platform, and those of two teams.
const OWN: &str = "www.infra.test";
const TEAMS: [(&str, &str); 2] = [("books", "books.test"), ("bank", "bank.test")];

/// The Gateway `infra/door`, which lets ListenerSets of these namespaces attach.
fn door(port: u16, from: &str, certificate: &Certificate) -> String {
    let gateway = yaml::gateway(&[yaml::https("tls", port, OWN, "cert")])
        .replace("name: edge,", "name: door,")
        + &format!("  allowedListeners: {{ namespaces: {{ from: {from} }} }}\n");
    of(
        "infra",
        &yaml::join(&[
            gateway,
            yaml::tls_secret("cert", certificate),
            led("infra", "{ name: door }"),
        ]),
    )
}

/// What lies in a namespace.
fn of(namespace: &str, text: &str) -> String {
    text.replace("namespace: shop", &format!("namespace: {namespace}"))
}

/// A route of everything to the Service `app`.
fn led(name: &str, parent: &str) -> String {
    yaml::path_route(name, "/", "app").replace("{ name: edge }", parent)
}

/// All that a team has: its set, the certificate, and a route to its origin.
fn team(name: &str, host: &str, port: u16, certificate: &Certificate, origin: &Origin) -> String {
    let spec = format!(
        "spec:\n  parentRef: {{ name: door, namespace: infra }}\n  listeners: [{}]",
        yaml::https("tls", port, host, "cert")
    );
    let all = [
        yaml::document("gateway.networking.k8s.io/v1", "ListenerSet", "own", &spec),
        yaml::tls_secret("cert", certificate),
        yaml::service("app", &[origin.address]),
        led("all", "{ kind: ListenerSet, name: own }"),
    ];
    of(name, &yaml::join(&all))
}

/// The platform's Gateway and two teams, each behind a file of its own.
struct Scene {
    gateway: Gateway,
    authority: Authority,
    certificates: [Certificate; 2],
    platforms: Certificate,
    port: u16,
    _origins: [Origin; 3],
}

impl Scene {
    async fn start() -> Self {
        let (authority, port) = (Authority::new(), free_port());
        let platforms = authority.sign(OWN);
        let certificates = TEAMS.map(|(_, host)| authority.sign(host));
        let [infra, books, bank] = ["infra", "books", "bank"].map(Origin::start);
        let origins = [infra.await, books.await, bank.await];
        let mut setup = Setup::new()
            .file("door.yaml", door(port, "All", &platforms))
            .file("infra.yaml", of("infra", &yaml::service("app", &[origins[0].address])));
        for (index, (name, host)) in TEAMS.into_iter().enumerate() {
            let text = team(name, host, port, &certificates[index], &origins[index + 1]);
            setup = setup.file(&format!("{name}.yaml"), text);
        }
        let gateway = setup.start().await;
        Scene { gateway, authority, certificates, platforms, port, _origins: origins }
    }

    async fn connect(&self, host: &str) -> Result<Connection, Fault> {
        Box::pin(Connection::tls(self.address(), host, &self.authority, &["http/1.1"])).await
    }

    fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// Who answers at a host, by a new connection; where nobody does, why.
    async fn answers(&self, host: &str) -> Result<String, Fault> {
        let asked = request("GET", host, "/").body(nothing()).expect("a request");
        Ok(self.connect(host).await?.send(asked).await?.origin().to_owned())
    }
}

#[tokio::test]
async fn each_set_shows_a_certificate_of_its_own_and_leads_where_its_team_says() {
    let scene = Scene::start().await;
    let [books, bank] = &scene.certificates;
    let cases = [
        (OWN, &scene.platforms, "infra"),
        ("books.test", books, "books"),
        ("bank.test", bank, "bank"),
    ];
    for (host, certificate, origin) in cases {
        let mut connection = scene.connect(host).await.unwrap();
        assert_eq!(connection.certificate.as_ref(), Some(&certificate.der), "{host}");
        let asked = request("GET", host, "/").body(nothing()).unwrap();
        answered(&scene.gateway, &connection.send(asked).await.unwrap(), origin).await;
    }
    // A host of another set on the same connection belongs elsewhere.
    let mut connection = scene.connect("books.test").await.unwrap();
    let asked = request("GET", "bank.test", "/").body(nothing()).unwrap();
    assert_eq!(connection.send(asked).await.unwrap().status, 421);
    let told = scene.gateway.admin("/config").await.unwrap().json();
    let listeners = told["inForce"]["listeners"].as_array().unwrap();
    let mut sets: Vec<_> = listeners.iter().filter_map(|one| one["set"].as_str()).collect();
    sets.sort_unstable();
    assert_eq!(sets, ["ListenerSet bank/own", "ListenerSet books/own"]);
}

#[tokio::test]
async fn a_set_that_goes_under_load_takes_nobody_elses_requests_with_it() {
    let scene = Arc::new(Scene::start().await);
    let (stop, served) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let caller = tokio::spawn({
        let (scene, stop, served) = (Arc::clone(&scene), Arc::clone(&stop), Arc::clone(&served));
        async move {
            let mut wrong = Vec::new();
            while !stop.load(Ordering::SeqCst) {
                match scene.answers("books.test").await {
                    Ok(origin) if origin == "books" => drop(served.fetch_add(1, Ordering::SeqCst)),
                    other => wrong.push(format!("{other:?}")),
                }
            }
            wrong
        }
    });
    let more = async || {
        let wanted = served.load(Ordering::SeqCst) + 20;
        wait::until_true("more requests", || served.load(Ordering::SeqCst) >= wanted).await;
    };
    more().await;
    let file = scene.gateway.file("bank.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    wait::until_true_of("the set to go", async || scene.answers("bank.test").await.is_err()).await;
    more().await;
    scene.gateway.write("bank.yaml", &text);
    wait::until_true_of("the set to come back", async || {
        scene.answers("bank.test").await.is_ok_and(|origin| origin == "bank")
    })
    .await;
    more().await;
    stop.store(true, Ordering::SeqCst);
    assert_eq!(caller.await.unwrap(), [""; 0]);
    assert_eq!(scene.answers(OWN).await.unwrap(), "infra");
}

#[tokio::test]
async fn a_gateway_that_lets_no_sets_any_more_serves_its_own_hosts_alone() {
    let scene = Scene::start().await;
    scene.gateway.write("door.yaml", &door(scene.port, "Same", &scene.platforms));
    scene.gateway.until_said("no Gateway infra/door takes ListenerSets of namespace 'books'").await;
    for (_, host) in TEAMS {
        wait::until_true_of("it to be served no more", async || scene.answers(host).await.is_err())
            .await;
    }
    assert_eq!(scene.answers(OWN).await.unwrap(), "infra");
}
