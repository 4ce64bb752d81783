//! The ports that a table wants: which are open, for which listeners, and why one is not.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, SocketAddr};

use model::service::Transport;
use model::{Key, Name};
use table::{Outbound, Table};
use tokio_util::sync::CancellationToken;

use crate::bind::{self, Inlet, Place};

/// A port of a transport.
type Port = (Transport, u16);

/// What became of each port that is wanted; those that nobody tried to open yet are absent.
pub(crate) type States = BTreeMap<Port, Result<(), String>>;

/// A port that could not be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("port {port}{} is not open for {}: {reason}", of(*transport), words(listeners))]
pub struct ApplyError {
    /// What carries what comes to it.
    pub transport: Transport,
    /// The port.
    pub port: u16,
    /// The listeners that want it: each with its Gateway and its name there.
    pub listeners: Vec<(Key, Name)>,
    /// Why it is not open, and what would help.
    pub reason: String,
}

/// The ports of one process.
#[derive(Debug)]
pub(crate) struct Ports {
    address: IpAddr,
    workers: usize,
    /// Where this process's own admin port is, if it has one.
    admin: Option<SocketAddr>,
    open: BTreeMap<Port, Open>,
    /// Whether another process may take them over.
    lends: bool,
    /// Whether connections are for the process before, so that nothing new may listen.
    waits: bool,
    /// Sockets of the process before, by where they are, that no table wanted yet.
    given: BTreeMap<Place, Vec<Inlet>>,
    /// What was last said to be open.
    told: BTreeSet<Listening>,
}

/// A port that is open.
#[derive(Debug)]
struct Open {
    address: IpAddr,
    closed: CancellationToken,
    /// Copies of its sockets, where another process may take them over.
    sockets: Vec<Inlet>,
}

/// A listener whose port is open.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Listening {
    port: u16,
    protocol: &'static str,
    gateway: Key,
    /// The ListenerSet that adds it, if one does.
    set: Option<Key>,
    name: Name,
}

impl Ports {
    /// None is open yet; each will be at `address`, with a socket for each of the workers.
    pub(crate) fn new(address: IpAddr, workers: usize) -> Self {
        Ports {
            address,
            workers,
            admin: None,
            open: BTreeMap::new(),
            lends: false,
            waits: false,
            given: BTreeMap::new(),
            told: BTreeSet::new(),
        }
    }

    /// Keeps copies of all sockets from now on, so that another process can take them over.
    pub(crate) fn lend(&mut self) {
        self.lends = true;
    }

    /// Uses sockets of the process before where a table wants a port of theirs.
    pub(crate) fn are_given(&mut self, sockets: Vec<Inlet>) -> io::Result<()> {
        self.waits = true;
        for socket in sockets {
            self.given.entry(socket.place()?).or_default().push(socket);
        }
        Ok(())
    }

    /// Has all sockets listen, and closes those of the process before that nobody wanted.
    pub(crate) fn accept(&mut self) {
        self.waits = false;
        for socket in self.sockets() {
            // Where it fails the worker that has the socket fails too, and says so.
            let _ = socket.listen();
        }
        for (_, place) in std::mem::take(&mut self.given).into_keys() {
            tracing::info!(%place, "nothing is served here any more; its sockets are closed");
        }
    }

    /// All sockets of open ports, where another process may take them over.
    pub(crate) fn sockets(&self) -> impl Iterator<Item = &Inlet> {
        self.open.values().flat_map(|open| &open.sockets)
    }

    /// Takes note of where the admin port is.
    pub(crate) fn admin_is_at(&mut self, admin: SocketAddr) {
        self.admin = Some(admin);
    }

    /// Has open what `table` wants and nothing else, `hand`s out new sockets with a token that closes them, and
    /// says in the log which listeners came and went.
    ///
    /// New ports open before old ones close, so that a listener that moves is always at one of its two places.
    pub(crate) fn follow(
        &mut self,
        table: &Table,
        mut hand: impl FnMut(SocketAddr, Vec<Inlet>, &CancellationToken),
    ) -> Vec<ApplyError> {
        let wanted = self.wanted(table);
        let is_elsewhere =
            |port: &Port, open: &Open| wanted.get(port).is_some_and(|at| *at != open.address);
        self.close_where(is_elsewhere);
        let mut failed = Vec::new();
        for (port, address) in &wanted {
            if self.open.contains_key(port) {
                continue;
            }
            let (transport, number) = *port;
            let place = (transport, SocketAddr::new(*address, number));
            match self.open_at(place) {
                Ok((sockets, open)) => {
                    hand(place.1, sockets, &open.closed);
                    self.open.insert(*port, open);
                }
                Err(error) => failed.push(ApplyError {
                    transport,
                    port: number,
                    listeners: listeners(table, *port),
                    reason: self.explain(place, &error),
                }),
            }
        }
        self.close_where(|port, _| !wanted.contains_key(port));
        self.tell(table);
        failed
    }

    fn close_where(&mut self, goes: impl Fn(&Port, &Open) -> bool) {
        for (_, mut open) in self.open.extract_if(.., |port, open| goes(port, open)) {
            open.close();
        }
    }

    /// The sockets of a place: of the process before where it had some, and copies for the one after.
    fn open_at(&mut self, place: Place) -> io::Result<(Vec<Inlet>, Open)> {
        let sockets = match self.given.remove(&place) {
            Some(given) => bind::complete(given, place, self.workers)?,
            None if self.waits => bind::reserve(place, self.workers)?,
            None => bind::open(place, self.workers)?,
        };
        let copied = sockets.iter().filter(|_| self.lends).map(Inlet::try_clone);
        let copies = copied.collect::<io::Result<_>>()?;
        let closed = CancellationToken::new();
        Ok((sockets, Open { address: place.1.ip(), closed, sockets: copies }))
    }

    /// What became of the ports, of which these failed.
    pub(crate) fn states(&self, failed: &[ApplyError]) -> States {
        let open = self.open.keys().map(|port| (*port, Ok(())));
        open.chain(failed.iter().map(|one| ((one.transport, one.port), Err(one.reason.clone()))))
            .collect()
    }

    /// Closes all.
    pub(crate) fn close(&mut self) {
        self.open.values_mut().for_each(Open::close);
    }

    /// The ports to open, and where: of listeners, and of the mesh. What an application sends is taken
    /// from it alone.
    fn wanted(&self, table: &Table) -> BTreeMap<Port, IpAddr> {
        let inbound = table.inbound.iter().map(|inbound| inbound.address.port());
        let ports = table.ports().into_keys().chain(inbound);
        let outbound = table.outbound.iter().flat_map(Outbound::addresses);
        let outbound = outbound.map(|address| (address.port(), address.ip()));
        let ports = ports.map(|port| (port, self.address)).chain(outbound);
        let ports = ports.map(|(port, address)| ((Transport::Tcp, port), address));
        let udp = table.udp_ports().map(|port| ((Transport::Udp, port), self.address));
        ports.chain(udp).collect()
    }

    fn explain(&self, (transport, place): Place, error: &io::Error) -> String {
        let is_admin = || self.admin.is_some_and(|admin| overlap(admin, place));
        match error.kind() {
            io::ErrorKind::AddrInUse if transport == Transport::Tcp && is_admin() => {
                format!(
                    "{place} is held by this process's own admin port; name another port there, \
                     or another address with --admin"
                )
            }
            io::ErrorKind::AddrInUse => format!(
                "{place} is in use by another process; stop that one or name another port there"
            ),
            io::ErrorKind::PermissionDenied => format!(
                "{place} needs a privilege (CAP_NET_BIND_SERVICE); name a port of 1024 or above"
            ),
            _ => format!("{place}: {error}"),
        }
    }

    /// Says which listeners are open now and were not, and the other way round.
    fn tell(&mut self, table: &Table) {
        let serving = table.listeners.iter().filter(|one| one.is_serving());
        let open =
            serving.filter(|one| self.open.contains_key(&one.place())).map(|one| Listening {
                port: one.port,
                protocol: one.protocol.as_str(),
                gateway: one.gateway.clone(),
                set: one.set.clone(),
                name: one.name.clone(),
            });
        let now: BTreeSet<_> = open.collect();
        self.told.difference(&now).for_each(|one| one.tell(self.address, "listener closed"));
        now.difference(&self.told).for_each(|one| one.tell(self.address, "listener opened"));
        self.told = now;
    }
}

impl Open {
    /// Copies go first: what waits in a queue is for whoever closes it last, and a worker takes it.
    fn close(&mut self) {
        self.sockets.clear();
        self.closed.cancel();
    }
}

impl Listening {
    fn tell(&self, address: IpAddr, what: &str) {
        let address = SocketAddr::new(address, self.port);
        let Listening { protocol, gateway, set, name: listener, .. } = self;
        match set {
            Some(set) => tracing::info!(%address, protocol, %gateway, %set, %listener, "{what}"),
            None => tracing::info!(%address, protocol, %gateway, %listener, "{what}"),
        }
    }
}

/// Whether two sockets cannot both be had.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let (a, b) = (one.ip().to_canonical(), other.ip().to_canonical());
    one.port() == other.port() && (a == b || a.is_unspecified() || b.is_unspecified())
}

/// Who wants a port.
fn listeners(table: &Table, port: Port) -> Vec<(Key, Name)> {
    let wanting = table.listeners.iter().filter(|one| one.is_serving() && one.place() == port);
    let (transport, port) = port;
    let mesh = table.inbound.iter().filter(|inbound| {
        let mut outbound = table.outbound.iter().flat_map(Outbound::addresses);
        let is_theirs = inbound.is_at(port) || outbound.any(|address| address.port() == port);
        transport == Transport::Tcp && is_theirs
    });
    let mesh = mesh.map(|inbound| (inbound.workload.clone(), proxys()));
    wanting.map(|one| (one.owner().clone(), one.name.clone())).chain(mesh).collect()
}

/// What is said behind a port's number.
fn of(transport: Transport) -> &'static str {
    match transport {
        Transport::Tcp => "",
        Transport::Udp => " of UDP",
        Transport::Sctp => " of SCTP",
    }
}

/// What a port of a workload's proxy is called beside the listeners of Gateways.
fn proxys() -> Name {
    Name::parse("mesh").expect("'mesh' is a name")
}

/// Such as `listener 'web' of Gateway shop/edge`.
fn words(listeners: &[(Key, Name)]) -> String {
    let words = listeners.iter().map(|(gateway, name)| format!("listener '{name}' of {gateway}"));
    words.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_overlap_where_port_and_address_do() {
        for (one, other, wanted) in [
            ("127.0.0.1:9901", "127.0.0.1:9901", true),
            ("127.0.0.1:9901", "0.0.0.0:9901", true),
            ("[::]:9901", "127.0.0.1:9901", true),
            ("[::ffff:127.0.0.1]:9901", "127.0.0.1:9901", true),
            ("127.0.0.1:9901", "127.0.0.1:9902", false),
            ("127.0.0.1:9901", "127.0.0.2:9901", false),
        ] {
            let (a, b) = (one.parse().unwrap(), other.parse().unwrap());
            assert_eq!((overlap(a, b), overlap(b, a)), (wanted, wanted), "{one} {other}");
        }
    }
}
