//! What nodes tell of the requests that they decided.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Key;
use crate::frame::Malformed;
use crate::proto::seeing as proto;

mod form;

use form::Object;

/// Decisions that travel together.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Told {
    /// Counts up on one stream.
    pub number: u64,
    /// At most [`DECISIONS`](crate::DECISIONS).
    pub decisions: Vec<Decision>,
    /// How many the node dropped since it started, for want of room.
    pub dropped: u64,
}

/// The batch of this number is kept, and need not be told again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Kept {
    /// Of the batch.
    pub number: u64,
}

/// What one proxy made of one request.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Decision {
    /// Names it among all of the node: its span, 16 hexadecimal digits.
    pub span: String,
    /// The span that it follows, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// The trace, 32 hexadecimal digits: the same at each proxy of one request.
    pub trace: String,
    /// The trace under which it came, where the proxy opened another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// Its `x-request-id`, as the answer says it.
    pub request: String,
    /// On which side of an application.
    #[serde(deserialize_with = "form::side")]
    pub side: Side,
    /// When its head was there, microseconds since 1970.
    pub at: i64,
    /// From then to its end, in microseconds.
    pub took: u64,
    /// From then to the backend's head, in microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backend_took: Option<u64>,
    /// The digest of the table that decided.
    pub table: String,
    /// The scopes that the node ran, each at its revision.
    pub vector: BTreeMap<String, i64>,
    /// The caller's address.
    pub source: String,
    /// Who sent it through the mesh, such as `workload shop/front of east`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// Who is calling, such as `apikey:clerk`; not kept of the outbound side.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caller: Option<String>,
    /// Why the passport that came with it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub passport: Option<String>,
    /// The method.
    pub method: String,
    /// The host, in normal form where it has one.
    pub host: String,
    /// The path without the query.
    pub path: String,
    /// The listener's port, or the application's.
    pub port: u16,
    /// What it led to: an HTTPRoute, or what stands for one in the mesh.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "form::key")]
    pub route: Option<Key>,
    /// The rule of it, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// The Service port that it was sent to, such as `shop/orders:80`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backend: Option<String>,
    /// The endpoint that was tried last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// How many endpoints were tried.
    pub attempts: u32,
    /// The status that was answered; none if the client left before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Why it ended as it did, of the closed list.
    pub reason: String,
    /// The cause, where there is more to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The policy whose rule decided, if one did.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "form::key")]
    pub policy: Option<Key>,
    /// That rule's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_rule: Option<String>,
    /// What each policy made of it, as `policy::explain::Story` writes it; none where the proxy had no
    /// time to tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub story: Option<Value>,
}

/// On which side of an application a proxy decided.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "camelCase")]
pub enum Side {
    /// Where it entered the installation.
    #[default]
    Edge,
    /// Where it left the proxy of who asks.
    Outbound,
    /// Where it came to the proxy of who is asked.
    Inbound,
}

impl From<Told> for proto::Told {
    fn from(told: Told) -> Self {
        let decisions = told.decisions.iter();
        // Nothing in it has keys that are no text, so writing cannot fail.
        let decisions = decisions.map(|one| serde_json::to_vec(one).unwrap_or_default()).collect();
        proto::Told { number: told.number, decisions, dropped: told.dropped }
    }
}

impl TryFrom<proto::Told> for Told {
    type Error = Malformed;

    fn try_from(told: proto::Told) -> Result<Self, Malformed> {
        if told.decisions.len() > crate::DECISIONS {
            return Err(Malformed::Many(told.decisions.len()));
        }
        let read = |json: &Vec<u8>| match serde_json::from_slice(json) {
            Ok(Object(decision)) => Ok(decision),
            Err(error) => Err(Malformed::Decision(error.to_string())),
        };
        let decisions = told.decisions.iter().map(read).collect::<Result<_, _>>()?;
        Ok(Told { number: told.number, decisions, dropped: told.dropped })
    }
}

impl From<Kept> for proto::Kept {
    fn from(kept: Kept) -> Self {
        proto::Kept { number: kept.number }
    }
}

impl From<proto::Kept> for Kept {
    fn from(kept: proto::Kept) -> Self {
        Kept { number: kept.number }
    }
}
