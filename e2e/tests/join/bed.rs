//! A control plane, an origin, and gateways that keep their state in one folder.

use e2e::{Gateway, Origin, Reply, Setup, yaml};
use serde_json::Value;
use tempfile::TempDir;
use wire::Envelope;

use crate::control::{Control, envelopes};

pub(crate) const HOST: &str = "shop.test";

pub(crate) struct Bed {
    pub(crate) control: Control,
    pub(crate) origin: Origin,
    pub(crate) state: TempDir,
    port: u16,
}

impl Bed {
    /// A control plane that is there, and has nothing to say yet.
    pub(crate) async fn new() -> Self {
        Self::with(Control::start().await).await
    }

    pub(crate) async fn with(control: Control) -> Self {
        let origin = Origin::start("shop").await;
        let state = TempDir::new().expect("a folder for the test");
        Bed { control, origin, state, port: e2e::program::free_port() }
    }

    /// A Gateway, a Service, and one route to it for each of these names, below `/NAME`.
    pub(crate) fn shop(&self, routes: &[&str]) -> Vec<Envelope> {
        self.shop_at(routes, None)
    }

    /// The same with one more port.
    pub(crate) fn shop_at(&self, routes: &[&str], more: Option<u16>) -> Vec<Envelope> {
        let ports = [Some(("web", self.port)), more.map(|port| ("more", port))];
        let listeners = ports.into_iter().flatten().map(|(name, port)| yaml::http(name, port));
        let mut documents = vec![
            yaml::gateway(&listeners.collect::<Vec<_>>()),
            yaml::service("shop", &[self.origin.address]),
        ];
        documents
            .extend(routes.iter().map(|name| yaml::path_route(name, &format!("/{name}"), "shop")));
        envelopes(&yaml::join(&documents))
    }

    /// How a gateway is started here, with more arguments.
    pub(crate) fn setup(&self, arguments: &[&str]) -> Setup {
        let (server, state) = (self.control.address.to_string(), self.state.path().join("state"));
        let state = state.to_str().expect("a folder named in ASCII");
        Setup::bare()
            .listener("web", self.port, String::new())
            .joined()
            .arguments(&["--server", &server, "--state", state, "--name", "edge"])
            .arguments(arguments)
    }

    /// A gateway that joins by the token, and is ready.
    pub(crate) async fn joined(&self) -> Gateway {
        self.setup(&["--join", &self.control.token()]).start().await
    }
}

/// What `/config` says of the node.
pub(crate) async fn standing(gateway: &Gateway) -> Value {
    gateway.admin("/config").await.expect("/config answers").json()["joined"].clone()
}

/// The origin answered.
pub(crate) fn assert_served(reply: &Reply) {
    assert_eq!((reply.status, reply.origin()), (200, "shop"), "{reply:?}");
}
