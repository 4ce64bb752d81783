//! TLS at the border: which certificate a caller is shown, by the name it asks for.

use std::collections::HashMap;
use std::sync::Arc;

use model::Key;
use model::gateway::TlsVersion;
use policy::{Layer, Scheme};
use rustls::ServerConfig;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{
    ClientHello, NoServerSessionStorage, ProducesTickets, ResolvesServerCert,
    ServerSessionMemoryCache,
};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use table::{ClientValidation, Listener, Table};

use certificate::certified;
use client::Asks;
use tickets::Keyring;

pub(crate) mod backend;
mod certificate;
pub(crate) mod client;
pub mod tickets;

pub use certificate::{Stated, check, check_called};
pub use client::check as check_authorities;

/// Sessions of TLS 1.2 that are kept for clients which take no tickets.
const SESSIONS: usize = 256;

/// What becomes of connections on one port with TLS.
#[derive(Debug)]
pub(crate) struct Tls {
    shown: Arc<Shown>,
    /// By the listener's place in the table; one that goes on to the backend as it came has none.
    ends: HashMap<usize, Arc<Ending>>,
    /// What becomes of all of them, where it is the same, so that nobody need look at a server name first.
    pub(crate) only: Option<Arc<Ending>>,
    /// For names that no listener has: the handshake fails.
    nobody: Arc<Ending>,
    /// The Secrets whose certificates are shown, and when these end, in seconds since 1970.
    pub(crate) shown_until: Vec<(Key, i64)>,
}

/// How TLS ends here.
#[derive(Debug)]
pub(crate) struct Ending {
    pub(crate) config: Arc<ServerConfig>,
    /// What it carries.
    pub(crate) layer: Layer,
    /// What callers are asked to prove.
    pub(crate) asks: Option<Asks>,
}

/// What becomes of a connection.
pub(crate) enum Fate {
    /// It goes on as it came.
    HandedOn,
    /// It ends here.
    Ends(Arc<Ending>),
}

/// What makes endings of a port differ.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Sort {
    layer: Layer,
    oldest: TlsVersion,
    asked: Option<Arc<ClientValidation>>,
    /// Whose sessions resume: who resumes one is shown no certificate, so those of another owner's listener do
    /// not. Nobody's do where callers are to prove themselves.
    owner: Option<Key>,
}

/// What becomes of connections on each port of `table` with TLS. A certificate that cannot be read is
/// left out: its names get no handshake, everybody else's do.
pub(crate) fn by_port(table: &Arc<Table>, keyring: &Arc<Keyring>) -> HashMap<u16, Arc<Tls>> {
    let mut ports: HashMap<u16, Draft> = HashMap::new();
    for (index, listener) in table.listeners.iter().enumerate() {
        // A refused listener may share its port with somebody's plain HTTP.
        if listener.scheme() != Scheme::Https || !listener.is_serving() {
            continue;
        }
        let port = listener.port;
        let draft = ports.entry(port).or_insert_with(|| Draft::new(table, port));
        draft.add(index, listener, keyring);
    }
    ports.into_iter().map(|(port, draft)| (port, Arc::new(Tls::new(draft)))).collect()
}

/// What the listeners of a port come to.
struct Draft {
    shown: Shown,
    /// By the listener's place in the table.
    ends: Vec<(usize, Sort, Arc<dyn ProducesTickets>)>,
    /// Whether TLS ends here at each of them.
    ends_all: bool,
    until: Vec<(Key, i64)>,
}

impl Draft {
    fn new(table: &Arc<Table>, port: u16) -> Self {
        let shown = Shown { table: Arc::clone(table), port, keys: HashMap::new() };
        Draft { shown, ends: Vec::new(), ends_all: true, until: Vec::new() }
    }

    fn add(&mut self, index: usize, listener: &Listener, keyring: &Arc<Keyring>) {
        self.ends_all &= listener.ends_tls();
        if !listener.ends_tls() {
            return;
        }
        let asked = listener.client_validation.clone();
        let owner = listener.set.as_ref().unwrap_or(&listener.gateway);
        let tickets = keyring.at(&listener.gateway, owner);
        let owner = asked.is_none().then(|| owner.clone());
        let sort = Sort { layer: listener.layer(), oldest: listener.min_version, asked, owner };
        self.ends.push((index, sort, tickets));
        let keys = self.shown.keys.entry(index).or_default();
        for certificate in &listener.certificates {
            match certified(&certificate.chain_pem, &certificate.key_pem) {
                Ok(key) => {
                    let until = key.cert.first().and_then(certificate::ends);
                    self.until.extend(until.map(|until| (certificate.secret.clone(), until)));
                    keys.push(Arc::new(key));
                }
                Err(error) => {
                    tracing::error!(secret = %certificate.secret, %error, "certificate left out")
                }
            }
        }
    }
}

impl Tls {
    fn new(draft: Draft) -> Self {
        let Draft { shown, ends, ends_all, until } = draft;
        let shown = Arc::new(shown);
        let mut endings: HashMap<Sort, Arc<Ending>> = HashMap::new();
        let nobody = Arc::new(Ending::nobody());
        let ends = ends.into_iter().map(|(index, sort, tickets)| {
            let made = || match Ending::new(&sort, &shown, &tickets) {
                Ok(ending) => Arc::new(ending),
                Err(error) => {
                    // Such a ConfigMap is refused before a table is assembled.
                    tracing::error!(%error, "nobody can be believed: its listeners get no handshake");
                    Arc::clone(&nobody)
                }
            };
            (index, Arc::clone(endings.entry(sort.clone()).or_insert_with(made)))
        });
        let ends: HashMap<_, _> = ends.collect();
        let mut all = endings.into_values();
        let only = match (all.next(), all.next()) {
            (Some(one), None) if ends_all && one.layer == Layer::Request => Some(one),
            _ => None,
        };
        Tls { shown, ends, only, nobody, shown_until: until }
    }

    /// What becomes of a connection that asks for a server name.
    pub(crate) fn fate(&self, name: &str) -> Fate {
        let table = &self.shown.table;
        let Some(index) = table.listener_index(self.shown.port, name) else {
            return Fate::Ends(Arc::clone(&self.nobody));
        };
        match self.ends.get(&index) {
            Some(ending) => Fate::Ends(Arc::clone(ending)),
            None => Fate::HandedOn,
        }
    }
}

impl Ending {
    fn new(
        Sort { layer, oldest, asked, owner: _ }: &Sort,
        shown: &Arc<Shown>,
        tickets: &Arc<dyn ProducesTickets>,
    ) -> Result<Self, client::Error> {
        let asks = asked.as_ref().map(Asks::new).transpose()?;
        let verifier = asks.as_ref().map(Asks::verifier);
        let mut config = config(Arc::clone(shown) as _, verifier, *oldest, *layer);
        // Who resumes a session proves nothing anew: neither that they have the key still, nor that their
        // certificate holds. So where that is asked for, each handshake is a whole one.
        if asks.is_none() {
            config.ticketer = Arc::clone(tickets);
            config.send_tls13_tickets = 1;
            config.session_storage = ServerSessionMemoryCache::new(SESSIONS);
        }
        Ok(Ending { config: Arc::new(config), layer: *layer, asks })
    }

    /// Where no handshake succeeds.
    fn nobody() -> Self {
        let layer = Layer::Request;
        let config = config(Arc::new(NoCertificate), None, TlsVersion::default(), layer);
        Ending { config: Arc::new(config), layer, asks: None }
    }
}

/// By which no session resumes.
fn config(
    shown: Arc<dyn ResolvesServerCert>,
    verifier: Option<Arc<dyn ClientCertVerifier>>,
    oldest: TlsVersion,
    layer: Layer,
) -> ServerConfig {
    let versions = match oldest {
        TlsVersion::V12 => &[&TLS13, &TLS12][..],
        TlsVersion::V13 => &[&TLS13],
    };
    let builder = ServerConfig::builder_with_protocol_versions(versions);
    let builder = match verifier {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(shown);
    // Of what carries anything else nothing is agreed on (RFC 7301).
    if layer == Layer::Request {
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    }
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config
}

/// The server name of a handshake as hosts are compared: in lower case, without the dot of the root, which
/// names the same host (RFC 6066, section 3, wants none there); empty where it had none.
pub(crate) fn server_name(sent: Option<&str>) -> Box<str> {
    let sent = sent.unwrap_or_default();
    sent.strip_suffix('.').unwrap_or(sent).to_ascii_lowercase().into()
}

/// The certificates that one port shows. Which listener a name selects, the table says, here as for
/// requests.
#[derive(Debug)]
struct Shown {
    table: Arc<Table>,
    port: u16,
    /// By the listener's place in the table.
    keys: HashMap<usize, Vec<Arc<CertifiedKey>>>,
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = server_name(hello.server_name());
        let keys = self.keys.get(&self.table.listener_index(self.port, &name)?)?;
        let fits =
            |key: &&Arc<CertifiedKey>| key.key.choose_scheme(hello.signature_schemes()).is_some();
        // Where none fits, what is found out next is that no suite does, and the client is told so.
        keys.iter().find(fits).or(keys.first()).cloned()
    }
}

/// Shows none to anybody.
#[derive(Debug)]
struct NoCertificate;

impl ResolvesServerCert for NoCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        None
    }
}
