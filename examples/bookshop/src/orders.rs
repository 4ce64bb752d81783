//! The orders: a short memory of what was ordered, checked against the catalog.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::{HeaderValue, LOCATION};
use hyper::{Request, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::timeout;

use crate::book::BookId;
use crate::nameplate::{Nameplate, Reply};
use crate::upstream::Upstream;

/// How many orders are remembered; the oldest is forgotten first.
pub(crate) const MOST_KEPT: usize = 100;

/// The largest order that is read.
pub(crate) const LARGEST_ORDER: usize = 16 * 1024;

/// How long a caller may take to send an order.
const SENDING: Duration = Duration::from_secs(5);

/// The most copies that one order may ask for.
const MOST_COPIES: u32 = 1000;

/// What a caller asks for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    book: BookId,
    #[serde(default = "one")]
    copies: u32,
}

/// An order that was taken.
#[derive(Debug, Clone, Serialize)]
struct Order {
    id: u64,
    book: BookId,
    copies: u32,
}

/// The orders taken so far, and the catalog that they are checked against.
#[derive(Debug)]
pub(crate) struct Orders {
    ledger: Mutex<Ledger>,
    catalog: Upstream,
}

#[derive(Debug, Default)]
struct Ledger {
    taken: u64,
    kept: VecDeque<Order>,
}

impl Orders {
    /// An empty ledger.
    pub(crate) fn new(catalog: Upstream) -> Self {
        Self { ledger: Mutex::default(), catalog }
    }

    /// The orders that are remembered, beside the books that there are.
    pub(crate) async fn list(&self, plate: &Nameplate, request: &Request<Incoming>) -> Reply {
        match self.catalog.get("/catalog", request.headers()).await {
            Ok(called) => {
                let (taken, kept) = self.ledger(|ledger| (ledger.taken, ledger.kept.clone()));
                plate.ok(json!({ "taken": taken, "orders": kept, "called": called }))
            }
            Err(failure) => plate.bad_gateway(failure),
        }
    }

    /// One remembered order, by the last part of its path.
    pub(crate) fn show(&self, plate: &Nameplate, id: &str) -> Reply {
        let id: Option<u64> = id.parse().ok();
        let found =
            self.ledger(|ledger| ledger.kept.iter().find(|order| Some(order.id) == id).cloned());
        match found {
            Some(order) => plate.ok(json!({ "order": order })),
            None => plate.refuse(StatusCode::NOT_FOUND, "there is no such order"),
        }
    }

    /// Takes an order for a book that the catalog has.
    pub(crate) async fn take(&self, plate: &Nameplate, request: Request<Incoming>) -> Reply {
        let (head, body) = request.into_parts();
        let wish = match read_wish(body).await {
            Ok(wish) => wish,
            Err((status, error)) => return plate.refuse(status, &error),
        };
        let path = format!("/catalog/{}", wish.book.as_str());
        match self.catalog.get(&path, &head.headers).await {
            Ok(called) => {
                let order = self.ledger(|ledger| ledger.add(wish));
                let location = format!("/orders/{}", order.id);
                let fields = json!({ "order": order, "called": called });
                let mut reply = plate.reply(StatusCode::CREATED, fields);
                let location = HeaderValue::from_str(&location).expect("a path of ours is ASCII");
                reply.headers_mut().insert(LOCATION, location);
                reply
            }
            Err(failure) if failure.status() == Some(StatusCode::NOT_FOUND) => {
                plate.refuse(StatusCode::UNPROCESSABLE_ENTITY, "the catalog has no such book")
            }
            Err(failure) => plate.bad_gateway(failure),
        }
    }

    fn ledger<T>(&self, visit: impl FnOnce(&mut Ledger) -> T) -> T {
        visit(&mut self.ledger.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Ledger {
    fn add(&mut self, wish: Wish) -> Order {
        self.taken += 1;
        let order = Order { id: self.taken, book: wish.book, copies: wish.copies };
        if self.kept.len() == MOST_KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back(order.clone());
        order
    }
}

async fn read_wish(body: Incoming) -> Result<Wish, (StatusCode, String)> {
    let body = read_body(body).await?;
    let wish: Wish = serde_json::from_slice(&body)
        .map_err(|error| (StatusCode::BAD_REQUEST, format!("not an order: {error}")))?;
    if wish.copies == 0 || wish.copies > MOST_COPIES {
        let error = format!("not an order: copies is 1 to {MOST_COPIES}");
        return Err((StatusCode::BAD_REQUEST, error));
    }
    Ok(wish)
}

async fn read_body(body: Incoming) -> Result<Bytes, (StatusCode, String)> {
    match timeout(SENDING, Limited::new(body, LARGEST_ORDER).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            let error = format!("an order is at most {LARGEST_ORDER} bytes");
            Err((StatusCode::PAYLOAD_TOO_LARGE, error))
        }
        Ok(Err(_)) => Err((StatusCode::BAD_REQUEST, "the order broke off".to_owned())),
        Err(_) => Err((StatusCode::REQUEST_TIMEOUT, "the order took too long".to_owned())),
    }
}

fn one() -> u32 {
    1
}
