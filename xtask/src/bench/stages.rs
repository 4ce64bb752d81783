//! `bench stages`: where the time of a request goes, in microseconds of CPU, by samples of a subject under
//! all the load that it takes.
//!
//! A sample is told by the instruction that ran: one of the kernel's by the call that led there, one of a
//! program's by the source file of its line, where the line of a function that was inlined is that
//! function's. What a stage has others do counts for those: a header that is set, for headers.
//! Of others' programs no lines are known, so that all that they do themselves is one figure.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use super::bed::Bed;
use super::case::{Case, Wire};
use super::contest::{among, chosen};
use super::drive::{Closed, Driver, closed};
use super::ours::Ours;
use super::process::Process;
use super::proxy;
use super::subject::{Running, Subject};
use crate::setup;
use lines::Lines;
use samples::Samples;
use stage::Stage;

mod lines;
mod samples;
mod stage;

/// Those of which the sources are known, and that are looked at if nobody is named.
const OURS: [Subject; 2] = [Subject::Heddle, Subject::Bare];
/// What the kernel tells where something that slept is to run.
const WAKES: &str = "sched:sched_waking";
/// How many files are listed.
const FILES: usize = 30;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The cases to look into; `h1-small` and `h2-small` if none is named.
    #[arg(long, value_parser = among(&Case::EDGE))]
    case: Vec<Case>,
    /// The subjects to look into; heddle and bare if none is named.
    #[arg(long, value_parser = among(&Subject::EDGE))]
    subject: Vec<Subject>,
    /// For how many seconds each subject is sampled.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// Lists the source files in which the first subject spends most more than the last one, too.
    #[arg(long)]
    files: bool,
    #[command(flatten)]
    ours: Ours,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    setup::apt(&["nginx-light", "wrk", "nghttp2-client", "openssl", "binutils", "linux-perf"])?;
    let subjects = chosen(&args.subject, &OURS);
    let (driver, mut bed) = (Driver::new(&args.ours)?, Bed::lay()?);
    let cases = chosen(&args.case, &[Case::H1Small, Case::H2Small]);
    if cases.iter().any(|case| case.wire() == Wire::Grpc) {
        bed.start_callee(&args.ours.program("e2e", "callee")?)?;
    }
    for case in cases {
        let look = |subject: &Subject| Ok((*subject, look(case, *subject, args, &driver, &bed)?));
        let looked = subjects.iter().map(look).collect::<Result<Vec<_>>>()?;
        print(&mut io::stdout().lock(), case, &looked, args.files)?;
    }
    Ok(())
}

/// Microseconds of CPU for one request, by where they went.
#[derive(Debug, Default)]
struct Spent {
    stages: BTreeMap<Stage, f64>,
    /// Those of programs, by source file.
    files: BTreeMap<String, f64>,
    /// How often something that slept was woken for one request, and no microseconds.
    wakes: f64,
}

impl Spent {
    fn all(&self) -> f64 {
        self.stages.values().sum()
    }

    fn in_file(&self, file: &str) -> f64 {
        self.files.get(file).copied().unwrap_or_default()
    }
}

fn look(case: Case, subject: Subject, args: &Args, driver: &Driver, bed: &Bed) -> Result<Spent> {
    let programs = proxy::obtain(subject, &args.ours)?;
    let mut running = proxy::start(case, subject, &programs, bed)?;
    driver.probe(case, bed, &mut running)?;
    let wakes = wakes(case, &running, bed, args.seconds)?;
    let file = bed.dir.join("samples");
    let before = running.cpu_seconds()?;
    let (samples, full) = sampled(case, &running, bed, args.seconds, &file)?;
    let cpu = running.cpu_seconds()? - before;
    ensure!(full.failed == 0, "{} requests failed: the samples mean nothing", full.failed);
    let each = cpu / full.requests as f64 * 1e6;
    let program = programs.first().filter(|_| OURS.contains(&subject));
    let spent = Spent { wakes, ..spent(&samples, program, each)? };
    eprintln!("    {}, {}: {each:.2} us a request", case.name(), subject.name());
    Ok(spent)
}

/// How often a subject wakes something for one request, while it gets all the load that it takes.
fn wakes(case: Case, running: &Running, bed: &Bed, seconds: u64) -> Result<f64> {
    let file = bed.dir.join("wakes");
    let counting = samples::count(WAKES, &pids(running)?, seconds, &file)?;
    let full = closed(case, bed, running, seconds)?;
    counting.end()?;
    Ok(samples::counted(&file)? / full.requests as f64)
}

fn pids(running: &Running) -> Result<Vec<u64>> {
    let families = running.processes.iter().map(Process::family);
    Ok(families.collect::<Result<Vec<_>>>()?.concat())
}

/// Samples a subject while it gets all the load that it takes.
fn sampled(
    case: Case,
    running: &Running,
    bed: &Bed,
    seconds: u64,
    file: &Path,
) -> Result<(Samples, Closed)> {
    let recording = samples::record(&pids(running)?, seconds, file)?;
    let full = closed(case, bed, running, seconds)?;
    recording.end()?;
    Ok((samples::read(file)?, full))
}

/// What one request costs, `each` in all; by source files where those of `program` are known.
fn spent(samples: &Samples, program: Option<&PathBuf>, each: f64) -> Result<Spent> {
    let known = match program {
        Some(program) => lines::of(program, &samples.addresses(program))?,
        None => Lines::default(),
    };
    let mut spent = Spent::default();
    let one = each / samples.all.len() as f64;
    for sample in &samples.all {
        let place = sample.place(program.map(PathBuf::as_path), &known);
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
    looked: &[(Subject, Spent)],
    files: bool,
) -> io::Result<()> {
    let names: String =
        looked.iter().map(|(subject, _)| format!(" {} |", subject.name())).collect();
    writeln!(out, "\n| {}: us of CPU a request |{names}", case.name())?;
    writeln!(out, "|---|{}", "---|".repeat(looked.len()))?;
    let mut row = |name: &str, of: &dyn Fn(&Spent) -> f64| {
        let figures: String =
            looked.iter().map(|(_, spent)| format!(" {:.2} |", of(spent))).collect();
        writeln!(out, "| {name} |{figures}")
    };
    for stage in Stage::ALL {
        row(stage.name(), &|spent| spent.stages.get(&stage).copied().unwrap_or_default())?;
    }
    row("all", &Spent::all)?;
    row("wakes, and no microseconds", &|spent| spent.wakes)?;
    if let ([(_, first), .., (_, last)], true) = (looked, files) {
        row("by file", &Spent::all)?;
        for file in &dearer(first, last)[..] {
            row(file, &|spent| spent.in_file(file))?;
        }
    }
    Ok(())
}

/// The files in which one spends more than another, those of most first.
fn dearer<'s>(one: &'s Spent, other: &Spent) -> Vec<&'s str> {
    let mut more: Vec<_> =
        one.files.iter().map(|(file, us)| (us - other.in_file(file), file.as_str())).collect();
    more.sort_by(|one, other| other.0.total_cmp(&one.0));
    more.into_iter().take(FILES).map(|(_, file)| file).collect()
}
