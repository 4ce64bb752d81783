//! The CORS filter: which pages of other origins may read answers, and what they may send (Gateway
//! API, `HTTPCORSFilter`).

use std::collections::BTreeSet;

use http::HeaderName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::invalid::Checker;

mod origin;

pub use origin::{Host, Origin, OriginError};

/// Which pages of other origins may read answers, and what browsers let them send.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "HTTPCORSFilter")]
pub struct Cors {
    /// `https://shop.example.com`, with a port where it is not the scheme's own, `https://*.example.com`
    /// for every host below, or `*` alone for all. Where none is written, none may.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 253)))]
    pub allow_origins: Vec<String>,
    /// Whether they may do so with what the browser knows of its user, such as cookies.
    #[serde(default)]
    pub allow_credentials: bool,
    /// The methods that they may use, or `*` alone; browsers always allow GET, HEAD and POST.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 9))]
    pub allow_methods: Vec<CorsMethod>,
    /// The request headers that they may set, or `*` alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 256)))]
    pub allow_headers: Vec<String>,
    /// The response headers that they may read, or `*` alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 256)))]
    pub expose_headers: Vec<String>,
    /// For how many seconds browsers may remember the answer to a preflight.
    #[serde(default = "five")]
    #[schemars(range(min = 1, max = 2_147_483_647))]
    pub max_age: u32,
}

fn five() -> u32 {
    5
}

impl Default for Cors {
    fn default() -> Self {
        Cors {
            allow_origins: Vec::new(),
            allow_credentials: false,
            allow_methods: Vec::new(),
            allow_headers: Vec::new(),
            expose_headers: Vec::new(),
            max_age: five(),
        }
    }
}

/// A method that pages may use, or all of them.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs)]
pub enum CorsMethod {
    Get,
    Head,
    Post,
    Put,
    Delete,
    Connect,
    Options,
    Trace,
    Patch,
    #[serde(rename = "*")]
    All,
}

impl CorsMethod {
    /// The method as it stands on the request line, or `*`.
    pub const fn as_str(self) -> &'static str {
        match self {
            CorsMethod::Get => "GET",
            CorsMethod::Head => "HEAD",
            CorsMethod::Post => "POST",
            CorsMethod::Put => "PUT",
            CorsMethod::Delete => "DELETE",
            CorsMethod::Connect => "CONNECT",
            CorsMethod::Options => "OPTIONS",
            CorsMethod::Trace => "TRACE",
            CorsMethod::Patch => "PATCH",
            CorsMethod::All => "*",
        }
    }
}

impl Cors {
    /// Reports what the schema cannot say.
    pub(super) fn check(&self, at: &mut Checker) {
        at.each("allowOrigins", &self.allow_origins, |at, origin| {
            if let Err(error) = Origin::parse(origin) {
                at.fault(error.to_string());
            }
        });
        for (field, names) in
            [("allowHeaders", &self.allow_headers), ("exposeHeaders", &self.expose_headers)]
        {
            at.each(field, names, |at, name| {
                // A star is a header's name, too, as far as RFC 9110 knows.
                if HeaderName::from_bytes(name.as_bytes()).is_err() {
                    at.fault(format!("'{name}' is no header name (RFC 9110, section 5.1)"));
                }
            });
        }
        let methods = self.allow_methods.iter().map(|method| method.as_str());
        check_list(at, "allowMethods", methods);
        for (field, list) in [
            ("allowOrigins", &self.allow_origins),
            ("allowHeaders", &self.allow_headers),
            ("exposeHeaders", &self.expose_headers),
        ] {
            check_list(at, field, list.iter().map(String::as_str));
        }
    }
}

/// Nothing stands twice, and a star stands alone.
fn check_list<'a>(at: &mut Checker, field: &str, list: impl ExactSizeIterator<Item = &'a str>) {
    let is_long = list.len() > 1;
    let mut above = BTreeSet::new();
    for (index, word) in list.enumerate() {
        at.within(&format!("{field}[{index}]"), |at| {
            if !above.insert(word.to_ascii_lowercase()) {
                at.fault(format!("'{word}' stands above"));
            } else if word == "*" && is_long {
                at.fault("'*' stands for all, so it stands alone; remove it, or the others");
            }
        });
    }
}
