//! `heddle-gateway check`: every fault of a configuration, before it is served.

use std::process::ExitCode;

use anyhow::Result;
use serde_json::json;

use crate::args::{Check, Output};
use crate::load::{Config, Loaded};

/// Prints all faults to standard output; 0 if there is none, else 1.
pub(crate) fn run(args: &Check) -> Result<ExitCode> {
    let loaded = Config::at(&args.config).load()?;
    match args.output {
        Output::Text => text(args, &loaded),
        Output::Json => json(&loaded)?,
    }
    Ok(if loaded.faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

#[allow(clippy::print_stdout)] // the result goes to standard output
fn text(args: &Check, loaded: &Loaded) {
    for fault in &loaded.faults {
        println!("{fault}");
    }
    let count = loaded.faults.len();
    let path = args.config.display();
    if count == 0 {
        println!("{path}: {} objects, no fault", loaded.objects);
    } else {
        eprintln!("{path}: {count} faults; {} objects are good", loaded.objects);
    }
}

#[allow(clippy::print_stdout)] // the result goes to standard output
fn json(loaded: &Loaded) -> Result<()> {
    let faults: Vec<_> = loaded
        .faults
        .iter()
        .map(|fault| {
            let file = fault.file.as_ref().map(|file| file.display().to_string());
            json!({ "file": file, "fault": fault.invalid })
        })
        .collect();
    let whole = json!({ "objects": loaded.objects, "faults": faults });
    println!("{}", serde_json::to_string_pretty(&whole)?);
    Ok(())
}
