//! Api (`heddle.dev/v1alpha1`): routes that one team owns and leads through their life together.
//!
//! ```yaml
//! apiVersion: heddle.dev/v1alpha1
//! kind: Api
//! metadata: { name: orders, namespace: shop }
//! spec:
//!   owner: orders                  # a Team
//!   lifecycle: Deprecated
//!   sunset: 2027-06-30T00:00:00Z
//!   successor: https://shop.example.com/orders/v2
//! ```
//!
//! A route belongs to an Api of its own workspace by the label [`LABEL`].
//! A draft answers nobody; a published Api answers; a deprecated one says so in every answer
//! (`Deprecation`, RFC 9745; `Sunset`, RFC 8594); a retired one answers 410 with a link to what came
//! after it.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::invalid::Checker;
use crate::{Meta, Name};

/// The label by which a route says to which Api it belongs.
pub const LABEL: &str = "heddle.dev/api";

/// An Api.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Api {
    /// Who it is.
    pub metadata: Meta,
    /// What is wanted.
    pub spec: ApiSpec,
}

/// `spec` of an Api.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApiSpec {
    /// The Team that owns it; to change it is to transfer it.
    pub owner: Name,
    /// Where in its life it is; `Draft` where none is written.
    #[serde(default)]
    pub lifecycle: Lifecycle,
    /// What people read.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 256))]
    pub title: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 4096))]
    pub description: String,
    /// When a deprecated Api became so (RFC 3339).
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "time::serde::rfc3339::option"
    )]
    #[schemars(with = "Option<String>", length(max = 64), extend("format" = "date-time"))]
    pub deprecated: Option<OffsetDateTime>,
    /// From when on it may be gone (RFC 3339).
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "time::serde::rfc3339::option"
    )]
    #[schemars(with = "Option<String>", length(max = 64), extend("format" = "date-time"))]
    pub sunset: Option<OffsetDateTime>,
    /// The address of what comes after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    pub successor: Option<String>,
}

/// Where in its life an Api is.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum Lifecycle {
    /// It answers nobody.
    #[default]
    Draft,
    /// It answers.
    Published,
    /// It answers, and says that it will be gone.
    Deprecated,
    /// It answers 410.
    Retired,
}

impl Lifecycle {
    /// Every stage, in the order of a life.
    pub const ALL: [Lifecycle; 4] =
        [Lifecycle::Draft, Lifecycle::Published, Lifecycle::Deprecated, Lifecycle::Retired];

    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Lifecycle::Draft => "Draft",
            Lifecycle::Published => "Published",
            Lifecycle::Deprecated => "Deprecated",
            Lifecycle::Retired => "Retired",
        }
    }

    /// Whether its requests are answered by what it leads to.
    pub const fn answers(self) -> bool {
        matches!(self, Lifecycle::Published | Lifecycle::Deprecated)
    }

    /// Whether it says that it will be gone, or is.
    pub const fn is_leaving(self) -> bool {
        matches!(self, Lifecycle::Deprecated | Lifecycle::Retired)
    }
}

impl fmt::Display for Lifecycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Lifecycle::Draft => "draft",
            Lifecycle::Published => "published",
            Lifecycle::Deprecated => "deprecated",
            Lifecycle::Retired => "retired",
        })
    }
}

impl Api {
    /// Reports what the schema cannot say.
    pub fn check(&self, at: &mut Checker) {
        let spec = &self.spec;
        let leaves = spec.lifecycle.is_leaving();
        at.within("spec", |at| {
            let said = [
                ("deprecated", spec.deprecated.is_some()),
                ("sunset", spec.sunset.is_some()),
                ("successor", spec.successor.is_some()),
            ];
            for (field, _) in said.into_iter().filter(|(_, is_said)| *is_said && !leaves) {
                let reason = format!(
                    "a {} Api does not say this; one that is deprecated does",
                    spec.lifecycle
                );
                at.fault_in(field, reason);
            }
            if let (Some(deprecated), Some(sunset)) = (spec.deprecated, spec.sunset)
                && sunset < deprecated
            {
                at.fault_in("sunset", "is before 'deprecated' (RFC 9745, section 4)");
            }
            if let Some(successor) = &spec.successor
                && !is_web_address(successor)
            {
                at.fault_in("successor", format!("'{successor}' is no http or https address"));
            }
        });
    }
}

/// Whether a link may lead there: it goes into a header of every answer.
fn is_web_address(text: &str) -> bool {
    let is_web = |uri: &http::Uri| matches!(uri.scheme_str(), Some("http" | "https"));
    text.parse::<http::Uri>().is_ok_and(|uri| is_web(&uri) && uri.host().is_some())
        && !text.contains(['<', '>', '"'])
}
