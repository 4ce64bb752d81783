//! The services and the two versions, as names.

use std::fmt;

use clap::ValueEnum;
use serde::Serialize;

/// One of the services that make the shop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Service {
    Storefront,
    Orders,
    Catalog,
    /// Nobody calls them: they look in at the shop, again and again.
    Visitors,
}

impl fmt::Display for Service {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Storefront => "storefront",
            Self::Orders => "orders",
            Self::Catalog => "catalog",
            Self::Visitors => "visitors",
        })
    }
}

/// The release that a process says it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Version {
    V1,
    V2,
}

impl fmt::Display for Version {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
        })
    }
}
