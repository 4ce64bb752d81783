//! What a command says when it is done.
//!
//! A reader that leaves early, as `head` does, has what it wanted: the rest goes nowhere, and the
//! exit code is what it would have been.

use std::fmt;
use std::io::{self, ErrorKind, Write};

use anyhow::{Context as _, Result};

/// Writes a result to standard output.
///
/// # Errors
/// If it cannot be written, as on a full disk; not if its reader has left.
pub(crate) fn result(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(error).context("writing to standard output")
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Writes a line beside the result, to standard error; where that cannot be written, nobody could
/// be told.
pub(crate) fn note(text: impl fmt::Display) {
    drop(writeln!(io::stderr(), "{text}"));
}

/// `1 fault`, `2 faults`.
pub(crate) fn count(number: usize, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}
