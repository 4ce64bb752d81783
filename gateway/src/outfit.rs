//! From the command line to how the process runs.

use std::path::Path;
use std::thread;

use anyhow::Result;
use proxy::process::{Outfit, words};
use proxy::telemetry::{self, Tracing};
use proxy::{Limits, Settings};

use crate::args::Serve;

/// How a gateway runs whose state is kept in this folder, if it has one.
///
/// # Errors
/// Where what names a Redis names none.
pub(crate) fn outfit(args: &Serve, state: Option<&Path>) -> Result<Outfit> {
    Ok(Outfit {
        settings: settings(args, state)?,
        telemetry: told(args),
        admin: args.admin.0,
        handover: args.handover.clone(),
        ticket_keys: args.ticket_keys.clone(),
        notice: args.drain_delay,
        drain: args.drain_timeout,
        decision_ratio: args.decision_ratio,
    })
}

fn told(args: &Serve) -> telemetry::Settings {
    let access_log = words::sink(&args.access_log);
    let tracing = args.otlp.clone().map(|endpoint| Tracing { endpoint, sampling: args.otlp_ratio });
    telemetry::Settings { workers: workers(args), access_log, tracing, ..Default::default() }
}

fn settings(args: &Serve, state: Option<&Path>) -> Result<Settings> {
    Ok(Settings {
        workers: workers(args),
        bind: args.bind,
        zone: args.zone.clone().filter(|zone| !zone.is_empty()),
        trusted: args.trust_forwarded.clone(),
        trusted_hops: args.trusted_hops.into(),
        proxy_protocol: args.proxy_protocol.clone(),
        escaped_slashes: args.escaped_slashes.into(),
        debug_header: args.debug_header,
        quotas: state.map(|folder| folder.join(words::QUOTAS)),
        fetch_from: args.fetch_from.clone(),
        redis: words::redis(args.redis.as_ref(), args.redis_ca.as_deref(), args.redis_timeout)?,
        limits: Limits {
            connections: args.max_connections,
            connections_each: args.max_connections_per_ip,
            head: args.head_timeout,
            idle: args.idle_timeout,
            write: args.write_timeout,
            backend_head: args.backend_timeout,
            body: args.body_timeout,
            body_bytes: args.max_body,
            flow_idle: args.udp_idle,
            flows: args.max_udp_flows,
            ..Limits::default()
        },
    })
}

fn workers(args: &Serve) -> usize {
    let processors = || thread::available_parallelism().map_or(1, usize::from);
    args.workers.map_or_else(processors, usize::from)
}
