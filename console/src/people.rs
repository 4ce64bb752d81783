//! The port for people and programs: as many connections as there are places, each of which has to
//! say in time what it wants.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tower::ServiceExt as _;

/// Connections at once; further ones wait to be taken.
const CONNECTIONS: usize = 4_096;

/// Connections of one address at once, but of this machine; further ones are closed.
const PER_PEER: usize = 256;

/// How long the head of a request may take, also the wait for the next one of a connection.
const HEAD: Duration = Duration::from_secs(60);

/// How long a peer may leave a ping of HTTP/2 without answer, and how often it is asked.
const PING: Duration = Duration::from_secs(20);

/// How long it is waited when no connection can be taken, as when no more files may be opened.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves until `stop` says true, and until what is under way then has ended.
pub(crate) async fn serve(listener: TcpListener, router: Router, mut stop: watch::Receiver<bool>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let peers = Peers::default();
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD);
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(PING).keep_alive_timeout(PING);
    builder.http2().max_concurrent_streams(100);
    let graceful = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            accepted = accept(&listener, &places) => accepted,
        };
        let Some((stream, peer, place)) = accepted else { continue };
        let Some(held) = Held::take(&peers, peer.ip()) else { continue };
        let router = router.clone();
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo::<SocketAddr>(peer));
            router.clone().oneshot(request.map(Body::new))
        });
        let (builder, watcher, mut stop) = (builder.clone(), graceful.watcher(), stop.clone());
        tokio::spawn(async move {
            // What waits for a head begins to wait with its first byte.
            let first = async {
                let mut byte = [0];
                let peeked = tokio::time::timeout(HEAD, stream.peek(&mut byte)).await;
                matches!(peeked, Ok(Ok(1)))
            };
            let speaks = tokio::select! {
                _ = stop.wait_for(|stop| *stop) => false,
                speaks = first => speaks,
            };
            if !speaks {
                return;
            }
            let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
            let connection = watcher.watch(connection);
            // What goes wrong with a connection is its peer's doing, who sees it.
            let _ended = connection.await;
            drop((place, held));
        });
    }
    drop(listener);
    graceful.shutdown().await;
}

/// How many connections each address has.
type Peers = Arc<Mutex<HashMap<IpAddr, usize>>>;

/// One connection of an address.
struct Held(Peers, IpAddr);

impl Held {
    /// None for an address that has its share; those of this machine share with nobody.
    fn take(peers: &Peers, address: IpAddr) -> Option<Self> {
        let mut all = peers.lock().unwrap_or_else(PoisonError::into_inner);
        let count = all.get(&address).copied().unwrap_or(0);
        if count >= PER_PEER && !address.is_loopback() {
            return None;
        }
        all.insert(address, count + 1);
        Some(Held(Arc::clone(peers), address))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match all.get_mut(&self.1) {
            Some(count) if *count > 1 => *count -= 1,
            Some(_) | None => drop(all.remove(&self.1)),
        }
    }
}

/// A connection with a place for it; none where that failed for now.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => Some((stream, peer, place)),
        Err(error) => {
            tracing::warn!(%error, "a connection could not be taken");
            tokio::time::sleep(PAUSE).await;
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    async fn started() -> (SocketAddr, watch::Sender<bool>, tokio::task::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/", get(|| async { "here" }));
        let (stop, stopped) = watch::channel(false);
        (address, stop, tokio::spawn(serve(listener, router, stopped)))
    }

    #[tokio::test]
    async fn an_idle_connection_does_not_keep_the_server_from_ending() {
        let (address, stop, serving) = started().await;
        let mut idle = TcpStream::connect(address).await.unwrap();
        idle.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        let mut answer = vec![0; 1024];
        let read = idle.read(&mut answer).await.unwrap();
        assert!(answer[..read].starts_with(b"HTTP/1.1 200 OK\r\n"));
        stop.send_replace(true);
        tokio::time::timeout(Duration::from_secs(10), serving).await.unwrap().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn who_never_speaks_is_let_go() {
        let (address, _stop, _serving) = started().await;
        let mut silent = TcpStream::connect(address).await.unwrap();
        let read = tokio::time::timeout(2 * HEAD, silent.read(&mut [0])).await;
        assert_eq!(read.unwrap().unwrap(), 0);
    }

    #[test]
    fn an_address_has_no_more_than_its_share() {
        let (peers, address) = (Peers::default(), IpAddr::from([192, 0, 2, 1]));
        let mut held: Vec<_> = (0..PER_PEER).map(|_| Held::take(&peers, address)).collect();
        assert!(held.iter().all(Option::is_some) && Held::take(&peers, address).is_none());
        held.pop();
        assert!(Held::take(&peers, address).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn who_says_nothing_in_time_is_let_go() {
        let (address, _stop, _serving) = started().await;
        let mut slow = TcpStream::connect(address).await.unwrap();
        slow.write_all(b"GET / HTTP/1.1\r\nhost: loc").await.unwrap();
        let mut answer = Vec::new();
        slow.read_to_end(&mut answer).await.unwrap();
        assert!(!answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    }
}
