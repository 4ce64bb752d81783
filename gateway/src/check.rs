//! `heddle-gateway check`: every fault of a configuration, before it is served, and what is no fault and most
//! likely not meant.

use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::Result;
use serde_json::json;

use crate::args::{Check, Output};
use crate::load::warning::Warning;
use crate::load::{Config, Loaded};
use crate::print::{self, count};

/// Prints all faults and warnings to standard output; 0 if there is none and something to serve, else 1.
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
    let mut lines = String::new();
    for fault in &loaded.faults {
        writeln!(lines, "{fault}")?;
    }
    for warning in &loaded.warnings {
        writeln!(lines, "{warning}")?;
    }
    let warned = match loaded.warnings.len() {
        0 => String::new(),
        number => format!(", {}", count(number, "warning")),
    };
    let objects = count(loaded.good, "object");
    if loaded.faults.is_empty() {
        writeln!(lines, "{path}: {objects}, no fault{warned}")?;
        return print::result(&lines);
    }
    print::result(&lines)?;
    let faults = count(loaded.faults.len(), "fault");
    let are = if loaded.good == 1 { "is" } else { "are" };
    print::note(format_args!("{path}: {faults}{warned}; {objects} {are} good"));
    Ok(())
}

fn json(loaded: &Loaded) -> Result<String> {
    let faults = loaded
        .faults
        .iter()
        .map(|fault| json!({ "file": fault.file, "object": fault.object, "fault": fault.invalid }));
    let warnings = loaded.warnings.iter().map(
        |Warning(one)| json!({ "file": one.file, "object": one.object, "warning": one.invalid }),
    );
    let (faults, warnings) = (faults.collect::<Vec<_>>(), warnings.collect::<Vec<_>>());
    let whole = json!({ "objects": loaded.good, "faults": faults, "warnings": warnings });
    Ok(serde_json::to_string_pretty(&whole)? + "\n")
}
