//! The command line: which of the services this process is, and whom it calls.

use std::net::{Ipv4Addr, SocketAddr};

use clap::Parser;

use crate::service::{Service, Version};
use crate::upstream::BaseUrl;

/// One service of the bookshop demo.
#[derive(Debug, Clone, Parser)]
#[command(name = "bookshop")]
pub(crate) struct Args {
    /// The service that this process is.
    #[arg(long, value_enum)]
    pub(crate) service: Service,

    /// Where it listens [default: 127.0.0.1 and 9101 for storefront, 9102 for orders, 9103 for
    /// catalog v1, 9104 for catalog v2, 9105 for visitors].
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Option<SocketAddr>,

    /// The version that it says it is; the catalog of v2 also rates its books.
    #[arg(long, value_enum, default_value_t = Version::V1)]
    pub(crate) version: Version,

    /// The cluster that it says it runs in.
    #[arg(long, value_name = "NAME", default_value = "local")]
    pub(crate) cluster: String,

    /// Where the storefront finds the orders.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9102")]
    pub(crate) orders: BaseUrl,

    /// Where the orders find the catalog.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9103")]
    pub(crate) catalog: BaseUrl,

    /// Where visitors find the shop.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    pub(crate) shop: BaseUrl,

    /// A proxy that every call goes through, by the name that its URL has.
    #[arg(long, value_name = "ADDR")]
    pub(crate) proxy: Option<SocketAddr>,
}

impl Args {
    /// The address asked for, or the one that this service has by custom.
    pub(crate) fn listen(&self) -> SocketAddr {
        let port = match (self.service, self.version) {
            (Service::Storefront, _) => 9101,
            (Service::Orders, _) => 9102,
            (Service::Catalog, Version::V1) => 9103,
            (Service::Catalog, Version::V2) => 9104,
            (Service::Visitors, _) => 9105,
        };
        self.listen.unwrap_or_else(|| (Ipv4Addr::LOCALHOST, port).into())
    }
}
