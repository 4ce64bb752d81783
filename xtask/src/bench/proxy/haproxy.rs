//! HAProxy with one thread: routes in a map, statistics with their Prometheus door, the log to
//! stdout, which is a file in memory.

use std::process::Command;

use anyhow::Result;

use crate::bench::case::Route;
use crate::bench::subject::{Ground, Ports};

pub(super) fn arguments(command: &mut Command, ground: &Ground<'_>) -> Result<()> {
    let routes = ground.case.routes();
    // `base` is the host with the path behind it.
    let looked_up = if routes.iter().any(|route| route.host.is_some()) { "base" } else { "path" };
    let protocol = if ground.is_grpc() { " proto h2" } else { "" };
    let routes: String = routes.iter().map(line).collect();
    let map = ground.write("routes.map", routes)?;
    let mut pem = std::fs::read(&ground.bed.certificate)?;
    pem.extend(std::fs::read(&ground.bed.key)?);
    let pem = ground.write("both.pem", pem)?;
    let Ports { http, h2c, https, admin } = ground.ports;
    let text = format!(
        "global
  nbthread 1
  maxconn 4096
  log stdout format raw local0
  ssl-default-bind-options ssl-min-ver TLSv1.3
defaults
  mode http
  log global
  option httplog
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  http-reuse always
frontend edge
  bind 127.0.0.1:{http}
  bind 127.0.0.1:{h2c} proto h2
  bind 127.0.0.1:{https} ssl crt {pem} alpn http/1.1
  use_backend %[{looked_up},map_beg({map})]
backend upstream
  server one 127.0.0.1:{upstream}{protocol} pool-max-conn -1
frontend admin
  bind 127.0.0.1:{admin}
  http-request use-service prometheus-exporter if {{ path /metrics }}
  no log
",
        pem = pem.display(),
        map = map.display(),
        upstream = ground.upstream(),
    );
    let config = ground.write("haproxy.cfg", text)?;
    command.arg("-db").arg("-f").arg(config);
    Ok(())
}

/// A route as a line of the map.
fn line(route: &Route) -> String {
    format!("{}{}/ upstream\n", route.host.as_deref().unwrap_or_default(), route.prefix)
}
