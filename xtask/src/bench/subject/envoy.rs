//! Envoy, as it comes: statistics on, circuit breakers raised so that they never trip.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::Ground;
use crate::bench::case::ROUTES;

/// The program within the Python package that carries it.
pub(super) fn program(venv: &Path) -> Result<PathBuf> {
    let lib = venv.join("lib");
    for entry in std::fs::read_dir(&lib).with_context(|| format!("reading {}", lib.display()))? {
        let file = entry?.path().join("site-packages/envoy/_bin/envoy");
        if file.is_file() {
            return Ok(file);
        }
    }
    anyhow::bail!("no Envoy below {}", lib.display())
}

pub(super) fn arguments(command: &mut Command, ground: &Ground<'_>) -> Result<()> {
    let config = ground.write("envoy.json", config(ground).to_string())?;
    command.args(["--concurrency", "1", "--disable-hot-restart", "-l", "warn", "-c"]).arg(config);
    Ok(())
}

fn config(ground: &Ground<'_>) -> Value {
    json!({
        "admin": { "address": address(ground.ports.admin) },
        "static_resources": {
            "listeners": [
                listener("http", ground.ports.http, ground, None),
                listener("https", ground.ports.https, ground, Some(tls(ground))),
            ],
            "clusters": [cluster(ground.bed.upstream)],
        },
    })
}

fn address(port: u16) -> Value {
    json!({ "socket_address": { "address": "127.0.0.1", "port_value": port } })
}

fn listener(name: &str, port: u16, ground: &Ground<'_>, tls: Option<Value>) -> Value {
    let mut chain = json!({ "filters": [manager(name, ground)] });
    if let Some(tls) = tls {
        chain["transport_socket"] = tls;
    }
    json!({ "name": name, "address": address(port), "filter_chains": [chain] })
}

fn manager(name: &str, ground: &Ground<'_>) -> Value {
    let routes: Vec<_> = (0..ROUTES).map(route).collect();
    json!({
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.network\
                .http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": name,
            "codec_type": "AUTO",
            "access_log": [{
                "name": "envoy.access_loggers.file",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.access_loggers\
                        .file.v3.FileAccessLog",
                    "path": ground.access_log(),
                },
            }],
            "route_config": {
                "name": "routes",
                "virtual_hosts": [{ "name": "all", "domains": ["*"], "routes": routes }],
            },
            "http_filters": [{
                "name": "envoy.filters.http.router",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
                },
            }],
        },
    })
}

fn route(number: usize) -> Value {
    json!({
        "match": { "path_separated_prefix": format!("/r{number}") },
        "route": { "cluster": "upstream" },
    })
}

fn tls(ground: &Ground<'_>) -> Value {
    json!({
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets\
                .tls.v3.DownstreamTlsContext",
            "common_tls_context": {
                "tls_params": { "tls_minimum_protocol_version": "TLSv1_3" },
                "alpn_protocols": ["http/1.1"],
                "tls_certificates": [{
                    "certificate_chain": { "filename": ground.bed.certificate },
                    "private_key": { "filename": ground.bed.key },
                }],
            },
        },
    })
}

fn cluster(upstream: u16) -> Value {
    let endpoint = json!({ "endpoint": { "address": address(upstream) } });
    let many = 1_000_000;
    json!({
        "name": "upstream",
        "type": "STATIC",
        "connect_timeout": "5s",
        "circuit_breakers": { "thresholds": [{
            "max_connections": many,
            "max_pending_requests": many,
            "max_requests": many,
        }] },
        "load_assignment": {
            "cluster_name": "upstream",
            "endpoints": [{ "lb_endpoints": [endpoint] }],
        },
    })
}
