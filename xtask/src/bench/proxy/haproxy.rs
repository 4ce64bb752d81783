//! HAProxy with one thread: routes in a map, statistics with their Prometheus door, the log to
//! stdout, which is a file in memory.

use std::process::Command;

use anyhow::Result;

use crate::bench::case::ROUTES;
use crate::bench::subject::{Ground, Ports};

pub(super) fn arguments(command: &mut Command, ground: &Ground<'_>) -> Result<()> {
    let routes: String = (0..ROUTES).map(|number| format!("/r{number}/ upstream\n")).collect();
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
  use_backend %[path,map_beg({map})]
backend upstream
  server one 127.0.0.1:{upstream} pool-max-conn -1
frontend admin
  bind 127.0.0.1:{admin}
  http-request use-service prometheus-exporter if {{ path /metrics }}
  no log
",
        pem = pem.display(),
        map = map.display(),
        upstream = ground.bed.upstream,
    );
    let config = ground.write("haproxy.cfg", text)?;
    command.arg("-db").arg("-f").arg(config);
    Ok(())
}
