//! One service at work: counts the request, finds its path, answers.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Incoming};
use hyper::header::{ALLOW, CONTENT_LENGTH, HeaderValue};
use hyper::{HeaderMap, Method, Request, StatusCode};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::args::Args;
use crate::nameplate::{Nameplate, Reply};
use crate::orders::Orders;
use crate::service::Service;
use crate::stats::Stats;
use crate::upstream::Upstream;
use crate::{catalog, echo};

/// How long the storefront waits for the orders.
const STOREFRONT_WAITS: Duration = Duration::from_secs(2);

/// How long the orders wait for the catalog: less than the storefront waits for them, so that a
/// catalog which hangs is reported by name before the storefront gives up on both.
const ORDERS_WAIT: Duration = Duration::from_millis(1500);

/// A service with its name, its counts and whatever its part needs.
#[derive(Debug)]
pub(crate) struct Shop {
    plate: Nameplate,
    stats: Stats,
    part: Part,
    sockets: TaskTracker,
    stop: CancellationToken,
}

/// The part that a process plays in the shop.
#[derive(Debug)]
enum Part {
    Storefront { orders: Upstream },
    Orders(Orders),
    Catalog,
    Visitors,
}

impl Shop {
    /// The service that the command line names; it closes its WebSockets when `stop` is given.
    pub(crate) fn new(args: &Args, stop: CancellationToken) -> Self {
        let plate = Nameplate {
            service: args.service,
            version: args.version,
            cluster: args.cluster.clone(),
        };
        let part = match args.service {
            Service::Storefront => Part::Storefront {
                orders: Upstream::new(
                    Service::Orders,
                    args.orders.clone(),
                    args.proxy,
                    STOREFRONT_WAITS,
                ),
            },
            Service::Orders => {
                let base = args.catalog.clone();
                let catalog = Upstream::new(Service::Catalog, base, args.proxy, ORDERS_WAIT);
                Part::Orders(Orders::new(catalog))
            }
            Service::Catalog => Part::Catalog,
            Service::Visitors => Part::Visitors,
        };
        Self { plate, stats: Stats::default(), part, sockets: TaskTracker::new(), stop }
    }

    /// The name under which it answers.
    pub(crate) fn plate(&self) -> &Nameplate {
        &self.plate
    }

    /// The tasks that outlive the request which began them.
    pub(crate) fn sockets(&self) -> &TaskTracker {
        &self.sockets
    }

    /// The reply to one request.
    pub(crate) async fn answer(&self, request: Request<Incoming>) -> Reply {
        let asks_head_only = request.method() == Method::HEAD;
        let mut reply = match request.uri().path() {
            // Neither is counted: watching a service must not change what is watched.
            "/healthz" => self.plate.ok(json!({ "status": "ok" })),
            "/stats" => self.plate.ok(json!(self.stats.counts())),
            path => {
                self.stats.count(path);
                self.play(request).await
            }
        };
        self.plate.sign(&mut reply);
        if asks_head_only {
            drop_body(&mut reply);
        }
        reply
    }

    async fn play(&self, request: Request<Incoming>) -> Reply {
        let path = request.uri().path().to_owned();
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        match (&self.part, path.as_str()) {
            (Part::Orders(orders), "/orders") if request.method() == Method::POST => {
                orders.take(&self.plate, request).await
            }
            (Part::Orders(_), "/orders") if !reads => self.not_allowed("GET, HEAD, POST"),
            (_, "/headers") => show_head(&self.plate, &request),
            _ if !reads => self.not_allowed("GET, HEAD"),
            (Part::Storefront { orders }, "/") => {
                // As other people's software does that has work of its own first.
                if let Some(wait) = catalog::wait_of(request.uri().query().unwrap_or_default()) {
                    tokio::time::sleep(wait).await;
                }
                match orders.get("/orders", request.headers()).await {
                    Ok(called) => self.plate.ok(json!({ "called": called })),
                    Err(failure) => self.plate.bad_gateway(failure),
                }
            }
            (Part::Orders(orders), "/orders") => orders.list(&self.plate, &request).await,
            (Part::Orders(orders), path) => match path.strip_prefix("/orders/") {
                Some(id) => orders.show(&self.plate, id),
                None => self.not_found(),
            },
            (Part::Catalog, "/catalog") => catalog::books(&self.plate),
            (Part::Catalog, "/slow") => catalog::slow(&self.plate, request.uri().query()).await,
            (Part::Catalog, "/ws") => echo::open(&self.plate, request, &self.sockets, &self.stop),
            (Part::Catalog, path) => match path.strip_prefix("/catalog/") {
                Some(id) => catalog::book(&self.plate, id),
                None => self.not_found(),
            },
            (Part::Storefront { .. } | Part::Visitors, _) => self.not_found(),
        }
    }

    fn not_found(&self) -> Reply {
        self.plate.refuse(StatusCode::NOT_FOUND, "there is nothing at this path")
    }

    fn not_allowed(&self, allow: &'static str) -> Reply {
        let mut reply =
            self.plate.refuse(StatusCode::METHOD_NOT_ALLOWED, "this path knows other methods");
        reply.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
        reply
    }
}

/// The head of the request as it arrived here, for whoever wants to see what a proxy did to it.
fn show_head(plate: &Nameplate, request: &Request<Incoming>) -> Reply {
    plate.ok(json!({
        "protocol": format!("{:?}", request.version()),
        "method": request.method().as_str(),
        "authority": request.uri().authority().map(|authority| authority.as_str()),
        "path": request.uri().path(),
        "query": request.uri().query(),
        "headers": readable(request.headers()),
    }))
}

/// Every value under its name, in the order of arrival.
fn readable(headers: &HeaderMap) -> BTreeMap<&str, Vec<String>> {
    let mut shown: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (name, value) in headers {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        shown.entry(name.as_str()).or_default().push(value);
    }
    shown
}

/// Leaves what the head says of the body, and takes the body away.
fn drop_body(reply: &mut Reply) {
    if let Some(length) = reply.body().size_hint().exact() {
        reply.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    *reply.body_mut() = Full::new(Bytes::new());
}
