//! Which source file an instruction of a program comes from.

use std::collections::HashMap;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::shell;

/// Source files, by where an instruction lies in the program's file.
#[derive(Debug, Default)]
pub(super) struct Lines(HashMap<u64, String>);

impl Lines {
    pub(super) fn file(&self, address: u64) -> Option<&str> {
        self.0.get(&address).map(String::as_str)
    }
}

/// The files of instructions: of functions that were inlined into one another the innermost that is not the
/// standard library's.
pub(super) fn of(program: &Path, addresses: &[u64]) -> Result<Lines> {
    let loaded = Loaded::of(program)?;
    let mut addr2line = Command::new("addr2line");
    addr2line.arg("--exe").arg(program).args(["--inlines", "--addresses"]);
    let mut child = addr2line
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("starting addr2line")?;
    let mut asked = child.stdin.take().context("addr2line's input")?;
    let known: HashMap<u64, u64> = addresses.iter().map(|at| (loaded.memory(*at), *at)).collect();
    let questions: String = known.keys().map(|at| format!("0x{at:x}\n")).collect();
    let asking = std::thread::spawn(move || asked.write_all(questions.as_bytes()));
    let out = child.wait_with_output().context("asking addr2line")?;
    asking.join().ok().context("asking addr2line")??;
    ensure!(out.status.success(), "addr2line ended with {}", out.status);
    let files = answers(&String::from_utf8_lossy(&out.stdout));
    let files = files.into_iter().filter_map(|(at, file)| Some((*known.get(&at)?, file)));
    Ok(Lines(files.collect()))
}

/// Reads an address on a line, and under it `file:line` for each function, the innermost first.
fn answers(text: &str) -> HashMap<u64, String> {
    let mut files = HashMap::new();
    let mut at = None;
    for line in text.lines() {
        if let Some(address) = line.strip_prefix("0x") {
            at = u64::from_str_radix(address, 16).ok();
            continue;
        }
        let file = line.rsplit_once(':').map_or(line, |(file, _)| file);
        if let Some(at) = at
            && !file.contains("/library/")
            && file != "??"
        {
            files.entry(at).or_insert_with(|| file.to_owned());
        }
    }
    files
}

/// Where the parts of a program's file lie in memory, as against where it begins there.
#[derive(Debug, PartialEq, Eq)]
struct Loaded(Vec<Part>);

/// So many bytes of the file, from `offset`, lie at `memory`.
#[derive(Debug, PartialEq, Eq)]
struct Part {
    offset: u64,
    memory: u64,
    bytes: u64,
}

impl Loaded {
    fn of(program: &Path) -> Result<Self> {
        let mut readelf = Command::new("readelf");
        let loaded =
            Self::parse(&shell::output(readelf.args(["--segments", "--wide"]).arg(program))?);
        ensure!(!loaded.0.is_empty(), "{} has no part that is loaded", program.display());
        Ok(loaded)
    }

    /// Reads lines `LOAD offset memory physical bytes ...`.
    fn parse(text: &str) -> Self {
        let parts = text.lines().filter_map(|line| {
            let mut words = line.trim().strip_prefix("LOAD")?.split_whitespace();
            let mut next = || u64::from_str_radix(words.next()?.strip_prefix("0x")?, 16).ok();
            let (offset, memory, _physical, bytes) = (next()?, next()?, next()?, next()?);
            Some(Part { offset, memory, bytes })
        });
        Loaded(parts.collect())
    }

    fn memory(&self, offset: u64) -> u64 {
        let within = |part: &&Part| (part.offset..part.offset + part.bytes).contains(&offset);
        self.0.iter().find(within).map_or(offset, |part| offset - part.offset + part.memory)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_in_a_file_is_found_in_memory() {
        let text = "  LOAD           0x000000 0x0000 0x0000 0x3525c8 0x3525c8 R   0x1000
  LOAD           0x352600 0x353600 0x353600 0xcab180 0xcab180 R E 0x1000
";
        let loaded = Loaded::parse(text);
        assert_eq!(loaded.memory(0x10), 0x10);
        assert_eq!(loaded.memory(0x72888b), 0x72988b);
    }

    #[test]
    fn a_line_is_the_innermost_function_s_that_is_not_the_library_s() {
        let text = "0x0000000000000010\n/rustc/1/library/core/src/iter.rs:12\n/a/map.rs:3\n/a/main.rs:9\n\
                    0x0000000000000020\n??:0\n";
        let files = answers(text);
        assert_eq!(files.get(&0x10).map(String::as_str), Some("/a/map.rs"));
        assert_eq!(files.get(&0x20), None);
    }
}
