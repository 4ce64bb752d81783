//! Two Envoys: the outer one expects the service by its name in the certificate, the inner one asks
//! for a certificate and lets the caller in by a rule about its name.

use std::process::Command;

use anyhow::Result;
use serde_json::{Value, json};

use super::Side;
use super::trust::{Trust, principal};
use crate::bench::case::SERVICE;
use crate::bench::proxy::envoy::{cluster, configure, listener, manager};
use crate::bench::subject::Ground;

pub(super) fn arguments(
    command: &mut Command,
    side: Side,
    ground: &Ground<'_>,
    trust: &Trust,
) -> Result<()> {
    let host = json!({
        "name": SERVICE,
        "domains": [SERVICE],
        "routes": [{ "match": { "prefix": "/" }, "route": { "cluster": "upstream" } }],
    });
    match side {
        Side::Outbound => {
            let listener =
                listener(ground.ports.http, &manager(side.name(), ground, &host, &[]), None);
            let mut inner = cluster(ground.ports.https);
            inner["transport_socket"] = tls(side, trust);
            configure(command, ground, &[listener], &inner)
        }
        Side::Inbound => {
            let manager = manager(side.name(), ground, &host, &[rule()]);
            let listener = listener(ground.ports.https, &manager, Some(tls(side, trust)));
            configure(command, ground, &[listener], &cluster(ground.bed.upstream))
        }
    }
}

/// Mutual TLS 1.3 with the other half and nobody else.
fn tls(side: Side, trust: &Trust) -> Value {
    let context = match side {
        Side::Outbound => "UpstreamTlsContext",
        Side::Inbound => "DownstreamTlsContext",
    };
    let mut config = json!({
        "@type": format!("type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.{context}"),
        "common_tls_context": {
            "tls_params": {
                "tls_minimum_protocol_version": "TLSv1_3",
                "tls_maximum_protocol_version": "TLSv1_3",
            },
            "tls_certificates": [{
                "certificate_chain": { "filename": trust.certificate(side) },
                "private_key": { "filename": trust.key(side) },
            }],
            "validation_context": {
                "trusted_ca": { "filename": trust.authority() },
                "match_typed_subject_alt_names": [
                    { "san_type": "URI", "matcher": { "exact": principal(side.other()) } },
                ],
            },
        },
    });
    if side == Side::Inbound {
        config["require_client_certificate"] = json!(true);
    }
    json!({ "name": "envoy.transport_sockets.tls", "typed_config": config })
}

/// Lets the caller in, and nobody else.
fn rule() -> Value {
    let caller = json!({ "exact": principal(Side::Outbound) });
    json!({
        "name": "envoy.filters.http.rbac",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC",
            "rules": {
                "action": "ALLOW",
                "policies": { "caller": {
                    "permissions": [{ "any": true }],
                    "principals": [{ "authenticated": { "principal_name": caller } }],
                } },
            },
        },
    })
}
