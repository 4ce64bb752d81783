//! Nginx with one worker: a location for each route, kept upstream connections, stub_status, and
//! a log that is written in blocks.

use std::process::Command;

use anyhow::Result;

use crate::bench::bed::nginx_temp;
use crate::bench::case::Route;
use crate::bench::subject::{Ground, Ports};

pub(super) fn arguments(command: &mut Command, ground: &Ground<'_>) -> Result<()> {
    let config = ground.write("nginx.conf", config(ground))?;
    command.arg("-e").arg(ground.dir.join("stderr")).arg("-c").arg(config);
    Ok(())
}

fn config(ground: &Ground<'_>) -> String {
    let admin = ground.ports.admin;
    let routes = ground.case.routes();
    let hosts = routes.chunk_by(|one, next| one.host == next.host);
    let servers: String = hosts.map(|routes| server(ground, routes)).collect();
    format!(
        "daemon off; worker_processes 1; pid {pid}; error_log stderr warn;
events {{ worker_connections 16384; }}
http {{
  {temp}
  access_log {log} combined buffer=64k flush=1s;
  tcp_nodelay on;
  keepalive_requests 1000000000; keepalive_timeout 1h;
  proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_set_header Host $host;
  proxy_buffers 32 8k; proxy_max_temp_file_size 0;
  upstream upstream {{
    server 127.0.0.1:{upstream};
    keepalive 256; keepalive_requests 1000000000; keepalive_timeout 1h;
  }}
  server_names_hash_max_size 8192; server_names_hash_bucket_size 128;
{servers}  server {{
    listen 127.0.0.1:{admin}; access_log off;
    location = /status {{ stub_status; }}
  }}
}}
",
        pid = ground.dir.join("pid").display(),
        temp = nginx_temp(ground.dir),
        log = ground.access_log().display(),
        upstream = ground.upstream(),
    )
}

/// A host of the list, with a location for each prefix; every host where it names none.
fn server(ground: &Ground<'_>, routes: &[Route]) -> String {
    let Ports { http, h2c, https, .. } = ground.ports;
    let name = routes.first().and_then(|route| route.host.as_deref()).unwrap_or("_");
    let pass = if ground.is_grpc() { "grpc_pass grpc" } else { "proxy_pass http" };
    let location =
        |route: &Route| format!("    location {}/ {{ {pass}://upstream; }}\n", route.prefix);
    let locations: String = routes.iter().map(location).collect();
    format!(
        "  server {{
    listen 127.0.0.1:{http};
    listen 127.0.0.1:{h2c} http2;
    listen 127.0.0.1:{https} ssl;
    server_name {name};
    ssl_protocols TLSv1.3; ssl_certificate {certificate}; ssl_certificate_key {key};
{locations}  }}
",
        certificate = ground.bed.certificate.display(),
        key = ground.bed.key.display(),
    )
}
