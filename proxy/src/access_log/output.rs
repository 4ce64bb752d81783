//! Where log lines end up: one of the standard streams, or a file that may be moved away.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::Sink;

/// An open sink.
#[derive(Debug)]
pub(super) struct Output {
    to: To,
    /// A write broke off inside a line.
    torn: bool,
}

#[derive(Debug)]
enum To {
    Stdout,
    Stderr,
    File {
        path: PathBuf,
        file: File,
    },
    #[cfg(test)]
    Gate(super::tests::Gate),
}

impl Output {
    /// `None` where the log is off.
    pub(super) fn open(sink: &Sink) -> io::Result<Option<Self>> {
        let to = match sink {
            Sink::Off => return Ok(None),
            Sink::Stdout => To::Stdout,
            Sink::Stderr => To::Stderr,
            Sink::File(path) => To::File { path: path.clone(), file: append(path)? },
        };
        Ok(Some(Output { to, torn: false }))
    }

    #[cfg(test)]
    pub(super) fn gate(gate: super::tests::Gate) -> Self {
        Output { to: To::Gate(gate), torn: false }
    }

    /// Opens the file anew; the old one is kept where that fails.
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        if let To::File { path, file } = &mut self.to {
            *file = append(path)?;
            self.torn = false;
        }
        Ok(())
    }

    pub(super) fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.torn {
            self.to.write_all(b"\n")?;
        }
        let written = self.to.write_all(lines);
        self.torn = written.is_err();
        written
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

impl To {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            To::Stdout => flushed(io::stdout().lock(), bytes),
            To::Stderr => flushed(io::stderr().lock(), bytes),
            To::File { file, .. } => file.write_all(bytes),
            #[cfg(test)]
            To::Gate(gate) => gate.write_all(bytes),
        }
    }
}

fn flushed(mut to: impl Write, bytes: &[u8]) -> io::Result<()> {
    to.write_all(bytes)?;
    to.flush()
}
