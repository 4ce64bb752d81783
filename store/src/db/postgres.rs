//! Connecting to PostgreSQL: pool and bounds.

use std::str::FromStr as _;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions as _, Connection as _, PgPool};

use super::{READERS, WAIT};
use crate::Error;

/// Connects once, so that a wrong address is told now and not at the first statement.
pub(super) async fn connect(url: &str) -> Result<PgPool, Error> {
    let options = PgConnectOptions::from_str(url)?
        .application_name("heddle")
        // The server's own bounds, so that no wait of ours is without one.
        .options([("lock_timeout", "10s"), ("statement_timeout", "60s")])
        // A commit that we acknowledged must outlive the server, whatever its default is.
        .options([("synchronous_commit", "on")]);
    // A pool would try again until its time is over, and then say only that it is over.
    let first = tokio::time::timeout(WAIT, options.connect()).await;
    first.unwrap_or(Err(sqlx::Error::PoolTimedOut))?.close().await?;
    let pool = PgPoolOptions::new().max_connections(READERS + 4).acquire_timeout(WAIT);
    Ok(pool.connect_with(options).await?)
}
