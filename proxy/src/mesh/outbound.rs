//! To an application through its proxy: one connection for each worker, a tunnel for each use of it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use h2::client::{self, SendRequest};
use http::{HeaderMap, Method, Request, StatusCode};
use policy::Reason;
use rustls::pki_types::ServerName;
use table::Through;
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;

use super::stream::{Tunnel, gone};
use super::{Credentials, DISOWNED, Disowned, FRAME, HEAD, Membership, TUNNELS, WINDOW, WINDOWS};
use crate::connect;
use crate::cork::Cork;
use crate::failure::Failure;
use crate::settings::Limits;

/// The name that handshakes need and nobody looks at: who is there, their certificate says.
const NAME: &str = "mesh.heddle.internal";

/// The way to one application through its proxy.
#[derive(Debug)]
pub(crate) struct Way {
    pub(crate) through: Arc<Through>,
    membership: Arc<Membership>,
    /// One for each worker: a connection never leaves the worker that opened it.
    shared: Box<[Shared]>,
}

/// The connection of one worker.
#[derive(Debug, Default)]
struct Shared {
    open: ArcSwapOption<Open>,
    opening: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Open {
    /// Of the credentials that it was opened by.
    number: u64,
    requests: SendRequest<Bytes>,
    over: CancellationToken,
}

impl Way {
    pub(crate) fn new(through: Arc<Through>, membership: &Arc<Membership>, workers: usize) -> Self {
        let shared = (0..workers).map(|_| Shared::default()).collect();
        Way { through, membership: Arc::clone(membership), shared }
    }

    /// The credentials by which a tunnel would be opened now; what was opened by others is not used
    /// any more.
    pub(crate) fn number(&self) -> Option<u64> {
        self.membership.now().map(|now| now.number)
    }

    /// A tunnel to `to`, within `bound`; the proxy is told `heads` of it.
    pub(crate) async fn tunnel(
        &self,
        to: SocketAddr,
        worker: usize,
        (limits, bound): (&Limits, Duration),
        heads: HeaderMap,
    ) -> Result<Tunnel, Failure> {
        let opening = self.open(to, worker, limits, heads);
        let opened = tokio::time::timeout(bound, opening).await;
        opened.map_err(Failure::unreached)?
    }

    async fn open(
        &self,
        to: SocketAddr,
        worker: usize,
        limits: &Limits,
        heads: HeaderMap,
    ) -> Result<Tunnel, Failure> {
        let mut connect = Request::new(());
        *connect.method_mut() = Method::CONNECT;
        *connect.uri_mut() = to.to_string().parse().map_err(Failure::unreached)?;
        *connect.headers_mut() = heads;
        loop {
            let (open, is_new) = self.connection(worker, limits).await?;
            match ask(&open, connect.clone()).await {
                Ok((StatusCode::OK, tunnel)) => return Ok(tunnel),
                Ok((status, _)) => {
                    let peer = &self.through.peer;
                    let why = format!("the proxy of {peer} answered {status}");
                    return Err(match status {
                        // It is who asks that is not let in, and so it would be elsewhere.
                        StatusCode::FORBIDDEN => {
                            Failure::backend(Reason::AccessDenied).because(why)
                        }
                        StatusCode::TOO_MANY_REQUESTS => {
                            Failure::backend(Reason::RateLimited).because(why)
                        }
                        _ => unreached(&why),
                    });
                }
                Err(error) if is_new => return Err(Failure::unreached(error)),
                // It was closed meanwhile; the next one is new.
                Err(_) => {
                    self.shared[worker].forget(&open);
                }
            }
        }
    }

    /// The worker's connection, opened if there is none by the credentials of now.
    async fn connection(
        &self,
        worker: usize,
        limits: &Limits,
    ) -> Result<(Arc<Open>, bool), Failure> {
        let shared = &self.shared[worker];
        if let Some(open) = shared.usable(&*self.credentials()?) {
            return Ok((open, false));
        }
        // Of several who want it at once, one opens it.
        let _alone = shared.opening.lock().await;
        let credentials = self.credentials()?;
        if let Some(open) = shared.usable(&credentials) {
            return Ok((open, false));
        }
        let open = Arc::new(self.handshake(&credentials, limits).await?);
        shared.open.store(Some(Arc::clone(&open)));
        Ok((open, true))
    }

    fn credentials(&self) -> Result<Arc<Credentials>, Failure> {
        self.membership.now().ok_or_else(|| {
            unreached("this proxy has no certificate yet by which it speaks in the mesh")
        })
    }

    async fn handshake(&self, credentials: &Credentials, limits: &Limits) -> Result<Open, Failure> {
        let stream = connect::plain(self.through.address, limits.connect).await?;
        let name = ServerName::try_from(NAME).map_err(Failure::unreached)?;
        let connector = TlsConnector::from(Arc::clone(&credentials.client));
        let stream = connector.connect(name, stream).await.map_err(Failure::unreached)?;
        let chain = stream.get_ref().1.peer_certificates().unwrap_or_default().to_vec();
        let found = credentials.check.proven(&chain).map_err(Failure::unreached)?.peer;
        let wanted = &self.through.peer;
        if found != *wanted {
            let address = self.through.address;
            return Err(unreached(&format!("{found} answers at {address}, not {wanted}")));
        }
        let cork = Cork::new(stream);
        let (requests, mut connection) = client::Builder::new()
            .enable_push(false)
            .max_header_list_size(HEAD)
            .max_concurrent_reset_streams(TUNNELS as usize)
            .initial_window_size(WINDOW)
            .initial_connection_window_size(WINDOWS)
            .max_frame_size(FRAME)
            .handshake::<_, Bytes>(cork.clone())
            .await
            .map_err(Failure::unreached)?;
        let over = CancellationToken::new();
        let open = Open { number: credentials.number, requests, over: over.clone() };
        let pings = connection.ping_pong().expect("nobody took them before");
        // Longer than to connect takes: what is asked for waits behind all that is under way.
        let gone = gone(pings, limits.backend_idle, limits.handshake);
        // Ends when its senders are dropped and its tunnels are over, or a while after nobody vouches any
        // more for who is there: nothing new goes through it by then, since it has another number.
        let (membership, number) = (Arc::clone(&self.membership), credentials.number);
        tokio::spawn(cork.sending(async move {
            let _over = over.drop_guard();
            let mut connection = std::pin::pin!(connection);
            let ended = tokio::select! {
                ended = connection.as_mut() => Ok(ended),
                () = gone => return tracing::debug!("a proxy does not answer; it is let go"),
                disowned = membership.disowns(&chain, number) => match disowned {
                    Disowned::Retired => {
                        tracing::info!("a connection under a root that was retired is let go");
                        tokio::time::timeout(DISOWNED, connection).await
                    }
                    Disowned::Revoked => {
                        return tracing::info!("a connection to a node that was shut out is cut");
                    }
                },
            };
            match ended {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!(%error, "a connection to a proxy ended"),
                Err(_) => tracing::info!("what was under way under a retired root is cut"),
            }
        }));
        Ok(open)
    }
}

/// Asks for a tunnel, which is one if the status says so.
async fn ask(open: &Open, connect: Request<()>) -> Result<(StatusCode, Tunnel), h2::Error> {
    let mut requests = open.requests.clone().ready().await?;
    let (response, to) = requests.send_request(connect, false)?;
    let (head, from) = response.await?.into_parts();
    Ok((head.status, Tunnel::new(to, from)))
}

impl Shared {
    /// The one that is open, unless it was opened by a certificate that was renewed since.
    fn usable(&self, credentials: &Credentials) -> Option<Arc<Open>> {
        let open = self.open.load_full()?;
        (open.number == credentials.number && !open.over.is_cancelled()).then_some(open)
    }

    fn forget(&self, gone: &Arc<Open>) {
        if self.open.load_full().is_some_and(|open| Arc::ptr_eq(&open, gone)) {
            self.open.store(None);
        }
    }
}

fn unreached(why: &str) -> Failure {
    Failure::unreached(io::Error::new(io::ErrorKind::NotConnected, why))
}
