//! The catalog: the end of the chain, which answers books and calls nobody.

use std::time::Duration;

use hyper::StatusCode;
use serde_json::json;

use crate::book::{Book, SHELF};
use crate::nameplate::{Nameplate, Reply};
use crate::service::Version;

/// The longest that `/slow` may be asked to wait.
const SLOWEST: Duration = Duration::from_secs(10);

/// Every book on the shelf.
pub(crate) fn books(plate: &Nameplate) -> Reply {
    let books: Vec<Book> = SHELF.into_iter().map(|book| as_of(plate.version, book)).collect();
    plate.ok(json!({ "books": books }))
}

/// One book, by the last part of its path.
pub(crate) fn book(plate: &Nameplate, id: &str) -> Reply {
    match SHELF.into_iter().find(|book| book.id == id) {
        Some(book) => plate.ok(json!({ "book": as_of(plate.version, book) })),
        None => plate.refuse(StatusCode::NOT_FOUND, "there is no such book"),
    }
}

/// An answer that takes as long as the query asks: `ms=N`, at most ten seconds.
pub(crate) async fn slow(plate: &Nameplate, query: Option<&str>) -> Reply {
    let Some(wait) = wait_of(query.unwrap_or_default()) else {
        return plate.refuse(StatusCode::BAD_REQUEST, "ms is a whole number up to 10000");
    };
    tokio::time::sleep(wait).await;
    plate.ok(json!({ "waited_ms": wait.as_millis() as u64 }))
}

/// The time that a query asks for.
pub(crate) fn wait_of(query: &str) -> Option<Duration> {
    let ms = query.split('&').find_map(|pair| pair.strip_prefix("ms="))?;
    let wait = Duration::from_millis(ms.parse().ok()?);
    (wait <= SLOWEST).then_some(wait)
}

fn as_of(version: Version, book: Book) -> Book {
    match version {
        Version::V1 => Book { rating: None, ..book },
        Version::V2 => book,
    }
}
