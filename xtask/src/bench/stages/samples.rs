//! What a process was doing each time that `perf` looked.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::lines::Lines;
use super::stage::Place;
use crate::bench::process::{OTHER_CORE, pinned};
use crate::shell;

/// How often it looks, in a second. No divisor of a timer's.
const OFTEN: &str = "3989";
/// What it calls the kernel.
const KERNEL: &str = "[kernel.kallsyms]";

/// A recording under way.
#[derive(Debug)]
pub(super) struct Recording(Child);

impl Recording {
    pub(super) fn end(mut self) -> Result<()> {
        let status = self.0.wait().context("waiting for perf")?;
        ensure!(status.success(), "perf ended with {status}");
        Ok(())
    }
}

/// Begins to sample all threads of these processes, for so many seconds of the clock.
pub(super) fn record(pids: &[u64], seconds: u64, file: &Path) -> Result<Recording> {
    let how = ["--event", "cpu-clock", "--freq", OFTEN, "--call-graph", "fp", "--quiet"];
    begin("record", &how, pids, seconds, file)
}

/// Begins to count how often an event happens while all threads of these processes run.
pub(super) fn count(event: &str, pids: &[u64], seconds: u64, file: &Path) -> Result<Recording> {
    begin("stat", &["--event", event, "--field-separator", ","], pids, seconds, file)
}

fn begin(what: &str, how: &[&str], pids: &[u64], seconds: u64, file: &Path) -> Result<Recording> {
    let pids: Vec<_> = pids.iter().map(u64::to_string).collect();
    let mut command = pinned(OTHER_CORE, "perf");
    command.arg(what).args(how).args(["--pid", &pids.join(","), "--output"]).arg(file);
    command.args(["--", "sleep", &seconds.to_string()]).stdout(Stdio::null());
    Ok(Recording(command.spawn().context("starting perf")?))
}

/// Reads what was counted.
pub(super) fn counted(file: &Path) -> Result<f64> {
    let text =
        std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    number(&text).with_context(|| format!("perf counted nothing: {text}"))
}

/// Reads the line `number,unit,event,...` among comments.
fn number(text: &str) -> Option<f64> {
    let mut lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.next()?.split(',').next()?.parse().ok()
}

/// Reads a recording.
pub(super) fn read(file: &Path) -> Result<Samples> {
    let mut command = Command::new("perf");
    command.args(["script", "--fields", "tid,ip,sym,symoff,dso", "--input"]).arg(file);
    let samples = Samples::parse(&shell::output(&mut command)?);
    ensure!(!samples.all.is_empty(), "perf saw nothing");
    Ok(samples)
}

#[derive(Debug)]
pub(super) struct Samples {
    pub(super) all: Vec<Sample>,
}

/// The instruction that ran, and who had called, the nearest first.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Sample {
    pub(super) frames: Vec<Frame>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frame {
    /// Where it lies in the object's file; of the kernel, in memory.
    address: u64,
    symbol: String,
    /// The file it was loaded from, or `[kernel.kallsyms]`, `[vdso]`.
    object: String,
}

impl Samples {
    /// Reads paragraphs: a thread's number, and a line `address symbol+0xoffset (object)` for each frame.
    fn parse(text: &str) -> Self {
        let paragraphs = text.split("\n\n").map(|paragraph| Sample {
            frames: paragraph.lines().filter_map(Frame::parse).collect(),
        });
        Samples { all: paragraphs.filter(|sample| !sample.frames.is_empty()).collect() }
    }

    /// The addresses of those samples that ran in a program itself.
    pub(super) fn addresses(&self, program: &Path) -> Vec<u64> {
        let leaves = self.all.iter().filter_map(|sample| sample.frames.first());
        let within = leaves.filter(|frame| Path::new(&frame.object) == program);
        let mut addresses: Vec<_> = within.map(|frame| frame.address).collect();
        addresses.sort_unstable();
        addresses.dedup();
        addresses
    }
}

impl Sample {
    /// Where its instruction stands, by the lines of a program of which they are known.
    pub(super) fn place<'a>(&'a self, program: Option<&Path>, lines: &'a Lines) -> Place<'a> {
        let Some(leaf) = self.frames.first() else { return Place::Unknown };
        if leaf.object == KERNEL {
            let mut names = self.frames.iter().map(|frame| frame.symbol.as_str());
            return Place::Kernel { call: names.find_map(call) };
        }
        if program.is_some_and(|program| Path::new(&leaf.object) == program) {
            return lines.file(leaf.address).map_or(Place::Unknown, Place::Source);
        }
        Place::Library { object: &leaf.object, symbol: &leaf.symbol }
    }
}

impl Frame {
    fn parse(line: &str) -> Option<Self> {
        let (address, rest) = line.trim().split_once(' ')?;
        let address = u64::from_str_radix(address, 16).ok()?;
        let (symbol, object) = rest.rsplit_once(" (")?;
        let symbol = symbol.rsplit_once("+0x").map_or(symbol, |(symbol, _)| symbol);
        let object = object.strip_suffix(')')?;
        Some(Frame { address, symbol: symbol.to_owned(), object: object.to_owned() })
    }
}

/// The name of a call to the system, of the kernel's function that serves it.
fn call(symbol: &str) -> Option<&str> {
    match symbol {
        // What serves it at first leaves all to these, and is not seen.
        "do_writev" => Some("writev"),
        "do_readv" => Some("readv"),
        _ => symbol.strip_prefix("__x64_sys_").or_else(|| symbol.strip_prefix("__arm64_sys_")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_perf_says_is_read() {
        let text = "30829 \n\tffffffff82094b90 tcp_v4_rcv+0x5e0 ([kernel.kallsyms])\n\
                    \tffffffff81e81120 __x64_sys_sendto+0x20 ([kernel.kallsyms])\n\
                    \t          10aba4 __send+0x64 (/lib/libc.so.6)\n\n\
                    30829 \n\t  72888b <a as b>::c+0x11b (/bin/it)\n\t 2000 [unknown] ([unknown])\n\n";
        let samples = Samples::parse(text);
        assert_eq!(samples.all.len(), 2);
        assert_eq!(samples.addresses(Path::new("/bin/it")), [0x72888b]);
        assert_eq!(samples.all[1].frames[0].symbol, "<a as b>::c");
        let lines = Lines::default();
        let place = samples.all[0].place(Some(Path::new("/bin/it")), &lines);
        assert_eq!(place, Place::Kernel { call: Some("sendto") });
        let counted = "# started on Mon\n\n123,,sched:sched_waking,2000,100.00,,\n";
        assert_eq!(number(counted), Some(123.0));
        assert_eq!(number("<not counted>,,sched:sched_waking,0,0.00,,\n"), None);
    }
}
