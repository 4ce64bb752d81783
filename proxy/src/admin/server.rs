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
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time;

use super::State;
use super::answer::{answer, led_here};
use crate::forward::FORWARDED_FOR;

/// So many connections at once; further ones wait to be accepted.
const CONNECTIONS: usize = 64;
/// Time to a whole request head.
const HEAD: Duration = Duration::from_secs(5);
/// A connection may live this long; a scraper opens the next one.
const LIFE: Duration = Duration::from_secs(120);
/// After a failed accept (no file left, say) there is a pause, or the loop would spin.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves until `stopped` is dropped or told.
pub(super) async fn run(
    listener: std::net::TcpListener,
    state: State,
    stopped: oneshot::Receiver<()>,
) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let mut connections = JoinSet::new();
    tokio::select! {
        () = accept(&listener, &state, &mut connections) => {}
        _ = stopped => {}
    }
    connections.shutdown().await;
    Ok(())
}

async fn accept(listener: &TcpListener, state: &State, connections: &mut JoinSet<()>) {
    loop {
        while connections.try_join_next().is_some() {}
        if connections.len() >= CONNECTIONS {
            connections.join_next().await;
        }
        match listener.accept().await {
            Ok((stream, _)) => {
                connections.spawn(serve(stream, state.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept on the admin port");
                time::sleep(PAUSE).await;
            }
        }
    }
}

async fn serve(stream: TcpStream, state: State) {
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
    // A client that breaks off or dawdles is of no interest here.
    let _ = time::timeout(LIFE, connection).await;
}
