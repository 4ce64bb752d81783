//! `heddle-gateway check`: every fault of a configuration, before it is served.

use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::Result;
use serde_json::json;

use crate::args::{Check, Output};
use crate::load::{Config, Loaded};
use crate::print::{self, count};

/// Prints all faults to standard output; 0 if there is none and something to serve, else 1.
pub(crate) fn run(args: &Check) -> Result<ExitCode> {
    let config = Config::at(&args.config).ignoring(&args.ignore_kinds);
    let loaded = config.with(&args.tls_secrets).load()?;
    match args.output {
        Output::Text => text(args, &loaded)?,
        Output::Json => print::result(&json(&loaded)?)?,
    }
    let is_servable = loaded.faults.is_empty() && loaded.objects > 0;
    Ok(if is_servable { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn text(args: &Check, loaded: &Loaded) -> Result<()> {
    let path = args.config.display();
    if loaded.faults.is_empty() && loaded.objects == 0 {
        return print::result(&format!("{path} holds no object that can be served\n"));
    }
    if loaded.faults.is_empty() {
        return print::result(&format!("{path}: {}, no fault\n", count(loaded.good, "object")));
    }
    let mut lines = String::new();
    for fault in &loaded.faults {
        writeln!(lines, "{fault}")?;
    }
    print::result(&lines)?;
    let faults = count(loaded.faults.len(), "fault");
    let are = if loaded.good == 1 { "is" } else { "are" };
    print::note(format_args!("{path}: {faults}; {} {are} good", count(loaded.good, "object")));
    Ok(())
}

fn json(loaded: &Loaded) -> Result<String> {
    let faults = loaded
        .faults
        .iter()
        .map(|fault| json!({ "file": fault.file, "object": fault.object, "fault": fault.invalid }));
    let whole = json!({ "objects": loaded.good, "faults": faults.collect::<Vec<_>>() });
    Ok(serde_json::to_string_pretty(&whole)? + "\n")
}
