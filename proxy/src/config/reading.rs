//! From an envelope to a resource, as strictly as from a file: what is not known is refused.

use model::{Invalid, Kind, Resource};
use serde_json::Value;
use wire::{Envelope, SCHEMA};

/// So many faults of one object are told.
const TOLD: usize = 8;

/// What an object could not be taken for.
#[derive(Debug, Clone)]
pub(crate) struct Unreadable {
    /// What was written, where it parsed at all and its kind is known; nothing of a Secret.
    pub(crate) raw: Option<Value>,
    /// At least one.
    pub(crate) faults: Vec<Invalid>,
}

/// Reads the object.
///
/// # Errors
/// If it is of a newer schema, of an unknown kind, or wrong in any place.
pub(crate) fn read(envelope: &Envelope) -> Result<Resource, Unreadable> {
    if envelope.schema > SCHEMA {
        let newer = envelope.schema;
        return Err(whole(
            envelope,
            format!("is written in schema {newer}, and this version reads up to {SCHEMA}"),
        ));
    }
    let Some(kind) = Kind::parse(&envelope.key.kind) else {
        let kind = &envelope.key.kind;
        return Err(whole(envelope, format!("is of a kind '{kind}' that this version knows not")));
    };
    let Some(text) = typed(&envelope.body, kind) else {
        return Err(whole(envelope, "is no JSON object".to_owned()));
    };
    let mut documents = model::read(&text).into_iter();
    let (Some(document), None) = (documents.next(), documents.next()) else {
        return Err(whole(envelope, "is not one object".to_owned()));
    };
    let raw = document.raw;
    let resource = document.result.map_err(|mut faults| {
        faults.truncate(TOLD);
        faults.iter_mut().for_each(|fault| fault.line = None);
        Unreadable { raw: raw.clone(), faults }
    })?;
    if Some(resource.key()) != envelope.key.known() {
        return Err(whole(envelope, format!("says that it is {}", resource.key())));
    }
    let faults = match &resource {
        Resource::Secret(secret) => crate::tls::check(secret),
        Resource::ConfigMap(map) => crate::tls::check_authorities(map),
        Resource::Gateway(_)
        | Resource::ListenerSet(_)
        | Resource::HttpRoute(_)
        | Resource::GrpcRoute(_)
        | Resource::TlsRoute(_)
        | Resource::TcpRoute(_)
        | Resource::UdpRoute(_)
        | Resource::ReferenceGrant(_)
        | Resource::Namespace(_)
        | Resource::TrafficPolicy(_)
        | Resource::BackendTlsPolicy(_)
        | Resource::Service(_)
        | Resource::EndpointSlice(_)
        | Resource::Workload(_)
        | Resource::Consumer(_)
        | Resource::AuthnPolicy(_)
        | Resource::AccessPolicy(_)
        | Resource::RateLimitPolicy(_)
        | Resource::Api(_)
        | Resource::Claim(_)
        | Resource::Workspace(_)
        | Resource::Cluster(_)
        | Resource::Team(_)
        | Resource::Role(_)
        | Resource::Grant(_)
        | Resource::LoginProvider(_) => Vec::new(),
    };
    if faults.is_empty() { Ok(resource) } else { Err(Unreadable { raw: None, faults }) }
}

/// The body as text that says its kind, which a body on the wire need not.
fn typed(body: &[u8], kind: Kind) -> Option<String> {
    let mut value: Value = serde_json::from_slice(body).ok()?;
    let fields = value.as_object_mut()?;
    fields.entry("apiVersion").or_insert_with(|| kind.api_version().into());
    fields.entry("kind").or_insert_with(|| kind.as_str().into());
    Some(value.to_string())
}

/// What was written, if it parses and nothing in it is secret: of a newer schema a border and a
/// target still say as much as can be told.
fn raw(envelope: &Envelope) -> Option<Value> {
    let kind = Kind::parse(&envelope.key.kind).filter(|kind| *kind != Kind::Secret)?;
    serde_json::from_str(&typed(&envelope.body, kind)?).ok()
}

fn whole(envelope: &Envelope, reason: String) -> Unreadable {
    let fault = Invalid {
        key: envelope.key.known(),
        path: String::new(),
        line: None,
        reason,
        nearest: None,
    };
    Unreadable { raw: raw(envelope), faults: vec![fault] }
}
