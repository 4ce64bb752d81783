//! The admin port's connections: few, short and bounded.

use std::convert::Infallible;
use std::io;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio::time;
use tokio_util::sync::CancellationToken;

use super::State;
use super::answer::{answer, led_here};
use crate::forward::FORWARDED_FOR;

/// So many connections at once; further ones wait to be accepted.
const CONNECTIONS: usize = 64;
/// Time to a whole request head.
const HEAD: Duration = Duration::from_secs(5);
/// A connection may live this long; a scraper opens the next one.
const LIFE: Duration = Duration::from_secs(120);
/// An answer that is under way at the end has so long.
const LAST: Duration = Duration::from_secs(1);
/// After a failed accept (no file left, say) there is a pause, or the loop would spin.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves, once it may accept, until `stopped` is dropped or told.
pub(super) async fn run(
    listener: std::net::TcpListener,
    state: State,
    mut may_accept: watch::Receiver<bool>,
    stopped: oneshot::Receiver<()>,
) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let (mut connections, ends) = (JoinSet::new(), CancellationToken::new());
    let accepting = async {
        if may_accept.wait_for(|may| *may).await.is_ok() {
            accept(&listener, &state, &mut connections, &ends).await;
        }
    };
    tokio::select! {
        () = accepting => {}
        _ = stopped => {}
    }
    // Who asks on may be asking the process after this one.
    drop(listener);
    ends.cancel();
    let all = async { while connections.join_next().await.is_some() {} };
    // Whoever takes longer is broken off.
    let _ = time::timeout(LAST, all).await;
    connections.shutdown().await;
    Ok(())
}

async fn accept(
    listener: &TcpListener,
    state: &State,
    connections: &mut JoinSet<()>,
    ends: &CancellationToken,
) {
    loop {
        while connections.try_join_next().is_some() {}
        if connections.len() >= CONNECTIONS {
            connections.join_next().await;
        }
        match listener.accept().await {
            Ok((stream, _)) => {
                connections.spawn(serve(stream, state.clone(), ends.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept on the admin port");
                time::sleep(PAUSE).await;
            }
        }
    }
}

async fn serve(stream: TcpStream, state: State, ends: CancellationToken) {
    let service = service_fn(|request: Request<Incoming>| {
        let answer = match request.headers().contains_key(FORWARDED_FOR) {
            true => led_here(),
            false => answer(&state, request.method(), request.uri().path()),
        };
        async move { Ok::<_, Infallible>(answer) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(16 << 10)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    // A client that breaks off or dawdles is of no interest here.
    tokio::select! {
        _ = connection.as_mut() => return,
        () = time::sleep(LIFE) => return,
        () = ends.cancelled() => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = connection.await;
}
