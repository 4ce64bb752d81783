//! `bench stages`: where the time of a request goes, in microseconds of CPU, by samples of a subject under
//! all the load that it takes.
//!
//! A sample is told by the instruction that ran: one of the kernel's by the call that led there, one of a
//! program's by the source file of its line, where the line of a function that was inlined is that
//! function's. What a stage has others do counts for those: a header that is set, for headers.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::bed::Bed;
use super::case::{Case, Wire};
use super::contest::{among, chosen};
use super::drive::{Closed, Driver, closed};
use super::ours::Ours;
use super::proxy;
use super::subject::{Running, Subject};
use crate::setup;
use samples::Samples;
use stage::Stage;

mod lines;
mod samples;
mod stage;

/// Those of which the sources are known.
const OURS: [Subject; 2] = [Subject::Heddle, Subject::Bare];
/// How many files are listed.
const FILES: usize = 30;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The cases to look into; `h1-small` and `h2-small` if none is named.
    #[arg(long, value_parser = among(&Case::EDGE))]
    case: Vec<Case>,
    /// For how many seconds each subject is sampled.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// Lists the source files that take most, too.
    #[arg(long)]
    files: bool,
    #[command(flatten)]
    ours: Ours,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    setup::apt(&["nginx-light", "wrk", "nghttp2-client", "openssl", "binutils", "linux-perf"])?;
    let (driver, mut bed) = (Driver::new(&args.ours)?, Bed::lay()?);
    let cases = chosen(&args.case, &[Case::H1Small, Case::H2Small]);
    if cases.iter().any(|case| case.wire() == Wire::Grpc) {
        bed.start_callee(&args.ours.program("e2e", "callee")?)?;
    }
    for case in cases {
        let looked = OURS.map(|subject| look(case, subject, args, &driver, &bed));
        let [heddle, bare] = looked;
        print(&mut io::stdout().lock(), case, [&heddle?, &bare?], args.files)?;
    }
    Ok(())
}

/// Microseconds of CPU for one request, by where they went.
#[derive(Debug, Default)]
struct Spent {
    stages: BTreeMap<Stage, f64>,
    /// Those of programs, by source file.
    files: BTreeMap<String, f64>,
}

impl Spent {
    fn all(&self) -> f64 {
        self.stages.values().sum()
    }
}

fn look(case: Case, subject: Subject, args: &Args, driver: &Driver, bed: &Bed) -> Result<Spent> {
    let programs = proxy::obtain(subject, &args.ours)?;
    let mut running = proxy::start(case, subject, &programs, bed)?;
    driver.probe(case, bed, &mut running)?;
    closed(case, bed, &running, 2)?;
    let file = bed.dir.join("samples");
    let before = running.cpu_seconds()?;
    let (samples, full) = sampled(case, &running, bed, args.seconds, &file)?;
    let cpu = running.cpu_seconds()? - before;
    ensure!(full.failed == 0, "{} requests failed: the samples mean nothing", full.failed);
    let each = cpu / full.requests as f64 * 1e6;
    let program = programs.first().context("no program")?;
    let spent = spent(&samples, program, each)?;
    eprintln!("    {}, {}: {each:.2} us a request", case.name(), subject.name());
    Ok(spent)
}

/// Samples a subject while it gets all the load that it takes.
fn sampled(
    case: Case,
    running: &Running,
    bed: &Bed,
    seconds: u64,
    file: &Path,
) -> Result<(Samples, Closed)> {
    let process = running.processes.first().context("nobody runs")?;
    let recording = samples::record(process.pid(), seconds, file)?;
    let full = closed(case, bed, running, seconds)?;
    recording.end()?;
    Ok((samples::read(file)?, full))
}

fn spent(samples: &Samples, program: &Path, each: f64) -> Result<Spent> {
    let lines = lines::of(program, &samples.addresses(program))?;
    let mut spent = Spent::default();
    let one = each / samples.all.len() as f64;
    for sample in &samples.all {
        let place = sample.place(program, &lines);
        *spent.stages.entry(Stage::of(&place)).or_default() += one;
        if let Some(file) = place.file() {
            *spent.files.entry(file.to_owned()).or_default() += one;
        }
    }
    Ok(spent)
}

/// Writes what one case costs as Markdown.
fn print(
    out: &mut impl Write,
    case: Case,
    [ours, bare]: [&Spent; 2],
    files: bool,
) -> io::Result<()> {
    writeln!(
        out,
        "\n| {}: us of CPU a request | heddle | bare | more |\n|---|---|---|---|",
        case.name()
    )?;
    let mut row = |name: &str, ours: f64, bare: f64| {
        writeln!(out, "| {name} | {ours:.2} | {bare:.2} | {:.2} |", ours - bare)
    };
    for stage in Stage::ALL {
        let of = |spent: &Spent| spent.stages.get(&stage).copied().unwrap_or_default();
        row(stage.name(), of(ours), of(bare))?;
    }
    row("all", ours.all(), bare.all())?;
    if files {
        let of = |file: &String| bare.files.get(file).copied().unwrap_or_default();
        let mut more: Vec<_> =
            ours.files.iter().map(|(file, us)| (us - of(file), *us, file)).collect();
        more.sort_by(|one, other| other.0.total_cmp(&one.0));
        writeln!(out)?;
        for (_, us, file) in more.into_iter().take(FILES) {
            writeln!(out, "| {file} | {us:.2} | {:.2} | {:.2} |", of(file), us - of(file))?;
        }
    }
    Ok(())
}
