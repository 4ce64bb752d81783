//! From the command line to how the process runs.

use std::thread;

use proxy::process::Outfit;
use proxy::telemetry::{self, Sink, Tracing};
use proxy::{Limits, Settings};

use crate::args::{Admin, Serve};

/// How a gateway runs.
pub(crate) fn outfit(args: &Serve) -> Outfit {
    let admin = match args.admin {
        Admin::At(address) => Some(address),
        Admin::Off => None,
    };
    let drain = args.drain_timeout;
    Outfit { settings: settings(args), telemetry: told(args), admin, drain }
}

fn told(args: &Serve) -> telemetry::Settings {
    let access_log = match args.access_log.as_str() {
        "off" => Sink::Off,
        "-" => Sink::Stderr,
        file => Sink::File(file.into()),
    };
    let tracing = args.otlp.clone().map(|endpoint| Tracing { endpoint, sampling: args.otlp_ratio });
    telemetry::Settings { workers: workers(args), access_log, tracing, ..Default::default() }
}

fn settings(args: &Serve) -> Settings {
    Settings {
        workers: workers(args),
        bind: args.bind,
        trusted: args.trust_forwarded.clone(),
        debug_header: args.debug_header,
        limits: Limits {
            head: args.head_timeout,
            idle: args.idle_timeout,
            write: args.write_timeout,
            backend_head: args.backend_timeout,
            body: args.body_timeout,
            body_bytes: args.max_body,
            ..Limits::default()
        },
    }
}

fn workers(args: &Serve) -> usize {
    let processors = || thread::available_parallelism().map_or(1, usize::from);
    args.workers.map_or_else(processors, usize::from)
}
