//! The doors to the store: each does one thing, prints one result, and ends.

use std::io::{self, Write as _};
use std::process::ExitCode;

use anyhow::Result;
use control::keep::{self, Chain, Location};

/// What to do with the store at a place.
#[derive(Debug)]
pub(crate) enum Act {
    /// Into this file.
    Backup(std::path::PathBuf),
    /// From this file.
    Restore(std::path::PathBuf),
    /// To this place.
    Copy(Location),
    /// The audit.
    Verify,
}

/// Does it; results go to stdout.
pub(crate) async fn run(place: &Location, act: &Act) -> Result<ExitCode> {
    let (result, code) = match act {
        Act::Backup(file) => {
            let rows = keep::back_up(place, file).await?.rows();
            (format!("backed up {rows} rows to {}, without the keys", file.display()), 0)
        }
        Act::Restore(file) => {
            let rows = keep::restore(place, file).await?.rows();
            (format!("restored {rows} rows from {} into {place}", file.display()), 0)
        }
        Act::Copy(to) => {
            let rows = keep::copy(place, to).await?.rows();
            (format!("copied {rows} rows from {place} to {to}"), 0)
        }
        Act::Verify => match keep::verify(place).await? {
            Chain::Holds { entries, head } => {
                let head = if head.is_empty() { head } else { format!("\nhead {head}") };
                (format!("{entries} entries, chain holds{head}"), 0)
            }
            Chain::Broken(what) => (format!("the chain does not hold: {what}"), 1),
        },
    };
    writeln!(io::stdout(), "{result}")?;
    Ok(ExitCode::from(code))
}
