//! JSON Schema of every kind, generated from the types and checked in.
//!
//! What the walker holds and what an editor shows is this one schema.
//! It is stricter than serde in one way: a field with nothing behind it is a fault, because an
//! empty condition in an access rule would silently widen it. Where Kubernetes itself writes
//! `null`, the schema says `nullable`.

use std::collections::BTreeSet;

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::Kind;
use crate::api::Api;
use crate::authn::AuthnPolicy;
use crate::backend_tls::BackendTlsPolicy;
use crate::claim::Claim;
use crate::cluster::Cluster;
use crate::consumer::Consumer;
use crate::gateway::{Gateway, ListenerSet};
use crate::limit::RateLimitPolicy;
use crate::login::LoginProvider;
use crate::namespace::Namespace;
use crate::policy::AccessPolicy;
use crate::reference::ReferenceGrant;
use crate::role::{Grant, Role};
use crate::route::{GrpcRoute, HttpRoute, TcpRoute, TlsRoute, UdpRoute};
use crate::secret::{ConfigMap, Secret};
use crate::service::{EndpointSlice, Service};
use crate::team::Team;
use crate::traffic::TrafficPolicy;
use crate::workload::Workload;
use crate::workspace::Workspace;

const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";

/// The schema of one kind's object (draft 2020-12), `apiVersion` and `kind` included.
pub fn of(kind: Kind) -> Value {
    let defs = definitions();
    let mut needed = BTreeSet::new();
    collect(kind.as_str(), &defs, &mut needed);
    let defs: Map<_, _> = defs.into_iter().filter(|(name, _)| needed.contains(name)).collect();
    json!({
        "$schema": DRAFT,
        "title": kind.as_str(),
        "$ref": format!("#/$defs/{kind}"),
        "$defs": defs,
    })
}

/// All kinds in one document, as checked in under `model/schema/heddle.schema.json`.
pub fn document() -> Value {
    let kinds = Kind::ALL.map(|kind| json!({ "$ref": format!("#/$defs/{kind}") }));
    let mut document = json!({
        "$schema": DRAFT,
        "title": "Heddle resources",
        "oneOf": kinds,
        "$defs": definitions(),
    });
    // The file is the same whether or not some crate of the build asks JSON to keep its order.
    document.sort_all_objects();
    document
}

/// Every definition by its name, those of the kinds among them.
fn definitions() -> Map<String, Value> {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    for kind in Kind::ALL {
        define(kind, &mut generator);
    }
    let mut defs = generator.take_definitions(true);
    defs.values_mut().for_each(strip_null);
    for kind in Kind::ALL {
        if let Some(Value::Object(schema)) = defs.get_mut(kind.as_str()) {
            identify(kind, schema);
        }
    }
    defs
}

fn define(kind: Kind, generator: &mut SchemaGenerator) {
    match kind {
        Kind::Gateway => generator.subschema_for::<Gateway>(),
        Kind::ListenerSet => generator.subschema_for::<ListenerSet>(),
        Kind::HttpRoute => generator.subschema_for::<HttpRoute>(),
        Kind::GrpcRoute => generator.subschema_for::<GrpcRoute>(),
        Kind::TlsRoute => generator.subschema_for::<TlsRoute>(),
        Kind::TcpRoute => generator.subschema_for::<TcpRoute>(),
        Kind::UdpRoute => generator.subschema_for::<UdpRoute>(),
        Kind::ReferenceGrant => generator.subschema_for::<ReferenceGrant>(),
        Kind::Namespace => generator.subschema_for::<Namespace>(),
        Kind::BackendTlsPolicy => generator.subschema_for::<BackendTlsPolicy>(),
        Kind::Service => generator.subschema_for::<Service>(),
        Kind::EndpointSlice => generator.subschema_for::<EndpointSlice>(),
        Kind::Workload => generator.subschema_for::<Workload>(),
        Kind::Secret => generator.subschema_for::<Secret>(),
        Kind::ConfigMap => generator.subschema_for::<ConfigMap>(),
        Kind::Consumer => generator.subschema_for::<Consumer>(),
        Kind::AuthnPolicy => generator.subschema_for::<AuthnPolicy>(),
        Kind::AccessPolicy => generator.subschema_for::<AccessPolicy>(),
        Kind::RateLimitPolicy => generator.subschema_for::<RateLimitPolicy>(),
        Kind::TrafficPolicy => generator.subschema_for::<TrafficPolicy>(),
        Kind::Api => generator.subschema_for::<Api>(),
        Kind::Claim => generator.subschema_for::<Claim>(),
        Kind::Workspace => generator.subschema_for::<Workspace>(),
        Kind::Cluster => generator.subschema_for::<Cluster>(),
        Kind::Team => generator.subschema_for::<Team>(),
        Kind::Role => generator.subschema_for::<Role>(),
        Kind::Grant => generator.subschema_for::<Grant>(),
        Kind::LoginProvider => generator.subschema_for::<LoginProvider>(),
    };
}

/// Adds what every object says of itself beside its type's own fields. `status` may stand there,
/// since kubectl prints it; it is not read.
fn identify(kind: Kind, schema: &mut Map<String, Value>) {
    let fields = schema.entry("properties").or_insert_with(|| json!({}));
    if let Value::Object(fields) = fields {
        let version = match kind.older_versions() {
            [] => json!({ "const": kind.api_version() }),
            older => {
                let all = [&[kind.api_version()], older].concat();
                json!({ "enum": all })
            }
        };
        fields.insert("apiVersion".to_owned(), version);
        fields.insert("kind".to_owned(), json!({ "const": kind.as_str() }));
        fields.insert("status".to_owned(), json!({ "description": "Not read." }));
    }
    let required = schema.entry("required").or_insert_with(|| json!([]));
    if let Value::Array(required) = required {
        required.splice(0..0, [json!("apiVersion"), json!("kind")]);
    }
    schema.insert("additionalProperties".to_owned(), json!(false));
}

/// Takes null from the alternatives of every schema that does not say `nullable`.
fn strip_null(schema: &mut Value) {
    let Value::Object(fields) = schema else {
        if let Value::Array(schemas) = schema {
            schemas.iter_mut().for_each(strip_null);
        }
        return;
    };
    if fields.get("nullable") != Some(&Value::Bool(true)) {
        if let Some(Value::Array(sorts)) = fields.get_mut("type") {
            sorts.retain(|sort| sort != "null");
            if let [sort] = sorts.as_slice() {
                let sort = sort.clone();
                fields.insert("type".to_owned(), sort);
            }
        }
        let branches = fields.get_mut("anyOf").and_then(Value::as_array_mut);
        if let Some(branches) = branches {
            branches.retain(|branch| branch["type"] != "null");
            if let [Value::Object(only)] = branches.as_slice() {
                let only = only.clone();
                fields.remove("anyOf");
                fields.extend(only);
            }
        }
    }
    fields.values_mut().for_each(strip_null);
}

/// The names of all definitions that `name` needs, itself included.
fn collect(name: &str, defs: &Map<String, Value>, needed: &mut BTreeSet<String>) {
    if needed.insert(name.to_owned())
        && let Some(schema) = defs.get(name)
    {
        references(schema, &mut |inner| collect(inner, defs, needed));
    }
}

fn references(schema: &Value, found: &mut impl FnMut(&str)) {
    match schema {
        Value::Object(fields) => {
            let reference = fields.get("$ref").and_then(Value::as_str);
            if let Some(name) = reference.and_then(|text| text.strip_prefix("#/$defs/")) {
                found(name);
            }
            fields.values().for_each(|inner| references(inner, found));
        }
        Value::Array(schemas) => schemas.iter().for_each(|inner| references(inner, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
