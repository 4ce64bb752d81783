//! A new connection to an endpoint, with a deadline.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;

use crate::failure::Failure;

/// Opens a plain TCP connection to `address` within `bound`.
pub(crate) async fn plain(address: SocketAddr, bound: Duration) -> Result<TcpStream, Failure> {
    let stream = match tokio::time::timeout(bound, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(Failure::unreached(error)),
        Err(_) => {
            let late = format!("no connection within {} ms", bound.as_millis());
            return Err(Failure::unreached(io::Error::new(io::ErrorKind::TimedOut, late)));
        }
    };
    // Without it small requests wait for the peer's delayed acknowledgement.
    stream.set_nodelay(true).map_err(Failure::unreached)?;
    Ok(stream)
}
