//! Two Envoys: the outer one expects the service by its name in the certificate, the inner one asks
//! for a certificate and lets the caller in by a rule about its name.

use std::process::Command;

use anyhow::Result;
use serde_json::{Value, json};

use super::Side;
use super::trust::{Trust, principal};
use crate::bench::case::{Case, SERVICE};
use crate::bench::proxy::envoy::{access_log, cluster, configure, listener, manager};
use crate::bench::subject::Ground;

pub(super) fn arguments(
    command: &mut Command,
    side: Side,
    ground: &Ground<'_>,
    trust: &Trust,
) -> Result<()> {
    let case = ground.case;
    let rules = if side == Side::Inbound { vec![rule(case)] } else { Vec::new() };
    let filters = match case.is_bytes() {
        true => rules.into_iter().chain([carrier(side, ground)]).collect(),
        false => vec![manager(side.name(), ground, &[host()], &rules)],
    };
    match side {
        Side::Outbound => {
            let listener = listener(ground.ports.http, &filters, None);
            let mut inner = cluster(ground.ports.https);
            inner["transport_socket"] = tls(side, trust);
            configure(command, ground, &[listener], &inner)
        }
        Side::Inbound => {
            let listener = listener(ground.ports.https, &filters, Some(tls(side, trust)));
            configure(command, ground, &[listener], &cluster(ground.upstream()))
        }
    }
}

fn host() -> Value {
    json!({
        "name": SERVICE,
        "domains": [SERVICE],
        "routes": [{ "match": { "prefix": "/" }, "route": { "cluster": "upstream" } }],
    })
}

/// What leads connections to the one cluster, and logs them.
fn carrier(side: Side, ground: &Ground<'_>) -> Value {
    json!({
        "name": "envoy.filters.network.tcp_proxy",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
            "stat_prefix": side.name(),
            "cluster": "upstream",
            "access_log": [access_log(ground)],
        },
    })
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
fn rule(case: Case) -> Value {
    let caller = json!({ "exact": principal(Side::Outbound) });
    let of = if case.is_bytes() { "network" } else { "http" };
    let mut config = json!({
            "@type": format!("type.googleapis.com/envoy.extensions.filters.{of}.rbac.v3.RBAC"),
            "rules": {
                "action": "ALLOW",
                "policies": { "caller": {
                    "permissions": [{ "any": true }],
                    "principals": [{ "authenticated": { "principal_name": caller } }],
                } },
            },
    });
    if case.is_bytes() {
        config["stat_prefix"] = json!("caller");
    }
    json!({ "name": format!("envoy.filters.{of}.rbac"), "typed_config": config })
}
