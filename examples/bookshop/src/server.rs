//! The open door: accepts HTTP/1.1 and HTTP/2 by prior knowledge, and closes in good order.

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::shop::Shop;

/// How many connections are open at once; the next one waits in the kernel.
const MOST_CONNECTIONS: usize = 1024;

/// How long a connection may stay without a request.
const IDLE: Duration = Duration::from_secs(60);

/// How long requests under way may take to finish once the door is closed.
const CLOSING: Duration = Duration::from_secs(5);

/// Serves until `stop` is given, then lets what is under way finish.
pub(crate) async fn serve(listener: TcpListener, shop: Arc<Shop>, stop: CancellationToken) {
    let slots = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let mut connections = JoinSet::new();
    while let Some((stream, slot)) = next(&listener, &slots, &mut connections, &stop).await {
        let (shop, stop) = (Arc::clone(&shop), stop.clone());
        connections.spawn(async move {
            converse(stream, shop, stop).await;
            drop(slot);
        });
    }
    drop(listener);
    shop.sockets().close();
    let drained = async {
        while connections.join_next().await.is_some() {}
        shop.sockets().wait().await;
    };
    if timeout(CLOSING, drained).await.is_err() {
        eprintln!("{} closes with requests still under way", shop.plate());
    }
}

/// The next caller and its slot, once there is one free; nothing when it is time to stop.
async fn next(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
    connections: &mut JoinSet<()>,
    stop: &CancellationToken,
) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    loop {
        // Finished connections are reaped here, so that their results do not pile up.
        while connections.try_join_next().is_some() {}
        let accepted = async {
            let slot = Arc::clone(slots).acquire_owned().await.map_err(io::Error::other)?;
            let (stream, _) = listener.accept().await?;
            io::Result::Ok((stream, slot))
        };
        tokio::select! {
            () = stop.cancelled() => return None,
            accepted = accepted => match accepted {
                Ok(caller) => return Some(caller),
                // Out of file descriptors, most likely: give them time to come back.
                Err(_) => sleep(Duration::from_millis(50)).await,
            },
        }
    }
}

/// Serves one connection to its end.
async fn converse(stream: TcpStream, shop: Arc<Shop>, stop: CancellationToken) {
    // The builder waits for the first byte without a deadline of its own.
    if !matches!(timeout(IDLE, stream.readable()).await, Ok(Ok(()))) {
        return;
    }
    // Small replies should leave at once; a socket that cannot say so still works.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let shop = Arc::clone(&shop);
        async move { Ok::<_, Infallible>(shop.answer(request).await) }
    });
    let builder = builder();
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    // How a connection ends is its caller's affair, so both results are let go.
    tokio::select! {
        _ = connection.as_mut() => return,
        () = stop.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(IDLE);
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(IDLE).max_concurrent_streams(256);
    builder
}
